#include "base/timer.h"

#include <stddef.h>

#define STATIC __attribute__((unused)) static

static int
cmp(const struct dfb_timer *a, const struct dfb_timer *b)
{
	if (a->due != b->due)
		return a->due < b->due ? -1 : 1;
	return a->turn < b->turn ? -1 : a->turn > b->turn;
}

RB_GENERATE_INTERNAL(dfb_timer_tree, dfb_timer, link, cmp, STATIC)

void
dfb_timer_set(struct dfb_timers *h, struct dfb_timer *t, uint64_t due)
{
	dfb_timer_stop(h, t);
	t->due = due;
	t->turn = ++h->turn;
	RB_INSERT(dfb_timer_tree, &h->tree, t);
	if (h->first == NULL || due < h->first->due)
		h->first = t;
}

void
dfb_timer_stop(struct dfb_timers *h, struct dfb_timer *t)
{
	if (!dfb_timer_is_set(t))
		return;
	if (h->first == t)
		h->first = RB_NEXT(dfb_timer_tree, &h->tree, t);
	RB_REMOVE(dfb_timer_tree, &h->tree, t);
	t->turn = 0;
}

uint64_t
dfb_timers_next(const struct dfb_timers *h)
{
	return h->first != NULL ? h->first->due : UINT64_MAX;
}

unsigned
dfb_timers_run(struct dfb_timers *h, uint64_t now)
{
	struct dfb_timer *t;
	unsigned n = 0;

	while ((t = h->first) != NULL && t->due <= now) {
		dfb_timer_stop(h, t);
		t->fn(t, t->arg);
		n++;
	}
	return n;
}
