#include "client/producer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "net/loop.h"
#include "wire/proto.h"
#include "wire/record.h"

#define WINDOW 16384
#define WINDOW_BYTES (8u << 20)

static void
again(void *arg)
{
	struct dfb_producer *p = arg;

	dfb_work_add(p->dfb, &p->work);
}

static void
on_down(void *arg, const char *why)
{
	(void)why;
	again(arg);
}

static void
on_timer(struct dfb_timer *t, void *arg)
{
	(void)t;
	again(arg);
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
	p->max_body = DFB_BODY_MAX_LIMIT;
	dfb_outbox_init(&p->out, cf->atomic);
	p->out.once = cf->once;
	dfb_id_random(&p->id);
	p->work = (struct dfb_work){ .fn = dfb_stream_serve, .arg = p };
	p->timer = (struct dfb_timer){ .fn = on_timer, .arg = p };
	p->watch.changed = again;
	p->watch.arg = p;
	p->user = (struct dfb_link_user){ .up = again, .down = on_down,
		.refused = again, .frame = dfb_stream_frame, .arg = p };
	if ((st = dfb_dest_watch(d, cf->dest, &p->watch)) != DFB_OK) {
		free(p);
		return st;
	}
	LIST_INSERT_HEAD(&d->producers, p, entry);
	*out = p;
	return DFB_OK;
}

void
dfb_producer_free(struct dfb_producer *p)
{
	LIST_REMOVE(p, entry);
	dfb_stream_unbind(p);
	dfb_dest_unwatch(&p->watch);
	dfb_work_del(p->dfb, &p->work);
	dfb_loop_timer_stop(p->dfb->loop, &p->timer);
	dfb_outbox_release(&p->out);
	free(p);
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

enum dfb_status
dfb_producer_put(struct dfb_producer *p, const struct dfb_msg *m)
{
	struct dfb_outbox *o = &p->out;
	uint64_t pending = o->next - o->base;
	struct dfb_record r;
	enum dfb_status st;
	size_t size;

	if ((st = dfb_msg_check(p->dfb, m, p->max_body)) != DFB_OK)
		return st;
	to_record(m, &r);
	size = dfb_record_size(&r);
	if (p->cf.atomic) {
		/* What is not flushed cannot leave, so it must not wait for room. */
		if (!dfb_outbox_fits(o, size))
			return dfb_fail(p->dfb, DFB_BADINPUT, "too much for one atomic "
			    "batch (at most 31 MiB)");
	} else if (pending >= p->cf.window ||
	    (pending != 0 && o->bytes + size > p->cf.window_bytes))
		return dfb_fail(p->dfb, DFB_AGAIN, "the window is full");
	if (dfb_outbox_put(o, &r, size) == -1)
		return dfb_fail(p->dfb, DFB_OSERR, "out of memory");
	dfb_work_add(p->dfb, &p->work);
	return DFB_OK;
}

uint64_t
dfb_producer_taken(const struct dfb_producer *p)
{
	return p->out.next_n - 1;
}

uint64_t
dfb_producer_pending(const struct dfb_producer *p)
{
	return p->out.next - p->out.base;
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
	int rest = timeout_ms;
	bool last = timeout_ms == 0;

	dfb_outbox_cut_frame(&p->out);
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

/* ---- failures ---- */

void
dfb_producer_failed(struct dfb_producer *p, uint64_t n, uint64_t count,
    enum dfb_status st, const char *why)
{
	if (p->first_failure == DFB_OK && count != 0) {
		p->first_failure = st;
		snprintf(p->first_why, sizeof p->first_why, "%s", why);
	}
	p->failures += count;
	for (uint64_t i = 0; p->cf.failed != NULL && i < count; i++)
		p->cf.failed(p->cf.arg, n + i, st, why);
	dfb_client_kick(p->dfb);
}

void
dfb_producer_fail_all(struct dfb_producer *p, enum dfb_status st, const char *why)
{
	struct dfb_outframes gone;
	uint64_t n;
	uint32_t count;

	/* From base on nothing has to be cut, but what is confirmed of a frame. */
	if (dfb_outbox_truncate(&p->out, p->out.base, false, &gone) == -1) {
		dfb_loop_timer(p->dfb->loop, &p->timer, 10);
		return;
	}
	while (dfb_outbox_gone(&gone, &n, &count))
		dfb_producer_failed(p, n, count, st, why);
}
