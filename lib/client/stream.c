#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/parse.h"
#include "client/avoid.h"
#include "client/conn.h"
#include "client/producer.h"
#include "net/loop.h"
#include "wire/proto.h"
#include "wire/record.h"

#define BACKOFF_MS 10
#define BACKOFF_MAX_MS 1000
#define FULL_MS 5 /* until a socket that takes no more is asked again */

bool
dfb_stream_in_doubt(const struct dfb_stream *s)
{
	return s->out.base < s->out.sent_end;
}

bool
dfb_stream_is_empty(const struct dfb_stream *s)
{
	return s->out.base == s->out.next;
}

static void
again(struct dfb_stream *s)
{
	dfb_work_add(s->producer->dfb, &s->producer->work);
}

void
dfb_stream_fail(struct dfb_stream *s, enum dfb_status st, const char *why)
{
	struct dfb_producer *p = s->producer;
	struct dfb_outframes gone;
	struct dfb_outmsg m;

	/* From base on nothing has to be cut, but what is confirmed of a frame. */
	if (dfb_outbox_truncate(&s->out, s->out.base, false, &gone) == -1) {
		dfb_loop_timer(p->dfb->loop, &p->timer, 10);
		return;
	}
	while (dfb_outbox_gone(&gone, &m))
		dfb_producer_failed(p, m.n, st, why);
}

/* ---- what the broker says ---- */

static bool
on_confirm(struct dfb_stream *s, uint64_t seq)
{
	struct dfb_producer *p = s->producer;

	if (seq >= s->out.sent_end)
		return false;
	if (seq < s->out.base)
		return true;
	dfb_outbox_confirm(&s->out, seq);
	if (s->hold_until != 0 || !s->listed || s->out.stopped)
		again(s); /* what is not in doubt any more may go elsewhere */
	if (seq < s->refused)
		return true;
	s->backoff_ms = s->refused = s->bad_since = 0;
	if (p->home == s)
		p->hops = 0;
	if (p->last == s)
		p->last = NULL;
	dfb_avoid_end(p->dfb, &s->route);
	return true;
}

static bool
on_known(struct dfb_stream *s, const struct dfb_m_known *m)
{
	struct dfb_producer *p = s->producer;
	uint64_t n;

	if (!p->cf.once || m->seq >= s->out.sent_end)
		return false;
	if (m->seq >= s->out.base && p->cf.known != NULL &&
	    (n = dfb_outbox_number(&s->out, m->seq)) != 0)
		p->cf.known(p->cf.arg, n, m->queue, m->offset);
	return true;
}

/* Message seq has to wait, or to go elsewhere. */
static void
hold(struct dfb_stream *s, uint64_t seq, uint32_t wait_ms, const char *reason)
{
	uint64_t now = dfb_client_now();
	bool keyed = s->producer->cf.once || (seq < s->out.next &&
	    (dfb_outbox_record(&s->out, seq)[4] & DFB_R_KEY) != 0);

	if (s->backoff_ms == 0 && *reason != '\0')
		dfb_notice(s->producer->dfb, "broker %s: %s; %s", s->route.broker, reason,
		    !keyed && dfb_steer_may_hop(s) ? "to another one" : "waiting");
	s->backoff_ms = s->backoff_ms == 0 ? BACKOFF_MS : s->backoff_ms * 2;
	if (s->backoff_ms > BACKOFF_MAX_MS)
		s->backoff_ms = BACKOFF_MAX_MS;
	s->hold_until = now + (wait_ms != 0 ? wait_ms : s->backoff_ms);
	if (s->bad_since == 0 && strstr(reason, "draining") != NULL)
		s->bad_since = now; /* it will not come back */
	again(s);
}

/* The broker takes nothing now: others come first, for a while. */
static void
avoid(struct dfb_stream *s)
{
	struct dfb_producer *p = s->producer;

	if (p->nlisted > 1)
		dfb_avoid(p->dfb, &s->route, false);
	p->last = s;
}

/* seq and what follows was not taken. */
static void
on_not_now(struct dfb_stream *s, uint64_t seq, const struct dfb_m_refuse *m,
    const char *reason)
{
	dfb_outbox_unsend(&s->out, seq);
	if (m->seq == 0) /* PRODUCE itself: to be said again */
		s->session = 0;
	s->refused = seq;
	avoid(s);
	if (s->producer->cf.no_wait)
		dfb_steer_refused(s, seq, reason);
	if (!s->producer->cf.no_wait || s->out.next > seq)
		hold(s, seq, m->wait_ms, reason);
}

static void
on_never(struct dfb_stream *s, uint64_t seq, enum dfb_status st, const char *reason)
{
	struct dfb_producer *p = s->producer;
	char why[300];
	uint64_t n;
	uint32_t count = dfb_outbox_drop(&s->out, seq, &n);

	if (count == 0) { /* no memory: let it be refused once more */
		dfb_outbox_unsend(&s->out, seq);
		hold(s, seq, 0, "");
		return;
	}
	again(s);
	if (p->cf.atomic)
		snprintf(why, sizeof why, "the whole batch was refused: %s", reason);
	for (uint32_t i = 0; i < count; i++)
		dfb_producer_failed(p, n + i, st, p->cf.atomic ? why : reason);
}

/* The stream is over; a later message opens another. */
static void
over(struct dfb_stream *s)
{
	s->session = 0;
	dfb_link_leave(&s->user);
}

static bool
on_refuse(struct dfb_stream *s, const struct dfb_m_refuse *m, enum dfb_status st)
{
	uint64_t seq = m->seq != 0 ? m->seq : s->out.base;
	char reason[256];

	dfb_str_copy(m->reason, reason, sizeof reason);
	if (seq < s->out.base || st == DFB_OK || (m->scope != DFB_REFUSE_STREAM &&
	    m->scope != DFB_REFUSE_MESSAGE) ||
	    (m->scope == DFB_REFUSE_MESSAGE && m->seq == 0))
		return false;
	if (dfb_stream_is_empty(s)) { /* nothing depends on it */
		over(s);
		return true;
	}
	if (m->scope == DFB_REFUSE_STREAM && st != DFB_AGAIN) {
		over(s);
		dfb_stream_fail(s, st, reason);
	} else if (m->seq != 0 && seq >= s->out.sent_end)
		; /* said twice */
	else if (m->scope == DFB_REFUSE_MESSAGE)
		on_never(s, seq, st, reason);
	else
		on_not_now(s, seq, m, reason);
	return true;
}

static bool
on_producing(struct dfb_stream *s, const struct dfb_m_producing *m)
{
	s->producer->max_body = m->max_body != 0 && m->max_body < DFB_BODY_MAX_LIMIT ?
	    m->max_body : DFB_BODY_MAX_LIMIT;
	s->bad_since = 0;
	dfb_avoid_end(s->producer->dfb, &s->route);
	return m->committed < s->out.base || on_confirm(s, m->committed);
}

static bool
on_frame(void *arg, const struct dfb_proto *m)
{
	struct dfb_stream *s = arg;
	char reason[256];

	switch (m->type) {
	case DFB_M_PRODUCING:
		return on_producing(s, &m->producing);
	case DFB_M_KNOWN:
		return on_known(s, &m->known);
	case DFB_M_CONFIRM:
		return on_confirm(s, m->confirm.seq);
	case DFB_M_REFUSE:
		return on_refuse(s, &m->refuse, m->status);
	case DFB_M_ERROR:
		dfb_str_copy(m->error.reason, reason, sizeof reason);
		if (m->status == DFB_AGAIN) {
			s->session = 0;
			avoid(s);
			hold(s, s->out.base, m->error.wait_ms, reason);
			return true;
		}
		over(s);
		dfb_stream_fail(s, m->status, reason);
		return true;
	}
	return false;
}

/* ---- life cycle ---- */

static void
on_up(void *arg)
{
	again(arg);
}

/* The session, or a try to get one, failed. */
static void
on_bad(void *arg)
{
	struct dfb_stream *s = arg;

	if (s->producer->nlisted > 1 && !dfb_stream_is_empty(s))
		dfb_avoid(s->producer->dfb, &s->route, false);
	again(s);
}

static void
on_down(void *arg, const char *why)
{
	(void)why;
	on_bad(arg);
}

struct dfb_stream *
dfb_stream_new(struct dfb_producer *p)
{
	struct dfb_stream *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->producer = p;
	s->now = s->was = DFB_KEYS_OUT;
	dfb_outbox_init(&s->out, &p->total, p->cf.atomic);
	s->out.once = p->cf.once;
	dfb_id_random(&s->id);
	s->user = (struct dfb_link_user){ .up = on_up, .down = on_down, .refused = on_bad,
		.frame = on_frame, .arg = s };
	TAILQ_INSERT_TAIL(&p->streams, s, entry);
	return s;
}

void
dfb_stream_free(struct dfb_stream *s)
{
	struct dfb_producer *p = s->producer;

	dfb_stream_leave(s);
	if (p->last == s)
		p->last = NULL;
	TAILQ_REMOVE(&p->streams, s, entry);
	dfb_outbox_release(&s->out);
	free(s);
}

void
dfb_stream_leave(struct dfb_stream *s)
{
	struct dfb_link *l = s->user.link;

	if (l == NULL)
		return;
	if (s->session != 0 && s->session == dfb_link_session(l) && !dfb_stream_in_doubt(s)) {
		struct dfb_proto m = { .type = DFB_M_FINISH,
			.finish = { .stream = s->user.handle } };
		dfb_conn_send(dfb_link_conn(l), &m);
	}
	dfb_link_leave(&s->user);
	s->session = 0;
}

/* Have a link to where the broker is now.  0, or -1: short of something. */
static int
join(struct dfb_stream *s)
{
	if (s->user.link != NULL && dfb_link_is_to(s->user.link, s->route.endpoint))
		return 0;
	dfb_stream_leave(s);
	return dfb_link_join(s->producer->dfb, s->route.endpoint, s->route.broker, &s->user);
}

/* ---- serving ---- */

/* Nobody to send to: wait, or give up. */
static void
stuck(struct dfb_stream *s)
{
	struct dfb_producer *p = s->producer;
	struct dfb *d = p->dfb;
	uint64_t now = dfb_client_now(), waited, left = 0;
	enum dfb_status st = DFB_AGAIN;
	bool doubt = dfb_stream_in_doubt(s);
	char why[320], time[16];

	if (s->stuck_since == 0)
		s->stuck_since = now;
	waited = now - s->stuck_since;
	if (!s->listed && !doubt)
		st = dfb_dest_verdict(&p->watch, waited, &left, why, sizeof why);
	else if (waited < d->wait_ms)
		left = d->wait_ms - waited;
	else {
		dfb_format_duration(d->wait_ms, time);
		if (doubt)
			snprintf(why, sizeof why, "broker %s went away, unconfirmed for "
			    "%s; it may or may not have stored this message",
			    s->route.broker, time);
		else
			snprintf(why, sizeof why, "broker %s cannot be reached, for %s",
			    s->route.broker, time);
		st = DFB_NOBODY;
	}
	if (st == DFB_AGAIN || st == DFB_OK) {
		dfb_producer_come_back(p, left != 0 ? left : FULL_MS);
		return;
	}
	s->stuck_since = 0;
	dfb_stream_fail(s, st, why);
}

/* A session that does not know the stream yet. */
static int
begin(struct dfb_stream *s)
{
	struct dfb_link *l = s->user.link;
	struct dfb_proto m = { .type = DFB_M_PRODUCE, .req = s->user.handle, .produce = {
		.stream = s->user.handle, .producer = s->id, .epoch = ++s->epoch,
		.next = s->out.base, .topic = dfb_str(s->route.topic) } };

	if (dfb_conn_send(dfb_link_conn(l), &m) == -1)
		return -1;
	s->session = dfb_link_session(l);
	s->hold_until = 0;
	dfb_outbox_rewind(&s->out);
	return 0;
}

static bool
on_hold(struct dfb_stream *s)
{
	uint64_t now;

	if (s->hold_until == 0)
		return false;
	if ((now = dfb_client_now()) < s->hold_until) {
		dfb_producer_come_back(s->producer, s->hold_until - now);
		return true;
	}
	s->hold_until = 0;
	return false;
}

void
dfb_stream_serve(struct dfb_stream *s)
{
	struct dfb_producer *p = s->producer;

	if (dfb_stream_is_empty(s)) {
		s->stuck_since = s->bad_since = 0;
		if (s != p->home && (!p->keyed || s->gone || !s->listed))
			dfb_stream_leave(s);
		return;
	}
	if (s->listed && join(s) == -1) {
		dfb_producer_come_back(p, BACKOFF_MAX_MS);
		return;
	}
	if (p->nlisted == 0 && p->location != NULL && !dfb_stream_in_doubt(s)) {
		stuck(s);
		return;
	}
	if (s->user.link == NULL || !dfb_link_is_up(s->user.link)) {
		if (s->bad_since == 0 && (s->listed || dfb_stream_in_doubt(s)))
			s->bad_since = dfb_client_now();
		stuck(s);
		return;
	}
	s->stuck_since = 0;
	if (s->session == 0 && on_hold(s)) /* PRODUCE itself was refused */
		return;
	if (s->session != dfb_link_session(s->user.link) && begin(s) == -1)
		dfb_producer_come_back(p, FULL_MS);
	else if (!on_hold(s) && dfb_outbox_send(&s->out, dfb_link_conn(s->user.link),
	    s->user.handle) == -1)
		dfb_producer_come_back(p, FULL_MS);
}
