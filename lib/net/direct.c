#include "net/direct.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/zmtp.h"

#define READ 4096
/* A daemon pings every 2 s (HEARTBEAT_MS). */
#ifndef SILENT_NS /* the test has not so much time */
#define SILENT_NS 6000000000u
#endif
/* So much is not gathered but sent at once. */
#define ENOUGH 65536u

struct dfb_direct {
	int fd, timer;
	struct dfb_zmtp zmtp;
	int queue, queued;     /* frames: the limit, and since all was sent */
	bool was_up, up, over; /* up: is to be told; over: the connection has ended */
	bool told;             /* of the end */
	uint64_t heard, due;   /* ns; due: when the timer runs out */
};

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/* Numeric addresses only: to ask for a name takes time.  The length; 0: not for us. */
static socklen_t
parse(const char *endpoint, union address *a)
{
	const char *host = endpoint + 6, *colon = strrchr(host, ':');
	char text[INET6_ADDRSTRLEN + 2];
	size_t len;

	memset(a, 0, sizeof *a);
	if (strncmp(endpoint, "ipc://", 6) == 0) {
		len = strlen(host);
		if (*host != '/' || len >= sizeof a->un.sun_path)
			return 0;
		a->un.sun_family = AF_UNIX;
		memcpy(a->un.sun_path, host, len + 1);
		return sizeof a->un;
	}
	if (strncmp(endpoint, "tcp://", 6) != 0 || colon == NULL ||
	    (len = (size_t)(colon - host)) >= sizeof text || len < 2)
		return 0;
	memcpy(text, host, len);
	text[len] = '\0';
	a->in.sin_port = htons((uint16_t)atoi(colon + 1)); /* at the same place in both */
	if (inet_pton(AF_INET, text, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		return sizeof a->in;
	}
	if (text[0] != '[' || text[len - 1] != ']')
		return 0;
	text[len - 1] = '\0';
	a->in6.sin6_family = AF_INET6;
	return inet_pton(AF_INET6, text + 1, &a->in6.sin6_addr) == 1 ? sizeof a->in6 : 0;
}

static int
set_timer(struct dfb_direct *d)
{
	struct itimerspec t = { 0 };

	d->due = d->heard + SILENT_NS;
	t.it_value.tv_sec = (time_t)(d->due / 1000000000);
	t.it_value.tv_nsec = (long)(d->due % 1000000000);
	return timerfd_settime(d->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static void
send_out(struct dfb_direct *d)
{
	struct dfb_buf *out = &d->zmtp.out;
	ssize_t n;

	while (!d->over && out->len != 0) {
		if ((n = send(d->fd, out->data, out->len, MSG_NOSIGNAL)) >= 0)
			dfb_buf_consume(out, (size_t)n);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			d->over = true;
	}
	d->queued = 0;
}

struct dfb_direct *
dfb_direct_open(const struct dfb_sock_config *cf, const char *endpoint)
{
	struct dfb_direct *d;
	union address a;
	socklen_t len = parse(endpoint, &a);
	int on = 1;

	if (len == 0 || (d = calloc(1, sizeof *d)) == NULL)
		return NULL;
	d->queue = cf->queue;
	d->zmtp.max_frame = cf->max_frame;
	d->heard = dfb_mono_ns();
	d->fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	d->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (d->fd == -1 || d->timer == -1 || set_timer(d) == -1 ||
	    dfb_zmtp_begin(&d->zmtp) == -1) {
		dfb_direct_close(d, 0);
		return NULL;
	}
	if (a.sa.sa_family != AF_UNIX)
		setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(d->fd, &a.sa, len) == -1 && errno != EINPROGRESS)
		d->over = true;
	send_out(d); /* on one machine it is connected already */
	return d;
}

void
dfb_direct_close(struct dfb_direct *d, int linger_ms)
{
	struct pollfd p = { .fd = d->fd, .events = POLLOUT };
	uint64_t until = dfb_mono_ns() + (uint64_t)linger_ms * 1000000, now;

	while (linger_ms > 0 && d->was_up) {
		send_out(d);
		if (d->over || d->zmtp.out.len == 0 || (now = dfb_mono_ns()) >= until)
			break;
		poll(&p, 1, (int)((until - now) / 1000000) + 1);
	}
	if (d->fd != -1)
		close(d->fd);
	if (d->timer != -1)
		close(d->timer);
	dfb_zmtp_release(&d->zmtp);
	free(d);
}

/* All that there is; of frames, a part. */
static void
receive(struct dfb_direct *d)
{
	struct dfb_zmtp *z = &d->zmtp;
	struct dfb_zmtp_frame f;
	size_t room;
	ssize_t n;

	dfb_zmtp_tidy(z);
	while (!d->over) {
		if (dfb_buf_reserve(&z->in, READ) == -1) {
			d->over = true; /* as ZeroMQ ends it; a session can begin anew */
			return;
		}
		room = z->in.cap - z->in.len;
		n = recv(d->fd, z->in.data + z->in.len, room, 0);
		if (n > 0) {
			z->in.len += (size_t)n;
			d->heard = dfb_mono_ns();
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			d->over = true;
		else if (errno == EAGAIN)
			return;
		if (z->in.len >= ENOUGH && dfb_zmtp_next(z, &f) != 0)
			return;
	}
}

void
dfb_direct_pump(struct dfb_direct *d, bool sending)
{
	struct dfb_zmtp_frame f;
	uint64_t now;

	receive(d);
	if (dfb_zmtp_next(&d->zmtp, &f) == -1)
		d->over = true;
	if (d->zmtp.state == DFB_ZMTP_OPEN && !d->was_up)
		d->was_up = d->up = true;
	if (sending)
		send_out(d);
	if (d->over || (now = dfb_mono_ns()) < d->due)
		return;
	if (now - d->heard >= SILENT_NS || set_timer(d) == -1)
		d->over = true;
}

bool
dfb_direct_has_event(const struct dfb_direct *d)
{
	return d->up || (d->over && !d->told);
}

bool
dfb_direct_has_work(const struct dfb_direct *d)
{
	return (!d->over && d->zmtp.out.len != 0) || dfb_direct_has_event(d);
}

enum dfb_net_event
dfb_direct_event(struct dfb_direct *d)
{
	if (d->up) {
		d->up = false;
		return DFB_NET_UP;
	}
	if (!d->over || d->told)
		return DFB_NET_NONE;
	d->told = true;
	return d->was_up ? DFB_NET_GONE : DFB_NET_REFUSED;
}

bool
dfb_direct_frame(struct dfb_direct *d, struct dfb_zmtp_frame *f)
{
	int rc = dfb_zmtp_next(&d->zmtp, f);

	if (rc == -1)
		d->over = true;
	return rc == 1;
}

void
dfb_direct_take(struct dfb_direct *d)
{
	dfb_zmtp_take(&d->zmtp);
}

int
dfb_direct_send(struct dfb_direct *d, const void *data, size_t len)
{
	if (d->zmtp.out.len >= ENOUGH || d->queued >= d->queue)
		send_out(d);
	if (d->queued >= d->queue) {
		errno = EAGAIN;
		return -1;
	}
	if (dfb_zmtp_put(&d->zmtp, data, len) == -1)
		return -1;
	d->queued++;
	return 0;
}

int
dfb_direct_fd(const struct dfb_direct *d)
{
	return d->fd;
}

int
dfb_direct_timer_fd(const struct dfb_direct *d)
{
	return d->timer;
}
