#include "dfb.h"
#include "store/block.h"
#include "store/internal.h"
#include "store/cursor.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>

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
	e = dfb_segment_find(span.seg, queue, offset, &f, dfb_found_fetch);
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

		if ((e = dfb_segment_find(span.seg, queue, mid, &f, dfb_found_locate)) != 0)
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
