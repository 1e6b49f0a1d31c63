/* The switch thread: frames in, state changed, frames out.  It never touches the disk. */
#include <stdio.h>
#include <stdlib.h>

#include "admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/worker.h"
#include "broker.h"
#include "call.h"
#include "disk.h"
#include "limits.h"
#include "net/loop.h"

#define FRAMES_PER_TURN 256
#define STOP_MS 3000

static void
handle_hello(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	if (s->hello) {
		session_error(b, s, m->req, DFB_PROTO, "HELLO twice");
		session_kill(b, s);
		return;
	}
	if (m->hello.proto != DFB_PROTO_VERSION) {
		session_error(b, s, m->req, DFB_PROTO, "broker %s speaks protocol %d, not "
		    "%u", b->cf.name, DFB_PROTO_VERSION, m->hello.proto);
		session_kill(b, s);
		return;
	}
	s->hello = true;
	s->client = m->hello.client;
	dfb_str_copy(m->hello.who, s->who, sizeof s->who);
	dfb_str_copy(m->hello.role, s->role, sizeof s->role);
	dfb_str_copy(m->hello.region, s->region, sizeof s->region);
	session_send(b, s, &(struct dfb_proto){ .type = DFB_M_WELCOME, .req = m->req,
	    .welcome = { .name = dfb_str(b->cf.name), .region = dfb_str(b->cf.region),
	    .software = dfb_str("dfb-broker " DFB_VERSION),
	    .incarnation = b->incarnation, .max_frame = DFB_FRAME_MAX } });
}

static void
handle_ping(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	session_send(b, s, &(struct dfb_proto){ .type = DFB_M_PONG, .req = m->req,
	    .pong = { .nonce = m->ping.nonce } });
}

static void
handle(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	switch (m->type) {
	case DFB_M_PUT: handle_put(b, s, m); break;
	case DFB_M_ACK: handle_ack(b, s, m); break;
	case DFB_M_CALL: handle_call(b, s, m); break;
	case DFB_M_COLLECT: handle_collect(b, s, m); break;
	case DFB_M_REPLY: handle_reply(b, s, m); break;
	case DFB_M_NACK: handle_nack(b, s, m); break;
	case DFB_M_PRODUCE: handle_produce(b, s, m); break;
	case DFB_M_FINISH: handle_finish(b, s, m); break;
	case DFB_M_SUBSCRIBE: handle_subscribe(b, s, m); break;
	case DFB_M_LEAVE: handle_leave(b, s, m); break;
	case DFB_M_PEEK: handle_peek(b, s, m); break;
	case DFB_M_ADMIN: handle_admin(b, s, m); break;
	case DFB_M_PING: handle_ping(b, s, m); break;
	case DFB_M_HELLO: handle_hello(b, s, m); break;
	default:
		b->n.malformed++;
		session_error(b, s, m->req, DFB_PROTO, "a broker does not take %s",
		    dfb_proto_name(m->type));
		session_kill(b, s);
	}
}

static void
drain_events(struct broker *b)
{
	enum dfb_net_event e;
	int fd;

	while ((e = dfb_sock_event(b->sock, &fd)) != DFB_NET_NONE)
		if (e == DFB_NET_GONE)
			session_gone(b, fd);
		else if (e == DFB_NET_UP)
			session_connected(b, fd);
}

static void
refuse_frame(struct broker *b, struct session *s, const struct dfb_frame *f, const char *why)
{
	struct dfb_proto m = { .type = DFB_M_ERROR, .status = DFB_PROTO,
		.error = { .reason = dfb_str(why) } };
	struct dfb_buf buf = { 0 };

	b->n.malformed++;
	log_event(DFB_LOG_WARN, "malformed", "who=%s bytes=%zu why=%s",
	    dfb_log_quote(s != NULL ? s->who : "stranger"), f->len, dfb_log_quote(why));
	if (s != NULL) {
		session_send(b, s, &m);
		session_kill(b, s);
	} else if (dfb_proto_encode(&m, &buf) == 0)
		(void)dfb_sock_send(b->sock, &f->peer, buf.data, buf.len);
	dfb_buf_release(&buf);
}

/* A session begins with HELLO; what else comes first is answered, and forgotten. */
static void
begin(struct broker *b, const struct dfb_frame *f, const struct dfb_proto *m)
{
	struct session *s = session_new(b, &f->peer);

	if (s == NULL)
		return;
	/* For session_place: what happened to connections is known, here and in
	 * ZeroMQ, up to now; and HELLO is always answered. */
	drain_events(b);
	(void)dfb_sock_readable(b->sock);
	handle(b, s, m);
	session_place(b, s);
}

static void
take(struct broker *b, const struct dfb_frame *f)
{
	struct session *s = session_find(b, &f->peer);
	const char *why = "a message in several parts";
	struct dfb_proto m;

	b->n.frames++;
	if (s != NULL && s->dead)
		return;
	if (f->data == NULL || dfb_proto_decode(f->data, f->len, &m, &why) == -1)
		refuse_frame(b, s, f, why);
	else if (s != NULL)
		handle(b, s, &m);
	else if (m.type == DFB_M_HELLO)
		begin(b, f, &m);
	else
		refuse_frame(b, NULL, f, "HELLO must come first");
}

static void
tick(struct broker *b)
{
	b->now = dfb_mono_ms();
	b->wall = dfb_wall_ms();
}

static void
on_frames(void *arg)
{
	struct broker *b = arg;
	struct dfb_frame f;

	tick(b);
	for (int i = 0; i < FRAMES_PER_TURN && dfb_sock_recv(b->sock, &f) == 1; i++) {
		take(b, &f);
		dfb_frame_release(&f);
	}
}

static void
on_events(void *arg)
{
	struct broker *b = arg;

	tick(b);
	drain_events(b);
}

/* What the turn gathered leaves: to the disk first, it takes longest. */
static void
before_sleep(void *arg)
{
	struct broker *b = arg;

	tick(b);
	if (b->timers.wake)
		timers_turn(b);
	commit_if_due(b);
	if (!TAILQ_EMPTY(&b->crowded))
		once_room(b);
	if (!TAILQ_EMPTY(&b->ready))
		deliver_all(b);
	if (!STAILQ_EMPTY(&b->answering))
		call_send_answers(b);
	if (!STAILQ_EMPTY(&b->confirms))
		stream_confirm_all(b);
	commit_if_due(b); /* expired messages and dead letters are settled on delivery */
}

static void
on_worker(void *arg, uint32_t ready)
{
	(void)ready;
	dfb_worker_collect(arg);
}

static void
on_flush(struct dfb_timer *t, void *arg)
{
	struct broker *b = arg;

	(void)t;
	b->urgent = true;
}

static void
on_unblock(struct dfb_timer *t, void *arg)
{
	(void)t;
	session_unblock(arg);
}

static void
on_bury(struct dfb_timer *t, void *arg)
{
	(void)t;
	session_bury(arg);
}

static int
add_worker(struct broker *b, struct dfb_worker **w, const char *name)
{
	if ((*w = dfb_worker_new(name)) == NULL) {
		log_err("cannot start a thread");
		return -1;
	}
	return dfb_loop_add_fd(b->loop, dfb_worker_fd(*w), 1 /* EPOLLIN */, on_worker, *w);
}

int
switch_run(struct broker *b)
{
	b->flush = (struct dfb_timer){ .fn = on_flush, .arg = b };
	b->bury = (struct dfb_timer){ .fn = on_bury, .arg = b };
	b->unblock = (struct dfb_timer){ .fn = on_unblock, .arg = b };
	if (add_worker(b, &b->flusher, "flush") == -1 ||
	    add_worker(b, &b->committer, "commit") == -1 ||
	    add_worker(b, &b->reader, "reader") == -1 ||
	    add_worker(b, &b->keeper, "keeper") == -1 ||
	    dfb_loop_add_sock(b->loop, b->sock, on_frames, on_events, b) == -1)
		return -1;
	dfb_loop_before_sleep(b->loop, before_sleep, b);
	upkeep_start(b);
	timers_load(b);
	return 0;
}

static void
stop_now(struct dfb_timer *t, void *arg)
{
	struct broker *b = arg;

	(void)t;
	dfb_loop_stop(b->loop);
}

/* Nothing new is taken; calls under way have a moment to end. */
static void
stop_when_quiet(struct dfb_timer *t, void *arg)
{
	struct broker *b = arg;

	if (b->live_calls == 0 && b->batches == 0 && b->pending_bytes == 0)
		dfb_loop_stop(b->loop);
	else
		dfb_loop_timer(b->loop, t, 5);
}

void
switch_stop(struct broker *b)
{
	static struct dfb_timer quiet, limit;

	b->stopping = true;
	b->draining = true;
	enroll_state(b);
	quiet = (struct dfb_timer){ .fn = stop_when_quiet, .arg = b };
	limit = (struct dfb_timer){ .fn = stop_now, .arg = b };
	dfb_loop_timer(b->loop, &quiet, 0);
	dfb_loop_timer(b->loop, &limit, STOP_MS);
}
