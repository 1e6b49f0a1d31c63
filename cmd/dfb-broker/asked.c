/*
 * Calls with ids: however often one is asked, it is handled once, and everybody who asked is
 * answered.  Who asks is a call without a queue; what lies in the queue is a call without a caller
 * (asked_run.c).
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "asked.h"
#include "disk.h"
#include "wire/cursor.h"

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

void
asked_keep(struct broker *b, struct asked *a, const uint8_t *record, size_t len)
{
	b->asked_bytes -= a->record.len;
	dfb_buf_release(&a->record);
	if (record != NULL && dfb_buf_add(&a->record, record, len) == -1)
		fail_stop(b, "no memory for a call");
	b->asked_bytes += a->record.len;
}

void
asked_free(struct broker *b, struct asked *a)
{
	RB_REMOVE(asked_tree, &b->asked, a);
	if (a->over)
		TAILQ_REMOVE(&b->asked_over, a, over_link);
	asked_keep(b, a, NULL, 0);
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

/* ---- asking ---- */

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
		asked_begin(b, a);
		return;
	}
	if (runs)
		asked_tell(b, a, DFB_NOBODY, true, "the broker was started again while it ran: "
		    "it may have been handled");
	else
		asked_answer(b, a, &o);
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
		asked_keep(b, a, record, len);
	if (fresh) {
		l = look_new(b, t, &t->called, a);
		if (look_for(l, id)) {
			look_start(l, looked);
			return;
		}
		look_free(l);
		asked_begin(b, a);
	} else if (a->state == ASKED_FORGOTTEN)
		asked_begin(b, a);
	else if (a->state == ASKED_ENDED && a->busy == 0)
		asked_answer_from_row(b, a);
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
