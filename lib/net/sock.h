/*
 * Sockets: a listening one (ROUTER: many peers) and a connecting one (DEALER: one
 * peer), each with a monitor that tells when connections come and go.  One frame is
 * one message.  The only layer that includes <zmq.h>.
 */
#ifndef NET_SOCK_H
#define NET_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dfb_buf;
struct dfb_net;
struct dfb_sock;

/* For the ZeroMQ context: one input/output thread, from the first socket that is not direct.
 * NULL with errno, also when there are too few descriptors or threads for it. */
struct dfb_net *dfb_net_new(void);
void dfb_net_free(struct dfb_net *); /* after all its sockets; NULL is fine */

/* For a program that soon ends: sockets that connect and are configured `direct` are made
 * without ZeroMQ and its threads, where the address is a number or a path.  Heartbeats are
 * then answered in the loop: a program that is held up elsewhere for 6 s loses
 * its session. */
void dfb_net_direct(struct dfb_net *);

struct dfb_sock_config {
	size_t max_frame;    /* larger ones end the connection */
	int queue;           /* frames waiting per peer and direction */
	bool direct;         /* if dfb_net_direct(); for a connecting socket */
};

/* A listening socket, bound to nothing yet, and one that connects (and goes on
 * trying; a direct one does not: its DFB_NET_GONE or DFB_NET_REFUSED is its last).  NULL
 * with errno. */
struct dfb_sock *dfb_sock_listen(struct dfb_net *, const struct dfb_sock_config *);
struct dfb_sock *dfb_sock_connect(struct dfb_net *, const struct dfb_sock_config *,
    const char *endpoint);

/* Close; what is still to be sent is sent for at most linger_ms in the background
 * (dfb_net_free waits for it).  NULL is fine. */
void dfb_sock_close(struct dfb_sock *, int linger_ms);

/* Listen at endpoint: ipc://PATH, tcp://ADDRESS:PORT (port 0: any free one).  The
 * endpoint as clients must write it goes to actual.  0, or -1 with errno. */
int dfb_sock_bind(struct dfb_sock *, const char *endpoint, char *actual, size_t size);

/* What is wrong with an endpoint, in words; NULL when it can be used. */
const char *dfb_endpoint_check(const char *endpoint);

/* ---- frames ---- */

/* Who sent a frame, on a listening socket.  fd identifies the connection in
 * events, until its DFB_NET_GONE. */
struct dfb_peer {
	uint8_t len;
	uint8_t id[19];
	int fd;
};

struct dfb_frame {
	struct dfb_peer peer;
	const uint8_t *data; /* NULL: not one frame as it should be, from peer */
	size_t len;
	_Alignas(8) unsigned char msg_[64];
};

/* Take a waiting frame: 1, release it afterwards; 0: none; -1 with errno. */
int dfb_sock_recv(struct dfb_sock *, struct dfb_frame *);
void dfb_frame_release(struct dfb_frame *);

/*
 * Send a frame without waiting.  peer is NULL on a connecting socket.  _send copies;
 * _send_buf takes over the buffer's memory (and leaves it empty) when it returns
 * 0; _send_shared refers to data until free_fn(data, hint) is called, in another
 * thread, also when it fails.  0; -1: errno EAGAIN when the peer's queue is full (_send_buf:
 * the buffer is unchanged), EHOSTUNREACH when the peer is gone.
 */
int dfb_sock_send(struct dfb_sock *, const struct dfb_peer *, const void *data,
    size_t len);
int dfb_sock_send_buf(struct dfb_sock *, const struct dfb_peer *, struct dfb_buf *);
int dfb_sock_send_shared(struct dfb_sock *, const struct dfb_peer *, void *data,
    size_t len, void (*free_fn)(void *data, void *hint), void *hint);

/* ---- events ---- */

enum dfb_net_event {
	DFB_NET_NONE,
	DFB_NET_UP,      /* connected (both sides speak ZMTP), or accepted: fd */
	DFB_NET_GONE,    /* a connection ended: fd */
	DFB_NET_REFUSED, /* connecting failed; it is tried again */
};

/* Take the next event; DFB_NET_NONE when there is none. */
enum dfb_net_event dfb_sock_event(struct dfb_sock *, int *fd);

/*
 * For the loop: the descriptors to sleep on, and whether frames and events wait.  The
 * descriptors are edge-triggered: when one was ready, ask, and serve, until nothing waits.
 * What is done with the socket meanwhile, the question too, can use up the edge: it is then
 * touched, until the answer is that nothing waits, and must be asked before the next sleep.
 */
int dfb_sock_fd(const struct dfb_sock *);
int dfb_sock_event_fd(const struct dfb_sock *);
bool dfb_sock_readable(struct dfb_sock *);
bool dfb_sock_has_event(struct dfb_sock *);
bool dfb_sock_touched(const struct dfb_sock *);

/* A direct socket has no thread: its input is done here, before events and frames are asked
 * for, when a descriptor was ready or it is touched; and its output (send), once a turn,
 * so that what the turn gathered leaves together.  Its descriptor is to be watched for both. */
bool dfb_sock_is_direct(const struct dfb_sock *);
void dfb_sock_pump(struct dfb_sock *, bool send);

#endif
