#include "client/routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>

#include "base/parse.h"
#include "client/internal.h"
#include "net/sock.h"
#include "wire/place.h"
#include "wire/proto.h"

/* More than any site has; a longer list is an error, not a reason to allocate. */
#define ROUTES_MAX 65536

static void
lookup(struct dfb_dest *t)
{
	struct dfb_proto m = { .type = DFB_M_LOOKUP,
		.lookup = { .dest = dfb_str(t->text), .watch = 1 } };

	m.req = t->req = dfb_names_number(t->dfb->names);
	dfb_names_send(t->dfb->names, &m); /* if not now, when a session begins */
}

void
dfb_dests_lookup(struct dfb *d)
{
	struct dfb_dest *t;

	TAILQ_FOREACH(t, &d->dests, entry)
		lookup(t);
}

bool
dfb_dests_waiting(const struct dfb *d)
{
	struct dfb_dest *t;

	TAILQ_FOREACH(t, &d->dests, entry)
		if (t->req != 0)
			return true;
	return false;
}

void
dfb_dest_notify(struct dfb_dest *t)
{
	struct dfb_watch *w;

	t->answers++;
	LIST_FOREACH(w, &t->watches, entry)
		w->changed(w->arg);
}

static int
order(const void *a, const void *b, void *arg)
{
	const struct dfb_route *x = a, *y = b;
	const char *region = arg;
	int own = (strcmp(y->region, region) == 0) - (strcmp(x->region, region) == 0);
	int topic = strcmp(x->topic, y->topic);

	int near = strcmp(x->region, y->region);

	return own != 0 ? own : topic != 0 ? topic : near != 0 ? near :
	    strcmp(x->broker, y->broker);
}

/* The list in a ROUTES frame.  0; -1 when it is malformed or memory is short. */
static int
read_routes(struct dfb_blob list, struct dfb_route **out, size_t *count)
{
	struct dfb_route *r = NULL;
	struct dfb_m_route m;
	size_t n = 0, cap = 0;
	int rc;

	while ((rc = dfb_route_next(&list, &m)) == 1) {
		if (n == cap) {
			struct dfb_route *p;
			cap = cap != 0 ? cap * 2 : 4;
			if (cap > ROUTES_MAX ||
			    (p = reallocarray(r, cap, sizeof *p)) == NULL) {
				free(r);
				return -1;
			}
			r = p;
		}
		r[n].incarnation = m.incarnation;
		r[n].state = m.state;
		r[n].queues = m.queues;
		r[n].place = -1;
		dfb_str_copy(m.topic, r[n].topic, sizeof r[n].topic);
		dfb_str_copy(m.broker, r[n].broker, sizeof r[n].broker);
		dfb_str_copy(m.region, r[n].region, sizeof r[n].region);
		dfb_str_copy(m.endpoint, r[n].endpoint, sizeof r[n].endpoint);
		if (dfb_endpoint_check(r[n].endpoint) == NULL)
			n++; /* one that cannot be used would never be reached */
	}
	if (rc == -1) {
		free(r);
		return -1;
	}
	*out = r;
	*count = n;
	return 0;
}

bool
dfb_dests_answer(struct dfb *d, const struct dfb_proto *m)
{
	struct dfb_dest *t;
	struct dfb_route *routes;
	size_t n;

	TAILQ_FOREACH(t, &d->dests, entry)
		if (m->type == DFB_M_ROUTES ? dfb_str_is(m->routes.dest, t->text) :
		    m->req != 0 && m->req == t->req)
			break;
	if (t == NULL) /* nobody watches it any more */
		return true;
	if (m->type == DFB_M_ERROR && m->status == DFB_AGAIN)
		return true; /* as if it had not answered: asked again in a moment */
	if (m->type == DFB_M_ERROR) {
		t->req = 0;
		t->answered = true;
		t->refused = m->status;
		dfb_str_copy(m->error.reason, t->why, sizeof t->why);
		dfb_dest_notify(t);
		return true;
	}
	if (read_routes(m->routes.routes, &routes, &n) == -1)
		return false;
	if (n > 1)
		qsort_r(routes, n, sizeof *routes, order, d->region);
	free(t->routes);
	t->routes = routes;
	t->n = n;
	if (m->req == t->req)
		t->req = 0;
	t->answered = true;
	t->refused = DFB_OK;
	t->known = t->known || n != 0;
	dfb_locate_routes(t);
	dfb_dest_notify(t);
	return true;
}

enum dfb_status
dfb_dest_watch(struct dfb *d, const char *text, struct dfb_watch *w)
{
	struct dfb_dest *t;

	if (text == NULL || dfb_word_kind(text) == DFB_WORD_BAD)
		return dfb_fail(d, DFB_USAGE, "'%s' is not a destination: %s",
		    text != NULL ? text : "", dfb_word_help);
	TAILQ_FOREACH(t, &d->dests, entry)
		if (strcmp(t->text, text) == 0)
			break;
	if (t == NULL) {
		if ((t = calloc(1, sizeof *t)) == NULL)
			return dfb_fail(d, DFB_OSERR, "out of memory");
		t->dfb = d;
		LIST_INIT(&t->watches);
		snprintf(t->text, sizeof t->text, "%s", text);
		TAILQ_INSERT_TAIL(&d->dests, t, entry);
		lookup(t);
	}
	w->dest = t;
	w->located = w->located && dfb_word_kind(text) == DFB_WORD_SERVICE;
	LIST_INSERT_HEAD(&t->watches, w, entry);
	if (!w->located || t->nlocated++ != 0 || dfb_locate_begin(t) == DFB_OK)
		return DFB_OK;
	dfb_dest_unwatch(w);
	return DFB_OSERR;
}

void
dfb_dest_unwatch(struct dfb_watch *w)
{
	struct dfb_dest *t = w->dest;
	struct dfb_proto m = { .type = DFB_M_UNWATCH };

	if (t == NULL)
		return;
	LIST_REMOVE(w, entry);
	w->dest = NULL;
	if (w->located && --t->nlocated == 0)
		dfb_locate_end(t);
	if (!LIST_EMPTY(&t->watches))
		return;
	m.unwatch.dest = dfb_str(t->text);
	dfb_names_send(t->dfb->names, &m);
	TAILQ_REMOVE(&t->dfb->dests, t, entry);
	free(t->routes);
	free(t);
}

/* Whether the only name server has a socket here that this user may not write to. */
static bool
is_denied(const char *list)
{
	return strncmp(list, "ipc://", 6) == 0 && strchr(list, ',') == NULL &&
	    access(list + 6, W_OK) == -1 && errno == EACCES;
}

bool
dfb_watch_settled(const struct dfb_watch *w)
{
	return !w->located || w->dest->settled;
}

struct dfb_location *
dfb_watch_location(const struct dfb_watch *w)
{
	struct dfb_location *l = w->located ? w->dest->location : NULL;

	return l != NULL && l->known ? l : NULL;
}

size_t
dfb_watch_count(const struct dfb_watch *w)
{
	return dfb_watch_location(w) != NULL ? w->dest->nplaced : w->dest->n;
}

void
dfb_watch_nobody(const struct dfb_watch *w, char *why, size_t size)
{
	const struct dfb_location *l = dfb_watch_location(w);
	const char *text = w->dest->text;

	if (l == NULL)
		snprintf(why, size, "no broker serves '%s'", text);
	else if (l->n == 0)
		snprintf(why, size, "service '%s' is online nowhere: %s", text, l->reason);
	else
		snprintf(why, size, "no broker serves '%s' where it is online (%s%s)", text,
		    l->places[0].topic, l->n > 1 ? ", ..." : "");
}

enum dfb_status
dfb_dest_verdict(const struct dfb_watch *w, uint64_t waited_ms, uint64_t *left_ms,
    char *why, size_t size)
{
	const struct dfb_dest *t = w->dest;
	const struct dfb *d = t->dfb;
	bool placed = dfb_watch_location(w) != NULL, answered = t->answered;
	uint64_t limit;
	char time[16];
	size_t len;

	if (dfb_watch_settled(w) && dfb_watch_count(w) != 0)
		return DFB_OK;
	if (answered && t->refused != DFB_OK) {
		snprintf(why, size, "the name server refuses '%s': %s", t->text, t->why);
		return t->refused;
	}
	if (answered && !dfb_watch_settled(w)) {
		*left_ms = d->wait_ms; /* it will be, before */
		return DFB_AGAIN;
	}
	if (answered && !(placed ? t->was_placed : t->known)) {
		dfb_watch_nobody(w, why, size);
		if (!placed && (len = strlen(why)) < size)
			snprintf(why + len, size - len, ": its broker is not up, or it does "
			    "not exist ('dfb-ctl topic create')");
		return DFB_NOBODY;
	}
	if (!answered && !dfb_names_ever(d->names) && is_denied(dfb_names_list(d->names))) {
		snprintf(why, size, "no permission for %s: whoever may use the bus must be "
		    "allowed to write to the socket", dfb_names_list(d->names));
		return DFB_DENIED;
	}
	limit = answered || dfb_names_ever(d->names) ? d->wait_ms : d->first_wait_ms;
	if (waited_ms < limit) {
		*left_ms = limit - waited_ms;
		return DFB_AGAIN;
	}
	if (placed)
		dfb_watch_nobody(w, why, size);
	else if (answered)
		snprintf(why, size, "no broker serves '%s' any more, for %s", t->text,
		    dfb_format_duration(limit, time));
	else
		snprintf(why, size, "no name server answers at %s: is the bus running?",
		    dfb_names_list(d->names));
	return DFB_NOBODY;
}
