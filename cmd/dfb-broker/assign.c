/*
 * Assignment: which subscription of a group has which queue.  In each lane those who may
 * have its queues are put in order, and the queues of all brokers of the topic, one broker
 * after the other, are dealt to them in turn: so the counts of two of them differ by one at
 * most, over all brokers, and no broker needs to ask another.  Only the counts follow from
 * that; a queue stays where it is as long as its owner has not too many.
 */
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "disk.h"
#include "lane.h"

static int
order(const void *a, const void *b)
{
	const struct sub *x = *(struct sub *const *)a, *y = *(struct sub *const *)b;
	int c = strcmp(x->instance, y->instance);

	if (c == 0)
		c = memcmp(x->session->client.b, y->session->client.b,
		    sizeof x->session->client.b);
	if (c == 0)
		c = x->handle < y->handle ? -1 : x->handle > y->handle;
	return c;
}

/* Those of a label: the near ones, or when there are none the others. */
static size_t
with_label(const struct group *g, const char *label, struct sub **list)
{
	struct sub *u;
	size_t n = 0;

	TAILQ_FOREACH(u, &g->subs, in_group)
		if (u->near && strcmp(u->label, label) == 0)
			list[n++] = u;
	if (n == 0)
		TAILQ_FOREACH(u, &g->subs, in_group)
			if (strcmp(u->label, label) == 0)
				list[n++] = u;
	return n;
}

/* Who may have the queues of a lane. */
static size_t
eligible(const struct group *g, const struct lane *l, struct sub **list)
{
	struct sub *u;
	size_t n = 0;

	if (!g->broadcast) {
		if (!l->ending)
			n = with_label(g, l->label, list);
		/* A group that never had an instance of the label does not know of it. */
		if (n == 0 && l->number != 0 &&
		    (l->ending || l->fallback || !group_had_label(g, l->label)))
			n = with_label(g, "", list);
		return n;
	}
	TAILQ_FOREACH(u, &g->subs, in_group)
		list[n++] = u;
	return n;
}

static struct cursor *
cursor_at(const struct group *g, const struct lane *l, uint32_t i)
{
	return g->cursors[l->queues[i]->slot];
}

/* Queues stay with who has them, as many as he is to have. */
static void
keep(const struct group *g, const struct lane *l, bool busy)
{
	for (uint32_t i = 0; i < l->readable; i++) {
		struct cursor *c = cursor_at(g, l, i);
		struct sub *u = c->heir != NULL ? c->heir : c->owner;
		if (u == NULL || c->stays || (c->out != 0) != busy || u->have >= u->want)
			continue;
		c->stays = true;
		u->have++;
	}
}

/* A queue with messages out moves when they are settled: nothing is delivered twice. */
static void
give(struct broker *b, struct cursor *c, struct sub *u)
{
	u->have++;
	if (c->owner == u)
		c->heir = NULL;
	else if (c->owner != NULL && c->out != 0)
		c->heir = u;
	else {
		c->owner = u;
		c->heir = NULL;
		c->epoch++;
		deliver_ready(b, c);
	}
}

/* A queue behind the readable ones has an owner as long as the group has not had all of it. */
static void
finish(struct broker *b, struct group *g, const struct lane *l, struct sub **list, size_t n)
{
	for (uint32_t i = l->readable; i < l->kept; i++) {
		struct cursor *c = cursor_at(g, l, i);
		struct sub *u = c->heir != NULL ? c->heir : c->owner;
		size_t k = 0;

		while (k < n && list[k] != u)
			k++;
		if (c->low < c->q->next)
			give(b, c, list[k < n ? k : i % n]);
		else if (u != NULL && c->out == 0 && c->jobs == 0) {
			c->owner = c->heir = NULL;
			c->epoch++;
		} else if (k < n)
			u->have++;
	}
}

static void
balance_lane(struct broker *b, struct group *g, const struct lane *l, struct sub **list)
{
	size_t n = eligible(g, l, list), k = 0;
	uint32_t q = l->readable;
	struct sub *u;

	TAILQ_FOREACH(u, &g->subs, in_group)
		u->want = u->have = 0;
	if (n == 0)
		return;
	qsort(list, n, sizeof *list, order);
	for (size_t i = 0; i < n; i++)
		list[i]->want = (unsigned)(q / n +
		    ((i + n - g->topic->before % n) % n < q % n));
	for (uint32_t i = 0; i < q; i++)
		cursor_at(g, l, i)->stays = false;
	keep(g, l, true);
	keep(g, l, false);
	for (uint32_t i = 0; i < q; i++) {
		if (cursor_at(g, l, i)->stays)
			continue;
		while (list[k]->have >= list[k]->want)
			k++;
		give(b, cursor_at(g, l, i), list[k]);
	}
	finish(b, g, l, list, n);
	for (size_t i = 0; i < n; i++)
		list[i]->queues += list[i]->have;
}

void
group_balance(struct broker *b, struct group *g)
{
	struct sub **list, *u;
	struct lane *l;

	if (g->nsubs == 0)
		return;
	if ((list = reallocarray(NULL, g->nsubs, sizeof(struct sub *))) == NULL)
		fail_stop(b, "no memory to assign queues");
	TAILQ_FOREACH(u, &g->subs, in_group)
		u->queues = 0;
	TAILQ_FOREACH(l, &g->topic->lanes, link)
		balance_lane(b, g, l, list);
	free(list);
	TAILQ_FOREACH(u, &g->subs, in_group)
		u->drained = false;
	TAILQ_FOREACH(u, &g->subs, in_group)
		deliver_sub(b, u);
}
