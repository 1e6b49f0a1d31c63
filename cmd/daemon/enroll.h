/*
 * Being enrolled at all name servers, and asking them: for daemons that offer one word
 * (%GSL, %SGS).  Enrolls in full when a session begins, renews three times in a lease, again in
 * full when a name server says that it does not know us, withdraws at the end.
 *
 * To be told where others are: up() sends a LOOKUP (watch 1), or DAEMONS, with
 * dfb_enroll_send(e, i, ..); the answers and pushes come to frame(), with i.  Of several name
 * servers believe the first that is there (dfb_enroll_is_first(e, i)): the others say the same.
 * Ask again with dfb_enroll_ask(), at the first one.
 */
#ifndef DAEMON_ENROLL_H
#define DAEMON_ENROLL_H

#include <stdbool.h>
#include <stdint.h>

struct dfb_enroll;
struct dfb_loop;
struct dfb_net;
struct dfb_proto;

#define DFB_ENROLL_NAMES 8     /* name servers */
#define DFB_ENROLL_REQ 16      /* requests below it are enroll.c's own */
#define DFB_ENROLL_LEASE_MS 10000 /* what daemons ask for when nothing else is said */

struct dfb_enroll_config {
	struct dfb_net *net;
	struct dfb_loop *loop;
	/* All text must live as long as the enrolment.  names: --names, a comma between. */
	const char *names, *kind, *name, *region, *endpoint;
	const char *offer;     /* what it offers; NULL: nothing */
	uint64_t incarnation;
	uint32_t lease_ms;
	/* Clients can find it: it is enrolled at one name server, or none was there for a second
	 * or is configured.  Once, from the loop.  May be NULL. */
	void (*ready)(void *arg);
	/* A session with name server i began, or ended.  May be NULL. */
	void (*up)(void *arg, unsigned i);
	void (*down)(void *arg, unsigned i);
	/* What is not about enrolling: answers to what _send asked (m->req as it was), ROUTES and
	 * others that are pushed.  May be NULL. */
	void (*frame)(void *arg, unsigned i, const struct dfb_proto *);
	void *arg;
};

/* Begin.  NULL, logged.  Callbacks come from the loop only. */
struct dfb_enroll *dfb_enroll_new(const struct dfb_enroll_config *);

/* Withdraw at all and end.  NULL is fine. */
void dfb_enroll_free(struct dfb_enroll *);

/* Whether i is the first name server of those that are up. */
bool dfb_enroll_is_first(const struct dfb_enroll *, unsigned i);

/* Send a frame to name server i, or to the first one that is up; requests (m->req) are
 * DFB_ENROLL_REQ or more.  0; -1: it is not up, or its queue is full. */
int dfb_enroll_send(struct dfb_enroll *, unsigned i, const struct dfb_proto *);
int dfb_enroll_ask(struct dfb_enroll *, const struct dfb_proto *);

/* Tell all that it drains. */
void dfb_enroll_draining(struct dfb_enroll *);

#endif
