/*
 * Group commit without a timer: while the commit thread works on one batch, blocks and rows
 * gather for the next, which goes as soon as it is free.  The slower the disk, the
 * larger the batches.  What nobody waits for (async topics, acknowledgements) goes
 * every FLUSH_MS, or along with the next batch that somebody does wait for.
 *
 * A batch goes through two threads: one commits it, the other flushes the log while the
 * next one is committed.  A small one, with nothing before it, is flushed where it is
 * committed: that saves a wake-up.  Batches end in the order in which they began.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/endian.h>
#include <unistd.h>

#include "base/log.h"
#include "base/worker.h"
#include "broker.h"
#include "disk.h"
#include "net/loop.h"
#include "store/store.h"
#include "wire/cursor.h"

#define FLUSH_MS 50
#define LOOSE_MAX ((size_t)1 << 20) /* goes earlier, unflushed, above it */
#define DIRECT_MAX ((size_t)64 << 10) /* flushed where it is committed, up to it */
#define BATCHES_MAX 2 /* under way: one is flushed, one is committed or waits for its flush */

struct named {
	struct producer *p;
	uint64_t seq;
};

struct waiter {
	void (*fn)(struct broker *, void *arg);
	void *arg;
};

struct batch_job {
	struct dfb_job job;   /* in the commit thread */
	struct dfb_job flush; /* in the flush thread, unless direct */
	struct broker *b;
	struct dfb_batch *batch;
	uint64_t number;      /* in the order of commits */
	size_t bytes;         /* of its blocks */
	uint64_t timers;      /* changes of scheduled messages, up to this one */
	unsigned stages;      /* that have not come back */
	struct held **blocks;
	size_t nblocks, blocks_cap;
	struct named *producers;
	size_t nproducers, producers_cap;
	struct waiter *waiters;
	size_t nwaiters, waiters_cap;
	bool sync, direct;
	int rc;
};

/* What the two threads know of each other. */
static atomic_uint_fast64_t committed_number; /* the last batch that was committed */
static uint64_t flushed_number;               /* of the flush thread alone */

_Noreturn void
fail_stop(struct broker *b, const char *what)
{
	(void)b;
	log_event(DFB_LOG_ERR, "fail-stop", "why=%s", dfb_log_quote(what));
	_exit(DFB_IOERR);
}

static void *
grow(struct broker *b, void *p, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap != 0 ? *cap * 2 : 64;
	if ((p = reallocarray(p, *cap, size)) == NULL)
		fail_stop(b, "no memory for a commit");
	return p;
}

static struct batch_job *
pending(struct broker *b)
{
	struct batch_job *j = b->pending;

	if (j != NULL)
		return j;
	if ((j = calloc(1, sizeof *j)) == NULL || (j->batch = dfb_batch_new()) == NULL)
		fail_stop(b, "no memory for a commit");
	j->b = b;
	return b->pending = j;
}

static void
arm(struct broker *b, bool urgent)
{
	if (urgent)
		b->urgent = true;
	else if (!dfb_timer_is_set(&b->flush))
		dfb_loop_timer(b->loop, &b->flush, FLUSH_MS);
}

struct dfb_batch *
commit_batch(struct broker *b, bool urgent)
{
	arm(b, urgent);
	return pending(b)->batch;
}

int
commit_then(struct broker *b, void (*fn)(struct broker *, void *), void *arg)
{
	struct batch_job *j = pending(b);

	arm(b, true);
	j->waiters = grow(b, j->waiters, j->nwaiters, &j->waiters_cap,
	    sizeof *j->waiters);
	j->waiters[j->nwaiters++] = (struct waiter){ fn, arg };
	return 0;
}

void
commit_dirty_queue(struct broker *b, struct queue *q)
{
	if (q->dirty)
		return;
	q->dirty = true;
	STAILQ_INSERT_TAIL(&b->dirty_queues, q, dirty_link);
	arm(b, q->topic->set.durability == DFB_COMMIT);
}

void
commit_dirty_cursor(struct broker *b, struct cursor *c)
{
	if (c->dirty || !c->group->kept || c->group->topic->dead)
		return;
	c->dirty = true;
	STAILQ_INSERT_TAIL(&b->dirty_cursors, c, dirty_link);
	arm(b, false);
}

void
commit_dirty_producer(struct broker *b, struct producer *p)
{
	if (p->dirty)
		return;
	p->dirty = true;
	STAILQ_INSERT_TAIL(&b->dirty_producers, p, dirty_link);
	arm(b, false); /* its blocks make it urgent where it is */
}

/* ---- gathering ---- */

static void
gather_queue(struct broker *b, struct batch_job *j, struct queue *q)
{
	struct held *h, *first = NULL, *past = NULL;

	q->dirty = false;
	if (q->topic->dead)
		return;
	queue_seal(q);
	for (h = RB_MAX(held_tree, &q->blocks); h != NULL && !h->submitted;
	    h = RB_PREV(held_tree, &q->blocks, h))
		first = h;
	for (h = first; h != NULL; h = RB_NEXT(held_tree, &q->blocks, h)) {
		dfb_block_seal(h->b);
		h->submitted = true;
		q->busy++;
		j->blocks = grow(b, j->blocks, j->nblocks, &j->blocks_cap,
		    sizeof *j->blocks);
		j->blocks[j->nblocks++] = h;
		if ((h->past = queue_is_past(h)))
			past = h;
		else if (dfb_batch_block(j->batch, h->b) == -1)
			fail_stop(b, "no memory for a commit");
	}
	/* Their offsets are not used again. */
	if (past != NULL &&
	    queue_floor_row(j->batch, q, past->b->base + past->b->count) == -1)
		fail_stop(b, "no memory for a commit");
}

static void
gather_producer(struct broker *b, struct batch_job *j, struct producer *p)
{
	uint8_t key[20], val[21], *v = val;

	p->dirty = false;
	be32enc(dfb_write_bytes(key, p->id.b, 16), p->topic->id);
	if (p->finished) {
		if (p->stored && dfb_batch_del(j->batch, T_PRODUCERS, key, sizeof key) == -1)
			fail_stop(b, "no memory for a commit");
		p->stored = false;
		if (p->busy == 0)
			producer_free(b, p);
		return;
	}
	if (p->topic->set.durability != DFB_MEMORY) {
		v = dfb_write_u8(v, 1);
		v = dfb_write_u32(v, p->epoch);
		v = dfb_write_u64(v, p->taken);
		dfb_write_u64(v, b->wall);
		if (dfb_batch_put(j->batch, T_PRODUCERS, key, sizeof key, val, sizeof val) == -1)
			fail_stop(b, "no memory for a commit");
		p->stored = true;
	}
	p->busy++;
	j->producers = grow(b, j->producers, j->nproducers, &j->producers_cap,
	    sizeof *j->producers);
	j->producers[j->nproducers++] = (struct named){ p, p->taken };
}

static void
gather_cursor(struct broker *b, struct batch_job *j, struct cursor *c)
{
	struct dfb_buf key = { 0 }, val = { 0 };

	c->dirty = false;
	if (cursor_row(c, &key, &val) == -1 || dfb_batch_put(j->batch, T_OFFSETS,
	    key.data, key.len, val.data, val.len) == -1)
		fail_stop(b, "no memory for a commit");
	dfb_buf_release(&key);
	dfb_buf_release(&val);
}

static void
gather(struct broker *b, struct batch_job *j)
{
	struct queue *q;
	struct cursor *c;
	struct producer *p;

	while ((q = STAILQ_FIRST(&b->dirty_queues)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->dirty_queues, dirty_link);
		gather_queue(b, j, q);
	}
	while ((p = STAILQ_FIRST(&b->dirty_producers)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->dirty_producers, dirty_link);
		gather_producer(b, j, p);
	}
	while ((c = STAILQ_FIRST(&b->dirty_cursors)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->dirty_cursors, dirty_link);
		gather_cursor(b, j, c);
	}
}

/* ---- committing ---- */

static void
run(struct dfb_job *job)
{
	struct batch_job *j = (struct batch_job *)job;

	j->rc = dfb_store_commit(j->b->store, j->batch, j->sync && j->direct);
	if (j->rc != 0 || j->direct)
		return;
	atomic_store(&committed_number, j->number);
	dfb_worker_submit(j->b->flusher, &j->flush);
}

static struct batch_job *
flush_of(struct dfb_job *job)
{
	return (struct batch_job *)((char *)job - offsetof(struct batch_job, flush));
}

/* One flush is for all that were committed before it began. */
static void
run_flush(struct dfb_job *job)
{
	struct batch_job *j = flush_of(job);
	uint64_t upto;

	if (!j->sync || j->number <= flushed_number)
		return;
	upto = atomic_load(&committed_number);
	j->rc = dfb_store_flush(j->b->store);
	flushed_number = upto;
}

/* It is where it was to be: tell those who wait. */
static void
finish(struct batch_job *j)
{
	struct broker *b = j->b;

	b->batches--;
	b->done_batch = j->number;
	b->n.commits++;
	b->n.committed_blocks += j->nblocks;
	b->n.committed_bytes += j->bytes;
	b->pending_bytes -= j->bytes;
	b->flying_bytes -= j->bytes;
	for (size_t i = 0; i < j->nblocks; i++) {
		struct queue *q = j->blocks[i]->q;
		q->busy--;
		if (j->blocks[i]->past)
			queue_passed(b, j->blocks[i]);
		else
			queue_stored(b, j->blocks[i]);
		queue_wake(b, q);
	}
	for (size_t i = 0; i < j->nproducers; i++) {
		struct producer *p = j->producers[i].p;
		p->busy--;
		producer_settled(b, p, j->producers[i].seq);
	}
	timers_stored(b, j->timers);
	for (size_t i = 0; i < j->nwaiters; i++)
		j->waiters[i].fn(b, j->waiters[i].arg);
}

static void
job_free(struct batch_job *j)
{
	dfb_batch_free(j->batch);
	free(j->blocks);
	free(j->producers);
	free(j->waiters);
	free(j);
}

/* A stage came back; after the last one its memory is used again. */
static void
stage_over(struct batch_job *j)
{
	struct broker *b = j->b;

	if (--j->stages != 0)
		return;
	dfb_batch_clear(j->batch);
	j->nblocks = j->nproducers = j->nwaiters = 0;
	if (b->pending == NULL)
		b->pending = j;
	else
		job_free(j);
	if (!TAILQ_EMPTY(&b->graves))
		topic_bury(b);
}

static void
done(struct dfb_job *job)
{
	struct batch_job *j = (struct batch_job *)job;

	if (j->rc != 0)
		fail_stop(j->b, "the store failed: nothing of the last batch was confirmed");
	j->b->committing = false;
	if (j->direct)
		finish(j);
	stage_over(j);
}

static void
done_flush(struct dfb_job *job)
{
	struct batch_job *j = flush_of(job);

	if (j->rc != 0)
		fail_stop(j->b, "the store failed: nothing of the last batches was confirmed");
	finish(j);
	stage_over(j);
}

static bool
has_work(struct broker *b)
{
	return !STAILQ_EMPTY(&b->dirty_queues) || !STAILQ_EMPTY(&b->dirty_cursors) ||
	    !STAILQ_EMPTY(&b->dirty_producers) || (b->pending != NULL &&
	    (!dfb_batch_is_empty(b->pending->batch) || b->pending->nwaiters != 0));
}

/* Seal what was gathered; from now on it is under way. */
static struct batch_job *
take(struct broker *b, bool sync)
{
	struct batch_job *j = pending(b);

	gather(b, j);
	j->timers = timers_gather(b, j->batch);
	b->pending = NULL;
	j->number = ++b->last_batch;
	b->batch_ids = 0;
	j->sync = sync;
	j->bytes = b->pending_bytes - b->flying_bytes;
	b->flying_bytes = b->pending_bytes;
	j->direct = b->batches == 0 && (!sync || j->bytes <= DIRECT_MAX);
	j->stages = j->direct ? 1 : 2;
	b->batches++;
	return j;
}

static void
submit(struct broker *b, bool sync)
{
	struct batch_job *j = take(b, sync);

	b->urgent = b->urgent && !sync;
	if (sync)
		dfb_loop_timer_stop(b->loop, &b->flush);
	j->job = (struct dfb_job){ .run = run, .done = done };
	j->flush = (struct dfb_job){ .run = run_flush, .done = done_flush };
	b->committing = true;
	dfb_worker_submit(b->committer, &j->job);
}

void
commit_if_due(struct broker *b)
{
	if (b->committing || b->batches >= BATCHES_MAX)
		return;
	if (b->urgent) {
		/* Also when only an unflushed batch went before. */
		submit(b, true);
	} else if (b->pending_bytes - b->flying_bytes > LOOSE_MAX && has_work(b))
		submit(b, false);
}

void
commit_final(struct broker *b)
{
	dfb_worker_free(b->committer); /* after the jobs that it has, which it hands on */
	b->committer = NULL;
	dfb_worker_free(b->flusher);
	b->flusher = NULL;
	while (has_work(b)) {
		struct batch_job *j = take(b, true);
		j->direct = true;
		j->stages = 1;
		run(&j->job);
		done(&j->job);
	}
	if (b->pending != NULL)
		job_free(b->pending);
	b->pending = NULL;
}
