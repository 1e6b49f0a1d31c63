/*
 * Scheduled messages: rows of the store until they are due, then records of a queue; the
 * one in the transaction that deletes the other.  Those that are due next are in memory, up
 * to a horizon; the reader thread fetches more before they run out, so that neither a turn
 * nor memory depends on how many there are.
 */
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "disk.h"
#include "expiry.h"
#include "lane.h"
#include "limits.h"
#include "net/loop.h"
#include "wire/record.h"

/* In memory: above the first two numbers what is due last is forgotten, down to the others;
 * below half of those, more is read.  timer_read.c reads as much. */
#define NEAR_MAX 2000
#define NEAR_BYTES_MAX ((size_t)2 << 20)
#define NEAR 1000
#define NEAR_BYTES ((size_t)1 << 20)

#define FIRE_WAIT_MAX 5000 /* changes that wait for the disk, above which none is fired */
#define LATER_MS 1000
#define TURN_MAX 500      /* fired at once; then others have their turn */
#define ROW_BYTES 96      /* what the rows need besides the record, about */
#define ARM_MAX_MS 86400000

/* ---- order ---- */

static int
key_cmp(const struct timer_key *a, const struct timer_key *b)
{
	if (a->due != b->due)
		return a->due < b->due ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

int
timer_cmp(struct timer *a, struct timer *b)
{
	return key_cmp(&a->key, &b->key);
}

RB_GENERATE(timer_tree, timer, node, timer_cmp)

bool
timer_key_after(const struct timer_key *a, const struct timer_key *b)
{
	return key_cmp(a, b) > 0;
}

static struct timer *
find(struct timer_tree *tree, const struct timer_key *key)
{
	struct timer want = { .key = *key };

	return RB_FIND(timer_tree, tree, &want);
}

/* ---- in memory ---- */

static void
free_unused(struct timer *t)
{
	if (!t->near && !t->fresh && !t->gone)
		free(t);
}

static void
near_add(struct broker *b, struct timer *t)
{
	struct timers *ts = &b->timers;

	t->near = true;
	RB_INSERT(timer_tree, &ts->near, t);
	ts->nnear++;
	ts->near_bytes += t->len;
	ts->wake = true;
}

static void
near_remove(struct broker *b, struct timer *t)
{
	struct timers *ts = &b->timers;

	t->near = false;
	RB_REMOVE(timer_tree, &ts->near, t);
	ts->nnear--;
	ts->near_bytes -= t->len;
}

/* Forget what is due last; it is in the store. */
static void
trim(struct broker *b)
{
	struct timers *ts = &b->timers;
	struct timer *last;

	if (ts->nnear <= NEAR_MAX && ts->near_bytes <= NEAR_BYTES_MAX)
		return;
	while (ts->nnear > 1 && (ts->nnear > NEAR || ts->near_bytes > NEAR_BYTES)) {
		last = RB_MAX(timer_tree, &ts->near);
		near_remove(b, last);
		free_unused(last);
	}
	ts->horizon = RB_MAX(timer_tree, &ts->near)->key;
}

/* Its rows are to be deleted; until they are, a read may find them. */
static void
note_gone(struct broker *b, struct timer *t)
{
	struct timers *ts = &b->timers;

	t->gone = true;
	t->gone_mark = ++ts->marks;
	RB_INSERT(timer_tree, &ts->gone, t);
	STAILQ_INSERT_TAIL(&ts->going, t, gone_link);
}

/* ---- putting ---- */

bool
timers_may_change(const struct broker *b)
{
	return b->timers.marks - b->timers.stored < TIMERS_WAIT_MAX;
}

int
timer_put(struct broker *b, struct topic *topic, const struct dfb_record *r,
    const uint8_t *rec)
{
	struct timers *ts = &b->timers;
	struct timer *t = malloc(sizeof *t + r->size);

	if (t == NULL)
		return -1;
	*t = (struct timer){ .key = { r->due, (uint64_t)ts->run << 40 | ++ts->last },
		.topic = topic->id, .fresh = true, .fresh_mark = ++ts->marks,
		.len = r->size };
	memcpy(t->rec, rec, r->size);
	if (timer_rows_put(b, t) == -1)
		fail_stop(b, "no memory for a scheduled message");
	STAILQ_INSERT_TAIL(&ts->fresh, t, fresh_link);
	ts->nfresh++;
	timer_counted(b, topic, 1);
	b->n.scheduled++;
	b->pending_bytes += r->size + ROW_BYTES;
	b->spent += r->size + ROW_BYTES;
	if (!timer_key_after(&t->key, &ts->horizon)) {
		near_add(b, t);
		trim(b);
	}
	return 0;
}

/* ---- firing ---- */

static void
remember(struct broker *b, const struct timer *t, const struct dfb_record *r,
    const struct queue *q, uint64_t offset)
{
	struct timers *ts = &b->timers;

	ts->fired[ts->next_fired++ % FIRED_MAX] = (struct fired){ .topic = t->topic,
		.id = r->id, .queue = q != NULL ? q->index : 0, .offset = offset,
		.wall = b->wall, .expired = q == NULL };
}

static void
enqueue(struct broker *b, struct topic *topic, const struct timer *t,
    const struct dfb_record *r)
{
	struct queue *q = queue_choose(topic, r);
	uint64_t offset = queue_append(b, q, t->rec, t->len,
	    (r->flags & DFB_R_EXPIRES) != 0 ? APPEND_EXPIRES : APPEND_PLAIN, NULL);

	if (offset == UINT64_MAX)
		fail_stop(b, "no memory for a scheduled message");
	b->n.fired++;
	remember(b, t, r, q, offset);
	if (topic->set.durability == DFB_ASYNC)
		queue_wake(b, q);
}

static void
fire(struct broker *b, struct topic *topic, struct timer *t)
{
	const uint8_t *p = t->rec;
	struct dfb_record r;

	if (dfb_record_next(&p, t->rec + t->len, &r) != 1)
		fail_stop(b, "a scheduled message is damaged");
	near_remove(b, t);
	note_gone(b, t);
	timer_counted(b, topic, -1);
	if (timer_rows_delete(b, t->topic, &t->key, &r.id,
	    topic->set.durability == DFB_COMMIT) == -1)
		fail_stop(b, "no memory for a scheduled message");
	if (r.expires == 0 || r.expires > b->wall)
		enqueue(b, topic, t, &r);
	else {
		expiry_note(b, topic, NULL);
		remember(b, t, &r, NULL, 0);
	}
}

/* Those that are due; how long to wait with the next, at least. */
static uint32_t
fire_due(struct broker *b)
{
	struct timer *t;
	uint32_t wait_ms;

	for (unsigned n = 0; n < TURN_MAX; n++) {
		struct topic *topic;
		t = RB_MIN(timer_tree, &b->timers.near);
		if (t == NULL || t->key.due > b->wall)
			return 0;
		if (b->timers.marks - b->timers.stored > FIRE_WAIT_MAX)
			return LATER_MS; /* or when something is stored */
		topic = topic_by_id(b, t->topic);
		if (broker_lacks_room(b, topic, &wait_ms) != NULL)
			return wait_ms;
		fire(b, topic, t);
	}
	return 0;
}

void
timers_turn(struct broker *b)
{
	struct timers *ts = &b->timers;
	uint64_t ms;
	uint32_t wait_ms;
	struct timer *t;

	ts->wake = false;
	if (b->stopping)
		return;
	wait_ms = fire_due(b);
	if (ts->nnear < NEAR / 2 && ts->near_bytes < NEAR_BYTES / 2)
		timers_load(b);
	if ((t = RB_MIN(timer_tree, &ts->near)) == NULL) {
		dfb_loop_timer_stop(b->loop, &ts->timer);
		return;
	}
	ms = t->key.due > b->wall ? t->key.due - b->wall : 0;
	if (ms < wait_ms)
		ms = wait_ms;
	dfb_loop_timer(b->loop, &ts->timer, ms < ARM_MAX_MS ? ms : ARM_MAX_MS);
}

/* ---- cancelling ---- */

static struct timer *
find_fresh(struct broker *b, const struct timer_key *key)
{
	struct timer *t;

	STAILQ_FOREACH(t, &b->timers.fresh, fresh_link)
		if (key_cmp(&t->key, key) == 0)
			return t;
	return NULL;
}

bool
timer_cancel(struct broker *b, struct topic *topic, const struct timer_key *key,
    const struct dfb_id *id)
{
	struct timer *t = find(&b->timers.near, key);

	if (t != NULL)
		near_remove(b, t);
	else if (find(&b->timers.gone, key) != NULL ||
	    !timer_key_after(key, &b->timers.horizon))
		return false;
	else if ((t = find_fresh(b, key)) == NULL) {
		if ((t = calloc(1, sizeof *t)) == NULL)
			fail_stop(b, "no memory for a scheduled message");
		t->key = *key;
		t->topic = topic->id;
	}
	note_gone(b, t);
	timer_counted(b, topic, -1);
	b->n.cancelled++;
	if (timer_rows_delete(b, topic->id, key, id, true) == -1)
		fail_stop(b, "no memory for a scheduled message");
	return true;
}

/* ---- what others bring about ---- */

void
timers_stored(struct broker *b, uint64_t mark)
{
	b->timers.stored = mark;
	if (b->timers.reading == NULL)
		timers_forget_stored(b);
	b->timers.wake = true; /* there may be room now */
}

void
timers_forget_stored(struct broker *b)
{
	struct timers *ts = &b->timers;
	struct timer *t;

	while ((t = STAILQ_FIRST(&ts->fresh)) != NULL && t->fresh_mark <= ts->stored) {
		STAILQ_REMOVE_HEAD(&ts->fresh, fresh_link);
		ts->nfresh--;
		t->fresh = false;
		free_unused(t);
	}
	while ((t = STAILQ_FIRST(&ts->going)) != NULL && t->gone_mark <= ts->stored) {
		STAILQ_REMOVE_HEAD(&ts->going, gone_link);
		RB_REMOVE(timer_tree, &ts->gone, t);
		t->gone = false;
		free_unused(t);
	}
}

void
timers_loaded(struct broker *b, struct timer_list *list, const struct timer_key *end)
{
	struct timers *ts = &b->timers;
	struct timer *t;

	/* What the read may not have seen yet first. */
	STAILQ_FOREACH(t, &ts->fresh, fresh_link)
		if (!t->near && !t->gone && !timer_key_after(&t->key, end) &&
		    topic_by_id(b, t->topic) != NULL)
			near_add(b, t);
	while ((t = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, fresh_link);
		if (topic_by_id(b, t->topic) == NULL || find(&ts->near, &t->key) != NULL ||
		    find(&ts->gone, &t->key) != NULL)
			free(t);
		else
			near_add(b, t);
	}
	ts->horizon = *end;
	ts->wake = true;
	trim(b);
}

void
timers_forget_topic(struct broker *b, struct topic *topic)
{
	struct timer *t, *next;

	RB_FOREACH_SAFE(t, timer_tree, &b->timers.near, next)
		if (t->topic == topic->id) {
			near_remove(b, t);
			free_unused(t);
		}
	b->timers.count -= topic->scheduled;
	if (topic->scheduled_dirty)
		STAILQ_REMOVE(&b->timers.dirty, topic, topic, scheduled_link);
	topic->scheduled_dirty = false;
	timer_purge(b, topic->id);
}

void
timers_free(struct broker *b)
{
	struct timers *ts = &b->timers;
	struct timer *t, *next;
	struct timer_read *r;

	while ((r = STAILQ_FIRST(&ts->reads)) != NULL) {
		STAILQ_REMOVE_HEAD(&ts->reads, link);
		free(r); /* of topics that are gone: the next start goes on with them */
	}
	ts->stored = ts->marks;
	timers_forget_stored(b);
	RB_FOREACH_SAFE(t, timer_tree, &ts->near, next) {
		near_remove(b, t);
		free(t);
	}
}
