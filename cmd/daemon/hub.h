/*
 * The hub: one ROUTER socket with the sessions of its peers, as name servers, gsl and sgs
 * have it.  It answers HELLO and PING itself, hands every other frame to the program, tells
 * when a session ended, keeps what waits for a slow peer, and tells those who watch a name
 * (watch.h) when it changes.
 *
 *	struct dfb_hub hub;
 *	dfb_hub_init(&hub, &(struct dfb_hub_config){ .loop = loop, .sock = bound, ... });
 *	dfb_hub_start(&hub);
 *	dfb_loop_run(loop);      frame(), deaf(), ended(), news() are called
 *	dfb_hub_stop(&hub);
 *
 * An answer may be given later: the session and m->req are kept until deaf() or ended().
 */
#ifndef DAEMON_HUB_H
#define DAEMON_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "base/timer.h"
#include "daemon/watch.h"
#include "net/sock.h"

#define DFB_HUB_SESSIONS_MAX 20000
#define DFB_HUB_BACKLOG_MAX (4u << 20) /* bytes that wait for one slow peer */

struct dfb_buf;
struct dfb_hub_frame;
struct dfb_loop;
struct dfb_proto;

/* One per connection, from its first frame until the connection ended and all its frames
 * were read. */
struct dfb_session {
	struct dfb_peer peer;
	char who[64], role[17], region[4]; /* as HELLO said; longer ones are cut */
	bool hello; /* said it */
	bool dead;  /* broke the protocol, or does not read: not heard any more */
	void *user; /* the program's; NULL at first */
	struct dfb_session_watches watches;
	struct dfb_stale_watches stale;
	size_t nwatches;
	/* Private to session.c. */
	RB_ENTRY(dfb_session) by_id;
	TAILQ_ENTRY(dfb_session) ending, slow;
	bool is_placed, is_ending, is_slow, is_gone;
	STAILQ_HEAD(, dfb_hub_frame) backlog;
	size_t backlog_bytes;
};

RB_HEAD(dfb_session_ids, dfb_session);

struct dfb_hub_config {
	struct dfb_loop *loop;
	struct dfb_sock *sock;      /* bound */
	/* For WELCOME; and for refusals: "PUT is nothing for `a name server`". */
	const char *name, *region, *software, *what;
	uint64_t incarnation;
	/* A frame of a session, after HELLO.  What the program does not know goes to
	 * dfb_hub_unknown(). */
	void (*frame)(void *arg, struct dfb_session *, const struct dfb_proto *);
	/* The session is dead: its watches are gone; forget what it waits for.  May be NULL. */
	void (*deaf)(void *arg, struct dfb_session *);
	/* The session ended, and is freed after this; also at dfb_hub_stop(), when
	 * hub.stopping is set.  deaf() need not have come before.  May be NULL. */
	void (*ended)(void *arg, struct dfb_session *);
	/* Append the whole frame (request 0) that tells those who watch a name with a tag.  0, or
	 * -1 after ending the program.  NULL: nothing is watched. */
	int (*news)(void *arg, const char *name, uint32_t tag, struct dfb_buf *out);
	/* End the program with this status; why is logged already. */
	void (*fail)(void *arg, int status);
	void *arg;
};

struct dfb_hub {
	struct dfb_hub_config cf;
	size_t n; /* sessions */
	struct dfb_watches watches;
	bool stopping;
	struct {
		uint64_t malformed, slow, pushes;
	} stats;
	/* Private. */
	struct dfb_session_ids ids;
	struct {
		bool connected;
		struct dfb_session *session;
	} *fds;
	size_t nfds;
	bool full; /* and it was logged */
	TAILQ_HEAD(, dfb_session) ending, slow;
	struct dfb_timer retry;
};

/* _init cannot fail.  _start adds the socket to the loop: 0, or -1 with errno.  _stop ends
 * all sessions and takes the socket out of the loop (the socket stays open); a hub
 * that is all zeros is fine. */
void dfb_hub_init(struct dfb_hub *, const struct dfb_hub_config *);
int dfb_hub_start(struct dfb_hub *);
void dfb_hub_stop(struct dfb_hub *);

/* All sessions, in no order: the first (NULL given) or the next; NULL at the end.  Sessions
 * are only freed from the loop, not by what is sent. */
struct dfb_session *dfb_hub_next(struct dfb_hub *, struct dfb_session *);

/* ---- what is sent ---- */

/* Answer a request; with req 0: push.  What the peer's queue has no room for waits, in
 * order; a peer that leaves more than DFB_HUB_BACKLOG_MAX waiting is dead. */
void dfb_hub_answer(struct dfb_hub *, struct dfb_session *, struct dfb_proto *,
    uint32_t req);

/* The same for an encoded frame; empties buf. */
void dfb_hub_send(struct dfb_hub *, struct dfb_session *, struct dfb_buf *buf);

/* Answer with an ERROR. */
void dfb_hub_refuse(struct dfb_hub *, struct dfb_session *, uint32_t req, int status,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Answer what breaks the protocol, and hear no more of the session. */
void dfb_hub_malformed(struct dfb_hub *, struct dfb_session *, uint32_t req,
    const char *why);
void dfb_hub_unknown(struct dfb_hub *, struct dfb_session *, const struct dfb_proto *);

/* ---- watches: dfb_watch_add() and the others of watch.h take &hub.watches ---- */

/* Tell those who watch a name of which dfb_watch_mark() was called; to be called once in
 * a turn, before the loop sleeps.  Who is slow is told when there is room again, of the
 * last state only: until then hub.watches.nstale is not 0. */
void dfb_hub_push(struct dfb_hub *);

#endif
