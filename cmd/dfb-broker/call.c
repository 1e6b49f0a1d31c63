/*
 * Calls: who asked, where the request lies, and the answer.  Each call has a slot in a
 * table; its handle (generation and slot) stands in the record, so that a reply finds
 * it at once and one that comes too late finds nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/endian.h>

#include "asked.h"
#include "broker.h"
#include "disk.h"
#include "gray.h"
#include "lane.h"
#include "limits.h"
#include "net/loop.h"
#include "wire/record.h"

#define CALLS_MAX (1u << 20)
#define NO_SLOT UINT32_MAX
#define ANSWERS_FULL ((size_t)256 << 10)
#define ASKED_MAX ((size_t)64 << 20)
#define BATCH_CALLS 8192 /* rows of calls with ids in a batch: each locks a page */
#define DEADLINE_MAX_MS (UINT64_C(4) * 3600 * 1000)

int
call_cmp(struct call *a, struct call *b)
{
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

RB_GENERATE(call_tree, call, node, call_cmp)

/* ---- answers ---- */

static void
send_answers(struct broker *b, struct session *s)
{
	struct dfb_proto m = { .type = DFB_M_ANSWER,
		.answer = { .answers = { s->answers.data, s->answers.len } } };

	if (s->answers.len != 0)
		session_send(b, s, &m);
	s->answers.len = 0;
	if (s->answers.cap > ANSWERS_FULL * 4)
		dfb_buf_release(&s->answers);
}

void
call_answer(struct broker *b, struct session *s, const struct dfb_m_outcome *o)
{
	b->n.answers++;
	if (dfb_outcome_add(&s->answers, o) == -1)
		fail_stop(b, "no memory for an answer");
	if (!s->answering) {
		s->answering = true;
		STAILQ_INSERT_TAIL(&b->answering, s, answer_link);
	}
	if (s->answers.len > ANSWERS_FULL)
		send_answers(b, s);
}

static void
refuse(struct broker *b, struct session *s, uint64_t number, enum dfb_status status,
    const char *why)
{
	call_answer(b, s, &(struct dfb_m_outcome){ .call = number,
	    .status = (uint16_t)status, .reason = dfb_str(why) });
}

void
call_send_answers(struct broker *b)
{
	struct session *s;

	while ((s = STAILQ_FIRST(&b->answering)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->answering, answer_link);
		s->answering = false;
		send_answers(b, s);
	}
}

/* ---- the table ---- */

static void expired(struct dfb_timer *, void *);

struct call *
call_new(struct broker *b)
{
	struct call *c;

	if (b->free_call == NO_SLOT || b->ncalls == 0) {
		uint32_t n = b->ncalls != 0 ? b->ncalls : 64;
		struct call **p;
		if (b->ncalls >= CALLS_MAX ||
		    (p = reallocarray(b->calls, b->ncalls + n, sizeof(struct call *))) == NULL)
			return NULL;
		b->calls = p;
		if ((c = calloc(n, sizeof *c)) == NULL) /* never freed one by one */
			return NULL;
		for (uint32_t i = 0; i < n; i++) {
			c[i].slot = b->ncalls + i;
			c[i].next_free = i + 1 < n ? b->ncalls + i + 1 : NO_SLOT;
			b->calls[b->ncalls + i] = &c[i];
		}
		b->free_call = b->ncalls;
		b->ncalls += n;
	}
	c = b->calls[b->free_call];
	b->free_call = c->next_free;
	c->handle = (uint64_t)++b->call_generation << 32 | c->slot;
	c->caller = NULL;
	c->q = NULL;
	c->asked = NULL;
	c->taken = c->held = false;
	c->timer = (struct dfb_timer){ .fn = expired, .arg = b };
	b->live_calls++;
	return c;
}

struct call *
call_by_handle(struct broker *b, uint64_t handle)
{
	uint32_t slot = (uint32_t)handle;

	if (slot >= b->ncalls || b->calls[slot]->handle != handle || handle == 0 ||
	    b->calls[slot]->q == NULL)
		return NULL;
	return b->calls[slot];
}

struct call *
call_at(struct queue *q, uint64_t offset)
{
	struct call want = { .offset = offset };

	return RB_FIND(call_tree, &q->calls, &want);
}

void
call_free(struct broker *b, struct call *c)
{
	dfb_loop_timer_stop(b->loop, &c->timer);
	if (c->q != NULL)
		RB_REMOVE(call_tree, &c->q->calls, c);
	else
		TAILQ_REMOVE(&c->asked->waiters, c, in_asked);
	if (c->caller != NULL)
		TAILQ_REMOVE(&c->caller->calls, c, in_session);
	c->handle = 0;
	c->caller = NULL;
	c->next_free = b->free_call;
	b->free_call = c->slot;
	b->live_calls--;
}

static void
end(struct broker *b, struct call *c, struct dfb_m_outcome *o)
{
	if (c->q != NULL && c->asked != NULL) {
		o->call = 0;
		asked_end(b, c, o);
		return;
	}
	o->call = c->number;
	call_answer(b, c->caller, o);
	call_free(b, c);
}

void
call_end(struct broker *b, struct call *c, enum dfb_status status, const char *why)
{
	end(b, c, &(struct dfb_m_outcome){ .status = (uint16_t)status, .taken = c->taken,
	    .reason = dfb_str(why) });
}

void
call_forget(struct broker *b, struct call *c)
{
	call_free(b, c);
}

void
call_acked(struct broker *b, struct queue *q, uint64_t from, uint64_t to)
{
	struct call want = { .offset = from }, *c;

	/* What was not handed out cannot have been acknowledged for good. */
	while ((c = RB_NFIND(call_tree, &q->calls, &want)) != NULL && c->offset < to) {
		want.offset = c->offset + 1;
		if (c->taken)
			call_end(b, c, DFB_NO, "the consumer took the call and did not reply");
	}
}

void
call_abandon(struct broker *b, struct topic *t)
{
	struct call *c;

	for (uint32_t i = 0; i < t->nqueues; i++) {
		struct queue *q = t->queues[i];
		if (RB_EMPTY(&q->calls) || queue_is_served(q))
			continue;
		while ((c = RB_MIN(call_tree, &q->calls)) != NULL)
			call_end(b, c, DFB_NOBODY, c->taken ?
			    "the consumer went away; it may have handled the call" :
			    "the last consumer went away before the call was handed out");
	}
}

/* ---- deadlines ---- */

static void
expired(struct dfb_timer *t, void *arg)
{
	struct call *c = (struct call *)((char *)t - offsetof(struct call, timer));

	if (c->asked != NULL && c->q == NULL)
		c->taken = c->asked->run != NULL ? c->asked->run->taken :
		    c->asked->state == ASKED_ENDED;
	else if (c->asked != NULL && c->taken)
		return; /* somebody may ask for its end later */
	call_end(arg, c, DFB_TIMEOUT, c->taken ? "the consumer did not reply in time" :
	    "no consumer took the call in time");
}

void
call_arm(struct broker *b, struct call *c)
{
	dfb_loop_timer(b->loop, &c->timer, c->expires > b->wall ? c->expires - b->wall : 0);
}

/* ---- frames ---- */

const char *
call_cannot_serve(struct broker *b, struct topic *t, enum dfb_status *status)
{
	const char *busy;
	uint32_t wait_ms;

	*status = DFB_NOBODY;
	if (t == NULL)
		return "no such topic on this broker";
	if (t->name[0] == '%')
		return "nobody serves a system topic";
	if (t->serving == 0 && t->set.paused_ms == 0)
		return "no consumer serves it";
	*status = DFB_AGAIN;
	if (!pause_serves(t))
		return PAUSED;
	if ((busy = broker_refuses(b, t, &wait_ms)) != NULL)
		return busy;
	return b->live_calls >= CALLS_MAX ? "too many calls are waiting" : NULL;
}

struct queue *
call_queue(struct broker *b, const struct session *s, struct topic *t,
    const struct dfb_record *r, enum dfb_status *status, char *why, size_t size)
{
	const struct gray *rule = TAILQ_EMPTY(&t->gray) ? NULL : gray_refuses(t, r);
	struct refusal no;
	struct queue *q;

	*status = DFB_AGAIN;
	if (rule != NULL) {
		snprintf(why, size, GRAY_NOBODY, rule->label);
		return NULL;
	}
	if ((q = put_place(b, s, queue_choose(t, r), r, &no)) == NULL) {
		snprintf(why, size, "%s", no.why);
		return NULL;
	}
	if (!queue_is_served(q)) {
		*status = DFB_NOBODY;
		snprintf(why, size, "no consumer serves it");
		return NULL;
	}
	return q;
}

/* A call without an id. */
static void
start(struct broker *b, struct session *s, struct topic *t, const struct dfb_record *r,
    const uint8_t *bytes)
{
	char why[256];
	enum dfb_status status;
	struct queue *q = call_queue(b, s, t, r, &status, why, sizeof why);
	struct call *c = q != NULL ? call_new(b) : NULL;
	uint8_t *where;

	if (c == NULL) {
		refuse(b, s, r->call, q == NULL ? status : DFB_AGAIN,
		    q == NULL ? why : "too many calls are waiting");
		return;
	}
	c->q = q;
	c->number = r->call;
	c->expires = r->expires;
	c->caller = s;
	c->offset = queue_append(b, c->q, bytes, r->size, APPEND_CALL, &where);
	if (c->offset == UINT64_MAX)
		fail_stop(b, "no memory for a call");
	be64enc(where + r->call_at, c->handle);
	RB_INSERT(call_tree, &c->q->calls, c);
	TAILQ_INSERT_TAIL(&s->calls, c, in_session);
	call_arm(b, c);
	queue_wake(b, c->q);
	b->n.calls++;
}

/* Ask for an id: with a record, or for what is known of it. */
static void
ask(struct broker *b, struct session *s, struct topic *t, const struct dfb_record *r,
    const uint8_t *bytes)
{
	struct call *c = NULL;

	if (t == NULL || t->name[0] == '%')
		refuse(b, s, r->call, DFB_NOBODY, "no such topic on this broker");
	else if (t->set.dedup_ms == 0)
		refuse(b, s, r->call, DFB_BADINPUT, "the topic does not remember ids "
		    "(dedup_ms is 0)");
	else if (b->asked_bytes > ASKED_MAX || b->batch_ids > BATCH_CALLS ||
	    (c = call_new(b)) == NULL)
		refuse(b, s, r->call, DFB_AGAIN, "too many calls are waiting");
	if (c == NULL)
		return;
	c->number = r->call;
	c->expires = r->expires;
	c->caller = s;
	TAILQ_INSERT_TAIL(&s->calls, c, in_session);
	call_arm(b, c);
	asked_ask(b, t, &r->id, c, bytes, r->size);
}

/* What is wrong with a call: DFB_OK, or a status and why. */
static enum dfb_status
check(struct broker *b, const struct topic *t, const struct dfb_record *r, char *why,
    size_t size)
{
	const char *text = NULL;
	enum dfb_status status = DFB_BADINPUT;

	if (t != NULL && r->body_len > t->set.max_body) {
		snprintf(why, size, "a body of %zu bytes is too large: topic '%s' takes %u",
		    r->body_len, t->name, t->set.max_body);
		return DFB_BADINPUT;
	}
	if (r->expires <= b->wall) {
		status = DFB_TIMEOUT;
		text = "expired on the way";
	} else if (r->expires > b->wall + DEADLINE_MAX_MS)
		text = "a call may take at most 4 hours";
	else if ((r->headers_len != 0 && !dfb_headers_valid(r->headers, r->headers_len)) ||
	    (r->flags & DFB_R_DUE) != 0)
		text = "malformed headers, or scheduled";
	if (text == NULL)
		return DFB_OK;
	snprintf(why, size, "%s", text);
	return status;
}

void
handle_call(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	const struct dfb_m_call *r = &m->call;
	const uint8_t *p = r->records.p, *end = p + r->records.len;
	struct topic *t = topic_find(b, r->topic);
	enum dfb_status status;
	const char *cannot = call_cannot_serve(b, t, &status);
	bool once = (r->flags & DFB_CALL_ONCE) != 0;
	struct dfb_record rec;
	enum dfb_status wrong;
	char why[256];
	int rc;

	while ((rc = dfb_record_next(&p, end, &rec)) == 1) {
		if ((rec.flags & DFB_R_CALL) == 0 || (rec.flags & DFB_R_EXPIRES) == 0)
			break;
		/* One that ended has its answer also when nobody serves any more. */
		if (cannot != NULL && !once)
			refuse(b, s, rec.call, status, cannot);
		else if ((wrong = check(b, t, &rec, why, sizeof why)) != DFB_OK)
			refuse(b, s, rec.call, wrong, why);
		else if (once)
			ask(b, s, t, &rec, p - rec.size);
		else
			start(b, s, t, &rec, p - rec.size);
	}
	if (rc != 0) {
		b->n.malformed++;
		session_error(b, s, m->req, DFB_PROTO, "malformed call");
		session_kill(b, s);
	}
}

void
handle_collect(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	const struct dfb_m_collect *r = &m->collect;
	struct dfb_record rec = { .id = r->id, .call = r->call, .expires = r->expires };

	if (r->expires <= b->wall || r->expires > b->wall + DEADLINE_MAX_MS)
		refuse(b, s, r->call, r->expires <= b->wall ? DFB_TIMEOUT : DFB_BADINPUT,
		    "expired on the way, or a deadline in more than 4 hours");
	else
		ask(b, s, topic_find(b, r->topic), &rec, NULL);
}

void
handle_reply(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	struct dfb_blob list = m->reply.answers;
	struct dfb_m_outcome o;
	int rc;

	while ((rc = dfb_outcome_next(&list, &o)) == 1) {
		struct call *c = call_by_handle(b, o.call);
		if (c == NULL) {
			b->n.late_replies++;
			continue;
		}
		c->taken = true;
		o.taken = 1;
		if (o.headers.len != 0 && (o.headers.len > DFB_HEADERS_MAX ||
		    !dfb_headers_valid(o.headers.p, o.headers.len)))
			o.headers = (struct dfb_blob){ NULL, 0 };
		end(b, c, &o);
	}
	if (rc == -1) {
		b->n.malformed++;
		session_error(b, s, m->req, DFB_PROTO, "malformed reply");
		session_kill(b, s);
	}
}
