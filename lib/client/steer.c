/*
 * Which broker a message goes to.  Messages with a key go where the key does (keys.c).
 * Messages without a key go to the producer's home: a good broker that it stays with
 * while it is good.  What may have reached a broker waits for it, for the time to fail over.
 */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/parse.h"
#include "client/avoid.h"
#include "client/producer.h"
#include "wire/proto.h"
#include "wire/record.h"

#define HOPS 2 /* a message goes to so many other brokers before it waits */

enum bad { BAD_LAST = 1, BAD_AVOIDED = 2, BAD_FAILING = 4, BAD_DRAINING = 8, BAD_LOST = 16,
	BAD_GONE = 32 };

/* How good a stream's broker is; 0 is best. */
static unsigned
badness(const struct dfb_stream *s)
{
	const struct dfb_producer *p = s->producer;
	const struct dfb_route *r = &s->route;
	unsigned bad = r->state == DFB_STATE_UP ? 0 :
	    r->state == DFB_STATE_DRAINING ? BAD_DRAINING : BAD_LOST;

	if (p->nlisted > 1 && dfb_link_failing(p->dfb, r->endpoint))
		bad |= BAD_FAILING;
	if (dfb_avoided(p->dfb, r))
		bad |= BAD_AVOIDED | (s == p->last ? BAD_LAST : 0);
	return s->gone ? bad | BAD_GONE : bad;
}

/* Whether messages without a key prefer this one; of equal ones each producer has its own. */
static bool
is_better(const struct dfb_stream *s, const struct dfb_stream *than)
{
	uint64_t spread = s->producer->spread;

	if (dfb_stand_before(s->stand, than->stand) || dfb_stand_before(than->stand, s->stand))
		return dfb_stand_before(s->stand, than->stand);
	return dfb_hash_score(spread, s->name_hash) > dfb_hash_score(spread, than->name_hash);
}

/* The best broker for messages without a key. */
static struct dfb_stream *
best(struct dfb_producer *p)
{
	struct dfb_stream *s, *found = NULL;
	unsigned bad, least = 0;

	TAILQ_FOREACH(s, &p->streams, entry) {
		if (!s->listed)
			continue;
		bad = badness(s);
		if (found == NULL || bad < least || (bad == least && is_better(s, found))) {
			found = s;
			least = bad;
		}
	}
	return found;
}

static void
refresh(struct dfb_producer *p)
{
	struct dfb_stream *s;

	p->bads_seen = p->dfb->avoids.version;
	TAILQ_FOREACH(s, &p->streams, entry)
		s->gone = dfb_avoid_gone(p->dfb, &s->route);
}

bool
dfb_steer_has_other(const struct dfb_stream *s)
{
	struct dfb_stream *o;

	TAILQ_FOREACH(o, &s->producer->streams, entry)
		if (o != s && o->listed && !o->gone && badness(o) < BAD_FAILING)
			return true;
	return false;
}

bool
dfb_steer_may_hop(struct dfb_stream *s)
{
	struct dfb_producer *p = s->producer;
	struct dfb_stream *to = best(p);

	return s == p->home && p->hops < HOPS && to != NULL && to != s &&
	    badness(to) < BAD_AVOIDED;
}

/* ---- moving messages ---- */

/* Where a message that was taken out of a stream goes. */
static struct dfb_stream *
target(struct dfb_producer *p, const struct dfb_outmsg *m)
{
	const uint8_t *at = m->record;
	struct dfb_record r;

	if (dfb_record_next(&at, at + m->size, &r) != 1)
		return p->home;
	return dfb_keys_stream_of(p, &r);
}

/* Give out what was taken out of a stream; below number doubt it may be at the broker. */
static void
give_out(struct dfb_producer *p, struct dfb_outframes *gone, uint64_t doubt)
{
	struct dfb_stream *to = NULL;
	struct dfb_outmsg m;

	while (dfb_outbox_gone(gone, &m)) {
		if (m.first || !p->cf.atomic) {
			to = target(p, &m);
			if (p->cf.atomic)
				dfb_outbox_cut_frame(&to->out);
		}
		if (dfb_outbox_add(&to->out, &m, m.seq < doubt ? DFB_R_MAYBE : 0) == -1)
			dfb_producer_failed(p, m.n, DFB_OSERR, "out of memory");
		if (m.last && p->cf.atomic)
			dfb_outbox_cut_frame(&to->out);
	}
	dfb_work_add(p->dfb, &p->work);
}

/* Choose anew for all messages of a stream, which keys have left then if it is gone.  0, or -1:
 * out of memory, nothing was done. */
static int
give_away(struct dfb_stream *s, bool is_gone)
{
	struct dfb_producer *p = s->producer;
	uint64_t doubt = s->out.sent_end;
	struct dfb_outframes gone;

	if (dfb_outbox_truncate(&s->out, s->out.base, !dfb_stream_in_doubt(s), &gone) == -1) {
		dfb_producer_come_back(p, 10);
		return -1;
	}
	if (is_gone)
		dfb_keys_leave(s);
	give_out(p, &gone, doubt);
	if (dfb_stream_is_empty(s))
		s->hold_until = s->refused = 0;
	return 0;
}

static int
redistribute(struct dfb_stream *s)
{
	return give_away(s, false);
}

void
dfb_steer_refused(struct dfb_stream *s, uint64_t seq, const char *why)
{
	struct dfb_producer *p = s->producer;
	bool hop = dfb_steer_may_hop(s), stays = false;
	struct dfb_outframes gone;
	struct dfb_outmsg m;

	if (dfb_outbox_truncate(&s->out, seq, true, &gone) == -1)
		return;
	while (dfb_outbox_gone(&gone, &m)) {
		if (m.first || !p->cf.atomic)
			stays = hop && !p->cf.once && (m.record[4] & DFB_R_KEY) == 0;
		if (!stays || dfb_outbox_add(&s->out, &m, 0) == -1)
			dfb_producer_failed(p, m.n, DFB_AGAIN, why);
		else if (m.last && p->cf.atomic)
			dfb_outbox_cut_frame(&s->out);
	}
}

/* ---- routes ---- */

static struct dfb_stream *
find(struct dfb_producer *p, const struct dfb_route *r)
{
	struct dfb_stream *s;

	TAILQ_FOREACH(s, &p->streams, entry)
		if (strcmp(s->route.broker, r->broker) == 0 &&
		    strcmp(s->route.topic, r->topic) == 0)
			return s;
	return NULL;
}

static void
list(struct dfb_stream *s, const struct dfb_route *r, unsigned rank)
{
	s->route = *r;
	s->name_hash = dfb_hash(r->broker, strlen(r->broker));
	s->rank = rank;
	s->stand = (struct dfb_stand){ .tier = rank };
	s->listed = true;
	s->producer->nlisted++;
}

/* The first routes are known: what waited for them becomes one of their streams, unless its
 * messages belong to several. */
static void
settle_down(struct dfb_producer *p)
{
	struct dfb_stream *first = p->home, *to = best(p);

	if (to == NULL)
		return;
	p->home = to;
	if (p->keyed && p->nlisted > 1) {
		dfb_keys_begin(p);
		redistribute(first);
	} else {
		list(first, &to->route, to->rank);
		first->stand = to->stand;
		p->nlisted--;
		p->home = first;
		dfb_stream_free(to);
	}
}

static void
follow_location(struct dfb_producer *p)
{
	struct dfb_location *l = dfb_watch_location(&p->watch);

	if (l == p->location)
		return;
	dfb_location_unref(p->location);
	p->location = l != NULL ? dfb_location_ref(l) : NULL;
}

/* Have a stream for each route that counts.  Routes of one region and topic are neighbours. */
static void
follow_routes(struct dfb_producer *p)
{
	const struct dfb_dest *d = p->watch.dest;
	struct dfb_wish wish = dfb_wish_spread(p->spread);
	struct dfb_stream *s;
	unsigned rank = 0;

	follow_location(p);
	TAILQ_FOREACH(s, &p->streams, entry)
		s->listed = false;
	p->nlisted = 0;
	for (size_t i = 0; i < d->n; i++) {
		const struct dfb_route *r = &d->routes[i];
		if (i != 0 && (strcmp(r->topic, r[-1].topic) != 0 ||
		    strcmp(r->region, r[-1].region) != 0))
			rank++;
		if (p->location != NULL && r->place == -1)
			continue;
		if ((s = find(p, r)) == NULL && (s = dfb_stream_new(p)) == NULL) {
			dfb_producer_come_back(p, 1000);
			return;
		}
		list(s, r, p->location != NULL ? (unsigned)r->place : rank);
		if (p->location != NULL)
			s->stand = dfb_place_stand(&p->location->places[r->place], &wish);
	}
	p->routes_seen = d->answers;
	refresh(p);
	if (p->home->route.broker[0] == '\0')
		settle_down(p);
}

/* ---- leaving a broker ---- */

/* A good home for messages without a key, when they may leave the one they have. */
static void
choose_home(struct dfb_producer *p)
{
	struct dfb_stream *h = p->home, *to = best(p);
	bool held = h->hold_until > dfb_client_now();

	if (to == NULL || to == h)
		return;
	if (dfb_stream_in_doubt(h)) {
		/* It may be so all the time: then only later ones go to the nearer broker. */
		if ((!h->listed && p->location != NULL) || (badness(to) == 0 &&
		    dfb_stand_before(to->stand, h->stand) && h->user.link != NULL &&
		    dfb_link_is_up(h->user.link)))
			p->home = to;
		return;
	}
	if (h->listed) {
		if (badness(h) <= badness(to) && h->rank == to->rank)
			return; /* stay */
		if (held && (p->hops >= HOPS || badness(to) >= BAD_AVOIDED))
			return; /* wait */
	}
	p->hops = held ? p->hops + 1 : 0;
	p->home = to;
	redistribute(h);
}

/* Its messages have waited long enough: to other brokers with them. */
static void
fail_over(struct dfb_stream *s)
{
	struct dfb_producer *p = s->producer;
	char time[16];

	dfb_format_duration(p->cf.failover_ms, time);
	dfb_notice(p->dfb, "broker %s is gone for %s; its messages go to another one%s",
	    s->route.broker, time, dfb_stream_in_doubt(s) ? ", as possible duplicates" : "");
	dfb_avoid(p->dfb, &s->route, true);
	refresh(p);
	s->gone = true; /* even if it could not be noted */
	s->bad_since = dfb_client_now();
	if (p->home == s)
		p->home = best(p);
	give_away(s, true);
}

static bool
is_overdue(struct dfb_stream *s)
{
	struct dfb_producer *p = s->producer;
	uint64_t waited;

	if (s->bad_since == 0 || p->cf.failover_ms == UINT64_MAX || !dfb_steer_has_other(s))
		return false;
	waited = dfb_client_now() - s->bad_since;
	if (waited >= p->cf.failover_ms)
		return true;
	dfb_producer_come_back(p, p->cf.failover_ms - waited);
	return false;
}

void
dfb_steer(struct dfb_producer *p)
{
	struct dfb_stream *s;

	if (p->routes_seen != p->watch.dest->answers && dfb_watch_settled(&p->watch))
		follow_routes(p);
	if (p->bads_seen != p->dfb->avoids.version)
		refresh(p);
	if (p->nlisted == 0) {
		/* Where it is online nowhere, nothing new is sent. */
		TAILQ_FOREACH(s, &p->streams, entry)
			s->out.stopped = s->out.stopped || p->location != NULL;
		return;
	}
	dfb_keys_follow(p, redistribute);
	if (p->total.messages == 0)
		return;
	choose_home(p);
	TAILQ_FOREACH(s, &p->streams, entry) {
		if (dfb_stream_is_empty(s))
			continue;
		if (!s->listed && !dfb_stream_in_doubt(s) && s != p->home)
			redistribute(s);
		else if (is_overdue(s))
			fail_over(s);
	}
}
