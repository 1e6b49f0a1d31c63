/* What happens in a round, all chosen before it begins, from a seed. */
#ifndef CRASH_PLAN_H
#define CRASH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"

#define EVENTS_MAX 10

/* Who can be struck.  A bus has one broker, A1, or two in each of two regions. */
enum victim { A1, A2, B1, B2, NAMES, P1, P2, O1, O2, C1, C2, C3, C4, C5, S1, S2, K1, PROCS,
	RULE = PROCS, /* no process: the rule for the label changes */
	PAUSE };      /* deliveries of a topic stop or go on */
#define BROKERS 4

/* What becomes of messages of the label. */
enum rule { NO_RULE, FALLBACK, REFUSE, RULES };

struct event {
	uint64_t at_us;         /* since the round began */
	enum victim who;
	unsigned also;          /* brokers struck with it, a bit each */
	bool gently;            /* SIGTERM and wait */
	uint64_t pause_us;      /* until it is started again */
	bool twice;             /* killed again while it starts */
	uint64_t twice_us;
	enum rule rule;
};

struct plan {
	unsigned n;
	struct event events[EVENTS_MAX];
	uint64_t length_us;
	bool restart;           /* brokers are stopped and started before the draining */
	enum rule last;         /* the rule then */
};

/* Who is struck: those of a round's choice, or always brokers, or always those who take. */
enum aim { ANY, BROKERS_ONLY, TAKERS };

/* many: four brokers. */
void plan_make(struct plan *, struct rng *, bool many, enum aim);

#endif
