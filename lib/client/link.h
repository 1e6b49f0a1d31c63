/*
 * Links: the sessions to brokers, one per endpoint, shared by all producers, consumers
 * and callers of a client.  Each of them joins as a user with a handle of its own: its
 * number for streams, subscriptions and requests, so that frames find their way back.
 */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/tree.h>

struct dfb;
struct dfb_conn;
struct dfb_link;
struct dfb_proto;

/* Embedded; callbacks and arg are set by the owner.  up, down and refused must not join or
 * leave; frame may leave. */
struct dfb_link_user {
	struct dfb_link *link; /* NULL: has not joined */
	uint32_t handle;
	RB_ENTRY(dfb_link_user) entry;
	void (*up)(void *arg);
	void (*down)(void *arg, const char *why);
	void (*refused)(void *arg);                /* may be NULL */
	/* false: the frame makes no sense; the session is dropped. */
	bool (*frame)(void *arg, const struct dfb_proto *);
	void *arg;
};

/* Join the link to a broker; it is made when there is none.  0, or -1 with errno.  The
 * handle stays the same for all sessions of the link. */
int dfb_link_join(struct dfb *, const char *endpoint, const char *broker,
    struct dfb_link_user *);
void dfb_link_leave(struct dfb_link_user *); /* not joined: fine */

/* Take a new handle: what comes for the old one is ignored from now on. */
void dfb_link_renumber(struct dfb_link_user *);

/* A number for a request of no user. */
uint32_t dfb_link_number(struct dfb_link *);

struct dfb_conn *dfb_link_conn(const struct dfb_link *);
bool dfb_link_is_up(const struct dfb_link *);
/* Numbers sessions: another for each session of each link; 0: down. */
uint64_t dfb_link_session(const struct dfb_link *);
bool dfb_link_is_to(const struct dfb_link *, const char *endpoint);
const char *dfb_link_broker(const struct dfb_link *);

/* Whether the last try to reach this endpoint failed. */
bool dfb_link_failing(struct dfb *, const char *endpoint);

/* Free all links (their users have left); frames sent leave within linger_ms. */
void dfb_links_free(struct dfb *, int linger_ms);

#endif
