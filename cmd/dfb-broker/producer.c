/* Producers and their streams: who sends, how far it is taken and confirmed. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "broker.h"
#include "disk.h"
#include "limits.h"

#define PRODUCERS_MAX 1000000
#define STREAMS_MAX 1024 /* of one session */

int
producer_cmp(struct producer *a, struct producer *b)
{
	int c = memcmp(a->id.b, b->id.b, sizeof a->id.b);

	if (c != 0)
		return c;
	return a->topic->id < b->topic->id ? -1 : a->topic->id > b->topic->id;
}

RB_GENERATE(producer_tree, producer, node, producer_cmp)

struct producer *
producer_new(struct broker *b, const struct dfb_id *id, struct topic *t)
{
	struct producer *p;

	if (b->nproducers >= PRODUCERS_MAX || (p = calloc(1, sizeof *p)) == NULL)
		return NULL;
	p->id = *id;
	p->topic = t;
	p->used_ms = b->wall;
	RB_INSERT(producer_tree, &b->producers, p);
	b->nproducers++;
	return p;
}

/* The caller knows that no list and no commit names it. */
void
producer_free(struct broker *b, struct producer *p)
{
	RB_REMOVE(producer_tree, &b->producers, p);
	b->nproducers--;
	if (p->stream != NULL)
		p->stream->producer = NULL;
	free(p);
}

struct stream *
stream_find(struct session *s, uint32_t handle)
{
	struct stream *st;

	TAILQ_FOREACH(st, &s->streams, in_session)
		if (st->handle == handle)
			return st;
	return NULL;
}

void
stream_free(struct broker *b, struct stream *st)
{
	if (st->producer != NULL)
		st->producer->stream = NULL;
	if (st->confirm)
		STAILQ_REMOVE(&b->confirms, st, stream, confirm_link);
	once_forget(b, st);
	TAILQ_REMOVE(&st->session->streams, st, in_session);
	free(st);
}

static void
refuse(struct broker *b, struct session *s, uint32_t stream, uint64_t seq, int scope,
    enum dfb_status status, uint32_t wait_ms, const char *why)
{
	b->n.refused++;
	session_send(b, s, &(struct dfb_proto){ .type = DFB_M_REFUSE,
	    .status = (uint16_t)status, .refuse = { .stream = stream, .seq = seq,
	    .scope = (uint8_t)scope, .wait_ms = wait_ms, .reason = dfb_str(why) } });
}

void
stream_refuse(struct broker *b, struct stream *st, uint64_t seq, int scope,
    enum dfb_status status, uint32_t wait_ms, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	refuse(b, st->session, st->handle, seq, scope, status, wait_ms, why);
}

void
handle_produce(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	const struct dfb_m_produce *r = &m->produce;
	struct topic *t = topic_find(b, r->topic);
	struct producer want, *p;
	struct stream *st;
	struct refusal no;
	unsigned n = 0;
	char why[300];

	if (t == NULL) {
		snprintf(why, sizeof why, "no topic '%.*s' on broker %s: create it with "
		    "dfb-ctl topic create", (int)r->topic.len, r->topic.p, b->cf.name);
		refuse(b, s, r->stream, 0, DFB_REFUSE_STREAM, DFB_NOBODY, 0, why);
		return;
	}
	if (t->name[0] == '%') {
		refuse(b, s, r->stream, 0, DFB_REFUSE_STREAM, DFB_DENIED, 0,
		    "only brokers send to a system topic");
		return;
	}
	TAILQ_FOREACH(st, &s->streams, in_session)
		n++;
	if (stream_find(s, r->stream) != NULL || n >= STREAMS_MAX) {
		refuse(b, s, r->stream, 0, DFB_REFUSE_STREAM, DFB_PROTO, 0,
		    "stream number in use, or too many streams");
		return;
	}
	want.id = r->producer;
	want.topic = t;
	p = RB_FIND(producer_tree, &b->producers, &want);
	if (p != NULL && p->finished) { /* it is back before it was forgotten */
		p->finished = false;
		commit_dirty_producer(b, p);
	}
	if (p != NULL && p->epoch > r->epoch) {
		refuse(b, s, r->stream, 0, DFB_REFUSE_STREAM, DFB_PROTO, 0,
		    "a later session of this producer was here");
		return;
	}
	/* One that may have something here is told what that is. */
	if ((p == NULL || r->next > p->taken) && put_refuses(b, t, &no)) {
		refuse(b, s, r->stream, 0, DFB_REFUSE_STREAM, DFB_AGAIN, no.wait_ms, no.why);
		return;
	}
	if ((st = calloc(1, sizeof *st)) == NULL || (p == NULL &&
	    (p = producer_new(b, &r->producer, t)) == NULL)) {
		free(st);
		refuse(b, s, r->stream, 0, DFB_REFUSE_STREAM, DFB_AGAIN, 1000,
		    "the broker has no memory for another producer");
		return;
	}
	if (p->stream != NULL)
		stream_free(b, p->stream); /* of a session that is being lost */
	p->epoch = r->epoch;
	p->stream = st;
	p->used_ms = b->wall;
	if (r->next > p->taken + 1)
		p->taken = p->committed = r->next - 1;
	*st = (struct stream){ .session = s, .handle = r->stream, .producer = p,
		.confirmed = p->committed };
	STAILQ_INIT(&st->waiting);
	TAILQ_INSERT_TAIL(&s->streams, st, in_session);
	session_send(b, s, &(struct dfb_proto){ .type = DFB_M_PRODUCING, .req = m->req,
	    .producing = { .stream = r->stream, .committed = p->committed,
	    .max_body = t->set.max_body, .durability = (uint8_t)t->set.durability } });
}

void
handle_finish(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	struct stream *st = stream_find(s, m->finish.stream);
	struct producer *p;

	if (st == NULL)
		return;
	p = st->producer;
	stream_free(b, st);
	p->finished = true;
	commit_dirty_producer(b, p);
}

/* ---- confirming ---- */

void
stream_confirm_later(struct broker *b, struct stream *st)
{
	if (st->confirm)
		return;
	st->confirm = true;
	STAILQ_INSERT_TAIL(&b->confirms, st, confirm_link);
}

void
stream_confirm_all(struct broker *b)
{
	struct stream *st;

	while ((st = STAILQ_FIRST(&b->confirms)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->confirms, confirm_link);
		st->confirm = false;
		st->confirmed = st->producer->committed;
		b->n.confirms++;
		session_send(b, st->session, &(struct dfb_proto){ .type = DFB_M_CONFIRM,
		    .confirm = { .stream = st->handle, .seq = st->confirmed } });
	}
}

void
producer_settled(struct broker *b, struct producer *p, uint64_t seq)
{
	if (seq > p->committed)
		p->committed = seq;
	if (p->stream != NULL && p->committed > p->stream->confirmed)
		stream_confirm_later(b, p->stream);
	if (p->finished && p->busy == 0 && !p->dirty)
		commit_dirty_producer(b, p);
}
