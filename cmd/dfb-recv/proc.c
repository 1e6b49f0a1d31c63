#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "common/msgjson.h"
#include "dfb-recv/coproc.h"
#include "dfb-recv/recv.h"
#include "net/loop.h"

#define AGAIN_MS 100      /* and doubling, until it answers something */
#define AGAIN_MAX_MS 5000
#define SPAWN_TRIES 7
#define CLOSE_MS 10000    /* at the end, without an answer */
#define KILL_MS 2000

static void restart(struct proc *);

static uint64_t
mono_ms(void)
{
	return dfb_mono_ns() / 1000000;
}

static void
end_now(struct proc *p)
{
	p->over = true;
	dfb_loop_timer_stop(p->recv->loop, &p->life);
	dfb_loop_timer_stop(p->recv->loop, &p->watch);
}

/* ---- deadlines ---- */

static void
watch(struct proc *p, const struct entry *e, uint64_t now)
{
	uint64_t ms = e->due_ms, wall = dfb_wall_ms();

	if (e->expires_ms != 0 && !e->settled) {
		uint64_t left = e->expires_ms > wall ? e->expires_ms - wall : 0;
		if (now + left < ms)
			ms = now + left;
	}
	if (p->watch_ms != 0 && p->watch_ms <= ms)
		return;
	p->watch_ms = ms;
	dfb_loop_timer(p->recv->loop, &p->watch, ms > now ? ms - now : 0);
}

static void
on_watch(struct dfb_timer *t, void *arg)
{
	struct proc *p = arg;
	uint64_t now = mono_ms(), wall = dfb_wall_ms();
	struct entry *e;

	(void)t;
	p->watch_ms = 0;
	if (p->child.pid == 0 || p->why[0] != '\0')
		return;
	TAILQ_FOREACH(e, &p->entries.list, link) {
		if (e->due_ms <= now) {
			proc_condemn(p, SIGTERM, "ran past its deadline");
			return;
		}
		/* It may well answer: only, nobody wants that answer any more. */
		if (!e->settled && e->expires_ms != 0 && e->expires_ms <= wall) {
			dfb_consumer_nack(e->consumer, &e->delivery, DFB_RETRY,
			    "ran past its deadline");
			e->settled = true;
		}
		watch(p, e, now);
	}
}

/* ---- the end of a process ---- */

void
proc_condemn(struct proc *p, int signo, const char *why)
{
	if (p->why[0] != '\0')
		return;
	snprintf(p->why, sizeof p->why, "%s", why);
	p->child.doomed = true;
	p->terminating = true;
	child_signal(&p->child, signo);
	dfb_loop_timer(p->recv->loop, &p->life, KILL_MS);
}

/*
 * The first that is unanswered was the one at work when it ended: that costs it a try.  Those
 * behind it, got whole, are given back as they were; what it never saw stays, first in the
 * stream to the next process.
 */
static void
give_back(struct proc *p, const char *reason)
{
	struct child *c = &p->child;
	uint64_t base = c->written - c->in_at, cut = p->queued;
	struct entry *e, *next;
	bool blamed = false;

	for (e = TAILQ_FIRST(&p->entries.list); e != NULL; e = next) {
		next = TAILQ_NEXT(e, link);
		if (e->end > c->written) {
			if (e->start < cut)
				cut = e->start;
			e->start -= cut;
			e->end -= cut;
			continue;
		}
		if (!e->settled && reason != NULL) {
			dfb_consumer_nack(e->consumer, &e->delivery,
			    blamed ? DFB_RELEASE : DFB_RETRY, reason);
			blamed = true;
		}
		entries_remove(&p->entries, e);
	}
	dfb_buf_consume(&c->in, (size_t)(cut - base));
	c->in_at = 0;
	p->queued = c->in.len;
}

static void
again(struct proc *p)
{
	uint64_t ms = AGAIN_MS;

	for (unsigned i = 1; i < p->failures && ms < AGAIN_MAX_MS; i++)
		ms *= 2;
	if (ms > AGAIN_MAX_MS)
		ms = AGAIN_MAX_MS;
	dfb_loop_timer(p->recv->loop, &p->life, ms);
}

static void
on_gone(struct child *c, int wait_status)
{
	struct proc *p = c->arg;
	char reason[REASON_MAX];
	bool content;

	dfb_loop_timer_stop(p->recv->loop, &p->life);
	proc_answers(p, true);
	/* A clean exit at the end of its input: what it did not answer it did not do. */
	content = p->closing && wait_status == 0 && p->why[0] == '\0' &&
	    c->in_at == c->in.len;
	if (p->why[0] != '\0')
		reason_of(reason, p->why, c->tail, c->tail_len);
	else
		reason_of_exit(reason, wait_status, c->tail, c->tail_len);
	give_back(p, content || p->killed ? NULL : reason);
	c->out.len = p->scanned = 0;
	if (p->killed || (p->closing && p->entries.n == 0)) {
		if (!content && !p->killed)
			log_warnx("the handler ended: %s", reason);
		end_now(p);
		return;
	}
	p->failures++;
	log_warnx("the handler ended, starting another: %s", reason);
	again(p);
}

static void
on_life(struct dfb_timer *t, void *arg)
{
	struct proc *p = arg;

	if (p->child.pid == 0) {
		restart(p);
		return;
	}
	p->child.doomed = true;
	child_signal(&p->child, p->terminating ? SIGKILL : SIGTERM);
	if (!p->terminating)
		dfb_loop_timer(p->recv->loop, t, KILL_MS);
	p->terminating = true;
}

/* ---- its life ---- */

static void
on_output(struct child *c)
{
	struct proc *p = c->arg;

	proc_answers(p, false);
	if (p->closing && !p->terminating)
		dfb_loop_timer(p->recv->loop, &p->life, CLOSE_MS);
}

static int
start(struct proc *p)
{
	struct child *c = &p->child;
	const struct options *o = p->recv->opt;
	uint64_t now = mono_ms();
	struct entry *e;
	char **env;

	p->why[0] = '\0';
	p->terminating = false;
	c->in_eof = p->closing;
	if ((env = env_make(NULL, 0)) == NULL ||
	    child_start(c, o->path, o->handler, env) == -1)
		return -1;
	p->spawn_failures = 0;
	if (p->closing)
		dfb_loop_timer(p->recv->loop, &p->life, CLOSE_MS);
	p->watch_ms = 0;
	TAILQ_FOREACH(e, &p->entries.list, link) {
		e->due_ms = now + o->max_ms;
		watch(p, e, now);
	}
	return 0;
}

static void
restart(struct proc *p)
{
	const char *path = p->recv->opt->path;

	if (start(p) == 0)
		return;
	p->failures++;
	if (++p->spawn_failures >= SPAWN_TRIES || errno == ENOEXEC) {
		log_err("cannot run '%s', giving up", path);
		serve_stop(p->recv, DFB_OSERR, true);
		return;
	}
	log_err("cannot run '%s', trying again", path);
	again(p);
}

int
proc_open(struct proc *p, struct recv *r)
{
	p->recv = r;
	child_init(&p->child, r->loop);
	entries_init(&p->entries);
	p->child.output = on_output;
	p->child.gone = on_gone;
	p->watch.fn = on_watch;
	p->life.fn = on_life;
	p->child.arg = p->watch.arg = p->life.arg = p;
	if (start(p) == 0)
		return 0;
	log_err("cannot run '%s'", r->opt->path);
	return -1;
}

void
proc_close(struct proc *p)
{
	if (p->recv == NULL)
		return;
	end_now(p);
	child_release(&p->child);
	entries_release(&p->entries);
}

int
proc_take(struct proc *p, struct dfb_consumer *consumer, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct dfb_buf *in = &p->child.in;
	size_t before = in->len;
	uint64_t now = mono_ms();
	struct entry *e = NULL;

	if (dfb_msgjson_write(in, m) == -1 ||
	    (e = entries_add(&p->entries, &m->id)) == NULL) {
		in->len = before;
		return -1;
	}
	e->start = p->queued;
	e->end = p->queued += in->len - before;
	e->consumer = consumer;
	e->delivery = *d;
	e->is_call = m->is_call;
	e->expires_ms = m->expires_ms;
	e->due_ms = now + p->recv->opt->max_ms;
	watch(p, e, now);
	return 0;
}

void
proc_flush(struct proc *p)
{
	struct child *c = &p->child;

	if (c->pid != 0 && c->in_at < c->in.len && !c->in_waits)
		child_flush(c);
}

void
proc_finish(struct proc *p)
{
	if (p->closing)
		return;
	p->closing = true;
	if (p->child.pid == 0) {
		if (p->entries.n == 0)
			end_now(p);
		return;
	}
	p->child.in_eof = true;
	child_flush(&p->child);
	if (!p->terminating)
		dfb_loop_timer(p->recv->loop, &p->life, CLOSE_MS);
}

void
proc_drop(struct proc *p)
{
	struct child *c = &p->child;
	struct entry *e, *next;
	uint64_t written = c->pid != 0 ? c->written : 0, cut = p->queued;

	for (e = TAILQ_FIRST(&p->entries.list); e != NULL; e = next) {
		next = TAILQ_NEXT(e, link);
		if (e->start < written)
			continue;
		if (e->start < cut)
			cut = e->start;
		entries_remove(&p->entries, e);
	}
	c->in.len -= (size_t)(p->queued - cut);
	p->queued = cut;
	if (c->pid == 0) {
		p->closing = true;
		end_now(p);
	} else
		proc_finish(p);
}

void
proc_kill(struct proc *p)
{
	p->killed = true;
	p->child.doomed = true;
	if (p->child.pid != 0)
		child_signal(&p->child, SIGKILL);
	else
		end_now(p);
}
