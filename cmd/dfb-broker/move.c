/*
 * Moves: when the number of a lane's writable queues changes, some keys go to other queues.
 * So that messages of a key keep their order, a group is given nothing of what came to those
 * queues after the change before it has had all that was in the old ones before it.  Messages
 * that failed and wait for another try do not count: they are behind others in any case.
 */
#include <stdlib.h>

#include <jansson.h>

#include "broker.h"
#include "lane.h"

#define MOVES_MAX 256 /* of a topic; another change waits for one to be over */
#define MOVES_KEPT 16 /* when they are over, for groups that read it all again */

/* How far a group is: its cursors on the first `next` old queues have passed. */
struct passing {
	const struct group *group;
	uint32_t next;
};

struct move {
	struct lane *lane;
	uint32_t to, nto;      /* queues that keys went to ... */
	uint32_t from, nfrom;  /* ... and where they had been; places in the lane */
	uint64_t *at;          /* offset of each at the change, nto and then nfrom */
	struct passing *seen;
	size_t nseen;
	TAILQ_ENTRY(move) link;
};

/* ---- passing ---- */

/* Whether all below `end` was delivered and settled, or failed. */
static bool
has_passed(const struct cursor *c, uint64_t end)
{
	uint64_t left;

	if (c->low >= end)
		return true;
	if (c->pos < end)
		return false;
	left = end - c->low;
	for (size_t i = 0; i < c->ndone && c->done[i].from < end; i++)
		left -= (c->done[i].to < end ? c->done[i].to : end) - c->done[i].from;
	for (size_t i = 0; i < c->nretries && c->retries[i].offset < end; i++)
		left--;
	return left == 0;
}

static bool is_past(struct move *, const struct group *);

/* Whether an old queue was itself held then, by an earlier move that is not over: what that
 * waits for comes before this. */
static bool
is_held(const struct move *m, const struct group *g, uint32_t i, uint64_t end)
{
	struct move *e;

	TAILQ_FOREACH(e, &g->topic->moves, link) {
		if (e == m)
			return false;
		if (e->lane == m->lane && i >= e->to && i - e->to < e->nto &&
		    e->at[i - e->to] <= end && !is_past(e, g))
			return true;
	}
	return false;
}

static void
advance(const struct move *m, struct passing *p)
{
	for (; p->next < m->nfrom; p->next++) {
		uint32_t i = m->from + p->next;
		uint64_t end = m->at[m->nto + p->next];

		if ((i < m->lane->kept &&
		    !has_passed(p->group->cursors[m->lane->queues[i]->slot], end)) ||
		    is_held(m, p->group, i, end))
			return;
	}
}

static struct passing *
passing_of(struct move *m, const struct group *g)
{
	struct passing *p;

	for (size_t i = 0; i < m->nseen; i++)
		if (m->seen[i].group == g)
			return &m->seen[i];
	if ((p = reallocarray(m->seen, m->nseen + 1, sizeof *p)) == NULL)
		return NULL;
	m->seen = p;
	p += m->nseen++;
	*p = (struct passing){ g, 0 };
	advance(m, p);
	return p;
}

static bool
is_past(struct move *m, const struct group *g)
{
	struct passing *p = passing_of(m, g);

	return p != NULL && p->next == m->nfrom;
}

/* ---- life cycle ---- */

static void
move_free(struct topic *t, struct move *m)
{
	TAILQ_REMOVE(&t->moves, m, link);
	t->nmoves--;
	free(m->seen);
	free(m->at);
	free(m);
}

static bool
is_over(const struct topic *t, struct move *m)
{
	struct group *g;

	TAILQ_FOREACH(g, &t->groups, link)
		if (!group_is_over(g) && !is_past(m, g))
			return false;
	return !TAILQ_EMPTY(&t->groups);
}

/* Whether nothing is there any more of what was in the old queues. */
static bool
is_history(const struct move *m)
{
	for (uint32_t i = 0; i < m->nfrom && m->from + i < m->lane->kept; i++)
		if (m->lane->queues[m->from + i]->first < m->at[m->nto + i])
			return false;
	return true;
}

static void
prune(struct topic *t)
{
	struct move *m;

	while ((m = TAILQ_FIRST(&t->moves)) != NULL &&
	    (is_history(m) || (t->nmoves > MOVES_KEPT && is_over(t, m))))
		move_free(t, m);
}

static struct move *
move_new(struct topic *t, struct lane *l, uint32_t to, uint32_t nto, uint32_t from,
    uint32_t nfrom)
{
	struct move *m = calloc(1, sizeof *m);

	if (m == NULL || (m->at = calloc(nto + nfrom, sizeof *m->at)) == NULL) {
		free(m);
		return NULL;
	}
	m->lane = l;
	m->to = to;
	m->nto = nto;
	m->from = from;
	m->nfrom = nfrom;
	TAILQ_INSERT_TAIL(&t->moves, m, link);
	t->nmoves++;
	return m;
}

bool
move_begin(struct topic *t, struct lane *l, uint32_t n)
{
	uint32_t old = l->writable;
	bool more = n > old;
	struct move *m;

	if (t->nmoves >= MOVES_MAX)
		return false;
	m = more ? move_new(t, l, old, n - old, 0, old) : move_new(t, l, 0, n, n, old - n);
	if (m == NULL)
		return false;
	for (uint32_t i = 0; i < m->nto; i++)
		m->at[i] = l->queues[m->to + i]->next;
	for (uint32_t i = 0; i < m->nfrom; i++)
		m->at[m->nto + i] = l->queues[m->from + i]->next;
	prune(t);
	return true;
}

void
moves_free(struct topic *t, const struct lane *l)
{
	struct move *m, *next;

	TAILQ_FOREACH_SAFE(m, &t->moves, link, next)
		if (l == NULL || m->lane == l)
			move_free(t, m);
}

void
moves_forget_group(struct topic *t, const struct group *g)
{
	struct move *m;

	TAILQ_FOREACH(m, &t->moves, link)
		for (size_t i = 0; i < m->nseen; i++)
			if (m->seen[i].group == g) {
				m->seen[i] = m->seen[--m->nseen];
				break;
			}
}

/* ---- delivery ---- */

uint64_t
moves_limit(const struct cursor *c, uint64_t limit)
{
	const struct queue *q = c->q;
	uint32_t i = q->index & LANE_QUEUES_MAX;
	struct move *m;

	TAILQ_FOREACH(m, &q->topic->moves, link)
		if (m->lane == q->lane && i >= m->to && i - m->to < m->nto &&
		    c->pos <= m->at[i - m->to] && m->at[i - m->to] < limit &&
		    !is_past(m, c->group))
			limit = m->at[i - m->to];
	return limit;
}

void
moves_advance(struct broker *b, const struct cursor *c)
{
	struct topic *t = c->q->topic;
	uint32_t i = c->q->index & LANE_QUEUES_MAX;
	struct passing *p;
	struct move *m;
	bool over = false;

	TAILQ_FOREACH(m, &t->moves, link) {
		if (m->lane != c->q->lane || (p = passing_of(m, c->group)) == NULL ||
		    p->next == m->nfrom)
			continue;
		/* One that is over may have held others. */
		if (!over && (i < m->from || p->next != i - m->from))
			continue;
		advance(m, p);
		if (p->next < m->nfrom)
			continue;
		over = true;
		for (uint32_t k = 0; k < m->nto && m->to + k < m->lane->kept; k++)
			deliver_ready(b,
			    c->group->cursors[m->lane->queues[m->to + k]->slot]);
	}
	prune(t);
}

/* ---- rows ---- */

int
moves_to_json(const struct topic *t, struct json_t *list)
{
	struct move *m;

	TAILQ_FOREACH(m, &t->moves, link) {
		json_t *at = json_array(), *j;
		for (uint32_t i = 0; i < m->nto + m->nfrom; i++)
			if (json_array_append_new(at, json_integer((json_int_t)m->at[i])) == -1)
				return -1;
		j = json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "lane",
		    (json_int_t)m->lane->number, "to", (json_int_t)m->to, "nto",
		    (json_int_t)m->nto, "from", (json_int_t)m->from, "nfrom",
		    (json_int_t)m->nfrom, "at", at);
		if (json_array_append_new(list, j) == -1)
			return -1;
	}
	return 0;
}

static int
number(const json_t *j, const char *name, uint32_t *out)
{
	json_int_t n = json_integer_value(json_object_get(j, name));

	*out = (uint32_t)n;
	return n >= 0 && n <= LANE_QUEUES_MAX ? 0 : -1;
}

int
moves_from_json(struct topic *t, const struct json_t *list)
{
	size_t k;
	json_t *j;

	json_array_foreach(list, k, j) {
		json_t *at = json_object_get(j, "at");
		uint32_t lane, to, nto, from, nfrom;
		struct lane *l;
		struct move *m;

		if (number(j, "lane", &lane) == -1 || number(j, "to", &to) == -1 ||
		    number(j, "nto", &nto) == -1 || number(j, "from", &from) == -1 ||
		    number(j, "nfrom", &nfrom) == -1 || (l = lane_find(t, lane)) == NULL ||
		    json_array_size(at) != nto + nfrom ||
		    (m = move_new(t, l, to, nto, from, nfrom)) == NULL)
			return -1;
		for (uint32_t i = 0; i < nto + nfrom; i++)
			m->at[i] = (uint64_t)json_integer_value(json_array_get(at, i));
	}
	return 0;
}
