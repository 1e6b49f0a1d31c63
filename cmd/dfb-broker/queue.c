#include <stdlib.h>

#include "broker.h"
#include "disk.h"
#include "limits.h"

/* Blocks kept in memory behind the commit, for consumers that keep up. */
#define CACHE_MAX ((size_t)16 << 20)

int
held_cmp(struct held *a, struct held *b)
{
	return a->b->base < b->b->base ? -1 : a->b->base > b->b->base;
}

RB_GENERATE(held_tree, held, node, held_cmp)

struct queue *
queue_new(struct topic *t, struct lane *l, uint32_t index)
{
	struct queue *q = calloc(1, sizeof *q);

	if (q == NULL)
		return NULL;
	q->topic = t;
	q->lane = l;
	q->index = index;
	q->id = (uint64_t)t->id << 16 | index;
	RB_INIT(&q->blocks);
	RB_INIT(&q->calls);
	return q;
}

static bool
in_memory_only(const struct queue *q)
{
	return q->topic->set.durability == DFB_MEMORY;
}

static void
drop(struct broker *b, struct held *h)
{
	struct queue *q = h->q;

	RB_REMOVE(held_tree, &q->blocks, h);
	q->bytes -= h->b->cap;
	if (in_memory_only(q))
		b->memory_used -= h->b->cap;
	if (h->stored) {
		TAILQ_REMOVE(&b->cache, h, lru);
		b->cache_used -= h->b->cap;
	}
	if (q->open == h)
		q->open = NULL;
	dfb_block_unref(h->b);
	free(h);
}

void
queue_free(struct broker *b, struct queue *q)
{
	struct held *h;

	while ((h = RB_MIN(held_tree, &q->blocks)) != NULL)
		drop(b, h);
	breaker_gone(b, q);
	free(q);
}

static struct held *
open_block(struct broker *b, struct queue *q, size_t len)
{
	struct held *h;
	size_t cap = len + DFB_BLOCK_HEADER > DFB_BLOCK_FULL / 2 ? len : 2048;

	if ((h = calloc(1, sizeof *h)) == NULL)
		return NULL;
	if ((h->b = dfb_block_new(q->id, q->next, cap)) == NULL) {
		free(h);
		return NULL;
	}
	h->q = q;
	RB_INSERT(held_tree, &q->blocks, h);
	q->bytes += h->b->cap;
	if (in_memory_only(q))
		b->memory_used += h->b->cap;
	q->open = h;
	return h;
}

uint64_t
queue_append(struct broker *b, struct queue *q, const uint8_t *rec, size_t len,
    enum append kind, uint8_t **where)
{
	struct held *h = q->open;
	size_t cap;

	if (h != NULL && (h->b->len + len > DFB_BLOCK_FULL ||
	    ((h->b->flags & BLOCK_AGAIN) != 0) != (kind == APPEND_AGAIN)))
		queue_seal(q);
	if (q->open == NULL && open_block(b, q, len) == NULL)
		return UINT64_MAX;
	h = q->open;
	cap = h->b->cap;
	if (dfb_block_append(h->b, rec, len, 1, b->wall) == -1)
		return UINT64_MAX;
	q->bytes += h->b->cap - cap;
	if (kind != APPEND_PLAIN)
		h->b->flags |= kind == APPEND_AGAIN ? BLOCK_SPECIAL | BLOCK_AGAIN : BLOCK_SPECIAL;
	h->others |= kind != APPEND_CALL;
	if (where != NULL)
		*where = h->b->data + h->b->len - len;
	if (in_memory_only(q))
		b->memory_used += h->b->cap - cap;
	else {
		b->pending_bytes += len;
		b->spent += len;
		commit_dirty_queue(b, q);
	}
	q->topic->in++;
	return q->next++;
}

void
queue_seal(struct queue *q)
{
	if (q->open != NULL) {
		q->open->sealed = true;
		q->open = NULL;
	}
}

bool
queue_is_served(const struct queue *q)
{
	struct group *g;

	TAILQ_FOREACH(g, &q->topic->groups, link)
		if (!g->broadcast && g->cursors[q->slot]->owner != NULL)
			return true;
	return false;
}

uint64_t
queue_limit(const struct queue *q)
{
	return q->topic->set.durability == DFB_COMMIT ? q->committed : q->next;
}

uint64_t
queue_count(const struct queue *q, uint64_t from, uint64_t to)
{
	uint64_t a = from > q->gap_from ? from : q->gap_from;
	uint64_t b = to < q->gap_to ? to : q->gap_to;

	return to - from - (b > a ? b - a : 0);
}

/* Nobody may read them any more: who subscribes later is not given calls that ended. */
bool
queue_is_past(const struct held *h)
{
	const struct queue *q = h->q;
	struct group *g;

	if (h->others || q->topic->set.durability != DFB_ASYNC)
		return false;
	TAILQ_FOREACH(g, &q->topic->groups, link)
		if (!group_is_over(g) && g->cursors[q->slot]->low < h->b->base + h->b->count)
			return false;
	return true;
}

struct dfb_block *
queue_find(struct queue *q, uint64_t offset)
{
	struct held *h = RB_ROOT(&q->blocks), *best = NULL;

	while (h != NULL) {
		if (h->b->base <= offset) {
			best = h;
			h = RB_RIGHT(h, node);
		} else
			h = RB_LEFT(h, node);
	}
	return best != NULL && offset < best->b->base + best->b->count ? best->b : NULL;
}

void
queue_stored(struct broker *b, struct held *h)
{
	struct held *old;

	h->stored = true;
	if (h->q->committed < h->b->base + h->b->count)
		h->q->committed = h->b->base + h->b->count;
	TAILQ_INSERT_TAIL(&b->cache, h, lru);
	b->cache_used += h->b->cap;
	while (b->cache_used > CACHE_MAX && (old = TAILQ_FIRST(&b->cache)) != NULL)
		drop(b, old);
}

void
queue_passed(struct broker *b, struct held *h)
{
	struct queue *q = h->q;
	uint64_t end = h->b->base + h->b->count;

	if (q->committed < end)
		q->committed = end;
	if (q->first == h->b->base)
		q->first = end;
	drop(b, h);
}

void
queue_trim(struct broker *b, struct queue *q)
{
	uint64_t low = q->next;
	struct group *g;
	struct held *h;

	if (!in_memory_only(q) || TAILQ_EMPTY(&q->topic->groups))
		return;
	TAILQ_FOREACH(g, &q->topic->groups, link)
		if (!group_is_over(g) && g->cursors[q->slot]->low < low)
			low = g->cursors[q->slot]->low;
	while ((h = RB_MIN(held_tree, &q->blocks)) != NULL &&
	    h->b->base + h->b->count <= low && (h != q->open || low == q->next)) {
		q->first = h->b->base + h->b->count;
		drop(b, h);
	}
}

void
queue_wake(struct broker *b, struct queue *q)
{
	struct group *g;

	TAILQ_FOREACH(g, &q->topic->groups, link)
		deliver_ready(b, g->cursors[q->slot]);
}
