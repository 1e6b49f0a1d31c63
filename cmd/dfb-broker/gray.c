/*
 * Gray release: rules of a topic give some messages a label, and with it a lane of queues of
 * its own, which belong to the instances of that label (dfb-recv -G).  A rule names messages
 * by a header, by keys, or as a share of all keys; the first rule that does wins, headers
 * and keys before shares.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "broker.h"
#include "gray.h"
#include "lane.h"
#include "wire/record.h"

void
gray_free(struct topic *t, struct gray *r)
{
	TAILQ_REMOVE(&t->gray, r, link);
	for (size_t i = 0; i < r->nkeys; i++)
		free(r->keys[i]);
	free(r->keys);
	free(r);
}

struct gray *
gray_find(const struct topic *t, const char *label)
{
	struct gray *r;

	TAILQ_FOREACH(r, &t->gray, link)
		if (strcmp(r->label, label) == 0)
			return r;
	return NULL;
}

/* ---- which rule ---- */

static bool
has_header(const struct gray *r, const struct dfb_record *rec)
{
	size_t at = 0, nlen, vlen, want = strlen(r->header), value = strlen(r->value);
	const char *name, *v;

	while (dfb_headers_next(rec->headers, rec->headers_len, &at, &name, &nlen, &v, &vlen))
		if (nlen == want && vlen == value && memcmp(name, r->header, nlen) == 0 &&
		    memcmp(v, r->value, vlen) == 0)
			return true;
	return false;
}

static bool
has_key(const struct gray *r, const struct dfb_record *rec)
{
	size_t lo = 0, hi = r->nkeys;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2, len = strlen(r->keys[mid]);
		int c = memcmp(rec->key, r->keys[mid], rec->key_len < len ? rec->key_len : len);
		if (c == 0)
			c = (rec->key_len > len) - (rec->key_len < len);
		if (c == 0)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

/* Of 10000: the same for a key always, and not tied to the queue that it goes to. */
static uint32_t
draw(const struct dfb_record *rec)
{
	uint64_t h = rec->key_len != 0 ? dfb_hash(rec->key, rec->key_len) :
	    dfb_hash(rec->id.b, sizeof rec->id.b);

	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)((h >> 32) * 10000 >> 32);
}

static struct gray *
rule_of(const struct topic *t, const struct dfb_record *rec)
{
	uint32_t from = 0, drawn = UINT32_MAX;
	struct gray *r;

	TAILQ_FOREACH(r, &t->gray, link)
		if ((r->header[0] != '\0' && rec->headers_len != 0 && has_header(r, rec)) ||
		    (r->nkeys != 0 && rec->key_len != 0 && has_key(r, rec)))
			return r;
	TAILQ_FOREACH(r, &t->gray, link) {
		if (r->share == 0)
			continue;
		if (drawn == UINT32_MAX)
			drawn = draw(rec);
		if (drawn >= from && drawn - from < r->share)
			return r;
		from += r->share;
	}
	return NULL;
}

struct lane *
gray_lane(const struct topic *t, const struct dfb_record *rec)
{
	const struct gray *r = rule_of(t, rec);

	return r != NULL ? r->lane : lane_first(t);
}

unsigned
gray_instances(const struct topic *t, const char *label)
{
	struct group *g;
	struct sub *u;
	unsigned n = 0;

	TAILQ_FOREACH(g, &t->groups, link)
		if (!g->broadcast)
			TAILQ_FOREACH(u, &g->subs, in_group)
				n += strcmp(u->label, label) == 0;
	return n;
}

const struct gray *
gray_refuses(const struct topic *t, const struct dfb_record *rec)
{
	const struct gray *r = rule_of(t, rec);

	return r != NULL && !r->fallback && gray_instances(t, r->label) == 0 ? r : NULL;
}

/* ---- changes ---- */

/* A lane for a label: the one that is there, also one that was to end. */
static struct lane *
lane_for(struct broker *b, struct topic *t, const char *label)
{
	uint32_t number = 1;
	struct lane *l;

	TAILQ_FOREACH(l, &t->lanes, link)
		if (l->number != 0 && strcmp(l->label, label) == 0) {
			l->ending = false;
			break;
		}
	if (l == NULL) {
		while (number < LANES_MAX && lane_find(t, number) != NULL)
			number++;
		if (number == LANES_MAX || (l = lane_new(t, number, label)) == NULL)
			return NULL;
	}
	if (l->readable == 0 && lane_add(b, t, l, 1) == -1) {
		if (l->kept == 0)
			lane_free(t, l);
		return NULL;
	}
	if (l->writable == 0)
		l->writable = 1;
	return l;
}

int
gray_put(struct broker *b, struct topic *t, struct gray *r)
{
	struct gray *old = gray_find(t, r->label), *o;
	uint32_t shares = r->share;
	struct group *g;

	TAILQ_FOREACH(o, &t->gray, link)
		shares += o != old ? o->share : 0;
	if (shares > 10000)
		return -2;
	if ((r->lane = lane_for(b, t, r->label)) == NULL)
		return -1;
	r->lane->fallback = r->fallback;
	if (old != NULL) {
		TAILQ_INSERT_BEFORE(old, r, link);
		gray_free(t, old);
	} else
		TAILQ_INSERT_TAIL(&t->gray, r, link);
	TAILQ_FOREACH(g, &t->groups, link)
		group_balance(b, g);
	follow_look(b, t);
	return 0;
}

void
gray_drop(struct broker *b, struct topic *t, struct gray *r)
{
	struct lane *l = r->lane;
	struct group *g;

	gray_free(t, r);
	l->ending = true;
	TAILQ_FOREACH(g, &t->groups, link)
		group_balance(b, g);
	follow_look(b, t);
}
