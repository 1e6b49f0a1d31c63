#include <stdlib.h>
#include <string.h>

#include "client/conn.h"
#include "client/consumer.h"

/* A frame leaves when so much is gathered. */
#define RANGES_MAX 8192
#define REPLIES_MAX (256u << 10)

static bool
live(const struct dfb_sub *s)
{
	return s->session != 0 && s->session == dfb_link_session(s->user.link);
}

/* Both: false when it is to be tried again, with all that was gathered. */
static bool
flush_replies(struct dfb_sub *s)
{
	struct dfb_proto m = { .type = DFB_M_REPLY,
		.reply.answers = { s->replies.data, s->replies.len } };

	if (s->replies.len != 0 && live(s) &&
	    dfb_conn_send(dfb_link_conn(s->user.link), &m) == -1)
		return false;
	s->replies.len = 0;
	return true;
}

static bool
flush_ranges(struct dfb_sub *s)
{
	struct dfb_buf list = { 0 };
	struct dfb_proto m = { .type = DFB_M_ACK, .ack.sub = s->user.handle };
	bool sent = true;

	for (size_t i = 0; i < s->nranges && sent; i++)
		sent = dfb_range_add(&list, &s->ranges[i]) == 0;
	m.ack.ranges = (struct dfb_blob){ list.data, list.len };
	if (sent && live(s))
		sent = dfb_conn_send(dfb_link_conn(s->user.link), &m) == 0;
	dfb_buf_release(&list);
	if (sent) {
		s->acked = true;
		s->nranges = 0;
	}
	return sent;
}

bool
dfb_acks_flush(struct dfb_sub *s)
{
	/* Replies first: an acknowledged call is over. */
	return flush_replies(s) && (s->nranges == 0 || flush_ranges(s));
}

void
dfb_acks_clear(struct dfb_sub *s)
{
	s->doubt = s->doubt || s->acked || s->nranges != 0;
	s->acked = false;
	s->nranges = 0;
	s->replies.len = 0;
}

void
dfb_acks_release(struct dfb_sub *s)
{
	free(s->ranges);
	s->ranges = NULL;
	dfb_buf_release(&s->replies);
}

/* ---- what users do ---- */

/* The subscription that delivered it, if it is still the same session. */
static struct dfb_sub *
find(struct dfb_consumer *c, const struct dfb_delivery *d)
{
	struct dfb_sub *s = c->last;

	if (s == NULL || s->session != d->session || s->user.handle != d->sub) {
		LIST_FOREACH(s, &c->subs, entry)
			if (s->session == d->session && s->user.handle == d->sub)
				break;
		c->last = s;
	}
	return s != NULL && d->session != 0 && live(s) ? s : NULL;
}

static int
add_range(struct dfb_sub *s, const struct dfb_delivery *d)
{
	if (s->nranges == s->cap) {
		size_t cap = s->cap != 0 ? s->cap * 2 : 64;
		struct dfb_m_range *p = reallocarray(s->ranges, cap, sizeof *p);
		if (p == NULL)
			return -1;
		s->ranges = p;
		s->cap = cap;
	}
	s->ranges[s->nranges++] = (struct dfb_m_range){ .queue = d->queue,
		.epoch = d->epoch, .offset = d->offset, .count = 1 };
	return 0;
}

void
dfb_consumer_ack(struct dfb_consumer *c, const struct dfb_delivery *d)
{
	struct dfb_sub *s = find(c, d);
	struct dfb_m_range *r;

	if (s == NULL)
		return;
	dfb_work_add(c->dfb, &c->work);
	if (s->nranges != 0) {
		r = &s->ranges[s->nranges - 1];
		if (r->queue == d->queue && r->epoch == d->epoch &&
		    r->offset + r->count == d->offset) {
			r->count++;
			return;
		}
		if (s->nranges >= RANGES_MAX)
			dfb_acks_flush(s);
	}
	/* Without memory for an acknowledgement the message would be out for ever;
	 * a new session has it delivered again. */
	if (add_range(s, d) == -1)
		dfb_conn_drop(dfb_link_conn(s->user.link), "out of memory", 0);
}

void
dfb_consumer_nack(struct dfb_consumer *c, const struct dfb_delivery *d,
    enum dfb_nack action, const char *why)
{
	struct dfb_sub *s = find(c, d);
	struct dfb_proto m = { .type = DFB_M_NACK };

	if (s == NULL)
		return;
	dfb_work_add(c->dfb, &c->work);
	m.nack = (struct dfb_m_nack){ .sub = s->user.handle, .queue = d->queue,
		.epoch = d->epoch, .offset = d->offset, .action = (uint8_t)action,
		.reason = dfb_reason(why) };
	if (dfb_conn_send(dfb_link_conn(s->user.link), &m) == -1)
		dfb_conn_drop(dfb_link_conn(s->user.link), "cannot send", 0);
}

void
dfb_consumer_reply(struct dfb_consumer *c, const struct dfb_delivery *d,
    enum dfb_status st, const char *why, const struct dfb_msg *reply)
{
	struct dfb_sub *s = find(c, d);
	struct dfb_m_outcome o = { .call = d->call, .status = (uint16_t)st, .taken = 1,
		.reason = dfb_reason(why) };

	if (s == NULL)
		return;
	if (reply != NULL && dfb_msg_check(c->dfb, reply, DFB_BODY_MAX_LIMIT) == DFB_OK) {
		o.headers = (struct dfb_blob){ reply->headers, reply->headers_len };
		o.body = (struct dfb_blob){ reply->body, reply->body_len };
	} else if (reply != NULL) {
		o.status = DFB_NO;
		o.reason = dfb_reason(dfb_error(c->dfb));
	}
	dfb_work_add(c->dfb, &c->work);
	if (s->replies.len != 0 && s->replies.len + o.body.len > REPLIES_MAX)
		flush_replies(s);
	if (dfb_outcome_add(&s->replies, &o) == -1)
		dfb_conn_drop(dfb_link_conn(s->user.link), "out of memory", 0);
}
