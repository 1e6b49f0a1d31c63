#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "dfb-recv/recv.h"
#include "net/loop.h"

#define PIPE_SIZE (1 << 20)

struct out_mark {
	uint64_t end; /* of out.written */
	struct dfb_consumer *consumer;
	struct dfb_delivery delivery;
};

static void
fail(struct recv *r)
{
	struct out *o = &r->out;

	if (o->failed)
		return;
	o->failed = true;
	if (errno == EPIPE)
		log_errx("nobody reads stdout any more");
	else
		log_err("cannot write to stdout");
	serve_stop(r, DFB_IOERR, true);
}

static void
unwatch(struct out *o)
{
	if (o->watched)
		dfb_loop_del_fd(o->recv->loop, o->fd);
	o->watched = o->waits = false;
}

static void
on_ready(void *arg, uint32_t ready)
{
	struct recv *r = arg;
	struct out *o = &r->out;

	if ((ready & (EPOLLERR | EPOLLHUP)) != 0) {
		unwatch(o);
		errno = EPIPE;
		fail(r);
		return;
	}
	if (o->waits && dfb_loop_set_fd(r->loop, o->fd, 0) == 0)
		o->waits = false;
	/* The turn ends with out_flush. */
}

/*
 * O_NONBLOCK belongs to the open file, which others share (the shell's terminal, the
 * other programs of a pipeline): so pipes and terminals are opened once more.  Where
 * that fails, and for sockets, only small writes are made, when poll says there is room.
 */
void
out_open(struct recv *r)
{
	struct out *o = &r->out;
	struct stat st;
	int fd;

	*o = (struct out){ .recv = r, .fd = STDOUT_FILENO };
	if (fstat(o->fd, &st) == -1)
		return;
	o->once = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(o->fd);
	if (!o->once)
		return;
	if (!S_ISSOCK(st.st_mode) && (fd = open("/proc/self/fd/1",
	    O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) != -1) {
		o->fd = fd;
		o->once = false;
		fcntl(o->fd, F_SETPIPE_SZ, PIPE_SIZE); /* fewer turns; not needed */
	}
	/* Interest in nothing still tells when the reader is gone. */
	o->watched = dfb_loop_add_fd(r->loop, o->fd, 0, on_ready, r) == 0;
	if (o->watched)
		return;
	if (o->fd != STDOUT_FILENO)
		close(o->fd);
	o->fd = STDOUT_FILENO;
	o->once = false;
}

void
out_close(struct recv *r)
{
	struct out *o = &r->out;

	unwatch(o);
	if (o->fd != STDOUT_FILENO)
		close(o->fd);
	dfb_buf_release(&o->buf);
	free(o->marks);
}

size_t
out_waiting(const struct recv *r)
{
	return r->out.failed ? 0 : r->out.buf.len - r->out.at;
}

static int
grow(struct out *o)
{
	size_t cap = o->cap != 0 ? o->cap * 2 : 1024;
	struct out_mark *p = reallocarray(NULL, cap, sizeof *p);

	if (p == NULL)
		return -1;
	for (size_t i = 0; i < o->nmarks; i++)
		p[i] = o->marks[(o->first + i) & (o->cap - 1)];
	free(o->marks);
	o->marks = p;
	o->cap = cap;
	o->first = 0;
	return 0;
}

void
out_mark(struct recv *r, struct dfb_consumer *c, const struct dfb_delivery *d)
{
	struct out *o = &r->out;

	if (o->failed)
		return;
	if (o->nmarks == o->cap && grow(o) == -1) {
		log_err("cannot keep what is to be acknowledged");
		serve_stop(r, DFB_OSERR, true);
		return;
	}
	o->marks[(o->first + o->nmarks++) & (o->cap - 1)] =
	    (struct out_mark){ o->written + o->buf.len - o->at, c, *d };
}

static ssize_t
write_some(struct out *o)
{
	struct pollfd p = { .fd = o->fd, .events = POLLOUT };
	const uint8_t *data = o->buf.data + o->at;
	size_t len = o->buf.len - o->at;

	if (!o->once)
		return write(o->fd, data, len);
	if (poll(&p, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(o->fd, data, len < PIPE_BUF ? len : PIPE_BUF);
}

static void
acknowledge(struct out *o)
{
	for (; o->nmarks > 0 && o->marks[o->first].end <= o->written; o->nmarks--) {
		struct out_mark *m = &o->marks[o->first];
		dfb_consumer_ack(m->consumer, &m->delivery);
		o->first = (o->first + 1) & (o->cap - 1);
	}
}

void
out_flush(struct recv *r)
{
	struct out *o = &r->out;
	ssize_t n;

	while (!o->failed && o->at < o->buf.len) {
		n = write_some(o);
		if (n > 0) {
			o->at += (size_t)n;
			o->written += (size_t)n;
		} else if (n == -1 && errno == EAGAIN) {
			if (o->watched && !o->waits && dfb_loop_set_fd(r->loop,
			    o->fd, EPOLLOUT) == 0)
				o->waits = true;
			break;
		} else if (n == -1 && errno != EINTR)
			fail(r);
	}
	if (o->at == o->buf.len)
		o->buf.len = o->at = 0;
	else if (o->at > o->buf.len / 2) {
		dfb_buf_consume(&o->buf, o->at);
		o->at = 0;
	}
	acknowledge(o);
}
