#include "client/producer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"
#include "net/loop.h"
#include "wire/proto.h"
#include "wire/record.h"

#define WINDOW 16384
#define WINDOW_BYTES (8u << 20)
#define FAILOVER_MS 5000

static void
again(void *arg)
{
	struct dfb_producer *p = arg;

	dfb_work_add(p->dfb, &p->work);
}

static void
on_timer(struct dfb_timer *t, void *arg)
{
	(void)t;
	again(arg);
}

void
dfb_producer_come_back(struct dfb_producer *p, uint64_t ms)
{
	if (ms < p->due)
		p->due = ms;
}

/* What no route leads to any more, and has nothing; but keys may still be told by it. */
static void
sweep(struct dfb_producer *p)
{
	struct dfb_stream *s, *next;

	TAILQ_FOREACH_SAFE(s, &p->streams, entry, next)
		if (!s->listed && s != p->home && dfb_stream_is_empty(s) &&
		    !dfb_keys_need(s))
			dfb_stream_free(s);
}

static void
serve(void *arg)
{
	struct dfb_producer *p = arg;
	struct dfb_stream *s;

	dfb_loop_timer_stop(p->dfb->loop, &p->timer);
	p->due = UINT64_MAX;
	dfb_steer(p);
	TAILQ_FOREACH(s, &p->streams, entry)
		dfb_stream_serve(s);
	sweep(p);
	if (p->due != UINT64_MAX)
		dfb_loop_timer(p->dfb->loop, &p->timer, p->due);
}

static void
release(struct dfb_producer *p)
{
	struct dfb_stream *s;

	while ((s = TAILQ_FIRST(&p->streams)) != NULL)
		dfb_stream_free(s);
	dfb_location_unref(p->location);
	dfb_location_unref(p->now);
	dfb_location_unref(p->was);
	dfb_dest_unwatch(&p->watch);
	dfb_work_del(p->dfb, &p->work);
	dfb_loop_timer_stop(p->dfb->loop, &p->timer);
	free(p);
}

enum dfb_status
dfb_producer_open(struct dfb *d, const struct dfb_producer_config *cf,
    struct dfb_producer **out)
{
	struct dfb_producer *p = calloc(1, sizeof *p);
	enum dfb_status st;

	if (p == NULL)
		return dfb_fail(d, DFB_OSERR, "out of memory");
	p->dfb = d;
	p->cf = *cf;
	p->cf.dest = NULL; /* the watch has a copy */
	if (p->cf.window == 0)
		p->cf.window = WINDOW;
	if (p->cf.window_bytes == 0)
		p->cf.window_bytes = WINDOW_BYTES;
	if (p->cf.failover_ms == 0)
		p->cf.failover_ms = FAILOVER_MS;
	p->max_body = DFB_BODY_MAX_LIMIT;
	p->work = (struct dfb_work){ .fn = serve, .arg = p };
	p->timer = (struct dfb_timer){ .fn = on_timer, .arg = p };
	p->watch.changed = again;
	p->watch.arg = p;
	p->watch.located = true;
	TAILQ_INIT(&p->streams);
	if ((p->home = dfb_stream_new(p)) == NULL)
		st = dfb_fail(d, DFB_OSERR, "out of memory");
	else
		st = dfb_dest_watch(d, cf->dest, &p->watch);
	if (st != DFB_OK) {
		release(p);
		return st;
	}
	p->spread = dfb_hash(&p->home->id, sizeof p->home->id);
	LIST_INSERT_HEAD(&d->producers, p, entry);
	*out = p;
	return DFB_OK;
}

void
dfb_producer_free(struct dfb_producer *p)
{
	LIST_REMOVE(p, entry);
	release(p);
}

void
dfb_producer_close(struct dfb_producer *p)
{
	if (p != NULL)
		dfb_producer_free(p);
}

/* ---- messages ---- */

static void
to_record(const struct dfb_msg *m, struct dfb_record *r)
{
	struct dfb_msg full = *m;

	if (dfb_id_is_zero(&m->id)) {
		dfb_id_make(&full.id, dfb_wall_ms());
		if (m->born_ms == 0)
			full.born_ms = dfb_id_time(&full.id);
	} else if (m->born_ms == 0)
		full.born_ms = dfb_wall_ms();
	dfb_record_from(r, &full);
}

/* Where the next message goes. */
static struct dfb_stream *
stream_for(struct dfb_producer *p, const struct dfb_record *r)
{
	struct dfb_stream *s;

	if (p->cf.atomic) /* a batch goes where its first message does */
		TAILQ_FOREACH(s, &p->streams, entry)
			if (s->out.open != NULL)
				return s;
	if (!p->cf.once && r->key_len == 0)
		return p->home;
	p->keyed = true;
	return p->several ? dfb_keys_stream_of(p, r) : p->home;
}

enum dfb_status
dfb_producer_put(struct dfb_producer *p, const struct dfb_msg *m)
{
	struct dfb_stream *s;
	struct dfb_record r;
	enum dfb_status st;
	size_t size;

	if ((st = dfb_msg_check(p->dfb, m, p->max_body)) != DFB_OK)
		return st;
	to_record(m, &r);
	s = stream_for(p, &r);
	size = dfb_record_size(&r);
	if (p->cf.atomic) {
		/* What is not flushed cannot leave, so it must not wait for room. */
		if (!dfb_outbox_fits(&s->out, size))
			return dfb_fail(p->dfb, DFB_BADINPUT, "too much for one atomic "
			    "batch (at most 31 MiB)");
	} else if (p->total.messages >= p->cf.window || (p->total.messages != 0 &&
	    p->total.bytes + size > p->cf.window_bytes))
		return dfb_fail(p->dfb, DFB_AGAIN, "the window is full");
	if (dfb_outbox_put(&s->out, p->taken + 1, &r, size) == -1)
		return dfb_fail(p->dfb, DFB_OSERR, "out of memory");
	p->taken++;
	dfb_work_add(p->dfb, &p->work);
	return DFB_OK;
}

uint64_t
dfb_producer_taken(const struct dfb_producer *p)
{
	return p->taken;
}

uint64_t
dfb_producer_pending(const struct dfb_producer *p)
{
	return p->total.messages;
}

uint64_t
dfb_producer_failures(const struct dfb_producer *p)
{
	return p->failures;
}

enum dfb_status
dfb_producer_flush(struct dfb_producer *p, int timeout_ms)
{
	uint64_t until = dfb_client_now() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);
	struct dfb_stream *s;
	int rest = timeout_ms;
	bool last = timeout_ms == 0;

	TAILQ_FOREACH(s, &p->streams, entry)
		dfb_outbox_cut_frame(&s->out);
	dfb_work_add(p->dfb, &p->work);
	while (dfb_producer_pending(p) != 0) {
		enum dfb_status st = dfb_wait(p->dfb, rest);
		uint64_t now = dfb_client_now();
		if (st == DFB_OSERR)
			return st;
		if (dfb_producer_pending(p) == 0)
			break;
		if (last)
			return dfb_fail(p->dfb, DFB_TIMEOUT, "%llu messages are not "
			    "confirmed yet",
			    (unsigned long long)dfb_producer_pending(p));
		if (timeout_ms >= 0) {
			last = now >= until;
			rest = last ? 0 : (int)(until - now);
		}
	}
	if (p->first_failure != DFB_OK)
		dfb_fail(p->dfb, p->first_failure, "%s", p->first_why);
	return p->first_failure;
}

void
dfb_producer_failed(struct dfb_producer *p, uint64_t n, enum dfb_status st, const char *why)
{
	if (p->first_failure == DFB_OK) {
		p->first_failure = st;
		snprintf(p->first_why, sizeof p->first_why, "%s", why);
	}
	p->failures++;
	if (p->cf.failed != NULL)
		p->cf.failed(p->cf.arg, n, st, why);
	dfb_client_kick(p->dfb);
}
