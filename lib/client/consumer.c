#include "client/consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "net/loop.h"

#define CREDIT 1000
#define FULL_MS 5     /* until a socket that takes no more is asked again */
#define RETRY_MS 1000 /* after a shortage of memory or descriptors */

void
dfb_consumer_over(struct dfb_consumer *c, enum dfb_status st, const char *why)
{
	if (c->over || c->leaving)
		return;
	c->over = true;
	if (c->cf.failed != NULL)
		c->cf.failed(c->cf.arg, st, why);
	dfb_client_kick(c->dfb);
}

/* ---- subscriptions follow the routes ---- */

static struct dfb_sub *
find(struct dfb_consumer *c, const struct dfb_route *r)
{
	struct dfb_sub *s;

	LIST_FOREACH(s, &c->subs, entry)
		if (strcmp(s->broker, r->broker) == 0 && strcmp(s->topic, r->topic) == 0)
			return s;
	return NULL;
}

static void
moved(struct dfb_sub *s, const struct dfb_route *r)
{
	struct dfb_link_user *u = &s->user;

	/* While the old connection lives it is as good as the new one. */
	if (dfb_link_is_up(u->link) || dfb_link_is_to(u->link, r->endpoint))
		return;
	dfb_link_leave(u);
	s->session = 0;
	if (dfb_link_join(s->consumer->dfb, r->endpoint, r->broker, u) == -1)
		s->wanted = false; /* made anew later */
}

/* false: short of something. */
static bool
follow_routes(struct dfb_consumer *c)
{
	const struct dfb_dest *t = c->watch.dest;
	struct dfb_sub *s, *next;
	bool good = true;

	LIST_FOREACH(s, &c->subs, entry)
		s->wanted = false;
	for (size_t i = 0; i < t->n; i++) {
		if ((s = find(c, &t->routes[i])) == NULL &&
		    (s = dfb_sub_new(c, &t->routes[i])) == NULL) {
			good = false;
			continue;
		}
		s->wanted = true;
		moved(s, &t->routes[i]);
	}
	/* A name server that knows less than its predecessor must not end a
	 * subscription that works. */
	LIST_FOREACH_SAFE(s, &c->subs, entry, next)
		if (!s->wanted && (s->user.link == NULL || s->session == 0 ||
		    s->state == DFB_SUB_OVER))
			dfb_sub_free(s);
	return good;
}

/* ---- serving ---- */

/* Nothing is subscribed: wait, or give up. */
static uint64_t
stuck(struct dfb_consumer *c)
{
	const struct dfb *d = c->dfb;
	uint64_t now = dfb_client_now(), waited, left = 0;
	enum dfb_status st;
	char why[320], time[16];

	if (c->stuck_since == 0)
		c->stuck_since = now;
	waited = now - c->stuck_since;
	st = dfb_dest_verdict(&c->watch, waited, &left, why, sizeof why);
	if (st == DFB_OK && waited < d->wait_ms)
		return d->wait_ms - waited;
	if (st == DFB_AGAIN)
		return left;
	if (st == DFB_OK) {
		st = DFB_NOBODY;
		snprintf(why, sizeof why, "no broker of '%s' can be reached, for %s",
		    c->watch.dest->text, dfb_format_duration(d->wait_ms, time));
	}
	dfb_consumer_over(c, st, why);
	return UINT64_MAX;
}

static void
check_end(struct dfb_consumer *c)
{
	struct dfb_sub *s;
	bool any = false;

	if (!c->cf.stop_at_end || c->ended || c->over || c->leaving)
		return;
	LIST_FOREACH(s, &c->subs, entry) {
		if (s->state == DFB_SUB_OVER)
			continue;
		if (!s->drained)
			return;
		any = true;
	}
	if (!any)
		return;
	c->ended = true;
	if (c->cf.end != NULL)
		c->cf.end(c->cf.arg);
	dfb_client_kick(c->dfb);
}

static void
serve(void *arg)
{
	struct dfb_consumer *c = arg;
	uint64_t now = dfb_client_now(), come_back = UINT64_MAX;
	struct dfb_sub *s;
	bool open = false, leaving = false;

	dfb_loop_timer_stop(c->dfb->loop, &c->timer);
	if (!c->leaving && !c->over && !follow_routes(c))
		come_back = RETRY_MS;
	LIST_FOREACH(s, &c->subs, entry) {
		if (!dfb_sub_serve(s)) {
			come_back = come_back < FULL_MS ? come_back : FULL_MS;
			leaving = true;
		}
		open = open || s->state == DFB_SUB_OPEN || s->state == DFB_SUB_ASKED;
		leaving = leaving || s->state == DFB_SUB_LEAVING;
		if (s->state == DFB_SUB_IDLE && s->retry_at != 0) {
			uint64_t ms = s->retry_at > now ? s->retry_at - now : 0;
			come_back = ms < come_back ? ms : come_back;
			open = true; /* the broker is there */
		}
	}
	if (c->leaving && !leaving) {
		c->left = true;
		dfb_client_kick(c->dfb);
	}
	if (open || c->over || c->leaving)
		c->stuck_since = 0;
	else {
		uint64_t ms = stuck(c);
		come_back = ms < come_back ? ms : come_back;
	}
	check_end(c);
	if (come_back != UINT64_MAX)
		dfb_loop_timer(c->dfb->loop, &c->timer, come_back);
}

static void
again(void *arg)
{
	struct dfb_consumer *c = arg;

	dfb_work_add(c->dfb, &c->work);
}

static void
on_timer(struct dfb_timer *t, void *arg)
{
	(void)t;
	again(arg);
}

/* ---- life cycle ---- */

static enum dfb_status
check(struct dfb *d, const struct dfb_consumer_config *cf)
{
	if (cf->group == NULL && !cf->broadcast)
		return dfb_fail(d, DFB_USAGE, "a group is needed, unless everything is "
		    "broadcast");
	if (cf->group != NULL && !dfb_group_valid(cf->group))
		return dfb_fail(d, DFB_USAGE, "'%s' is not a group: 1 to 64 letters, "
		    "digits, '_', '.' or '-'", cf->group);
	if (cf->instance != NULL && !dfb_name_valid(cf->instance))
		return dfb_fail(d, DFB_USAGE, "'%s' is not an instance: 1 to 64 letters, "
		    "digits, '_', '.' or '-'", cf->instance);
	if (cf->label != NULL && !dfb_name_valid(cf->label))
		return dfb_fail(d, DFB_USAGE, "'%s' is not a label: 1 to 64 letters, "
		    "digits, '_', '.' or '-'", cf->label);
	return DFB_OK;
}

enum dfb_status
dfb_consumer_open(struct dfb *d, const struct dfb_consumer_config *cf,
    struct dfb_consumer **out)
{
	enum dfb_status st = check(d, cf);
	struct dfb_consumer *c;

	if (st != DFB_OK)
		return st;
	if ((c = calloc(1, sizeof *c)) == NULL)
		return dfb_fail(d, DFB_OSERR, "out of memory");
	c->dfb = d;
	c->cf = *cf;
	c->cf.dest = c->cf.group = c->cf.instance = c->cf.label = NULL; /* copied */
	if (c->cf.credit == 0)
		c->cf.credit = CREDIT;
	snprintf(c->group, sizeof c->group, "%s", cf->group != NULL ? cf->group : "");
	snprintf(c->instance, sizeof c->instance, "%s",
	    cf->instance != NULL ? cf->instance : "");
	snprintf(c->label, sizeof c->label, "%s", cf->label != NULL ? cf->label : "");
	LIST_INIT(&c->subs);
	c->work = (struct dfb_work){ .fn = serve, .arg = c };
	c->timer = (struct dfb_timer){ .fn = on_timer, .arg = c };
	c->watch.changed = again;
	c->watch.arg = c;
	if ((st = dfb_dest_watch(d, cf->dest, &c->watch)) != DFB_OK) {
		free(c);
		return st;
	}
	LIST_INSERT_HEAD(&d->consumers, c, entry);
	again(c);
	*out = c;
	return DFB_OK;
}

void
dfb_consumer_free(struct dfb_consumer *c)
{
	while (!LIST_EMPTY(&c->subs))
		dfb_sub_free(LIST_FIRST(&c->subs));
	dfb_dest_unwatch(&c->watch);
	dfb_work_del(c->dfb, &c->work);
	dfb_loop_timer_stop(c->dfb->loop, &c->timer);
	LIST_REMOVE(c, entry);
	free(c);
}

enum dfb_status
dfb_consumer_close(struct dfb_consumer *c, int timeout_ms)
{
	enum dfb_status st;
	struct dfb_sub *s;

	if (c == NULL)
		return DFB_OK;
	c->leaving = true;
	again(c);
	st = dfb_client_wait_for(c->dfb, &c->left, timeout_ms);
	if (st == DFB_TIMEOUT)
		dfb_fail(c->dfb, st, "the brokers have not confirmed the "
		    "acknowledgements yet");
	LIST_FOREACH(s, &c->subs, entry)
		if (st == DFB_OK && s->doubt)
			st = dfb_fail(c->dfb, DFB_NOBODY, "broker %s went away; some "
			    "acknowledgements may not have arrived", s->broker);
	dfb_consumer_free(c);
	return st;
}
