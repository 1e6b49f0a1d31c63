/*
 * Commands: what is asked of sgs, checked, and written into the book.  A command that was given
 * before by the same request has the first answer again.  Nothing here knows of brokers.
 */
#ifndef SGS_COMMAND_H
#define SGS_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "dfb.h"
#include "dfb-sgs/book.h"
#include "dfb-sgs/states.h"

struct json_t;

struct asked {
	struct json_t *args;       /* an object */
	const char *who;           /* when args has none */
	uint64_t now_ms;           /* wall */
};

/* A command, of those that are given (states.h): the service after it, for the caller to free; NULL
 * with *status and why (BOOK_WHY bytes).  DFB_IOERR and DFB_OSERR: the process must stop. */
struct json_t *command_run(struct book *, enum command, const struct asked *,
    enum dfb_status *status, char *why);

/* A step of sgs itself: COMMAND_DEPLOYED and so on.  reason is for the journal, may be NULL.
 * DFB_NO: not from the state that it is in. */
enum dfb_status command_step(struct book *, enum command, const char *service,
    const char *region, const char *reason, uint64_t now_ms);

/* The same for keys that belong to regions, and for distances; what: "affinity.set", "affinity.add",
 * "affinity.delete"; "distance.set", "distance.delete". */
struct json_t *command_affinity(struct book *, const char *what, const struct asked *,
    enum dfb_status *status, char *why);
struct json_t *command_distance(struct book *, const char *what, const struct asked *,
    enum dfb_status *status, char *why);

/* Where a service, and its deployment in region (may be NULL), is. */
struct place command_place(const struct json_t *service, const char *region);

/* "async" unless they say otherwise: services are for calls. */
const char *settings_durability(const struct json_t *settings);

/* ---- for the files of commands: edit.c, affinity.c, distance.c ---- */

struct edit {
	const struct book *book;
	struct json_t *args;
	struct json_t *after;       /* a copy of the row, to be changed */
	struct json_t *deployment;  /* in it, of region */
	const char *what, *who, *name, *region;
	enum command command;
	struct place from, to;
	uint64_t now_ms;
	bool failed;                /* memory was short */
	enum dfb_status status;
	char *why;
};

/* Refuse: -1. */
int edit_refuse(struct edit *, enum dfb_status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put a value, taken over, into an object, and remember when that failed. */
void edit_set(struct edit *, struct json_t *object, const char *key, struct json_t *value);

/* An argument that is text, of at most max bytes: 1; 0: there is none; -1: refused. */
int edit_text(struct edit *, const char *key, size_t max, const char **text);
/* A whole number. */
int edit_number(struct edit *, const char *key, int64_t min, int64_t max, int64_t *n);
/* A region. */
int edit_region(struct edit *, const char *key, const char **region);

/* Make the change in `after`, once it is allowed: of a service, by `command`, of rules and of
 * distances by `what`.  0, or -1 after refusing. */
int edit_service(struct edit *);
int edit_affinity(struct edit *);
int edit_distance(struct edit *);

#endif
