/* Inside a producer: what its files share. */
#ifndef CLIENT_PRODUCER_H
#define CLIENT_PRODUCER_H

#include "client/internal.h"
#include "client/link.h"
#include "client/outbox.h"
#include "client/routes.h"

struct dfb_producer {
	LIST_ENTRY(dfb_producer) entry;
	struct dfb *dfb;
	struct dfb_producer_config cf;
	struct dfb_outbox out;
	struct dfb_watch watch;
	struct dfb_work work;
	size_t max_body;
	uint64_t failures;
	enum dfb_status first_failure;
	char first_why[256];

	/* The broker it is bound to, as long as something may have reached it. */
	struct dfb_link_user user;       /* joined: bound */
	char topic[DFB_TOPIC_MAX], broker[65];
	uint64_t session;                /* in which PRODUCE was sent; 0: none */
	struct dfb_id id;
	uint32_t epoch;

	/* Waiting. */
	struct dfb_timer timer;          /* has the work done again */
	uint64_t hold_until, backoff_ms; /* the broker said: not now */
	uint64_t stuck_since;            /* nobody to send to; 0: not so */
	char avoid[65];                  /* a broker that said that it is draining */
	uint64_t avoid_until;
};

/* producer.c: messages failed; all of them, the undecided ones. */
void dfb_producer_failed(struct dfb_producer *, uint64_t n, uint64_t count,
    enum dfb_status, const char *why);
void dfb_producer_fail_all(struct dfb_producer *, enum dfb_status, const char *why);

/* stream.c: serve it (the work); its frames; leave the broker. */
void dfb_stream_serve(void *producer);
bool dfb_stream_frame(void *producer, const struct dfb_proto *);
void dfb_stream_unbind(struct dfb_producer *);

#endif
