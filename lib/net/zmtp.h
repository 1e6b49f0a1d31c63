/*
 * The client's side of ZMTP 3.1 without security, as bytes: greeting, READY, frames,
 * heartbeats.  No input or output: what came is put into `in`, what is in `out` is to be
 * sent.  For direct.c; everything else speaks through ZeroMQ.
 */
#ifndef NET_ZMTP_H
#define NET_ZMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum dfb_zmtp_state {
	DFB_ZMTP_GREETING, /* until the other side has greeted */
	DFB_ZMTP_READY,    /* until it said READY */
	DFB_ZMTP_OPEN,
	DFB_ZMTP_BROKEN,   /* it did not speak ZMTP as a ROUTER does */
};

/* A part of a message; it stays where it is until it is taken. */
struct dfb_zmtp_frame {
	const uint8_t *data;
	size_t len;
	bool part; /* of a message in several parts */
};

/* Embedded; all-zero with max_frame set is one to begin. */
struct dfb_zmtp {
	struct dfb_buf in, out;
	size_t max_frame;  /* a longer one breaks it */
	enum dfb_zmtp_state state;
	size_t at;         /* read of `in` */
	size_t taken;      /* of them in the frame that was found */
	bool more;         /* the frame before was not its message's last part */
};

void dfb_zmtp_release(struct dfb_zmtp *);

/* Say the greeting and READY as a DEALER.  A ROUTER of ZeroMQ takes frames only after
 * its own READY has left: send none before the state is OPEN.  0, or -1 with errno. */
int dfb_zmtp_begin(struct dfb_zmtp *);

/* Digest `in` up to the next frame, answering heartbeats: 1: there is one (again, until it
 * is taken); 0: more bytes are needed; -1: broken. */
int dfb_zmtp_next(struct dfb_zmtp *, struct dfb_zmtp_frame *);
void dfb_zmtp_take(struct dfb_zmtp *);

/* Forget in `in` what was read. */
void dfb_zmtp_tidy(struct dfb_zmtp *);

/* Append a message of one frame to `out`.  0, or -1 with errno (unchanged then). */
int dfb_zmtp_put(struct dfb_zmtp *, const void *data, size_t len);

#endif
