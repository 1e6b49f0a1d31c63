/*
 * Queues that follow consumers, and lanes: a key may go to another queue, but no group is
 * given what came after that before it has settled what came before.  Sender, key, broker and
 * lane make a line of messages (possible duplicates apart); of two of them in different
 * queues, the first must have been settled, or given back, before the second is delivered
 * for the first time.
 */
#include <stdlib.h>
#include <string.h>

#include "checker.h"
#include "ledger.h"

#define BY(x, y) do { if ((x) != (y)) return (x) < (y) ? -1 : 1; } while (0)
#define QUEUES_MAX 32 /* of a lane, that one key went to */

/* A message in a group: when it first came, when it was first settled. */
struct entry {
	const struct line *x;
	int group;
	uint64_t got, settled;
};

struct queue {
	uint32_t place;
	const struct entry *last; /* to be settled, of those so far */
};

static int
by_line(const void *p, const void *q)
{
	const struct entry *a = p, *b = q;

	BY(a->group, b->group);
	BY(a->x->topic, b->x->topic);
	BY(PLACE_BROKER(a->x->place), PLACE_BROKER(b->x->place));
	BY(LANE_OF(a->x->place), LANE_OF(b->x->place));
	BY(a->x->sender, b->x->sender);
	BY(a->x->a % KEYS, b->x->a % KEYS);
	BY(a->x->a, b->x->a);
	return 0;
}

static bool
same_line(const struct entry *a, const struct entry *b)
{
	return a->group == b->group && a->x->topic == b->x->topic &&
	    PLACE_BROKER(a->x->place) == PLACE_BROKER(b->x->place) &&
	    LANE_OF(a->x->place) == LANE_OF(b->x->place) && a->x->sender == b->x->sender &&
	    a->x->a % KEYS == b->x->a % KEYS;
}

/* The lines of a place are together, sorted by time. */
static size_t
gather(const struct world *w, struct entry *v)
{
	size_t n = 0;

	for (size_t i = 0; i < w->deliveries.n; i++) {
		const struct line *x = &w->deliveries.v[i];
		int group = w->procs[x->proc].group;
		struct entry *e = n != 0 ? &v[n - 1] : NULL;

		if (e == NULL || e->group != group || e->x->topic != x->topic ||
		    e->x->place != x->place || e->x->offset != x->offset) {
			if (x->kind != 'g' || x->maybe)
				continue;
			v[n++] = (struct entry){ x, group, x->t, UINT64_MAX };
		} else if (x->kind != 'g' && e->settled == UINT64_MAX)
			e->settled = x->t;
	}
	return n;
}

static bool
counts(const struct world *w, const struct entry *e)
{
	const struct topic *t = &w->topics[e->x->topic];

	return t->durability == COMMIT && !t->loose && !w->groups[e->group].fresh &&
	    w->procs[e->x->sender].kind != 'K'; /* calls have no keys */
}

/* One line, in the order of sending. */
static void
check_line(struct world *w, const struct entry *v, size_t n)
{
	struct queue q[QUEUES_MAX];
	size_t nq = 0, k;

	for (size_t i = 0; i < n; i++) {
		const struct entry *e = &v[i], *late = NULL;
		for (k = 0; k < nq; k++)
			if (q[k].place != e->x->place && q[k].last->settled > e->got)
				late = q[k].last;
		if (late != NULL)
			red(w, "key-order", "%s of group %s got %s (%s:%llu), and %s (%llu, the "
			    "same key) was not settled", w->procs[e->x->proc].name,
			    w->groups[e->group].name, where(w, e->x),
			    w->procs[e->x->sender].name, ULL(e->x->a), where(w, late->x),
			    ULL(late->x->a));
		for (k = 0; k < nq && q[k].place != e->x->place; k++)
			;
		if (k == nq && nq < QUEUES_MAX)
			q[nq++] = (struct queue){ e->x->place, e };
		else if (k < nq && q[k].last->settled < e->settled)
			q[k].last = e;
	}
}

/* Only those of the rules' keys have a label, and only they go to a label's instances. */
static void
check_label(struct world *w, const struct line *x)
{
	const char *keys = w->topics[x->topic].labelled;

	if (x->kind != 'g' || (keys != NULL && strchr(keys, (int)('0' + x->a % KEYS)) != NULL))
		return;
	if (LANE_OF(x->place) != 0 || (keys != NULL && w->procs[x->proc].label != NULL))
		red(w, "label", "%s got %s (%s:%llu), which no rule gives a label",
		    w->procs[x->proc].name, where(w, x), w->procs[x->sender].name, ULL(x->a));
}

void
check_keys(struct world *w)
{
	struct entry *v = calloc(w->deliveries.n + 1, sizeof *v);
	size_t n, k;

	if (v == NULL)
		die("out of memory");
	n = gather(w, v);
	qsort(v, n, sizeof *v, by_line);
	for (size_t i = 0; i < n; i += k) {
		for (k = 1; i + k < n && same_line(&v[i], &v[i + k]); k++)
			;
		if (counts(w, &v[i]))
			check_line(w, &v[i], k);
	}
	for (size_t i = 0; i < w->deliveries.n; i++)
		check_label(w, &w->deliveries.v[i]);
	free(v);
}
