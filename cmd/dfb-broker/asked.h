/*
 * Calls with ids: who asks (asked.c), and what runs (asked_run.c).  Row in T_CALLS: version
 * u8 = 1, state u8, wall ms u64, and at its end the outcome.
 */
#ifndef BROKER_ASKED_H
#define BROKER_ASKED_H

#include "dfb-broker/call.h"

/* A call with an id, until its end can be found in the store. */
struct asked {
	struct dfb_id id;
	uint32_t topic;
	enum { ASKED_LOOKING, ASKED_STORING, ASKED_RUNS, ASKED_ENDED, ASKED_FORGOTTEN } state;
	struct call *run;          /* RUNS */
	struct call_list waiters;  /* who asks */
	struct dfb_buf record;     /* before it RUNS */
	struct dfb_buf end;        /* its row */
	uint64_t start, at;        /* of the row's bucket; wall ms */
	uint64_t batch;            /* its last row is stored with it */
	unsigned busy;             /* commits that it waits for */
	bool over;
	RB_ENTRY(asked) node;
	TAILQ_ENTRY(asked) over_link;
};

RB_PROTOTYPE(asked_tree, asked, node, asked_cmp)
int asked_cmp(struct asked *, struct asked *);
/* Somebody asks, with a record, or (NULL) for what is known.  The waiter has a caller,
 * number and expires; it is answered and freed when there is an end. */
void asked_ask(struct broker *, struct topic *, const struct dfb_id *, struct call *waiter,
    const uint8_t *record, size_t len);
/* What lies in a queue is to be delivered (again): whether it must not. */
bool asked_is_over(struct broker *, struct call *run, bool again);
/* It ends; run is freed. */
void asked_end(struct broker *, struct call *run, const struct dfb_m_outcome *);
void asked_end_all(struct broker *, struct topic *); /* those that are in no queue */
/* A consumer gave back what it had: it may be handed out again. */
void asked_given_back(struct queue *, uint64_t from, uint64_t to);
void asked_sweep(struct broker *);

/* ---- asked.c and asked_run.c only ---- */

enum { ROW_RUNS = 1, ROW_ENDED };
#define ROW_HEAD 10

/* Keep a request, or (NULL) none. */
void asked_keep(struct broker *, struct asked *, const uint8_t *record, size_t len);
void asked_free(struct broker *, struct asked *);

/* Answer all who wait: with an outcome, a status, or its row, which was written here. */
void asked_answer(struct broker *, struct asked *, const struct dfb_m_outcome *);
void asked_tell(struct broker *, struct asked *, enum dfb_status, bool taken, const char *why);
void asked_answer_from_row(struct broker *, struct asked *);

/* Nothing is known of it: let it run, or tell those who ask that it cannot; it may be freed
 * then. */
void asked_begin(struct broker *, struct asked *);

#endif
