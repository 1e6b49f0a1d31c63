/* Looking for ids in the store, from the reader thread. */
#include <stdlib.h>

#include "base/worker.h"
#include "asked.h"
#include "broker.h"
#include "disk.h"
#include "store/store.h"

struct look *
look_new(struct broker *b, struct topic *t, struct ids *s, void *arg)
{
	struct look *l = calloc(1, sizeof *l);

	if (l == NULL)
		fail_stop(b, "no memory to look for ids");
	l->b = b;
	l->ids = s;
	l->table = s->table;
	l->topic = t->id;
	l->window = t->set.dedup_ms;
	l->arg = arg;
	return l;
}

static void *
more(struct broker *b, void *p, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap != 0 ? *cap * 2 : 16;
	if ((p = reallocarray(p, *cap, size)) == NULL)
		fail_stop(b, "no memory to look for ids");
	return p;
}

bool
look_for(struct look *l, const struct dfb_id *id)
{
	bool any = false;
	struct bucket *k;

	TAILQ_FOREACH(k, &l->ids->buckets, link) {
		if (ids_is_over(l->b, k, l->window) || !ids_may_be_in(k, id))
			continue;
		if (!any) {
			l->wants = more(l->b, l->wants, l->nwants, &l->wants_cap,
			    sizeof *l->wants);
			l->wants[l->nwants++] = (struct want){ .id = *id };
			any = true;
		}
		l->probes = more(l->b, l->probes, l->nprobes, &l->probes_cap,
		    sizeof *l->probes);
		l->probes[l->nprobes++] = (struct probe){ l->nwants - 1, k->start };
	}
	return any;
}

void
look_free(struct look *l)
{
	for (size_t i = 0; i < l->nwants; i++)
		dfb_buf_release(&l->wants[i].val);
	free(l->wants);
	free(l->probes);
	free(l);
}

static void
run(struct dfb_job *job)
{
	struct look *l = (struct look *)job;
	struct dfb_buf val = { 0 };
	uint8_t key[IDS_KEY];

	for (size_t i = 0; i < l->nprobes && l->rc != -1; i++) {
		struct want *w = &l->wants[l->probes[i].want];
		if (w->found)
			continue;
		ids_key(key, l->topic, l->probes[i].start, &w->id);
		l->rc = dfb_store_get(l->b->store, (int)l->table, key, sizeof key, &val);
		if (l->rc != 1)
			continue;
		w->found = true;
		w->start = l->probes[i].start;
		w->val = val;
		val = (struct dfb_buf){ 0 };
	}
	dfb_buf_release(&val);
}

static void
done(struct dfb_job *job)
{
	struct look *l = (struct look *)job;
	struct broker *b = l->b;

	if (l->rc == -1)
		fail_stop(b, "the store failed: an id cannot be looked up");
	l->fn(b, l);
	TAILQ_REMOVE(&b->looks, l, link);
	look_free(l);
	asked_sweep(b);
}

void
look_start(struct look *l, void (*fn)(struct broker *, struct look *))
{
	struct broker *b = l->b;

	l->fn = fn;
	l->since = b->done_batch;
	l->job = (struct dfb_job){ .run = run, .done = done };
	b->n.lookups += l->nwants;
	TAILQ_INSERT_TAIL(&b->looks, l, link);
	dfb_worker_submit(b->reader, &l->job);
}

uint64_t
look_since(const struct broker *b)
{
	const struct look *l = TAILQ_FIRST(&b->looks);

	return l != NULL ? l->since : b->done_batch;
}
