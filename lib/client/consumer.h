/* Inside a consumer: what its files share. */
#ifndef CLIENT_CONSUMER_H
#define CLIENT_CONSUMER_H

#include "base/buf.h"
#include "client/internal.h"
#include "client/link.h"
#include "client/routes.h"
#include "wire/proto.h"

enum dfb_sub_state {
	DFB_SUB_IDLE,    /* to be subscribed as soon as the link is up */
	DFB_SUB_ASKED,
	DFB_SUB_OPEN,
	DFB_SUB_LEAVING,
	DFB_SUB_OVER,    /* left, or dropped by the broker */
};

/* A subscription to one topic at one broker. */
struct dfb_sub {
	LIST_ENTRY(dfb_sub) entry;
	struct dfb_consumer *consumer;
	struct dfb_link_user user;
	char topic[DFB_TOPIC_MAX], broker[65];
	enum dfb_sub_state state;
	uint64_t session;        /* of the link, in which it was subscribed */
	bool wanted;             /* a route leads here */
	bool drained;
	bool doubt;              /* acknowledged in a session that ended since */
	bool acked;              /* in this session */
	uint64_t retry_at;       /* the broker said: not now; 0: it did not */
	uint64_t backoff_ms;
	/* What is gathered for the next frame. */
	struct dfb_m_range *ranges;
	size_t nranges, cap;
	struct dfb_buf replies;
};

struct dfb_consumer {
	LIST_ENTRY(dfb_consumer) entry;
	struct dfb *dfb;
	struct dfb_consumer_config cf;
	char group[66], instance[66], label[66];
	struct dfb_watch watch;
	LIST_HEAD(, dfb_sub) subs;
	struct dfb_sub *last;    /* that a settlement was for */
	struct dfb_work work;
	struct dfb_timer timer;
	uint64_t stuck_since;    /* no subscription is open; 0: not so */
	bool leaving, left;      /* being closed; done with it */
	bool over;               /* failed() ran */
	bool ended;              /* end() ran for what was delivered so far */
};

/* sub.c */
struct dfb_sub *dfb_sub_new(struct dfb_consumer *, const struct dfb_route *);
void dfb_sub_free(struct dfb_sub *);
/* Subscribe if it is time, send what is gathered, leave.  false: soon again. */
bool dfb_sub_serve(struct dfb_sub *);

/* acks.c: send what is gathered; false: try again, the socket takes no more now. */
bool dfb_acks_flush(struct dfb_sub *);
/* Forget it: the session is gone. */
void dfb_acks_clear(struct dfb_sub *);
void dfb_acks_release(struct dfb_sub *);

/* consumer.c: it is over. */
void dfb_consumer_over(struct dfb_consumer *, enum dfb_status, const char *why);

#endif
