/*
 * Messages that are stored once, by their ids (PUT with flag 2).  An id that is in memory or
 * certainly new is decided at once; else the stream's frames wait, in order, for a look into
 * the store.  Row: version u8 = 1, queue u32, offset u64, wall ms u64, in the transaction of
 * the message.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "broker.h"
#include "disk.h"
#include "limits.h"
#include "store/store.h"
#include "wire/cursor.h"
#include "wire/record.h"

/* Rows of ids in a batch: each may lock a page of the database. */
#define BATCH_IDS 4096
#define WAITING_MAX ((size_t)32 << 20) /* of a stream ... */
#define WAITING_ALL ((size_t)64 << 20) /* ... and of all */
#define ROW 21

struct held_put {
	STAILQ_ENTRY(held_put) link;
	struct dfb_m_put put;
	uint8_t records[];
};

/* ---- rows ---- */

static bool
parse_row(const struct dfb_buf *val, struct known *k)
{
	struct dfb_reader r = { val->data, val->data + val->len, true };
	uint8_t version = dfb_read_u8(&r);

	k->queue = dfb_read_u32(&r);
	k->offset = dfb_read_u64(&r);
	k->at = dfb_read_u64(&r);
	return r.ok && r.p == r.end && version == 1;
}

static void
put_row(struct broker *b, const struct known *k, uint64_t start)
{
	struct dfb_batch *batch = commit_batch(b, false);
	uint8_t key[IDS_KEY], val[ROW], *v = val;

	ids_key(key, k->topic, start, &k->id);
	v = dfb_write_u8(v, 1);
	v = dfb_write_u32(v, k->queue);
	v = dfb_write_u64(v, k->offset);
	dfb_write_u64(v, k->at);
	if (batch == NULL ||
	    dfb_batch_put(batch, T_IDS, key, sizeof key, val, sizeof val) == -1)
		fail_stop(b, "no memory for ids");
	b->batch_ids++;
}

/* ---- what is known ---- */

static bool
counts(const struct broker *b, const struct topic *t, const struct known *k)
{
	/* What a memory topic had before a restart is gone. */
	return k->at + t->set.dedup_ms > b->wall &&
	    (t->set.durability != DFB_MEMORY || k->at >= b->incarnation);
}

const struct known *
once_find(struct broker *b, struct topic *t, const struct dfb_id *id)
{
	const struct known *k = recent_find(b, t->id, id);

	return k != NULL && counts(b, t, k) ? k : NULL;
}

void
once_add(struct broker *b, struct topic *t, const struct dfb_id *id, uint32_t queue,
    uint64_t offset)
{
	struct known k = { .id = *id, .topic = t->id, .queue = queue,
		.offset = offset, .at = b->wall, .batch = b->last_batch + 1 };

	recent_add(b, &k);
	put_row(b, &k, ids_add(b, &t->sent, t->set.dedup_ms, id));
}

/* ---- frames that wait ---- */

static void
found(struct broker *b, struct look *l)
{
	struct stream *st = l->arg;

	for (size_t i = 0; st != NULL && i < l->nwants; i++) {
		struct want *w = &l->wants[i];
		/* Not to be dropped before the frame is taken. */
		struct known k = { .id = w->id, .topic = l->topic, .batch = l->since + 1 };
		if (!w->found || recent_find(b, l->topic, &w->id) != NULL)
			continue;
		if (!parse_row(&w->val, &k)) {
			log_errx("the store's table 'ids' has a row that this version "
			    "cannot read");
			fail_stop(b, "the store is damaged");
		}
		recent_add(b, &k);
	}
	if (st == NULL)
		return;
	st->look = NULL;
	once_resume(b, st, true);
}

/* Look for ids that may be in the store; false: there are none. */
static bool
look(struct broker *b, struct stream *st, const struct dfb_m_put *r)
{
	struct topic *t = st->producer->topic;
	const uint8_t *p = r->records.p, *end = p + r->records.len;
	struct look *l = look_new(b, t, &t->sent, st);
	struct dfb_record rec;
	uint64_t seq = r->seq;

	for (; dfb_record_next(&p, end, &rec) == 1; seq++)
		/* What is in memory now must still be there when the frame is taken. */
		if (seq > st->producer->taken && !recent_hold(b, t->id, &rec.id))
			look_for(l, &rec.id);
	if (l->nwants == 0) {
		look_free(l);
		return false;
	}
	st->look = l;
	look_start(l, found);
	return true;
}

bool
once_ready(struct broker *b, struct stream *st, const struct dfb_m_put *r, bool looked)
{
	if (b->batch_ids != 0 &&
	    b->batch_ids + r->count > (looked ? ONCE_FRAME_MAX : BATCH_IDS)) {
		if (!st->crowded)
			TAILQ_INSERT_TAIL(&b->crowded, st, crowded_link);
		st->crowded = true;
		b->urgent = true;
		return false;
	}
	return looked || !look(b, st, r);
}

void
once_hold(struct broker *b, struct stream *st, const struct dfb_m_put *r)
{
	size_t size = sizeof(struct held_put) + r->records.len;
	struct held_put *h = NULL;

	if (st->waiting_bytes + size > WAITING_MAX || b->held_put_bytes + size > WAITING_ALL ||
	    (h = malloc(size)) == NULL) {
		if (STAILQ_EMPTY(&st->waiting))
			once_forget(b, st); /* what it was to wait for */
		stream_refuse(b, st, r->seq, DFB_REFUSE_STREAM, DFB_AGAIN, 5,
		    "too much waits for ids to be looked up");
		return;
	}
	h->put = *r;
	if (r->records.len != 0)
		memcpy(h->records, r->records.p, r->records.len);
	h->put.records.p = h->records;
	st->waiting_bytes += size;
	b->held_put_bytes += size;
	STAILQ_INSERT_TAIL(&st->waiting, h, link);
}

static void
drop_first(struct broker *b, struct stream *st)
{
	struct held_put *h = STAILQ_FIRST(&st->waiting);
	size_t size = sizeof *h + h->put.records.len;

	STAILQ_REMOVE_HEAD(&st->waiting, link);
	st->waiting_bytes -= size;
	b->held_put_bytes -= size;
	free(h);
}

void
once_resume(struct broker *b, struct stream *st, bool looked)
{
	struct held_put *h;

	while ((h = STAILQ_FIRST(&st->waiting)) != NULL &&
	    put_take(b, st, &h->put, looked)) {
		drop_first(b, st);
		looked = false;
	}
}

void
once_room(struct broker *b)
{
	struct stream *st;

	while (b->batch_ids == 0 && (st = TAILQ_FIRST(&b->crowded)) != NULL) {
		TAILQ_REMOVE(&b->crowded, st, crowded_link);
		st->crowded = false;
		once_resume(b, st, false);
	}
}

void
once_forget(struct broker *b, struct stream *st)
{
	if (st->look != NULL)
		st->look->arg = NULL;
	st->look = NULL;
	if (st->crowded)
		TAILQ_REMOVE(&b->crowded, st, crowded_link);
	while (!STAILQ_EMPTY(&st->waiting))
		drop_first(b, st);
}
