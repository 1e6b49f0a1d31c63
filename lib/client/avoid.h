/*
 * What a client remembers of brokers that failed or refused a topic: for a while messages and
 * calls go to others first, and the broker is probed meanwhile (PRODUCE, answered by PRODUCING,
 * and FINISH).  One memory for all producers and callers of the client.
 */
#ifndef CLIENT_AVOID_H
#define CLIENT_AVOID_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct dfb;
struct dfb_bad;
struct dfb_route;

struct dfb_avoids {
	LIST_HEAD(, dfb_bad) bads;
	uint64_t version;              /* changes with each change */
	uint64_t for_ms;               /* how long a broker is avoided */
	uint64_t first_ms, every_ms;   /* when it is probed first, and then */
};

/* The times: "FOR[,FIRST[,EVERY]]", like "60s,3s,30s"; NULL: those.  0, or -1: malformed. */
int dfb_avoids_init(struct dfb_avoids *, const char *times);
void dfb_avoids_release(struct dfb *); /* before the links */

/* Avoid this topic's broker from now on, as long as it takes anew.  gone: keys go to
 * another broker, too.  May be called from a link's callbacks. */
void dfb_avoid(struct dfb *, const struct dfb_route *, bool gone);

/* It works. */
void dfb_avoid_end(struct dfb *, const struct dfb_route *);

/* Whether it is avoided; whether it is gone. */
bool dfb_avoided(struct dfb *, const struct dfb_route *);
bool dfb_avoid_gone(struct dfb *, const struct dfb_route *);

#endif
