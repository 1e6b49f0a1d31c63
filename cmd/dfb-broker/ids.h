/*
 * Ids: what the broker knows of messages and calls by their ids.  A part of broker.h, which
 * includes it.
 */
#ifndef BROKER_IDS_H
#define BROKER_IDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/worker.h"
#include "dfb.h"

struct broker;
struct dfb_m_put;
struct filter;
struct queue;
struct stream;
struct topic;

/* Tables of the store, in the order of their names in main.c. */
enum table { T_META, T_TOPICS, T_QUEUES, T_GROUPS, T_OFFSETS, T_PRODUCERS, T_LETTERS,
	T_TIMERS, T_TIMER_IDS, T_TIMER_COUNTS, T_IDS, T_CALLS };

/* Ids that were first seen from start on, until a newer bucket began. */
struct bucket {
	uint64_t start;          /* wall ms; part of the rows' keys */
	uint64_t n, room;        /* ids in it; when it is full another one begins */
	struct filter *filter;
	bool complete;           /* the filter has all of them */
	bool given_up;           /* and never will */
	TAILQ_ENTRY(bucket) link;
};
TAILQ_HEAD(bucket_list, bucket);

struct ids {
	enum table table;
	uint32_t topic;
	struct bucket_list buckets; /* newest first */
};

/* A message that is known by its id.  One that was scheduled is in no queue, and its offset is
 * the time when it was due. */
#define KNOWN_SCHEDULED UINT32_MAX
struct known {
	struct dfb_id id;
	uint32_t topic, queue;
	uint64_t offset, at;     /* at: wall ms */
	uint64_t batch;          /* its row was stored with it */
	uint32_t next;
};

/* recent.c: a ring from tail to head - 1. */
struct recent {
	struct known *ring;
	uint32_t *heads;
	uint32_t cap;
	uint64_t head, tail;
};

/* Ids that are being looked for in the store. */
struct look {
	struct dfb_job job;
	struct broker *b;
	struct ids *ids;         /* while it is made */
	enum table table;
	uint32_t topic;
	uint64_t window, since;  /* since: what is stored up to this batch is found */
	struct want {
		struct dfb_id id;
		bool found;
		uint64_t start;  /* of its bucket */
		struct dfb_buf val;
	} *wants;
	struct probe {
		size_t want;
		uint64_t start;
	} *probes;
	size_t nwants, wants_cap, nprobes, probes_cap;
	int rc;
	void (*fn)(struct broker *, struct look *);
	void *arg;               /* NULL: whoever asked is gone */
	TAILQ_ENTRY(look) link;
};
TAILQ_HEAD(look_list, look);

/* ids.c: ids of a topic and where their rows are */
#define IDS_KEY 28
void ids_init(struct ids *, enum table, uint32_t topic);
void ids_free(struct broker *, struct ids *);
struct bucket *ids_bucket_new(struct ids *, uint64_t start, bool complete); /* the newest */
struct bucket *ids_bucket_find(struct ids *, uint64_t start);
void ids_bucket_free(struct broker *, struct ids *, struct bucket *);
bool ids_is_over(const struct broker *, const struct bucket *, uint64_t window);
/* Take note of a new id: the start of the bucket that its row belongs to. */
uint64_t ids_add(struct broker *, struct ids *, uint64_t window, const struct dfb_id *);
void ids_note(struct broker *, struct bucket *, const struct dfb_id *); /* it is there */
bool ids_may_be_in(const struct bucket *, const struct dfb_id *);
void ids_key(uint8_t key[IDS_KEY], uint32_t topic, uint64_t start, const struct dfb_id *);

/* ids_keep.c */
int ids_load(struct broker *, enum table); /* which buckets there are; 0 or -1 */
void ids_upkeep(struct broker *);
void ids_remove_all(struct broker *, struct topic *); /* it is being deleted */

/* recent.c */
const struct known *recent_find(struct broker *, uint32_t topic, const struct dfb_id *);
void recent_add(struct broker *, const struct known *);
/* Whether it is there; then it stays until looks that begin now are over, and for this turn. */
bool recent_hold(struct broker *, uint32_t topic, const struct dfb_id *);
void recent_free(struct broker *);

/* look.c: make a look, name ids (true: it may be in the store), start it or free it.  fn
 * runs from a later turn, with what was found in wants; the look is freed after it. */
struct look *look_new(struct broker *, struct topic *, struct ids *, void *arg);
bool look_for(struct look *, const struct dfb_id *);
void look_start(struct look *, void (*fn)(struct broker *, struct look *));
void look_free(struct look *);
/* What every look that is under way finds: all that is stored up to this batch. */
uint64_t look_since(const struct broker *);

/* once.c: messages by their ids */
#define ONCE_FRAME_MAX 8192
/* Whether a frame can be taken now; else it is to be held. */
bool once_ready(struct broker *, struct stream *, const struct dfb_m_put *, bool looked);
/* The message with this id, if there is one; take note of one that was appended. */
const struct known *once_find(struct broker *, struct topic *, const struct dfb_id *);
void once_add(struct broker *, struct topic *, const struct dfb_id *, uint32_t queue,
    uint64_t offset);
/* Hold a frame behind those that the stream holds. */
void once_hold(struct broker *, struct stream *, const struct dfb_m_put *);
void once_resume(struct broker *, struct stream *, bool looked); /* take frames it holds */
void once_forget(struct broker *, struct stream *); /* it ends */
void once_room(struct broker *); /* a batch left: take frames that waited for room */

#endif
