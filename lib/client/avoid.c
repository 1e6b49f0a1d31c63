#include "client/avoid.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/parse.h"
#include "client/caller.h"
#include "client/conn.h"
#include "client/producer.h"
#include "net/loop.h"
#include "wire/proto.h"

#define FOR_MS 60000
#define FIRST_MS 3000
#define EVERY_MS 30000
#define BADS_MAX 1024 /* more are not remembered */

struct dfb_bad {
	LIST_ENTRY(dfb_bad) entry;
	struct dfb *dfb;
	struct dfb_route route;
	uint64_t until;
	bool gone;
	bool asked;                /* PRODUCE is on its way */
	struct dfb_timer timer;    /* the next probe */
	struct dfb_work work;      /* to send it */
	struct dfb_link_user user; /* joined from the first probe on */
};

/* One time of the list, after which *p stands.  0, or -1. */
static int
take_time(const char **p, uint64_t *ms)
{
	size_t n = strcspn(*p, ",");
	char text[32];

	if (n >= sizeof text)
		return -1;
	memcpy(text, *p, n);
	text[n] = '\0';
	*p += n;
	if (**p == ',')
		++*p;
	return dfb_parse_duration(text, ms) == -1 || *ms == 0 ? -1 : 0;
}

int
dfb_avoids_init(struct dfb_avoids *a, const char *times)
{
	uint64_t *all[] = { &a->for_ms, &a->first_ms, &a->every_ms };

	*a = (struct dfb_avoids){ .for_ms = FOR_MS, .first_ms = FIRST_MS,
		.every_ms = EVERY_MS };
	LIST_INIT(&a->bads);
	for (size_t i = 0; times != NULL && *times != '\0'; i++)
		if (i == 3 || take_time(&times, all[i]) == -1)
			return -1;
	return 0;
}

static struct dfb_bad *
find(struct dfb *d, const struct dfb_route *r)
{
	struct dfb_bad *b;

	LIST_FOREACH(b, &d->avoids.bads, entry)
		if (strcmp(b->route.broker, r->broker) == 0 &&
		    strcmp(b->route.topic, r->topic) == 0)
			return b;
	return NULL;
}

static void
forget(struct dfb_bad *b)
{
	struct dfb *d = b->dfb;

	LIST_REMOVE(b, entry);
	dfb_loop_timer_stop(d->loop, &b->timer);
	dfb_work_del(d, &b->work);
	dfb_link_leave(&b->user);
	free(b);
	d->avoids.version++;
}

/* Whoever went elsewhere may come back. */
static void
tell(struct dfb *d)
{
	struct dfb_producer *p;
	struct dfb_caller *a;

	LIST_FOREACH(p, &d->producers, entry)
		dfb_work_add(d, &p->work);
	LIST_FOREACH(a, &d->callers, entry)
		dfb_work_add(d, &a->work);
}

/* ---- probes ---- */

static void
later(struct dfb_bad *b, uint64_t ms)
{
	uint64_t now = dfb_client_now();

	if (b->until > now && b->until - now < ms)
		ms = b->until - now;
	b->asked = false;
	dfb_loop_timer(b->dfb->loop, &b->timer, ms);
}

static void
on_up(void *arg)
{
	struct dfb_bad *b = arg;

	dfb_work_add(b->dfb, &b->work);
}

static void
on_down(void *arg, const char *why)
{
	struct dfb_bad *b = arg;

	(void)why;
	b->asked = false;
}

/* Where the broker is now; false: no route leads to it. */
static bool
locate(struct dfb_bad *b)
{
	struct dfb_dest *t;

	TAILQ_FOREACH(t, &b->dfb->dests, entry)
		for (size_t i = 0; i < t->n; i++)
			if (strcmp(t->routes[i].broker, b->route.broker) == 0 &&
			    strcmp(t->routes[i].topic, b->route.topic) == 0) {
				b->route = t->routes[i];
				return true;
			}
	return false;
}

static bool
on_frame(void *arg, const struct dfb_proto *m)
{
	struct dfb_bad *b = arg;
	struct dfb *d = b->dfb;
	struct dfb_proto bye = { .type = DFB_M_FINISH, .finish = { b->user.handle } };

	/* One that is draining still takes what it was sent before. */
	if (m->type != DFB_M_PRODUCING ||
	    (locate(b) && b->route.state == DFB_STATE_DRAINING)) {
		later(b, d->avoids.every_ms);
		return true;
	}
	dfb_conn_send(dfb_link_conn(b->user.link), &bye);
	forget(b);
	tell(d);
	return true;
}

/* Ask whether it takes messages, as soon as there is a session. */
static void
probe(void *arg)
{
	struct dfb_bad *b = arg;
	struct dfb_proto m = { .type = DFB_M_PRODUCE };

	if (b->user.link == NULL || !dfb_link_is_up(b->user.link) || b->asked)
		return;
	m.req = m.produce.stream = b->user.handle;
	m.produce.epoch = 1;
	m.produce.next = 1;
	m.produce.topic = dfb_str(b->route.topic);
	dfb_id_random(&m.produce.producer);
	b->asked = dfb_conn_send(dfb_link_conn(b->user.link), &m) == 0;
}

static void
on_timer(struct dfb_timer *t, void *arg)
{
	struct dfb_bad *b = arg;
	struct dfb *d = b->dfb;
	bool there = locate(b);

	(void)t;
	/* What cannot be reached is not tried again just because time went by. */
	if (dfb_client_now() >= b->until &&
	    (!there || !dfb_link_failing(d, b->route.endpoint))) {
		forget(b);
		tell(d);
		return;
	}
	later(b, d->avoids.every_ms);
	if (b->user.link != NULL && !dfb_link_is_to(b->user.link, b->route.endpoint))
		dfb_link_leave(&b->user);
	if (b->user.link != NULL)
		dfb_link_renumber(&b->user);
	else if (!there || dfb_link_join(d, b->route.endpoint, b->route.broker,
	    &b->user) == -1)
		return;
	probe(b);
}

/* ---- the memory ---- */

void
dfb_avoid(struct dfb *d, const struct dfb_route *r, bool gone)
{
	struct dfb_bad *b = find(d, r), *any;
	size_t n = 0;

	if (b == NULL) {
		LIST_FOREACH(any, &d->avoids.bads, entry)
			n++;
		if (n >= BADS_MAX || (b = calloc(1, sizeof *b)) == NULL)
			return;
		b->dfb = d;
		b->timer = (struct dfb_timer){ .fn = on_timer, .arg = b };
		b->work = (struct dfb_work){ .fn = probe, .arg = b };
		b->user = (struct dfb_link_user){ .up = on_up, .down = on_down,
			.frame = on_frame, .arg = b };
		LIST_INSERT_HEAD(&d->avoids.bads, b, entry);
	}
	b->route = *r;
	b->gone |= gone;
	b->until = dfb_client_now() + d->avoids.for_ms;
	if (!dfb_timer_is_set(&b->timer))
		later(b, d->avoids.first_ms);
	d->avoids.version++;
}

void
dfb_avoid_end(struct dfb *d, const struct dfb_route *r)
{
	struct dfb_bad *b = LIST_EMPTY(&d->avoids.bads) ? NULL : find(d, r);

	if (b == NULL)
		return;
	forget(b);
	tell(d);
}

bool
dfb_avoided(struct dfb *d, const struct dfb_route *r)
{
	return !LIST_EMPTY(&d->avoids.bads) && find(d, r) != NULL;
}

bool
dfb_avoid_gone(struct dfb *d, const struct dfb_route *r)
{
	struct dfb_bad *b = LIST_EMPTY(&d->avoids.bads) ? NULL : find(d, r);

	return b != NULL && b->gone;
}

void
dfb_avoids_release(struct dfb *d)
{
	while (!LIST_EMPTY(&d->avoids.bads))
		forget(LIST_FIRST(&d->avoids.bads));
}
