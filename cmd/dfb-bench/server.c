/* Receivers and services: subscribed before the load starts. */
#include <sys/eventfd.h>

#include "dfb-bench/bench.h"

/* Both consumers of a client tell of the same trouble. */
static void
on_failed(void *arg, enum dfb_status st, const char *why)
{
	struct client *c = arg;

	if (!c->bench->broken)
		client_break(c, st, why);
}

/*
 * A broker tells a consumer of one that stops at the end when nothing is left.  It takes
 * requests of one connection in their order; so when it has told a second consumer of the
 * group, it has the first, too.  The first does not stop at the end, which would cost a
 * frame each time that it is reached.
 */
struct probe {
	struct client *client;
	bool ended;
};

static void
on_message(void *arg, struct dfb_consumer *consumer, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	(void)arg;
	(void)m;
	dfb_consumer_ack(consumer, d);
}

static void
on_end(void *arg)
{
	struct probe *p = arg;

	p->ended = true;
}

static void
on_probe_failed(void *arg, enum dfb_status st, const char *why)
{
	struct probe *p = arg;

	on_failed(p->client, st, why);
}

/* 0, or -1: broken or stopped. */
static int
wait_until_open(struct client *c, const struct dfb_consumer_config *config)
{
	struct bench *b = c->bench;
	struct probe p = { .client = c };
	struct dfb_consumer_config second = *config;
	struct dfb_consumer *consumer;

	second.stop_at_end = true;
	second.message = on_message;
	second.end = on_end;
	second.failed = on_probe_failed;
	second.arg = &p;
	if (dfb_consumer_open(c->dfb, &second, &consumer) != DFB_OK) {
		client_break(c, DFB_OSERR, dfb_error(c->dfb));
		return -1;
	}
	while (!p.ended && !b->broken && !b->stop)
		client_wait(c, -1);
	dfb_consumer_close(consumer, p.ended ? BENCH_CLOSE_MS : 0);
	return p.ended ? 0 : -1;
}

struct dfb_consumer *
server_open(struct client *c, struct dfb_consumer_config *config)
{
	const struct options *o = c->bench->opt;
	struct dfb_consumer *consumer;

	config->dest = o->topic;
	config->group = c->bench->group;
	config->credit = o->credit;
	config->start = DFB_END;
	config->failed = on_failed;
	config->arg = c;
	if (dfb_consumer_open(c->dfb, config, &consumer) != DFB_OK) {
		client_break(c, DFB_OSERR, dfb_error(c->dfb));
		return NULL;
	}
	if (wait_until_open(c, config) == 0)
		return consumer;
	dfb_consumer_close(consumer, 0);
	return NULL;
}

void
server_ready(struct client *c)
{
	atomic_fetch_add(&c->bench->ready, 1);
	eventfd_write(c->bench->news_fd, 1);
}
