/*
 * life -s SEED -n ROUNDS -d DIR -b BIN [-B BROKER]: the life of one bus in DIR, of some
 * rounds.  In each, clients send, receive and call while daemons and clients are killed at
 * moments that the seed says; then all is drained, and the checker reads the ledgers of all
 * rounds so far.  BIN has the dfb programs, BROKER is another dfb-broker; the harness's own
 * programs are beside this one.  Prints a line, and ends with status 0, or 1.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "life.h"

#define EVENTS_MAX 8
#define GROUPS 2

enum victim { BROKER, NAMES, P1, P2, C1, C2, C3, S1, S2, K1, PROCS };

struct event {
	uint64_t at_us;         /* since the round began */
	enum victim who;
	bool gently;            /* SIGTERM and wait */
	uint64_t pause_us;      /* until it is started again */
	bool twice;             /* killed again while it starts */
	uint64_t twice_us;
};

struct plan {
	unsigned n;
	struct event events[EVENTS_MAX];
	uint64_t length_us;
	bool restart;           /* the broker is stopped and started before the draining */
};

struct client {
	const char *base, *program, *flag, *group, *topics;
};

#define DATA_TOPICS "A10-commit A10-async A10-memory"

static const struct client clients[PROCS] = {
	[P1] = { "p1", "producer", NULL, NULL, DATA_TOPICS },
	[P2] = { "p2", "producer", NULL, NULL, "A10-commit" },
	[C1] = { "c1", "consumer", NULL, "g1", DATA_TOPICS },
	[C2] = { "c2", "consumer", NULL, "g1", DATA_TOPICS },
	[C3] = { "c3", "consumer", NULL, "g2", DATA_TOPICS },
	[S1] = { "s1", "consumer", NULL, "serve", "A10-call" },
	[S2] = { "s2", "consumer", NULL, "serve", "A10-call" },
	[K1] = { "k1", "caller", NULL, NULL, "A10-call" },
};

static struct proc procs[PROCS];
static uint64_t seed;
static unsigned round_number, rounds, kills, kills_of[PROCS];
static const char *bin = "build/bin", *other_broker;
static char here[TEXT], broker[TEXT], names[TEXT];
static const char *segment = "256M";
static bool keeps = true; /* topics keep what is consumed, for fresh groups */

_Noreturn void
fail(const char *fmt, ...)
{
	va_list ap;

	printf("FAILED seed %llu, its round %u: ", (unsigned long long)seed, round_number);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	procs_end();
	exit(1);
}

/* ---- daemons ---- */

static void
start_daemon(enum victim who)
{
	struct proc *p = &procs[who];
	const char *b_args[] = { broker, "-N", "b1", "-R", "A10", "--bind", "ipc://b1.sock",
		"--data", "b1", "--names", "ipc://names.sock", "--segment", segment,
		"--min-free", "1M", "--keep", keeps ? "1s" : "50ms", NULL };
	const char *n_args[] = { names, "--bind", "ipc://names.sock", "--data", "names", NULL };

	proc_name(p);
	if (who == BROKER)
		memcpy(p->argv, b_args, sizeof b_args);
	else
		memcpy(p->argv, n_args, sizeof n_args);
	proc_start(p);
}

/* A program of the harness or of dfb, to its end. */
static void
run_tool(const char *path, const char *const *args)
{
	static struct proc tool = { .base = "tool", .ready_fd = -1 };
	size_t n = 0;

	proc_name(&tool);
	tool.argv[n++] = path;
	while (*args != NULL)
		tool.argv[n++] = *args++;
	tool.argv[n] = NULL;
	proc_start(&tool);
	proc_wait(&tool);
}

static void
make_topic(const char *topic, const char *durability, const char *queues)
{
	char ctl[TEXT + 16];

	snprintf(ctl, sizeof ctl, "%s/dfb-ctl", bin);
	run_tool(ctl, (const char *[]){ "topic", "create", "--timeout", "30s", "--durability",
	    durability, "--queues", queues, "--retries", "1000", "--backoff", "5ms",
	    "--retention", keeps ? "7d" : "500ms", topic, NULL });
	ledger_line("o %s %s", topic, durability);
}

/* ---- clients ---- */

static void
words(struct proc *p, size_t n, char *text)
{
	for (char *w = strtok(text, " "); w != NULL; w = strtok(NULL, " "))
		p->argv[n++] = w;
	p->argv[n] = NULL;
}

/* Start a client; its choices follow from the life's seed and its own name. */
static void
start(struct proc *p, const struct client *c)
{
	char path[TEXT * 2], ledger[NAME_SIZE + 8], number[32], topics[TEXT];
	struct rng r = { seed };
	size_t n = 0;

	proc_name(p);
	for (const char *s = p->name; *s != '\0'; s++)
		r.state = rng_next(&r) + (uint64_t)*s;
	snprintf(path, sizeof path, "%s/%s", here, c->program);
	snprintf(ledger, sizeof ledger, "%s.led", p->name);
	snprintf(number, sizeof number, "%llu", (unsigned long long)rng_next(&r));
	snprintf(topics, sizeof topics, "%s", c->topics);
	p->argv[n++] = path;
	if (c->flag != NULL)
		p->argv[n++] = c->flag;
	p->argv[n++] = ledger;
	p->argv[n++] = p->name;
	if (c->group != NULL)
		p->argv[n++] = c->group;
	p->argv[n++] = number;
	words(p, n, topics);
	proc_start(p);
}

/* Each of the groups, to the end of its topics; with a name that is new each time. */
static void
drain(const char *const *groups, size_t n, const char *topics)
{
	static struct proc p[GROUPS + 1];

	for (size_t i = 0; i < n; i++) {
		struct client c = { p[i].base, "consumer", "-d", groups[i], topics };
		snprintf(p[i].base, sizeof p[i].base, "drain%zu", i);
		p[i].ready_fd = -1;
		start(&p[i], &c);
	}
	for (size_t i = 0; i < n; i++)
		proc_wait(&p[i]);
}

/* ---- a round ---- */

static enum victim
choose_victim(struct rng *r, unsigned mode)
{
	static const enum victim any[] = { BROKER, BROKER, BROKER, NAMES, P1, P2, C1, C2, C3, S1,
		S2, K1 };
	static const enum victim some[] = { P1, P2, C1, C1, C2, C3, S1, S2, K1 };

	switch (mode) {
	case 0: return BROKER;
	case 1: return some[rng_below(r, sizeof some / sizeof *some)];
	default: return any[rng_below(r, sizeof any / sizeof *any)];
	}
}

static int
by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return x->at_us < y->at_us ? -1 : x->at_us > y->at_us;
}

/* All choices of a round at once: what happens later cannot change them. */
static void
make_plan(struct plan *p, struct rng *r)
{
	unsigned mode = (unsigned)rng_below(r, 5);

	*p = (struct plan){ .n = 2 + (unsigned)rng_below(r, EVENTS_MAX - 1),
		.length_us = 250000 + rng_below(r, 300000), .restart = rng_below(r, 4) == 0 };
	for (unsigned i = 0; i < p->n; i++)
		p->events[i] = (struct event){ .at_us = rng_below(r, p->length_us),
			.who = choose_victim(r, mode), .gently = rng_below(r, 8) == 0,
			.pause_us = rng_below(r, 3) == 0 ? rng_below(r, 50000) : 0,
			.twice = rng_below(r, 3) == 0, .twice_us = rng_below(r, 25000) };
	qsort(p->events, p->n, sizeof *p->events, by_time);
}

static void
start_again(enum victim who)
{
	if (who == BROKER || who == NAMES)
		start_daemon(who);
	else
		start(&procs[who], &clients[who]);
}

static void
killed(enum victim who)
{
	proc_kill(&procs[who]);
	kills++;
	kills_of[who]++;
}

static void
strike(const struct event *e)
{
	struct proc *p = &procs[e->who];

	if (e->gently) {
		/* One that is not ready does not know SIGTERM yet. */
		proc_ready(p);
		proc_stop(p);
		if (e->who == BROKER || e->who == NAMES)
			proc_wait_stopped(p);
		else
			proc_wait(p);
	} else
		killed(e->who);
	if (e->pause_us != 0)
		usleep((useconds_t)e->pause_us);
	start_again(e->who);
	if (e->twice && (e->who == BROKER || e->who == NAMES)) {
		usleep((useconds_t)e->twice_us);
		killed(e->who);
		start_again(e->who);
	}
}

static void
until(uint64_t ns)
{
	uint64_t now = now_ns();

	if (now < ns)
		usleep((useconds_t)((ns - now) / 1000));
}

static void
stop_clients(const enum victim *who, size_t n)
{
	for (size_t i = 0; i < n; i++)
		proc_stop(&procs[who[i]]);
	for (size_t i = 0; i < n; i++)
		proc_wait(&procs[who[i]]);
}

static void
restart_broker(void)
{
	proc_stop(&procs[BROKER]);
	proc_wait_stopped(&procs[BROKER]);
	start_daemon(BROKER);
	proc_ready(&procs[BROKER]);
}

static void
check_ledgers(void)
{
	char cmd[TEXT + 64];

	snprintf(cmd, sizeof cmd, "'%s/checker' *.led >checker.out 2>&1", here);
	if (system(cmd) == 0)
		return;
	fflush(stdout);
	if (system("head -n 20 checker.out") != 0)
		printf("checker.out cannot be read\n");
	fail("the checker found what must not be");
}

static void
play(const struct plan *p)
{
	static const enum victim senders[] = { P1, P2, K1 };
	static const enum victim takers[] = { C1, C2, C3, S1, S2 };
	char fresh[32];
	uint64_t begin;

	for (enum victim v = P1; v < PROCS; v++)
		start(&procs[v], &clients[v]);
	begin = now_ns();
	for (unsigned i = 0; i < p->n; i++) {
		until(begin + p->events[i].at_us * 1000);
		for (enum victim v = BROKER; v < PROCS; v++)
			if (!proc_check(&procs[v]))
				start(&procs[v], &clients[v]);
		strike(&p->events[i]);
	}
	until(begin + p->length_us * 1000);
	proc_ready(&procs[NAMES]);
	proc_ready(&procs[BROKER]);
	stop_clients(senders, 3);
	stop_clients(takers, 5);
	if (p->restart)
		restart_broker();
	snprintf(fresh, sizeof fresh, "fresh%u", round_number);
	drain((const char *[]){ "g1", "g2" }, 2, DATA_TOPICS);
	if (keeps)
		drain((const char *[]){ fresh }, 1, "A10-commit A10-async");
	check_ledgers();
}

/* ---- a life ---- */

static void
setup(struct rng *r)
{
	static const char *const segments[] = { "1M", "2M", "256M" };
	static const char *const queues[] = { "1", "2", "3", "7" };

	struct rng other = { ~seed };

	segment = segments[rng_below(r, 3)];
	/* In every fifth life segments go as soon as they are consumed. */
	if (rng_below(&other, 5) == 0) {
		segment = segments[0];
		keeps = false;
	}
	for (enum victim v = P1; v < PROCS; v++)
		snprintf(procs[v].base, sizeof procs[v].base, "%s", clients[v].base);
	for (enum victim v = BROKER; v < PROCS; v++)
		procs[v].ready_fd = -1;
	snprintf(procs[BROKER].base, sizeof procs[BROKER].base, "broker");
	snprintf(procs[NAMES].base, sizeof procs[NAMES].base, "names");
	procs[BROKER].daemon = procs[NAMES].daemon = true;
	start_daemon(NAMES);
	start_daemon(BROKER);
	proc_ready(&procs[NAMES]);
	proc_ready(&procs[BROKER]);
	make_topic("A10-commit", "commit", queues[rng_below(r, 4)]);
	make_topic("A10-async", "async", queues[rng_below(r, 4)]);
	make_topic("A10-memory", "memory", queues[rng_below(r, 4)]);
	make_topic("A10-call", rng_below(r, 4) == 0 ? "commit" : "async",
	    queues[rng_below(r, 3)]);
	/* Groups that exist get what memory topics hold. */
	drain((const char *[]){ "g1", "g2" }, 2, DATA_TOPICS);
}

static void
options(int argc, char **argv)
{
	const char *dir = NULL;
	int c;

	while ((c = getopt(argc, argv, "s:n:d:b:B:")) != -1)
		switch (c) {
		case 's': seed = strtoull(optarg, NULL, 10); break;
		case 'n': rounds = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'd': dir = optarg; break;
		case 'b': bin = optarg; break;
		case 'B': other_broker = optarg; break;
		default: exit(64);
		}
	if (dir == NULL || bin[0] != '/')
		die("usage: life -s SEED -n ROUNDS -d DIR -b BIN [-B BROKER]");
	if (readlink("/proc/self/exe", here, sizeof here - 1) == -1 || chdir(dir) == -1)
		die("cannot use '%s': %s", dir, strerror(errno));
	*strrchr(here, '/') = '\0';
	snprintf(broker, sizeof broker, "%s%s", other_broker != NULL ? other_broker : bin,
	    other_broker != NULL ? "" : "/dfb-broker");
	snprintf(names, sizeof names, "%s/dfb-names", bin);
	setenv("DFB_NAMES", "ipc://names.sock", 1);
	setenv("DFB_REGION", "A10", 1);
}

int
main(int argc, char **argv)
{
	struct plan plan;
	struct rng r;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	options(argc, argv);
	r.state = seed;
	ledger_open("driver.led");
	ledger_line("D %llu", (unsigned long long)seed);
	setup(&r);
	for (round_number = 1; round_number <= rounds; round_number++) {
		make_plan(&plan, &r);
		play(&plan);
	}
	round_number = rounds;
	proc_stop(&procs[BROKER]);
	proc_wait_stopped(&procs[BROKER]);
	proc_stop(&procs[NAMES]);
	proc_wait_stopped(&procs[NAMES]);
	printf("ok seed %llu, %u rounds, %u kills (%u of the broker, %u of names)\n",
	    (unsigned long long)seed, rounds, kills, kills_of[BROKER], kills_of[NAMES]);
	return 0;
}
