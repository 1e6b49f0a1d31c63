/* Scheduled messages: what the broker's state holds of them, and functions.  A part of
 * broker.h. */
#ifndef BROKER_TIMER_H
#define BROKER_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "base/timer.h"
#include "base/worker.h"
#include "dfb.h"

struct broker;
struct dfb_batch;
struct dfb_record;
struct topic;

/* Its place in the store and in the order of firing.  Numbers rise, over restarts too. */
struct timer_key {
	uint64_t due, number;      /* due: wall ms */
};

/* A scheduled message, or one whose rows are being deleted. */
struct timer {
	struct timer_key key;
	uint32_t topic;            /* its id: the topic may be deleted */
	bool near;                 /* in the tree of those that are fired from memory */
	bool fresh;                /* its rows are not known to be stored */
	bool gone;                 /* fired or cancelled: its rows are not known to be deleted */
	uint64_t fresh_mark, gone_mark; /* stored or deleted when so many changes are */
	RB_ENTRY(timer) node;      /* near or gone */
	STAILQ_ENTRY(timer) fresh_link, gone_link;
	size_t len;
	uint8_t rec[];
};
RB_HEAD(timer_tree, timer);
STAILQ_HEAD(timer_list, timer);

/* A read of the timers' tables by the reader thread; embedded. */
struct timer_read {
	struct dfb_job job;
	struct broker *b;
	int table;
	uint8_t from[40];          /* the key where it begins */
	size_t from_len;
	/* In the reader thread, for each row: 0, or 1: enough; -1: it is malformed. */
	int (*row)(void *read, const void *key, size_t klen, const void *val, size_t vlen);
	/* In the switch thread, at the end; frees it. */
	void (*got)(struct broker *, struct timer_read *);
	int rc;                    /* 0: all was read; 1: enough */
	STAILQ_ENTRY(timer_read) link;
};

/* A scheduled message that was fired, for answers to those who would cancel it. */
struct fired {
	uint32_t topic, queue;
	struct dfb_id id;
	uint64_t wall, offset;
	bool expired;
};
#define FIRED_MAX 1024

/*
 * Of all scheduled messages those up to the horizon are in memory (near), but for what was
 * fired or cancelled; the others are in the store only.  What is not stored yet (fresh), and
 * what is not deleted yet (gone), is known besides, since a read that is under way does not.
 */
struct timers {
	struct timer_tree near, gone;
	struct timer_list fresh, going; /* going: those gone, in order */
	size_t nnear, near_bytes, nfresh;
	struct timer_key horizon;
	uint32_t run;              /* of this broker on this store: upper part of numbers */
	uint64_t last;             /* number given */
	uint64_t marks, stored;    /* changes made, and those that are on the disk */
	bool wake, loading;
	uint64_t count;            /* scheduled messages, of all topics */
	STAILQ_HEAD(, topic) dirty;
	struct dfb_timer timer;
	struct timer_read *reading; /* one at a time */
	STAILQ_HEAD(, timer_read) reads; /* and those that wait */
	struct fired fired[FIRED_MAX];
	unsigned next_fired;
};

/* timer.c: scheduled messages */
int timer_cmp(struct timer *, struct timer *);
RB_PROTOTYPE(timer_tree, timer, node, timer_cmp)
bool timer_key_after(const struct timer_key *, const struct timer_key *); /* a is after b */
/* A transaction of many rows holds many locks: so many changes may wait for the disk, more
 * than a sender has under way; and so many can be put as one. */
#define TIMERS_WAIT_MAX 20000
#define TIMERS_ATOMIC_MAX 5000
bool timers_may_change(const struct broker *); /* else: the disk is behind */
/* Schedule an encoded record; its rows go with the next commit.  -1: no memory. */
int timer_put(struct broker *, struct topic *, const struct dfb_record *, const uint8_t *rec);
/* Its rows go with the next commit, when it is still to be fired; false: it is not. */
bool timer_cancel(struct broker *, struct topic *, const struct timer_key *,
    const struct dfb_id *);
void timers_turn(struct broker *); /* fire what is due, before sleeping */
void timers_stored(struct broker *, uint64_t mark); /* so many changes are on the disk */
void timers_loaded(struct broker *, struct timer_list *, const struct timer_key *end);
void timers_forget_stored(struct broker *); /* when nothing is read */
void timers_forget_topic(struct broker *, struct topic *); /* it is being deleted */
void timers_free(struct broker *);

/* timer_read.c */
void timer_read(struct broker *, struct timer_read *); /* when those before it are over */
void timers_load(struct broker *); /* the next ones beyond the horizon */

/* timer_row.c: rows of the three tables, into the pending batch */
#define TIMER_KEY 16
#define TIMER_ID_KEY 28
#define TIMER_KEY_LAST UINT64_MAX /* due and number of a horizon behind all */
void timer_key_write(uint8_t key[TIMER_KEY], const struct timer_key *);
int timer_rows_put(struct broker *, const struct timer *);
int timer_rows_delete(struct broker *, uint32_t topic, const struct timer_key *,
    const struct dfb_id *, bool urgent);
void timer_counted(struct broker *, struct topic *, int change);
uint64_t timers_gather(struct broker *, struct dfb_batch *); /* counts; what it stores */
int timer_key_read(const void *key, size_t klen, struct timer_key *); /* 0, or -1 */
struct timer *timer_from_row(const struct timer_key *, const void *val, size_t vlen);
int timer_id_key_read(const void *key, size_t klen, uint32_t *topic, struct dfb_id *,
    uint64_t *number);
int timer_id_row_read(const void *val, size_t vlen, uint64_t *due);

/* timer_purge.c: topics that were deleted with messages scheduled */
void timer_purge(struct broker *, uint32_t topic);

#endif
