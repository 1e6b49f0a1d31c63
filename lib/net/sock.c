#include "net/sock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "base/buf.h"
#include "net/direct.h"
#include "net/internal.h"
#include "net/zmtp.h"

/* Frames up to this size are copied: cheaper than a second allocation. */
#define COPY_MAX 1024
/* Descriptors that one takes that connects. */
#define SOCKET_FDS 4

#define HEARTBEAT_MS 2000
#define HEARTBEAT_TIMEOUT_MS 6000
#define RECONNECT_MS 20
#define RECONNECT_MAX_MS 500

struct dfb_sock {
	struct dfb_direct *direct; /* instead of the next two */
	void *sock, *monitor;
	bool listening, touched;
	int fd, event_fd;
};

_Static_assert(sizeof(zmq_msg_t) <= sizeof ((struct dfb_frame *)0)->msg_, "msg_");

static int
set_int(void *sock, int option, int value)
{
	return zmq_setsockopt(sock, option, &value, sizeof value);
}

static int
set_options(void *sock, const struct dfb_sock_config *cf, bool listening)
{
	int64_t max = (int64_t)cf->max_frame;

	if (set_int(sock, ZMQ_SNDHWM, cf->queue) == -1 ||
	    set_int(sock, ZMQ_RCVHWM, cf->queue) == -1 ||
	    set_int(sock, ZMQ_LINGER, 0) == -1 ||
	    zmq_setsockopt(sock, ZMQ_MAXMSGSIZE, &max, sizeof max) == -1 ||
	    set_int(sock, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) == -1 ||
	    set_int(sock, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS) == -1 ||
	    set_int(sock, ZMQ_HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS) == -1 ||
	    set_int(sock, ZMQ_TCP_KEEPALIVE, 1) == -1 ||
	    set_int(sock, ZMQ_IPV6, 1) == -1)
		return -1;
	if (listening)
		return set_int(sock, ZMQ_ROUTER_MANDATORY, 1) == -1 ||
		    set_int(sock, ZMQ_BACKLOG, 1024) == -1 ? -1 : 0;
	return set_int(sock, ZMQ_RECONNECT_IVL, RECONNECT_MS) == -1 ||
	    set_int(sock, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) == -1 ? -1 : 0;
}

static int
get_fd(void *sock)
{
	int fd = -1;
	size_t len = sizeof fd;

	return zmq_getsockopt(sock, ZMQ_FD, &fd, &len) == 0 ? fd : -1;
}

static struct dfb_sock *
sock_new(struct dfb_net *n, const struct dfb_sock_config *cf, bool listening)
{
	struct dfb_sock *s = dfb_net_start(n) == 0 && dfb_net_fds(SOCKET_FDS) ? calloc(1, sizeof *s) :
	    NULL;
	char name[48];
	int events = ZMQ_EVENT_DISCONNECTED | (listening ? ZMQ_EVENT_ACCEPTED :
	    ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_CONNECT_RETRIED |
	    ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);

	if (s == NULL)
		return NULL;
	s->listening = listening;
	s->touched = true;
	snprintf(name, sizeof name, "inproc://monitor-%u", ++n->monitors);
	if ((s->sock = zmq_socket(n->ctx, listening ? ZMQ_ROUTER : ZMQ_DEALER)) == NULL ||
	    set_options(s->sock, cf, listening) == -1 ||
	    zmq_socket_monitor(s->sock, name, events) == -1 ||
	    (s->monitor = zmq_socket(n->ctx, ZMQ_PAIR)) == NULL ||
	    set_int(s->monitor, ZMQ_LINGER, 0) == -1 ||
	    zmq_connect(s->monitor, name) == -1 ||
	    (s->fd = get_fd(s->sock)) == -1 ||
	    (s->event_fd = get_fd(s->monitor)) == -1) {
		dfb_sock_close(s, 0);
		return NULL;
	}
	return s;
}

struct dfb_sock *
dfb_sock_listen(struct dfb_net *n, const struct dfb_sock_config *cf)
{
	return sock_new(n, cf, true);
}

static struct dfb_sock *
direct_new(const struct dfb_sock_config *cf, const char *endpoint)
{
	struct dfb_sock *s = calloc(1, sizeof *s);

	if (s == NULL || (s->direct = dfb_direct_open(cf, endpoint)) == NULL) {
		free(s);
		return NULL;
	}
	s->fd = dfb_direct_fd(s->direct);
	s->event_fd = dfb_direct_timer_fd(s->direct);
	s->touched = true;
	return s;
}

struct dfb_sock *
dfb_sock_connect(struct dfb_net *n, const struct dfb_sock_config *cf,
    const char *endpoint)
{
	struct dfb_sock *s;

	if (n->direct && cf->direct && (s = direct_new(cf, endpoint)) != NULL)
		return s;
	s = sock_new(n, cf, false);
	if (s != NULL && zmq_connect(s->sock, endpoint) == -1) {
		int e = errno;
		dfb_sock_close(s, 0);
		errno = e;
		return NULL;
	}
	return s;
}

void
dfb_sock_close(struct dfb_sock *s, int linger_ms)
{
	int e = errno;

	if (s == NULL)
		return;
	if (s->direct != NULL)
		dfb_direct_close(s->direct, linger_ms);
	if (s->sock != NULL) {
		zmq_socket_monitor(s->sock, NULL, 0);
		set_int(s->sock, ZMQ_LINGER, linger_ms);
		zmq_close(s->sock);
	}
	if (s->monitor != NULL)
		zmq_close(s->monitor);
	free(s);
	errno = e;
}

int
dfb_sock_bind(struct dfb_sock *s, const char *endpoint, char *actual, size_t size)
{
	char text[300];
	size_t n = strlen(endpoint);

	/* Users write port 0 for any; ZeroMQ wants a star. */
	snprintf(text, sizeof text, "%s", endpoint);
	if (n > 2 && n < sizeof text && strncmp(text, "tcp://", 6) == 0 &&
	    strcmp(text + n - 2, ":0") == 0)
		text[n - 1] = '*';
	if (zmq_bind(s->sock, text) == -1)
		return -1;
	return zmq_getsockopt(s->sock, ZMQ_LAST_ENDPOINT, actual, &size);
}

const char *
dfb_endpoint_check(const char *e)
{
	const char *port;

	if (strncmp(e, "ipc://", 6) == 0) {
		if (e[6] == '\0')
			return "an ipc endpoint needs a path";
		if (strlen(e + 6) >= sizeof ((struct sockaddr_un *)0)->sun_path)
			return "the path of an ipc endpoint is limited to 107 bytes: "
			    "use a shorter directory";
		return NULL;
	}
	if (strncmp(e, "tcp://", 6) == 0) {
		port = strrchr(e, ':');
		if (port < e + 6 || port == e + 6 || port[1] == '\0' ||
		    strspn(port + 1, "0123456789") != strlen(port + 1) ||
		    strlen(port + 1) > 5 || atoi(port + 1) > 65535)
			return "a tcp endpoint is tcp://ADDRESS:PORT";
		return strlen(e) < 200 ? NULL : "too long";
	}
	return "an endpoint is ipc://PATH or tcp://ADDRESS:PORT";
}

/* ---- frames ---- */

static void
drain_parts(void *sock)
{
	zmq_msg_t m;
	int more = 1;

	while (more) {
		zmq_msg_init(&m);
		if (zmq_msg_recv(&m, sock, ZMQ_DONTWAIT) == -1)
			more = 0;
		else
			more = zmq_msg_more(&m);
		zmq_msg_close(&m);
	}
}

/* A copy, that lives on when the socket is closed. */
static int
direct_recv(struct dfb_sock *s, struct dfb_frame *f)
{
	zmq_msg_t *m = (void *)f->msg_;
	struct dfb_zmtp_frame got;

	if (!dfb_direct_frame(s->direct, &got))
		return 0;
	if (zmq_msg_init_size(m, got.len) == -1)
		return -1;
	if (got.len != 0)
		memcpy(zmq_msg_data(m), got.data, got.len);
	f->data = got.part ? NULL : zmq_msg_data(m);
	f->len = got.part ? 0 : got.len;
	dfb_direct_take(s->direct);
	return 1;
}

/* After a failed receive.  To be told that nothing waits is an answer as good as
 * that of dfb_sock_readable(). */
static int
nothing(struct dfb_sock *s)
{
	if (errno == EAGAIN)
		s->touched = false;
	return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

int
dfb_sock_recv(struct dfb_sock *s, struct dfb_frame *f)
{
	zmq_msg_t *m = (void *)f->msg_;
	bool odd = false;

	s->touched = true;
	f->data = NULL;
	f->peer.len = 0;
	if (s->direct != NULL)
		return direct_recv(s, f);
	if (s->listening) {
		int n = zmq_recv(s->sock, f->peer.id, sizeof f->peer.id, ZMQ_DONTWAIT);
		if (n == -1)
			return nothing(s);
		odd = (size_t)n > sizeof f->peer.id;
		f->peer.len = (uint8_t)(odd ? sizeof f->peer.id : (size_t)n);
	}
	zmq_msg_init(m);
	if (zmq_msg_recv(m, s->sock, ZMQ_DONTWAIT) == -1) {
		zmq_msg_close(m);
		return nothing(s);
	}
	if (s->listening)
		f->peer.fd = zmq_msg_get(m, ZMQ_SRCFD);
	if (zmq_msg_more(m)) {
		odd = true;
		drain_parts(s->sock);
	}
	f->data = odd ? NULL : zmq_msg_data(m);
	f->len = odd ? 0 : zmq_msg_size(m);
	return 1;
}

void
dfb_frame_release(struct dfb_frame *f)
{
	zmq_msg_close((void *)f->msg_);
}

/* The routing id first: with ROUTER_MANDATORY it is where a full queue and a peer
 * that is gone show. */
static int
address(struct dfb_sock *s, const struct dfb_peer *peer)
{
	assert(s->listening == (peer != NULL));
	s->touched = true;
	if (peer == NULL)
		return 0;
	return zmq_send(s->sock, peer->id, peer->len, ZMQ_DONTWAIT | ZMQ_SNDMORE) == -1 ?
	    -1 : 0;
}

int
dfb_sock_send(struct dfb_sock *s, const struct dfb_peer *peer, const void *data,
    size_t len)
{
	if (address(s, peer) == -1)
		return -1;
	if (s->direct != NULL)
		return dfb_direct_send(s->direct, data, len);
	return zmq_send(s->sock, data, len, ZMQ_DONTWAIT) == -1 ? -1 : 0;
}

static void
free_buf(void *data, void *hint)
{
	(void)hint;
	free(data);
}

int
dfb_sock_send_shared(struct dfb_sock *s, const struct dfb_peer *peer, void *data,
    size_t len, void (*free_fn)(void *, void *), void *hint)
{
	zmq_msg_t m;

	if (s->direct != NULL) {
		int rc = dfb_sock_send(s, peer, data, len), e = errno;
		free_fn(data, hint);
		errno = e;
		return rc;
	}
	if (zmq_msg_init_data(&m, data, len, free_fn, hint) == -1) {
		free_fn(data, hint);
		return -1;
	}
	if (address(s, peer) == -1 || zmq_msg_send(&m, s->sock, ZMQ_DONTWAIT) == -1) {
		int e = errno;
		zmq_msg_close(&m);
		errno = e;
		return -1;
	}
	return 0;
}

int
dfb_sock_send_buf(struct dfb_sock *s, const struct dfb_peer *peer, struct dfb_buf *b)
{
	zmq_msg_t m;

	if (b->len <= COPY_MAX || s->direct != NULL) {
		if (dfb_sock_send(s, peer, b->data, b->len) == -1)
			return -1;
		b->len = 0;
		return 0;
	}
	if (address(s, peer) == -1 ||
	    zmq_msg_init_data(&m, b->data, b->len, free_buf, NULL) == -1)
		return -1;
	if (zmq_msg_send(&m, s->sock, ZMQ_DONTWAIT) == -1) {
		int e = errno;
		/* Take the memory back: the message must not free it. */
		uint8_t *keep = malloc(b->len);
		if (keep != NULL) {
			memcpy(keep, b->data, b->len);
			*b = (struct dfb_buf){ keep, b->len, b->len };
		} else
			*b = (struct dfb_buf){ 0 };
		zmq_msg_close(&m);
		errno = keep != NULL ? e : ENOMEM;
		return -1;
	}
	*b = (struct dfb_buf){ 0 };
	return 0;
}

/* ---- events ---- */

enum dfb_net_event
dfb_sock_event(struct dfb_sock *s, int *fd)
{
	uint8_t head[6];
	uint16_t event;
	int32_t value;

	if (s->direct != NULL) {
		*fd = s->fd;
		return dfb_direct_event(s->direct);
	}
	if (zmq_recv(s->monitor, head, sizeof head, ZMQ_DONTWAIT) != sizeof head)
		return DFB_NET_NONE;
	drain_parts(s->monitor); /* the endpoint */
	memcpy(&event, head, sizeof event);
	memcpy(&value, head + 2, sizeof value);
	*fd = value;
	switch (event) {
	case ZMQ_EVENT_ACCEPTED:
	case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
		return DFB_NET_UP;
	case ZMQ_EVENT_DISCONNECTED:
		return DFB_NET_GONE;
	default:
		return DFB_NET_REFUSED;
	}
}

int
dfb_sock_fd(const struct dfb_sock *s)
{
	return s->fd;
}

int
dfb_sock_event_fd(const struct dfb_sock *s)
{
	return s->event_fd;
}

static bool
has_input(void *sock)
{
	int events = 0;
	size_t len = sizeof events;

	return zmq_getsockopt(sock, ZMQ_EVENTS, &events, &len) == 0 &&
	    (events & ZMQ_POLLIN) != 0;
}

bool
dfb_sock_readable(struct dfb_sock *s)
{
	struct dfb_zmtp_frame f;

	/* Whoever asks uses up the edge: what waits is not forgotten. */
	s->touched = s->direct != NULL ? dfb_direct_frame(s->direct, &f) :
	    has_input(s->sock);
	return s->touched;
}

bool
dfb_sock_touched(const struct dfb_sock *s)
{
	return s->touched || (s->direct != NULL && dfb_direct_has_work(s->direct));
}

bool
dfb_sock_has_event(struct dfb_sock *s)
{
	return s->direct != NULL ? dfb_direct_has_event(s->direct) : has_input(s->monitor);
}

bool
dfb_sock_is_direct(const struct dfb_sock *s)
{
	return s->direct != NULL;
}

void
dfb_sock_pump(struct dfb_sock *s, bool send)
{
	if (s->direct != NULL)
		dfb_direct_pump(s->direct, send);
}
