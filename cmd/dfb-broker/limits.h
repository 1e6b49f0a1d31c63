/* What comes in, and what holds it back: the circuit breaker, rates, pauses. */
#ifndef LIMITS_H
#define LIMITS_H

#include "broker.h"

/* put.c */
void handle_put(struct broker *, struct session *, const struct dfb_proto *);
/* Take a frame; false: it has to wait.  looked: what is not among recent ids is new. */
bool put_take(struct broker *, struct stream *, const struct dfb_m_put *, bool looked);
/* Why the broker takes no messages for a topic now; NULL: it does. */
const char *broker_refuses(struct broker *, const struct topic *, uint32_t *wait_ms);
/* The same, only for want of room: also what was taken before may have to wait. */
const char *broker_lacks_room(struct broker *, const struct topic *, uint32_t *wait_ms);

/* A message that is not taken now: when to try again, and why. */
struct refusal {
	uint32_t wait_ms;
	char why[256];
};
/* Whether the topic takes no message at all now. */
bool put_refuses(struct broker *, struct topic *, struct refusal *no);
/* Where a session's message goes that is for q; NULL and *no: it is not taken now.  The
 * topic's limits count it.  Need not be asked when put_is_plain. */
struct queue *put_place(struct broker *, const struct session *, struct queue *q,
    const struct dfb_record *, struct refusal *no);
static inline bool
put_is_plain(const struct queue *q)
{
	return q->next < q->open_until && !q->topic->limited;
}

/*
 * breaker.c: a queue whose undelivered messages reach the topic's max_depth takes no more.
 * They count from where the least-behind group is that has a live subscription; broadcast
 * groups count when there is no other.  Without such a group everything is taken.
 */
bool breaker_look(struct broker *, struct queue *); /* whether q takes a message */
static inline bool
queue_takes(struct broker *b, struct queue *q)
{
	return q->next < q->open_until || breaker_look(b, q);
}
/* q, or another queue for a message without a key when q is shut; NULL and *no: none takes
 * it. */
struct queue *breaker_choose(struct broker *, struct queue *q, const struct dfb_record *,
    struct refusal *no);
/* Whether all queues that take messages refuse them. */
bool breaker_is_shut(struct broker *, struct topic *, struct refusal *no);
/* What counts changed otherwise than by delivery: look anew. */
void breaker_forget(struct topic *);
/* Undelivered messages; false: nobody is there to deliver them to. */
bool breaker_depth(const struct queue *, uint64_t *depth);
void breaker_watch(struct broker *); /* upkeep: what was logged and is over */
void breaker_gone(struct broker *, struct queue *); /* it will be freed */

/* flow.c: rates of topics and clients.  _take: whether n messages of so many bytes may come
 * in now; they are counted then.  _settings: the topic's changed.  _keep: upkeep. */
bool flow_take(struct broker *, const struct session *, struct topic *, uint64_t n,
    uint64_t bytes, struct refusal *no);
void flow_settings(struct topic *);
void flow_keep(struct broker *);
void flow_release(struct topic *);

/* pause.c: _serves: whether a group that serves calls is there and not paused; _calls: if
 * not, those that wait are told. */
#define PAUSED "paused by an operator"
#define CLOSED "it is being taken out of service here" /* admin_govern.c */
bool pause_serves(const struct topic *);
void pause_calls(struct broker *, struct topic *);

/* watch.c: log and count what nobody listens to; upkeep. */
void watch_turn(struct broker *);

#endif
