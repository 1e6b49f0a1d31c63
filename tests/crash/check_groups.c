/* Groups: what is delivered again was not settled, nothing is passed over, no step back. */
#include <stdlib.h>
#include <string.h>

#include "checker.h"
#include "ledger.h"

#define BY(x, y) do { if ((x) != (y)) return (x) < (y) ? -1 : 1; } while (0)

static uint64_t
before(uint64_t t)
{
	return t > SLACK_NS ? t - SLACK_NS : 0;
}

/* When a consumer left a topic in order with its acknowledgements stored, after t; or was
 * about to leave (kind l).  0: not. */
static uint64_t
left(const struct world *w, int proc, int topic, char kind, uint64_t t)
{
	for (size_t i = 0; i < w->leaves.n; i++) {
		const struct line *x = &w->leaves.v[i];
		if (x->proc == proc && x->topic == topic && x->kind == kind && x->t >= t &&
		    (kind != 'x' || x->b == 0))
			return x->t;
	}
	return 0;
}

/* Whether an acknowledgement written down at t may be unknown to the broker at t2. */
static bool
ack_may_be_lost(const struct world *w, const struct line *ack, uint64_t t2)
{
	const struct end *e = w->procs[ack->proc].end;
	uint64_t stored = left(w, ack->proc, ack->topic, 'x', ack->t);
	uint64_t until = ack->t + SLACK_NS < t2 ? ack->t + SLACK_NS : t2;

	if (stored != 0 && stored < until)
		until = stored; /* what comes later is no excuse */
	if (broker_ended(w, PLACE_BROKER(ack->place), before(ack->t), until, true))
		return true;
	if (stored != 0)
		return false;
	if (e != NULL && e->from <= until)
		return true;
	/* It left, and was told that they may not have arrived. */
	return left(w, ack->proc, ack->topic, 'l', 0) != 0 &&
	    left(w, ack->proc, ack->topic, 'l', 0) <= t2;
}

/* Whether what got was and nobody settled may come again at t2. */
static bool
may_come_again(const struct world *w, const struct line *got, const struct line *again)
{
	const struct end *e = w->procs[got->proc].end;
	uint64_t l;

	if (got->proc == again->proc && got->session == again->session)
		return false;
	if (broker_ended(w, PLACE_BROKER(got->place), before(got->t), again->t, true) ||
	    (e != NULL && e->from <= again->t))
		return true;
	l = left(w, got->proc, got->topic, 'l', 0);
	return l != 0 && l <= again->t;
}

static bool
same_place(const struct world *w, const struct line *a, const struct line *b)
{
	return w->procs[a->proc].group == w->procs[b->proc].group && a->topic == b->topic &&
	    a->place == b->place && a->offset == b->offset;
}

/* One message in one group: its lines in the order of time. */
static void
check_place(struct world *w, struct line *v, size_t n)
{
	struct line *got = NULL, *settled = NULL;

	for (size_t i = 0; i < n; i++) {
		struct line *x = &v[i];
		if (x->kind != 'g') {
			if (got != NULL && x->proc == got->proc)
				settled = x;
			continue;
		}
		if (got != NULL) {
			bool fine = settled == NULL ? may_come_again(w, got, x) :
			    settled->kind == 'n' || ack_may_be_lost(w, settled, x->t);
			x->same = true;
			if (!fine)
				red(w, "redelivered", "%s (%s:%llu) to %s of "
				    "group %s, %llu ms after %s %s it", where(w, x),
				    w->procs[x->sender].name, ULL(x->a),
				    w->procs[x->proc].name,
				    w->groups[w->procs[x->proc].group].name,
				    ULL((x->t - got->t) / 1000000), w->procs[got->proc].name,
				    settled != NULL ? "acknowledged" : "got");
		}
		got = x;
		settled = NULL;
	}
}

/* ---- steps back ---- */

static int
by_session(const void *p, const void *q)
{
	const struct line *a = p, *b = q;

	BY(a->proc, b->proc);
	BY(a->session, b->session);
	BY(a->topic, b->topic);
	BY(a->place, b->place);
	BY(a->t, b->t);
	return 0;
}

static void
check_backwards(struct world *w)
{
	struct line *v = calloc(w->deliveries.n + 1, sizeof *v);
	size_t n = 0;

	if (v == NULL)
		die("out of memory");
	for (size_t i = 0; i < w->deliveries.n; i++)
		if (w->deliveries.v[i].kind == 'g' && !w->deliveries.v[i].same &&
		    w->deliveries.v[i].tries == 1)
			v[n++] = w->deliveries.v[i];
	qsort(v, n, sizeof *v, by_session);
	for (size_t i = 1; i < n; i++) {
		const struct line *a = &v[i - 1], *b = &v[i];
		if (a->proc == b->proc && a->session == b->session && a->topic == b->topic &&
		    a->place == b->place && b->offset <= a->offset)
			red(w, "backwards", "%s got %s after %llu, for the first time",
			    w->procs[b->proc].name, where(w, b), ULL(a->offset));
	}
	free(v);
}

/* ---- passed over ---- */

static bool
is_drained(const struct world *w, int group, int topic)
{
	for (size_t i = 0; i < w->leaves.n; i++) {
		const struct line *x = &w->leaves.v[i];
		if (x->kind == 'd' && x->topic == topic && w->procs[x->proc].group == group)
			return true;
	}
	return false;
}

/* The first line of a group at or behind a place: w->deliveries is sorted so. */
static size_t
find(const struct world *w, int group, const struct line *x)
{
	size_t lo = 0, hi = w->deliveries.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct line *y = &w->deliveries.v[mid];
		int g = w->procs[y->proc].group;
		bool less = g != group ? g < group : y->topic != x->topic ? y->topic < x->topic :
		    y->place != x->place ? y->place < x->place : y->offset < x->offset;
		if (less)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool
acked(const struct world *w, int group, const struct line *x)
{
	for (size_t i = find(w, group, x); i < w->deliveries.n; i++) {
		const struct line *y = &w->deliveries.v[i];
		if (w->procs[y->proc].group != group || y->topic != x->topic ||
		    y->place != x->place || y->offset != x->offset)
			return false;
		if (y->kind == 'a')
			return true;
	}
	return false;
}

/* What a fresh group finds, every other group must have had. */
static void
check_passed(struct world *w)
{
	for (size_t g = 0; g < w->ngroups; g++) {
		int topic = -1;
		bool is = false;
		for (size_t i = 0; i < w->deliveries.n && !w->groups[g].fresh; i++) {
			const struct line *x = &w->deliveries.v[i];
			if (x->kind != 'g' || !w->groups[w->procs[x->proc].group].fresh)
				continue;
			if (x->topic != topic)
				is = is_drained(w, (int)g, topic = x->topic);
			if (is && !acked(w, (int)g, x))
				red(w, "passed", "%s (%s:%llu) was never settled by group %s",
				    where(w, x), w->procs[x->sender].name, ULL(x->a),
				    w->groups[g].name);
		}
	}
}

void
check_groups(struct world *w)
{
	struct line *v = w->deliveries.v;

	for (size_t i = 0, n; i < w->deliveries.n; i += n) {
		for (n = 1; i + n < w->deliveries.n && same_place(w, &v[i], &v[i + n]); n++)
			;
		check_place(w, &v[i], n);
	}
	check_backwards(w);
	check_passed(w);
}
