#include "client/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/conn.h"
#include "client/internal.h"
#include "client/link.h"
#include "client/routes.h"
#include "net/sock.h"
#include "wire/proto.h"
#include "wire/record.h"

#define RETRY_MS 50
#define DAEMONS_MAX 65536

/* One question under way. */
struct ask {
	struct dfb_link_user user;
	struct dfb *dfb;
	struct dfb_proto request;
	/* The answer, unless it is an ERROR: false when it is none. */
	bool (*take)(void *arg, const struct dfb_proto *);
	void *arg;
	bool sent, done;
	enum dfb_status status;
};

static void
end(struct ask *a, enum dfb_status st)
{
	a->done = true;
	a->status = st;
}

static void
on_up(void *arg)
{
	struct ask *a = arg;

	if (a->done || a->sent)
		return;
	a->request.req = a->user.handle;
	if (dfb_conn_send(dfb_link_conn(a->user.link), &a->request) == -1)
		end(a, dfb_fail(a->dfb, DFB_OSERR, "cannot send"));
	a->sent = true;
}

static void
on_down(void *arg, const char *why)
{
	struct ask *a = arg;

	if (!a->done)
		end(a, dfb_fail(a->dfb, DFB_NOBODY, "%s went away: %s",
		    dfb_link_broker(a->user.link), why));
}

static void
on_refused(void *arg)
{
	struct ask *a = arg;

	if (!a->done)
		end(a, dfb_fail(a->dfb, DFB_NOBODY, "nobody answers at %s",
		    dfb_link_broker(a->user.link)));
}

static bool
on_frame(void *arg, const struct dfb_proto *m)
{
	struct ask *a = arg;
	char reason[400];

	if (a->done)
		return true;
	if (m->type == DFB_M_ERROR) {
		end(a, dfb_fail(a->dfb, m->status != 0 ? m->status : DFB_BUG, "%s",
		    dfb_str_copy(m->error.reason, reason, sizeof reason)));
		return true;
	}
	if (!a->take(a->arg, m))
		return false;
	end(a, DFB_OK);
	return true;
}

static enum dfb_status
ask_one(struct ask *a, const char *endpoint, int timeout_ms)
{
	const char *wrong = dfb_endpoint_check(endpoint);
	enum dfb_status st;

	if (wrong != NULL)
		return dfb_fail(a->dfb, DFB_USAGE, "'%s': %s", endpoint, wrong);
	a->user = (struct dfb_link_user){ .up = on_up, .down = on_down,
		.refused = on_refused, .frame = on_frame, .arg = a };
	a->sent = a->done = false;
	if (dfb_link_join(a->dfb, endpoint, endpoint, &a->user) == -1)
		return dfb_fail(a->dfb, DFB_OSERR, "cannot connect to %s", endpoint);
	if (dfb_link_is_up(a->user.link))
		on_up(a);
	st = dfb_client_wait_for(a->dfb, &a->done, timeout_ms);
	dfb_link_leave(&a->user);
	if (st == DFB_TIMEOUT)
		dfb_fail(a->dfb, st, "no answer from %s", endpoint);
	return st == DFB_OK ? a->status : st;
}

/* One name server after the other, until one answers. */
static enum dfb_status
ask_names(struct ask *a, int timeout_ms)
{
	struct dfb *d = a->dfb;
	uint64_t start = dfb_client_now(), limit = d->first_wait_ms;
	enum dfb_status st = DFB_NOBODY;
	const char *endpoint;
	bool never = false;

	if (timeout_ms >= 0 && (uint64_t)timeout_ms < limit)
		limit = (uint64_t)timeout_ms;
	for (;;) {
		for (size_t i = 0; (endpoint = dfb_names_endpoint(d->names, i)) != NULL;
		    i++) {
			st = ask_one(a, endpoint, timeout_ms);
			/* It may have done what was asked if it was asked. */
			if (st != DFB_NOBODY ||
			    (a->sent && a->request.type == DFB_M_ADMIN))
				return st;
		}
		if (dfb_client_now() - start >= limit)
			return dfb_fail(d, st, "no name server answers at %s: is the bus "
			    "running?", dfb_names_list(d->names));
		dfb_client_wait_for(d, &never, RETRY_MS);
	}
}

static enum dfb_status
ask(struct ask *a, const char *endpoint, int timeout_ms)
{
	return endpoint != NULL ? ask_one(a, endpoint, timeout_ms) :
	    ask_names(a, timeout_ms);
}

/* ---- ADMIN ---- */

static bool
take_result(void *arg, const struct dfb_proto *m)
{
	char **json = arg;

	if (m->type != DFB_M_RESULT)
		return false;
	if ((*json = malloc(m->result.json.len + 1)) != NULL) {
		if (m->result.json.len != 0)
			memcpy(*json, m->result.json.p, m->result.json.len);
		(*json)[m->result.json.len] = '\0';
	}
	return true;
}

enum dfb_status
dfb_admin_ask(struct dfb *d, const char *endpoint, const char *verb, const char *args,
    int timeout_ms, char **json)
{
	struct ask a = { .dfb = d, .take = take_result, .arg = json };
	struct dfb_str text = dfb_str(args != NULL ? args : "{}");
	enum dfb_status st;

	*json = NULL;
	a.request.type = DFB_M_ADMIN;
	a.request.admin.verb = dfb_str(verb);
	a.request.admin.args = (struct dfb_blob){ (const uint8_t *)text.p, text.len };
	st = ask(&a, endpoint, timeout_ms);
	if (st == DFB_OK && *json == NULL)
		st = dfb_fail(d, DFB_OSERR, "out of memory");
	return st;
}

/* ---- DAEMONS ---- */

struct listing {
	struct dfb_admin_daemon *list;
	size_t n, cap;
	bool failed;
};

static bool
take_listing(void *arg, const struct dfb_proto *m)
{
	struct listing *l = arg;
	struct dfb_m_daemon e;
	struct dfb_blob rest;
	int rc;

	if (m->type != DFB_M_LISTING)
		return false;
	rest = m->listing.daemons;
	while ((rc = dfb_daemon_next(&rest, &e)) == 1) {
		struct dfb_admin_daemon *to;
		if (l->n == l->cap) {
			size_t cap = l->cap != 0 ? l->cap * 2 : 8;
			to = cap <= DAEMONS_MAX ?
			    reallocarray(l->list, cap, sizeof *to) : NULL;
			if (to == NULL) {
				l->failed = true;
				return true;
			}
			l->list = to;
			l->cap = cap;
		}
		to = &l->list[l->n++];
		dfb_str_copy(e.kind, to->kind, sizeof to->kind);
		dfb_str_copy(e.name, to->name, sizeof to->name);
		dfb_str_copy(e.region, to->region, sizeof to->region);
		dfb_str_copy(e.endpoint, to->endpoint, sizeof to->endpoint);
		to->incarnation = e.incarnation;
		to->age_ms = e.age_ms;
		to->topics = e.topics;
		to->state = e.state;
	}
	return rc == 0;
}

enum dfb_status
dfb_admin_daemons(struct dfb *d, int timeout_ms, struct dfb_admin_daemon **list, size_t *n)
{
	struct listing l = { 0 };
	struct ask a = { .dfb = d, .take = take_listing, .arg = &l };
	enum dfb_status st;

	a.request.type = DFB_M_DAEMONS;
	st = ask(&a, NULL, timeout_ms);
	if (st == DFB_OK && l.failed)
		st = dfb_fail(d, DFB_OSERR, "out of memory");
	if (st != DFB_OK) {
		free(l.list);
		l = (struct listing){ 0 };
	}
	*list = l.list;
	*n = l.n;
	return st;
}

/* ---- routes ---- */

struct routes_wait {
	struct dfb_watch watch;
	size_t min;
	bool done;
};

static void
on_routes(void *arg)
{
	struct routes_wait *w = arg;
	const struct dfb_dest *t = w->watch.dest;

	w->done = t->answered && (t->n >= w->min || t->refused != DFB_OK);
}

static enum dfb_status
copy_routes(struct dfb *d, const struct dfb_dest *t, struct dfb_admin_route **list)
{
	if (t->n != 0 && (*list = calloc(t->n, sizeof **list)) == NULL)
		return dfb_fail(d, DFB_OSERR, "out of memory");
	for (size_t i = 0; i < t->n; i++) {
		const struct dfb_route *from = &t->routes[i];
		struct dfb_admin_route *to = &(*list)[i];
		snprintf(to->topic, sizeof to->topic, "%s", from->topic);
		snprintf(to->broker, sizeof to->broker, "%s", from->broker);
		snprintf(to->region, sizeof to->region, "%s", from->region);
		snprintf(to->endpoint, sizeof to->endpoint, "%s", from->endpoint);
		to->incarnation = from->incarnation;
		to->state = from->state;
	}
	return DFB_OK;
}

enum dfb_status
dfb_admin_routes(struct dfb *d, const char *dest, size_t min, int timeout_ms,
    struct dfb_admin_route **list, size_t *n)
{
	struct routes_wait w = { .watch = { .changed = on_routes, .arg = &w }, .min = min };
	enum dfb_status st, copied;
	const struct dfb_dest *t;

	*list = NULL;
	*n = 0;
	if ((st = dfb_dest_watch(d, dest, &w.watch)) != DFB_OK)
		return st;
	on_routes(&w); /* it may be known */
	st = dfb_client_wait_for(d, &w.done, timeout_ms);
	t = w.watch.dest;
	if (t->refused != DFB_OK)
		st = dfb_fail(d, t->refused, "%s", t->why);
	else if (st == DFB_TIMEOUT && !t->answered)
		st = dfb_fail(d, DFB_NOBODY, "no name server answers at %s: is the bus "
		    "running?", dfb_names_list(d->names));
	else if (st == DFB_TIMEOUT)
		dfb_fail(d, st, "%zu brokers serve '%s', not yet %zu", t->n, dest, min);
	if ((copied = copy_routes(d, t, list)) == DFB_OK)
		*n = t->n;
	else
		st = copied;
	dfb_dest_unwatch(&w.watch);
	return st;
}

/* ---- PEEK ---- */

struct peek_wait {
	struct dfb_admin_peek *peek;
	void (*fn)(void *arg, const struct dfb_msg *);
	void *arg;
};

static bool
take_peeked(void *arg, const struct dfb_proto *m)
{
	struct peek_wait *w = arg;
	struct dfb_admin_peek *p = w->peek;
	const uint8_t *at, *stop;
	struct dfb_record r;
	struct dfb_msg msg = { .topic = p->topic, .queue = p->queue };
	int rc;

	if (m->type != DFB_M_PEEKED)
		return false;
	p->queues = m->peeked.queues;
	p->first = m->peeked.first;
	p->end = m->peeked.end;
	p->offset = m->peeked.offset;
	p->count = 0;
	at = m->peeked.records.p;
	stop = at + m->peeked.records.len;
	while ((rc = dfb_record_next(&at, stop, &r)) == 1) {
		dfb_record_to(&r, &msg);
		msg.offset = p->offset + p->count++;
		w->fn(w->arg, &msg);
	}
	return rc == 0 && p->count == m->peeked.count;
}

enum dfb_status
dfb_admin_peek(struct dfb *d, struct dfb_admin_peek *p, int timeout_ms,
    void (*fn)(void *arg, const struct dfb_msg *), void *arg)
{
	struct peek_wait w = { p, fn, arg };
	struct ask a = { .dfb = d, .take = take_peeked, .arg = &w };

	a.request.type = DFB_M_PEEK;
	a.request.peek = (struct dfb_m_peek){ .topic = dfb_str(p->topic),
		.queue = p->queue, .start = (uint8_t)p->start, .value = p->start_value,
		.max_count = p->max_count };
	return ask_one(&a, p->endpoint, timeout_ms);
}
