/*
 * Destinations: who serves a topic or a service, as the name server says, and where a service
 * shall be, as a gsl says; kept up to date while somebody watches, and kept through times
 * without a name server or a gsl.
 */
#ifndef CLIENT_ROUTES_H
#define CLIENT_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "dfb.h"
#include "wire/words.h"

struct dfb_gsl;
struct dfb_location;
struct dfb_names;
struct dfb_proto;

struct dfb_route {
	char topic[DFB_TOPIC_MAX], broker[65], region[4], endpoint[256];
	uint64_t incarnation;
	uint8_t state; /* enum dfb_daemon_state */
	uint32_t queues; /* it has of the topic; 0: not known */
	int place;       /* of the location; -1: none, or there is no location */
};

struct dfb_watch;

/* Fields are read-only for users, and change before a watch's `changed`. */
struct dfb_dest {
	TAILQ_ENTRY(dfb_dest) entry;
	struct dfb *dfb;
	char text[DFB_TOPIC_MAX];
	/* Own region first, then by topic, region, broker. */
	struct dfb_route *routes;
	size_t n;
	bool answered;  /* by a name server, since the watch began */
	bool known;     /* had a route some time */
	uint32_t req;   /* LOOKUP on its way; 0: none */
	uint64_t answers; /* counts them */
	enum dfb_status refused; /* the name server's answer was an error */
	char why[128];
	LIST_HEAD(, dfb_watch) watches;

	/* Of a service, for the watches that are located (locate.c). */
	unsigned nlocated;
	bool settled;       /* where it is, or that nobody can say so */
	bool was_placed;    /* had a route that counts some time */
	uint32_t locate_req; /* LOCATE on its way; 0: none */
	struct dfb_location *location; /* NULL: none */
	size_t nplaced;     /* routes that count */
};

/* Embedded; changed, arg and located are set by the owner.  changed must not unwatch.
 * located: of a service only the routes to where a gsl says that it is count, if it says so. */
struct dfb_watch {
	struct dfb_dest *dest;
	bool located;
	LIST_ENTRY(dfb_watch) entry;
	void (*changed)(void *arg);
	void *arg;
};

/* Look a destination up and watch it.  DFB_USAGE when it is malformed, DFB_OSERR. */
enum dfb_status dfb_dest_watch(struct dfb *, const char *text, struct dfb_watch *);
void dfb_dest_unwatch(struct dfb_watch *); /* not watching: fine */

/* Whether it is known which routes count; how many do; and where the service is (NULL: all
 * count, in the order of the list). */
bool dfb_watch_settled(const struct dfb_watch *);
size_t dfb_watch_count(const struct dfb_watch *);
struct dfb_location *dfb_watch_location(const struct dfb_watch *);

/*
 * May one go on?  DFB_OK: there are routes.  DFB_AGAIN: not yet; ask again after
 * *left_ms.  Else it is over, and why says so.  waited_ms: how long one waits already.
 */
enum dfb_status dfb_dest_verdict(const struct dfb_watch *, uint64_t waited_ms,
    uint64_t *left_ms, char *why, size_t size);
/* Why no route counts, when none does. */
void dfb_watch_nobody(const struct dfb_watch *, char *why, size_t size);

/* For the name server's session: look all up again; an answer, or an error, came
 * (false: malformed).  Whether a LOOKUP is unanswered. */
void dfb_dests_lookup(struct dfb *);
bool dfb_dests_answer(struct dfb *, const struct dfb_proto *);
bool dfb_dests_waiting(const struct dfb *);

/* routes.c, for locate.c: tell those who watch. */
void dfb_dest_notify(struct dfb_dest *);

/* ---- locate.c: the session to a gsl ---- */

/* Ask where it is and watch that, for the first who wants it so; for the last one, no more.
 * DFB_OK, DFB_OSERR. */
enum dfb_status dfb_locate_begin(struct dfb_dest *);
void dfb_locate_end(struct dfb_dest *);
/* Which of its routes count, when they are new. */
void dfb_locate_routes(struct dfb_dest *);
void dfb_locate_free(struct dfb *); /* when nothing is watched any more */

/* ---- names.c: the session to a name server ---- */

/* endpoints: a comma list.  DFB_USAGE, DFB_OSERR with dfb_error() set. */
enum dfb_status dfb_names_new(struct dfb *, const char *endpoints, struct dfb_names **);
void dfb_names_free(struct dfb_names *); /* NULL is fine */

/* Send, when there is a session.  0 or -1. */
int dfb_names_send(struct dfb_names *, const struct dfb_proto *);
uint32_t dfb_names_number(struct dfb_names *); /* for a request */

bool dfb_names_ever(const struct dfb_names *); /* a name server answered once */
/* All of them as configured, and the i-th, starting with the current one (NULL: no
 * more). */
const char *dfb_names_list(const struct dfb_names *);
const char *dfb_names_endpoint(const struct dfb_names *, size_t i);

#endif
