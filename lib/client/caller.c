#include "client/caller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/parse.h"
#include "net/loop.h"
#include "wire/proto.h"
#include "wire/record.h"

/* dfb_call() keeps callers for so many destinations. */
#define SYNC_MAX 32

static void
again(void *arg)
{
	struct dfb_caller *a = arg;

	dfb_work_add(a->dfb, &a->work);
}

static void
on_timer(struct dfb_timer *t, void *arg)
{
	(void)t;
	again(arg);
}

enum dfb_status
dfb_caller_open(struct dfb *d, const char *dest, struct dfb_caller **out)
{
	struct dfb_caller *a = calloc(1, sizeof *a);
	enum dfb_status st;

	if (a == NULL)
		return dfb_fail(d, DFB_OSERR, "out of memory");
	a->dfb = d;
	TAILQ_INIT(&a->queue);
	LIST_INIT(&a->targets);
	a->work = (struct dfb_work){ .fn = dfb_dispatch_serve, .arg = a };
	a->timer = (struct dfb_timer){ .fn = on_timer, .arg = a };
	a->watch.changed = again;
	a->watch.arg = a;
	a->watch.located = true;
	if ((st = dfb_dest_watch(d, dest, &a->watch)) != DFB_OK) {
		free(a);
		return st;
	}
	LIST_INSERT_HEAD(&d->callers, a, entry);
	*out = a;
	return DFB_OK;
}

/* ---- calls ---- */

void
dfb_call_move(struct dfb_call *c, struct dfb_call_list *to)
{
	if (c->list != NULL)
		TAILQ_REMOVE(c->list, c, entry);
	TAILQ_INSERT_TAIL(to, c, entry);
	c->list = to;
}

static void
call_free(struct dfb_call *c)
{
	free(c->tried);
	free(c);
}

static void
forget(struct dfb_call *c)
{
	struct dfb *d = c->caller->dfb;

	TAILQ_REMOVE(c->list, c, entry);
	dfb_calls_del(d->calls, c);
	dfb_loop_timer_stop(d->loop, &c->timer);
}

void
dfb_caller_close(struct dfb_caller *a)
{
	struct dfb_target *t;
	struct dfb_call *c;

	if (a == NULL)
		return;
	while ((t = LIST_FIRST(&a->targets)) != NULL) {
		while ((c = TAILQ_FIRST(&t->out)) != NULL)
			dfb_call_move(c, &a->queue);
		dfb_target_free(t);
	}
	while ((c = TAILQ_FIRST(&a->queue)) != NULL) {
		forget(c);
		call_free(c);
	}
	dfb_dest_unwatch(&a->watch);
	dfb_work_del(a->dfb, &a->work);
	dfb_loop_timer_stop(a->dfb->loop, &a->timer);
	LIST_REMOVE(a, entry);
	free(a);
}

void
dfb_caller_finish(struct dfb_call *c, enum dfb_status st, const char *why,
    const struct dfb_msg *reply)
{
	forget(c);
	c->fn(c->arg, st, why, reply);
	call_free(c);
}

static void
on_deadline(struct dfb_timer *t, void *arg)
{
	struct dfb_call *c = arg;
	const struct dfb_dest *dest = c->caller->watch.dest;
	char why[320], time[16];

	(void)t;
	dfb_format_duration(c->timeout_ms, time);
	if (c->link != NULL)
		snprintf(why, sizeof why, "no answer within %s", time);
	else if (!dest->answered)
		snprintf(why, sizeof why, "no name server answers at %s: is the bus "
		    "running?", dfb_names_list(c->caller->dfb->names));
	else
		snprintf(why, sizeof why, "no broker of '%s' could be reached within %s",
		    dest->text, time);
	dfb_caller_finish(c, DFB_TIMEOUT, why, NULL);
}

/* Note that target t did not take it.  0; -1: out of memory. */
static int
note_tried(struct dfb_call *c, const struct dfb_target *t)
{
	if (c->ntried == c->cap) {
		unsigned cap = c->cap != 0 ? c->cap * 2 : 4;
		uint32_t *p = reallocarray(c->tried, cap, sizeof *p);
		if (p == NULL)
			return -1;
		c->tried = p;
		c->cap = cap;
	}
	c->tried[c->ntried++] = t->id;
	return 0;
}

/* Certainly not taken there: to the next broker, if there is one. */
static void
try_next(struct dfb_call *c, enum dfb_status st, struct dfb_str reason)
{
	struct dfb_caller *a = c->caller;
	struct dfb_target *t;

	LIST_FOREACH(t, &a->targets, entry)
		if (&t->out == c->list)
			break;
	if (t != NULL && st == DFB_AGAIN)
		dfb_target_refused(t);
	c->status = st;
	dfb_str_copy(reason, c->why, sizeof c->why);
	if (t != NULL && note_tried(c, t) == -1) {
		dfb_caller_finish(c, st, c->why, NULL);
		return;
	}
	c->link = NULL;
	dfb_call_move(c, &a->queue);
	dfb_work_add(a->dfb, &a->work);
}

void
dfb_caller_outcome(struct dfb_call *c, const struct dfb_m_outcome *o)
{
	struct dfb_msg reply = { .headers = o->headers.p, .headers_len = o->headers.len,
		.body = o->body.p, .body_len = o->body.len };
	char why[512];

	if (o->taken == 0 && (o->status == DFB_NOBODY || o->status == DFB_AGAIN)) {
		try_next(c, o->status, o->reason);
		return;
	}
	if (!dfb_headers_valid(o->headers.p, o->headers.len))
		reply.headers_len = 0;
	dfb_caller_finish(c, o->status, dfb_str_copy(o->reason, why, sizeof why),
	    o->status == DFB_OK ? &reply : NULL);
}

static struct dfb_call *
call_new(struct dfb_caller *a, const struct dfb_record *r, size_t size, uint64_t timeout_ms)
{
	struct dfb_call *c = malloc(sizeof *c + size);

	if (c == NULL)
		return NULL;
	*c = (struct dfb_call){ .caller = a, .len = size, .timeout_ms = timeout_ms,
		.id = r->id, .expires_ms = r->expires };
	if (dfb_calls_add(a->dfb->calls, c) == -1) {
		call_free(c);
		return NULL;
	}
	return c;
}

static struct dfb_call *
call_from(struct dfb_caller *a, const struct dfb_msg *m, uint64_t timeout_ms)
{
	uint64_t now = dfb_wall_ms(), until = now + timeout_ms;
	struct dfb_msg full = *m;
	struct dfb_record r;
	struct dfb_call *c;

	if (dfb_id_is_zero(&full.id))
		dfb_id_make(&full.id, now);
	if (full.born_ms == 0)
		full.born_ms = dfb_id_is_zero(&m->id) ? dfb_id_time(&full.id) : now;
	if (full.expires_ms == 0 || full.expires_ms > until)
		full.expires_ms = until;
	dfb_record_from(&r, &full);
	r.flags |= DFB_R_CALL;
	if ((c = call_new(a, &r, dfb_record_size(&r), timeout_ms)) == NULL)
		return NULL;
	c->keyed = m->key_len != 0;
	c->key_hash = c->keyed ? dfb_hash(m->key, m->key_len) : 0;
	r.call = c->number;
	dfb_record_write(&r, c->record);
	return c;
}

static enum dfb_status
start(struct dfb_caller *a, struct dfb_call *c, dfb_answer_fn *fn, void *arg)
{
	if (c == NULL)
		return dfb_fail(a->dfb, DFB_OSERR, "out of memory");
	c->fn = fn;
	c->arg = arg;
	dfb_call_move(c, &a->queue);
	c->timer = (struct dfb_timer){ .fn = on_deadline, .arg = c };
	dfb_loop_timer(a->dfb->loop, &c->timer, c->timeout_ms);
	dfb_work_add(a->dfb, &a->work);
	return DFB_OK;
}

enum dfb_status
dfb_caller_start(struct dfb_caller *a, const struct dfb_msg *m, uint64_t timeout_ms,
    dfb_answer_fn *fn, void *arg)
{
	enum dfb_status st = dfb_msg_check(a->dfb, m, DFB_BODY_MAX_LIMIT);

	return st != DFB_OK ? st : start(a, call_from(a, m, timeout_ms), fn, arg);
}

/* An id is known by one broker alone: it has to be the same each time. */
static void
by_id(struct dfb_call *c, int kind)
{
	c->kind = kind;
	c->keyed = true;
	c->key_hash = dfb_hash(&c->id, sizeof c->id);
}

enum dfb_status
dfb_caller_start_once(struct dfb_caller *a, const struct dfb_msg *m, uint64_t timeout_ms,
    dfb_answer_fn *fn, void *arg)
{
	enum dfb_status st = dfb_msg_check(a->dfb, m, DFB_BODY_MAX_LIMIT);
	struct dfb_call *c;

	if (st == DFB_OK && dfb_id_is_zero(&m->id))
		return dfb_fail(a->dfb, DFB_BADINPUT, "a call that is made once needs an id");
	if (st != DFB_OK)
		return st;
	if ((c = call_from(a, m, timeout_ms)) != NULL)
		by_id(c, DFB_CALL_BY_ID);
	return start(a, c, fn, arg);
}

enum dfb_status
dfb_caller_collect(struct dfb_caller *a, const struct dfb_id *id, uint64_t timeout_ms,
    dfb_answer_fn *fn, void *arg)
{
	struct dfb_record r = { .id = *id, .expires = dfb_wall_ms() + timeout_ms };
	struct dfb_call *c = call_new(a, &r, 0, timeout_ms);

	if (c != NULL)
		by_id(c, DFB_CALL_COLLECT);
	return start(a, c, fn, arg);
}

/* ---- one call, waited for ---- */

struct waiting {
	bool done;
	struct dfb *dfb;
	enum dfb_status status;
	void *body;
	size_t len;
};

static void
on_answer(void *arg, enum dfb_status st, const char *why, const struct dfb_msg *reply)
{
	struct waiting *w = arg;

	w->done = true;
	w->status = st;
	if (st != DFB_OK) {
		dfb_fail(w->dfb, st, "%s", why);
		return;
	}
	if ((w->body = malloc(reply->body_len + 1)) == NULL) {
		w->status = dfb_fail(w->dfb, DFB_OSERR, "out of memory");
		return;
	}
	if (reply->body_len != 0)
		memcpy(w->body, reply->body, reply->body_len);
	((char *)w->body)[w->len = reply->body_len] = '\0';
}

/* The caller kept for dest; the one unused for the longest time gives way. */
static enum dfb_status
sync_caller(struct dfb *d, const char *dest, struct dfb_caller **out)
{
	struct dfb_caller *a, *oldest = NULL;
	enum dfb_status st;

	LIST_FOREACH(a, &d->callers, entry) {
		if (!a->sync)
			continue;
		oldest = a;
		if (strcmp(a->watch.dest->text, dest) == 0) {
			LIST_REMOVE(a, entry);
			LIST_INSERT_HEAD(&d->callers, a, entry);
			*out = a;
			return DFB_OK;
		}
	}
	if ((st = dfb_caller_open(d, dest, out)) != DFB_OK)
		return st;
	(*out)->sync = true;
	if (d->sync_callers < SYNC_MAX)
		d->sync_callers++;
	else
		dfb_caller_close(oldest);
	return DFB_OK;
}

enum dfb_status
dfb_call(struct dfb *d, const char *dest, const struct dfb_msg *m, uint64_t timeout_ms,
    void **reply, size_t *reply_len)
{
	struct waiting w = { .dfb = d };
	struct dfb_caller *a;
	enum dfb_status st;

	if ((st = sync_caller(d, dest, &a)) != DFB_OK ||
	    (st = dfb_caller_start(a, m, timeout_ms, on_answer, &w)) != DFB_OK)
		return st;
	if ((st = dfb_client_wait_for(d, &w.done, -1)) != DFB_OK) {
		/* w must not be referred to any longer. */
		d->sync_callers--;
		dfb_caller_close(a);
		return st;
	}
	if (w.status != DFB_OK)
		return w.status;
	*reply = w.body;
	*reply_len = w.len;
	return DFB_OK;
}
