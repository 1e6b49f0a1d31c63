#include "daemon/hub.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "daemon/session.h"
#include "dfb.h"
#include "net/loop.h"
#include "wire/proto.h"

#define FRAMES_A_TURN 256

/* ---- answers ---- */

void
dfb_hub_answer(struct dfb_hub *h, struct dfb_session *s, struct dfb_proto *m, uint32_t req)
{
	struct dfb_buf buf = { 0 };

	m->req = req;
	if (dfb_proto_encode(m, &buf) == -1) {
		log_err("cannot answer '%s'", s->who);
		h->cf.fail(h->cf.arg, DFB_OSERR);
	} else
		dfb_hub_send(h, s, &buf);
	dfb_buf_release(&buf);
}

static void
error(struct dfb_hub *h, struct dfb_session *s, uint32_t req, int status, const char *why)
{
	struct dfb_proto m = { .type = DFB_M_ERROR, .status = (uint16_t)status,
		.error = { .reason = dfb_str(why) } };

	dfb_hub_answer(h, s, &m, req);
}

void
dfb_hub_refuse(struct dfb_hub *h, struct dfb_session *s, uint32_t req, int status,
    const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	log_event(DFB_LOG_DEBUG, "refused", "who=%s status=%d msg=%s",
	    dfb_log_quote(s->who), status, dfb_log_quote(why));
	error(h, s, req, status, why);
}

void
dfb_hub_malformed(struct dfb_hub *h, struct dfb_session *s, uint32_t req, const char *why)
{
	h->stats.malformed++;
	log_event(DFB_LOG_WARN, "malformed", "who=%s msg=%s", dfb_log_quote(s->who),
	    dfb_log_quote(why));
	error(h, s, req, DFB_PROTO, why);
	daemon_session_die(h, s);
}

void
dfb_hub_unknown(struct dfb_hub *h, struct dfb_session *s, const struct dfb_proto *m)
{
	char why[96];

	snprintf(why, sizeof why, "%s is nothing for %s", dfb_proto_name(m->type),
	    h->cf.what);
	dfb_hub_malformed(h, s, m->req, why);
}

/* ---- frames ---- */

static void
hello(struct dfb_hub *h, struct dfb_session *s, const struct dfb_proto *m)
{
	struct dfb_proto w = { .type = DFB_M_WELCOME, .welcome = {
		.name = dfb_str(h->cf.name), .region = dfb_str(h->cf.region),
		.software = dfb_str(h->cf.software), .incarnation = h->cf.incarnation,
		.max_frame = DFB_FRAME_MAX } };
	char why[96];

	dfb_str_copy(m->hello.who, s->who, sizeof s->who);
	dfb_str_copy(m->hello.role, s->role, sizeof s->role);
	dfb_str_copy(m->hello.region, s->region, sizeof s->region);
	if (m->hello.proto != DFB_PROTO_VERSION) {
		snprintf(why, sizeof why, "version %u of the protocol is not spoken here, "
		    "version %d is", m->hello.proto, DFB_PROTO_VERSION);
		dfb_hub_malformed(h, s, m->req, why);
		return;
	}
	s->hello = true;
	log_event(DFB_LOG_DEBUG, "session", "who=%s role=%.*s", dfb_log_quote(s->who),
	    (int)m->hello.role.len, m->hello.role.p);
	dfb_hub_answer(h, s, &w, m->req);
}

static void
ping(struct dfb_hub *h, struct dfb_session *s, const struct dfb_proto *m)
{
	struct dfb_proto p = { .type = DFB_M_PONG, .pong = { .nonce = m->ping.nonce } };

	dfb_hub_answer(h, s, &p, m->req);
}

/* A frame of a session (data NULL: not one frame). */
static void
handle(struct dfb_hub *h, struct dfb_session *s, const void *data, size_t len)
{
	struct dfb_proto m;
	const char *why = "a message in several parts";

	if (s->dead)
		return;
	if (data == NULL || dfb_proto_decode(data, len, &m, &why) == -1)
		dfb_hub_malformed(h, s, 0, why);
	else if ((m.type == DFB_M_HELLO) == s->hello)
		dfb_hub_malformed(h, s, m.req, s->hello ? "a second HELLO" :
		    "the first message must be HELLO");
	else if (!s->hello)
		hello(h, s, &m);
	else if (m.type == DFB_M_PING)
		ping(h, s, &m);
	else
		h->cf.frame(h->cf.arg, s, &m);
}

/* There are too many: say so without keeping anything of it. */
static void
refuse_session(struct dfb_hub *h, const struct dfb_peer *peer)
{
	static const char why[] = "too many sessions";
	struct dfb_proto m = { .type = DFB_M_ERROR, .status = DFB_AGAIN,
		.error = { .wait_ms = 1000, .reason = { why, sizeof why - 1 } } };
	uint8_t frame[128], *end = dfb_proto_write_head(&m, frame);

	if (!h->full)
		log_event(DFB_LOG_WARN, "full", "sessions=%zu msg=%s", h->n,
		    dfb_log_quote(why));
	h->full = true;
	dfb_sock_send(h->cf.sock, peer, frame, (size_t)(end - frame));
}

static void
on_frames(void *arg)
{
	struct dfb_hub *h = arg;
	struct dfb_frame f;

	for (int i = 0; i < FRAMES_A_TURN; i++) {
		struct dfb_session *s;
		int rc = dfb_sock_recv(h->cf.sock, &f);

		if (rc == 0) {
			daemon_sessions_drained(h);
			return;
		}
		if (rc == -1) {
			log_err("cannot receive");
			h->cf.fail(h->cf.arg, DFB_OSERR);
			return;
		}
		if ((s = daemon_session_get(h, &f.peer)) != NULL) {
			handle(h, s, f.data, f.len);
			daemon_session_answered(h, s);
		} else
			refuse_session(h, &f.peer);
		dfb_frame_release(&f);
	}
}

static void
on_events(void *arg)
{
	daemon_sessions_events(arg);
	/* Also when no frames are left, it must be noticed that there are none. */
	on_frames(arg);
}

/* ---- news ---- */

/* Tell one watcher, now or later. */
static void
tell(struct dfb_hub *h, struct dfb_watcher *w, const struct dfb_buf *frame)
{
	struct dfb_session *s = w->session;

	if (s->is_slow) {
		dfb_watch_set_stale(&h->watches, w);
		return;
	}
	h->stats.pushes++;
	if (dfb_sock_send(h->cf.sock, &s->peer, frame->data, frame->len) == -1 &&
	    errno == EAGAIN) {
		dfb_watch_set_stale(&h->watches, w);
		daemon_session_set_slow(h, s);
	}
}

void
dfb_hub_push(struct dfb_hub *h)
{
	struct dfb_buf buf = { 0 };
	struct dfb_watched *d;

	while ((d = dfb_watch_take(&h->watches)) != NULL) {
		struct dfb_watcher *w, *next;

		buf.len = 0;
		if (h->cf.news(h->cf.arg, d->name, d->tag, &buf) == -1)
			break;
		LIST_FOREACH_SAFE(w, &d->watches, in_dest, next)
			tell(h, w, &buf);
	}
	dfb_buf_release(&buf);
}

void
daemon_push_stale(struct dfb_hub *h, struct dfb_session *s)
{
	struct dfb_buf buf = { 0 };
	struct dfb_watcher *w;

	while (!s->is_slow && (w = dfb_watch_take_stale(&h->watches, s)) != NULL) {
		buf.len = 0;
		if (h->cf.news(h->cf.arg, w->dest->name, w->dest->tag, &buf) == -1)
			break;
		tell(h, w, &buf);
	}
	dfb_buf_release(&buf);
}

/* ---- begin and end ---- */

void
dfb_hub_init(struct dfb_hub *h, const struct dfb_hub_config *cf)
{
	*h = (struct dfb_hub){ .cf = *cf };
	dfb_watches_init(&h->watches);
	daemon_sessions_init(h);
}

int
dfb_hub_start(struct dfb_hub *h)
{
	return dfb_loop_add_sock(h->cf.loop, h->cf.sock, on_frames, on_events, h);
}

void
dfb_hub_stop(struct dfb_hub *h)
{
	if (h->cf.loop == NULL)
		return;
	h->stopping = true;
	daemon_sessions_release(h);
	dfb_loop_timer_stop(h->cf.loop, &h->retry);
	dfb_loop_del_sock(h->cf.loop, h->cf.sock);
}
