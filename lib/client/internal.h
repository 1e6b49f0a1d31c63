/* The client itself: what all parts of lib/client share. */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/timer.h"
#include "client/avoid.h"
#include "dfb.h"

struct dfb_calls;
struct dfb_gsl;
struct dfb_link;
struct dfb_names;
struct dfb_net;
struct dfb_loop;
struct dfb_dest;

/* Something to do before the client sleeps.  Embedded; fn and arg are set by the owner. */
struct dfb_work {
	TAILQ_ENTRY(dfb_work) entry;
	bool queued;
	void (*fn)(void *arg);
	void *arg;
};
TAILQ_HEAD(dfb_works, dfb_work);

struct dfb {
	struct dfb_net *net;
	struct dfb_loop *loop;
	char who[65], region[4]; /* region "": none */
	struct dfb_id id;        /* of this client, random */
	uint64_t first_wait_ms, wait_ms;
	struct dfb_avoids avoids;
	void (*notice)(void *arg, const char *text);
	void *notice_arg;

	struct dfb_names *names;
	struct dfb_gsl *gsl;     /* NULL: nothing was located yet */
	struct dfb_calls *calls;
	TAILQ_HEAD(, dfb_dest) dests;
	LIST_HEAD(, dfb_link) links;
	LIST_HEAD(, dfb_producer) producers;
	LIST_HEAD(, dfb_consumer) consumers;
	LIST_HEAD(, dfb_caller) callers;
	unsigned sync_callers;   /* of them, dfb_call's own */
	uint64_t sessions;       /* counts sessions of all links */
	struct dfb_works works;
	struct dfb_timer kick;   /* wakes the loop */
	char error[512];
};

/* Have work done before the next sleep (once, however often it is added); forget it. */
void dfb_work_add(struct dfb *, struct dfb_work *);
void dfb_work_del(struct dfb *, struct dfb_work *);

/* dfb_wait() shall return: a callback of the user's ran outside of the loop's turn. */
void dfb_client_kick(struct dfb *);

/* Set what dfb_error() says; returns status. */
enum dfb_status dfb_fail(struct dfb *, enum dfb_status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Tell the user's notice(). */
void dfb_notice(struct dfb *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Milliseconds on the clock of the timers. */
uint64_t dfb_client_now(void);

/* Serve the client until *done, at most timeout_ms (-1: no limit).  DFB_OK, DFB_TIMEOUT,
 * DFB_OSERR. */
enum dfb_status dfb_client_wait_for(struct dfb *, const bool *done, int timeout_ms);

/* Whether a message may be sent: DFB_OK, or DFB_BADINPUT and dfb_error() says why. */
enum dfb_status dfb_msg_check(struct dfb *, const struct dfb_msg *, size_t max_body);

struct dfb_str;

/* A reason as a field: cut to what a field holds, empty when it is not UTF-8. */
struct dfb_str dfb_reason(const char *why);

/* For dfb_close(). */
void dfb_producer_free(struct dfb_producer *);
void dfb_consumer_free(struct dfb_consumer *);

#endif
