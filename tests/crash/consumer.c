/*
 * consumer [-d] LEDGER NAME GROUP SEED TOPIC...: receives, and acknowledges at once, later,
 * out of order, or gives back, until SIGTERM; then acknowledges all and leaves.  Calls are
 * answered.  -d: acknowledges at once and ends when all is delivered.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dfb.h"
#include "ledger.h"

#define TOPICS 8
#define HELD 64
#define END_MS 30000

struct in {
	const char *topic;
	struct dfb_consumer *c;
	bool ended;
};

struct held {
	struct in *in;
	struct dfb_delivery d;
	bool is_call;
	char id[64];
};

static struct in ins[TOPICS];
static struct held held[HELD];
static size_t nheld, nins;
static bool drain, leaving;
static const char *name;
static struct rng rng;

static unsigned long long
now(void)
{
	return now_ns();
}

static void
reply(const struct held *h)
{
	struct dfb_msg m = { .body = h->id, .body_len = strlen(h->id) };
	bool no = rng_below(&rng, 20) == 0;

	dfb_consumer_reply(h->in->c, &h->d, no ? DFB_NO : DFB_OK, no ? "on purpose" : NULL,
	    no ? NULL : &m);
}

static void
ack(const struct held *h)
{
	if (h->is_call)
		reply(h);
	ledger_line("a %llu %s %u %llu", now(), h->in->topic, h->d.queue,
	    (unsigned long long)h->d.offset);
	dfb_consumer_ack(h->in->c, &h->d);
}

static void
nack(const struct held *h, enum dfb_nack how)
{
	ledger_line("n %llu %s %u %llu", now(), h->in->topic, h->d.queue,
	    (unsigned long long)h->d.offset);
	dfb_consumer_nack(h->in->c, &h->d, how, "on purpose");
}

/* Settle one of those held. */
static void
settle_one(void)
{
	size_t i = rng_below(&rng, nheld);

	ack(&held[i]);
	held[i] = held[--nheld];
}

static void
decide(const struct held *h)
{
	uint64_t r = rng_below(&rng, 100);

	/* What is held when its topic is left would be acknowledged too late. */
	if (drain || leaving || r < 60)
		ack(h);
	else if (r < 62)
		nack(h, DFB_RELEASE);
	else if (r < 64)
		nack(h, DFB_LATER);
	else {
		if (nheld == HELD)
			settle_one();
		held[nheld++] = *h;
	}
}

static void
on_message(void *arg, struct dfb_consumer *c, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct in *in = arg;
	struct held h = { .in = in, .d = *d, .is_call = m->is_call };
	char sender[NAME_SIZE];
	uint64_t number = 0;

	(void)c;
	if (body_read(m->body, m->body_len, m->topic, sender, &number) == -1) {
		ledger_line("b %llu %s %u/%llu", now(), in->topic, m->queue,
		    (unsigned long long)m->offset);
		ack(&h);
		return;
	}
	snprintf(h.id, sizeof h.id, "%s:%llu", sender, (unsigned long long)number);
	ledger_line("g %llu %s %u %llu %u %llu %s", now(), in->topic, m->queue,
	    (unsigned long long)m->offset, m->tries, (unsigned long long)d->session, h.id);
	decide(&h);
}

static void
on_end(void *arg)
{
	struct in *in = arg;

	if (!in->ended)
		ledger_line("d %llu %s", now(), in->topic);
	in->ended = true;
}

static void
on_failed(void *arg, enum dfb_status st, const char *why)
{
	struct in *in = arg;

	fprintf(stderr, "%s: %s: %d, %s\n", name, in->topic, st, why);
	exit(unknown_topic((int)st, why) ? DFB_NOBODY : 1);
}

static void
open_all(struct dfb *d, const char *group, char **topics)
{
	for (size_t i = 0; i < nins; i++) {
		ins[i].topic = topics[i];
		if (dfb_consumer_open(d, &(struct dfb_consumer_config){ .dest = topics[i],
		    .group = group, .stop_at_end = drain,
		    .credit = drain ? 0 : 1 + (uint32_t)rng_below(&rng, 300),
		    .message = on_message, .end = on_end, .failed = on_failed,
		    .arg = &ins[i] }, &ins[i].c) != DFB_OK)
			die("cannot open a consumer: %s", dfb_error(d));
	}
}

static bool
all_ended(void)
{
	for (size_t i = 0; i < nins; i++)
		if (!ins[i].ended)
			return false;
	return true;
}

static void
leave(void)
{
	leaving = true;
	while (nheld != 0)
		settle_one();
	for (size_t i = 0; i < nins; i++) {
		ledger_line("l %llu %s", now(), ins[i].topic);
		ledger_line("x %llu %s %d", now(), ins[i].topic,
		    dfb_consumer_close(ins[i].c, END_MS));
	}
}

int
main(int argc, char **argv)
{
	struct dfb_config cf = { .first_wait_ms = END_MS };
	uint64_t until = now_ns() + UINT64_C(1000000) * END_MS;
	struct dfb *d;
	int c;

	while ((c = getopt(argc, argv, "d")) != -1)
		drain = true;
	argv += optind;
	argc -= optind;
	if (argc < 5 || argc - 4 > TOPICS)
		die("usage: consumer [-d] LEDGER NAME GROUP SEED TOPIC...");
	nins = (size_t)argc - 4;
	catch_stop();
	ledger_open(argv[0]);
	cf.who = name = argv[1];
	rng.state = strtoull(argv[3], NULL, 10);
	ledger_line("C %s %s", name, argv[2]);
	if (dfb_open(&cf, &d) != DFB_OK)
		die("cannot open a client");
	open_all(d, argv[2], argv + 4);
	while (!stop_asked && !(drain && all_ended())) {
		dfb_wait(d, drain ? 100 : (int)rng_below(&rng, 10));
		for (uint64_t n = nheld != 0 ? rng_below(&rng, nheld + 1) : 0; n != 0; n--)
			settle_one();
		if (drain && now_ns() > until)
			die("%s: never came to an end", name);
	}
	leave();
	dfb_close(d);
	return 0;
}
