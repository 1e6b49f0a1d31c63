/* Which broker a call goes to. */
#include <string.h>

#include "base/hash.h"
#include "client/avoid.h"
#include "client/caller.h"
#include "wire/place.h"
#include "wire/proto.h"
#include "wire/record.h"

static bool
is_tried(struct dfb_caller *a, const struct dfb_call *c, const struct dfb_route *r)
{
	struct dfb_target *t = c->ntried != 0 ? dfb_target_find(a, r) : NULL;

	for (unsigned i = 0; t != NULL && i < c->ntried; i++)
		if (c->tried[i] == t->id)
			return true;
	return false;
}

static unsigned
badness(struct dfb_caller *a, const struct dfb_route *r)
{
	return (r->state == DFB_STATE_UP ? 0u : r->state == DFB_STATE_DRAINING ? 4u : 8u) +
	    (dfb_link_failing(a->dfb, r->endpoint) ? 2 : 0) + dfb_avoided(a->dfb, r);
}

/* How much a broker wants a call: one with a key, as messages with it; others take turns. */
static uint64_t
score(struct dfb_caller *a, const struct dfb_call *c, const struct dfb_route *r, size_t place,
    size_t count)
{
	return c->keyed ? dfb_hash_score(c->key_hash, dfb_hash(r->broker, strlen(r->broker))) :
	    count - (place + count - a->turn % count) % count;
}

/* Routes that are neighbours and equally near: from i to the end. */
static size_t
group_end(const struct dfb_dest *d, size_t i, bool located)
{
	size_t end = i + 1;

	while (end < d->n && (located ? d->routes[end].place == d->routes[i].place :
	    strcmp(d->routes[end].region, d->routes[i].region) == 0))
		end++;
	return end;
}

/* By rules and weights for its key; without one, shares are as the weights. */
static struct dfb_wish
wish_of(const struct dfb_location *l, const struct dfb_call *c)
{
	const uint8_t *p = c->record;
	struct dfb_record r;

	if (!c->keyed)
		return dfb_wish_spread(c->number ^ dfb_hash(&c->caller->dfb->id,
		    sizeof c->caller->dfb->id));
	if (c->kind == DFB_CALL_PLAIN && dfb_record_next(&p, p + c->len, &r) == 1)
		return dfb_wish_key(l, r.key, r.key_len);
	/* An id is all that whoever collects has. */
	return (struct dfb_wish){ .hash = c->key_hash };
}

const struct dfb_route *
dfb_caller_pick(struct dfb_caller *a, const struct dfb_call *c)
{
	const struct dfb_dest *d = a->watch.dest;
	const struct dfb_location *l = dfb_watch_location(&a->watch);
	const struct dfb_route *found = NULL, *r;
	struct dfb_wish w = l != NULL ? wish_of(l, c) : (struct dfb_wish){ 0 };
	struct dfb_stand stand, nearest = { 0 };
	unsigned bad, least = UINT32_MAX;
	uint64_t want, most = 0;

	if (!dfb_watch_settled(&a->watch))
		return NULL;
	for (size_t i = 0, end; i < d->n; i = end) {
		end = group_end(d, i, l != NULL);
		if (l != NULL && d->routes[i].place == -1)
			continue;
		stand = l != NULL ? dfb_place_stand(&l->places[d->routes[i].place], &w) :
		    (struct dfb_stand){ .tier = (uint32_t)i };
		for (size_t k = i; k < end; k++) {
			r = &d->routes[k];
			if (is_tried(a, c, r) || (bad = badness(a, r)) > least)
				continue;
			want = score(a, c, r, k - i, end - i);
			if (bad == least && found < &d->routes[i] ?
			    !dfb_stand_before(stand, nearest) : bad == least && want <= most)
				continue;
			least = bad;
			most = want;
			nearest = stand;
			found = r;
		}
	}
	return found;
}
