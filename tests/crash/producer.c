/*
 * producer [-m] [-r REGION] [-o WHO] LEDGER NAME SEED DEST...: sends numbered messages to all
 * destinations in bursts, until SIGTERM; then waits for all confirms.  Fails when a message
 * failed; status 69 when that is because it began while no broker was up.  A destination
 * that begins with '?' may refuse messages.  -m: there are several brokers, so that what is
 * confirmed need not be what was sent first.  Messages to "later" are due a little later.  -o:
 * sends as WHO, who may be several processes: the same messages with the same ids, each
 * stored once.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dfb.h"
#include "features.h"
#include "ledger.h"

#define TOPICS 8
#define PER_TOPIC 3000 /* enough for a round */
#define END_MS 30000
#define LATER_MS 400 /* at most; the driver waits for that */

struct out {
	const char *topic;
	bool may_refuse;
	struct dfb_producer *p;
	uint64_t sent;    /* given to the library */
	uint64_t claimed; /* written down as about to be sent */
	uint64_t confirmed;
};

static struct out outs[TOPICS];
static const char *name, *who;
static bool many, hasty; /* hasty: soon gives up waiting for a broker that is away */
static struct rng rng;
static int bad_status;

static void
on_failed(void *arg, uint64_t n, enum dfb_status st, const char *why)
{
	struct out *o = arg;

	ledger_line("f %llu %s %llu", (unsigned long long)now_ns(), o->topic,
	    (unsigned long long)n);
	if (o->may_refuse && st == DFB_AGAIN)
		return;
	fprintf(stderr, "%s: message %llu to %s failed: %d, %s\n", name,
	    (unsigned long long)n, o->topic, st, why);
	bad_status = bad_status != 1 && unknown_topic((int)st, why) ?
	    DFB_NOBODY : 1;
}

static void
note(struct out *o)
{
	uint64_t n = dfb_producer_taken(o->p) - dfb_producer_pending(o->p);

	if (n == o->confirmed || (many && dfb_producer_pending(o->p) != 0))
		return;
	o->confirmed = n;
	ledger_line("c %llu %s %llu", (unsigned long long)now_ns(), o->topic,
	    (unsigned long long)n);
}

/* Scheduled, and with ids that the number says. */
static uint64_t
extras(struct dfb_msg *m, const char *topic, uint64_t number, struct rng *r)
{
	uint64_t due = 0;

#if HAS_DUE
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (strcmp(topic, "later") == 0 && rng_below(r, 4) != 0)
		due = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 +
		    rng_below(r, LATER_MS);
	m->due_ms = due;
#endif
	if (who != NULL) {
		struct rng id = { number };
		for (const char *s = who; *s != '\0'; s++)
			id.state = rng_next(&id) + (uint64_t)*s;
		for (size_t i = 0; i < sizeof m->id.b; i++)
			m->id.b[i] = (uint8_t)rng_next(&id);
	}
	(void)topic;
	(void)r;
	return due;
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
		uint64_t due = extras(&m, o->topic, o->sent + 1, &one);

		m.body_len = body_make(body, size, &(struct letter){ who != NULL ? who : name,
		    o->topic, o->sent + 1, due });
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
		if (o->confirmed != o->claimed ||
		    (dfb_producer_failures(o->p) != 0 && !o->may_refuse)) {
			fprintf(stderr, "%s: %s: %llu of %llu confirmed\n", name, o->topic,
			    (unsigned long long)o->confirmed, (unsigned long long)o->claimed);
			bad = 1;
		}
		dfb_producer_close(o->p);
	}
	return bad_status != 0 ? bad_status : bad;
}

static void
open_out(struct dfb *d, struct out *o, const char *dest)
{
	o->may_refuse = *dest == '?';
	dest += o->may_refuse;
	o->topic = plain(dest);
	if (dfb_producer_open(d, &(struct dfb_producer_config){ .dest = dest,
	    .window = 1 + (uint32_t)rng_below(&rng, 500), .no_wait = o->may_refuse,
#if HAS_ONCE /* half of the others, too: ids are looked for after each crash */
	    .once = who != NULL || rng_below(&rng, 2) == 0,
#endif
#if HAS_MAYBE
	    .failover_ms = hasty ? 1 + rng_below(&rng, 150) : UINT64_MAX,
#endif
	    .failed = on_failed, .arg = o }, &o->p) != DFB_OK)
		die("cannot open a producer: %s", dfb_error(d));
}

static void
options(int *argc, char ***argv, struct dfb_config *cf)
{
	int c;

	while ((c = getopt(*argc, *argv, "mr:o:")) != -1)
		switch (c) {
		case 'm': many = true; break;
		case 'r': cf->region = optarg; break;
		case 'o': who = optarg; break;
		default: exit(64);
		}
	*argc -= optind;
	*argv += optind;
	if (*argc < 4 || *argc - 3 > TOPICS)
		die("usage: producer [-m] [-r REGION] [-o WHO] LEDGER NAME SEED DEST...");
}

int
main(int argc, char **argv)
{
	struct dfb_config cf = { .first_wait_ms = END_MS };
	struct dfb *d;
	size_t n;
	int bad;

	options(&argc, &argv, &cf);
	n = (size_t)argc - 3;
	catch_stop();
	ledger_open(argv[0]);
	name = argv[1];
	rng.state = strtoull(argv[2], NULL, 10);
	hasty = HAS_MAYBE && many && rng_below(&rng, 3) == 0;
	ledger_line("P %s%s", who != NULL ? who : name, hasty ? " hasty" : "");
	cf.who = name;
	if (dfb_open(&cf, &d) != DFB_OK)
		die("cannot open a client");
	for (size_t i = 0; i < n; i++)
		open_out(d, &outs[i], argv[3 + i]);
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
