/*
 * The session to a gsl, from the first service that messages or calls go to: to the nearest
 * gsl that answers.  What one said stays in use when none does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "client/conn.h"
#include "client/internal.h"
#include "client/routes.h"
#include "net/loop.h"
#include "wire/place.h"
#include "wire/proto.h"

/* How long a gsl may take to answer before the next one is asked; and when all are asked again
 * that cannot tell yet. */
#define ANSWER_MS 1000
/* Pause before the first one is tried again after all have failed. */
#define ROUND_MS 100
/* A session that nobody needs is kept so long. */
#define IDLE_MS 10000
/* Of more than so many the others are not used. */
#define GSLS_MAX 64

struct dfb_gsl {
	struct dfb *dfb;
	struct dfb_watch watch; /* of all gsls */
	struct dfb_conn *conn;  /* NULL: pausing, or there is no gsl */
	char name[65];          /* of the one in use */
	size_t next;            /* which one is tried next, in the order of nearness */
	unsigned failures;      /* in a row */
	bool welcomed, lost;
	bool idle;              /* nobody needs it: the timer ends it */
	bool not_yet;           /* it cannot tell: the timer has it asked again */
	uint32_t last_req;
	struct dfb_timer timer; /* answers overdue, a pause is over, or nobody needed it */
};

static void start(struct dfb_gsl *);

/* ---- destinations ---- */

#define EACH_LOCATED(t, d) \
	TAILQ_FOREACH(t, &(d)->dests, entry) \
		if ((t)->nlocated != 0)

static bool
is_needed(const struct dfb *d)
{
	struct dfb_dest *t;

	EACH_LOCATED(t, d)
		return true;
	return false;
}

static bool
is_waiting(const struct dfb *d)
{
	struct dfb_dest *t;

	EACH_LOCATED(t, d)
		if (t->locate_req != 0)
			return true;
	return false;
}

static void
settle(struct dfb_dest *t)
{
	if (t->settled)
		return;
	t->settled = true;
	dfb_dest_notify(t);
}

/* No gsl says anything now. */
static void
settle_all(struct dfb *d)
{
	struct dfb_dest *t;

	EACH_LOCATED(t, d)
		settle(t);
}

void
dfb_locate_routes(struct dfb_dest *t)
{
	const struct dfb_location *l = t->location;

	t->nplaced = 0;
	for (size_t i = 0; i < t->n; i++) {
		t->routes[i].place = l != NULL ? dfb_location_find(l, t->routes[i].topic) : -1;
		t->nplaced += t->routes[i].place != -1;
	}
	t->was_placed = t->was_placed || t->nplaced != 0;
}

static void
locate(struct dfb_gsl *g, struct dfb_dest *t)
{
	struct dfb_proto m = { .type = DFB_M_LOCATE,
		.locate = { .service = dfb_str(t->text), .watch = 1 } };

	if (++g->last_req == 0)
		g->last_req = 1;
	m.req = t->locate_req = g->last_req;
	dfb_conn_send(g->conn, &m); /* if it cannot be sent there is no answer */
}

/* ---- which gsl ---- */

/* Those of the own region stand first in the list; of equal ones each client has its own. */
static bool
is_nearer(const struct dfb *d, const struct dfb_route *a, const struct dfb_route *b)
{
	bool up_a = a->state == DFB_STATE_UP, up_b = b->state == DFB_STATE_UP;
	bool own_a = strcmp(a->region, d->region) == 0, own_b = strcmp(b->region, d->region) == 0;
	uint64_t id = dfb_hash(&d->id, sizeof d->id);

	return up_a != up_b ? up_a : own_a != own_b ? own_a :
	    dfb_hash_score(id, dfb_hash(a->broker, strlen(a->broker))) >
	    dfb_hash_score(id, dfb_hash(b->broker, strlen(b->broker)));
}

static size_t
count(const struct dfb_gsl *g)
{
	const struct dfb_dest *t = g->watch.dest;

	return t == NULL ? 0 : t->n < GSLS_MAX ? t->n : GSLS_MAX;
}

/* The k-th of them. */
static const struct dfb_route *
nth(const struct dfb_gsl *g, size_t k)
{
	const struct dfb_route *all = g->watch.dest->routes;
	size_t n = count(g);

	for (size_t i = 0; i < n; i++) {
		size_t before = 0;
		for (size_t j = 0; j < n; j++)
			before += j != i && is_nearer(g->dfb, &all[j], &all[i]);
		if (before == k)
			return &all[i];
	}
	return &all[0]; /* two of one name */
}

/* On to the next one. */
static void
rotate(struct dfb_gsl *g)
{
	size_t n = count(g);

	if (++g->failures >= n)
		settle_all(g->dfb);
	if (n == 1 && g->conn != NULL &&
	    strcmp(dfb_conn_endpoint(g->conn), g->watch.dest->routes[0].endpoint) == 0)
		return; /* the connection itself tries again */
	dfb_conn_free(g->conn, 0);
	g->conn = NULL;
	g->next++;
	if (n != 0)
		dfb_loop_timer(g->dfb->loop, &g->timer, g->failures % n == 0 ? ROUND_MS : 0);
}

/* ---- the session ---- */

static void
wait_for_answer(struct dfb_gsl *g)
{
	dfb_loop_timer(g->dfb->loop, &g->timer, ANSWER_MS);
}

static void
locate_all(struct dfb_gsl *g)
{
	struct dfb_dest *t;

	g->not_yet = false;
	EACH_LOCATED(t, g->dfb)
		locate(g, t);
	wait_for_answer(g);
}

static void
on_up(void *arg)
{
	struct dfb_gsl *g = arg;

	g->welcomed = false;
	locate_all(g);
}

/* It has no catalogue, say.  If no other has one, it is asked again. */
static void
not_yet(struct dfb_gsl *g)
{
	if (g->not_yet)
		return; /* said for another service */
	if (g->failures + 1 < count(g)) {
		rotate(g);
		return;
	}
	settle_all(g->dfb);
	g->not_yet = true;
	wait_for_answer(g);
}

static void
on_down(void *arg, const char *why)
{
	struct dfb_gsl *g = arg;

	if (g->welcomed && !g->lost && is_needed(g->dfb)) {
		g->lost = true;
		dfb_notice(g->dfb, "gsl %s went away (%s); going on with what is known",
		    g->name, why);
	}
	g->welcomed = false;
	rotate(g);
}

static void
on_refused(void *arg)
{
	rotate(arg);
}

/* What a gsl says that has not heard of an sgs for a while is older than what is known. */
static bool
is_stale(const struct dfb_location *l, const struct dfb_location *had)
{
	return had != NULL && l->age_ms != 0 && l->version < had->version;
}

static void
located(struct dfb_gsl *g, struct dfb_dest *t, const struct dfb_m_located *m)
{
	struct dfb_location *l;

	if (dfb_location_read(m, &l) == -1) {
		if (errno == EPROTO)
			dfb_conn_drop(g->conn, "it sent a malformed answer", ANSWER_MS);
		return;
	}
	if (is_stale(l, t->location)) {
		dfb_location_unref(l);
	} else if (t->location != NULL && dfb_location_same(l, t->location)) {
		t->location->version = l->version;
		dfb_location_unref(l);
	} else {
		dfb_location_unref(t->location);
		t->location = l;
		dfb_locate_routes(t);
		t->settled = true;
		dfb_dest_notify(t);
	}
	g->failures = 0;
	settle(t);
}

static void
on_answer(struct dfb_gsl *g, const struct dfb_proto *m)
{
	struct dfb_dest *t;

	TAILQ_FOREACH(t, &g->dfb->dests, entry)
		if (t->nlocated != 0 && (m->type == DFB_M_LOCATED ?
		    dfb_str_is(m->located.service, t->text) :
		    m->req != 0 && m->req == t->locate_req))
			break;
	if (t == NULL) /* nobody asks any more */
		return;
	if (m->type == DFB_M_ERROR && m->status == DFB_AGAIN) {
		not_yet(g);
		return;
	}
	if (m->type == DFB_M_ERROR || m->req == t->locate_req)
		t->locate_req = 0;
	if (m->type == DFB_M_ERROR)
		settle(t);
	else
		located(g, t, &m->located);
}

static void
on_frame(void *arg, const struct dfb_proto *m)
{
	struct dfb_gsl *g = arg;

	switch (m->type) {
	case DFB_M_WELCOME:
		g->welcomed = true;
		if (g->lost)
			dfb_notice(g->dfb, "gsl %s answers", g->name);
		g->lost = false;
		break;
	case DFB_M_LOCATED:
	case DFB_M_ERROR:
		on_answer(g, m);
		break;
	}
}

static void
start(struct dfb_gsl *g)
{
	struct dfb *d = g->dfb;
	const struct dfb_route *r = nth(g, g->next % count(g));

	g->welcomed = g->not_yet = false;
	snprintf(g->name, sizeof g->name, "%s", r->broker);
	g->conn = dfb_conn_new(&(struct dfb_conn_config){
	    .net = d->net, .loop = d->loop, .endpoint = r->endpoint, .role = "client",
	    .who = d->who, .region = d->region, .client = d->id, .up = on_up,
	    .down = on_down, .refused = on_refused, .frame = on_frame, .arg = g });
	/* No memory or descriptors now: try again. */
	dfb_loop_timer(d->loop, &g->timer, g->conn != NULL ? ANSWER_MS : ROUND_MS);
}

static void
stop(struct dfb_gsl *g)
{
	dfb_loop_timer_stop(g->dfb->loop, &g->timer);
	dfb_conn_free(g->conn, 0);
	g->conn = NULL;
	g->welcomed = false;
	g->next = 0;
}

static void
on_timer(struct dfb_timer *t, void *arg)
{
	struct dfb_gsl *g = arg;

	(void)t;
	if (g->idle) {
		stop(g);
		g->lost = g->idle = false;
		dfb_dest_unwatch(&g->watch);
	} else if (count(g) == 0)
		stop(g);
	else if (g->conn == NULL)
		start(g);
	else if (g->not_yet && dfb_conn_is_up(g->conn)) {
		g->failures = 0;
		locate_all(g);
	} else if (!g->welcomed || is_waiting(g->dfb)) {
		if (count(g) == 1)
			dfb_conn_drop(g->conn, "no answer", 0);
		if (g->conn != NULL)
			rotate(g);
	}
	/* Each session is watched anew. */
	if (g->conn != NULL && !g->welcomed)
		wait_for_answer(g);
}

/* Whether the gsl in use is (still) where the list says that one is. */
static bool
is_listed(const struct dfb_gsl *g)
{
	for (size_t i = 0; i < count(g); i++)
		if (strcmp(g->watch.dest->routes[i].endpoint,
		    dfb_conn_endpoint(g->conn)) == 0)
			return true;
	return false;
}

static void
on_gsls(void *arg)
{
	struct dfb_gsl *g = arg;

	if (!is_needed(g->dfb) || (g->conn != NULL && dfb_conn_is_up(g->conn)))
		return; /* one that works is good enough */
	if (count(g) == 0) {
		stop(g);
		settle_all(g->dfb);
		return;
	}
	if (g->conn != NULL && !is_listed(g))
		stop(g);
	if (g->conn == NULL && !dfb_timer_is_set(&g->timer))
		start(g);
}

/* ---- beginning and end ---- */

static struct dfb_gsl *
gsl_of(struct dfb *d)
{
	if (d->gsl != NULL || (d->gsl = calloc(1, sizeof *d->gsl)) == NULL)
		return d->gsl;
	d->gsl->dfb = d;
	d->gsl->timer = (struct dfb_timer){ .fn = on_timer, .arg = d->gsl };
	d->gsl->watch.changed = on_gsls;
	d->gsl->watch.arg = d->gsl;
	return d->gsl;
}

enum dfb_status
dfb_locate_begin(struct dfb_dest *t)
{
	struct dfb_gsl *g = gsl_of(t->dfb);
	const struct dfb_dest *all;

	if (g == NULL)
		return dfb_fail(t->dfb, DFB_OSERR, "out of memory");
	if (g->watch.dest == NULL && dfb_dest_watch(t->dfb, "%GSL", &g->watch) != DFB_OK)
		return DFB_OSERR;
	all = g->watch.dest;
	if (g->idle)
		dfb_loop_timer_stop(t->dfb->loop, &g->timer);
	g->idle = false;
	if (g->conn != NULL) {
		if (dfb_conn_is_up(g->conn))
			locate(g, t);
		wait_for_answer(g);
	} else if (all->n == 0 && all->answered)
		t->settled = true;
	else if (all->n != 0 && !dfb_timer_is_set(&g->timer))
		start(g);
	return DFB_OK;
}

void
dfb_locate_end(struct dfb_dest *t)
{
	struct dfb_gsl *g = t->dfb->gsl;
	struct dfb_proto m = { .type = DFB_M_UNLOCATE };

	dfb_location_unref(t->location);
	t->location = NULL;
	t->settled = t->was_placed = false;
	t->locate_req = 0;
	dfb_locate_routes(t);
	if (g == NULL)
		return;
	m.unlocate.service = dfb_str(t->text);
	if (g->conn != NULL && dfb_conn_is_up(g->conn))
		dfb_conn_send(g->conn, &m);
	if (is_needed(t->dfb))
		return;
	g->idle = true;
	dfb_loop_timer(t->dfb->loop, &g->timer, IDLE_MS);
}

void
dfb_locate_free(struct dfb *d)
{
	if (d->gsl == NULL)
		return;
	stop(d->gsl);
	dfb_dest_unwatch(&d->gsl->watch);
	free(d->gsl);
	d->gsl = NULL;
}
