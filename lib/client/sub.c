#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/conn.h"
#include "client/consumer.h"
#include "net/loop.h"
#include "wire/record.h"

#define BACKOFF_MS 50
#define BACKOFF_MAX_MS 1000

static void
again(void *arg)
{
	struct dfb_sub *s = arg;

	dfb_work_add(s->consumer->dfb, &s->consumer->work);
}

static void
on_down(void *arg, const char *why)
{
	struct dfb_sub *s = arg;

	(void)why;
	dfb_acks_clear(s);
	s->session = 0;
	s->drained = false;
	if (s->state != DFB_SUB_OVER)
		s->state = s->state == DFB_SUB_LEAVING ? DFB_SUB_OVER : DFB_SUB_IDLE;
	again(s);
}

/* ---- frames ---- */

static bool
on_deliver(struct dfb_sub *s, const struct dfb_m_deliver *m)
{
	struct dfb_consumer *c = s->consumer;
	const uint8_t *p = m->records.p, *end = p + m->records.len;
	struct dfb_delivery d = { .session = s->session, .sub = s->user.handle,
		.queue = m->queue, .epoch = m->epoch };
	struct dfb_record r;
	struct dfb_msg msg;
	uint32_t i;
	int rc = 0;

	if (c->leaving || c->over || s->state == DFB_SUB_OVER)
		return true;
	s->drained = c->ended = false;
	for (i = 0; i < m->count && (rc = dfb_record_next(&p, end, &r)) == 1; i++) {
		dfb_record_to(&r, &msg);
		msg.topic = s->topic;
		msg.queue = m->queue;
		msg.tries = m->tries;
		d.offset = msg.offset = m->offset + i;
		d.call = r.call;
		c->cf.message(c->cf.arg, c, &msg, &d);
		/* A callback may have found the connection broken. */
		if (s->session != d.session)
			return true;
	}
	return i == m->count && p == end;
}

static void
later(struct dfb_sub *s, uint32_t wait_ms)
{
	s->backoff_ms = s->backoff_ms == 0 ? BACKOFF_MS : s->backoff_ms * 2;
	if (s->backoff_ms > BACKOFF_MAX_MS)
		s->backoff_ms = BACKOFF_MAX_MS;
	s->retry_at = dfb_client_now() + (wait_ms != 0 ? wait_ms : s->backoff_ms);
	s->state = DFB_SUB_IDLE;
	s->session = 0;
	again(s);
}

static bool
on_error(struct dfb_sub *s, const struct dfb_proto *m)
{
	char reason[256], why[400];

	if (s->state == DFB_SUB_LEAVING) { /* it does not know us: as good as gone */
		s->state = DFB_SUB_OVER;
		s->doubt = true;
	} else if (m->status == DFB_AGAIN)
		later(s, m->error.wait_ms);
	else {
		s->state = DFB_SUB_OVER;
		snprintf(why, sizeof why, "broker %s: %s", s->broker,
		    dfb_str_copy(m->error.reason, reason, sizeof reason));
		dfb_consumer_over(s->consumer, m->status, why);
	}
	again(s);
	return true;
}

static bool
on_dropped(struct dfb_sub *s, const struct dfb_proto *m)
{
	struct dfb_consumer *c = s->consumer;
	struct dfb_sub *other;
	char reason[256], why[400];

	dfb_acks_clear(s);
	if (m->status == DFB_AGAIN && !c->leaving) {
		later(s, 0);
		return true;
	}
	s->state = DFB_SUB_OVER;
	s->session = 0;
	again(s);
	LIST_FOREACH(other, &c->subs, entry)
		if (other->state != DFB_SUB_OVER)
			return true;
	snprintf(why, sizeof why, "broker %s: %s", s->broker,
	    dfb_str_copy(m->dropped.reason, reason, sizeof reason));
	dfb_consumer_over(c, m->status != 0 ? m->status : DFB_NOBODY, why);
	return true;
}

static bool
on_frame(void *arg, const struct dfb_proto *m)
{
	struct dfb_sub *s = arg;

	if (s->session == 0 || s->session != dfb_link_session(s->user.link))
		return true;
	switch (m->type) {
	case DFB_M_SUBSCRIBED:
		if (s->state == DFB_SUB_ASKED)
			s->state = DFB_SUB_OPEN;
		s->backoff_ms = 0;
		s->doubt = false; /* what did not arrive is delivered again */
		again(s);
		return true;
	case DFB_M_DELIVER:
		return on_deliver(s, &m->deliver);
	case DFB_M_DRAINED:
		s->drained = true;
		again(s);
		return true;
	case DFB_M_DONE:
		if (s->state == DFB_SUB_LEAVING) {
			s->state = DFB_SUB_OVER;
			s->acked = false;
		}
		again(s);
		return true;
	case DFB_M_ERROR:
		return on_error(s, m);
	case DFB_M_DROPPED:
		return on_dropped(s, m);
	}
	return false;
}

/* ---- life cycle ---- */

struct dfb_sub *
dfb_sub_new(struct dfb_consumer *c, const struct dfb_route *r)
{
	struct dfb_sub *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->consumer = c;
	snprintf(s->topic, sizeof s->topic, "%s", r->topic);
	snprintf(s->broker, sizeof s->broker, "%s", r->broker);
	s->user = (struct dfb_link_user){ .up = again, .down = on_down,
		.frame = on_frame, .arg = s };
	if (dfb_link_join(c->dfb, r->endpoint, r->broker, &s->user) == -1) {
		free(s);
		return NULL;
	}
	LIST_INSERT_HEAD(&c->subs, s, entry);
	return s;
}

void
dfb_sub_free(struct dfb_sub *s)
{
	if (s->consumer->last == s)
		s->consumer->last = NULL;
	dfb_link_leave(&s->user);
	dfb_acks_release(s);
	LIST_REMOVE(s, entry);
	free(s);
}

static void
subscribe(struct dfb_sub *s)
{
	const struct dfb_consumer *c = s->consumer;
	struct dfb_proto m = { .type = DFB_M_SUBSCRIBE, .req = s->user.handle };

	m.subscribe = (struct dfb_m_subscribe){ .sub = s->user.handle,
		.topic = dfb_str(s->topic), .group = dfb_str(c->group),
		.instance = dfb_str(c->instance), .credit = c->cf.credit,
		.flags = (uint8_t)((c->cf.broadcast ? DFB_SUB_BROADCAST : 0) |
		    (c->cf.stop_at_end ? DFB_SUB_STOP_AT_END : 0) |
		    (dfb_word_kind(c->watch.dest->text) != DFB_WORD_SERVICE ?
		    DFB_SUB_ANY_REGION : 0)),
		.label = dfb_str(c->label), .start = (uint8_t)c->cf.start, .value = c->cf.start_value };
	if (dfb_conn_send(dfb_link_conn(s->user.link), &m) == -1) {
		later(s, 0);
		return;
	}
	s->session = dfb_link_session(s->user.link);
	s->state = DFB_SUB_ASKED;
	s->drained = false;
}

static bool
part(struct dfb_sub *s)
{
	struct dfb_proto m = { .type = DFB_M_LEAVE, .req = s->user.handle,
		.leave.sub = s->user.handle };

	if (s->state == DFB_SUB_IDLE || !dfb_link_is_up(s->user.link))
		s->state = DFB_SUB_OVER;
	else if (dfb_conn_send(dfb_link_conn(s->user.link), &m) == 0)
		s->state = DFB_SUB_LEAVING;
	else
		return false; /* its queue is full: again */
	return true;
}

bool
dfb_sub_serve(struct dfb_sub *s)
{
	if (s->state == DFB_SUB_OVER || s->state == DFB_SUB_LEAVING)
		return true;
	if ((s->nranges != 0 || s->replies.len != 0) && !dfb_acks_flush(s))
		return false;
	if (s->consumer->leaving)
		return part(s);
	if (s->state == DFB_SUB_IDLE && !s->consumer->over &&
	    dfb_link_is_up(s->user.link) &&
	    (s->retry_at == 0 || s->retry_at <= dfb_client_now())) {
		s->retry_at = 0;
		subscribe(s);
	}
	return true;
}
