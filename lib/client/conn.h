/*
 * A session to one daemon: connects, says HELLO, and when the connection ends opens
 * a new socket and tries again, for ever, until it is freed.  Used by clients, and
 * by brokers towards name servers.  Frames may be sent as soon as `up` ran.
 */
#ifndef CLIENT_CONN_H
#define CLIENT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dfb.h"

struct dfb_buf;
struct dfb_conn;
struct dfb_loop;
struct dfb_net;
struct dfb_proto;

struct dfb_conn_config {
	struct dfb_net *net;
	struct dfb_loop *loop;
	const char *endpoint;      /* copied, as are the next three */
	const char *role, *who, *region;
	struct dfb_id client;      /* the same in all sessions of one client; may be zero */
	/* A new session: HELLO is queued, WELCOME not yet come (pipelining).  Frames
	 * sent now go right behind HELLO. */
	void (*up)(void *arg);
	/* The session ended (it was up); the connection is tried again by itself. */
	void (*down)(void *arg, const char *why);
	/* A connection attempt failed. May be NULL. */
	void (*refused)(void *arg);
	/* A frame other than what sessions need themselves (WELCOME is passed, too). */
	void (*frame)(void *arg, const struct dfb_proto *);
	void *arg;
};

/* NULL with errno.  Callbacks run from the loop only, never from within _new; they may
 * free the conn. */
struct dfb_conn *dfb_conn_new(const struct dfb_conn_config *);

/* End it; frames already sent leave within linger_ms.  NULL is fine. */
void dfb_conn_free(struct dfb_conn *, int linger_ms);

/* Counts sessions: rises with each `up`.  0: never was up. */
uint64_t dfb_conn_session(const struct dfb_conn *);
bool dfb_conn_is_up(const struct dfb_conn *);
const char *dfb_conn_endpoint(const struct dfb_conn *);

/* Send a frame.  0; -1: not up, or its queue is full (errno EAGAIN). */
int dfb_conn_send(struct dfb_conn *, const struct dfb_proto *);
/* The same for an encoded frame whose memory moves (buf empty afterwards) on 0. */
int dfb_conn_send_buf(struct dfb_conn *, struct dfb_buf *);
/* And for shared memory, as dfb_sock_send_shared(). */
int dfb_conn_send_shared(struct dfb_conn *, void *data, size_t len,
    void (*free_fn)(void *data, void *hint), void *hint);
/* And for bytes that are an encoded frame, copied. */
int dfb_conn_send_bytes(struct dfb_conn *, const void *data, size_t len);

/* The other side broke the protocol, or does not answer: end the session (`down`
 * runs if it was up) and connect again after a pause of at least pause_ms. */
void dfb_conn_drop(struct dfb_conn *, const char *why, uint64_t pause_ms);

#endif
