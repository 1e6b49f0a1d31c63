/* Messages that nobody listens to: noticed in the turn of upkeep, and told. */
#include <stdio.h>

#include "base/log.h"
#include "base/parse.h"
#include "broker.h"
#include "limits.h"

#define AGAIN_MS 600000

/* Where messages wait; queue NULL: in all of the topic's. */
struct place {
	const struct topic *t;
	const struct group *g;
	const struct queue *q;
};

static void
say(enum dfb_log_level level, const char *event, const struct place *at, const char *more)
{
	char queue[16] = "all";

	if (at->q != NULL || at->t->nqueues == 1)
		snprintf(queue, sizeof queue, "%u",
		    (at->q != NULL ? at->q : at->t->queues[0])->index);
	log_event(level, event, "topic=%s queue=%s group=%s %s", at->t->name, queue,
	    at->g != NULL ? dfb_log_quote(at->g->name) : "\"\"", more);
}

static void
step(struct broker *b, struct deaf *d, const struct place *at, uint64_t waiting)
{
	char more[64], time[16];

	if (waiting == 0) {
		if (d->said_ms != 0) {
			snprintf(more, sizeof more, "after=%s",
			    dfb_format_duration(b->wall - d->since_ms, time));
			say(DFB_LOG_INFO, "listened", at, more);
		}
		*d = (struct deaf){ 0 };
		return;
	}
	if (d->since_ms == 0)
		d->since_ms = b->wall;
	if (d->said_ms == 0 ? b->wall >= d->since_ms + b->cf.unlistened_ms :
	    b->wall >= d->said_ms + AGAIN_MS) {
		d->said_ms = b->wall;
		snprintf(more, sizeof more, "waiting=%llu", (unsigned long long)waiting);
		say(DFB_LOG_WARN, "unlistened", at, more);
	}
	b->unlistened += d->said_ms != 0;
}

static void
look_at_group(struct broker *b, struct topic *t, struct group *g)
{
	uint64_t all = 0, n;

	for (uint32_t i = 0; i < t->nqueues; i++) {
		struct cursor *c = g->cursors[i];
		n = c->owner == NULL ? cursor_waiting(c) : 0;
		all += n;
		if (g->nsubs == 0)
			c->deaf = (struct deaf){ 0 }; /* told of all queues together */
		else if (n != 0 || c->deaf.since_ms != 0)
			step(b, &c->deaf, &(struct place){ t, g, c->q }, n);
	}
	step(b, &g->deaf, &(struct place){ t, g, NULL }, g->nsubs == 0 ? all : 0);
}

void
watch_turn(struct broker *b)
{
	struct topic *t;
	struct group *g;

	b->unlistened = 0;
	RB_FOREACH(t, topic_tree, &b->topics) {
		uint64_t stored = 0;
		bool any = false;
		if (t->name[0] == '%')
			continue;
		TAILQ_FOREACH(g, &t->groups, link) {
			any = true;
			look_at_group(b, t, g);
		}
		for (uint32_t i = 0; !any && i < t->nqueues; i++)
			stored += queue_count(t->queues[i], t->queues[i]->first,
			    t->queues[i]->next);
		step(b, &t->deaf, &(struct place){ t, NULL, NULL }, stored);
	}
}
