#include "client/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/calls.h"
#include "client/conn.h"
#include "client/internal.h"
#include "net/loop.h"
#include "wire/proto.h"

/* A link that nobody uses is kept so long: the next one may want it. */
#define IDLE_MS 10000
#define LINGER_MS 1000
#define MALFORMED_MS 1000

RB_HEAD(users, dfb_link_user);

struct dfb_link {
	LIST_ENTRY(dfb_link) entry;
	struct dfb *dfb;
	struct dfb_conn *conn;
	char endpoint[256], broker[65];
	struct users users;
	uint32_t last;      /* handle given */
	uint64_t session;   /* 0: down */
	bool failing, lost; /* lost: was up, and the user was told that it is gone */
	struct dfb_timer idle;
};

static int
compare(const struct dfb_link_user *a, const struct dfb_link_user *b)
{
	return (a->handle > b->handle) - (a->handle < b->handle);
}

RB_GENERATE_INTERNAL(users, dfb_link_user, entry, compare,
    __attribute__((unused)) static)

static struct dfb_link_user *
find_user(struct dfb_link *l, uint32_t handle)
{
	struct dfb_link_user key = { .handle = handle };

	return RB_FIND(users, &l->users, &key);
}

/* ---- what the session reports ---- */

static void
on_up(void *arg)
{
	struct dfb_link *l = arg;
	struct dfb_link_user *u;

	l->session = ++l->dfb->sessions;
	l->failing = false;
	if (l->lost)
		dfb_notice(l->dfb, "broker %s is back", l->broker);
	l->lost = false;
	RB_FOREACH(u, users, &l->users)
		u->up(u->arg);
}

static void
on_down(void *arg, const char *why)
{
	struct dfb_link *l = arg;
	struct dfb_link_user *u;

	l->session = 0;
	l->failing = true;
	if (!RB_EMPTY(&l->users)) {
		l->lost = true;
		dfb_notice(l->dfb, "broker %s went away (%s), reconnecting", l->broker, why);
	}
	RB_FOREACH(u, users, &l->users)
		u->down(u->arg, why);
}

static void
on_refused(void *arg)
{
	struct dfb_link *l = arg;
	struct dfb_link_user *u;

	l->failing = true;
	RB_FOREACH(u, users, &l->users)
		if (u->refused != NULL)
			u->refused(u->arg);
}

static uint32_t
handle_of(const struct dfb_proto *m)
{
	switch (m->type) {
	case DFB_M_PRODUCING:
		return m->producing.stream;
	case DFB_M_CONFIRM:
		return m->confirm.stream;
	case DFB_M_KNOWN:
		return m->known.stream;
	case DFB_M_REFUSE:
		return m->refuse.stream;
	case DFB_M_SUBSCRIBED:
		return m->subscribed.sub;
	case DFB_M_DELIVER:
		return m->deliver.sub;
	case DFB_M_DRAINED:
		return m->drained.sub;
	case DFB_M_DROPPED:
		return m->dropped.sub;
	}
	return m->req;
}

static void
on_frame(void *arg, const struct dfb_proto *m)
{
	struct dfb_link *l = arg;
	struct dfb_link_user *u;
	bool good = true;

	if (m->type == DFB_M_WELCOME)
		return;
	if (m->type == DFB_M_ANSWER)
		good = dfb_calls_answer(l->dfb->calls, l, m);
	else if ((u = find_user(l, handle_of(m))) != NULL)
		good = u->frame(u->arg, m);
	else if (m->type == DFB_M_ERROR)
		dfb_calls_error(l->dfb->calls, l, m);
	/* Anything else is for somebody who has left. */
	if (!good) {
		char text[96];
		snprintf(text, sizeof text, "it sent a %s that makes no sense",
		    dfb_proto_name(m->type));
		dfb_conn_drop(l->conn, text, MALFORMED_MS);
	}
}

/* ---- life cycle ---- */

static struct dfb_link *
find(struct dfb *d, const char *endpoint)
{
	struct dfb_link *l;

	LIST_FOREACH(l, &d->links, entry)
		if (strcmp(l->endpoint, endpoint) == 0)
			return l;
	return NULL;
}

static void
link_free(struct dfb_link *l, int linger_ms)
{
	LIST_REMOVE(l, entry);
	dfb_loop_timer_stop(l->dfb->loop, &l->idle);
	dfb_conn_free(l->conn, linger_ms);
	free(l);
}

static void
on_idle(struct dfb_timer *t, void *arg)
{
	(void)t;
	link_free(arg, LINGER_MS);
}

static struct dfb_link *
link_new(struct dfb *d, const char *endpoint, const char *broker)
{
	struct dfb_link *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	l->dfb = d;
	l->idle = (struct dfb_timer){ .fn = on_idle, .arg = l };
	snprintf(l->endpoint, sizeof l->endpoint, "%s", endpoint);
	snprintf(l->broker, sizeof l->broker, "%s", broker);
	if ((l->conn = dfb_conn_new(&(struct dfb_conn_config){
	    .net = d->net, .loop = d->loop, .endpoint = endpoint, .role = "client",
	    .who = d->who, .region = d->region, .client = d->id, .up = on_up, .down = on_down,
	    .refused = on_refused, .frame = on_frame, .arg = l })) == NULL) {
		free(l);
		return NULL;
	}
	LIST_INSERT_HEAD(&d->links, l, entry);
	return l;
}

static void
number(struct dfb_link *l, struct dfb_link_user *u)
{
	do
		u->handle = dfb_link_number(l);
	while (RB_INSERT(users, &l->users, u) != NULL);
}

int
dfb_link_join(struct dfb *d, const char *endpoint, const char *broker,
    struct dfb_link_user *u)
{
	struct dfb_link *l = find(d, endpoint);

	if (l == NULL && (l = link_new(d, endpoint, broker)) == NULL)
		return -1;
	/* Another broker may have taken over the endpoint. */
	snprintf(l->broker, sizeof l->broker, "%s", broker);
	dfb_loop_timer_stop(d->loop, &l->idle);
	u->link = l;
	number(l, u);
	return 0;
}

void
dfb_link_leave(struct dfb_link_user *u)
{
	struct dfb_link *l = u->link;

	if (l == NULL)
		return;
	RB_REMOVE(users, &l->users, u);
	u->link = NULL;
	if (RB_EMPTY(&l->users))
		dfb_loop_timer(l->dfb->loop, &l->idle, IDLE_MS);
}

void
dfb_link_renumber(struct dfb_link_user *u)
{
	RB_REMOVE(users, &u->link->users, u);
	number(u->link, u);
}

uint32_t
dfb_link_number(struct dfb_link *l)
{
	if (++l->last == 0)
		l->last = 1;
	return l->last;
}

struct dfb_conn *
dfb_link_conn(const struct dfb_link *l)
{
	return l->conn;
}

bool
dfb_link_is_up(const struct dfb_link *l)
{
	return l->session != 0;
}

uint64_t
dfb_link_session(const struct dfb_link *l)
{
	return l->session;
}

bool
dfb_link_is_to(const struct dfb_link *l, const char *endpoint)
{
	return strcmp(l->endpoint, endpoint) == 0;
}

const char *
dfb_link_broker(const struct dfb_link *l)
{
	return l->broker;
}

bool
dfb_link_failing(struct dfb *d, const char *endpoint)
{
	struct dfb_link *l = find(d, endpoint);

	return l != NULL && l->failing;
}

void
dfb_links_free(struct dfb *d, int linger_ms)
{
	while (!LIST_EMPTY(&d->links))
		link_free(LIST_FIRST(&d->links), linger_ms);
}
