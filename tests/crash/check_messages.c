/* Is everything there that was confirmed, once, and nothing that was never sent? */
#include <stdlib.h>
#include <string.h>

#include "checker.h"
#include "ledger.h"

/* What one producer said of one topic; arrays by number, from 1. */
struct stream {
	int proc, topic;
	uint64_t max;
	struct number {
		uint64_t sent, confirmed; /* when; 0: not */
		bool failed;
	} *numbers;
	uint8_t *there;         /* [group][number]: SEEN, ACKED */
};

#define SEEN 1
#define ACKED 2

static struct stream *streams;
static size_t nstreams;

static struct stream *
stream_of(int proc, int topic)
{
	for (size_t i = 0; i < nstreams; i++)
		if (streams[i].proc == proc && streams[i].topic == topic)
			return &streams[i];
	return NULL;
}

static void *
need(void *p)
{
	if (p == NULL)
		die("out of memory");
	return p;
}

static void
make_streams(const struct world *w)
{
	for (size_t i = 0; i < w->sends.n; i++) {
		const struct line *x = &w->sends.v[i];
		struct stream *s = stream_of(x->proc, x->topic);
		if (s == NULL) {
			streams = need(reallocarray(streams, nstreams + 1, sizeof *streams));
			s = &streams[nstreams++];
			*s = (struct stream){ .proc = x->proc, .topic = x->topic };
		}
		if (x->kind == 's' && x->b > s->max)
			s->max = x->b;
	}
	for (size_t i = 0; i < nstreams; i++) {
		struct stream *s = &streams[i];
		s->numbers = need(calloc(s->max + 1, sizeof *s->numbers));
		s->there = need(calloc((s->max + 1) * (w->ngroups + 1), 1));
	}
}

static void
fill_streams(struct world *w)
{
	for (size_t i = 0; i < w->sends.n; i++) {
		const struct line *x = &w->sends.v[i];
		struct stream *s = stream_of(x->proc, x->topic);
		if (x->kind == 's')
			for (uint64_t n = x->a; n <= x->b; n++)
				s->numbers[n].sent = x->t;
		else if (x->a > s->max)
			red(w, "unsent", "%s has an answer for %llu, which it never sent",
			    w->procs[x->proc].name, ULL(x->a));
		else if (x->kind == 'f')
			s->numbers[x->a].failed = true;
		else
			for (uint64_t n = x->a; n > 0 && s->numbers[n].confirmed == 0; n--)
				s->numbers[n].confirmed = x->t;
	}
}

static uint8_t *
there(const struct stream *s, int group, uint64_t number)
{
	return &s->there[(size_t)group * (s->max + 1) + number];
}

/* Which numbers each group saw and acknowledged. */
static void
note_deliveries(struct world *w)
{
	uint8_t *last = NULL;

	for (size_t i = 0; i < w->deliveries.n; i++) {
		const struct line *x = &w->deliveries.v[i];
		const struct stream *s;
		if (x->kind == 'a' && last != NULL)
			*last |= ACKED; /* the lines of a place are together, g first */
		if (x->kind != 'g')
			continue;
		last = NULL;
		if (w->procs[x->sender].kind == 'K')
			continue; /* see check_calls */
		if ((s = stream_of(x->sender, x->topic)) == NULL || x->a == 0 || x->a > s->max)
			red(w, "unsent", "%s:%llu was delivered from %s and never sent there",
			    w->procs[x->sender].name, ULL(x->a), w->topics[x->topic].name);
		else {
			last = there(s, w->procs[x->proc].group, x->a);
			*last |= SEEN;
		}
	}
}

/* When a group was last told, before a time, that it has all of a topic; 0: never. */
static uint64_t
drained(const struct world *w, int group, int topic, uint64_t before)
{
	uint64_t t = 0;

	for (size_t i = 0; i < w->leaves.n; i++) {
		const struct line *x = &w->leaves.v[i];
		if (x->kind == 'd' && x->topic == topic && w->procs[x->proc].group == group &&
		    x->t > t && x->t < before)
			t = x->t;
	}
	return t;
}

/* What durability allows a group to miss. */
static bool
may_lack(const struct world *w, const struct stream *s, int group, const struct number *n,
    uint64_t end)
{
	uint64_t known;

	switch (w->topics[s->topic].durability) {
	case COMMIT: return false;
	case ASYNC: return broker_ended(w, ANY, n->sent, n->confirmed + SLACK_NS, false);
	default:
		/* The broker must know the group, and then live on. */
		known = drained(w, group, s->topic, n->sent);
		return known == 0 || broker_ended(w, ANY, known, end, true);
	}
}

static void
check_there(struct world *w, const struct stream *s, int group)
{
	const struct topic *t = &w->topics[s->topic];
	bool fresh = w->groups[group].fresh, before = true, failures = false;
	/* On several brokers, one may have the later ones and another lose the earlier. */
	bool gaps = t->durability == COMMIT && !t->loose && !t->brokers;
	uint64_t end = drained(w, group, s->topic, UINT64_MAX);

	if (end == 0 || (fresh && t->durability == MEMORY))
		return;
	for (uint64_t i = 1; i <= s->max; i++) {
		const struct number *n = &s->numbers[i];
		uint8_t is = *there(s, group, i);
		bool has = (is & (fresh ? SEEN : ACKED)) != 0;
		failures = failures || n->failed;
		if (!has && n->confirmed != 0 && n->confirmed < end && !n->failed &&
		    !may_lack(w, s, group, n, end))
			red(w, "missing", "%s:%llu was confirmed in %s, and group %s %s it",
			    w->procs[s->proc].name, ULL(i), w->topics[s->topic].name,
			    w->groups[group].name, (is & SEEN) != 0 ? "never settled" :
			    "never got");
		else if (has && !before && gaps && !failures)
			red(w, "gap", "%s:%llu is in %s, the one before it is not",
			    w->procs[s->proc].name, ULL(i), w->topics[s->topic].name);
		before = has;
	}
}

/* ---- twice ---- */

#define BY(x, y) do { if ((x) != (y)) return (x) < (y) ? -1 : 1; } while (0)

static int
by_id(const void *p, const void *q)
{
	const struct line *a = p, *b = q;

	BY(a->topic, b->topic);
	BY(a->sender, b->sender);
	BY(a->a, b->a);
	BY(a->t, b->t);
	return 0;
}

static bool
fresh_line(const struct world *w, const struct line *x)
{
	return w->groups[w->procs[x->proc].group].fresh;
}

/* A crash of the broker may forget what async consumers saw; then it is sent again. */
static bool
may_move(const struct world *w, const struct line *a, const struct line *b)
{
	if (a->maybe || b->maybe)
		return true; /* it went to another broker, and perhaps came back, and says so */
	return w->topics[a->topic].durability != COMMIT &&
	    w->procs[a->sender].kind != 'K' && !(fresh_line(w, a) && fresh_line(w, b)) &&
	    broker_ended(w, PLACE_BROKER(a->place), a->t > SLACK_NS ? a->t - SLACK_NS : 0,
	    b->t, true);
}

static void
check_twice(struct world *w)
{
	struct line *v = need(calloc(w->deliveries.n + 1, sizeof *v));
	size_t n = 0;

	for (size_t i = 0; i < w->deliveries.n; i++)
		if (w->deliveries.v[i].kind == 'g')
			v[n++] = w->deliveries.v[i];
	qsort(v, n, sizeof *v, by_id);
	for (size_t i = 1; i < n; i++) {
		const struct line *a = &v[i - 1], *b = &v[i];
		if (a->topic == b->topic && a->sender == b->sender && a->a == b->a &&
		    (a->place != b->place || a->offset != b->offset) && !may_move(w, a, b))
			red(w, "twice", "%s:%llu is at %s and at %s",
			    w->procs[a->sender].name, ULL(a->a), where(w, a), where(w, b));
	}
	free(v);
}

void
check_messages(struct world *w)
{
	make_streams(w);
	fill_streams(w);
	note_deliveries(w);
	for (size_t i = 0; i < nstreams; i++)
		for (size_t g = 0; g < w->ngroups; g++)
			check_there(w, &streams[i], (int)g);
	check_twice(w);
}
