/* A process for each message: at most `jobs` at a time, the others wait in line. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log.h"
#include "dfb-recv/child.h"
#include "dfb-recv/recv.h"
#include "net/loop.h"

#define OUTPUT_MAX (16 << 20)
#define STDOUT_MAX (1 << 20)  /* not written yet: handlers wait */
#define KILL_MS 2000          /* between SIGTERM and SIGKILL */
#define SPAWN_MS 100          /* and doubling, after a process could not be made */
#define SPAWN_TRIES 7

/* A message that waits; what msg points to follows the struct. */
struct waiting {
	STAILQ_ENTRY(waiting) link;
	struct dfb_consumer *consumer;
	struct dfb_delivery delivery;
	struct dfb_msg msg;
};

struct job {
	struct recv *recv;
	struct child child;
	struct dfb_consumer *consumer;
	struct dfb_delivery delivery;
	struct dfb_timer timer;
	bool is_call;
	bool wrote;     /* to our stdout */
	bool late;      /* ran past its deadline */
	bool flooded;   /* wrote too much */
	LIST_ENTRY(job) link;
};
LIST_HEAD(job_list, job);

struct handlers {
	struct job *jobs;
	struct job_list idle, running;
	STAILQ_HEAD(, waiting) line;
	struct dfb_timer again;  /* set while no process can be made */
	unsigned failures;       /* to make one, in a row */
	bool held;               /* by that timer */
	bool paused;             /* streams wait for stdout */
	bool killed;
};

static void handler_turn(struct recv *);

/* ---- what becomes of a message ---- */

static void
succeed(struct job *j)
{
	struct recv *r = j->recv;
	struct dfb_buf *out = &j->child.out;

	if (j->is_call) {
		struct dfb_msg reply = { .body = out->data, .body_len = out->len };
		dfb_consumer_reply(j->consumer, &j->delivery, DFB_OK, NULL, &reply);
	}
	/* What it printed has to arrive first. */
	if (j->wrote)
		out_mark(r, j->consumer, &j->delivery);
	else
		dfb_consumer_ack(j->consumer, &j->delivery);
}

static void
settle(struct job *j, int wait_status)
{
	struct child *c = &j->child;
	enum dfb_nack action = DFB_RETRY;
	char reason[REASON_MAX];

	if (j->late)
		reason_of(reason, "ran past its deadline", c->tail, c->tail_len);
	else if (j->flooded)
		reason_of(reason, "wrote more than 16 MiB", c->tail, c->tail_len);
	else if (wait_status == 0) {
		succeed(j);
		return;
	} else {
		reason_of_exit(reason, wait_status, c->tail, c->tail_len);
		if ((wait_status & 0x7f) == 0)
			reason_action(wait_status >> 8, &action);
	}
	log_debug("message %llu of queue %u: %s",
	    (unsigned long long)j->delivery.offset, j->delivery.queue, reason);
	dfb_consumer_nack(j->consumer, &j->delivery, action, reason);
}

/* ---- a running handler ---- */

/* With one job, what it writes can pass as it comes: nobody else's mixes with it. */
static bool
streams(const struct job *j)
{
	return !j->is_call && j->recv->opt->jobs == 1;
}

static void
pass_output(struct job *j)
{
	struct recv *r = j->recv;
	struct dfb_buf *out = &j->child.out;

	if (!r->out.failed && dfb_buf_add(out_buf(&r->out), out->data, out->len) == -1) {
		log_err("cannot pass on the output of a handler");
		serve_stop(r, DFB_OSERR, true);
	}
	j->wrote |= out->len != 0;
	out->len = 0;
}

static void
on_output(struct child *c)
{
	struct job *j = c->arg;
	struct handlers *h = j->recv->state;

	if (streams(j)) {
		pass_output(j);
		if (out_waiting(j->recv) > STDOUT_MAX) {
			h->paused = true;
			child_pause(c);
		}
	} else if (c->out.len > OUTPUT_MAX && !j->flooded) {
		j->flooded = c->doomed = true;
		child_signal(c, SIGKILL);
	}
	if (j->flooded)
		c->out.len = 0;
}

static void
on_gone(struct child *c, int wait_status)
{
	struct job *j = c->arg;
	struct handlers *h = j->recv->state;

	dfb_loop_timer_stop(j->recv->loop, &j->timer);
	if (c->out.len > OUTPUT_MAX)
		j->flooded = true;
	if (!j->is_call && !j->flooded)
		pass_output(j);
	if (!h->killed)
		settle(j, wait_status);
	LIST_REMOVE(j, link);
	LIST_INSERT_HEAD(&h->idle, j, link);
	/* One large message must not be kept for ever. */
	if (c->out.cap > STDOUT_MAX)
		dfb_buf_release(&c->out);
	if (c->in.cap > STDOUT_MAX)
		dfb_buf_release(&c->in);
	handler_turn(j->recv);
}

static void
on_deadline(struct dfb_timer *t, void *arg)
{
	struct job *j = arg;

	child_signal(&j->child, j->late ? SIGKILL : SIGTERM);
	if (!j->late)
		dfb_loop_timer(j->recv->loop, t, KILL_MS);
	j->late = j->child.doomed = true;
}

/* ---- starting ---- */

static void
on_again(struct dfb_timer *t, void *arg)
{
	struct recv *r = arg;
	struct handlers *h = r->state;

	(void)t;
	h->held = false;
	handler_turn(r);
}

/* Nothing is wrong with the message: it is kept, and released in the end. */
static void
cannot_start(struct recv *r)
{
	struct handlers *h = r->state;

	if (++h->failures >= SPAWN_TRIES || errno == ENOEXEC) {
		log_err("cannot run '%s', giving up", r->opt->path);
		serve_stop(r, DFB_OSERR, true);
		return;
	}
	log_err("cannot run '%s', trying again", r->opt->path);
	h->held = true;
	dfb_loop_timer(r->loop, &h->again, (uint64_t)SPAWN_MS << (h->failures - 1));
}

/* 0: started, or settled; -1 with errno: not now. */
static int
start(struct recv *r, struct dfb_consumer *consumer, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct handlers *h = r->state;
	struct job *j = LIST_FIRST(&h->idle);
	struct child *c = &j->child;
	uint64_t now = dfb_wall_ms(), ms = r->opt->max_ms;
	char **env;

	if (m->expires_ms != 0 && m->expires_ms <= now) {
		dfb_consumer_nack(consumer, d, DFB_RETRY, "expired before a handler was free");
		return 0;
	}
	if (m->expires_ms != 0 && m->expires_ms - now < ms)
		ms = m->expires_ms - now;
	c->in.len = 0;
	c->in_eof = true;
	if ((env = env_make(m, now + ms)) == NULL ||
	    dfb_buf_add(&c->in, m->body, m->body_len) == -1 ||
	    child_start(c, r->opt->path, r->opt->handler, env) == -1)
		return -1;
	h->failures = 0;
	j->consumer = consumer;
	j->delivery = *d;
	j->is_call = m->is_call;
	j->wrote = j->late = j->flooded = false;
	LIST_REMOVE(j, link);
	LIST_INSERT_HEAD(&h->running, j, link);
	dfb_loop_timer(r->loop, &j->timer, ms);
	return 0;
}

static struct waiting *
keep(struct dfb_consumer *consumer, const struct dfb_msg *m, const struct dfb_delivery *d)
{
	size_t topic_len = strlen(m->topic) + 1;
	struct waiting *w = malloc(sizeof *w + m->key_len + m->headers_len +
	    m->body_len + topic_len);
	char *p = (char *)(w + 1);

	if (w == NULL)
		return NULL;
	*w = (struct waiting){ .consumer = consumer, .delivery = *d, .msg = *m };
	w->msg.topic = memcpy(p, m->topic, topic_len);
	p += topic_len;
	if (m->key_len != 0)
		w->msg.key = memcpy(p, m->key, m->key_len);
	p += m->key_len;
	if (m->headers_len != 0)
		w->msg.headers = memcpy(p, m->headers, m->headers_len);
	p += m->headers_len;
	if (m->body_len != 0)
		w->msg.body = memcpy(p, m->body, m->body_len);
	return w;
}

static void
handler_take(struct recv *r, struct dfb_consumer *consumer, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct handlers *h = r->state;
	struct waiting *w;

	if (STAILQ_EMPTY(&h->line) && !LIST_EMPTY(&h->idle) && !h->held) {
		if (start(r, consumer, m, d) == 0)
			return;
		cannot_start(r);
	}
	if ((w = keep(consumer, m, d)) == NULL) {
		log_err("cannot keep a message");
		serve_stop(r, DFB_OSERR, true);
		return;
	}
	STAILQ_INSERT_TAIL(&h->line, w, link);
	if (r->dropped)
		r->sink->drop(r);
}

static void
handler_turn(struct recv *r)
{
	struct handlers *h = r->state;
	struct waiting *w;
	struct job *j;

	if (h->paused && (r->out.failed || out_waiting(r) < STDOUT_MAX / 2)) {
		h->paused = false;
		LIST_FOREACH(j, &h->running, link)
			child_resume(&j->child);
	}
	while (!h->held && !LIST_EMPTY(&h->idle) &&
	    (w = STAILQ_FIRST(&h->line)) != NULL) {
		if (start(r, w->consumer, &w->msg, &w->delivery) == -1) {
			cannot_start(r);
			return;
		}
		STAILQ_REMOVE_HEAD(&h->line, link);
		free(w);
	}
}

/* ---- the rest of a sink ---- */

static int
handler_open(struct recv *r)
{
	struct handlers *h = calloc(1, sizeof *h);

	if (h == NULL || env_init(r->opt) == -1 ||
	    (h->jobs = calloc(r->opt->jobs, sizeof *h->jobs)) == NULL) {
		log_err("cannot start");
		free(h);
		return -1;
	}
	r->state = h;
	STAILQ_INIT(&h->line);
	h->again.fn = on_again;
	h->again.arg = r;
	for (uint32_t i = 0; i < r->opt->jobs; i++) {
		struct job *j = &h->jobs[i];
		j->recv = r;
		child_init(&j->child, r->loop);
		j->child.output = on_output;
		j->child.gone = on_gone;
		j->child.arg = j;
		j->timer.fn = on_deadline;
		j->timer.arg = j;
		LIST_INSERT_HEAD(&h->idle, j, link);
	}
	return 0;
}

static bool
handler_busy(const struct recv *r)
{
	const struct handlers *h = r->state;

	return !LIST_EMPTY(&h->running) || !STAILQ_EMPTY(&h->line);
}

static void
handler_finish(struct recv *r)
{
	(void)r;
}

static void
handler_drop(struct recv *r)
{
	struct handlers *h = r->state;
	struct waiting *w;

	while ((w = STAILQ_FIRST(&h->line)) != NULL) {
		STAILQ_REMOVE_HEAD(&h->line, link);
		free(w);
	}
	dfb_loop_timer_stop(r->loop, &h->again);
}

static void
handler_kill(struct recv *r)
{
	struct handlers *h = r->state;
	struct job *j;

	h->killed = true;
	LIST_FOREACH(j, &h->running, link) {
		j->child.doomed = true;
		child_signal(&j->child, SIGKILL);
	}
}

static void
handler_close(struct recv *r)
{
	struct handlers *h = r->state;

	handler_drop(r);
	for (uint32_t i = 0; i < r->opt->jobs; i++) {
		dfb_loop_timer_stop(r->loop, &h->jobs[i].timer);
		child_release(&h->jobs[i].child);
	}
	env_release();
	free(h->jobs);
	free(h);
	r->state = NULL;
}

const struct sink sink_handler = {
	.open = handler_open,
	.take = handler_take,
	.turn = handler_turn,
	.busy = handler_busy,
	.finish = handler_finish,
	.drop = handler_drop,
	.kill = handler_kill,
	.close = handler_close,
};
