/* Reads of the timers' tables, in the reader thread, one at a time: what changes while one
 * is under way, its end takes into account. */
#include <stdlib.h>
#include <string.h>

#include "base/worker.h"
#include "broker.h"
#include "disk.h"
#include "net/loop.h"
#include "store/store.h"

#define LOAD 1000
#define LOAD_BYTES ((size_t)1 << 20)

/* ---- one after the other ---- */

static void next(struct broker *);

static void
run(struct dfb_job *job)
{
	struct timer_read *r = (struct timer_read *)job;

	r->rc = dfb_store_rows(r->b->store, r->table, r->from, r->from_len, r->row, r);
}

static void
done(struct dfb_job *job)
{
	struct timer_read *r = (struct timer_read *)job;
	struct broker *b = r->b;

	if (r->rc == -1)
		fail_stop(b, "the store failed: scheduled messages cannot be read");
	r->got(b, r);
	b->timers.reading = NULL;
	timers_forget_stored(b);
	next(b);
}

static void
next(struct broker *b)
{
	struct timers *ts = &b->timers;
	struct timer_read *r = STAILQ_FIRST(&ts->reads);

	if (ts->reading != NULL || r == NULL || b->reader == NULL || b->stopping)
		return;
	STAILQ_REMOVE_HEAD(&ts->reads, link);
	ts->reading = r;
	r->job = (struct dfb_job){ .run = run, .done = done };
	dfb_worker_submit(b->reader, &r->job);
}

void
timer_read(struct broker *b, struct timer_read *r)
{
	r->b = b;
	STAILQ_INSERT_TAIL(&b->timers.reads, r, link);
	next(b);
}

/* ---- the next ones ---- */

struct load {
	struct timer_read read;
	struct timer_key begin, end;
	struct timer_list list;
	size_t n, bytes;
};

static int
load_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct load *l = arg;
	struct timer *t;

	if (l->n >= LOAD || l->bytes >= LOAD_BYTES)
		return 1;
	if (timer_key_read(key, klen, &l->end) == -1 ||
	    (t = timer_from_row(&l->end, val, vlen)) == NULL)
		return -1;
	STAILQ_INSERT_TAIL(&l->list, t, fresh_link);
	l->n++;
	l->bytes += t->len;
	return 0;
}

static void
loaded(struct broker *b, struct timer_read *r)
{
	struct load *l = (struct load *)r;
	struct timers *ts = &b->timers;
	struct timer *t;

	ts->loading = false;
	if (r->rc == 0)
		l->end = (struct timer_key){ TIMER_KEY_LAST, TIMER_KEY_LAST };
	/* Unless meanwhile some were forgotten again before the place where it began. */
	if (memcmp(&ts->horizon, &l->begin, sizeof l->begin) == 0)
		timers_loaded(b, &l->list, &l->end);
	ts->wake = true;
	while ((t = STAILQ_FIRST(&l->list)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->list, fresh_link);
		free(t);
	}
	free(l);
}

static void
on_due(struct dfb_timer *t, void *arg)
{
	struct broker *b = arg;

	(void)t;
	b->timers.wake = true;
}

void
timers_load(struct broker *b)
{
	struct timers *ts = &b->timers;
	struct load *l;

	ts->timer.fn = on_due;
	ts->timer.arg = b;
	if (ts->loading || ts->horizon.due == TIMER_KEY_LAST)
		return;
	if ((l = calloc(1, sizeof *l)) == NULL)
		fail_stop(b, "no memory for a read");
	STAILQ_INIT(&l->list);
	l->begin = l->end = ts->horizon;
	l->read = (struct timer_read){ .b = b, .table = T_TIMERS, .row = load_row,
		.got = loaded, .from_len = TIMER_KEY + 1 }; /* the key after it */
	timer_key_write(l->read.from, &ts->horizon);
	ts->loading = true;
	STAILQ_INSERT_HEAD(&ts->reads, &l->read, link);
	next(b);
}
