/* ACK and NACK: how deliveries end. */
#include <stdio.h>
#include <string.h>

#include "asked.h"
#include "broker.h"
#include "disk.h"
#include "lane.h"

#define CLOCK_STEP_MS 5 /* the coarse clock may be behind by that much */

/* The queue of a subscription that an ACK or NACK names, if it is still its owner. */
static struct cursor *
owned(struct broker *b, struct sub *u, uint32_t queue, uint32_t epoch)
{
	struct queue *q = u != NULL ? topic_queue(u->group->topic, queue) : NULL;
	struct cursor *c;

	if (q == NULL)
		return NULL;
	c = u->group->cursors[q->slot];
	if (c->owner != u || c->epoch != epoch) {
		b->n.stale_acks++;
		return NULL;
	}
	return c;
}

static void
settle(struct broker *b, struct cursor *c, uint64_t from, uint64_t to)
{
	if (!RB_EMPTY(&c->q->calls))
		call_acked(b, c->q, from, to);
	b->n.acks += cursor_settle(b, c, from, to);
}

/* Settle what is out of [from, to): nothing else can be acknowledged. */
static void
settle_out(struct broker *b, struct cursor *c, uint64_t from, uint64_t to)
{
	uint32_t epoch = c->epoch;

	if (from < c->low)
		from = c->low;
	if (to > c->high)
		to = c->high;
	if (from < to && to <= c->pos && c->nretries == 0) {
		settle(b, c, from, to);
		return;
	}
	for (; from < to && c->epoch == epoch; from++)
		if (cursor_is_out(c, from))
			settle(b, c, from, from + 1);
}

void
handle_ack(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	struct sub *u = sub_find(s, m->ack.sub);
	struct dfb_blob list = m->ack.ranges;
	struct dfb_m_range r;
	int rc;

	while ((rc = dfb_range_next(&list, &r)) == 1) {
		struct cursor *c = owned(b, u, r.queue, r.epoch);
		uint64_t to = r.offset + r.count;

		if (c == NULL || to < r.offset)
			continue;
		settle_out(b, c, r.offset, to);
		deliver_ready(b, c);
	}
	if (rc == -1) {
		b->n.malformed++;
		session_error(b, s, m->req, DFB_PROTO, "malformed ranges");
		session_kill(b, s);
	}
	if (u == NULL)
		return;
	u->moved_ms = b->now;
	deliver_sub(b, u);
}

void
retry_or_bury(struct broker *b, struct cursor *c, uint64_t offset, const char *why)
{
	const struct settings *set = &c->q->topic->set;
	struct retry *r = cursor_retry(c, offset);
	unsigned n = 0;
	bool was_out = r == NULL || r->out;

	if (r == NULL && (r = cursor_retry_add(c, offset)) == NULL)
		fail_stop(b, "no memory for a retry");
	if (was_out) {
		c->out--;
		sub_settled(c->owner, 1);
	}
	r->out = false;
	r->tries++;
	commit_dirty_cursor(b, c);
	if (r->tries >= set->retries && call_at(c->q, offset) == NULL) {
		/* A call that asked for time has until its deadline. */
		dead_letter(b, c, offset, why);
		return;
	}
	while (n < r->tries - 1 && n + 1 < BACKOFFS && set->backoff_ms[n + 1] != 0)
		n++;
	r->due = b->wall + set->backoff_ms[n];
	c->group->retried++;
	cursor_arm(b, c);
	if (!TAILQ_EMPTY(&c->q->topic->moves))
		moves_advance(b, c);
}

/* A call is not retried unless the handler asked for it: its caller is told. */
static bool
ends_call(struct broker *b, struct cursor *c, const struct dfb_m_nack *r, const char *why)
{
	struct call *call = call_at(c->q, r->offset);

	if (call == NULL || r->action == DFB_LATER || r->action == DFB_RELEASE)
		return false;
	/* A handler that is stopped at the call's deadline did not fail: time ran out. */
	call_end(b, call, b->wall + CLOCK_STEP_MS >= call->expires ? DFB_TIMEOUT : DFB_NO,
	    why);
	cursor_settle(b, c, r->offset, r->offset + 1);
	return true;
}

void
handle_nack(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	const struct dfb_m_nack *r = &m->nack;
	struct sub *u = sub_find(s, r->sub);
	struct cursor *c = owned(b, u, r->queue, r->epoch);
	struct retry *retry;
	char why[2048];

	if (c == NULL || !cursor_is_out(c, r->offset))
		return;
	dfb_str_copy(r->reason, why, sizeof why);
	if (r->action != DFB_RELEASE)
		strlcpy(c->group->last_why, why, sizeof c->group->last_why);
	u->moved_ms = b->now;
	b->n.nacks++;
	if (r->action == DFB_LATER || r->action == DFB_RELEASE)
		asked_given_back(c->q, r->offset, r->offset + 1);
	if (ends_call(b, c, r, why))
		;
	else if (r->action == DFB_DEAD) {
		if ((retry = cursor_retry_add(c, r->offset)) == NULL)
			fail_stop(b, "no memory for a dead letter");
		retry->tries++;
		retry->out = false;
		c->out--;
		sub_settled(u, 1);
		dead_letter(b, c, r->offset, why);
	} else if (r->action == DFB_RELEASE) {
		if ((retry = cursor_retry_add(c, r->offset)) == NULL)
			fail_stop(b, "no memory for a retry");
		retry->out = false;
		retry->due = b->wall;
		c->out--;
		sub_settled(u, 1);
	} else
		retry_or_bury(b, c, r->offset, why);
	deliver_sub(b, u);
}
