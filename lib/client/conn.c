#include "client/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/timer.h"
#include "net/loop.h"
#include "net/sock.h"
#include "wire/proto.h"

#define QUEUE 10000
#define FRAMES_PER_TURN 64
#define BACKOFF_MS 20
#define BACKOFF_MAX_MS 500
#define STRANGER_MS 5000  /* it speaks another language: that will not change soon */
#define MALFORMED_MS 1000

enum state { WAITING, CONNECTING, UP };

struct dfb_conn {
	struct dfb_conn_config cf;
	char *endpoint, *role, *who, *region;
	struct dfb_sock *sock; /* NULL while waiting */
	enum state state;
	uint64_t session, backoff;
	struct dfb_timer timer;
	struct dfb_buf scratch;
	unsigned depth;  /* callbacks running */
	bool tried;      /* to connect */
	bool ending;     /* the connection is gone, its last frames are read */
	bool freed;      /* as soon as depth is 0 */
};

static void on_frames(void *);
static void on_events(void *);

static int
open_sock(struct dfb_conn *c)
{
	/* The first time may be direct; what does not go smoothly is ZeroMQ's. */
	const struct dfb_sock_config cf = { .max_frame = DFB_FRAME_MAX, .queue = QUEUE,
		.direct = !c->tried };

	if ((c->sock = dfb_sock_connect(c->cf.net, &cf, c->endpoint)) == NULL)
		return -1;
	c->tried = true;
	if (dfb_loop_add_sock(c->cf.loop, c->sock, on_frames, on_events, c) == -1) {
		dfb_sock_close(c->sock, 0);
		c->sock = NULL;
		return -1;
	}
	c->state = CONNECTING;
	return 0;
}

static void
close_sock(struct dfb_conn *c, int linger_ms)
{
	if (c->sock == NULL)
		return;
	dfb_loop_del_sock(c->cf.loop, c->sock);
	dfb_sock_close(c->sock, linger_ms);
	c->sock = NULL;
}

static void
release(struct dfb_conn *c)
{
	dfb_buf_release(&c->scratch);
	free(c->endpoint);
	free(c->role);
	free(c->who);
	free(c->region);
	free(c);
}

/* Around everything that runs callbacks, which may free the conn. */
static void
enter(struct dfb_conn *c)
{
	c->depth++;
}

static void
leave(struct dfb_conn *c)
{
	if (--c->depth == 0 && c->freed)
		release(c);
}

static void
pause_for(struct dfb_conn *c, uint64_t at_least)
{
	c->backoff = c->backoff == 0 ? BACKOFF_MS : c->backoff * 2;
	if (c->backoff > BACKOFF_MAX_MS)
		c->backoff = BACKOFF_MAX_MS;
	c->state = WAITING;
	dfb_loop_timer(c->cf.loop, &c->timer,
	    c->backoff > at_least ? c->backoff : at_least);
}

static void
on_timer(struct dfb_timer *t, void *arg)
{
	struct dfb_conn *c = arg;

	(void)t;
	if (open_sock(c) == 0)
		return;
	pause_for(c, BACKOFF_MAX_MS);
	enter(c);
	if (c->cf.refused != NULL)
		c->cf.refused(c->cf.arg);
	leave(c);
}

void
dfb_conn_drop(struct dfb_conn *c, const char *why, uint64_t pause_ms)
{
	bool was_up = c->state == UP;

	if (c->state == WAITING || c->freed)
		return;
	close_sock(c, 0);
	pause_for(c, pause_ms);
	enter(c);
	if (was_up)
		c->cf.down(c->cf.arg, why);
	else if (c->cf.refused != NULL)
		c->cf.refused(c->cf.arg);
	leave(c);
}

static void
handle(struct dfb_conn *c, const struct dfb_frame *f)
{
	struct dfb_proto m;
	const char *why = "message in several parts";
	char text[256], reason[160];

	if (f->data == NULL || dfb_proto_decode(f->data, f->len, &m, &why) == -1) {
		snprintf(text, sizeof text, "it sent a malformed frame: %s", why);
		dfb_conn_drop(c, text, MALFORMED_MS);
		return;
	}
	switch (m.type) {
	case DFB_M_PING:
		m.type = DFB_M_PONG;
		dfb_conn_send(c, &m);
		return;
	case DFB_M_PONG:
		return;
	case DFB_M_ERROR:
		if (m.status != DFB_PROTO)
			break;
		/* What a connection that libzmq made anew says is not about us. */
		if (c->ending)
			return;
		snprintf(text, sizeof text, "protocol error: %s",
		    dfb_str_copy(m.error.reason, reason, sizeof reason));
		dfb_conn_drop(c, text, STRANGER_MS);
		return;
	case DFB_M_WELCOME:
		c->backoff = 0;
		break;
	}
	c->cf.frame(c->cf.arg, &m);
}

static void
read_frames(struct dfb_conn *c, int max)
{
	struct dfb_frame f;

	for (int i = 0; i < max && c->sock != NULL && c->state == UP; i++) {
		if (dfb_sock_recv(c->sock, &f) != 1)
			return;
		handle(c, &f);
		dfb_frame_release(&f);
	}
}

static void
on_frames(void *arg)
{
	struct dfb_conn *c = arg;
	struct dfb_frame f;

	if (c->state != UP) { /* nobody can have sent it */
		if (dfb_sock_recv(c->sock, &f) == 1)
			dfb_frame_release(&f);
		return;
	}
	enter(c);
	read_frames(c, FRAMES_PER_TURN);
	leave(c);
}

static void
go_up(struct dfb_conn *c)
{
	struct dfb_proto m = { .type = DFB_M_HELLO, .hello = {
		.proto = DFB_PROTO_VERSION, .role = dfb_str(c->role),
		.who = dfb_str(c->who), .region = dfb_str(c->region),
		.client = c->cf.client } };

	c->state = UP;
	c->session++;
	if (dfb_conn_send(c, &m) == -1) {
		c->state = CONNECTING; /* `up` never ran */
		dfb_conn_drop(c, "cannot send", 0);
		return;
	}
	c->cf.up(c->cf.arg);
}

static void
on_events(void *arg)
{
	struct dfb_conn *c = arg;
	enum dfb_net_event e;
	int fd;

	enter(c);
	while (c->sock != NULL && (e = dfb_sock_event(c->sock, &fd)) != DFB_NET_NONE) {
		if (e == DFB_NET_UP && c->state == CONNECTING)
			go_up(c);
		else if (e == DFB_NET_REFUSED && dfb_sock_is_direct(c->sock))
			dfb_conn_drop(c, "refused", 0); /* it does not try again */
		else if (e == DFB_NET_REFUSED && c->state == CONNECTING &&
		    c->cf.refused != NULL)
			c->cf.refused(c->cf.arg);
		else if (e == DFB_NET_GONE) {
			c->ending = true;
			read_frames(c, QUEUE);
			c->ending = false;
			dfb_conn_drop(c, "the connection ended", 0);
		}
	}
	leave(c);
}

struct dfb_conn *
dfb_conn_new(const struct dfb_conn_config *cf)
{
	struct dfb_conn *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	c->cf = *cf;
	c->timer = (struct dfb_timer){ .fn = on_timer, .arg = c };
	if ((c->endpoint = strdup(cf->endpoint)) == NULL ||
	    (c->role = strdup(cf->role)) == NULL ||
	    (c->who = strdup(cf->who)) == NULL ||
	    (c->region = strdup(cf->region != NULL ? cf->region : "")) == NULL ||
	    open_sock(c) == -1) {
		int e = errno;
		release(c);
		errno = e;
		return NULL;
	}
	return c;
}

void
dfb_conn_free(struct dfb_conn *c, int linger_ms)
{
	if (c == NULL || c->freed)
		return;
	dfb_loop_timer_stop(c->cf.loop, &c->timer);
	close_sock(c, linger_ms);
	c->state = WAITING;
	c->freed = true;
	if (c->depth == 0)
		release(c);
}

uint64_t
dfb_conn_session(const struct dfb_conn *c)
{
	return c->session;
}

bool
dfb_conn_is_up(const struct dfb_conn *c)
{
	return c->state == UP;
}

const char *
dfb_conn_endpoint(const struct dfb_conn *c)
{
	return c->endpoint;
}

static bool
ready(const struct dfb_conn *c)
{
	if (c->state != UP)
		errno = ENOTCONN;
	return c->state == UP;
}

int
dfb_conn_send(struct dfb_conn *c, const struct dfb_proto *m)
{
	if (!ready(c))
		return -1;
	c->scratch.len = 0;
	if (dfb_proto_encode(m, &c->scratch) == -1)
		return -1;
	return dfb_sock_send_buf(c->sock, NULL, &c->scratch);
}

int
dfb_conn_send_buf(struct dfb_conn *c, struct dfb_buf *b)
{
	return ready(c) ? dfb_sock_send_buf(c->sock, NULL, b) : -1;
}

int
dfb_conn_send_bytes(struct dfb_conn *c, const void *data, size_t len)
{
	return ready(c) ? dfb_sock_send(c->sock, NULL, data, len) : -1;
}

int
dfb_conn_send_shared(struct dfb_conn *c, void *data, size_t len,
    void (*free_fn)(void *, void *), void *hint)
{
	if (!ready(c)) {
		free_fn(data, hint);
		return -1;
	}
	return dfb_sock_send_shared(c->sock, NULL, data, len, free_fn, hint);
}
