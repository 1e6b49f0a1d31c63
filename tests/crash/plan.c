#include "plan.h"

#include <stdlib.h>

static enum victim
choose(struct rng *r, unsigned mode, bool many)
{
	static const enum victim any[] = { A1, A1, A1, NAMES, P1, P2, O1, O2, C1, C2, C3, C4,
		C5, S1, S2, K1, RULE, RULE, PAUSE, PAUSE };
	static const enum victim some[] = { P1, P2, C1, C1, C2, C3, S1, S2, K1 };
	static const enum victim takers[] = { C1, C2, C3, C4, C5, RULE };
	enum victim v;

	switch (mode) {
	case 0: v = A1; break;
	case 1: v = some[rng_below(r, sizeof some / sizeof *some)]; break;
	case 2: v = takers[rng_below(r, sizeof takers / sizeof *takers)]; break;
	default: v = any[rng_below(r, sizeof any / sizeof *any)];
	}
	return v == A1 && many ? (enum victim)rng_below(r, BROKERS) : v;
}

/* Short mostly; those who take stay away for a while, so that queues follow. */
static uint64_t
choose_pause(struct rng *r, enum victim who, bool many)
{
	if (who >= C1 && who <= C5 && rng_below(r, 2) == 0)
		return rng_below(r, 200000);
	if (who < BROKERS && many && rng_below(r, 4) == 0)
		return rng_below(r, 200000);
	return rng_below(r, 3) == 0 ? rng_below(r, 50000) : 0;
}

static int
by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return x->at_us < y->at_us ? -1 : x->at_us > y->at_us;
}

void
plan_make(struct plan *p, struct rng *r, bool many, enum aim aim)
{
	unsigned mode = (unsigned)rng_below(r, 6);

	if (aim != ANY)
		mode = aim == BROKERS_ONLY ? 0 : 2;
	*p = (struct plan){ .n = 2 + (unsigned)rng_below(r, EVENTS_MAX - 1),
		.length_us = 250000 + rng_below(r, 300000), .restart = rng_below(r, 4) == 0 };
	p->last = (enum rule)rng_below(r, RULES);
	for (unsigned i = 0; i < p->n; i++) {
		struct event *e = &p->events[i];
		*e = (struct event){ .at_us = rng_below(r, p->length_us),
			.who = choose(r, mode, many), .gently = rng_below(r, 8) == 0 };
		e->pause_us = choose_pause(r, e->who, many);
		e->twice = rng_below(r, 3) == 0;
		e->twice_us = rng_below(r, 25000);
		e->rule = (enum rule)rng_below(r, RULES);
		if (many && e->who < BROKERS && rng_below(r, 3) == 0)
			e->also = (unsigned)rng_below(r, 1 << BROKERS);
	}
	qsort(p->events, p->n, sizeof *p->events, by_time);
}
