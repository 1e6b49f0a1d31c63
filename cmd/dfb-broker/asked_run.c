/* Calls with ids: in a queue, and at their end.  That one runs is stored before it is handed
 * out, and its outcome before anybody is answered. */
#include "asked.h"
#include "disk.h"
#include "store/store.h"
#include "wire/cursor.h"
#include "wire/record.h"

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

/* ---- its end ---- */

void
asked_answer(struct broker *b, struct asked *a, const struct dfb_m_outcome *end)
{
	struct dfb_m_outcome o = *end;
	struct call *c;

	while ((c = TAILQ_FIRST(&a->waiters)) != NULL) {
		o.call = c->number;
		call_answer(b, c->caller, &o);
		call_free(b, c);
	}
}

void
asked_tell(struct broker *b, struct asked *a, enum dfb_status status, bool taken, const char *why)
{
	asked_answer(b, a, &(struct dfb_m_outcome){ .status = (uint16_t)status,
	    .taken = taken, .reason = dfb_str(why) });
}

/* A row in memory was written here. */
void
asked_answer_from_row(struct broker *b, struct asked *a)
{
	struct dfb_blob rest = { a->end.data + ROW_HEAD, a->end.len - ROW_HEAD };
	struct dfb_m_outcome o;

	if (dfb_outcome_next(&rest, &o) == 1)
		asked_answer(b, a, &o);
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
		asked_answer_from_row(b, a);
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
	asked_keep(b, a, NULL, 0);
	asked_tell(b, a, status, false, why);
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
	struct queue *q = NULL;
	struct call *c;
	char why[256];

	if (dfb_record_next(&p, p + a->record.len, &r) != 1)
		fail_stop(b, "a call is damaged");
	if (TAILQ_EMPTY(&a->waiters))
		cannot = "nobody waits for it";
	if (cannot == NULL && (q = call_queue(b, TAILQ_FIRST(&a->waiters)->caller, t, &r,
	    &status, why, sizeof why)) == NULL)
		cannot = why;
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
	asked_keep(b, a, NULL, 0);
	RB_INSERT(call_tree, &c->q->calls, c);
	call_arm(b, c);
	queue_wake(b, c->q);
	b->n.calls++;
	a->run = c;
	a->state = ASKED_RUNS;
}

void
asked_begin(struct broker *b, struct asked *a)
{
	struct topic *t = topic_by_id(b, a->topic);
	enum dfb_status status;
	const char *cannot = call_cannot_serve(b, t, &status);

	if (a->record.len == 0) {
		cannot = "no call with this id is known here";
		status = DFB_NOBODY;
	}
	if (cannot != NULL || TAILQ_EMPTY(&a->waiters)) {
		asked_tell(b, a, status, false, cannot);
		if (a->state == ASKED_LOOKING)
			asked_free(b, a);
		else
			asked_keep(b, a, NULL, 0);
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
