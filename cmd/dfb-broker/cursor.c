/*
 * A cursor: how far one group is on one queue.  low is the lowest offset that is not
 * settled; done are the ranges settled above it; retries are the messages that failed.
 */
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "disk.h"
#include "lane.h"
#include "net/loop.h"

static void
retry_due(struct dfb_timer *t, void *arg)
{
	struct cursor *c = (struct cursor *)((char *)t - offsetof(struct cursor, timer));

	deliver_ready(arg, c);
}

struct cursor *
cursor_new(struct broker *b, struct group *g, struct queue *q)
{
	struct cursor *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	c->group = g;
	c->q = q;
	c->low = c->pos = c->high = q->next;
	c->timer.fn = retry_due;
	c->timer.arg = b;
	return c;
}

void
cursor_free(struct broker *b, struct cursor *c)
{
	if (c == NULL)
		return;
	if (c->ready)
		TAILQ_REMOVE(&b->ready, c, ready_link);
	if (c->dirty)
		STAILQ_REMOVE(&b->dirty_cursors, c, cursor, dirty_link);
	dfb_loop_timer_stop(b->loop, &c->timer);
	cursor_forget_block(c);
	free(c->done);
	free(c->retries);
	free(c);
}

void
cursor_forget_block(struct cursor *c)
{
	dfb_block_unref(c->cur);
	c->cur = NULL;
}

void
cursor_place(struct broker *b, struct cursor *c, uint64_t offset)
{
	cursor_forget_block(c);
	dfb_loop_timer_stop(b->loop, &c->timer);
	c->ndone = c->nretries = 0;
	c->q->open_until = 0;
	c->low = c->pos = c->high = offset;
	commit_dirty_cursor(b, c);
	if (!TAILQ_EMPTY(&c->q->topic->moves))
		moves_advance(b, c);
}

/* ---- retries ---- */

struct retry *
cursor_retry(struct cursor *c, uint64_t offset)
{
	size_t lo = 0, hi = c->nretries;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (c->retries[mid].offset < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->nretries && c->retries[lo].offset == offset ? &c->retries[lo] : NULL;
}

struct retry *
cursor_retry_add(struct cursor *c, uint64_t offset)
{
	struct retry *r = cursor_retry(c, offset);
	size_t i = c->nretries;

	if (r != NULL)
		return r;
	if (c->nretries == c->retries_cap) {
		size_t cap = c->retries_cap != 0 ? c->retries_cap * 2 : 16;
		if ((r = reallocarray(c->retries, cap, sizeof *r)) == NULL)
			return NULL;
		c->retries = r;
		c->retries_cap = cap;
	}
	for (; i > 0 && c->retries[i - 1].offset > offset; i--)
		c->retries[i] = c->retries[i - 1];
	c->nretries++;
	c->retries[i] = (struct retry){ .offset = offset };
	return &c->retries[i];
}

static void
retries_remove(struct cursor *c, uint64_t from, uint64_t to)
{
	size_t n = 0;

	for (size_t i = 0; i < c->nretries; i++)
		if (c->retries[i].offset < from || c->retries[i].offset >= to)
			c->retries[n++] = c->retries[i];
	c->nretries = n;
}

void
cursor_arm(struct broker *b, struct cursor *c)
{
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < c->nretries; i++)
		if (!c->retries[i].out && !c->retries[i].dying && c->retries[i].due < due)
			due = c->retries[i].due;
	if (due == UINT64_MAX)
		dfb_loop_timer_stop(b->loop, &c->timer);
	else
		dfb_loop_timer(b->loop, &c->timer, due > b->wall ? due - b->wall : 0);
}

/* ---- settling ---- */

/* The first range that ends after offset. */
static size_t
range_at(const struct cursor *c, uint64_t offset)
{
	size_t lo = 0, hi = c->ndone;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (c->done[mid].to <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool
cursor_is_out(const struct cursor *c, uint64_t offset)
{
	size_t i = range_at(c, offset);
	struct retry *r;

	if (c->owner == NULL || offset < c->low || offset >= c->high)
		return false;
	if (i < c->ndone && c->done[i].from <= offset)
		return false;
	r = cursor_retry((struct cursor *)(uintptr_t)c, offset);
	return r != NULL ? r->out : offset < c->pos;
}

bool
cursor_is_settled(const struct cursor *c, uint64_t offset)
{
	size_t i = range_at(c, offset);

	return offset < c->low || (i < c->ndone && c->done[i].from <= offset);
}

static void
absorb(struct cursor *c)
{
	size_t n = 0;

	while (n < c->ndone && c->done[n].from <= c->low) {
		if (c->done[n].to > c->low)
			c->low = c->done[n].to;
		n++;
	}
	if (n != 0) {
		c->ndone -= n;
		memmove(c->done, c->done + n, c->ndone * sizeof *c->done);
	}
}

void
cursor_forget_below(struct cursor *c)
{
	absorb(c);
	retries_remove(c, 0, c->low);
}

uint64_t
cursor_waiting(const struct cursor *c)
{
	uint64_t n = queue_count(c->q, c->low, c->q->next);

	for (size_t i = 0; i < c->ndone; i++)
		n -= queue_count(c->q, c->done[i].from, c->done[i].to);
	return n;
}

static void
add_range(struct broker *b, struct cursor *c, uint64_t from, uint64_t to)
{
	size_t i = range_at(c, from == 0 ? 0 : from - 1), j = i;

	/* Merge with every range that touches. */
	while (j < c->ndone && c->done[j].from <= to) {
		if (c->done[j].from < from)
			from = c->done[j].from;
		if (c->done[j].to > to)
			to = c->done[j].to;
		j++;
	}
	if (i == j) {
		if (c->ndone == c->done_cap) {
			size_t cap = c->done_cap != 0 ? c->done_cap * 2 : 16;
			struct range *p = reallocarray(c->done, cap, sizeof *p);
			if (p == NULL)
				fail_stop(b, "no memory for acknowledgements");
			c->done = p;
			c->done_cap = cap;
		}
		memmove(c->done + i + 1, c->done + i, (c->ndone - i) * sizeof *c->done);
		c->ndone++;
	} else if (j - i > 1) {
		memmove(c->done + i + 1, c->done + j, (c->ndone - j) * sizeof *c->done);
		c->ndone -= j - i - 1;
	}
	c->done[i] = (struct range){ from, to };
}

void
cursor_mark(struct broker *b, struct cursor *c, uint64_t from, uint64_t to)
{
	if (from < c->low)
		from = c->low;
	if (from >= to)
		return;
	add_range(b, c, from, to);
	absorb(c);
	if (c->pos < c->low)
		c->pos = c->low;
	if (c->high < to)
		c->high = to;
}

/* Offsets of [from, to) that are out: what the owner's credit gets back. */
static uint64_t
count_out(struct cursor *c, uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	if (c->owner == NULL)
		return 0;
	if (c->ndone == 0 && c->nretries == 0)
		return to > c->pos ? (c->pos > from ? c->pos - from : 0) : to - from;
	for (uint64_t o = from; o < to; o++)
		n += cursor_is_out(c, o);
	return n;
}

uint64_t
cursor_settle(struct broker *b, struct cursor *c, uint64_t from, uint64_t to)
{
	struct group *g = c->group;
	uint64_t out;

	if (from < c->low)
		from = c->low;
	if (to <= from)
		return 0;
	out = count_out(c, from, to);
	c->out -= out;
	if (c->owner != NULL)
		sub_settled(c->owner, out);
	if (c->nretries != 0)
		retries_remove(c, from, to);
	if (from == c->low) {
		c->low = to;
		absorb(c);
	} else
		add_range(b, c, from, to);
	if (c->pos < c->low)
		c->pos = c->low;
	if (c->high < c->low)
		c->high = c->low;
	g->settled += to - from;
	commit_dirty_cursor(b, c);
	queue_trim(b, c->q);
	if (!TAILQ_EMPTY(&c->q->topic->moves))
		moves_advance(b, c);
	if (c->out == 0 && c->heir != NULL) {
		struct sub *heir = c->heir;
		c->owner = heir;
		c->heir = NULL;
		c->epoch++;
		deliver_sub(b, heir);
	}
	return out;
}

void
cursor_settle_list(struct broker *b, struct cursor *c, const uint64_t *offsets, size_t n)
{
	struct range *all = calloc(c->ndone + n + 1, sizeof *all);
	size_t i = 0, k = 0, nall = 0;

	if (all == NULL)
		fail_stop(b, "no memory for acknowledgements");
	while (i < c->ndone || k < n) {
		bool old = k == n || (i < c->ndone && c->done[i].from < offsets[k]);
		struct range r = old ? c->done[i++] : (struct range){ offsets[k], offsets[k] + 1 };
		k += !old;
		if (nall != 0 && all[nall - 1].to == r.from)
			all[nall - 1].to = r.to;
		else
			all[nall++] = r;
	}
	free(c->done);
	c->done_cap = c->ndone + n + 1;
	c->done = all;
	c->ndone = nall;
	absorb(c);
	if (n != 0 && c->high <= offsets[n - 1])
		c->high = offsets[n - 1] + 1;
	if (c->pos < c->low)
		c->pos = c->low;
	if (c->high < c->low)
		c->high = c->low;
	c->group->settled += n;
	commit_dirty_cursor(b, c);
}

/*
 * Move pos past what is settled or held back for a retry.  false when nothing can be
 * delivered from pos in this state; else *run is how many offsets from pos on are all
 * to be delivered with the same number of tries.
 */
bool
cursor_skip(struct cursor *c, uint64_t *run)
{
	size_t i;
	uint64_t end = UINT64_MAX;

	for (;;) {
		i = range_at(c, c->pos);
		if (i < c->ndone && c->done[i].from <= c->pos)
			c->pos = c->done[i].to;
		else if (cursor_retry(c, c->pos) != NULL)
			c->pos++;
		else
			break;
	}
	if (i < c->ndone)
		end = c->done[i].from;
	for (size_t r = 0; r < c->nretries; r++)
		if (c->retries[r].offset > c->pos && c->retries[r].offset < end)
			end = c->retries[r].offset;
	if (c->pos < c->high && c->high < end)
		end = c->high;
	*run = end - c->pos;
	return true;
}

void
cursor_take_back(struct broker *b, struct cursor *c)
{
	if (c->owner != NULL)
		sub_settled(c->owner, c->out);
	c->out = 0;
	c->owner = NULL;
	c->epoch++;
	c->pos = c->low;
	c->q->open_until = 0;
	cursor_forget_block(c);
	for (size_t i = 0; i < c->nretries; i++)
		if (c->retries[i].out) {
			c->retries[i].out = false;
			c->retries[i].due = b->wall;
		}
}
