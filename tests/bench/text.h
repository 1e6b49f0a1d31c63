/* A connection that speaks lines ending in CRLF, for peers with a text protocol.  Whatever
 * fails ends the program. */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct text {
	int fd;
	struct dfb_buf out, in;
	size_t at; /* in: read up to here */
};

/* Connect to a port of this machine. */
void text_open(struct text *t, uint16_t port);

/* Queue; write all that is queued. */
void text_add(struct text *t, const void *p, size_t n);
void text_addf(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void text_flush(struct text *t);

/* The next line without its end, valid until the next call.  NULL when there is none and it
 * shall not wait. */
char *text_line(struct text *t, bool wait);

/* The next n bytes, and the CRLF after them; valid until the next call. */
char *text_bytes(struct text *t, size_t n);

#endif
