#include "dfb-names/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dfb.h"
#include "base/buf.h"
#include "base/log.h"
#include "dfb-names/names.h"
#include "dfb.h"
#include "net/loop.h"

/* A tree has more functions than are used here. */
#define STATIC __attribute__((unused)) static

#define RETRY_MS 20

struct names_frame {
	struct dfb_buf buf;
	STAILQ_ENTRY(names_frame) next;
};

static int
id_cmp(struct names_session *a, struct names_session *b)
{
	int d = (int)a->peer.len - (int)b->peer.len;

	return d != 0 ? d : memcmp(a->peer.id, b->peer.id, a->peer.len);
}

RB_GENERATE_INTERNAL(names_session_ids, names_session, by_id, id_cmp, STATIC)

static void retry(struct dfb_timer *, void *);

void
sessions_init(struct names *n)
{
	struct names_sessions *t = &n->sessions;

	*t = (struct names_sessions){ .retry = { .fn = retry, .arg = n } };
	RB_INIT(&t->ids);
	TAILQ_INIT(&t->ending);
	TAILQ_INIT(&t->slow);
}

/* ---- frames that wait for a slow peer ---- */

static void
backlog_clear(struct names_sessions *t, struct names_session *s)
{
	struct names_frame *f;

	while ((f = STAILQ_FIRST(&s->backlog)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->backlog, next);
		dfb_buf_release(&f->buf);
		free(f);
	}
	s->backlog_bytes = 0;
	if (s->is_slow)
		TAILQ_REMOVE(&t->slow, s, slow);
	s->is_slow = false;
}

static void
give_up(struct names *n, struct names_session *s, const char *why)
{
	log_event(DFB_LOG_WARN, "slow", "who=%s backlog=%zu msg=%s",
	    dfb_log_quote(s->who), s->backlog_bytes, dfb_log_quote(why));
	n->stats.slow++;
	s->dead = true;
	watch_remove_all(&n->watches, s);
	held_remove_all(n, s);
	backlog_clear(&n->sessions, s);
}

void
session_set_slow(struct names *n, struct names_session *s)
{
	struct names_sessions *t = &n->sessions;

	if (s->is_slow)
		return;
	if (TAILQ_EMPTY(&t->slow))
		dfb_loop_timer(n->loop, &t->retry, RETRY_MS);
	TAILQ_INSERT_TAIL(&t->slow, s, slow);
	s->is_slow = true;
}

static void
backlog_add(struct names *n, struct names_session *s, struct dfb_buf *buf)
{
	struct names_frame *f = calloc(1, sizeof *f);

	if (f == NULL || s->backlog_bytes + buf->len > NAMES_BACKLOG_MAX) {
		free(f);
		give_up(n, s, "it does not take its answers");
		return;
	}
	f->buf = *buf;
	*buf = (struct dfb_buf){ 0 };
	STAILQ_INSERT_TAIL(&s->backlog, f, next);
	s->backlog_bytes += f->buf.len;
	session_set_slow(n, s);
}

void
session_send(struct names *n, struct names_session *s, struct dfb_buf *buf)
{
	if (s->is_slow)
		backlog_add(n, s, buf);
	else if (dfb_sock_send_buf(n->sock, &s->peer, buf) == -1) {
		if (errno == EAGAIN)
			backlog_add(n, s, buf);
		else
			s->is_gone = true;
	}
	buf->len = 0;
}

bool
session_is_slow(const struct names_session *s)
{
	return s->is_slow;
}

/* Send what waits, as far as it goes. */
static void
resume(struct names *n, struct names_session *s)
{
	struct names_frame *f;

	while ((f = STAILQ_FIRST(&s->backlog)) != NULL) {
		size_t size = f->buf.len;

		if (dfb_sock_send_buf(n->sock, &s->peer, &f->buf) == -1 &&
		    errno == EAGAIN)
			return;
		STAILQ_REMOVE_HEAD(&s->backlog, next);
		s->backlog_bytes -= size;
		dfb_buf_release(&f->buf);
		free(f);
	}
	backlog_clear(&n->sessions, s);
	names_push_stale(n, s);
}

static void
retry(struct dfb_timer *timer, void *arg)
{
	struct names *n = arg;
	struct names_session *s, *next;

	TAILQ_FOREACH_SAFE(s, &n->sessions.slow, slow, next)
		resume(n, s);
	if (!TAILQ_EMPTY(&n->sessions.slow))
		dfb_loop_timer(n->loop, timer, RETRY_MS);
}

/* ---- begin and end ---- */

static void
session_free(struct names *n, struct names_session *s)
{
	struct names_sessions *t = &n->sessions;

	names_lost(n, s);
	watch_remove_all(&n->watches, s);
	held_remove_all(n, s);
	backlog_clear(t, s);
	if (s->is_ending)
		TAILQ_REMOVE(&t->ending, s, ending);
	if (s->peer.fd >= 0 && (size_t)s->peer.fd < t->nfds &&
	    t->fds[s->peer.fd].session == s)
		t->fds[s->peer.fd].session = NULL;
	RB_REMOVE(names_session_ids, &t->ids, s);
	t->n--;
	t->full = false;
	free(s);
}

void
sessions_release(struct names *n)
{
	struct names_session *s;

	while ((s = RB_ROOT(&n->sessions.ids)) != NULL) {
		LIST_INIT(&s->entries); /* not lost: the server is */
		session_free(n, s);
	}
	free(n->sessions.fds);
	n->sessions.fds = NULL;
	n->sessions.nfds = 0;
}

/* Frames that it sent before may still be in the queue. */
static void
end_soon(struct names_sessions *t, struct names_session *s)
{
	if (s->is_ending)
		return;
	TAILQ_INSERT_TAIL(&t->ending, s, ending);
	s->is_ending = true;
}

static int
reserve_fd(struct names_sessions *t, int fd)
{
	size_t want = (size_t)fd + 1;
	void *p;

	if (want <= t->nfds)
		return 0;
	want *= 2;
	if ((p = reallocarray(t->fds, want, sizeof *t->fds)) == NULL)
		return -1;
	t->fds = p;
	memset(t->fds + t->nfds, 0, (want - t->nfds) * sizeof *t->fds);
	t->nfds = want;
	return 0;
}

void
sessions_events(struct names *n)
{
	struct names_sessions *t = &n->sessions;
	enum dfb_net_event e;
	int fd;

	while ((e = dfb_sock_event(n->sock, &fd)) != DFB_NET_NONE) {
		if (fd < 0 || (e != DFB_NET_UP && e != DFB_NET_GONE))
			continue;
		if (reserve_fd(t, fd) == -1) {
			log_err("cannot watch connections");
			names_fail(n, DFB_OSERR);
			return;
		}
		t->fds[fd].connected = e == DFB_NET_UP;
		if (e == DFB_NET_GONE && t->fds[fd].session != NULL) {
			end_soon(t, t->fds[fd].session);
			t->fds[fd].session = NULL;
		}
	}
}

void
sessions_drained(struct names *n)
{
	struct names_session *s;

	while ((s = TAILQ_FIRST(&n->sessions.ending)) != NULL)
		session_free(n, s);
}

struct names_session *
session_get(struct names *n, const struct dfb_peer *peer)
{
	struct names_sessions *t = &n->sessions;
	struct names_session key = { .peer = *peer };
	struct names_session *s = RB_FIND(names_session_ids, &t->ids, &key);

	if (s != NULL)
		return s;
	if (t->n >= NAMES_SESSIONS_MAX) {
		errno = EAGAIN;
		return NULL;
	}
	if ((s = calloc(1, sizeof *s)) == NULL)
		return NULL;
	s->peer = *peer;
	LIST_INIT(&s->entries);
	RB_INIT(&s->watches);
	TAILQ_INIT(&s->stale);
	STAILQ_INIT(&s->backlog);
	RB_INSERT(names_session_ids, &t->ids, s);
	t->n++;
	/* For session_answered(): what happened to connections is known, here and in
	 * ZeroMQ, up to now. */
	sessions_events(n);
	(void)dfb_sock_readable(n->sock);
	return s;
}

/*
 * Frames of several connections are not read in the order in which those came and
 * went: the first frame may be read when its connection is gone, and when its
 * descriptor is another connection's already.  Then the answer could not be
 * sent, or else nothing is connected there.
 */
void
session_answered(struct names *n, struct names_session *s)
{
	struct names_sessions *t = &n->sessions;
	int fd = s->peer.fd;

	if (s->is_placed)
		return;
	s->is_placed = true;
	if (fd < 0) /* no event will name it */
		return;
	if (!s->is_gone && (size_t)fd < t->nfds && t->fds[fd].connected) {
		if (t->fds[fd].session != NULL)
			end_soon(t, t->fds[fd].session);
		t->fds[fd].session = s;
	} else
		end_soon(t, s);
}
