/* Inside a producer: what its files share. */
#ifndef CLIENT_PRODUCER_H
#define CLIENT_PRODUCER_H

#include <limits.h>

#include "client/internal.h"
#include "client/link.h"
#include "client/outbox.h"
#include "client/routes.h"
#include "wire/place.h"

#define DFB_KEYS_OUT UINT_MAX /* keys do not see a stream */

/* Messages for one topic at one broker, with numbers of their own. */
struct dfb_stream {
	TAILQ_ENTRY(dfb_stream) entry;
	uint64_t name_hash;              /* of the broker's name */
	unsigned now, was;               /* how keys see it (keys.c); before the last change */
	bool behind;                     /* its keys still go by what was */
	struct dfb_producer *producer;
	struct dfb_outbox out;
	struct dfb_route route;          /* broker "": no route is known yet */
	unsigned rank;                   /* nearer brokers have a lower one; or its place */
	struct dfb_stand stand;          /* for messages without a key */
	bool listed;                     /* the route is there now */
	bool gone;                       /* keys shall go elsewhere */

	/* Joined: something may have reached the broker. */
	struct dfb_link_user user;
	uint64_t session;                /* in which PRODUCE was sent; 0: none */
	struct dfb_id id;
	uint32_t epoch;

	/* Waiting. */
	uint64_t hold_until, backoff_ms; /* the broker said: not now */
	uint64_t refused;                /* at this number */
	uint64_t stuck_since;            /* cannot be sent to; 0: not so */
	uint64_t bad_since;              /* lost or draining, and messages wait for it */
};

struct dfb_producer {
	LIST_ENTRY(dfb_producer) entry;
	struct dfb *dfb;
	struct dfb_producer_config cf;
	struct dfb_watch watch;
	struct dfb_work work;
	struct dfb_timer timer;          /* has the work done again */
	uint64_t due;                    /* when, while the work is done */
	size_t max_body;
	uint64_t taken, failures;
	enum dfb_status first_failure;
	char first_why[256];

	TAILQ_HEAD(, dfb_stream) streams; /* one for each route, and those that have left */
	struct dfb_outtotal total;       /* of them */
	unsigned nlisted;
	struct dfb_location *location;   /* by which streams are ranked; NULL: by region */
	struct dfb_location *now, *was;  /* the same as keys see it (keys.c) */
	uint64_t routes_seen, bads_seen; /* what the streams were told of */
	uint64_t spread;                 /* which of equal brokers it prefers */
	struct dfb_stream *home;         /* of messages without key */
	struct dfb_stream *last;         /* that refused some; NULL: none did */
	unsigned hops;                   /* from refusal to refusal */
	bool keyed;                      /* some messages had keys */
	bool several;                    /* keys may have different streams */
	bool behind;                     /* some stream is */
};

/* producer.c: message n failed.  Have the work done again in ms. */
void dfb_producer_failed(struct dfb_producer *, uint64_t n, enum dfb_status,
    const char *why);
void dfb_producer_come_back(struct dfb_producer *, uint64_t ms);

/* stream.c: make one (NULL: no memory), free it; send (with all that goes before that); all of
 * its messages fail; leave the broker. */
struct dfb_stream *dfb_stream_new(struct dfb_producer *);
void dfb_stream_free(struct dfb_stream *);
void dfb_stream_serve(struct dfb_stream *);
void dfb_stream_fail(struct dfb_stream *, enum dfb_status, const char *why);
void dfb_stream_leave(struct dfb_stream *);
/* Whether the broker may have messages that are not confirmed; whether it has none at all. */
bool dfb_stream_in_doubt(const struct dfb_stream *);
bool dfb_stream_is_empty(const struct dfb_stream *);

/* steer.c: bring the streams in line with the routes, and move what shall not wait any longer. */
void dfb_steer(struct dfb_producer *);

/* keys.c: the stream for a record: by its key, or with `once` by its id, or home. */
struct dfb_record;
struct dfb_stream *dfb_keys_stream_of(struct dfb_producer *, const struct dfb_record *);
/*
 * Have keys see the streams as they are, where that overtakes nothing.  A stream that was
 * behind, or that loses its keys, and has nothing in doubt is handed to move(), which gives out
 * what it has anew; -1: not now.
 */
void dfb_keys_follow(struct dfb_producer *, int (*move)(struct dfb_stream *));
/* This stream has been emptied, to be given out to others together: it is gone. */
void dfb_keys_leave(struct dfb_stream *);
/* No keys had a stream yet: have them see all as they are. */
void dfb_keys_begin(struct dfb_producer *);
/* Whether keys need to know of this stream, even if it is empty and has left. */
bool dfb_keys_need(const struct dfb_stream *);

/* steer.c: whether messages without a key that this stream's broker refused go elsewhere. */
bool dfb_steer_may_hop(struct dfb_stream *);
/* Number seq and what follows was refused, and nobody waits: what cannot hop fails. */
void dfb_steer_refused(struct dfb_stream *, uint64_t seq, const char *why);
/* Whether there is another broker that could do in this one's place. */
bool dfb_steer_has_other(const struct dfb_stream *);

#endif
