#include "dfb.h"
#include "store/block.h"
#include "store/internal.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>

/* What a cursor found: the block's place and its header, or its whole item. */
struct found {
	struct dfb_block head; /* data is not set */
	uint8_t *item;         /* from malloc, when asked for */
	size_t len;
};

/* ---- one step of a cursor ---- */

/* Move the cursor, to *queue, *base for DB_SET and DB_SET_RANGE, and fill in where it
 * is, the header only. */
static int
step(DBC *c, uint64_t queue, uint64_t base, uint32_t how, struct found *f)
{
	uint8_t k[SEGMENT_KEY], h[DFB_BLOCK_HEADER];
	DBT key = { .data = k, .size = sizeof k, .ulen = sizeof k, .flags = DB_DBT_USERMEM };
	DBT val = { .data = h, .ulen = sizeof h, .dlen = sizeof h,
	    .flags = DB_DBT_USERMEM | DB_DBT_PARTIAL };
	int e;

	dfb_segment_key(k, queue, base);
	if ((e = c->get(c, &key, &val, how)) != 0)
		return e;
	if (key.size != SEGMENT_KEY)
		return EBADMSG;
	dfb_segment_key_parse(k, &f->head.queue, &f->head.base);
	return dfb_block_header_parse(&f->head, h, val.size) == -1 ? errno : 0;
}

/* The last block of the queue with a base at or below offset, or the first above it.
 * DB_NOTFOUND when the queue has none. */
static int
locate(DBC *c, uint64_t queue, uint64_t offset, struct found *f)
{
	struct found after;
	int e = step(c, queue, offset, DB_SET_RANGE, &after), e2;
	bool has_after = e == 0 && after.head.queue == queue;

	if (e != 0 && e != DB_NOTFOUND)
		return e;
	if (has_after && after.head.base == offset) {
		*f = after;
		return 0;
	}
	e2 = step(c, 0, 0, e == 0 ? DB_PREV : DB_LAST, f);
	if (e2 == 0 && f->head.queue == queue)
		return 0;
	if (e2 != 0 && e2 != DB_NOTFOUND)
		return e2;
	return has_after ? step(c, queue, after.head.base, DB_SET_RANGE, f) : DB_NOTFOUND;
}

/* The whole item under the cursor. */
static int
fetch(DBC *c, uint64_t queue, uint64_t base, uint32_t how, struct found *f)
{
	uint8_t k[SEGMENT_KEY];
	DBT key = { .data = k, .size = sizeof k, .ulen = sizeof k, .flags = DB_DBT_USERMEM };
	DBT val = { .flags = DB_DBT_MALLOC };
	int e;

	dfb_segment_key(k, queue, base);
	if ((e = c->get(c, &key, &val, how)) != 0)
		return e;
	dfb_segment_key_parse(k, &f->head.queue, &f->head.base);
	f->item = val.data;
	f->len = val.size;
	return 0;
}

/* The block that holds offset, or the next of the queue in this segment. */
static int
fetch_at(DBC *c, uint64_t queue, uint64_t offset, struct found *f)
{
	int e = fetch(c, queue, offset, DB_SET, f); /* most reads go from block to block */

	if (e != DB_NOTFOUND)
		return e;
	if ((e = locate(c, queue, offset, f)) != 0)
		return e;
	if (f->head.base < offset && offset - f->head.base >= f->head.count) {
		if ((e = step(c, 0, 0, DB_NEXT, f)) != 0)
			return e;
		if (f->head.queue != queue)
			return DB_NOTFOUND;
	}
	return fetch(c, queue, f->head.base, DB_CURRENT, f);
}

/*
 * Run fn on a new cursor until it is not the victim of a deadlock.  Uncommitted reads, as a
 * commit holds its pages until the log is flushed; what is not committed is beyond
 * what the index in memory answers for, and a page lock held for each step keeps
 * items whole.
 */
static int
with_cursor(const struct segment *g, uint64_t queue, uint64_t offset,
    struct found *f, int (*fn)(DBC *, uint64_t, uint64_t, struct found *))
{
	DBC *c;
	int e, e2;

	do {
		*f = (struct found){ .item = NULL };
		if ((e = g->db->cursor(g->db, NULL, &c, DB_READ_UNCOMMITTED)) != 0)
			return e;
		e = fn(c, queue, offset, f);
		if ((e2 = c->close(c)) != 0 && (e == 0 || e == DB_NOTFOUND))
			e = e2;
		if (e != 0) {
			free(f->item);
			f->item = NULL;
		}
	} while (e == DB_LOCK_DEADLOCK);
	return e;
}

/* ---- pinning a segment ---- */

/* Choose the span where offset is, or the next one, and keep its segment from being dropped.
 * 1 or 0. */
static int
pin(struct dfb_store *s, uint64_t queue, uint64_t offset, struct span *out)
{
	const struct spans_queue *q;
	int ret = 0;

	pthread_mutex_lock(&s->mutex);
	if ((q = dfb_spans_find(&s->spans, queue)) != NULL &&
	    offset < q->spans[q->n - 1].next) {
		size_t lo = 0, hi = q->n - 1;

		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;

			if (q->spans[mid].next <= offset)
				lo = mid + 1;
			else
				hi = mid;
		}
		*out = q->spans[lo];
		out->seg->readers++;
		ret = 1;
	}
	pthread_mutex_unlock(&s->mutex);
	return ret;
}

static void
unpin(struct dfb_store *s, struct segment *g)
{
	pthread_mutex_lock(&s->mutex);
	if (--g->readers == 0)
		pthread_cond_signal(&s->idle);
	pthread_mutex_unlock(&s->mutex);
}

/* ---- the interface ---- */

int
dfb_store_read(struct dfb_store *s, uint64_t queue, uint64_t offset,
    struct dfb_block **out)
{
	struct span span;
	struct found f;
	uint32_t number;
	int e;

	*out = NULL;
	if (!dfb_store_ok(s))
		return -1;
	if (!pin(s, queue, offset, &span))
		return 0;
	if (offset < span.first)
		offset = span.first;
	e = with_cursor(span.seg, queue, offset, &f, fetch_at);
	if (e == 0 && (*out = dfb_block_adopt(queue, f.head.base, f.item, f.len)) == NULL) {
		e = errno;
		free(f.item);
	}
	number = span.seg->number;
	unpin(s, span.seg);
	if (e != 0) /* the index says it is there: DB_NOTFOUND too */
		return dfb_store_fail(s, e, "read queue %ju offset %ju in segment %u",
		    (uintmax_t)queue, (uintmax_t)offset, number);
	return 1;
}

int
dfb_store_extent(struct dfb_store *s, uint64_t queue, uint64_t *first, uint64_t *next)
{
	const struct spans_queue *q;

	if (!dfb_store_ok(s))
		return -1;
	pthread_mutex_lock(&s->mutex);
	if ((q = dfb_spans_find(&s->spans, queue)) != NULL) {
		*first = q->spans[0].first;
		*next = q->spans[q->n - 1].next;
	}
	pthread_mutex_unlock(&s->mutex);
	return q != NULL;
}

/* Pin the first span that goes on until wall_ms.  1; 0 with *end: none does; -1: no
 * blocks. */
static int
pin_time(struct dfb_store *s, uint64_t queue, uint64_t wall_ms, struct span *out,
    uint64_t *end)
{
	const struct spans_queue *q;
	int ret = -1;

	pthread_mutex_lock(&s->mutex);
	if ((q = dfb_spans_find(&s->spans, queue)) != NULL) {
		size_t i = 0;

		while (i < q->n && q->spans[i].last_ms < wall_ms)
			i++;
		ret = i < q->n;
		*end = q->spans[q->n - 1].next;
		if (ret) {
			*out = q->spans[i];
			out->seg->readers++;
		}
	}
	pthread_mutex_unlock(&s->mutex);
	return ret;
}

int
dfb_store_seek(struct dfb_store *s, uint64_t queue, uint64_t wall_ms, uint64_t *offset)
{
	struct span span;
	struct found f;
	uint64_t lo, hi;
	int e = 0;

	if (!dfb_store_ok(s))
		return -1;
	switch (pin_time(s, queue, wall_ms, &span, offset)) {
	case -1:
		return 0;
	case 0:
		return 1;
	}
	/* The answer is the base of a block in [lo, hi]; hi is one that is late enough. */
	for (lo = span.first, hi = span.last; lo < hi && e == 0;) {
		uint64_t mid = lo + (hi - lo) / 2;

		if ((e = with_cursor(span.seg, queue, mid, &f, locate)) != 0)
			break;
		if (f.head.last_ms >= wall_ms)
			hi = f.head.base;
		else if ((lo = f.head.base + f.head.count) <= mid)
			lo = mid + 1; /* it is in a gap */
	}
	unpin(s, span.seg);
	if (e != 0)
		return dfb_store_fail(s, e, "seek in queue %ju", (uintmax_t)queue);
	*offset = hi;
	return 1;
}

int
dfb_segment_scan(struct dfb_store *s, struct segment *g)
{
	struct found first, last;
	DBC *c;
	int e, e2;

	if ((e = g->db->cursor(g->db, NULL, &c, 0)) != 0)
		return e;
	e = step(c, 0, 0, DB_FIRST, &first);
	while (e == 0) {
		uint64_t queue = first.head.queue;

		if (queue == UINT64_MAX ||
		    (e = step(c, queue + 1, 0, DB_SET_RANGE, &last)) == DB_NOTFOUND)
			e = step(c, 0, 0, DB_LAST, &last);
		else if (e == 0)
			e = step(c, 0, 0, DB_PREV, &last);
		if (e != 0)
			break;
		if (dfb_spans_reserve(&s->spans, queue) == -1) {
			e = errno;
			break;
		}
		dfb_spans_note(&s->spans, queue, g, first.head.base, first.head.count,
		    first.head.last_ms);
		dfb_spans_note(&s->spans, queue, g, last.head.base, last.head.count,
		    last.head.last_ms);
		if (last.head.last_ms > g->last_ms)
			g->last_ms = last.head.last_ms;
		e = step(c, 0, 0, DB_NEXT, &first);
	}
	if ((e2 = c->close(c)) != 0 && e == DB_NOTFOUND)
		e = e2;
	return e == DB_NOTFOUND ? 0 : e;
}
