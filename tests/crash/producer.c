/*
 * producer LEDGER NAME SEED TOPIC...: sends numbered messages to all topics in bursts, until
 * SIGTERM; then waits for all confirms.  Fails when a message failed; status 69 when that is
 * because it began while no broker was up.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dfb.h"
#include "ledger.h"

#define TOPICS 8
#define PER_TOPIC 3000 /* enough for a round */
#define END_MS 30000

struct out {
	const char *topic;
	struct dfb_producer *p;
	uint64_t sent;    /* given to the library */
	uint64_t claimed; /* written down as about to be sent */
	uint64_t confirmed;
};

static struct out outs[TOPICS];
static const char *name;
static struct rng rng;
static int bad_status;

static void
on_failed(void *arg, uint64_t n, enum dfb_status st, const char *why)
{
	struct out *o = arg;

	ledger_line("f %llu %s %llu", (unsigned long long)now_ns(), o->topic,
	    (unsigned long long)n);
	fprintf(stderr, "%s: message %llu to %s failed: %d, %s\n", name,
	    (unsigned long long)n, o->topic, st, why);
	bad_status = bad_status != 1 && unknown_topic((int)st, why) ?
	    DFB_NOBODY : 1;
}

static void
note(struct out *o)
{
	uint64_t n = dfb_producer_taken(o->p) - dfb_producer_pending(o->p);

	if (n == o->confirmed)
		return;
	o->confirmed = n;
	ledger_line("c %llu %s %llu", (unsigned long long)now_ns(), o->topic,
	    (unsigned long long)n);
}

/* What was written down, to the library; what does not fit goes the next time. */
static void
put(struct dfb *d, struct out *o)
{
	static char body[BODY_MAX];
	enum dfb_status st;
	char key[16];

	while (o->sent < o->claimed) {
		struct rng one = { o->sent + 1 };
		size_t size = rng_below(&one, 20) == 0 ? rng_below(&one, 16000) :
		    rng_below(&one, 400);
		struct dfb_msg m = { .body = body, .key = key };

		m.body_len = body_make(body, size, name, o->topic, o->sent + 1);
		m.key_len = (size_t)snprintf(key, sizeof key, "k%llu",
		    (unsigned long long)((o->sent + 1) % KEYS));
		if ((st = dfb_producer_put(o->p, &m)) == DFB_AGAIN)
			return;
		if (st != DFB_OK)
			die("cannot put: %s", dfb_error(d));
		o->sent++;
	}
}

static void
burst(struct dfb *d, struct out *o)
{
	uint64_t n = 1 + rng_below(&rng, rng_below(&rng, 4) == 0 ? 100 : 10);

	if (o->sent == o->claimed && o->claimed + n <= PER_TOPIC) {
		ledger_line("s %llu %s %llu %llu", (unsigned long long)now_ns(), o->topic,
		    (unsigned long long)o->claimed + 1, (unsigned long long)(o->claimed + n));
		o->claimed += n;
	}
	put(d, o);
}

static int
finish(struct dfb *d, size_t n)
{
	uint64_t until = now_ns() + UINT64_C(1000000) * END_MS;
	int bad = 0;

	for (size_t i = 0; i < n; i++) {
		struct out *o = &outs[i];
		while (now_ns() < until && (o->sent < o->claimed ||
		    dfb_producer_pending(o->p) != 0)) {
			put(d, o);
			dfb_wait(d, 10);
			note(o);
		}
		note(o);
		if (o->confirmed != o->claimed || dfb_producer_failures(o->p) != 0) {
			fprintf(stderr, "%s: %s: %llu of %llu confirmed\n", name, o->topic,
			    (unsigned long long)o->confirmed, (unsigned long long)o->claimed);
			bad = 1;
		}
		dfb_producer_close(o->p);
	}
	return bad_status != 0 ? bad_status : bad;
}

int
main(int argc, char **argv)
{
	struct dfb_config cf = { .first_wait_ms = END_MS };
	size_t n = (size_t)argc - 4;
	struct dfb *d;
	int bad;

	if (argc < 5 || n > TOPICS)
		die("usage: producer LEDGER NAME SEED TOPIC...");
	catch_stop();
	ledger_open(argv[1]);
	name = argv[2];
	rng.state = strtoull(argv[3], NULL, 10);
	ledger_line("P %s", name);
	cf.who = name;
	if (dfb_open(&cf, &d) != DFB_OK)
		die("cannot open a client");
	for (size_t i = 0; i < n; i++) {
		outs[i].topic = argv[4 + i];
		if (dfb_producer_open(d, &(struct dfb_producer_config){
		    .dest = outs[i].topic, .window = 1 + (uint32_t)rng_below(&rng, 500),
		    /* By their ids, too: they are looked for after each crash. */
		    .once = rng_below(&rng, 2) == 0,
		    .failed = on_failed, .arg = &outs[i] }, &outs[i].p) != DFB_OK)
			die("cannot open a producer: %s", dfb_error(d));
	}
	while (!stop_asked && bad_status == 0) {
		burst(d, &outs[rng_below(&rng, n)]);
		dfb_wait(d, (int)rng_below(&rng, 4));
		for (size_t i = 0; i < n; i++)
			note(&outs[i]);
	}
	bad = finish(d, n);
	dfb_close(d);
	return bad;
}
