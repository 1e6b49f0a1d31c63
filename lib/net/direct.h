/*
 * A connection without ZeroMQ, for programs that soon end: the caller's thread speaks ZMTP
 * itself.  It is one connection; when that ends it is not made again.  For
 * sock.c alone.
 */
#ifndef NET_DIRECT_H
#define NET_DIRECT_H

#include <stdbool.h>
#include <stddef.h>

#include "net/sock.h"

struct dfb_direct;
struct dfb_zmtp_frame;

/* Begin to connect to endpoint.  NULL when it cannot be done here: a host has a name,
 * say, or descriptors are gone; ZeroMQ may do it then. */
struct dfb_direct *dfb_direct_open(const struct dfb_sock_config *, const char *endpoint);

/* Close; what is still to be sent is waited for at most linger_ms (0: forgotten). */
void dfb_direct_close(struct dfb_direct *, int linger_ms);

/* Read and digest, and write (send), what can be without waiting; and whether there is
 * something to write, or an event, for which nothing will become ready. */
void dfb_direct_pump(struct dfb_direct *, bool send);
bool dfb_direct_has_work(const struct dfb_direct *);

/* The next event: DFB_NET_UP; DFB_NET_GONE or DFB_NET_REFUSED is the last. */
bool dfb_direct_has_event(const struct dfb_direct *);
enum dfb_net_event dfb_direct_event(struct dfb_direct *);

/* The frame that waits; false: none.  It stays until _take, and is valid until the pump
 * or the close. */
bool dfb_direct_frame(struct dfb_direct *, struct dfb_zmtp_frame *);
void dfb_direct_take(struct dfb_direct *);

/* Queue a frame for the pump.  0, or -1 with errno (EAGAIN: too many wait). */
int dfb_direct_send(struct dfb_direct *, const void *data, size_t len);

/* To watch for input and output, edge-triggered; and for silence, by which a peer that is
 * dead is noticed. */
int dfb_direct_fd(const struct dfb_direct *);
int dfb_direct_timer_fd(const struct dfb_direct *);

#endif
