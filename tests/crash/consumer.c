/*
 * consumer [-d N] [-r REGION] [-G LABEL] LEDGER NAME GROUP SEED DEST...: receives, and
 * acknowledges at once, later, out of order, or gives back, until SIGTERM; then acknowledges
 * all and leaves.  Calls are answered.  -d: acknowledges at once and ends when all is
 * delivered that N brokers have of each destination.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/consumer.h"
#include "dfb.h"
#include "features.h"
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
	char place[80];
	bool is_call;
	char id[64];
};

static struct in ins[TOPICS];
static struct held held[HELD];
static size_t nheld, nins;
static bool leaving;
static unsigned drain; /* brokers; 0: not */
static const char *name;
static struct rng rng;

static unsigned long long
now(void)
{
	return now_ns();
}

/* Which broker it is from only the library knows. */
static void
set_place(struct held *h)
{
	const struct dfb_sub *s;
	const char *broker = "";

	LIST_FOREACH(s, &h->in->c->subs, entry)
		if (s->session == h->d.session && s->user.handle == h->d.sub)
			broker = s->broker;
	snprintf(h->place, sizeof h->place, "%s/%u", broker, h->d.queue);
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
	ledger_line("a %llu %s %s %llu", now(), h->in->topic, h->place,
	    (unsigned long long)h->d.offset);
	dfb_consumer_ack(h->in->c, &h->d);
}

static void
nack(const struct held *h, enum dfb_nack how)
{
	ledger_line("n %llu %s %s %llu", now(), h->in->topic, h->place,
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
	if (drain != 0 || leaving || r < 60)
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

static bool
is_maybe(const struct dfb_msg *m)
{
#if HAS_MAYBE
	return m->possible_duplicate;
#else
	(void)m;
	return false;
#endif
}

static void
check_due(const struct held *h, const struct letter *l)
{
	struct timespec t;
	uint64_t ms;

	clock_gettime(CLOCK_REALTIME, &t);
	ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	if (l->due_ms > ms)
		ledger_line("y %llu %s %s %llu", now(), h->in->topic, h->id,
		    (unsigned long long)(l->due_ms - ms));
}

static void
on_message(void *arg, struct dfb_consumer *c, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct in *in = arg;
	struct held h = { .in = in, .d = *d, .is_call = m->is_call };
	struct letter l;

	(void)c;
	set_place(&h);
	if (body_read(m->body, m->body_len, plain(m->topic), &l) == -1) {
		ledger_line("b %llu %s %s/%llu", now(), in->topic, h.place,
		    (unsigned long long)m->offset);
		ack(&h);
		return;
	}
	snprintf(h.id, sizeof h.id, "%s:%llu", l.sender, (unsigned long long)l.number);
	ledger_line("g %llu %s %s %llu %u %llu %s%s", now(), in->topic, h.place,
	    (unsigned long long)m->offset, m->tries, (unsigned long long)d->session, h.id,
	    is_maybe(m) ? " maybe" : "");
	check_due(&h, &l);
	decide(&h);
}

static void
on_failed(void *arg, enum dfb_status st, const char *why)
{
	struct in *in = arg;

	fprintf(stderr, "%s: %s: %d, %s\n", name, in->topic, st, why);
	exit(unknown_topic((int)st, why) ? DFB_NOBODY : 1);
}

static void
open_all(struct dfb *d, const char *group, const char *label, char **topics)
{
	for (size_t i = 0; i < nins; i++) {
		ins[i].topic = plain(topics[i]);
		if (dfb_consumer_open(d, &(struct dfb_consumer_config){ .dest = topics[i],
		    .group = group, .label = label, .stop_at_end = drain != 0,
		    .credit = drain != 0 ? 0 : 1 + (uint32_t)rng_below(&rng, 300),
		    .message = on_message, .failed = on_failed, .arg = &ins[i] },
		    &ins[i].c) != DFB_OK)
			die("cannot open a consumer: %s", dfb_error(d));
	}
}

/* At the end on all brokers, also those that are found late. */
static bool
all_ended(void)
{
	bool all = true;

	for (size_t i = 0; i < nins; i++) {
		const struct dfb_sub *s;
		unsigned n = 0;
		LIST_FOREACH(s, &ins[i].c->subs, entry)
			n += s->drained && s->state == DFB_SUB_OPEN;
		if (n >= drain && !ins[i].ended)
			ledger_line("d %llu %s", now(), ins[i].topic);
		ins[i].ended = n >= drain;
		all = all && ins[i].ended;
	}
	return all;
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
	const char *label = NULL;
	struct dfb *d;
	int c;

	while ((c = getopt(argc, argv, "d:r:G:")) != -1)
		switch (c) {
		case 'd': drain = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'r': cf.region = optarg; break;
		case 'G': label = optarg; break;
		default: exit(64);
		}
	argv += optind;
	argc -= optind;
	if (argc < 5 || argc - 4 > TOPICS)
		die("usage: consumer [-d N] [-r REGION] [-G LABEL] LEDGER NAME GROUP SEED DEST...");
	nins = (size_t)argc - 4;
	catch_stop();
	ledger_open(argv[0]);
	cf.who = name = argv[1];
	rng.state = strtoull(argv[3], NULL, 10);
	ledger_line("C %s %s%s%s", name, argv[2], label != NULL ? " " : "",
	    label != NULL ? label : "");
	if (dfb_open(&cf, &d) != DFB_OK)
		die("cannot open a client");
	open_all(d, argv[2], label, argv + 4);
	while (!stop_asked && !(drain != 0 && all_ended())) {
		dfb_wait(d, drain != 0 ? 100 : (int)rng_below(&rng, 10));
		for (uint64_t n = nheld != 0 ? rng_below(&rng, nheld + 1) : 0; n != 0; n--)
			settle_one();
		if (drain != 0 && now_ns() > until)
			die("%s: never came to an end", name);
	}
	leave();
	dfb_close(d);
	return 0;
}
