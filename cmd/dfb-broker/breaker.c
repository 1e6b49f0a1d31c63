/* The circuit breaker: a queue that its consumers do not keep up with takes no more. */
#include <stdio.h>

#include "base/log.h"
#include "broker.h"
#include "lane.h"
#include "limits.h"
#include "wire/record.h"

#define WAIT_MIN_MS 5
#define WAIT_MAX_MS 50
#define STEP(max) ((max) / 10 + 1) /* a queue that fills is looked at so often */

/* 70 %, rounded up, and 50 %. */
static uint64_t
warn_at(uint64_t max)
{
	return max - max * 3 / 10;
}

static uint64_t
calm_below(uint64_t max)
{
	return max - max / 2;
}

/* ---- how deep ---- */

static const struct cursor *
least_behind(const struct queue *q, bool broadcast)
{
	const struct cursor *best = NULL;
	const struct group *g;

	TAILQ_FOREACH(g, &q->topic->groups, link) {
		const struct cursor *c = g->cursors[q->slot];
		if (g->nsubs != 0 && !g->halted && g->broadcast == broadcast &&
		    (best == NULL || c->pos > best->pos))
			best = c;
	}
	return best;
}

bool
breaker_depth(const struct queue *q, uint64_t *depth)
{
	const struct cursor *c = least_behind(q, false);

	if (c == NULL && (c = least_behind(q, true)) == NULL)
		return false;
	*depth = c->pos < q->next ? queue_count(q, c->pos, q->next) : 0;
	return true;
}

/* ---- what is said of it ---- */

static void
say(const struct queue *q, enum dfb_log_level level, const char *event, uint64_t depth)
{
	log_event(level, event, "topic=%s queue=%u undelivered=%llu max_depth=%llu",
	    q->topic->name, q->index, (unsigned long long)depth,
	    (unsigned long long)q->topic->set.max_depth);
}

static void
set_filling(struct broker *b, struct queue *q, bool on)
{
	if (q->filling != on)
		b->filling = on ? b->filling + 1 : b->filling - 1;
	q->filling = on;
}

static void
set_shut(struct broker *b, struct queue *q, uint64_t since)
{
	if ((q->shut_ms != 0) != (since != 0))
		b->shut = since != 0 ? b->shut + 1 : b->shut - 1;
	q->shut_ms = since;
}

/* A queue at its limit that gets room for a few, and is full again, is one event. */
static void
note(struct broker *b, struct queue *q, uint64_t depth, uint64_t max)
{
	if (depth >= warn_at(max) && !q->filling) {
		set_filling(b, q, true);
		say(q, DFB_LOG_WARN, "queue-filling", depth);
	} else if (depth < calm_below(max))
		set_filling(b, q, false);
	if (depth >= max && q->shut_ms == 0) {
		set_shut(b, q, b->wall);
		b->n.breaker_opened++;
		say(q, DFB_LOG_WARN, "breaker-open", depth);
	} else if (depth < warn_at(max) && q->shut_ms != 0) {
		set_shut(b, q, 0);
		say(q, DFB_LOG_INFO, "breaker-closed", depth);
	}
}

/* ---- whether it takes a message ---- */

bool
breaker_look(struct broker *b, struct queue *q)
{
	uint64_t max = q->topic->set.max_depth, depth = 0, room;

	if (max == 0 || !breaker_depth(q, &depth)) {
		note(b, q, 0, UINT64_MAX >> 4);
		q->open_until = UINT64_MAX;
		return true;
	}
	note(b, q, depth, max);
	q->open_until = 0;
	if (depth >= max)
		return false;
	room = max - depth;
	if (!q->filling && room > warn_at(max) - depth)
		room = warn_at(max) - depth;
	else if (q->filling && room > STEP(max))
		room = STEP(max);
	q->open_until = q->next + room;
	q->shut_wait = 0;
	return true;
}

static void
refuse(struct broker *b, struct queue *q, const char *more, struct refusal *no)
{
	uint64_t depth = 0;

	breaker_depth(q, &depth);
	q->shut_wait = q->shut_wait == 0 ? WAIT_MIN_MS : q->shut_wait * 2;
	if (q->shut_wait > WAIT_MAX_MS)
		q->shut_wait = WAIT_MAX_MS;
	no->wait_ms = q->shut_wait;
	snprintf(no->why, sizeof no->why, "circuit breaker: queue %u of '%s' has %llu "
	    "undelivered messages%s", q->index, q->topic->name,
	    (unsigned long long)depth, more);
	b->n.breaker_refused++;
}

struct queue *
breaker_choose(struct broker *b, struct queue *q, const struct dfb_record *r,
    struct refusal *no)
{
	struct lane *l = q->lane;

	if (queue_takes(b, q))
		return q;
	if (r->key_len != 0) {
		refuse(b, q, ", and its keys go nowhere else", no);
		return NULL;
	}
	for (uint32_t i = 1; i < l->writable; i++) {
		struct queue *other = l->queues[l->turn++ % l->writable];
		if (queue_takes(b, other))
			return other;
	}
	refuse(b, q, l->writable > 1 ? ", and no other has fewer than its limit" : "", no);
	return NULL;
}

bool
breaker_is_shut(struct broker *b, struct topic *t, struct refusal *no)
{
	struct queue *q = NULL;
	struct lane *l;

	TAILQ_FOREACH(l, &t->lanes, link)
		for (uint32_t i = 0; i < l->writable; i++)
			if (queue_takes(b, q = l->queues[i]))
				return false;
	if (q != NULL)
		refuse(b, q, "", no);
	return q != NULL;
}

/* ---- what changes ---- */

void
breaker_forget(struct topic *t)
{
	for (uint32_t i = 0; i < t->nqueues; i++)
		t->queues[i]->open_until = 0;
}

void
breaker_watch(struct broker *b)
{
	struct topic *t;

	if (b->filling == 0 && b->shut == 0)
		return;
	RB_FOREACH(t, topic_tree, &b->topics)
		for (uint32_t i = 0; i < t->nqueues; i++)
			if (t->queues[i]->filling || t->queues[i]->shut_ms != 0)
				breaker_look(b, t->queues[i]);
}

void
breaker_gone(struct broker *b, struct queue *q)
{
	set_filling(b, q, false);
	set_shut(b, q, 0);
}
