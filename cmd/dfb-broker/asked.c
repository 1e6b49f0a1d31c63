/*
 * Calls with ids: however often one is asked, it is handled once, and everybody who asked is
 * answered.  Row in T_CALLS: version u8 = 1, state u8, wall ms u64, and at its end the
 * outcome.  The row that it runs is stored before it is handed out, and the row with its
 * outcome before anybody is answered.  Who asks is a call without a queue (asked_wait.c);
 * what lies in the queue is a call without a caller.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "broker.h"
#include "net/loop.h"
#include "store/store.h"
#include "wire/cursor.h"
#include "wire/record.h"

enum { ROW_RUNS = 1, ROW_ENDED };
#define ROW_HEAD 10

int
asked_cmp(struct asked *a, struct asked *b)
{
	int c = memcmp(a->id.b, b->id.b, sizeof a->id.b);

	if (c != 0)
		return c;
	return a->topic < b->topic ? -1 : a->topic > b->topic;
}

RB_GENERATE(asked_tree, asked, node, asked_cmp)

static struct asked *
find(struct broker *b, const struct topic *t, const struct dfb_id *id)
{
	struct asked want = { .topic = t->id, .id = *id };

	return RB_FIND(asked_tree, &b->asked, &want);
}

static void
keep_record(struct broker *b, struct asked *a, const uint8_t *record, size_t len)
{
	b->asked_bytes -= a->record.len;
	dfb_buf_release(&a->record);
	if (record != NULL && dfb_buf_add(&a->record, record, len) == -1)
		fail_stop(b, "no memory for a call");
	b->asked_bytes += a->record.len;
}

static void
asked_free(struct broker *b, struct asked *a)
{
	RB_REMOVE(asked_tree, &b->asked, a);
	if (a->over)
		TAILQ_REMOVE(&b->asked_over, a, over_link);
	keep_record(b, a, NULL, 0);
	b->asked_bytes -= a->end.len;
	dfb_buf_release(&a->end);
	free(a);
}

/* What is over goes when every look that is under way finds its last row, or none. */
void
asked_sweep(struct broker *b)
{
	struct asked *a;

	while ((a = TAILQ_FIRST(&b->asked_over)) != NULL && a->batch <= look_since(b))
		asked_free(b, a);
}

/* ---- rows ---- */

static void
row(struct broker *b, struct asked *a, uint8_t state, const struct dfb_m_outcome *o)
{
	uint8_t head[ROW_HEAD], key[IDS_KEY], *h = head;
	struct dfb_batch *batch = commit_batch(b, false);

	ids_key(key, a->topic, a->start, &a->id);
	dfb_write_u64(dfb_write_u8(dfb_write_u8(h, 1), state), a->at);
	b->asked_bytes -= a->end.len;
	a->end.len = 0;
	if (dfb_buf_add(&a->end, head, sizeof head) == -1 ||
	    (o != NULL && dfb_outcome_add(&a->end, o) == -1) ||
	    dfb_batch_put(batch, T_CALLS, key, sizeof key, a->end.data, a->end.len) == -1)
		fail_stop(b, "no memory for a call");
	b->asked_bytes += a->end.len;
	b->batch_ids++;
	a->batch = b->last_batch + 1;
}

/* 1: it counts, and *o is how it ended; 0: it is too old; -1: malformed. */
static int
parse(struct broker *b, const struct topic *t, const struct dfb_buf *val, bool *runs,
    struct dfb_m_outcome *o)
{
	struct dfb_reader r = { val->data, val->data + val->len, true };
	uint8_t version = dfb_read_u8(&r), state = dfb_read_u8(&r);
	uint64_t at = dfb_read_u64(&r);
	struct dfb_blob rest = { r.p, (size_t)(r.end - r.p) };

	if (!r.ok || version != 1 || (state != ROW_RUNS && state != ROW_ENDED))
		return -1;
	*runs = state == ROW_RUNS;
	if (!*runs && dfb_outcome_next(&rest, o) != 1)
		return -1;
	return at + t->set.dedup_ms > b->wall;
}

/* ---- its end ---- */

static void
answer_all(struct broker *b, struct asked *a, const struct dfb_m_outcome *end)
{
	struct dfb_m_outcome o = *end;
	struct call *c;

	while ((c = TAILQ_FIRST(&a->waiters)) != NULL) {
		o.call = c->number;
		call_answer(b, c->caller, &o);
		call_free(b, c);
	}
}

static void
tell_all(struct broker *b, struct asked *a, enum dfb_status status, bool taken, const char *why)
{
	answer_all(b, a, &(struct dfb_m_outcome){ .status = (uint16_t)status,
	    .taken = taken, .reason = dfb_str(why) });
}

/* A row in memory was written here. */
static void
answer_from_row(struct broker *b, struct asked *a)
{
	struct dfb_blob rest = { a->end.data + ROW_HEAD, a->end.len - ROW_HEAD };
	struct dfb_m_outcome o;

	if (dfb_outcome_next(&rest, &o) == 1)
		answer_all(b, a, &o);
}

static void append(struct broker *, struct asked *);

/* Its rows are in the store. */
static void
stored(struct broker *b, void *arg)
{
	struct asked *a = arg;

	if (--a->busy != 0)
		return; /* there are later ones */
	if (a->state == ASKED_STORING)
		append(b, a);
	else if (a->state == ASKED_ENDED)
		answer_from_row(b, a);
	if (a->busy != 0 || (a->state != ASKED_ENDED && a->state != ASKED_FORGOTTEN))
		return;
	a->over = true;
	TAILQ_INSERT_TAIL(&b->asked_over, a, over_link);
	asked_sweep(b);
}

static void
when_stored(struct broker *b, struct asked *a)
{
	a->busy++;
	commit_then(b, stored, a);
}

/* No consumer had it: as if it had never been asked. */
static void
forget(struct broker *b, struct asked *a, enum dfb_status status, const char *why)
{
	struct dfb_batch *batch = commit_batch(b, false);
	uint8_t key[IDS_KEY];

	ids_key(key, a->topic, a->start, &a->id);
	if (dfb_batch_del(batch, T_CALLS, key, sizeof key) == -1)
		fail_stop(b, "no memory for a call");
	b->batch_ids++;
	a->batch = b->last_batch + 1;
	a->state = ASKED_FORGOTTEN;
	keep_record(b, a, NULL, 0);
	tell_all(b, a, status, false, why);
	when_stored(b, a);
}

void
asked_end(struct broker *b, struct call *run, const struct dfb_m_outcome *o)
{
	struct asked *a = run->asked;
	bool taken = run->taken;
	char why[512];

	a->run = NULL;
	call_free(b, run);
	if (!taken) {
		forget(b, a, o->status, dfb_str_copy(o->reason, why, sizeof why));
		return;
	}
	a->state = ASKED_ENDED;
	row(b, a, ROW_ENDED, o);
	when_stored(b, a);
}

void
asked_end_all(struct broker *b, struct topic *t)
{
	struct asked *a, *next;

	RB_FOREACH_SAFE(a, asked_tree, &b->asked, next)
		if (a->topic == t->id && a->state == ASKED_STORING)
			forget(b, a, DFB_NOBODY, "the topic was deleted");
}

/* ---- its beginning ---- */

static uint64_t
last_deadline(const struct asked *a)
{
	const struct call *c;
	uint64_t ms = 0;

	TAILQ_FOREACH(c, &a->waiters, in_asked)
		if (c->expires > ms)
			ms = c->expires;
	return ms;
}

/* Into a queue.  It has no deadline there: whoever takes it shall end it, for those who ask
 * later. */
static void
append(struct broker *b, struct asked *a)
{
	struct topic *t = topic_by_id(b, a->topic);
	const uint8_t *p = a->record.data;
	enum dfb_status status;
	const char *cannot = call_cannot_serve(b, t, &status);
	struct dfb_buf buf = { 0 };
	struct dfb_record r;
	struct queue *q;
	struct call *c;

	if (dfb_record_next(&p, p + a->record.len, &r) != 1)
		fail_stop(b, "a call is damaged");
	if (TAILQ_EMPTY(&a->waiters))
		cannot = "nobody waits for it";
	if (cannot == NULL)
		cannot = call_queue(t, &r, &q, &status);
	if (cannot != NULL || (c = call_new(b)) == NULL) {
		forget(b, a, cannot != NULL ? status : DFB_AGAIN,
		    cannot != NULL ? cannot : "too many calls are waiting");
		return;
	}
	r.flags &= (uint8_t)~DFB_R_EXPIRES;
	r.call = c->handle;
	if (dfb_buf_reserve(&buf, dfb_record_size(&r)) == -1)
		fail_stop(b, "no memory for a call");
	buf.len = (size_t)(dfb_record_write(&r, buf.data) - buf.data);
	c->asked = a;
	c->q = q;
	c->expires = last_deadline(a);
	c->offset = queue_append(b, c->q, buf.data, buf.len, APPEND_CALL, NULL);
	if (c->offset == UINT64_MAX)
		fail_stop(b, "no memory for a call");
	dfb_buf_release(&buf);
	keep_record(b, a, NULL, 0);
	RB_INSERT(call_tree, &c->q->calls, c);
	call_arm(b, c);
	queue_wake(b, c->q);
	b->n.calls++;
	a->run = c;
	a->state = ASKED_RUNS;
}

static void
begin(struct broker *b, struct asked *a)
{
	struct topic *t = topic_by_id(b, a->topic);
	enum dfb_status status;
	const char *cannot = call_cannot_serve(b, t, &status);

	if (a->record.len == 0) {
		cannot = "no call with this id is known here";
		status = DFB_NOBODY;
	}
	if (cannot != NULL || TAILQ_EMPTY(&a->waiters)) {
		tell_all(b, a, status, false, cannot);
		if (a->state == ASKED_LOOKING)
			asked_free(b, a);
		else
			keep_record(b, a, NULL, 0);
		return;
	}
	if (a->over)
		TAILQ_REMOVE(&b->asked_over, a, over_link);
	a->over = false;
	a->at = b->wall;
	a->start = ids_add(b, &t->called, t->set.dedup_ms, &a->id);
	row(b, a, ROW_RUNS, NULL);
	a->state = ASKED_STORING;
	if (t->set.durability == DFB_COMMIT)
		append(b, a); /* it is handed out when both are stored */
	else
		when_stored(b, a);
}

/* ---- asking ---- */

static void
looked(struct broker *b, struct look *l)
{
	struct asked *a = l->arg;
	struct topic *t = topic_by_id(b, a->topic);
	struct want *w = l->nwants != 0 ? &l->wants[0] : NULL;
	struct dfb_m_outcome o;
	bool runs;
	int rc = 0;

	if (t != NULL && w != NULL && w->found && (rc = parse(b, t, &w->val, &runs, &o)) == -1) {
		log_errx("the store's table 'calls' has a row that this version cannot "
		    "read");
		fail_stop(b, "the store is damaged");
	}
	if (rc != 1) {
		begin(b, a);
		return;
	}
	if (runs)
		tell_all(b, a, DFB_NOBODY, true, "the broker was started again while it ran: "
		    "it may have been handled");
	else
		answer_all(b, a, &o);
	asked_free(b, a);
}

static struct asked *
asked_new(struct broker *b, const struct topic *t, const struct dfb_id *id)
{
	struct asked *a = calloc(1, sizeof *a);

	if (a == NULL)
		fail_stop(b, "no memory for a call");
	a->topic = t->id;
	a->id = *id;
	TAILQ_INIT(&a->waiters);
	RB_INSERT(asked_tree, &b->asked, a);
	return a;
}

void
asked_ask(struct broker *b, struct topic *t, const struct dfb_id *id, struct call *waiter,
    const uint8_t *record, size_t len)
{
	struct asked *a = find(b, t, id);
	bool fresh = a == NULL;
	struct look *l;

	if (fresh)
		a = asked_new(b, t, id);
	waiter->asked = a;
	TAILQ_INSERT_TAIL(&a->waiters, waiter, in_asked);
	if (record != NULL && a->record.len == 0 && (fresh || a->state == ASKED_LOOKING ||
	    a->state == ASKED_FORGOTTEN))
		keep_record(b, a, record, len);
	if (fresh) {
		l = look_new(b, t, &t->called, a);
		if (look_for(l, id)) {
			look_start(l, looked);
			return;
		}
		look_free(l);
		begin(b, a);
	} else if (a->state == ASKED_FORGOTTEN)
		begin(b, a);
	else if (a->state == ASKED_ENDED && a->busy == 0)
		answer_from_row(b, a);
	else if (a->run != NULL && !a->run->taken && waiter->expires > a->run->expires) {
		a->run->expires = waiter->expires;
		call_arm(b, a->run);
	}
}

bool
asked_is_over(struct broker *b, struct call *run, bool again)
{
	if (!run->taken && run->expires <= b->wall)
		call_end(b, run, DFB_TIMEOUT, "expired before it was handed out");
	else if (again && run->held)
		call_end(b, run, DFB_NOBODY, "the consumer went away; it may have handled "
		    "the call");
	else {
		run->held = true;
		return false;
	}
	return true;
}

void
asked_given_back(struct queue *q, uint64_t from, uint64_t to)
{
	struct call want = { .offset = from }, *c;

	for (c = RB_NFIND(call_tree, &q->calls, &want); c != NULL && c->offset < to;
	    c = RB_NEXT(call_tree, &q->calls, c))
		c->held = false;
}
