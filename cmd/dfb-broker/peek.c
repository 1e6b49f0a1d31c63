/* PEEK: reading without a group. */
#include <stdlib.h>

#include "broker.h"
#include "disk.h"
#include "lane.h"
#include "wire/record.h"

#define PEEK_BYTES ((size_t)256 << 10)

struct peek {
	struct dfb_peer peer;
	uint64_t serial, offset;
	uint32_t req, max;
	struct queue *q;
};

static void
send(struct broker *b, struct peek *k, struct dfb_block *blk)
{
	struct session *s = session_by_serial(b, &k->peer, k->serial);
	struct dfb_proto m = { .type = DFB_M_PEEKED, .req = k->req };
	uint64_t limit = queue_limit(k->q);
	struct dfb_record r;

	if (s == NULL || k->q->topic->dead)
		return;
	m.peeked = (struct dfb_m_peeked){ .queue = k->q->index,
		.queues = k->q->topic->nqueues, .first = k->q->first, .end = limit,
		.offset = k->offset };
	if (blk != NULL) {
		const uint8_t *p = blk->data + DFB_BLOCK_HEADER;
		const uint8_t *end = blk->data + blk->len, *from = NULL;
		uint64_t o = blk->base;
		for (; o < limit && m.peeked.count < k->max &&
		    dfb_record_next(&p, end, &r) == 1; o++) {
			if (o < k->offset)
				continue;
			if (from == NULL) {
				from = p - r.size;
				m.peeked.offset = o;
			} else if ((size_t)(p - from) > PEEK_BYTES)
				break;
			m.peeked.count++;
			m.peeked.records = (struct dfb_blob){ from, (size_t)(p - from) };
		}
	}
	session_send(b, s, &m);
}

static void
got(struct broker *b, void *arg, struct dfb_block *blk)
{
	send(b, arg, blk);
	free(arg);
}

static void
fetch(struct broker *b, struct peek *k)
{
	if (k->offset < k->q->first)
		k->offset = k->q->first;
	if (k->offset >= queue_limit(k->q))
		got(b, k, NULL);
	else
		reader_fetch(b, k->q, k->offset, got, k);
}

static void
found(struct broker *b, void *arg, uint64_t offset)
{
	struct peek *k = arg;

	k->offset = offset;
	fetch(b, k);
}

void
handle_peek(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	const struct dfb_m_peek *r = &m->peek;
	struct topic *t = topic_find(b, r->topic);
	struct queue *q;
	struct peek *k;

	if (t == NULL || (q = topic_nth_queue(t, r->queue)) == NULL) {
		session_error(b, s, m->req, DFB_NOBODY, "no topic '%.*s' with queue %u on "
		    "broker %s", (int)r->topic.len, r->topic.p, r->queue, b->cf.name);
		return;
	}
	if ((k = calloc(1, sizeof *k)) == NULL) {
		session_error(b, s, m->req, DFB_AGAIN, "the broker is out of memory");
		return;
	}
	*k = (struct peek){ .peer = s->peer, .serial = s->serial, .req = m->req,
		.max = r->max_count, .q = q };
	switch (r->start) {
	case DFB_BEGINNING:
		k->offset = k->q->first;
		break;
	case DFB_END:
		k->offset = queue_limit(k->q);
		break;
	case DFB_OFFSET:
		k->offset = r->value;
		break;
	case DFB_TIME:
		reader_seek(b, k->q, r->value, found, k);
		return;
	default:
		free(k);
		session_error(b, s, m->req, DFB_BADINPUT, "start out of range");
		return;
	}
	fetch(b, k);
}
