/* Findings of the verb why about a group, its consumers and its failures. */
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "lane.h"
#include "why.h"

#define EACH_MAX 10

static unsigned long long
ull(uint64_t n)
{
	return n;
}

/* ---- consumers ---- */

static const char *
label(const struct sub *u)
{
	return u->instance[0] != '\0' ? u->instance : u->session->who;
}

static bool
any_near(const struct group *g)
{
	const struct sub *u;

	TAILQ_FOREACH(u, &g->subs, in_group)
		if (u->near)
			return true;
	return false;
}

static void
look_at_sub(struct why *w, const struct group *g, const struct sub *u)
{
	uint64_t idle = w->b->now - u->moved_ms;
	struct about at = { .g = g, .u = u };
	char time[16];

	if (session_is_blocked(u->session))
		why_add(w, WHY_HELD, "slow-consumer", &at, "look at that process and the "
		    "network to it", "consumer %s of group '%s' does not read: %zu bytes wait "
		    "for it", label(u), g->name, u->session->backlog_bytes);
	else if (u->out != 0 && idle >= w->stuck_ms) {
		at.since_ms = w->b->wall - idle;
		why_add(w, WHY_HELD, u->out >= u->credit ? "credit" : "unacknowledged", &at,
		    "look at its handler; kill the process, and others get what it holds",
		    "consumer %s of group '%s' holds %llu messages%s and has acknowledged "
		    "nothing for %s", label(u), g->name, ull(u->out),
		    u->out >= u->credit ? ", all that it may," : "",
		    dfb_format_duration(idle, time));
	}
	if (u->queues != 0 || g->broadcast)
		return;
	if (!u->near && any_near(g))
		why_add(w, WHY_NOTE, "far", &at, "", "consumer %s of group '%s' is in region "
		    "%s and gets nothing while those of %s are there", label(u), g->name,
		    u->session->region, w->b->cf.region);
	else
		why_add(w, WHY_NOTE, "idle", &at, "give the topic more queues: dfb-ctl topic "
		    "set --queues N", "consumer %s of group '%s' has no queue: the others "
		    "have them all", label(u), g->name);
}

static void
look_at_subs(struct why *w, const struct group *g)
{
	const struct sub *u;
	unsigned n = 0;

	TAILQ_FOREACH(u, &g->subs, in_group)
		if (n++ < EACH_MAX)
			look_at_sub(w, g, u);
	if (g->nsubs != 0 && !any_near(g))
		why_add(w, WHY_NOTE, "nobody-near", &(struct about){ .g = g }, "", "group '%s' "
		    "has no consumer in region %s: those of %s serve it", g->name,
		    w->b->cf.region, TAILQ_FIRST(&g->subs)->session->region);
}

/* ---- queues that nobody has ---- */

static void
look_at_owners(struct why *w, const struct group *g)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < w->t->nqueues; i++) {
		const struct cursor *c = g->cursors[i];
		struct about at = { c->q, g, NULL, c->deaf.since_ms };
		uint64_t waiting;
		if (c->owner != NULL || (waiting = cursor_waiting(c)) == 0 || n++ >= EACH_MAX)
			continue;
		if (c->q->lane->label[0] != '\0')
			why_add(w, WHY_HELD, "no-label", &at, "start a consumer with that "
			    "label, or change the rule that sends messages there",
			    "%llu messages of label '%s' wait in queue %u, and no consumer of "
			    "group '%s' has that label", ull(waiting), c->q->lane->label,
			    c->q->index, g->name);
		else
			why_add(w, WHY_HELD, "unlistened", &at, "start another consumer of the "
			    "group", "%llu messages wait in queue %u, and no consumer of group "
			    "'%s' may have it", ull(waiting), c->q->index, g->name);
	}
}

/* See move.c: a queue may have to wait until others are further. */
static void
look_at_order(struct why *w, const struct group *g)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < w->t->nqueues && n < EACH_MAX; i++) {
		const struct cursor *c = g->cursors[i];
		uint64_t limit = queue_limit(c->q);
		if (c->owner == NULL || c->pos >= limit || moves_limit(c, limit) > c->pos)
			continue;
		n++;
		why_add(w, WHY_WATCH, "order", &(struct about){ .q = c->q, .g = g },
		    "look at what holds the topic's other queues", "queue %u waits until group "
		    "'%s' has had what is older in others: keys moved, and keep their order",
		    c->q->index, g->name);
	}
}

/* ---- failures ---- */

static void
look_at_retries(struct why *w, const struct group *g)
{
	uint64_t n = 0, due = UINT64_MAX;
	char time[16], reason[200] = "";

	for (uint32_t i = 0; i < w->t->nqueues; i++) {
		const struct cursor *c = g->cursors[i];
		for (size_t k = 0; k < c->nretries; k++) {
			const struct retry *r = &c->retries[k];
			if (r->out || r->dying)
				continue;
			n++;
			if (r->due < due)
				due = r->due;
		}
	}
	if (g->last_why[0] != '\0')
		snprintf(reason, sizeof reason, "; the last failed with: %s", g->last_why);
	if (n != 0)
		why_add(w, WHY_HELD, "retries", &(struct about){ .g = g }, "look at the handler: "
		    "after the last try a message goes to the dead letters",
		    "%llu messages of group '%s' failed and wait for another try, the next "
		    "in %s%s", ull(n), g->name,
		    dfb_format_duration(due > w->b->wall ? due - w->b->wall : 0, time), reason);
	if (g->dead_letters != 0)
		why_add(w, WHY_WATCH, "dead-letters", &(struct about){ .g = g },
		    "dfb-ctl dlq show lists them with their reasons",
		    "%llu messages of group '%s' became dead letters since the broker started%s",
		    ull(g->dead_letters), g->name, reason);
}

uint64_t
why_group(struct why *w, struct group *g)
{
	struct about at = { .g = g, .since_ms = g->deaf.since_ms };
	uint64_t waiting = 0;
	char remedy[768];

	for (uint32_t i = 0; i < w->t->nqueues; i++)
		waiting += cursor_waiting(g->cursors[i]);
	if (g->paused_ms != 0) {
		snprintf(remedy, sizeof remedy, "dfb-ctl group resume %s %s", w->t->name,
		    g->name);
		why_add(w, WHY_HELD, "paused", &(struct about){ .g = g,
		    .since_ms = g->paused_ms }, remedy, "an operator paused group '%s'", g->name);
	}
	if (g->nsubs == 0) {
		snprintf(remedy, sizeof remedy, "start a consumer, like dfb-recv -g %s %s; or, "
		    "when nobody needs it: dfb-ctl group delete %s %s", g->name, w->t->name,
		    w->t->name, g->name);
		why_add(w, waiting != 0 ? WHY_HELD : WHY_NOTE, "no-consumers", &at, remedy,
		    "group '%s' has no consumer, %llu messages wait for it", g->name,
		    ull(waiting));
	} else {
		look_at_owners(w, g);
		look_at_order(w, g);
		look_at_subs(w, g);
	}
	look_at_retries(w, g);
	return waiting;
}
