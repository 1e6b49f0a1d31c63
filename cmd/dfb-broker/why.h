/* Findings of the verb why. */
#ifndef WHY_H
#define WHY_H

#include "broker.h"

struct why {
	struct broker *b;
	struct topic *t;
	uint64_t stuck_ms;       /* a consumer that acknowledges nothing for so long is stuck */
	struct json_t *findings;
	bool held;               /* something holds messages */
};

/* What a finding is about: what is known; wall ms since when. */
struct about {
	const struct queue *q;
	const struct group *g;
	const struct sub *u;
	uint64_t since_ms;
};

/* Held: messages wait because of it.  Watch: they may, soon.  Note: good to know. */
enum why_weight { WHY_HELD, WHY_WATCH, WHY_NOTE };

/* Add one.  remedy: what can be done, or "". */
void why_add(struct why *, enum why_weight, const char *code, const struct about *,
    const char *remedy, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* why_group.c: what there is about a group; its messages that are not settled. */
uint64_t why_group(struct why *, struct group *);

#endif
