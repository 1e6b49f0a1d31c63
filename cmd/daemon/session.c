#include "daemon/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "dfb.h"
#include "net/loop.h"

/* A tree has more functions than are used here. */
#define STATIC __attribute__((unused)) static

#define RETRY_MS 20

struct dfb_hub_frame {
	struct dfb_buf buf;
	STAILQ_ENTRY(dfb_hub_frame) next;
};

static int
id_cmp(struct dfb_session *a, struct dfb_session *b)
{
	int d = (int)a->peer.len - (int)b->peer.len;

	return d != 0 ? d : memcmp(a->peer.id, b->peer.id, a->peer.len);
}

RB_GENERATE_INTERNAL(dfb_session_ids, dfb_session, by_id, id_cmp, STATIC)

static void retry(struct dfb_timer *, void *);

void
daemon_sessions_init(struct dfb_hub *h)
{
	h->retry = (struct dfb_timer){ .fn = retry, .arg = h };
	RB_INIT(&h->ids);
	TAILQ_INIT(&h->ending);
	TAILQ_INIT(&h->slow);
}

/* ---- frames that wait for a slow peer ---- */

static void
backlog_clear(struct dfb_hub *h, struct dfb_session *s)
{
	struct dfb_hub_frame *f;

	while ((f = STAILQ_FIRST(&s->backlog)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->backlog, next);
		dfb_buf_release(&f->buf);
		free(f);
	}
	s->backlog_bytes = 0;
	if (s->is_slow)
		TAILQ_REMOVE(&h->slow, s, slow);
	s->is_slow = false;
}

static void
give_up(struct dfb_hub *h, struct dfb_session *s, const char *why)
{
	log_event(DFB_LOG_WARN, "slow", "who=%s backlog=%zu msg=%s",
	    dfb_log_quote(s->who), s->backlog_bytes, dfb_log_quote(why));
	h->stats.slow++;
	daemon_session_die(h, s);
	backlog_clear(h, s);
}

void
daemon_session_die(struct dfb_hub *h, struct dfb_session *s)
{
	s->dead = true;
	dfb_watch_remove_all(&h->watches, s);
	if (h->cf.deaf != NULL)
		h->cf.deaf(h->cf.arg, s);
}

void
daemon_session_set_slow(struct dfb_hub *h, struct dfb_session *s)
{
	if (s->is_slow)
		return;
	if (TAILQ_EMPTY(&h->slow))
		dfb_loop_timer(h->cf.loop, &h->retry, RETRY_MS);
	TAILQ_INSERT_TAIL(&h->slow, s, slow);
	s->is_slow = true;
}

static void
backlog_add(struct dfb_hub *h, struct dfb_session *s, struct dfb_buf *buf)
{
	struct dfb_hub_frame *f = calloc(1, sizeof *f);

	if (f == NULL || s->backlog_bytes + buf->len > DFB_HUB_BACKLOG_MAX) {
		free(f);
		give_up(h, s, "it does not take its answers");
		return;
	}
	f->buf = *buf;
	*buf = (struct dfb_buf){ 0 };
	STAILQ_INSERT_TAIL(&s->backlog, f, next);
	s->backlog_bytes += f->buf.len;
	daemon_session_set_slow(h, s);
}

void
dfb_hub_send(struct dfb_hub *h, struct dfb_session *s, struct dfb_buf *buf)
{
	if (s->dead)
		; /* it has been given up */
	else if (s->is_slow)
		backlog_add(h, s, buf);
	else if (dfb_sock_send_buf(h->cf.sock, &s->peer, buf) == -1) {
		if (errno == EAGAIN)
			backlog_add(h, s, buf);
		else
			s->is_gone = true;
	}
	buf->len = 0;
}

/* Send what waits, as far as it goes. */
static void
resume(struct dfb_hub *h, struct dfb_session *s)
{
	struct dfb_hub_frame *f;

	while ((f = STAILQ_FIRST(&s->backlog)) != NULL) {
		size_t size = f->buf.len;

		if (dfb_sock_send_buf(h->cf.sock, &s->peer, &f->buf) == -1 &&
		    errno == EAGAIN)
			return;
		STAILQ_REMOVE_HEAD(&s->backlog, next);
		s->backlog_bytes -= size;
		dfb_buf_release(&f->buf);
		free(f);
	}
	backlog_clear(h, s);
	daemon_push_stale(h, s);
}

static void
retry(struct dfb_timer *timer, void *arg)
{
	struct dfb_hub *h = arg;
	struct dfb_session *s, *next;

	TAILQ_FOREACH_SAFE(s, &h->slow, slow, next)
		resume(h, s);
	if (!TAILQ_EMPTY(&h->slow))
		dfb_loop_timer(h->cf.loop, timer, RETRY_MS);
}

/* ---- begin and end ---- */

struct dfb_session *
dfb_hub_next(struct dfb_hub *h, struct dfb_session *s)
{
	return s == NULL ? RB_MIN(dfb_session_ids, &h->ids) :
	    RB_NEXT(dfb_session_ids, &h->ids, s);
}

static void
session_free(struct dfb_hub *h, struct dfb_session *s)
{
	dfb_watch_remove_all(&h->watches, s);
	if (h->cf.ended != NULL)
		h->cf.ended(h->cf.arg, s);
	backlog_clear(h, s);
	if (s->is_ending)
		TAILQ_REMOVE(&h->ending, s, ending);
	if (s->peer.fd >= 0 && (size_t)s->peer.fd < h->nfds &&
	    h->fds[s->peer.fd].session == s)
		h->fds[s->peer.fd].session = NULL;
	RB_REMOVE(dfb_session_ids, &h->ids, s);
	h->n--;
	h->full = false;
	free(s);
}

void
daemon_sessions_release(struct dfb_hub *h)
{
	struct dfb_session *s;

	while ((s = RB_ROOT(&h->ids)) != NULL)
		session_free(h, s);
	free(h->fds);
	h->fds = NULL;
	h->nfds = 0;
}

/* Frames that it sent before may still be in the queue. */
static void
end_soon(struct dfb_hub *h, struct dfb_session *s)
{
	if (s->is_ending)
		return;
	TAILQ_INSERT_TAIL(&h->ending, s, ending);
	s->is_ending = true;
}

static int
reserve_fd(struct dfb_hub *h, int fd)
{
	size_t want = (size_t)fd + 1;
	void *p;

	if (want <= h->nfds)
		return 0;
	want *= 2;
	if ((p = reallocarray(h->fds, want, sizeof *h->fds)) == NULL)
		return -1;
	h->fds = p;
	memset(h->fds + h->nfds, 0, (want - h->nfds) * sizeof *h->fds);
	h->nfds = want;
	return 0;
}

void
daemon_sessions_events(struct dfb_hub *h)
{
	enum dfb_net_event e;
	int fd;

	while ((e = dfb_sock_event(h->cf.sock, &fd)) != DFB_NET_NONE) {
		if (fd < 0 || (e != DFB_NET_UP && e != DFB_NET_GONE))
			continue;
		if (reserve_fd(h, fd) == -1) {
			log_err("cannot watch connections");
			h->cf.fail(h->cf.arg, DFB_OSERR);
			return;
		}
		h->fds[fd].connected = e == DFB_NET_UP;
		if (e == DFB_NET_GONE && h->fds[fd].session != NULL) {
			end_soon(h, h->fds[fd].session);
			h->fds[fd].session = NULL;
		}
	}
}

void
daemon_sessions_drained(struct dfb_hub *h)
{
	struct dfb_session *s;

	while ((s = TAILQ_FIRST(&h->ending)) != NULL)
		session_free(h, s);
}

struct dfb_session *
daemon_session_get(struct dfb_hub *h, const struct dfb_peer *peer)
{
	struct dfb_session key = { .peer = *peer };
	struct dfb_session *s = RB_FIND(dfb_session_ids, &h->ids, &key);

	if (s != NULL)
		return s;
	if (h->n >= DFB_HUB_SESSIONS_MAX) {
		errno = EAGAIN;
		return NULL;
	}
	if ((s = calloc(1, sizeof *s)) == NULL)
		return NULL;
	s->peer = *peer;
	RB_INIT(&s->watches);
	TAILQ_INIT(&s->stale);
	STAILQ_INIT(&s->backlog);
	RB_INSERT(dfb_session_ids, &h->ids, s);
	h->n++;
	/* For daemon_session_answered(): what happened to connections is known, here and in
	 * ZeroMQ, up to now. */
	daemon_sessions_events(h);
	(void)dfb_sock_readable(h->cf.sock);
	return s;
}

/*
 * Frames of several connections are not read in the order in which those came and
 * went: the first frame may be read when its connection is gone, and when its
 * descriptor is another connection's already.  Then the answer could not be
 * sent, or else nothing is connected there.
 */
void
daemon_session_answered(struct dfb_hub *h, struct dfb_session *s)
{
	int fd = s->peer.fd;

	if (s->is_placed)
		return;
	s->is_placed = true;
	if (fd < 0) /* no event will name it */
		return;
	if (!s->is_gone && (size_t)fd < h->nfds && h->fds[fd].connected) {
		if (h->fds[fd].session != NULL)
			end_soon(h, h->fds[fd].session);
		h->fds[fd].session = s;
	} else
		end_soon(h, s);
}
