/* Receivers. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "dfb-bench/bench.h"

#define LOST_MS 10000 /* without a message, after the last one was confirmed */

/* ---- what is in the topic ---- */

struct receiver {
	struct client *client;
	bool idle;               /* nothing is left for this one */
	bool over;               /* nothing more is wanted */
};

static void
finish(struct receiver *r)
{
	r->over = true;
	bench_wake(r->client->bench);
}

/* The first one that is measured starts the clock. */
static void
begin(struct client *c)
{
	c->bench->start_ns = dfb_mono_ns();
}

static void
on_stored(void *arg, struct dfb_consumer *consumer, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct receiver *r = arg;
	struct client *c = r->client;
	struct bench *b = c->bench;
	const struct options *o = b->opt;
	uint64_t i;

	if (r->idle) {
		r->idle = false;
		atomic_fetch_sub(&b->idle, 1);
	}
	if (r->over || (i = atomic_fetch_add(&b->received, 1)) >= b->expected) {
		r->over = true;
		return; /* not settled: it stays */
	}
	dfb_consumer_ack(consumer, d);
	if (i == o->warmup)
		begin(c);
	if (i >= o->warmup)
		meter_count(&c->meter, m->body_len);
	if (i + 1 == b->expected)
		finish(r);
}

static void
on_end(void *arg)
{
	struct receiver *r = arg;
	struct bench *b = r->client->bench;

	if (r->idle || r->over)
		return;
	r->idle = true;
	if (atomic_fetch_add(&b->idle, 1) + 1 == b->nservers)
		finish(r);
}

static void
on_failed(void *arg, enum dfb_status st, const char *why)
{
	struct receiver *r = arg;

	client_break(r->client, st, why);
}

static bool
recv_over(const struct receiver *r)
{
	const struct client *c = r->client;
	const struct bench *b = c->bench;

	return r->over || c->timed || b->stop || b->broken || b->idle == b->nservers ||
	    b->received >= b->expected;
}

void
recv_run(struct client *c)
{
	struct bench *b = c->bench;
	const struct options *o = b->opt;
	struct receiver r = { .client = c };
	struct dfb_consumer_config config = { .dest = o->topic, .group = b->group,
		.credit = o->credit, .stop_at_end = true, .message = on_stored,
		.end = on_end, .failed = on_failed, .arg = &r };
	struct dfb_consumer *consumer;
	bool armed = false;
	enum dfb_status st;

	if (config.credit > b->expected)
		config.credit = (uint32_t)b->expected;
	if (dfb_consumer_open(c->dfb, &config, &consumer) != DFB_OK) {
		client_break(c, DFB_OSERR, dfb_error(c->dfb));
		return;
	}
	while (!recv_over(&r)) {
		client_wait(c, -1);
		if (!armed && o->duration_ns != 0 && b->start_ns != 0) {
			armed = true;
			client_timer(c, b->start_ns + o->duration_ns);
		}
	}
	r.over = true;
	st = dfb_consumer_close(consumer, b->broken ? 0 : BENCH_CLOSE_MS);
	c->meter.last_ns = dfb_mono_ns();
	if (st != DFB_OK && !b->broken)
		meter_fail(&c->meter, 1, st, dfb_error(c->dfb));
}

/* ---- what the senders of this process send ---- */

static void
on_stamped(void *arg, struct dfb_consumer *consumer, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct client *c = arg;
	struct bench *b = c->bench;
	uint64_t now = dfb_mono_ns();
	struct stamp stamp;

	dfb_consumer_ack(consumer, d);
	if (m->body_len < sizeof stamp)
		return;
	memcpy(&stamp, m->body, sizeof stamp);
	if (stamp.run != b->run || !stamp.measured)
		return;
	meter_add(&c->meter, stamp.at_ns, now, m->body_len);
	if (atomic_fetch_add(&b->received, 1) + 1 == b->expected)
		bench_wake(b);
}

/* Wait for the rest as long as messages come. */
static void
wait_for_rest(struct client *c)
{
	struct bench *b = c->bench;
	uint64_t seen = 0, since = dfb_mono_ns(), now = since;
	uint64_t most = b->stop ? BENCH_WIND_UP_MS : LOST_MS;

	while (b->received < b->expected && !b->broken &&
	    now - since < most * 1000000) {
		client_wait(c, (int)(most - (now - since) / 1000000));
		now = dfb_mono_ns();
		if (b->received != seen)
			since = now;
		seen = b->received;
	}
}

void
both_run(struct client *c)
{
	struct bench *b = c->bench;
	struct dfb_consumer_config config = { .message = on_stamped };
	struct dfb_consumer *consumer = server_open(c, &config);

	server_ready(c);
	while (consumer != NULL && !b->load_ended && !b->broken)
		client_wait(c, -1);
	if (consumer != NULL)
		wait_for_rest(c);
	dfb_consumer_close(consumer, b->broken ? 0 : BENCH_CLOSE_MS);
}
