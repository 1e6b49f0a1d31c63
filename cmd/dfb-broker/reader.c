/* The backlog: blocks that are not in memory any more come from the reader thread. */
#include <stdlib.h>

#include "base/log.h"
#include "base/worker.h"
#include "broker.h"
#include "disk.h"
#include "store/store.h"
#include "wire/record.h"

struct fetch {
	struct dfb_job job;
	struct broker *b;
	struct queue *q;
	uint64_t id, offset, wall_ms;
	struct dfb_block *block;
	int rc;
	void (*got)(struct broker *, void *arg, struct dfb_block *);
	void (*found)(struct broker *, void *arg, uint64_t offset);
	void *arg;
};

static struct fetch *
fetch_new(struct broker *b, struct queue *q, void *arg)
{
	struct fetch *f = calloc(1, sizeof *f);

	if (f == NULL)
		fail_stop(b, "no memory for a read");
	f->b = b;
	f->q = q;
	f->id = q->id;
	f->arg = arg;
	q->busy++;
	return f;
}

/* Delivery counts on as many whole records as the header says. */
static bool
is_whole(const struct dfb_block *blk)
{
	const uint8_t *p = blk->data + DFB_BLOCK_HEADER, *end = blk->data + blk->len;
	struct dfb_record r;
	uint32_t n = 0;
	int rc;

	while ((rc = dfb_record_next(&p, end, &r)) == 1)
		n++;
	return rc == 0 && n == blk->count;
}

static void
run_fetch(struct dfb_job *job)
{
	struct fetch *f = (struct fetch *)job;

	f->rc = dfb_store_read(f->b->store, f->id, f->offset, &f->block);
	if (f->rc == 1 && !is_whole(f->block)) {
		log_errx("the block of queue %llu from offset %llu on is damaged: restore a "
		    "backup", (unsigned long long)f->id,
		    (unsigned long long)f->block->base);
		dfb_block_unref(f->block);
		f->rc = -1;
	}
}

static void
fetched(struct dfb_job *job)
{
	struct fetch *f = (struct fetch *)job;

	if (f->rc == -1)
		fail_stop(f->b, "the store failed: a block cannot be read");
	f->q->busy--;
	f->got(f->b, f->arg, f->rc == 1 ? f->block : NULL);
	if (f->rc == 1)
		dfb_block_unref(f->block);
	free(f);
}

/* The next block in memory at or after an offset. */
static struct dfb_block *
in_memory(struct queue *q, uint64_t offset)
{
	struct dfb_block *blk = queue_find(q, offset);
	struct held *h;

	if (blk != NULL)
		return blk;
	h = RB_MIN(held_tree, &q->blocks);
	return h != NULL && h->b->base > offset &&
	    (h->b->base <= q->first || q->topic->set.durability == DFB_MEMORY) ? h->b : NULL;
}

void
reader_fetch(struct broker *b, struct queue *q, uint64_t offset,
    void (*fn)(struct broker *, void *, struct dfb_block *), void *arg)
{
	struct dfb_block *blk = in_memory(q, offset);
	struct fetch *f;

	if (blk != NULL || offset >= q->committed ||
	    q->topic->set.durability == DFB_MEMORY) {
		if (blk != NULL)
			dfb_block_ref(blk);
		fn(b, arg, blk);
		dfb_block_unref(blk);
		return;
	}
	f = fetch_new(b, q, arg);
	f->offset = offset;
	f->got = fn;
	f->job = (struct dfb_job){ .run = run_fetch, .done = fetched };
	dfb_worker_submit(b->reader, &f->job);
}

static void
run_seek(struct dfb_job *job)
{
	struct fetch *f = (struct fetch *)job;

	f->rc = dfb_store_seek(f->b->store, f->id, f->wall_ms, &f->offset);
}

static void
sought(struct dfb_job *job)
{
	struct fetch *f = (struct fetch *)job;

	if (f->rc == -1)
		fail_stop(f->b, "the store failed: a block cannot be read");
	f->q->busy--;
	f->found(f->b, f->arg, f->rc == 1 ? f->offset : f->q->committed);
	free(f);
}

void
reader_seek(struct broker *b, struct queue *q, uint64_t wall_ms,
    void (*fn)(struct broker *, void *, uint64_t), void *arg)
{
	struct fetch *f;
	struct held *h;

	if (q->topic->set.durability == DFB_MEMORY) {
		RB_FOREACH(h, held_tree, &q->blocks)
			if (h->b->last_ms >= wall_ms)
				break;
		fn(b, arg, h != NULL ? h->b->base : q->next);
		return;
	}
	f = fetch_new(b, q, arg);
	f->wall_ms = wall_ms;
	f->found = fn;
	f->job = (struct dfb_job){ .run = run_seek, .done = sought };
	dfb_worker_submit(b->reader, &f->job);
}
