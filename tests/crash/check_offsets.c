/* Offsets: one message each, for ever; and the order that they give. */
#include <stdlib.h>
#include <string.h>

#include "checker.h"
#include "ledger.h"

#define BY(x, y) do { if ((x) != (y)) return (x) < (y) ? -1 : 1; } while (0)

static int
by_offset(const void *p, const void *q)
{
	const struct line *a = p, *b = q;

	BY(a->topic, b->topic);
	BY(a->place, b->place);
	BY(a->offset, b->offset);
	BY(a->t, b->t);
	return 0;
}

static void
check_reused(struct world *w, const struct line *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const struct line *a = &v[i - 1], *b = &v[i];
		if (a->topic == b->topic && a->place == b->place && a->offset == b->offset &&
		    (a->sender != b->sender || a->a != b->a))
			red(w, "reused", "%s was %s:%llu and then %s:%llu", where(w, a),
			    w->procs[a->sender].name, ULL(a->a), w->procs[b->sender].name,
			    ULL(b->a));
	}
}

/* Deliveries of fresh groups only, by topic, place and offset.  What one producer sent is in
 * order; with several brokers, what it sent with one key, and did not give to two of them. */
static void
check_order(struct world *w, const struct line *v, size_t n)
{
	uint64_t (*last)[KEYS] = calloc(w->nprocs + 1, sizeof *last);

	if (last == NULL)
		die("out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct line *x = &v[i];
		size_t key = w->topics[x->topic].brokers ? x->a % KEYS : 0;
		if (i == 0 || v[i - 1].topic != x->topic || v[i - 1].place != x->place)
			memset(last, 0, w->nprocs * sizeof *last);
		if (w->topics[x->topic].loose || x->maybe)
			continue;
		if (x->a < last[x->sender][key])
			red(w, "order", "%s: %s:%llu comes after %llu", where(w, x),
			    w->procs[x->sender].name, ULL(x->a), ULL(last[x->sender][key]));
		last[x->sender][key] = x->a;
	}
	free(last);
}

/* Messages with one key are in one queue of a broker. */
static void
check_queues(struct world *w, const struct line *v, size_t n)
{
	struct { bool is; uint32_t place; } (*at)[KEYS] =
	    calloc(w->ntopics * BROKERS_MAX + 1, sizeof *at);

	if (at == NULL)
		die("out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct line *x = &v[i];
		size_t b = (size_t)x->topic * BROKERS_MAX + (size_t)PLACE_BROKER(x->place);
		size_t k = x->a % KEYS;
		if (w->topics[x->topic].follow)
			continue;
		if (at[b][k].is && at[b][k].place != x->place)
			red(w, "key", "%s: key %llu is in queue %u and in %u", where(w, x),
			    ULL(k), PLACE_QUEUE(at[b][k].place), PLACE_QUEUE(x->place));
		at[b][k].is = true;
		at[b][k].place = x->place;
	}
	free(at);
}

void
check_offsets(struct world *w)
{
	struct line *v = calloc(w->deliveries.n + 1, sizeof *v);
	size_t n = 0, fresh = 0;

	if (v == NULL)
		die("out of memory");
	for (size_t i = 0; i < w->deliveries.n; i++)
		if (w->deliveries.v[i].kind == 'g')
			v[n++] = w->deliveries.v[i];
	qsort(v, n, sizeof *v, by_offset);
	check_reused(w, v, n);
	for (size_t i = 0; i < n; i++)
		if (w->groups[w->procs[v[i].proc].group].fresh)
			v[fresh++] = v[i];
	check_order(w, v, fresh);
	check_queues(w, v, fresh);
	free(v);
}
