/* Offsets: one message each, for ever; and the order that they give. */
#include <stdlib.h>

#include "checker.h"
#include "ledger.h"

#define BY(x, y) do { if ((x) != (y)) return (x) < (y) ? -1 : 1; } while (0)

static int
by_offset(const void *p, const void *q)
{
	const struct line *a = p, *b = q;

	BY(a->topic, b->topic);
	BY(a->queue, b->queue);
	BY(a->offset, b->offset);
	BY(a->t, b->t);
	return 0;
}

static void
check_reused(struct world *w, const struct line *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const struct line *a = &v[i - 1], *b = &v[i];
		if (a->topic == b->topic && a->queue == b->queue && a->offset == b->offset &&
		    (a->sender != b->sender || a->a != b->a))
			red(w, "reused", "%s %u/%llu was %s:%llu and then %s:%llu",
			    w->topics[a->topic].name, a->queue, ULL(a->offset),
			    w->procs[a->sender].name, ULL(a->a), w->procs[b->sender].name,
			    ULL(b->a));
	}
}

/* Deliveries of fresh groups only, by topic, queue and offset. */
static void
check_order(struct world *w, const struct line *v, size_t n)
{
	uint64_t *last = calloc(w->nprocs + 1, sizeof *last);

	if (last == NULL)
		die("out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct line *x = &v[i];
		if (i == 0 || v[i - 1].topic != x->topic || v[i - 1].queue != x->queue)
			for (size_t k = 0; k < w->nprocs; k++)
				last[k] = 0;
		if (x->a < last[x->sender])
			red(w, "order", "%s %u/%llu: %s:%llu comes after %llu",
			    w->topics[x->topic].name, x->queue, ULL(x->offset),
			    w->procs[x->sender].name, ULL(x->a), ULL(last[x->sender]));
		last[x->sender] = x->a;
	}
	free(last);
}

/* Messages with one key are in one queue. */
static void
check_keys(struct world *w, const struct line *v, size_t n)
{
	struct { bool is; uint32_t queue; } *at = calloc(w->ntopics * KEYS + 1, sizeof *at);

	if (at == NULL)
		die("out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct line *x = &v[i];
		size_t k = (size_t)x->topic * KEYS + x->a % KEYS;
		if (at[k].is && at[k].queue != x->queue)
			red(w, "key", "%s: key %llu is in queue %u and in %u",
			    w->topics[x->topic].name, ULL(x->a % KEYS), at[k].queue, x->queue);
		at[k].is = true;
		at[k].queue = x->queue;
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
	check_keys(w, v, fresh);
	free(v);
}
