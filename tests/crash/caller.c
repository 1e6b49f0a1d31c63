/*
 * caller [-r REGION] LEDGER NAME SEED DEST: starts calls, some at a time, until SIGTERM; then waits for all
 * answers.  Fails when one does not come.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dfb.h"
#include "ledger.h"

#define OUT_MAX 20
#define CALLS_MAX 100000
#define CALL_MS 3000
#define END_MS 30000

static const char *name;
static uint64_t started, answered;
static uint64_t numbers[CALLS_MAX + 1];

static void
on_answer(void *arg, enum dfb_status st, const char *why, const struct dfb_msg *reply)
{
	uint64_t n = *(uint64_t *)arg;
	char id[64];
	int len = snprintf(id, sizeof id, "%s:%llu", name, (unsigned long long)n);
	int same = st == DFB_OK && reply->body_len == (size_t)len &&
	    memcmp(reply->body, id, reply->body_len) == 0;
	/* All that may have run says so. */
	int taken = st != DFB_NOBODY || strstr(why, "may have") != NULL;

	answered++;
	ledger_line("w %llu %llu %d %d %d", (unsigned long long)now_ns(),
	    (unsigned long long)n, st, taken, same);
}

static void
call(struct dfb *d, struct dfb_caller *c, const char *topic, struct rng *r)
{
	static char body[BODY_MAX];
	struct dfb_msg m = { .body = body };
	uint64_t n = ++started;

	numbers[n] = n;
	m.body_len = body_make(body, rng_below(r, 2000), &(struct letter){ name, topic, n, 0 });
	ledger_line("q %llu %llu", (unsigned long long)now_ns(), (unsigned long long)n);
	if (dfb_caller_start(c, &m, CALL_MS, on_answer, &numbers[n]) != DFB_OK)
		die("cannot call: %s", dfb_error(d));
}

int
main(int argc, char **argv)
{
	struct dfb_config cf = { .first_wait_ms = END_MS };
	uint64_t until;
	struct dfb_caller *c;
	struct rng rng;
	struct dfb *d;
	int opt;

	while ((opt = getopt(argc, argv, "r:")) == 'r')
		cf.region = optarg;
	argv += optind;
	if (argc - optind != 4)
		die("usage: caller [-r REGION] LEDGER NAME SEED DEST");
	catch_stop();
	ledger_open(argv[0]);
	cf.who = name = argv[1];
	rng.state = strtoull(argv[2], NULL, 10);
	ledger_line("K %s %s", name, plain(argv[3]));
	if (dfb_open(&cf, &d) != DFB_OK || dfb_caller_open(d, argv[3], &c) != DFB_OK)
		die("cannot open a client");
	while (!stop_asked) {
		uint64_t k = rng_below(&rng, 4);
		while (k-- != 0 && started - answered < OUT_MAX && started < CALLS_MAX)
			call(d, c, plain(argv[3]), &rng);
		dfb_wait(d, (int)rng_below(&rng, 8));
	}
	until = now_ns() + UINT64_C(1000000) * END_MS;
	while (answered < started && now_ns() < until)
		dfb_wait(d, 10);
	if (answered < started)
		die("%s: %llu calls were never answered", name,
		    (unsigned long long)(started - answered));
	ledger_line("e %llu", (unsigned long long)now_ns());
	dfb_caller_close(c);
	dfb_close(d);
	return 0;
}
