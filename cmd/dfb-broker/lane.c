/* Lanes: the queues of a topic that take the same messages, and which of them takes one. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "broker.h"
#include "disk.h"
#include "lane.h"
#include "store/store.h"
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

struct lane *
lane_find(const struct topic *t, uint32_t number)
{
	struct lane *l;

	TAILQ_FOREACH(l, &t->lanes, link)
		if (l->number == number)
			return l;
	return NULL;
}

struct queue *
topic_queue(const struct topic *t, uint32_t index)
{
	uint32_t i = index & LANE_QUEUES_MAX;
	struct lane *l = lane_find(t, index >> LANE_SHIFT);

	return l != NULL && i < l->kept ? l->queues[i] : NULL;
}

struct queue *
topic_nth_queue(const struct topic *t, uint32_t n)
{
	struct queue *q = topic_queue(t, n);
	struct lane *l;

	if (q != NULL)
		return q;
	TAILQ_FOREACH(l, &t->lanes, link) {
		if (n < l->kept)
			return l->queues[n];
		n -= l->kept;
	}
	return NULL;
}

uint32_t
queue_ordinal(const struct queue *q)
{
	uint32_t n = q->index & LANE_QUEUES_MAX;
	struct lane *l;

	TAILQ_FOREACH(l, &q->topic->lanes, link) {
		if (l == q->lane)
			break;
		n += l->kept;
	}
	return n;
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
	if ((p = reallocarray(l->queues, l->kept + 1, sizeof(struct queue *))) == NULL)
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

/* Of a queue that was removed; NULL. */
static struct floor *
find_floor(const struct topic *t, uint32_t index)
{
	for (size_t i = 0; i < t->nfloors; i++)
		if (t->floors[i].index == index)
			return &t->floors[i];
	return NULL;
}

int
topic_floor(struct topic *t, uint32_t index, uint64_t floor)
{
	struct floor *f = find_floor(t, index);

	if (f == NULL) {
		if ((f = reallocarray(t->floors, t->nfloors + 1, sizeof *f)) == NULL)
			return -1;
		t->floors = f;
		f += t->nfloors++;
	}
	*f = (struct floor){ index, floor };
	return 0;
}

static int
add_queue(struct broker *b, struct topic *t, struct lane *l)
{
	const struct floor *f;
	struct group *g;
	struct queue *q;

	if (make_room(t, l) == -1 ||
	    (q = queue_new(t, l, l->number << LANE_SHIFT | l->kept)) == NULL)
		return -1;
	q->slot = t->nqueues;
	if ((f = find_floor(t, q->index)) != NULL)
		q->first = q->next = q->committed = q->gap_from = q->gap_to = f->at;
	TAILQ_FOREACH(g, &t->groups, link) {
		if ((g->cursors[q->slot] = cursor_new(b, g, q)) == NULL)
			fail_stop(b, "no memory for a queue");
		commit_dirty_cursor(b, g->cursors[q->slot]);
	}
	t->queues[t->nqueues++] = q;
	l->queues[l->kept++] = q;
	return 0;
}

int
lane_add(struct broker *b, struct topic *t, struct lane *l, uint32_t n)
{
	uint32_t before = l->readable;
	struct group *g;
	int rc = 0;

	while (rc == 0 && l->readable < n)
		if (l->readable < l->kept || (rc = add_queue(b, t, l)) == 0)
			l->readable++;
	if (l->readable != before)
		TAILQ_FOREACH(g, &t->groups, link)
			group_balance(b, g);
	return rc;
}

/* ---- shrinking ---- */

static void
forget_cursor(struct broker *b, struct group *g, struct cursor *c, struct dfb_batch *batch)
{
	struct dfb_buf key = { 0 };

	if (g->kept) {
		cursor_row_key(c, &key);
		if (key.data == NULL ||
		    dfb_batch_del(batch, T_OFFSETS, key.data, key.len) == -1)
			fail_stop(b, "no memory to remove a queue");
		dfb_buf_release(&key);
	}
	cursor_free(b, c);
}

void
lane_remove_last(struct broker *b, struct topic *t, struct lane *l)
{
	struct queue *q = l->queues[l->kept - 1], *last = t->queues[t->nqueues - 1];
	struct dfb_batch *batch = commit_batch(b, true);
	struct group *g;

	/* Offsets never run backwards: also when it comes back, or its lane does. */
	if (topic_floor(t, q->index, q->next) == -1 || (t->set.durability != DFB_MEMORY &&
	    queue_floor_row(batch, q, q->next) == -1))
		fail_stop(b, "no memory to remove a queue");
	TAILQ_FOREACH(g, &t->groups, link) {
		struct cursor *c = g->cursors[q->slot];
		g->cursors[q->slot] = g->cursors[last->slot];
		forget_cursor(b, g, c, batch);
	}
	t->queues[q->slot] = last;
	last->slot = q->slot;
	t->nqueues--;
	l->kept--;
	queue_free(b, q);
	TAILQ_FOREACH(g, &t->groups, link)
		group_balance(b, g);
}

/* ---- choosing ---- */

/*
 * A key's place among n, such that with one place more a share of 1/n of the keys moves, all
 * of them to the new place (jump consistent hashing, Lamping and Veach, 2014): the places that
 * a key would move to as n grows are random, each on average twice the one before.
 */
static uint32_t
place_of(uint64_t hash, uint32_t n)
{
	uint32_t place = 0;
	double next = 0;

	while (next < n) {
		place = (uint32_t)next;
		hash = hash * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		next = (place + 1.0) * 0x1p31 / ((double)(hash >> 33) + 1);
	}
	return place;
}

struct queue *
queue_choose(struct topic *t, const struct dfb_record *r)
{
	struct lane *l = TAILQ_EMPTY(&t->gray) ? lane_first(t) : gray_lane(t, r);

	if (l->writable == 1)
		return l->queues[0];
	if (r->key_len != 0)
		return l->queues[place_of(dfb_hash(r->key, r->key_len), l->writable)];
	return l->queues[l->turn++ % l->writable];
}
