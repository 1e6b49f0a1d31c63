/* Calls: a part of broker.h. */
#ifndef BROKER_CALL_H
#define BROKER_CALL_H

#include "dfb-broker/broker.h"

struct call {
	uint64_t handle;           /* 0: free */
	uint64_t number;           /* the caller's own */
	struct session *caller;
	struct queue *q;
	uint64_t offset, expires;
	bool taken;                /* a consumer has or had it */
	/* With an id: what lies in the queue has no caller, who asks has no queue. */
	struct asked *asked;
	bool held;                 /* it was handed out, and not given back */
	TAILQ_ENTRY(call) in_asked;
	struct dfb_timer timer;
	RB_ENTRY(call) node;
	TAILQ_ENTRY(call) in_session;
	uint32_t slot, next_free;
};

RB_PROTOTYPE(call_tree, call, node, call_cmp)
int call_cmp(struct call *, struct call *);
void handle_call(struct broker *, struct session *, const struct dfb_proto *);
void handle_reply(struct broker *, struct session *, const struct dfb_proto *);
void handle_collect(struct broker *, struct session *, const struct dfb_proto *);
struct call *call_by_handle(struct broker *, uint64_t handle);
struct call *call_at(struct queue *, uint64_t offset);
void call_end(struct broker *, struct call *, enum dfb_status, const char *why);
void call_acked(struct broker *, struct queue *, uint64_t from, uint64_t to);
void call_abandon(struct broker *, struct topic *); /* those that nobody can take */
void call_forget(struct broker *, struct call *);   /* its caller is gone */
void call_send_answers(struct broker *);

/* For asked.c.  call_new: NULL: too many; the rest of it is to be filled in. */
struct call *call_new(struct broker *);
void call_free(struct broker *, struct call *);
void call_answer(struct broker *, struct session *, const struct dfb_m_outcome *);
void call_arm(struct broker *, struct call *); /* its timer, for expires */
/* Why a topic (NULL: there is none) cannot take calls; NULL when it can. */
const char *call_cannot_serve(struct broker *, struct topic *, enum dfb_status *);
/* The queue that a record goes to; NULL: not now, with status and why. */
struct queue *call_queue(struct broker *, const struct session *, struct topic *,
    const struct dfb_record *, enum dfb_status *, char *why, size_t size);

#endif
