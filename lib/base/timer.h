/* Timers, in the order in which they are due.  The owner asks when the first is due, and runs
 * what is due; it knows no clock itself.  Nothing here needs memory, so nothing fails. */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/tree.h>

/* Embed one per timer; all-zero is an idle one. */
struct dfb_timer {
	uint64_t due;
	uint64_t turn; /* among those due at once: as they were set; 0: idle */
	void (*fn)(struct dfb_timer *, void *arg);
	void *arg;
	RB_ENTRY(dfb_timer) link;
};

/* All-zero has none. */
struct dfb_timers {
	RB_HEAD(dfb_timer_tree, dfb_timer) tree;
	struct dfb_timer *first;
	uint64_t turn;
};

static inline bool
dfb_timer_is_set(const struct dfb_timer *t)
{
	return t->turn != 0;
}

/* Run t->fn once, when the owner's clock has reached due; a timer that is
 * already set is moved. */
void dfb_timer_set(struct dfb_timers *, struct dfb_timer *t, uint64_t due);

/* Make it idle; an idle one is fine. */
void dfb_timer_stop(struct dfb_timers *, struct dfb_timer *);

/* When the first is due; UINT64_MAX when there is none. */
uint64_t dfb_timers_next(const struct dfb_timers *);

/* Run all that are due at now.  Timers may set and stop timers.  The number run. */
unsigned dfb_timers_run(struct dfb_timers *, uint64_t now);

#endif
