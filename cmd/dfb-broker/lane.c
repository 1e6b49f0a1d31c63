/* Lanes: the queues of a topic that take the same messages, and which of them takes one. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "broker.h"
#include "wire/record.h"

struct lane *
lane_new(struct topic *t, uint32_t number, const char *label)
{
	struct lane *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	l->number = number;
	snprintf(l->label, sizeof l->label, "%s", label);
	TAILQ_INSERT_TAIL(&t->lanes, l, link);
	return l;
}

void
lane_free(struct topic *t, struct lane *l)
{
	TAILQ_REMOVE(&t->lanes, l, link);
	free(l->queues);
	free(l);
}

struct lane *
lane_first(const struct topic *t)
{
	return TAILQ_FIRST(&t->lanes);
}

struct queue *
topic_queue(const struct topic *t, uint32_t index)
{
	uint32_t i = index & LANE_QUEUES_MAX;
	struct lane *l;

	TAILQ_FOREACH(l, &t->lanes, link)
		if (l->number == index >> LANE_SHIFT)
			return i < l->readable ? l->queues[i] : NULL;
	return NULL;
}

/* ---- growing ---- */

/* Room for one queue more in all lists; they may be larger than they say. */
static int
make_room(struct topic *t, struct lane *l)
{
	struct queue **p;
	struct group *g;

	if ((p = reallocarray(t->queues, t->nqueues + 1, sizeof(struct queue *))) == NULL)
		return -1;
	t->queues = p;
	if ((p = reallocarray(l->queues, l->readable + 1, sizeof(struct queue *))) == NULL)
		return -1;
	l->queues = p;
	TAILQ_FOREACH(g, &t->groups, link) {
		struct cursor **c = reallocarray(g->cursors, t->nqueues + 1,
		    sizeof(struct cursor *));
		if (c == NULL)
			return -1;
		g->cursors = c;
	}
	return 0;
}

static int
add_queue(struct broker *b, struct topic *t, struct lane *l)
{
	struct group *g;
	struct queue *q;

	if (make_room(t, l) == -1 ||
	    (q = queue_new(t, l, l->number << LANE_SHIFT | l->readable)) == NULL)
		return -1;
	q->slot = t->nqueues;
	TAILQ_FOREACH(g, &t->groups, link) {
		if ((g->cursors[q->slot] = cursor_new(b, g, q)) == NULL)
			fail_stop(b, "no memory for a queue");
		commit_dirty_cursor(b, g->cursors[q->slot]);
	}
	t->queues[t->nqueues++] = q;
	l->queues[l->readable++] = q;
	return 0;
}

int
lane_grow(struct broker *b, struct topic *t, struct lane *l, uint32_t n)
{
	struct group *g;
	int rc = 0;

	while (rc == 0 && l->readable < n)
		rc = add_queue(b, t, l);
	l->writable = l->readable;
	TAILQ_FOREACH(g, &t->groups, link)
		group_balance(b, g);
	return rc;
}

/* ---- choosing ---- */

struct queue *
queue_choose(struct topic *t, const struct dfb_record *r)
{
	struct lane *l = lane_first(t);

	if (l->writable == 1)
		return l->queues[0];
	if (r->key_len != 0)
		return l->queues[dfb_hash(r->key, r->key_len) % l->writable];
	return l->queues[l->turn++ % l->writable];
}
