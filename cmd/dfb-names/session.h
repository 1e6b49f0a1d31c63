/*
 * Sessions: one per connection, from its first frame until the connection ended and
 * all its frames were read.
 */
#ifndef NAMES_SESSION_H
#define NAMES_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "base/timer.h"
#include "dfb-names/watch.h"
#include "net/sock.h"

#define NAMES_SESSIONS_MAX 20000
#define NAMES_BACKLOG_MAX (4u << 20) /* bytes that wait for one slow peer */

struct dfb_buf;
struct names;
struct names_entry;
struct names_frame;

struct names_session {
	struct dfb_peer peer;
	char who[64];
	bool hello; /* said it */
	bool dead;  /* broke the protocol: not heard any more */
	LIST_HEAD(, names_entry) entries; /* that it enrolled */
	struct names_session_watches watches;
	struct names_stale_watches stale;
	size_t nwatches;
	/* Private to session.c. */
	RB_ENTRY(names_session) by_id;
	TAILQ_ENTRY(names_session) ending, slow;
	bool is_placed, is_ending, is_slow, is_gone;
	STAILQ_HEAD(, names_frame) backlog;
	size_t backlog_bytes;
};

RB_HEAD(names_session_ids, names_session);

struct names_sessions {
	size_t n;
	struct names_session_ids ids;
	struct {
		bool connected;
		struct names_session *session;
	} *fds;
	size_t nfds;
	bool full; /* and it was logged */
	TAILQ_HEAD(, names_session) ending, slow;
	struct dfb_timer retry;
};

void sessions_init(struct names *);
void sessions_release(struct names *);

/* The session that a frame belongs to, made when it is new.  NULL when there are too
 * many, or no memory (errno EAGAIN, ENOMEM). */
struct names_session *session_get(struct names *, const struct dfb_peer *);

/* To be called after the first frame was answered: finds out whether the connection is
 * still there, whose end will then be heard of.  Nothing at later ones. */
void session_answered(struct names *, struct names_session *);

/* Take the socket's events: connections that ended. */
void sessions_events(struct names *);

/* The socket has no more frames: free sessions whose connection ended. */
void sessions_drained(struct names *);

/* Send an encoded frame, emptying buf.  What the peer's queue has no room for waits, in
 * order; a peer that leaves more than NAMES_BACKLOG_MAX waiting is not heard any more. */
void session_send(struct names *, struct names_session *, struct dfb_buf *);

/* A slow session has frames waiting, or stale watches: its queue was full.  News are then
 * marked stale, and names_push_stale() is called when there is room again. */
bool session_is_slow(const struct names_session *);
void session_set_slow(struct names *, struct names_session *);

#endif
