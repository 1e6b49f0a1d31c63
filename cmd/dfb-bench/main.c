#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/opt.h"
#include "dfb-bench/bench.h"
#include "wire/proto.h"
#include "wire/words.h"

#define COUNT 100000
#define COUNT_MAX 1000000000000
#define CLIENTS_MAX 1000
#define WINDOW 1000
#define WINDOW_MAX 10000000
#define CREDIT_MAX 100000
#define RATE_MAX 100000000
#define DURATION_MAX_MS (7 * 24 * 3600 * 1000ull)
#define NONE UINT64_MAX

const char *const bench_modes[] = { "send", "recv", "both", "call", NULL };

enum { RATE = 1000, WARMUP, KEYS, CREDIT, CREATE, QUEUES, DELETE, NO_SERVER, ONCE,
	DIRECT };

static const struct dfb_opt table[] = {
	{ 'c', "clients", "N", "independent clients, a thread each (1)" },
	{ 's', "size", "BYTES", "size of a body (1024)" },
	{ 'w', "window", "N", "messages, or calls, under way per client (1000; call: 1)" },
	{ 'N', "count", "N", "messages in all (100000)" },
	{ 'd', "duration", "TIME", "for so long, instead" },
	{ RATE, "rate", "N", "messages per second in all; 0: as fast as it goes (0)" },
	{ WARMUP, "warmup", "N", "messages before, not measured (1 %; recv: 0)" },
	{ KEYS, "keys", "N", "messages have one of N keys" },
	{ 'H', "header", "NAME=VALUE", "messages have this header (may be repeated)" },
	{ ONCE, "once", NULL, "send, both: each message once, by its id" },
	{ 'g', "group", "NAME", "recv, both: receive as this group (a fresh one)" },
	{ CREDIT, "credit", "N", "messages that a receiver holds at most (1000)" },
	{ CREATE, "create", "HOW", "create the topic first: commit, async or memory" },
	{ QUEUES, "queues", "N", "with so many queues (1)" },
	{ DELETE, "delete", NULL, "delete the topic at the end" },
	{ DIRECT, "direct", NULL, "clients without threads of ZeroMQ's (dfb.h)" },
	{ NO_SERVER, "no-server", NULL, "call: somebody else answers" },
	{ 'J', "json", NULL, "print one line of JSON" },
	DFB_TOOL_OPTIONS,
	{ 0, NULL, NULL, NULL },
};

/* What was given, where 0 is no sign of its absence. */
struct given {
	bool count, duration, rate, keys, credit;
	uint64_t warmup;
};

static void
add_header(struct options *o, const struct dfb_opts *opts)
{
	const char *eq = strchr(opts->arg, '=');
	char name[65];

	if (eq == NULL || (size_t)(eq - opts->arg) >= sizeof name)
		dfb_usage(opts, "--header takes NAME=VALUE, not '%s'", opts->arg);
	snprintf(name, sizeof name, "%.*s", (int)(eq - opts->arg), opts->arg);
	if (dfb_headers_add(o->headers, sizeof o->headers, &o->headers_len, name, eq + 1) !=
	    DFB_OK)
		dfb_usage(opts, "--header '%s': no such header is possible", opts->arg);
}

static void
set(struct options *o, struct given *g, const struct dfb_opts *opts, int letter)
{
	uint64_t ms;

	switch (letter) {
	case 'c': o->clients = (uint32_t)dfb_opt_count(opts, 1, CLIENTS_MAX); break;
	case 's': o->size = dfb_opt_size(opts, 0, DFB_BODY_MAX_LIMIT); break;
	case 'w': o->window = (uint32_t)dfb_opt_count(opts, 1, WINDOW_MAX); break;
	case 'N':
		o->count = dfb_opt_count(opts, 1, COUNT_MAX);
		g->count = true;
		break;
	case 'd':
		if ((ms = dfb_opt_duration(opts)) == 0 || ms > DURATION_MAX_MS)
			dfb_usage(opts, "-d takes a time above 0, of 7 days at most");
		o->duration_ns = ms * 1000000;
		g->duration = true;
		break;
	case RATE:
		o->rate = dfb_opt_count(opts, 0, RATE_MAX);
		g->rate = true;
		break;
	case WARMUP: g->warmup = dfb_opt_count(opts, 0, COUNT_MAX); break;
	case KEYS:
		o->keys = (uint32_t)dfb_opt_count(opts, 1, UINT32_MAX);
		g->keys = true;
		break;
	case 'H': add_header(o, opts); break;
	case 'g': o->group = opts->arg; break;
	case CREDIT:
		o->credit = (uint32_t)dfb_opt_count(opts, 1, CREDIT_MAX);
		g->credit = true;
		break;
	case CREATE: o->durability = opts->arg; break;
	case QUEUES: o->queues = (uint32_t)dfb_opt_count(opts, 1, 1023); break;
	case DELETE: o->delete = true; break;
	case NO_SERVER: o->no_server = true; break;
	case DIRECT: o->tool.direct = true; break;
	case ONCE: o->once = true; break;
	case 'J': o->json = true; break;
	}
}

static void
operands(struct options *o, const struct dfb_opts *opts, int argc, char **argv, int at)
{
	unsigned m = 0;

	if (at == argc)
		dfb_usage(opts, "no mode: send, recv, both or call");
	while (bench_modes[m] != NULL && strcmp(bench_modes[m], argv[at]) != 0)
		m++;
	if (bench_modes[m] == NULL)
		dfb_usage(opts, "'%s' is no mode: send, recv, both or call", argv[at]);
	o->mode = (enum bench_mode)m;
	if (at + 1 == argc)
		dfb_usage(opts, "no topic is given");
	if (at + 2 < argc)
		dfb_usage(opts, "'%s' is one operand too many", argv[at + 2]);
	o->topic = argv[at + 1];
	dfb_tool_check_dest(opts, o->topic);
}

/* What this mode has no use for, but -s and -w: one set of options may serve two modes. */
static void
refuse(const struct options *o, const struct given *g, const struct dfb_opts *opts)
{
	bool receives = o->mode == BENCH_RECV || o->mode == BENCH_BOTH;
	const char *what = NULL;

	if (o->mode == BENCH_RECV)
		what = g->rate ? "--rate" : g->keys ? "--keys" : o->headers_len ? "--header" :
		    o->durability != NULL ? "--create" : NULL;
	if (!receives && o->group != NULL)
		what = "--group";
	if (!receives && g->credit)
		what = "--credit";
	if (o->once && (o->mode == BENCH_RECV || o->mode == BENCH_CALL))
		what = "--once";
	if (o->mode != BENCH_CALL && o->no_server)
		what = "--no-server";
	if (what != NULL)
		dfb_usage(opts, "%s has no use for %s", bench_modes[o->mode], what);
}

static void
check(const struct options *o, const struct given *g, const struct dfb_opts *opts)
{
	const char *d = o->durability;

	refuse(o, g, opts);
	if (g->count && g->duration)
		dfb_usage(opts, "give -N or -d, not both");
	if (o->mode == BENCH_BOTH && o->size < sizeof(struct stamp))
		dfb_usage(opts, "both needs bodies of %zu bytes at least: the time of sending "
		    "is in them", sizeof(struct stamp));
	if (o->group != NULL && !dfb_group_valid(o->group))
		dfb_usage(opts, "'%s' is no group: 1 to 64 letters, digits, '_', '.' or "
		    "'-'", o->group);
	if (d != NULL && strcmp(d, "commit") != 0 && strcmp(d, "async") != 0 &&
	    strcmp(d, "memory") != 0)
		dfb_usage(opts, "--create takes commit, async or memory, not '%s'", d);
	if (o->queues != 0 && d == NULL)
		dfb_usage(opts, "--queues goes with --create");
	if ((d != NULL || o->delete) && dfb_word_kind(o->topic) != DFB_WORD_TOPIC)
		dfb_usage(opts, "%s takes a topic, like A10-bench, not '%s'",
		    d != NULL ? "--create" : "--delete", o->topic);
}

/* One in a hundred, but one for each client: then all are connected. */
static uint64_t
default_warmup(const struct options *o)
{
	uint64_t n;

	if (o->mode == BENCH_RECV)
		return 0;
	if (o->duration_ns == 0)
		n = o->count / 100;
	else if (o->rate != 0)
		n = o->rate * (o->duration_ns / 1000000) / 100000;
	else
		n = (uint64_t)WINDOW * o->clients;
	return n < o->clients ? o->clients : n;
}

static void
parse(struct options *o, struct dfb_opts *opts, int argc, char **argv)
{
	struct given g = { .warmup = NONE };
	int c;

	while ((c = dfb_opts_next(opts, argc, argv)) != -1)
		if (!dfb_tool_option(&o->tool, opts, c))
			set(o, &g, opts, c);
	operands(o, opts, argc, argv, optind);
	check(o, &g, opts);
	if (g.duration)
		o->count = UINT64_MAX;
	if (o->window == 0)
		o->window = o->mode == BENCH_CALL ? 1 : WINDOW;
	if (o->credit == 0)
		o->credit = BENCH_CREDIT;
	o->warmup = g.warmup != NONE ? g.warmup : default_warmup(o);
}

/* ---- a run ---- */

static void
gather(const struct client *list, uint32_t n, struct meter *m)
{
	for (uint32_t i = 0; i < n; i++)
		meter_merge(m, &list[i].meter);
}

static void
say_failures(const struct meter *m)
{
	if (m->failed == 1)
		log_errx("%s", m->why);
	else if (m->failed != 0)
		log_errx("%llu failed; the first: %s", (unsigned long long)m->failed, m->why);
}

/* What was confirmed and did not come. */
static void
count_lost(const struct bench *b, const struct meter *sent, struct meter *m)
{
	char why[128];

	if (b->stop || b->broken || m->count >= sent->count)
		return;
	snprintf(why, sizeof why, "%llu messages were confirmed and did not come",
	    (unsigned long long)(sent->count - m->count));
	meter_fail(m, sent->count - m->count, DFB_TIMEOUT, why);
}

static enum dfb_status
status(const struct bench *b, const struct meter *sent, const struct meter *m)
{
	if (sent != NULL && sent->status != DFB_OK)
		return sent->status;
	if (m->status != DFB_OK)
		return m->status;
	if (b->stop) {
		log_errx("interrupted: this is what was measured until then");
		return DFB_AGAIN;
	}
	return m->count == 0 ? DFB_NO : DFB_OK;
}

static enum dfb_status
conclude(const struct bench *b)
{
	struct meter *m = calloc(2, sizeof *m), *sent = NULL;
	enum dfb_status st;

	if (m == NULL) {
		log_err("cannot report");
		return DFB_OSERR;
	}
	switch (b->opt->mode) {
	case BENCH_BOTH:
		sent = &m[1];
		gather(b->load, b->nload, sent);
		gather(b->servers, b->nservers, m);
		count_lost(b, sent, m);
		say_failures(sent);
		break;
	case BENCH_RECV:
		gather(b->servers, b->nservers, m);
		break;
	default:
		gather(b->load, b->nload, m);
		gather(b->servers, b->nservers, m); /* failures of the echo */
	}
	say_failures(m);
	st = status(b, sent, m);
	if (report(b, m, sent) == -1) {
		log_err("cannot write to stdout");
		st = st == DFB_OK || st == DFB_NO ? DFB_IOERR : st;
	}
	free(m);
	return st;
}

static void
open_clients(struct bench *b, const struct dfb_opts *opts)
{
	const struct options *o = b->opt;

	b->nload = o->mode == BENCH_RECV ? 0 : o->clients;
	b->nservers = o->mode == BENCH_SEND || o->no_server ? 0 :
	    o->mode == BENCH_CALL ? 1 : o->clients;
	b->load = clients_open(b, opts, b->nload);
	b->servers = clients_open(b, opts, b->nservers);
	b->run = arc4random();
	if (o->group != NULL)
		snprintf(b->group, sizeof b->group, "%s", o->group);
	else
		snprintf(b->group, sizeof b->group, "bench-%08x%08x", b->run, arc4random());
}

/* Before the run: 0, or the exit status. */
static enum dfb_status
prepare(const struct options *o, const struct dfb_opts *opts)
{
	struct dfb *d;
	enum dfb_status st;

	if (o->durability == NULL)
		return DFB_OK;
	d = dfb_tool_open(&o->tool, opts);
	st = topic_create(o, d);
	dfb_close(d);
	return st;
}

/* After it; st: how it went. */
static enum dfb_status
clean_up(const struct bench *b, const struct dfb_opts *opts, enum dfb_status st)
{
	const struct options *o = b->opt;
	bool group = b->nservers != 0 && o->group == NULL && st != DFB_NOBODY;
	enum dfb_status removed;
	struct dfb *d;

	if (!o->delete && !group)
		return st;
	d = dfb_tool_open(&o->tool, opts);
	removed = o->delete ? topic_delete(o, d) : group_delete(b, d);
	dfb_close(d);
	return st != DFB_OK ? st : removed;
}

int
main(int argc, char **argv)
{
	struct dfb_opts opts = { .prog = "dfb-bench",
		.synopsis = "send|recv|both|call [options] TOPIC",
		.purpose = "Measure how fast messages are sent, received or both, or calls "
		    "answered.",
		.table = table };
	struct options o = { .clients = 1, .size = 1024, .count = COUNT };
	struct bench b = { .opt = &o };
	enum dfb_status st;

	parse(&o, &opts, argc, argv);
	if ((st = prepare(&o, &opts)) != DFB_OK)
		return (int)st;
	open_clients(&b, &opts);
	bench_run(&b);
	st = conclude(&b);
	clients_close(b.load, b.nload);
	clients_close(b.servers, b.nservers);
	return (int)clean_up(&b, &opts, st);
}
