#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/parse.h"
#include "client/conn.h"
#include "client/producer.h"
#include "net/loop.h"
#include "wire/proto.h"

#define BACKOFF_MS 10
#define BACKOFF_MAX_MS 1000
#define AVOID_MS 1000
#define FULL_MS 5 /* until a socket that takes no more is asked again */

/* ---- which broker ---- */

static bool
in_doubt(const struct dfb_producer *p)
{
	return p->out.base < p->out.sent_end;
}

/* How good a route is; 0 is best. */
static unsigned
badness(struct dfb_producer *p, const struct dfb_route *r)
{
	unsigned bad = r->state == DFB_STATE_UP ? 0 :
	    r->state == DFB_STATE_DRAINING ? 4 : 8;

	if (dfb_link_failing(p->dfb, r->endpoint))
		bad += 2;
	if (strcmp(r->broker, p->avoid) == 0 && dfb_client_now() < p->avoid_until)
		bad += 1;
	return bad;
}

/* The best route: the first topic's in order that has one as good as any, and among that
 * topic's brokers one by the producer's id, so that producers spread. */
static const struct dfb_route *
best(struct dfb_producer *p)
{
	const struct dfb_dest *t = p->watch.dest;
	const struct dfb_route *found = NULL;
	/* Ids are known by one broker alone: it has to be the same each time. */
	uint64_t hash = p->cf.once ? 0 : dfb_hash(&p->id, sizeof p->id);
	unsigned least = UINT32_MAX;

	for (size_t i = 0, end; i < t->n; i = end) {
		for (end = i + 1; end < t->n &&
		    strcmp(t->routes[end].topic, t->routes[i].topic) == 0 &&
		    strcmp(t->routes[end].region, t->routes[i].region) == 0; end++)
			;
		for (size_t k = 0; k < end - i; k++) {
			const struct dfb_route *r =
			    &t->routes[i + (hash + k) % (end - i)];
			unsigned bad = badness(p, r);
			if (bad < least) {
				least = bad;
				found = r;
			}
		}
	}
	return found;
}

static const struct dfb_route *
current(const struct dfb_producer *p)
{
	const struct dfb_dest *t = p->watch.dest;

	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->routes[i].broker, p->broker) == 0 &&
		    strcmp(t->routes[i].topic, p->topic) == 0)
			return &t->routes[i];
	return NULL;
}

void
dfb_stream_unbind(struct dfb_producer *p)
{
	struct dfb_link *l = p->user.link;

	if (l == NULL)
		return;
	if (p->session != 0 && p->session == dfb_link_session(l) && !in_doubt(p)) {
		struct dfb_proto m = { .type = DFB_M_FINISH,
			.finish = { .stream = p->user.handle } };
		dfb_conn_send(dfb_link_conn(l), &m);
	}
	dfb_link_leave(&p->user);
	p->session = 0;
}

static bool
bind_to(struct dfb_producer *p, const struct dfb_route *r)
{
	dfb_stream_unbind(p);
	snprintf(p->topic, sizeof p->topic, "%s", r->topic);
	snprintf(p->broker, sizeof p->broker, "%s", r->broker);
	return dfb_link_join(p->dfb, r->endpoint, r->broker, &p->user) == 0;
}

/* Be bound to the right broker: 1; 0: there is none now; -1: short of something. */
static int
choose(struct dfb_producer *p)
{
	const struct dfb_route *r, *now = p->user.link != NULL ? current(p) : NULL;

	if (p->user.link != NULL && in_doubt(p)) {
		/* Only this broker knows what it has; it may have moved. */
		if (now == NULL || dfb_link_is_to(p->user.link, now->endpoint))
			return 1;
		r = now;
	} else {
		if ((r = best(p)) == NULL)
			return p->user.link != NULL && dfb_link_is_up(p->user.link);
		if (now != NULL && badness(p, now) <= badness(p, r) &&
		    strcmp(now->region, r->region) == 0)
			r = now; /* stick */
		if (r == now && dfb_link_is_to(p->user.link, now->endpoint))
			return 1;
		dfb_outbox_forget_sent(&p->out);
	}
	return bind_to(p, r) ? 1 : -1;
}

/* ---- serving ---- */

static void
come_back(struct dfb_producer *p, uint64_t ms)
{
	dfb_loop_timer(p->dfb->loop, &p->timer, ms);
}

/* Nobody to send to: wait, or give up. */
static void
stuck(struct dfb_producer *p, bool bound)
{
	uint64_t now = dfb_client_now(), waited, left = 0;
	enum dfb_status st = DFB_AGAIN;
	char why[320], time[16];

	if (p->stuck_since == 0)
		p->stuck_since = now;
	waited = now - p->stuck_since;
	if (!bound)
		st = dfb_dest_verdict(p->watch.dest, waited, &left, why, sizeof why);
	else if (waited < p->dfb->wait_ms)
		left = p->dfb->wait_ms - waited;
	else {
		dfb_format_duration(p->dfb->wait_ms, time);
		if (in_doubt(p))
			snprintf(why, sizeof why, "broker %s went away, unconfirmed for "
			    "%s; it may or may not have stored this message",
			    p->broker, time);
		else
			snprintf(why, sizeof why, "broker %s cannot be reached, for %s",
			    p->broker, time);
		st = DFB_NOBODY;
	}
	if (st == DFB_AGAIN || st == DFB_OK) {
		come_back(p, left != 0 ? left : FULL_MS);
		return;
	}
	p->stuck_since = 0;
	dfb_producer_fail_all(p, st, why);
}

/* A session that does not know the stream yet. */
static int
begin(struct dfb_producer *p)
{
	struct dfb_link *l = p->user.link;
	struct dfb_proto m = { .type = DFB_M_PRODUCE, .req = p->user.handle, .produce = {
		.stream = p->user.handle, .producer = p->id, .epoch = ++p->epoch,
		.next = p->out.base, .topic = dfb_str(p->topic) } };

	if (dfb_conn_send(dfb_link_conn(l), &m) == -1)
		return -1;
	p->session = dfb_link_session(l);
	p->hold_until = 0;
	dfb_outbox_rewind(&p->out);
	return 0;
}

void
dfb_stream_serve(void *arg)
{
	struct dfb_producer *p = arg;
	uint64_t now;
	int rc;

	dfb_loop_timer_stop(p->dfb->loop, &p->timer);
	if (p->out.base == p->out.next) {
		p->stuck_since = 0;
		return;
	}
	if ((rc = choose(p)) == -1) {
		come_back(p, BACKOFF_MAX_MS);
		return;
	}
	if (rc == 0 || !dfb_link_is_up(p->user.link)) {
		stuck(p, rc == 1);
		return;
	}
	p->stuck_since = 0;
	if (p->session != dfb_link_session(p->user.link) && begin(p) == -1) {
		come_back(p, FULL_MS);
		return;
	}
	if (p->hold_until != 0) {
		if ((now = dfb_client_now()) < p->hold_until) {
			come_back(p, p->hold_until - now);
			return;
		}
		p->hold_until = 0;
	}
	if (dfb_outbox_send(&p->out, dfb_link_conn(p->user.link), p->user.handle) == -1)
		come_back(p, FULL_MS);
}

/* ---- what the broker says ---- */

static bool
on_confirm(struct dfb_producer *p, uint64_t seq)
{
	if (seq >= p->out.sent_end)
		return false;
	if (seq >= p->out.base) {
		dfb_outbox_confirm(&p->out, seq);
		p->backoff_ms = 0;
	}
	return true;
}

static bool
on_known(struct dfb_producer *p, const struct dfb_m_known *m)
{
	uint64_t n;

	if (!p->cf.once || m->seq >= p->out.sent_end)
		return false;
	if (m->seq >= p->out.base && p->cf.known != NULL &&
	    (n = dfb_outbox_number(&p->out, m->seq)) != 0)
		p->cf.known(p->cf.arg, n, m->queue, m->offset);
	return true;
}

static void
hold(struct dfb_producer *p, uint32_t wait_ms, const char *reason)
{
	if (p->backoff_ms == 0 && *reason != '\0')
		dfb_notice(p->dfb, "broker %s: %s; waiting", p->broker, reason);
	p->backoff_ms = p->backoff_ms == 0 ? BACKOFF_MS : p->backoff_ms * 2;
	if (p->backoff_ms > BACKOFF_MAX_MS)
		p->backoff_ms = BACKOFF_MAX_MS;
	p->hold_until = dfb_client_now() + (wait_ms != 0 ? wait_ms : p->backoff_ms);
	if (strstr(reason, "draining") != NULL) {
		snprintf(p->avoid, sizeof p->avoid, "%s", p->broker);
		p->avoid_until = dfb_client_now() + AVOID_MS;
	}
	dfb_work_add(p->dfb, &p->work);
}

/* seq and what follows was not taken. */
static void
on_not_now(struct dfb_producer *p, uint64_t seq, const struct dfb_m_refuse *m,
    const char *reason)
{
	struct dfb_outframes gone;
	uint64_t n;
	uint32_t count;

	dfb_outbox_unsend(&p->out, seq);
	if (m->seq == 0) /* PRODUCE itself: to be said again */
		p->session = 0;
	if (!p->cf.no_wait ||
	    dfb_outbox_truncate(&p->out, seq, true, &gone) == -1) {
		hold(p, m->wait_ms, reason);
		return;
	}
	while (dfb_outbox_gone(&gone, &n, &count))
		dfb_producer_failed(p, n, count, DFB_AGAIN, reason);
}

static void
on_never(struct dfb_producer *p, uint64_t seq, enum dfb_status st, const char *reason)
{
	char why[300];
	uint64_t n;
	uint32_t count = dfb_outbox_drop(&p->out, seq, &n);

	if (count == 0) { /* no memory: let it be refused once more */
		dfb_outbox_unsend(&p->out, seq);
		hold(p, 0, "");
		return;
	}
	dfb_work_add(p->dfb, &p->work);
	if (p->cf.atomic)
		snprintf(why, sizeof why, "the whole batch was refused: %s", reason);
	dfb_producer_failed(p, n, count, st, p->cf.atomic ? why : reason);
}

/* The stream is over; a later message opens another. */
static void
over(struct dfb_producer *p)
{
	p->session = 0;
	dfb_link_leave(&p->user);
}

static bool
on_refuse(struct dfb_producer *p, const struct dfb_m_refuse *m, enum dfb_status st)
{
	uint64_t seq = m->seq != 0 ? m->seq : p->out.base;
	char reason[256];

	dfb_str_copy(m->reason, reason, sizeof reason);
	if (seq < p->out.base || st == DFB_OK || (m->scope != DFB_REFUSE_STREAM &&
	    m->scope != DFB_REFUSE_MESSAGE) ||
	    (m->scope == DFB_REFUSE_MESSAGE && m->seq == 0))
		return false;
	if (p->out.base == p->out.next) { /* nothing depends on it */
		over(p);
		return true;
	}
	if (m->scope == DFB_REFUSE_STREAM && st != DFB_AGAIN) {
		over(p);
		dfb_producer_fail_all(p, st, reason);
	} else if (m->seq != 0 && seq >= p->out.sent_end)
		; /* said twice */
	else if (m->scope == DFB_REFUSE_MESSAGE)
		on_never(p, seq, st, reason);
	else
		on_not_now(p, seq, m, reason);
	return true;
}

bool
dfb_stream_frame(void *arg, const struct dfb_proto *m)
{
	struct dfb_producer *p = arg;
	char reason[256];

	switch (m->type) {
	case DFB_M_PRODUCING:
		p->max_body = m->producing.max_body != 0 &&
		    m->producing.max_body < DFB_BODY_MAX_LIMIT ?
		    m->producing.max_body : DFB_BODY_MAX_LIMIT;
		return m->producing.committed < p->out.base ||
		    on_confirm(p, m->producing.committed);
	case DFB_M_KNOWN:
		return on_known(p, &m->known);
	case DFB_M_CONFIRM:
		return on_confirm(p, m->confirm.seq);
	case DFB_M_REFUSE:
		return on_refuse(p, &m->refuse, m->status);
	case DFB_M_ERROR:
		dfb_str_copy(m->error.reason, reason, sizeof reason);
		if (m->status == DFB_AGAIN) {
			p->session = 0;
			hold(p, m->error.wait_ms, reason);
			return true;
		}
		over(p);
		dfb_producer_fail_all(p, m->status, reason);
		return true;
	}
	return false;
}
