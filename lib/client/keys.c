/*
 * Which stream a key has.  It is the one whose broker wants the key most, of all in the nearest
 * region that has some, or where a location has the key's place; whether they are well or not:
 * so all senders agree.  Brokers come, go, and come back, and locations change; but nothing may
 * overtake what waits unconfirmed.  So a change is made stream
 * by stream.  One that has messages then is behind: its keys keep it, and it sends nothing new,
 * until all that it sent is confirmed, or goes to another broker with all that follows; then
 * what it has is given out anew.  The next change waits until no stream is behind, unless
 * it only takes keys away from a stream that has nothing in doubt.
 */
#include "base/hash.h"
#include "client/producer.h"
#include "wire/record.h"

/* How keys see a stream: its rank (lower is better), or its place in the location that they see;
 * then those that are gone; or not at all. */
#define GONE 0x80000000u
#define OUT DFB_KEYS_OUT

/* What chooses: a key, or without bytes a hash for which there are no rules. */
struct choice {
	uint64_t hash;
	const void *key;
	size_t len;
};

/* Whether one place comes before the other for it: 1, 0 when they are the same, or -1. */
static int
is_before(const struct dfb_location *l, const struct dfb_wish *w, unsigned a, unsigned b)
{
	struct dfb_stand x, y;

	if (a == b)
		return 0;
	if (((a ^ b) & GONE) != 0)
		return (a & GONE) == 0 ? 1 : -1;
	x = dfb_place_stand(&l->places[a & ~GONE], w);
	y = dfb_place_stand(&l->places[b & ~GONE], w);
	return dfb_stand_before(x, y) || (!dfb_stand_before(y, x) && a < b) ? 1 : -1;
}

/* As winner(), when keys see streams at places of a location. */
static struct dfb_stream *
placed(const struct dfb_producer *p, const struct choice *c, bool before)
{
	const struct dfb_location *l = before ? p->was : p->now;
	struct dfb_wish w = c->key != NULL ? dfb_wish_key(l, c->key, c->len) :
	    (struct dfb_wish){ .hash = c->hash };
	struct dfb_stream *s, *found = NULL;
	unsigned place, best = OUT;
	uint64_t score, most = 0;
	int nearer;

	TAILQ_FOREACH(s, &p->streams, entry) {
		if ((place = before ? s->was : s->now) == OUT)
			continue;
		nearer = found == NULL ? 1 : is_before(l, &w, place, best);
		if (nearer < 0)
			continue;
		score = dfb_hash_score(c->hash, s->name_hash);
		if (nearer > 0 || score > most) {
			found = s;
			best = place;
			most = score;
		}
	}
	return found;
}

static inline struct dfb_stream *
winner(const struct dfb_producer *p, const struct choice *c, bool before)
{
	struct dfb_stream *s, *found = NULL;
	unsigned place, least = OUT;
	uint64_t score, most = 0;

	if ((before ? p->was : p->now) != NULL)
		return placed(p, c, before);
	TAILQ_FOREACH(s, &p->streams, entry) {
		place = before ? s->was : s->now;
		if (place > least || place == OUT)
			continue;
		score = dfb_hash_score(c->hash, s->name_hash);
		if (place < least || score > most) {
			found = s;
			least = place;
			most = score;
		}
	}
	return found;
}

static struct dfb_stream *
choose(struct dfb_producer *p, const struct choice *c)
{
	struct dfb_stream *s;

	if (p->behind && (s = winner(p, c, true)) != NULL && s->behind)
		return s;
	return (s = winner(p, c, false)) != NULL ? s : p->home;
}

struct dfb_stream *
dfb_keys_stream_of(struct dfb_producer *p, const struct dfb_record *r)
{
	if (r->key_len != 0)
		return choose(p, &(struct choice){ dfb_hash(r->key, r->key_len), r->key,
		    r->key_len });
	/* An id is known by one broker alone: it has to be the same each time. */
	return p->cf.once ? choose(p, &(struct choice){
	    .hash = dfb_hash(&r->id, sizeof r->id) }) : p->home;
}

/* ---- changes ---- */

static unsigned
wanted(const struct dfb_stream *s)
{
	return !s->listed ? OUT : s->gone ? s->rank | GONE : s->rank;
}

/* Whether the stream only loses keys, which others that are there get. */
static bool
loses(const struct dfb_stream *s)
{
	const struct dfb_stream *o;

	if (s->now == OUT || (s->listed && (!s->gone || (s->now & GONE) != 0)))
		return false;
	TAILQ_FOREACH(o, &s->producer->streams, entry)
		if (o != s && o->now != OUT && o->listed)
			return true;
	return false;
}

/* Take keys away from it; all of its messages are handed on. */
static void
lose(struct dfb_stream *s, int (*move)(struct dfb_stream *))
{
	unsigned now = s->now;
	bool behind = s->behind;

	s->now = s->listed ? s->now | GONE : OUT;
	s->behind = false;
	if (!dfb_stream_is_empty(s) && move(s) == -1) {
		s->now = now;
		s->behind = behind;
	}
}

static void
note_behind(struct dfb_producer *p)
{
	struct dfb_stream *s;

	p->behind = p->several = false;
	TAILQ_FOREACH(s, &p->streams, entry) {
		p->behind = p->behind || s->behind;
		p->several = p->several || s->behind || (s->now != OUT && s != p->home);
	}
}

static void
change(struct dfb_producer *p)
{
	struct dfb_stream *s;

	dfb_location_unref(p->was);
	p->was = p->now;
	p->now = p->location != NULL ? dfb_location_ref(p->location) : NULL;
	TAILQ_FOREACH(s, &p->streams, entry) {
		s->was = s->now;
		s->now = wanted(s);
		s->behind = p->keyed && s->was != OUT && !dfb_stream_is_empty(s);
	}
	note_behind(p);
}

/* Those that are behind, and need not be any more. */
static void
catch_up(struct dfb_producer *p, int (*move)(struct dfb_stream *))
{
	struct dfb_stream *s;

	TAILQ_FOREACH(s, &p->streams, entry)
		if (s->behind && !dfb_stream_in_doubt(s)) {
			s->behind = false;
			s->behind = !dfb_stream_is_empty(s) && move(s) == -1;
		}
	note_behind(p);
}

void
dfb_keys_follow(struct dfb_producer *p, int (*move)(struct dfb_stream *))
{
	struct dfb_stream *s;
	bool same = p->now == p->location;

	if (p->behind)
		catch_up(p, move);
	TAILQ_FOREACH(s, &p->streams, entry)
		same = same && s->now == wanted(s);
	if (!same && !p->behind) {
		change(p);
		catch_up(p, move);
	} else if (!same)
		TAILQ_FOREACH(s, &p->streams, entry)
			if (loses(s) && !dfb_stream_in_doubt(s))
				lose(s, move);
	note_behind(p);
	TAILQ_FOREACH(s, &p->streams, entry)
		s->out.stopped = s->behind || loses(s) ||
		    (!s->listed && p->location != NULL);
}

void
dfb_keys_leave(struct dfb_stream *s)
{
	struct dfb_producer *p = s->producer;

	s->behind = false;
	note_behind(p);
	if (!p->behind)
		change(p);
	if (s->now != OUT)
		s->now |= GONE;
}

void
dfb_keys_begin(struct dfb_producer *p)
{
	change(p);
}

bool
dfb_keys_need(const struct dfb_stream *s)
{
	return s->producer->behind && s->was != OUT;
}
