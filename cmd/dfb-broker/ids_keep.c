/*
 * Upkeep of ids, a few thousand rows at a time, from the reader thread: old buckets are
 * removed, and after a start filters get back the ids that the store has.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/endian.h>

#include "base/log.h"
#include "base/worker.h"
#include "broker.h"
#include "disk.h"
#include "store/store.h"

#define IDS_PER_TURN 2000

/* A bucket that goes, or whose filter is filled: its rows from `key` on. */
struct sweep {
	struct dfb_job job;
	struct broker *b;
	enum table table;
	uint32_t topic;
	uint64_t start;
	bool remove;
	uint8_t key[IDS_KEY];
	struct dfb_id ids[IDS_PER_TURN];
	size_t n;
	int rc;
	STAILQ_ENTRY(sweep) link;
};

static struct sweep *
sweep_new(struct broker *b, enum table table, uint32_t topic, uint64_t start, bool remove)
{
	static const struct dfb_id zero;
	struct sweep *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->b = b;
	w->table = table;
	w->topic = topic;
	w->start = start;
	w->remove = remove;
	ids_key(w->key, topic, start, &zero);
	return w;
}

static struct bucket *
bucket_of(struct sweep *w)
{
	struct topic *t = topic_by_id(w->b, w->topic);

	return t == NULL ? NULL :
	    ids_bucket_find(w->table == T_IDS ? &t->sent : &t->called, w->start);
}

/* ---- in the reader thread ---- */

static int
take_key(void *arg, const void *key, size_t klen)
{
	struct sweep *w = arg;

	if (klen != IDS_KEY || memcmp(key, w->key, IDS_KEY - sizeof(struct dfb_id)) != 0)
		return 1; /* the next bucket's */
	memcpy(&w->ids[w->n++], (const uint8_t *)key + IDS_KEY - sizeof(struct dfb_id),
	    sizeof(struct dfb_id));
	return 0;
}

static void
run(struct dfb_job *job)
{
	struct sweep *w = (struct sweep *)job;

	w->n = 0;
	w->rc = dfb_store_keys(w->b->store, (int)w->table, w->key, sizeof w->key,
	    IDS_PER_TURN, take_key, w);
}

/* ---- in the switch thread ---- */

static void go(struct broker *, void *sweep);

/* Behind the last id; false: there is none. */
static bool
move_on(struct sweep *w)
{
	struct dfb_id id = w->ids[w->n - 1];
	int i = sizeof id.b - 1;

	while (i >= 0 && ++id.b[i] == 0)
		i--;
	ids_key(w->key, w->topic, w->start, &id);
	return i >= 0;
}

static void
end(struct sweep *w)
{
	struct broker *b = w->b;

	b->sweeping = false;
	free(w);
	ids_upkeep(b);
}

static void
swept(struct dfb_job *job)
{
	struct sweep *w = (struct sweep *)job;
	struct broker *b = w->b;
	struct bucket *k = w->remove ? NULL : bucket_of(w);
	uint8_t key[IDS_KEY];

	if (w->rc == -1)
		fail_stop(b, "the store failed: ids cannot be read");
	for (size_t i = 0; i < w->n && !b->stopping; i++) {
		if (!w->remove && k == NULL)
			break;
		if (!w->remove) {
			ids_note(b, k, &w->ids[i]);
			continue;
		}
		ids_key(key, w->topic, w->start, &w->ids[i]);
		if (dfb_batch_del(commit_batch(b, false), (int)w->table, key,
		    sizeof key) == -1)
			fail_stop(b, "no memory to remove ids");
	}
	if (w->remove) {
		b->batch_ids += w->n;
		b->n.ids_removed += w->n;
	}
	if (b->stopping || w->n == 0 || (!w->remove && (k == NULL || !move_on(w)))) {
		if (k != NULL)
			k->complete = !k->given_up;
		end(w);
	} else if (w->remove)
		commit_then(b, go, w);
	else
		go(b, w);
}

static void
go(struct broker *b, void *arg)
{
	struct sweep *w = arg;

	if (b->stopping) { /* the reader may be gone */
		free(w);
		return;
	}
	w->job = (struct dfb_job){ .run = run, .done = swept };
	dfb_worker_submit(b->reader, &w->job);
}

/* ---- what there is to do ---- */

static void
remove_later(struct broker *b, struct ids *s, struct bucket *k)
{
	struct sweep *w = sweep_new(b, s->table, s->topic, k->start, true);

	if (w == NULL)
		return;
	ids_bucket_free(b, s, k);
	STAILQ_INSERT_TAIL(&b->sweeps, w, link);
}

static void
remove_old(struct broker *b, struct ids *s, uint64_t window)
{
	struct bucket *k, *newer;

	for (k = TAILQ_LAST(&s->buckets, bucket_list); k != NULL; k = newer) {
		newer = TAILQ_PREV(k, bucket_list, link);
		if (!ids_is_over(b, k, window))
			return;
		remove_later(b, s, k);
	}
}

/* A filter that lacks ids. */
static struct sweep *
incomplete(struct broker *b, struct ids *s)
{
	struct bucket *k;

	TAILQ_FOREACH(k, &s->buckets, link)
		if (!k->complete && !k->given_up)
			return sweep_new(b, s->table, s->topic, k->start, false);
	return NULL;
}

void
ids_upkeep(struct broker *b)
{
	struct sweep *w;
	struct topic *t;

	if (b->sweeping || b->stopping)
		return;
	RB_FOREACH(t, topic_tree, &b->topics) {
		remove_old(b, &t->sent, t->set.dedup_ms);
		remove_old(b, &t->called, t->set.dedup_ms);
	}
	if ((w = STAILQ_FIRST(&b->sweeps)) != NULL)
		STAILQ_REMOVE_HEAD(&b->sweeps, link);
	else
		RB_FOREACH(t, topic_tree, &b->topics)
			if ((w = incomplete(b, &t->sent)) != NULL ||
			    (w = incomplete(b, &t->called)) != NULL)
				break;
	if (w == NULL)
		return;
	b->sweeping = true;
	if (w->remove)
		commit_then(b, go, w); /* rows that are on their way to the store, too */
	else
		go(b, w);
}

void
ids_remove_all(struct broker *b, struct topic *t)
{
	while (!TAILQ_EMPTY(&t->sent.buckets))
		remove_later(b, &t->sent, TAILQ_FIRST(&t->sent.buckets));
	while (!TAILQ_EMPTY(&t->called.buckets))
		remove_later(b, &t->called, TAILQ_FIRST(&t->called.buckets));
}

/* ---- at the start: which buckets there are ---- */

static int
first_key(void *arg, const void *key, size_t klen)
{
	uint8_t *at = arg;

	if (klen != IDS_KEY) {
		log_errx("a table of ids has a row that this version cannot read");
		return -1;
	}
	memcpy(at, key, klen);
	return 1;
}

int
ids_load(struct broker *b, enum table table)
{
	uint8_t at[IDS_KEY + 1] = { 0 };
	size_t len = 0;
	int rc;

	while ((rc = dfb_store_keys(b->store, (int)table, at, len, 1, first_key, at)) == 1) {
		struct topic *t = topic_by_id(b, be32dec(at));
		uint64_t start = be64dec(at + 4);
		struct sweep *w;
		if (t != NULL) {
			if (ids_bucket_new(table == T_IDS ? &t->sent : &t->called, start,
			    false) == NULL)
				fail_stop(b, "no memory for ids");
		} else if ((w = sweep_new(b, table, be32dec(at), start, true)) != NULL)
			STAILQ_INSERT_TAIL(&b->sweeps, w, link);
		/* Behind all ids of this bucket. */
		memset(at + 12, 0xff, sizeof at - 12);
		len = sizeof at;
	}
	return rc;
}
