#include "store/block.h"
#include "store/internal.h"
#include "store/cursor.h"

#include <errno.h>
#include <stdlib.h>

/* Move the cursor, to queue and base for DB_SET and DB_SET_RANGE, and fill in where it
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

int
dfb_found_locate(DBC *c, uint64_t queue, uint64_t offset, struct found *f)
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

int
dfb_found_fetch(DBC *c, uint64_t queue, uint64_t offset, struct found *f)
{
	int e = fetch(c, queue, offset, DB_SET, f); /* most reads go from block to block */

	if (e != DB_NOTFOUND)
		return e;
	if ((e = dfb_found_locate(c, queue, offset, f)) != 0)
		return e;
	if (f->head.base < offset && offset - f->head.base >= f->head.count) {
		if ((e = step(c, 0, 0, DB_NEXT, f)) != 0)
			return e;
		if (f->head.queue != queue)
			return DB_NOTFOUND;
	}
	return fetch(c, queue, f->head.base, DB_CURRENT, f);
}

int
dfb_segment_find(const struct segment *g, uint64_t queue, uint64_t offset,
    struct found *f, dfb_found_fn *fn)
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
