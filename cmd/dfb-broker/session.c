#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "broker.h"
#include "call.h"
#include "disk.h"
#include "net/loop.h"

/* A peer whose queue is full is waited for; one that takes nothing while so much is
 * waiting for it is given up. */
#define BACKLOG_MAX ((size_t)128 << 20)
#define BACKLOG_SLOW ((size_t)1 << 20)
#define UNBLOCK_MS 2
#define GOING_MS 2
#define GOING_TURNS 20
#define SESSIONS_MAX 20000

int
session_cmp(struct session *a, struct session *b)
{
	if (a->peer.len != b->peer.len)
		return a->peer.len < b->peer.len ? -1 : 1;
	return memcmp(a->peer.id, b->peer.id, a->peer.len);
}

RB_GENERATE(session_tree, session, node, session_cmp)

struct session *
session_find(struct broker *b, const struct dfb_peer *peer)
{
	struct session want = { .peer = *peer };

	return RB_FIND(session_tree, &b->sessions, &want);
}

struct session *
session_by_serial(struct broker *b, const struct dfb_peer *peer, uint64_t serial)
{
	struct session *s = session_find(b, peer);

	return s != NULL && s->serial == serial ? s : NULL;
}

void
session_connected(struct broker *b, int fd)
{
	size_t n = b->nfds != 0 ? b->nfds : 256;
	struct connection *p;

	if (fd < 0)
		return;
	while (n <= (size_t)fd)
		n *= 2;
	if (n > b->nfds) {
		if ((p = reallocarray(b->by_fd, n, sizeof *p)) == NULL)
			fail_stop(b, "no memory for connections");
		memset(p + b->nfds, 0, (n - b->nfds) * sizeof *p);
		b->by_fd = p;
		b->nfds = n;
	}
	b->by_fd[fd].connected = true;
}

struct session *
session_new(struct broker *b, const struct dfb_peer *peer)
{
	struct session *s;

	if (b->nsessions >= SESSIONS_MAX) {
		log_event(DFB_LOG_WARN, "sessions-full", "sessions=%zu", b->nsessions);
		return NULL;
	}
	if ((s = calloc(1, sizeof *s)) == NULL)
		return NULL;
	s->peer = *peer;
	s->serial = ++b->serial;
	TAILQ_INIT(&s->streams);
	TAILQ_INIT(&s->subs);
	TAILQ_INIT(&s->calls);
	STAILQ_INIT(&s->backlog);
	RB_INSERT(session_tree, &b->sessions, s);
	b->nsessions++;
	b->n.sessions++;
	return s;
}

/*
 * Not at once: whoever calls may be in the midst of it, and what a peer sent last may be
 * readable only after the event that its connection ended.  whole: the session goes;
 * else only what it holds.
 */
static void
end_soon(struct broker *b, struct session *s, bool whole)
{
	if (!s->ending)
		TAILQ_INSERT_TAIL(&b->gone, s, going_link);
	s->ending = true;
	s->going |= whole;
	if (!dfb_timer_is_set(&b->bury))
		dfb_loop_timer(b->loop, &b->bury, GOING_MS);
}

void
session_kill(struct broker *b, struct session *s)
{
	s->dead = true;
	end_soon(b, s, false);
}

/* End what a session has under way. */
static void
strip(struct broker *b, struct session *s)
{
	struct call *c;

	while (!TAILQ_EMPTY(&s->streams))
		stream_free(b, TAILQ_FIRST(&s->streams));
	while ((c = TAILQ_FIRST(&s->calls)) != NULL)
		call_forget(b, c);
	while (!TAILQ_EMPTY(&s->subs))
		sub_free(b, TAILQ_FIRST(&s->subs), false);
}

void
session_free(struct broker *b, struct session *s, const char *why)
{
	struct out_frame *f;

	log_event(DFB_LOG_DEBUG, "session-end", "who=%s why=%s", dfb_log_quote(s->who),
	    dfb_log_quote(why));
	strip(b, s);
	if (!STAILQ_EMPTY(&s->backlog))
		TAILQ_REMOVE(&b->blocked, s, blocked_link);
	while ((f = STAILQ_FIRST(&s->backlog)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->backlog, link);
		dfb_buf_release(&f->buf);
		free(f);
	}
	if (s->answering)
		STAILQ_REMOVE(&b->answering, s, session, answer_link);
	dfb_buf_release(&s->answers);
	if (s->ending)
		TAILQ_REMOVE(&b->gone, s, going_link);
	if (s->peer.fd >= 0 && (size_t)s->peer.fd < b->nfds &&
	    b->by_fd[s->peer.fd].session == s)
		b->by_fd[s->peer.fd].session = NULL;
	RB_REMOVE(session_tree, &b->sessions, s);
	b->nsessions--;
	free(s);
}

void
session_gone(struct broker *b, int fd)
{
	struct connection *c;

	if (fd < 0 || (size_t)fd >= b->nfds)
		return;
	c = &b->by_fd[fd];
	c->connected = false;
	if (c->session != NULL)
		end_soon(b, c->session, true);
	c->session = NULL;
}

/*
 * The first frame of a connection may be read when that is gone, and when its descriptor
 * is another's already.  Then the answer to it could not be sent, or nothing is connected
 * there.
 */
void
session_place(struct broker *b, struct session *s)
{
	struct connection *c;

	if (s->peer.fd < 0)
		return; /* no event will name it */
	c = (size_t)s->peer.fd < b->nfds ? &b->by_fd[s->peer.fd] : NULL;
	if (c == NULL || !c->connected || s->unreachable) {
		end_soon(b, s, true);
		return;
	}
	if (c->session != NULL)
		end_soon(b, c->session, true);
	c->session = s;
}

void
session_bury(struct broker *b)
{
	struct session *s;

	/* Frames that wait may be theirs; but not for ever. */
	if (dfb_sock_readable(b->sock) && b->bury_waits++ < GOING_TURNS) {
		dfb_loop_timer(b->loop, &b->bury, GOING_MS);
		return;
	}
	b->bury_waits = 0;
	while ((s = TAILQ_FIRST(&b->gone)) != NULL) {
		if (s->going) {
			session_free(b, s, "connection ended");
			continue;
		}
		TAILQ_REMOVE(&b->gone, s, going_link);
		s->ending = false;
		strip(b, s);
	}
}

/* ---- sending ---- */

bool
session_is_blocked(const struct session *s)
{
	return s->backlog_bytes > BACKLOG_SLOW;
}

static void
wait_for_room(struct broker *b, struct session *s, struct dfb_buf *buf)
{
	struct out_frame *f = calloc(1, sizeof *f);

	if (f == NULL || s->backlog_bytes + buf->len > BACKLOG_MAX) {
		log_event(DFB_LOG_WARN, "session-stuck", "who=%s bytes=%zu",
		    dfb_log_quote(s->who), s->backlog_bytes);
		end_soon(b, s, true); /* told by ERROR 76 to what it sends next */
		free(f);
		return;
	}
	if (STAILQ_EMPTY(&s->backlog))
		TAILQ_INSERT_TAIL(&b->blocked, s, blocked_link);
	f->buf = *buf;
	*buf = (struct dfb_buf){ 0 };
	s->backlog_bytes += f->buf.len;
	STAILQ_INSERT_TAIL(&s->backlog, f, link);
	dfb_loop_timer(b->loop, &b->unblock, UNBLOCK_MS);
}

void
session_send_buf(struct broker *b, struct session *s, struct dfb_buf *buf)
{
	if (s->dead || s->going)
		return;
	if (!STAILQ_EMPTY(&s->backlog))
		wait_for_room(b, s, buf);
	else if (dfb_sock_send_buf(b->sock, &s->peer, buf) == -1) {
		if (errno == EAGAIN)
			wait_for_room(b, s, buf);
		else /* the peer is gone, and its event is on the way or was here */
			s->unreachable = true;
	}
}

void
session_send(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	struct dfb_buf buf = { 0 };

	if (dfb_proto_encode(m, &buf) == 0)
		session_send_buf(b, s, &buf);
	else /* it would wait for it for ever */
		fail_stop(b, "no memory for an answer");
	dfb_buf_release(&buf);
}

void
session_error(struct broker *b, struct session *s, uint32_t req, enum dfb_status st,
    const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	session_send(b, s, &(struct dfb_proto){ .type = DFB_M_ERROR, .req = req,
	    .status = (uint16_t)st, .error = { .reason = dfb_str(why) } });
}

void
session_unblock(struct broker *b)
{
	struct session *s, *next;

	TAILQ_FOREACH_SAFE(s, &b->blocked, blocked_link, next) {
		bool slow = session_is_blocked(s);
		struct out_frame *f;
		struct sub *u;

		while ((f = STAILQ_FIRST(&s->backlog)) != NULL) {
			size_t len = f->buf.len;
			if (dfb_sock_send_buf(b->sock, &s->peer, &f->buf) == -1 &&
			    errno == EAGAIN)
				break;
			s->backlog_bytes -= len;
			STAILQ_REMOVE_HEAD(&s->backlog, link);
			dfb_buf_release(&f->buf);
			free(f);
		}
		if (STAILQ_EMPTY(&s->backlog))
			TAILQ_REMOVE(&b->blocked, s, blocked_link);
		if (slow && !session_is_blocked(s))
			TAILQ_FOREACH(u, &s->subs, in_session)
				deliver_sub(b, u);
	}
	if (!TAILQ_EMPTY(&b->blocked))
		dfb_loop_timer(b->loop, &b->unblock, UNBLOCK_MS);
}
