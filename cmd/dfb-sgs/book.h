/*
 * The book: the catalogue of services, in memory and on the disk, and the journal of its
 * changes.  A change is one transaction: its row, its entry in the journal, its request and the
 * version.  Rows are JSON objects in the form that ADMIN answers with and the journal has.
 */
#ifndef SGS_BOOK_H
#define SGS_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dfb.h"

struct dfb_batch;
struct dfb_store;
struct json_t;

#define BOOK_WHY 768          /* bytes of a refusal's text */
#define BOOK_REQUEST_MAX 64   /* bytes of a request's name */
#define BOOK_ALL "*"          /* the name of rules for all services, and of the distances */

/* What a row is about; the numbers are those of the frame CATALOG. */
enum book_kind { BOOK_SERVICE = 1, BOOK_AFFINITY = 2, BOOK_DISTANCES = 3 };

struct book {
	uint64_t id;               /* random, made with the store */
	uint64_t version;          /* of the last change; 0: none yet */
	struct json_t *services, *affinity; /* name -> row */
	struct json_t *distances;  /* the row; an empty one while version is 0 in it */
	struct dfb_store *store;
	struct dfb_batch *batch;
};

/* Open it, made when it is missing.  DFB_OK or the exit status, logged. */
int book_open(struct book *, const char *dir);
int book_close(struct book *); /* all zero is fine; DFB_OK or the exit status, logged */

/* A row, NULL when there is none.  The book's. */
struct json_t *book_row(const struct book *, enum book_kind, const char *name);

/* Its version; 0: there is none. */
uint64_t book_row_version(const struct json_t *row);

/* What is to be changed. */
struct book_change {
	enum book_kind kind;
	const char *name;          /* of the row */
	const char *what, *region, *who, *why; /* region, why: NULL for none */
	const char *request;       /* NULL: it has none */
	uint64_t hash;             /* of what was requested */
	struct json_t *after;      /* the row; taken over */
	uint64_t now_ms;
};

/*
 * Write it to the disk, with the next version in it, then it is so.  DFB_OK; DFB_AGAIN: no
 * memory, nothing has changed; DFB_IOERR, logged: the process must stop.
 */
enum dfb_status book_commit(struct book *, struct book_change *);

/*
 * Whether a request was done: its entry in the journal (the caller's), or NULL and *status DFB_OK
 * when it is new; DFB_BADINPUT and why when it asked for something else then; DFB_IOERR.
 */
struct json_t *book_request(struct book *, const char *request, uint64_t hash,
    enum dfb_status *status, char *why);

/*
 * Entries of the journal from `from` on, at most limit, of one row's name or of all (NULL): a list;
 * *next: where it goes on, 0 at the end.  NULL without memory, or when the store failed.
 */
struct json_t *book_history(struct book *, const char *name, uint64_t from, size_t limit,
    uint64_t *next);

#endif
