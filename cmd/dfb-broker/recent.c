/*
 * Ids of messages that were taken lately, in memory: those whose rows are not in the store
 * yet, where nobody can look for them, and some more.  A ring with a hash over it; the oldest
 * goes when its row can be found in the store by every look that is under way.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "broker.h"
#include "disk.h"

#define RING_MIN 1024
#define RING_MAX 16384 /* it is larger only while rows are not stored */
#define NONE UINT32_MAX

static uint32_t *
chain(struct recent *r, uint32_t topic, const struct dfb_id *id)
{
	return &r->heads[(dfb_hash_id(id->b) ^ topic) & (r->cap - 1)];
}

static bool
is_it(const struct known *k, uint32_t topic, const struct dfb_id *id)
{
	return k->topic == topic && memcmp(&k->id, id, sizeof *id) == 0;
}

const struct known *
recent_find(struct broker *b, uint32_t topic, const struct dfb_id *id)
{
	struct recent *r = &b->recent;
	uint32_t i;

	if (r->cap == 0)
		return NULL;
	for (i = *chain(r, topic, id); i != NONE; i = r->ring[i].next)
		if (is_it(&r->ring[i], topic, id))
			return &r->ring[i];
	return NULL;
}

static void
drop_oldest(struct recent *r)
{
	uint32_t i = (uint32_t)(r->tail & (r->cap - 1)), *at;
	struct known *k = &r->ring[i];

	for (at = chain(r, k->topic, &k->id); *at != i; at = &r->ring[*at].next)
		;
	*at = k->next;
	r->tail++;
}

static void
insert(struct recent *r, const struct known *k)
{
	uint32_t i = (uint32_t)(r->head++ & (r->cap - 1));
	uint32_t *at = chain(r, k->topic, &k->id);

	r->ring[i] = *k;
	r->ring[i].next = *at;
	*at = i;
}

static void
grow(struct broker *b, struct recent *r)
{
	struct recent old = *r;
	uint32_t cap = old.cap != 0 ? old.cap * 2 : RING_MIN;

	*r = (struct recent){ .cap = cap, .ring = calloc(cap, sizeof *r->ring),
		.heads = malloc(cap * sizeof *r->heads) };
	if (r->ring == NULL || r->heads == NULL)
		fail_stop(b, "no memory for ids");
	memset(r->heads, 0xff, cap * sizeof *r->heads);
	for (; old.tail != old.head; old.tail++)
		insert(r, &old.ring[old.tail & (old.cap - 1)]);
	free(old.ring);
	free(old.heads);
}

void
recent_add(struct broker *b, const struct known *k)
{
	struct recent *r = &b->recent;

	if (r->head - r->tail == r->cap) {
		if (r->cap >= RING_MAX &&
		    r->ring[r->tail & (r->cap - 1)].batch <= look_since(b))
			drop_oldest(r);
		else
			grow(b, r);
	}
	insert(r, k);
}

bool
recent_hold(struct broker *b, uint32_t topic, const struct dfb_id *id)
{
	const struct known *k = recent_find(b, topic, id);
	struct known again;

	if (k == NULL)
		return false;
	if (k->batch > b->done_batch)
		return true; /* it stays for so long anyway */
	again = *k;
	again.batch = b->done_batch + 1;
	recent_add(b, &again);
	return true;
}

void
recent_free(struct broker *b)
{
	free(b->recent.ring);
	free(b->recent.heads);
	b->recent = (struct recent){ 0 };
}
