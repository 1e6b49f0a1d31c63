/* Timers in a binary heap.  The owner asks when the first is due, and runs what
 * is due; it knows no clock itself. */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stddef.h>
#include <stdint.h>

/* Embed one per timer; all-zero is an idle one. */
struct dfb_timer {
	uint64_t due;
	size_t slot; /* place in the heap + 1; 0: idle */
	void (*fn)(struct dfb_timer *, void *arg);
	void *arg;
};

struct dfb_timers {
	struct dfb_timer **heap;
	size_t n, cap;
};

void dfb_timers_release(struct dfb_timers *);

/* Run t->fn once, when the owner's clock has reached due; a timer that is
 * already set is moved.  0, or -1 with errno ENOMEM (unchanged then). */
int dfb_timer_set(struct dfb_timers *, struct dfb_timer *t, uint64_t due);

/* Make it idle; an idle one is fine. */
void dfb_timer_stop(struct dfb_timers *, struct dfb_timer *);

/* When the first is due; UINT64_MAX when there is none. */
uint64_t dfb_timers_next(const struct dfb_timers *);

/* Run all that are due at now.  Timers may set and stop timers.  The number run. */
unsigned dfb_timers_run(struct dfb_timers *, uint64_t now);

#endif
