#include "store/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
dfb_spans_release(struct spans *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->queues[i].spans);
	free(s->queues);
	*s = (struct spans){0};
}

/* The place of a queue, or where it would be. */
static size_t
place_of(const struct spans *s, uint64_t queue)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->queues[mid].queue < queue)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct spans_queue *
dfb_spans_find(const struct spans *s, uint64_t queue)
{
	size_t i = place_of(s, queue);

	return i < s->n && s->queues[i].queue == queue && s->queues[i].n != 0 ?
	    &s->queues[i] : NULL;
}

int
dfb_spans_reserve(struct spans *s, uint64_t queue)
{
	size_t i = place_of(s, queue);
	struct spans_queue *q;

	if (i == s->n || s->queues[i].queue != queue) {
		if (s->n == s->cap) {
			size_t cap = s->cap != 0 ? s->cap * 2 : 16;

			if ((q = reallocarray(s->queues, cap, sizeof *q)) == NULL)
				return -1;
			s->queues = q;
			s->cap = cap;
		}
		memmove(&s->queues[i + 1], &s->queues[i], (s->n - i) * sizeof *q);
		s->queues[i] = (struct spans_queue){ .queue = queue };
		s->n++;
	}
	q = &s->queues[i];
	if (q->n == q->cap) {
		size_t cap = q->cap + 1 + q->cap / 2;
		struct span *p = reallocarray(q->spans, cap, sizeof *p);

		if (p == NULL)
			return -1;
		q->spans = p;
		q->cap = cap;
	}
	return 0;
}

struct segment *
dfb_spans_place(const struct spans *s, uint64_t queue, uint64_t base,
    struct segment *current)
{
	const struct spans_queue *q = dfb_spans_find(s, queue);
	size_t i;

	if (q == NULL || base >= q->spans[q->n - 1].next)
		return current;
	for (i = q->n - 1; i > 0 && q->spans[i].first > base; i--)
		;
	return q->spans[i].seg;
}

void
dfb_spans_note(struct spans *s, uint64_t queue, struct segment *seg, uint64_t base,
    uint32_t count, uint64_t last_ms)
{
	struct spans_queue *q = &s->queues[place_of(s, queue)];
	struct span *p = NULL;

	for (size_t i = q->n; i > 0 && p == NULL; i--)
		if (q->spans[i - 1].seg == seg)
			p = &q->spans[i - 1];
	if (p == NULL) {
		p = &q->spans[q->n++];
		*p = (struct span){ .seg = seg, .first = base, .last = base };
	}
	if (base < p->first)
		p->first = base;
	if (base >= p->last) {
		p->last = base;
		p->next = base + count;
		p->last_ms = last_ms;
	}
}

void
dfb_spans_forget(struct spans *s, const struct segment *seg)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct spans_queue *q = &s->queues[i];

		for (size_t j = 0; j < q->n; j++)
			if (q->spans[j].seg == seg) {
				memmove(&q->spans[j], &q->spans[j + 1],
				    (q->n - j - 1) * sizeof *q->spans);
				q->n--;
				break;
			}
		if (q->n == 0)
			free(q->spans);
		else
			s->queues[kept++] = *q;
	}
	s->n = kept;
}
