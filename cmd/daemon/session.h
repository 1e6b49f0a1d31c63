/* Sessions of a hub: what hub.c and session.c share. */
#ifndef DAEMON_SESSION_H
#define DAEMON_SESSION_H

#include "daemon/hub.h"

void daemon_sessions_init(struct dfb_hub *);
void daemon_sessions_release(struct dfb_hub *);

/* The session that a frame belongs to, made when it is new.  NULL when there are too
 * many, or no memory (errno EAGAIN, ENOMEM). */
struct dfb_session *daemon_session_get(struct dfb_hub *, const struct dfb_peer *);

/* To be called after the first frame was answered: finds out whether the connection is
 * still there, whose end will then be heard of.  Nothing at later ones. */
void daemon_session_answered(struct dfb_hub *, struct dfb_session *);

/* Take the socket's events: connections that ended. */
void daemon_sessions_events(struct dfb_hub *);

/* The socket has no more frames: free sessions whose connection ended. */
void daemon_sessions_drained(struct dfb_hub *);

/* Not heard any more: ends its watches. */
void daemon_session_die(struct dfb_hub *, struct dfb_session *);

/* Its queue is full: it is slow until there is room, and then daemon_push_stale() is called. */
void daemon_session_set_slow(struct dfb_hub *, struct dfb_session *);
void daemon_push_stale(struct dfb_hub *, struct dfb_session *);

#endif
