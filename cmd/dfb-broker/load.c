/*
 * What the store holds, back into memory, before the broker answers.  Rows of T_META:
 * "clean" (present after an orderly stop), "topic_id" u32 (the last one given), "run" u32
 * (how often the store was opened).  T_QUEUES: queue id u64 -> version u8 = 1, floor u64.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/endian.h>

#include <jansson.h>

#include "base/log.h"
#include "broker.h"
#include "lane.h"
#include "letters.h"
#include "store/store.h"
#include "wire/cursor.h"

/* An async queue may have handed out offsets, before a crash, that the store does not
 * know: up to what can be sent in the time between two flushes, and then some. */
#define ASYNC_SKIP (UINT64_C(1) << 24)

struct loader {
	struct broker *b;
	bool clean;
};

#define NO_MEMORY (-3)

static int
bad(const char *table)
{
	if (errno == ENOMEM) {
		log_err("cannot load the store's table '%s'", table);
		return NO_MEMORY;
	}
	log_errx("the store's table '%s' has a row that this version cannot read: was "
	    "the data directory written by a later version?", table);
	return -2;
}

static int
load_meta(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct loader *l = arg;

	if (klen == 5 && memcmp(key, "clean", 5) == 0)
		l->clean = true;
	if (klen == 8 && memcmp(key, "topic_id", 8) == 0 && vlen == 4)
		l->b->last_topic_id = be32dec(val);
	if (klen == 3 && memcmp(key, "run", 3) == 0 && vlen == 4)
		l->b->timers.run = be32dec(val);
	return 0;
}

static int
load_lanes(struct broker *b, struct topic *t, const json_t *row)
{
	if (t == NULL)
		return -2;
	t->settled_at = b->now + b->cf.grow_ms;
	return lanes_from_json(b, t, row) == -1 ? -2 : 0;
}

static int
load_topic(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct loader *l = arg;
	char name[DFB_TOPIC_MAX], why[256];
	struct settings set;
	json_t *j = json_loadb(val, vlen, 0, NULL);
	json_int_t id = json_integer_value(json_object_get(j, "id"));
	int rc = -2;

	settings_default(&set);
	if (klen < sizeof name && id > 0 && id < UINT32_MAX &&
	    settings_from_json(&set, j, why) == 0) {
		memcpy(name, key, klen);
		name[klen] = '\0';
		rc = load_lanes(l->b, topic_new(l->b, name, (uint32_t)id, &set, 1), j);
	}
	json_decref(j);
	return rc == 0 ? 0 : bad("topics");
}

static struct queue *
queue_by_id(struct broker *b, uint64_t id)
{
	struct topic *t = topic_by_id(b, (uint32_t)(id >> 16));

	return t != NULL ? topic_queue(t, id & 0xffff) : NULL;
}

static int
absent_queue(struct broker *b, uint64_t id, uint64_t floor)
{
	struct topic *t = topic_by_id(b, (uint32_t)(id >> 16));

	return t != NULL ? topic_floor(t, id & 0xffff, floor) : 0;
}

static int
load_floor(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct loader *l = arg;
	struct dfb_reader k = { key, (const uint8_t *)key + klen, true };
	struct dfb_reader v = { val, (const uint8_t *)val + vlen, true };
	struct queue *q = queue_by_id(l->b, dfb_read_u64(&k));
	uint8_t version = dfb_read_u8(&v);
	uint64_t floor = dfb_read_u64(&v);

	if (!k.ok || !v.ok || version != 1)
		return bad("queues");
	if (q != NULL)
		q->floor = floor;
	else if (absent_queue(l->b, be64dec(key), floor) == -1)
		return bad("queues");
	return 0;
}

static int
load_group(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct loader *l = arg;
	char name[DFB_GROUP_MAX];
	const uint8_t *v = val;
	struct group *g;
	struct topic *t;

	if (klen < 5 || klen - 4 >= sizeof name || vlen < 10 || v[0] != 1 ||
	    vlen - 10 >= sizeof g->labels)
		return bad("groups");
	memcpy(name, (const uint8_t *)key + 4, klen - 4);
	name[klen - 4] = '\0';
	t = topic_by_id(l->b, be32dec(key));
	if (t == NULL)
		return 0;
	if ((g = group_new(l->b, t, name, v[1] != 0, true)) == NULL)
		return bad("groups");
	g->paused_ms = be64dec(v + 2);
	g->halted |= g->paused_ms != 0;
	memcpy(g->labels, v + 10, vlen - 10);
	/* A queue without a row (there is always one) would be read from its start. */
	for (uint32_t i = 0; i < t->nqueues; i++) {
		struct cursor *c = g->cursors[i];
		c->low = c->pos = c->high = c->q->first;
	}
	return 0;
}

static int
load_offset(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct loader *l = arg;
	char name[DFB_GROUP_MAX];
	struct topic *t;
	struct cursor *c;
	struct queue *q;
	struct group *g;

	if (klen < 9 || klen - 8 >= sizeof name)
		return bad("offsets");
	memcpy(name, (const uint8_t *)key + 8, klen - 8);
	name[klen - 8] = '\0';
	t = topic_by_id(l->b, be32dec(key));
	if (t == NULL || (g = group_find(t, name)) == NULL ||
	    (q = topic_queue(t, be32dec((const uint8_t *)key + 4))) == NULL)
		return 0;
	c = g->cursors[q->slot];
	if (cursor_load(l->b, c, val, vlen) == -1)
		return bad("offsets");
	if (t->set.durability != DFB_MEMORY && c->low > q->next) {
		log_errx("group '%s' has queue %u of '%s' up to %llu, but the store only "
		    "has it up to %llu: a file of the data directory is missing, restore "
		    "it", name, q->index, t->name, (unsigned long long)c->low,
		    (unsigned long long)q->next);
		return -2;
	}
	return 0;
}

static int
load_producer(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct loader *l = arg;
	struct dfb_reader v = { val, (const uint8_t *)val + vlen, true };
	struct dfb_id id;
	struct topic *t;
	struct producer *p;

	if (klen != 20 || dfb_read_u8(&v) != 1)
		return bad("producers");
	memcpy(id.b, key, sizeof id.b);
	t = topic_by_id(l->b, be32dec((const uint8_t *)key + 16));
	if (t == NULL)
		return 0;
	if ((p = producer_new(l->b, &id, t)) == NULL)
		return bad("producers");
	p->epoch = dfb_read_u32(&v);
	p->taken = p->committed = dfb_read_u64(&v);
	p->used_ms = dfb_read_u64(&v);
	p->stored = true;
	return v.ok && v.p == v.end ? 0 : bad("producers");
}

static int
load_letters(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct loader *l = arg;

	return letters_load(l->b, key, klen, val, vlen) == 0 ? 0 : bad("letters");
}

static int
load_count(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct loader *l = arg;
	struct dfb_reader v = { val, (const uint8_t *)val + vlen, true };
	uint8_t version = dfb_read_u8(&v);
	uint64_t n = dfb_read_u64(&v);
	struct topic *t;

	if (klen != 4 || version != 1 || !v.ok || v.p != v.end)
		return bad("timer_counts");
	if ((t = topic_by_id(l->b, be32dec(key))) == NULL) {
		timer_purge(l->b, be32dec(key)); /* it was under way */
		return 0;
	}
	t->scheduled = n;
	l->b->timers.count += n;
	return 0;
}

static int
place_queues(struct loader *l)
{
	struct topic *t;

	RB_FOREACH(t, topic_tree, &l->b->topics)
		for (uint32_t i = 0; i < t->nqueues; i++) {
			struct queue *q = t->queues[i];
			int rc = dfb_store_extent(l->b->store, q->id, &q->first, &q->next);
			if (rc == -1)
				return -1;
			if (rc == 0)
				q->first = q->next = q->floor;
			q->gap_from = q->next;
			if (q->next < q->floor)
				q->next = q->floor; /* calls that ended were behind */
			if (t->set.durability == DFB_MEMORY)
				q->first = q->next;
			else if (t->set.durability == DFB_ASYNC && !l->clean)
				q->next += ASYNC_SKIP;
			q->gap_to = q->next;
			q->committed = q->next;
		}
	return 0;
}

/* Groups that have all that is stored stand behind the offsets that were skipped. */
static void
pass_gaps(struct broker *b)
{
	uint64_t first, next;
	struct topic *t;
	struct group *g;

	RB_FOREACH(t, topic_tree, &b->topics)
		TAILQ_FOREACH(g, &t->groups, link)
			for (uint32_t i = 0; i < t->nqueues; i++) {
				struct cursor *c = g->cursors[i];
				if (dfb_store_extent(b->store, c->q->id, &first, &next) != 1)
					next = 0;
				if (c->low >= next && c->ndone == 0 && c->nretries == 0)
					c->low = c->pos = c->high = c->q->next;
			}
}

enum dfb_status
load_all(struct broker *b)
{
	struct loader l = { b, false };
	struct dfb_store *s = b->store;
	int rc;

	errno = 0; /* a row that cannot be read, or no memory for it: bad() tells */
	if ((rc = dfb_store_scan(s, T_META, load_meta, &l)) != 0 ||
	    (rc = dfb_store_scan(s, T_TOPICS, load_topic, &l)) != 0 ||
	    (rc = dfb_store_scan(s, T_QUEUES, load_floor, &l)) != 0 ||
	    (rc = place_queues(&l)) != 0 ||
	    (rc = dfb_store_scan(s, T_GROUPS, load_group, &l)) != 0 ||
	    (rc = dfb_store_scan(s, T_OFFSETS, load_offset, &l)) != 0 ||
	    (rc = dfb_store_scan(s, T_LETTERS, load_letters, &l)) != 0 ||
	    (rc = dfb_store_scan(s, T_PRODUCERS, load_producer, &l)) != 0 ||
	    (rc = dfb_store_scan(s, T_TIMER_COUNTS, load_count, &l)) != 0 ||
	    (rc = ids_load(b, T_IDS)) != 0 || (rc = ids_load(b, T_CALLS)) != 0)
		return rc == NO_MEMORY ? DFB_OSERR : DFB_IOERR;
	pass_gaps(b);
	b->timers.run++;
	log_event(DFB_LOG_INFO, "loaded", "topics=%zu producers=%zu scheduled=%llu clean=%s",
	    b->ntopics, b->nproducers, (unsigned long long)b->timers.count,
	    l.clean ? "yes" : "no");
	return mark_clean(b, false) == 0 ? DFB_OK : DFB_IOERR;
}

int
queue_floor_row(struct dfb_batch *batch, const struct queue *q, uint64_t floor)
{
	uint8_t key[8], val[9] = { 1 };

	be64enc(key, q->id);
	be64enc(val + 1, floor);
	return dfb_batch_put(batch, T_QUEUES, key, sizeof key, val, sizeof val);
}

int
mark_clean(struct broker *b, bool clean)
{
	struct dfb_batch *batch = dfb_batch_new();
	struct topic *t;
	uint8_t run[4];
	int rc = batch == NULL ? -1 : clean ? dfb_batch_put(batch, T_META, "clean", 5, "1", 1) :
	    dfb_batch_del(batch, T_META, "clean", 5);

	be32enc(run, b->timers.run);
	if (rc == 0)
		rc = dfb_batch_put(batch, T_META, "run", 3, run, sizeof run);
	RB_FOREACH(t, topic_tree, &b->topics)
		for (uint32_t i = 0; rc == 0 && i < t->nqueues; i++) {
			struct queue *q = t->queues[i];
			if (t->set.durability == DFB_MEMORY) {
				q->floor = clean ? q->next : q->next + MEMORY_FLOOR;
				rc = queue_floor_row(batch, q, q->floor);
			} else if (t->set.durability == DFB_ASYNC)
				rc = queue_floor_row(batch, q, q->next);
		}
	if (rc == 0)
		rc = dfb_store_commit(b->store, batch, true);
	else
		log_errx("no memory to mark the store as %s", clean ? "closed" : "in use");
	dfb_batch_free(batch);
	return rc;
}
