/*
 * Ids that a topic remembers for its window (settings.dedup_ms): of messages (T_IDS) and of
 * calls (T_CALLS).  Row: topic u32, start u64, id -> what is known.  Rows lie in buckets
 * by time, so that old ones are found together, and new ones, in whatever order, touch few pages
 * of the database: a bucket takes ids for half a window, and not many more than a part of
 * all.  Each has a filter in memory, so that a new id costs no look into the store (ids_keep.c
 * fills it after a start).
 */
#include <stdlib.h>
#include <sys/endian.h>

#include "broker.h"
#include "disk.h"
#include "dfb-broker/filter.h"
#include "wire/cursor.h"

/* Filters of all topics; beyond it ids are looked up. */
#define FILTERS_MAX ((size_t)64 << 20)
#define BUCKETS 16     /* about so many, where there are many ids */
#define ROOM_MIN 32768 /* ids: their rows are 2 MB */

void
ids_init(struct ids *s, enum table table, uint32_t topic)
{
	s->table = table;
	s->topic = topic;
	TAILQ_INIT(&s->buckets);
}

void
ids_free(struct broker *b, struct ids *s)
{
	struct bucket *k;

	while ((k = TAILQ_FIRST(&s->buckets)) != NULL)
		ids_bucket_free(b, s, k);
}

struct bucket *
ids_bucket_new(struct ids *s, uint64_t start, bool complete)
{
	struct bucket *k = calloc(1, sizeof *k), *older;

	if (k == NULL)
		return NULL;
	TAILQ_FOREACH(older, &s->buckets, link)
		k->room += older->n / BUCKETS;
	if (k->room < ROOM_MIN)
		k->room = ROOM_MIN;
	k->start = start;
	k->complete = complete;
	TAILQ_INSERT_HEAD(&s->buckets, k, link);
	return k;
}

void
ids_bucket_free(struct broker *b, struct ids *s, struct bucket *k)
{
	TAILQ_REMOVE(&s->buckets, k, link);
	b->filter_bytes -= filter_free(k->filter);
	free(k);
}

struct bucket *
ids_bucket_find(struct ids *s, uint64_t start)
{
	struct bucket *k;

	TAILQ_FOREACH(k, &s->buckets, link)
		if (k->start == start)
			break;
	return k;
}

bool
ids_is_over(const struct broker *b, const struct bucket *k, uint64_t window)
{
	const struct bucket *newer = TAILQ_PREV(k, bucket_list, link);
	uint64_t last = newer != NULL ? newer->start : k->start + window / 2 + 1;

	return last + window <= b->wall;
}

uint64_t
ids_add(struct broker *b, struct ids *s, uint64_t window, const struct dfb_id *id)
{
	struct bucket *k = TAILQ_FIRST(&s->buckets);

	/* A clock that was set back goes on with the bucket that there is. */
	if ((k == NULL || b->wall > k->start + window / 2 ||
	    (k->n >= k->room && b->wall > k->start)) &&
	    (k = ids_bucket_new(s, b->wall, true)) == NULL)
		fail_stop(b, "no memory for ids");
	ids_note(b, k, id);
	return k->start;
}

void
ids_note(struct broker *b, struct bucket *k, const struct dfb_id *id)
{
	long grown;

	k->n++;
	grown = b->filter_bytes < FILTERS_MAX ? filter_add(&k->filter, id) : -1;

	if (grown > 0)
		b->filter_bytes += (size_t)grown;
	else if (grown == -1) {
		/* From now on the store has to be asked. */
		k->complete = false;
		k->given_up = true;
	}
}

bool
ids_may_be_in(const struct bucket *k, const struct dfb_id *id)
{
	return !k->complete || filter_may_have(k->filter, id);
}

void
ids_key(uint8_t key[IDS_KEY], uint32_t topic, uint64_t start, const struct dfb_id *id)
{
	dfb_write_bytes(dfb_write_u64(dfb_write_u32(key, topic), start), id->b,
	    sizeof id->b);
}
