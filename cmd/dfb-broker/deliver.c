/* Delivery: the hot path out. */
#include <string.h>

#include "asked.h"
#include "broker.h"
#include "disk.h"
#include "expiry.h"
#include "lane.h"
#include "letters.h"
#include "net/loop.h"
#include "wire/record.h"

/* A cursor's turn delivers at most one block; then others have theirs. */
#define TURN_MAX 1024

/* Bounds: bytes out at one subscription (one message may exceed it), and failed messages of
 * a queue that wait for their next try (new ones wait behind them). */
#define SUB_BYTES ((uint64_t)16 << 20)
#define RETRIES_MAX 1000

void
deliver_ready(struct broker *b, struct cursor *c)
{
	if (c->ready)
		return;
	c->ready = true;
	TAILQ_INSERT_TAIL(&b->ready, c, ready_link);
}

void
deliver_sub(struct broker *b, struct sub *u)
{
	struct group *g = u->group;

	for (uint32_t i = 0; i < g->topic->nqueues; i++)
		if (g->cursors[i]->owner == u)
			deliver_ready(b, g->cursors[i]);
	/* One that owns nothing has to be told that it is at the end. */
	if (u->stop_at_end && u->queues == 0 && !u->drained) {
		u->drained = true;
		session_send(b, u->session, &(struct dfb_proto){ .type = DFB_M_DRAINED,
		    .drained = { .sub = u->handle } });
	}
}

static bool
can_deliver(const struct cursor *c)
{
	return c->owner != NULL && c->heir == NULL && !c->seeking && !c->group->fresh &&
	    !c->group->halted &&
	    c->owner->bytes < SUB_BYTES &&
	    c->owner->out < c->owner->credit && !c->owner->session->going &&
	    !session_is_blocked(c->owner->session);
}

/* ---- blocks ---- */

static void
have_block(struct broker *b, void *arg, struct dfb_block *blk)
{
	struct cursor *c = arg;
	uint64_t gap = c->fetch_limit;

	c->jobs--;
	c->reading = false;
	if (c->group->topic->dead || group_reap(b, c->group))
		return;
	deliver_ready(b, c);
	if (c->pos != c->fetch_offset)
		return; /* its owner left meanwhile, or what was there is settled */
	cursor_forget_block(c);
	/* Offsets that are not there (an async topic after a crash, or dropped by
	 * retention): nothing to deliver.  What was committed since the read began
	 * is none of them. */
	if (blk != NULL && blk->base < gap)
		gap = blk->base;
	if (gap > c->pos)
		cursor_settle(b, c, c->pos, gap);
	if (blk != NULL && c->pos >= blk->base && c->pos < blk->base + blk->count)
		c->cur = dfb_block_ref(blk);
	c->cur_offset = c->cur != NULL ? c->cur->base : 0;
	c->cur_at = DFB_BLOCK_HEADER;
}

/* Below it, an offset that a read of the store does not find is not there.  An async queue
 * delivers beyond it, from memory. */
static uint64_t
stored_limit(const struct queue *q)
{
	return q->topic->set.durability == DFB_MEMORY ? q->next : q->committed;
}

/* The block that pos is in, with cur_at at its record; false: not now. */
static bool
load_block(struct broker *b, struct cursor *c)
{
	struct dfb_block *blk = c->cur;

	if (blk == NULL || c->pos < blk->base || c->pos >= blk->base + blk->count) {
		cursor_forget_block(c);
		if ((blk = queue_find(c->q, c->pos)) == NULL) {
			if (!c->reading) {
				c->reading = true;
				c->fetch_offset = c->pos;
				c->fetch_limit = stored_limit(c->q);
				c->jobs++;
				reader_fetch(b, c->q, c->pos, have_block, c);
			}
			return false;
		}
		c->cur = dfb_block_ref(blk);
		c->cur_offset = blk->base;
		c->cur_at = DFB_BLOCK_HEADER;
	}
	if (c->cur_offset > c->pos) {
		c->cur_offset = blk->base;
		c->cur_at = DFB_BLOCK_HEADER;
	}
	for (; c->cur_offset < c->pos; c->cur_offset++)
		c->cur_at += dfb_record_peek_size(blk->data + c->cur_at);
	return true;
}

/* ---- frames ---- */

static void
send_run(struct broker *b, struct cursor *c, uint64_t offset, uint32_t count,
    uint32_t tries, const uint8_t *records, size_t len)
{
	struct sub *u = c->owner;
	struct dfb_buf buf = { 0 };
	struct dfb_proto m = { .type = DFB_M_DELIVER, .deliver = { .sub = u->handle,
	    .queue = c->q->index, .epoch = c->epoch, .offset = offset, .count = count,
	    .tries = (uint16_t)(tries < UINT16_MAX ? tries : UINT16_MAX),
	    .records = { records, len } } };

	if (dfb_proto_encode(&m, &buf) == -1)
		fail_stop(b, "no memory for a delivery");
	if (u->out == 0)
		u->moved_ms = b->now;
	c->out += count;
	u->out += count;
	u->bytes += len;
	u->drained = false;
	c->q->topic->out += count;
	b->n.deliveries += count;
	session_send_buf(b, u->session, &buf);
	dfb_buf_release(&buf);
}

/* Whether a record must not be delivered: expired, a call that ended, or another group's. */
static bool
is_over(struct broker *b, const struct cursor *c, const struct dfb_block *blk,
    const struct dfb_record *r, bool again)
{
	struct topic *t = c->q->topic;

	if ((blk->flags & BLOCK_AGAIN) != 0 && !letter_is_for(r, c->group->name))
		return true;
	if (r->expires != 0 && r->expires <= b->wall) {
		struct call *call;
		if ((r->flags & DFB_R_CALL) != 0 &&
		    (call = call_by_handle(b, r->call)) != NULL)
			call_end(b, call, DFB_TIMEOUT, "expired before it was handed out");
		expiry_note(b, t, c->group);
		return true;
	}
	if ((r->flags & DFB_R_CALL) != 0) {
		struct call *call = call_by_handle(b, r->call);
		if (call == NULL) {
			t->orphaned++;
			b->n.orphaned++;
			return true;
		}
		if (call->asked != NULL && asked_is_over(b, call, again))
			return true;
		call->taken = true;
	}
	return false;
}

/* Records of a block in which some may be over: runs between those. */
static void
send_special(struct broker *b, struct cursor *c, uint64_t n, uint32_t tries)
{
	struct dfb_block *blk = dfb_block_ref(c->cur);
	const uint8_t *p = blk->data + c->cur_at, *end = blk->data + blk->len;
	const uint8_t *run = p;
	uint64_t first = c->pos, o = c->pos;
	struct dfb_record r;

	for (; n > 0 && dfb_record_next(&p, end, &r) == 1; n--, o++) {
		if (!is_over(b, c, blk, &r, o < c->high))
			continue;
		if (o > first)
			send_run(b, c, first, (uint32_t)(o - first), tries, run,
			    (size_t)(p - r.size - run));
		/* pos first: what is settled here was never out. */
		c->pos = o;
		cursor_settle(b, c, o, o + 1);
		run = p;
		first = o + 1;
	}
	if (o > first)
		send_run(b, c, first, (uint32_t)(o - first), tries, run,
		    (size_t)(p - run));
	if (c->pos < o)
		c->pos = o;
	c->cur_offset = o;
	c->cur_at = (size_t)(p - blk->data);
	dfb_block_unref(blk);
}

static bool
send_next(struct broker *b, struct cursor *c)
{
	uint64_t limit = queue_limit(c->q), run, n, room;
	struct dfb_block *blk;
	uint32_t tries;
	size_t from;

	cursor_skip(c, &run);
	if (!TAILQ_EMPTY(&c->q->topic->moves))
		limit = moves_limit(c, limit);
	if (c->pos >= limit || !load_block(b, c))
		return false;
	blk = c->cur;
	room = c->owner->credit - c->owner->out;
	n = blk->base + blk->count - c->pos;
	if (n > limit - c->pos)
		n = limit - c->pos;
	if (n > run)
		n = run;
	if (n > room)
		n = room;
	tries = c->pos < c->high ? 2 : 1;
	if ((blk->flags & BLOCK_SPECIAL) != 0)
		send_special(b, c, n, tries);
	else {
		from = c->cur_at;
		if (c->pos + n == blk->base + blk->count)
			c->cur_at = blk->len;
		else
			for (uint64_t i = 0; i < n; i++)
				c->cur_at += dfb_record_peek_size(blk->data + c->cur_at);
		send_run(b, c, c->pos, (uint32_t)n, tries, blk->data + from,
		    c->cur_at - from);
		c->pos += n;
		c->cur_offset = c->pos;
	}
	if (c->high < c->pos)
		c->high = c->pos;
	return true;
}

/* ---- retries ---- */

static void
send_again(struct broker *b, struct cursor *c, struct retry *r, struct dfb_block *blk)
{
	const uint8_t *p = blk->data + DFB_BLOCK_HEADER, *end = blk->data + blk->len;
	struct dfb_record rec;

	for (uint64_t o = blk->base; dfb_record_next(&p, end, &rec) == 1; o++)
		if (o == r->offset) {
			if (is_over(b, c, blk, &rec, true)) {
				cursor_settle(b, c, o, o + 1);
				return;
			}
			r->out = true;
			send_run(b, c, o, 1, r->tries + 1, p - rec.size, rec.size);
			return;
		}
	cursor_settle(b, c, r->offset, r->offset + 1); /* not there any more */
}

static void
have_again(struct broker *b, void *arg, struct dfb_block *blk)
{
	struct cursor *c = arg;
	struct retry *r;

	c->jobs--;
	c->restarted = false;
	if (c->group->topic->dead || group_reap(b, c->group))
		return;
	deliver_ready(b, c);
	r = cursor_retry(c, c->again_offset);
	if (r == NULL || r->out || r->dying || r->due > b->wall || !can_deliver(c))
		return;
	if (blk == NULL || blk->base > r->offset || r->offset >= blk->base + blk->count)
		cursor_settle(b, c, r->offset, r->offset + 1); /* not there any more */
	else
		send_again(b, c, r, blk);
}

/* The first retry that is due; one at a time is fetched. */
static void
send_retries(struct broker *b, struct cursor *c)
{
	for (size_t i = 0; i < c->nretries; i++) {
		struct retry *r = &c->retries[i];
		if (r->out || r->dying || r->due > b->wall)
			continue;
		if (!c->restarted) {
			c->restarted = true;
			c->again_offset = r->offset;
			c->jobs++;
			reader_fetch(b, c->q, r->offset, have_again, c);
		}
		return;
	}
	cursor_arm(b, c);
}

/* ---- a turn ---- */

static bool
is_drained(const struct sub *u)
{
	struct group *g = u->group;

	if (u->out != 0)
		return false;
	for (uint32_t i = 0; i < g->topic->nqueues; i++) {
		const struct cursor *c = g->cursors[i];
		if ((c->owner == u || c->heir == u) && (c->seeking || c->reading ||
		    c->nretries != 0 || c->pos < c->q->next))
			return false;
	}
	return true;
}

static void
check_drained(struct broker *b, struct sub *u)
{
	if (!u->stop_at_end || u->drained || u->group->fresh || !is_drained(u))
		return;
	u->drained = true;
	session_send(b, u->session, &(struct dfb_proto){ .type = DFB_M_DRAINED,
	    .drained = { .sub = u->handle } });
}

static void
nothing(struct dfb_timer *t, void *arg)
{
	(void)t;
	(void)arg;
}

void
deliver_all(struct broker *b)
{
	struct cursor *c;

	for (unsigned n = 0; n < TURN_MAX && (c = TAILQ_FIRST(&b->ready)) != NULL; n++) {
		TAILQ_REMOVE(&b->ready, c, ready_link);
		c->ready = false;
		if (c->nretries != 0 && can_deliver(c))
			send_retries(b, c);
		if (can_deliver(c) && c->nretries < RETRIES_MAX && send_next(b, c) && can_deliver(c))
			deliver_ready(b, c);
		else if (c->owner != NULL)
			check_drained(b, c->owner);
	}
	if (!TAILQ_EMPTY(&b->ready)) { /* senders have their turn; then at once again */
		b->again.fn = nothing;
		dfb_loop_timer(b->loop, &b->again, 0);
	}
}
