/*
 * Upkeep, once a second: checkpoints and the disk's free space from the keeper thread;
 * then, here, segments that nobody needs any more and producers that are long gone.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/worker.h"
#include "broker.h"
#include "disk.h"
#include "expiry.h"
#include "lane.h"
#include "limits.h"
#include "net/loop.h"
#include "store/store.h"

#define CHECKPOINT_KB 32768 /* bounds what a restart has to recover */
#define SEGMENTS 1024
#define FORGET_PER_TURN 1000

struct upkeep {
	struct dfb_job job;
	struct broker *b;
	uint64_t free_bytes, total, spent;
	int rc;
};

struct drop {
	struct dfb_job job;
	struct broker *b;
	uint32_t number;
	int rc;
};

/* ---- segments ---- */

static struct queue *
queue_of(struct broker *b, uint64_t id)
{
	struct topic *t = topic_by_id(b, (uint32_t)(id >> 16));

	return t != NULL ? topic_queue(t, id & 0xffff) : NULL;
}

struct asking {
	struct broker *b;
	uint64_t last_ms;
};

/* 1 when the segment must stay because of this queue. */
static int
is_needed(void *arg, uint64_t id, uint64_t next)
{
	struct asking *a = arg;
	struct queue *q = queue_of(a->b, id);
	struct group *g;
	bool consumed = false;

	if (q == NULL)
		return 0; /* its topic was deleted */
	TAILQ_FOREACH(g, &q->topic->groups, link) {
		if (group_is_over(g))
			continue;
		if (g->cursors[q->slot]->low < next)
			return 1;
		consumed |= g->kept;
	}
	if (a->last_ms + q->topic->set.retention_ms <= a->b->wall)
		return 0;
	/* Consumed messages make room before sends are refused. */
	return !(a->b->full && consumed);
}

static int
keep_floor(void *arg, uint64_t id, uint64_t next)
{
	struct broker *b = arg;
	struct queue *q = queue_of(b, id);

	(void)next;
	if (q != NULL && q->topic->set.durability != DFB_MEMORY &&
	    queue_floor_row(commit_batch(b, true), q, q->next) == -1)
		fail_stop(b, "no memory to drop a segment");
	return 0;
}

static void
run_drop(struct dfb_job *job)
{
	struct drop *d = (struct drop *)job;

	d->rc = dfb_store_segment_drop(d->b->store, d->number);
}

static void
dropped(struct dfb_job *job)
{
	struct drop *d = (struct drop *)job;
	struct broker *b = d->b;
	struct topic *t;

	if (d->rc != 0)
		fail_stop(b, "the store failed: a segment cannot be dropped");
	b->dropping = false;
	b->n.dropped_segments++;
	log_event(DFB_LOG_INFO, "segment-dropped", "number=%u", d->number);
	RB_FOREACH(t, topic_tree, &b->topics)
		for (uint32_t i = 0; i < t->nqueues; i++) {
			struct queue *q = t->queues[i];
			uint64_t first, next;
			int rc = dfb_store_extent(b->store, q->id, &first, &next);
			if (t->set.durability == DFB_MEMORY || rc == -1)
				continue;
			if (rc == 0)
				first = q->committed;
			if (first > q->first && first <= q->committed)
				q->first = first;
		}
	RB_FOREACH(t, topic_tree, &b->topics)
		follow_look(b, t);
	free(d);
}

static void
drop_now(struct broker *b, void *arg)
{
	struct drop *d = arg;

	if (b->stopping) {
		b->dropping = false;
		free(d);
		return;
	}
	d->job = (struct dfb_job){ .run = run_drop, .done = dropped };
	dfb_worker_submit(b->committer, &d->job);
}

/* One segment a turn: the oldest that is not needed. */
static void
drop_segment(struct broker *b)
{
	static struct dfb_segment_info seg[SEGMENTS];
	size_t n = b->dropping ? 0 : dfb_store_segments(b->store, seg, SEGMENTS);

	for (size_t i = 0; i < n && i < SEGMENTS; i++) {
		struct asking a = { b, seg[i].last_ms };
		struct drop *d;
		if (seg[i].current ||
		    dfb_store_segment_queues(b->store, seg[i].number, is_needed, &a) != 0)
			continue;
		if ((d = calloc(1, sizeof *d)) == NULL)
			return;
		d->b = b;
		d->number = seg[i].number;
		/* Where its queues stand, first: offsets never run backwards. */
		dfb_store_segment_queues(b->store, seg[i].number, keep_floor, b);
		b->dropping = true;
		commit_then(b, drop_now, d);
		return;
	}
}

/* ---- producers ---- */

static void
forget_producers(struct broker *b)
{
	struct producer *p, *next;
	unsigned n = 0;

	RB_FOREACH_SAFE(p, producer_tree, &b->producers, next) {
		if (p->stream != NULL || p->finished ||
		    p->used_ms + b->cf.dedup_ms > b->wall)
			continue;
		p->finished = true;
		commit_dirty_producer(b, p);
		if (++n == FORGET_PER_TURN)
			return;
	}
}

/* ---- a turn ---- */

static void
run(struct dfb_job *job)
{
	struct upkeep *u = (struct upkeep *)job;

	u->rc = dfb_store_checkpoint(u->b->store, CHECKPOINT_KB);
	if (u->rc == 0)
		u->rc = dfb_store_space(u->b->store, &u->free_bytes, &u->total);
}

static void
done(struct dfb_job *job)
{
	struct upkeep *u = (struct upkeep *)job;
	struct broker *b = u->b;
	bool full;

	if (u->rc != 0)
		fail_stop(b, "the store failed: it cannot be checkpointed");
	b->free_bytes = u->free_bytes;
	b->spent = b->pending_bytes + (b->spent - u->spent);
	b->total_bytes = u->total;
	full = u->free_bytes < b->cf.min_free;
	if (full != b->full)
		log_event(full ? DFB_LOG_WARN : DFB_LOG_INFO,
		    full ? "storage-full" : "storage-ok", "free=%llu min_free=%llu dir=%s",
		    (unsigned long long)u->free_bytes, (unsigned long long)b->cf.min_free,
		    dfb_log_quote(b->cf.data));
	b->full = full;
	free(u);
	b->keeping = false;
	if (b->stopping)
		return;
	drop_segment(b);
	forget_producers(b);
	ids_upkeep(b);
	breaker_watch(b);
	flow_keep(b);
	watch_turn(b);
	expiry_log(b);
	b->timers.wake = true; /* the clock may have been set */
	dfb_loop_timer(b->loop, &b->keep, b->cf.keep_ms);
}

static void
turn(struct dfb_timer *t, void *arg)
{
	struct broker *b = arg;
	struct upkeep *u = calloc(1, sizeof *u);

	if (u == NULL) {
		dfb_loop_timer(b->loop, t, b->cf.keep_ms);
		return;
	}
	u->b = b;
	u->spent = b->spent;
	u->job = (struct dfb_job){ .run = run, .done = done };
	b->keeping = true;
	dfb_worker_submit(b->keeper, &u->job);
}

void
upkeep_start(struct broker *b)
{
	b->keep = (struct dfb_timer){ .fn = turn, .arg = b };
	turn(&b->keep, b);
}
