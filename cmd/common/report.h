/*
 * Which messages of an input failed, said on stderr so that a human finds them.
 * Many failures in a row for one reason are printed once and counted.
 */
#ifndef COMMON_REPORT_H
#define COMMON_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "dfb.h"

struct dfb_input;
struct dfb_report_span;

/* As a number: the reason speaks for itself, no place is printed. */
#define DFB_REPORT_WHOLE UINT64_MAX

/* Embedded; all-zero but `in`, which must outlive it. */
struct dfb_report {
	const struct dfb_input *in;
	enum dfb_status status;  /* of the first failure; DFB_OK */
	uint64_t failures;
	/* Private. */
	struct dfb_report_span *spans;
	size_t nspans, cap;
	char reason[512];
	uint64_t same;           /* failures in a row for this reason */
	size_t more_file[2];     /* those not printed: from, to */
	uint64_t more_number[2];
};

void dfb_report_release(struct dfb_report *);

/* Message n of a producer is the one that the input stands at.  0, or -1 with errno. */
int dfb_report_taken(struct dfb_report *, uint64_t n);

/* A failure: of message n, which was _taken; of the message that the input
 * stands at; of its current file; of any place. */
void dfb_report_message(struct dfb_report *, uint64_t n, enum dfb_status,
    const char *why);
void dfb_report_current(struct dfb_report *, enum dfb_status, const char *why);
void dfb_report_file(struct dfb_report *, enum dfb_status, const char *why);
void dfb_report_at(struct dfb_report *, size_t file, uint64_t number, enum dfb_status,
    const char *why);

/* Print what is held back ("and N more"). */
void dfb_report_end(struct dfb_report *);

#endif
