#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "client/avoid.h"
#include "client/caller.h"
#include "client/conn.h"
#include "net/loop.h"
#include "wire/proto.h"

#define FRAME_BYTES (64u << 10)
#define FULL_MS 5     /* until a socket that takes no more is asked again */
#define RETRY_MS 1000 /* after a shortage of memory or descriptors */

/* ---- targets ---- */

static void
again(void *arg)
{
	struct dfb_target *t = arg;

	dfb_work_add(t->caller->dfb, &t->caller->work);
}

void
dfb_target_refused(struct dfb_target *t)
{
	const struct dfb_dest *d = t->caller->watch.dest;

	for (size_t i = 0; d->n > 1 && i < d->n; i++)
		if (strcmp(t->broker, d->routes[i].broker) == 0 &&
		    strcmp(t->topic, d->routes[i].topic) == 0)
			dfb_avoid(t->caller->dfb, &d->routes[i], false);
}

static void
on_down(void *arg, const char *why)
{
	struct dfb_target *t = arg;
	struct dfb_call *c;
	char text[320];

	snprintf(text, sizeof text, "broker %s went away (%s); the request may have been "
	    "handled", t->broker, why);
	dfb_target_refused(t);
	while ((c = TAILQ_FIRST(&t->out)) != NULL)
		dfb_caller_finish(c, DFB_NOBODY, text, NULL);
	again(t);
}

static bool
on_frame(void *arg, const struct dfb_proto *m)
{
	(void)arg;
	(void)m;
	return true;
}

static struct dfb_target *
target_new(struct dfb_caller *a, const struct dfb_route *r)
{
	struct dfb_target *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->caller = a;
	t->id = ++a->last_id;
	snprintf(t->topic, sizeof t->topic, "%s", r->topic);
	snprintf(t->broker, sizeof t->broker, "%s", r->broker);
	TAILQ_INIT(&t->out);
	t->user = (struct dfb_link_user){ .up = again, .down = on_down,
		.refused = again, .frame = on_frame, .arg = t };
	if (dfb_link_join(a->dfb, r->endpoint, r->broker, &t->user) == -1) {
		free(t);
		return NULL;
	}
	LIST_INSERT_HEAD(&a->targets, t, entry);
	return t;
}

void
dfb_target_free(struct dfb_target *t)
{
	LIST_REMOVE(t, entry);
	dfb_link_leave(&t->user);
	dfb_buf_release(&t->batch);
	free(t);
}

struct dfb_target *
dfb_target_find(struct dfb_caller *a, const struct dfb_route *r)
{
	struct dfb_target *t;

	LIST_FOREACH(t, &a->targets, entry)
		if (strcmp(t->broker, r->broker) == 0 && strcmp(t->topic, r->topic) == 0 &&
		    dfb_link_is_to(t->user.link, r->endpoint))
			return t;
	return NULL;
}

/* Those that no route leads to any more, and that owe no answer. */
static void
sweep(struct dfb_caller *a)
{
	const struct dfb_dest *d = a->watch.dest;
	struct dfb_target *t, *next;

	LIST_FOREACH_SAFE(t, &a->targets, entry, next) {
		bool wanted = !TAILQ_EMPTY(&t->out);
		for (size_t i = 0; i < d->n && !wanted; i++)
			wanted = dfb_target_find(a, &d->routes[i]) == t;
		if (!wanted)
			dfb_target_free(t);
	}
}

/* ---- sending ---- */

static void
send_batch(struct dfb_target *t)
{
	struct dfb_caller *a = t->caller;
	struct dfb_proto m = { .type = DFB_M_CALL, .req = t->frame, .call = {
		.topic = dfb_str(t->topic), .flags = t->once ? DFB_CALL_ONCE : 0,
		.records = { t->batch.data, t->batch.len } } };
	struct dfb_call *c, *next;

	if (t->frame == 0)
		return;
	if (dfb_conn_send(dfb_link_conn(t->user.link), &m) == -1) {
		TAILQ_FOREACH_SAFE(c, &t->out, entry, next)
			if (c->frame == t->frame) {
				c->link = NULL;
				dfb_call_move(c, &a->queue);
			}
		a->full = true;
	}
	t->frame = 0;
	t->batch.len = 0;
}

static int
collect(struct dfb_target *t, struct dfb_call *c)
{
	struct dfb_proto m = { .type = DFB_M_COLLECT,
		.req = dfb_link_number(t->user.link), .collect = {
		.topic = dfb_str(t->topic), .call = c->number, .id = c->id,
		.expires = c->expires_ms } };

	if (dfb_conn_send(dfb_link_conn(t->user.link), &m) == -1) {
		t->caller->full = true;
		return 0;
	}
	c->frame = m.req;
	c->link = t->user.link;
	dfb_call_move(c, &t->out);
	return 0;
}

static int
add(struct dfb_target *t, struct dfb_call *c)
{
	bool once = c->kind == DFB_CALL_BY_ID;

	if (c->kind == DFB_CALL_COLLECT)
		return collect(t, c);
	if (t->frame != 0 && (t->once != once || t->batch.len + c->len > FRAME_BYTES))
		send_batch(t);
	t->once = once;
	if (dfb_buf_add(&t->batch, c->record, c->len) == -1)
		return -1;
	if (t->frame == 0)
		t->frame = dfb_link_number(t->user.link);
	c->frame = t->frame;
	c->link = t->user.link;
	dfb_call_move(c, &t->out);
	return 0;
}

/* All that can be said now about a call that cannot be sent.  false: nothing. */
static bool
verdict(struct dfb_caller *a, const struct dfb_call *c, uint64_t waited, uint64_t *left,
    enum dfb_status *st, char *why, size_t size)
{
	const struct dfb_dest *d = a->watch.dest;
	size_t n = dfb_watch_count(&a->watch);
	char time[16];

	if (c->ntried != 0) {
		*st = c->status; /* DFB_AGAIN, too: whoever called decides whether to wait */
		snprintf(why, size, "%s", c->why);
		return true;
	}
	if (d->answered && d->refused == DFB_OK && dfb_watch_settled(&a->watch) && n == 0) {
		*st = DFB_NOBODY; /* no use in waiting: who asks wants to know */
		dfb_watch_nobody(&a->watch, why, size);
	} else if (dfb_watch_settled(&a->watch) && n != 0) {
		*left = a->dfb->wait_ms > waited ? a->dfb->wait_ms - waited : 0;
		*st = *left != 0 ? DFB_AGAIN : DFB_NOBODY;
		snprintf(why, size, "no broker of '%s' can be reached, for %s", d->text,
		    dfb_format_duration(a->dfb->wait_ms, time));
	} else
		*st = dfb_dest_verdict(&a->watch, waited, left, why, size);
	return *st != DFB_AGAIN && *st != DFB_OK;
}

/* 0: sent, or to be sent with others; 1: not now; -1: short of something. */
static int
dispatch(struct dfb_caller *a, struct dfb_call *c)
{
	const struct dfb_route *r = dfb_caller_pick(a, c);
	struct dfb_target *t;

	if (r == NULL)
		return 1;
	if ((t = dfb_target_find(a, r)) == NULL && (t = target_new(a, r)) == NULL)
		return -1;
	if (!dfb_link_is_up(t->user.link))
		return 1;
	if (add(t, c) == -1)
		return -1;
	a->turn++;
	return 0;
}

void
dfb_dispatch_serve(void *arg)
{
	struct dfb_caller *a = arg;
	uint64_t now = dfb_client_now(), left = UINT64_MAX, rest = UINT64_MAX;
	struct dfb_call *c, *next;
	struct dfb_target *t;
	enum dfb_status st = DFB_OK;
	const struct dfb_route *r;
	bool waiting = false;
	char why[320];

	dfb_loop_timer_stop(a->dfb->loop, &a->timer);
	a->full = false;
	sweep(a);
	TAILQ_FOREACH_SAFE(c, &a->queue, entry, next) {
		int rc = dispatch(a, c);
		if (a->full)
			break;
		if (rc == 0)
			continue;
		if (rc == -1) {
			rest = RETRY_MS;
			continue;
		}
		if (a->stuck_since == 0)
			a->stuck_since = now;
		r = c->ntried != 0 ? dfb_caller_pick(a, c) : NULL;
		if (r != NULL && !dfb_link_failing(a->dfb, r->endpoint)) {
			waiting = true; /* the next one is being connected to */
			continue;
		}
		if (verdict(a, c, now - a->stuck_since, &left, &st, why, sizeof why)) {
			dfb_caller_finish(c, st, why, NULL);
			dfb_client_kick(a->dfb);
		} else {
			waiting = true;
			rest = left < rest ? left : rest;
		}
	}
	if (!waiting)
		a->stuck_since = 0;
	LIST_FOREACH(t, &a->targets, entry)
		send_batch(t);
	if (a->full)
		rest = FULL_MS;
	if (rest != UINT64_MAX)
		dfb_loop_timer(a->dfb->loop, &a->timer, rest);
}
