#include "base/timer.h"

#include <stdlib.h>

void
dfb_timers_release(struct dfb_timers *h)
{
	free(h->heap);
	*h = (struct dfb_timers){0};
}

static void
place(struct dfb_timers *h, size_t i, struct dfb_timer *t)
{
	h->heap[i] = t;
	t->slot = i + 1;
}

static void
sift(struct dfb_timers *h, size_t i, struct dfb_timer *t)
{
	while (i > 0 && h->heap[(i - 1) / 2]->due > t->due) {
		place(h, i, h->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (size_t kid; (kid = 2 * i + 1) < h->n; i = kid) {
		if (kid + 1 < h->n && h->heap[kid + 1]->due < h->heap[kid]->due)
			kid++;
		if (h->heap[kid]->due >= t->due)
			break;
		place(h, i, h->heap[kid]);
	}
	place(h, i, t);
}

int
dfb_timer_set(struct dfb_timers *h, struct dfb_timer *t, uint64_t due)
{
	if (t->slot == 0) {
		if (h->n == h->cap) {
			size_t cap = h->cap != 0 ? h->cap * 2 : 16;
			struct dfb_timer **p = reallocarray(h->heap, cap, sizeof *p);
			if (p == NULL)
				return -1;
			h->heap = p;
			h->cap = cap;
		}
		place(h, h->n++, t);
	}
	t->due = due;
	sift(h, t->slot - 1, t);
	return 0;
}

void
dfb_timer_stop(struct dfb_timers *h, struct dfb_timer *t)
{
	size_t i = t->slot - 1;
	struct dfb_timer *last;

	if (t->slot == 0)
		return;
	t->slot = 0;
	last = h->heap[--h->n];
	if (last != t)
		sift(h, i, last);
}

uint64_t
dfb_timers_next(const struct dfb_timers *h)
{
	return h->n != 0 ? h->heap[0]->due : UINT64_MAX;
}

unsigned
dfb_timers_run(struct dfb_timers *h, uint64_t now)
{
	unsigned n = 0;

	while (h->n != 0 && h->heap[0]->due <= now) {
		struct dfb_timer *t = h->heap[0];
		dfb_timer_stop(h, t);
		t->fn(t, t->arg);
		n++;
	}
	return n;
}
