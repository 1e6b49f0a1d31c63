/* The messages that a --coproc process holds: found by id, listed by age. */
#ifndef RECV_ENTRY_H
#define RECV_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "dfb.h"

#define ENTRY_BUCKETS 512

struct entry {
	struct dfb_id id;
	struct dfb_consumer *consumer;
	struct dfb_delivery delivery;
	uint64_t start, end;     /* of its line, in the stream to the process */
	uint64_t due_ms;         /* the process has until then (monotonic) */
	uint64_t expires_ms;     /* the message has (Unix ms); 0: no limit */
	bool is_call;
	bool settled;            /* expired: an answer is late, but no error */
	struct entry *chain;
	TAILQ_ENTRY(entry) link;
};
TAILQ_HEAD(entry_list, entry);

struct entries {
	struct entry *bucket[ENTRY_BUCKETS];
	struct entry_list list;  /* oldest first */
	struct entry_list spare;
	size_t n;                /* in list */
};

void entries_init(struct entries *);
void entries_release(struct entries *);

/* A new one with this id, last in the list, its other fields zero; NULL with errno. */
struct entry *entries_add(struct entries *, const struct dfb_id *);

/* The oldest with this id, or NULL. */
struct entry *entries_find(struct entries *, const struct dfb_id *);

void entries_remove(struct entries *, struct entry *);

#endif
