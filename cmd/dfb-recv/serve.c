#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "client/client.h"
#include "dfb-recv/child.h"
#include "dfb-recv/recv.h"
#include "net/loop.h"

#define CLOSE_MS 10000   /* for the brokers to store the acknowledgements */
#define PATIENCE_MS 2000 /* for the reader of stdout, after a signal */

void
serve_stop(struct recv *r, enum dfb_status status, bool now)
{
	if (r->status == DFB_OK)
		r->status = status;
	if (!r->stopping) {
		r->stopping = true;
		dfb_loop_timer_stop(r->loop, &r->idle);
		if (!now)
			r->sink->finish(r);
	}
	if (now && !r->dropped) {
		r->dropped = true;
		r->sink->drop(r);
	}
}

/* ---- what consumers report ---- */

static void
on_message(void *arg, struct dfb_consumer *c, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct source *s = arg;
	struct recv *r = s->recv;

	/* What is not taken is not settled: the broker has it back when we leave. */
	if (r->stopping)
		return;
	r->last_ms = dfb_mono_ms();
	r->taken++;
	r->sink->take(r, c, m, d);
	if (r->taken == r->opt->count)
		serve_stop(r, DFB_OK, false);
}

static void
on_end(void *arg)
{
	struct source *s = arg;
	struct recv *r = s->recv;

	if (s->ended || r->stopping)
		return;
	s->ended = true;
	if (++r->nended == r->opt->ndests)
		serve_stop(r, DFB_OK, false);
}

static void
on_failed(void *arg, enum dfb_status status, const char *why)
{
	struct source *s = arg;

	log_errx("cannot receive from '%s': %s", s->dest, why);
	serve_stop(s->recv, status, false);
}

/* ---- signals and timers ---- */

static void
on_patience(struct dfb_timer *t, void *arg)
{
	struct recv *r = arg;

	(void)t;
	if (r->sink == &sink_print)
		r->sink->kill(r);
}

static void
on_signal(void *arg, int signo)
{
	struct recv *r = arg;

	if (signo == SIGCHLD) {
		children_reap();
		return;
	}
	if (r->signals++ == 0) {
		serve_stop(r, DFB_OK, true);
		dfb_loop_timer(r->loop, &r->patience, PATIENCE_MS);
	} else if (!r->killed) {
		r->killed = true;
		r->out.failed = true;
		r->sink->kill(r);
	}
}

/* Set again for the rest of the time rather than moved at each message. */
static void
on_idle(struct dfb_timer *t, void *arg)
{
	struct recv *r = arg;
	uint64_t now = dfb_mono_ms(), due = r->last_ms + r->opt->idle_ms;

	if (r->sink->busy(r))
		r->last_ms = now;
	else if (now >= due) {
		serve_stop(r, DFB_OK, false);
		return;
	}
	due = r->last_ms + r->opt->idle_ms;
	dfb_loop_timer(r->loop, t, due - now + 4); /* the coarse clock's grain */
}

/* ---- beginning and end ---- */

static enum dfb_status
subscribe(struct recv *r, struct source *s, const char *dest)
{
	const struct options *o = r->opt;
	struct dfb_consumer_config config = {
		.dest = dest, .group = o->group, .instance = o->instance,
		.label = o->label,
		.broadcast = o->broadcast, .stop_at_end = o->at_end,
		.credit = o->credit < o->count ? o->credit : (uint32_t)o->count,
		.start = o->start, .start_value = o->start_value,
		.message = on_message, .end = on_end, .failed = on_failed, .arg = s,
	};
	enum dfb_status st;

	*s = (struct source){ .recv = r, .dest = dest };
	if ((st = dfb_consumer_open(r->client, &config, &s->consumer)) != DFB_OK)
		log_errx("cannot receive from '%s': %s", dest, dfb_error(r->client));
	return st;
}

static enum dfb_status
begin(struct recv *r)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGCHLD, 0 };
	enum dfb_status st;

	if (dfb_loop_signals(r->loop, signals, on_signal, r) == -1) {
		log_err("cannot watch signals");
		return DFB_OSERR;
	}
	if ((r->sources = calloc(r->opt->ndests, sizeof *r->sources)) == NULL) {
		log_err("cannot start");
		return DFB_OSERR;
	}
	if (r->sink->open(r) == -1)
		return DFB_OSERR;
	r->idle.fn = on_idle;
	r->patience.fn = on_patience;
	r->idle.arg = r->patience.arg = r;
	r->last_ms = dfb_mono_ms();
	if (r->opt->idle_ms != 0)
		dfb_loop_timer(r->loop, &r->idle, r->opt->idle_ms);
	for (size_t i = 0; i < r->opt->ndests; i++)
		if ((st = subscribe(r, &r->sources[i], r->opt->dests[i])) != DFB_OK)
			return st;
	return DFB_OK;
}

static enum dfb_status
run(struct recv *r)
{
	while (!r->stopping || r->sink->busy(r) || out_waiting(r) != 0) {
		if (dfb_wait(r->client, -1) == DFB_OSERR) {
			log_errx("%s", dfb_error(r->client));
			return DFB_OSERR;
		}
		r->sink->turn(r);
		out_flush(r);
	}
	if (r->status == DFB_OK && r->taken == 0 && r->signals == 0 &&
	    r->opt->count != 0)
		return DFB_NO;
	return r->status;
}

/* Acknowledgements that did not arrive mean that messages come again: worth an exit
 * status.  Killed means in a hurry. */
static enum dfb_status
leave(struct recv *r)
{
	enum dfb_status st = DFB_OK, one;

	for (size_t i = 0; r->sources != NULL && i < r->opt->ndests; i++) {
		if (r->sources[i].consumer == NULL)
			continue;
		one = dfb_consumer_close(r->sources[i].consumer,
		    r->killed ? 0 : CLOSE_MS);
		if (one != DFB_OK && st == DFB_OK && r->status == DFB_OK && !r->killed) {
			log_warnx("the last acknowledgements for '%s' may not have "
			    "arrived: those messages come again",
			    r->sources[i].dest);
			st = one;
		}
	}
	return st;
}

enum dfb_status
serve(const struct options *opt, struct dfb *client)
{
	struct recv r = { .opt = opt, .client = client,
		.loop = dfb_client_loop(client),
		.sink = opt->handler == NULL ? &sink_print :
		    opt->coproc ? &sink_coproc : &sink_handler };
	enum dfb_status st, left;

	out_open(&r);
	if ((st = begin(&r)) == DFB_OK)
		st = run(&r);
	r.stopping = true;
	left = leave(&r);
	if (r.state != NULL || r.sink == &sink_print)
		r.sink->close(&r);
	dfb_loop_timer_stop(r.loop, &r.idle);
	dfb_loop_timer_stop(r.loop, &r.patience);
	out_close(&r);
	free(r.sources);
	return st != DFB_OK && st != DFB_NO ? st : left != DFB_OK ? left : st;
}
