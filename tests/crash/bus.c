#include "bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "features.h"

#define LABELLED "k1,k3,k5" /* keys that a rule gives the label */
#define RULES_GRAY "qg135"
#define DRAINERS 4

struct client {
	const char *base, *program, *region, *group, *label, *topics;
};

/* p2 may be refused messages; what c5 has, the labelled instance, are those of two keys. */
#define ALL "commit async memory follow gray"
static const struct client clients[PROCS] = {
	[P1] = { "p1", "producer", "A10", NULL, NULL, ALL },
	[P2] = { "p2", "producer", "B20", NULL, NULL, "A10-commit follow ?gray" },
	[O1] = { "o1", "producer", "A10", NULL, NULL, "once" },
	[O2] = { "o2", "producer", "A10", NULL, NULL, "once" },
	[C1] = { "c1", "consumer", "A10", "g1", NULL, ALL },
	[C2] = { "c2", "consumer", "B20", "g1", NULL, ALL },
	[C3] = { "c3", "consumer", "A10", "g2", NULL, ALL },
	[C4] = { "c4", "consumer", "A10", "g1", NULL, "A10-follow gray" },
	[C5] = { "c5", "consumer", "A10", "g1", "v2", "gray" },
	[S1] = { "s1", "consumer", "A10", "serve", NULL, "call" },
	[S2] = { "s2", "consumer", "B20", "serve", NULL, "call" },
	[K1] = { "k1", "caller", "A10", NULL, NULL, "call" },
};

/* Topics that only some brokers can have, or that have a part only then. */
static const struct {
	bool is;
	const char *name, *durability, *queues, *rules;
	bool alone;         /* on a bus of one broker only */
} extra[] = {
	{ HAS_DUE, "later", "commit", "3", "x", false },
	{ HAS_ONCE, "once", "commit", "2", "x", true },
};

static const char *const brokers[BROKERS] = { "a1", "a2", "b1", "b2" };

struct bus bus = { .bin = "build/bin", .segment = "256M", .keeps = true };
struct proc procs[PROCS];

bool
bus_has(enum victim v)
{
	if (v == O1 || v == O2)
		return HAS_ONCE != 0 && !bus.many;
	return v == A1 || v >= BROKERS || bus.many;
}

/* ---- daemons ---- */

static void
start_daemon(enum victim v)
{
	static char program[PROCS][TEXT * 2], bind[PROCS][40];
	struct proc *p = &procs[v];
	const char *name = v < BROKERS ? brokers[v] : "names";
	const char *b_args[] = { program[v], "-N", name, "-R", v < B1 ? "A10" : "B20", "--bind",
		bind[v], "--data", name, "--names", "ipc://names.sock", "--segment", bus.segment,
		"--grow-delay", "15ms", "--shrink-delay", "40ms",
		"--min-free", "1M", "--keep", bus.keeps ? "1s" : "50ms", NULL };
	const char *n_args[] = { program[v], "--bind", bind[v], "--data", name, NULL };

	snprintf(bind[v], sizeof bind[v], "ipc://%s.sock", name);
	if (v < BROKERS && bus.other_broker != NULL)
		snprintf(program[v], sizeof program[v], "%s", bus.other_broker);
	else
		snprintf(program[v], sizeof program[v], "%s/dfb-%s", bus.bin,
		    v < BROKERS ? "broker" : "names");
	proc_name(p);
	if (v < BROKERS)
		memcpy(p->argv, b_args, sizeof b_args);
	else
		memcpy(p->argv, n_args, sizeof n_args);
	proc_start(p);
}

void
bus_ready(void)
{
	for (enum victim v = A1; v <= NAMES; v++)
		if (bus_has(v))
			proc_ready(&procs[v]);
}

static void
stop_daemons(enum victim from, enum victim to)
{
	for (enum victim v = from; v <= to; v++)
		if (bus_has(v)) {
			proc_stop(&procs[v]);
			proc_wait_stopped(&procs[v]);
		}
}

void
bus_restart(void)
{
	stop_daemons(A1, B2);
	for (enum victim v = A1; v <= B2; v++)
		if (bus_has(v))
			start_daemon(v);
	bus_ready();
}

void
bus_stop(void)
{
	stop_daemons(A1, NAMES);
}

/* ---- dfb-ctl ---- */

#define CTL_MAX 16

/* To its end.  sure: which must be good. */
static void
ctl(const char *const *args, bool sure)
{
	static struct proc tool = { .base = "tool", .ready_fd = -1 };
	static char program[TEXT + 16];
	size_t n = 0;

	snprintf(program, sizeof program, "%s/dfb-ctl", bus.bin);
	proc_name(&tool);
	tool.argv[n++] = program;
	while (*args != NULL)
		tool.argv[n++] = *args++;
	tool.argv[n++] = "--timeout";
	tool.argv[n++] = sure ? "30s" : "300ms";
	tool.argv[n] = NULL;
	proc_start(&tool);
	if (sure)
		proc_wait(&tool);
	else
		proc_end(&tool);
}

/* In each region: the word TOPIC is replaced. */
static void
ctl_all(const char *topic, const char *const *args, bool sure)
{
	static const char *const regions[] = { "A10", "B20" };

	for (unsigned i = 0; i < (bus.many ? 2 : 1); i++) {
		const char *copy[CTL_MAX];
		char name[NAME_SIZE];
		size_t n = 0;

		snprintf(name, sizeof name, "%s-%s", regions[i], topic);
		for (; args[n] != NULL; n++)
			copy[n] = strcmp(args[n], "TOPIC") == 0 ? name : args[n];
		copy[n] = NULL;
		ctl(copy, sure);
	}
}

static void
make_topic(const char *topic, const char *durability, const char *queues, const char *rules)
{
	ctl_all(topic, (const char *[]){ "topic", "create", "--durability", durability,
	    "--queues", queues, "--retries", "1000", "--backoff", "5ms", "--retention",
	    bus.keeps ? "7d" : "500ms", "TOPIC", NULL }, true);
	if (bus.limits && strcmp(topic, "call") != 0)
		ctl_all(topic, (const char *[]){ "topic", "set", "--max-depth", "200",
		    "--client-rate", "4000", "TOPIC", NULL }, true);
	ledger_line("o %s %s %s%s", topic, durability, bus.many ? "b" : "-", rules);
}

void
bus_rule(enum rule rule, bool sure)
{
	if (rule == NO_RULE)
		ctl_all("gray", (const char *[]){ "gray", "delete", "TOPIC", "v2", NULL }, sure);
	else
		ctl_all("gray", (const char *[]){ "gray", "set", "TOPIC", "v2", "--keys", LABELLED,
		    "--else", rule == FALLBACK ? "fallback" : "refuse", NULL }, sure);
}

void
bus_pause(bool on, bool sure)
{
	static unsigned turn;

	if (!bus.can_pause || (!on && !bus.paused))
		return;
	bus.paused = on || !sure;
	ctl_all("follow", (const char *[]){ "topic", on ? "pause" : "resume", "TOPIC",
	    on && ++turn % 2 == 0 ? "--sends" : NULL, NULL }, sure);
}

/* A shell command with the tools; what it prints is for the report of a failure. */
static bool
shell(const char *command)
{
	char text[TEXT * 2];

	snprintf(text, sizeof text, "PATH=%s:$PATH; { %s; } >shell.out 2>&1", bus.bin, command);
	return system(text) == 0;
}

void
bus_check_lag(unsigned rounds)
{
	char command[TEXT];

	/* Earlier fresh groups left and never came back. */
	snprintf(command, sizeof command, "dfb-ctl group lag --json --timeout 30s >lag && "
	    "jq -e 'length > 0 and [.[] | select(.lag != 0 and (.group == \"g1\" or .group == \"g2\" or "
	    ".group == \"fresh%u\"))] == []' lag", rounds);
	if (!shell(command))
		fail("something is left in a queue: see the file lag");
}

/* ---- clients ---- */

static void
words(struct proc *p, size_t n, char *text)
{
	for (char *w = strtok(text, " "); w != NULL; w = strtok(NULL, " "))
		p->argv[n++] = w;
	p->argv[n] = NULL;
}

static bool
sends(const struct client *c)
{
	return strcmp(c->program, "producer") == 0;
}

/* Start a client; its choices follow from the life's seed and its own name. */
static void
start_client(struct proc *p, const struct client *c, bool drains)
{
	char path[TEXT * 2], ledger[NAME_SIZE + 8], number[32], topics[TEXT];
	struct rng r = { bus.seed };
	size_t n = 0;

	proc_name(p);
	for (const char *s = p->name; *s != '\0'; s++)
		r.state = rng_next(&r) + (uint64_t)*s;
	snprintf(path, sizeof path, "%s/%s", bus.here, c->program);
	snprintf(ledger, sizeof ledger, "%s.led", p->name);
	snprintf(number, sizeof number, "%llu", (unsigned long long)rng_next(&r));
	snprintf(topics, sizeof topics, "%s%s%s", c->topics,
	    HAS_DUE && strchr(c->topics, ' ') != NULL ? " later" : "",
	    bus_has(O1) && strchr(c->topics, ' ') != NULL && !sends(c) ? " once" : "");
	p->argv[n++] = path;
	p->argv[n++] = "-r";
	p->argv[n++] = bus.many ? c->region : "A10";
	if (sends(c) && bus.many)
		p->argv[n++] = "-m";
	if (c == &clients[O1] || c == &clients[O2]) {
		p->argv[n++] = "-o";
		p->argv[n++] = "pair";
	}
	if (c->label != NULL) {
		p->argv[n++] = "-G";
		p->argv[n++] = c->label;
	}
	if (drains) {
		p->argv[n++] = "-d";
		p->argv[n++] = bus.many ? "4" : "1";
	}
	p->argv[n++] = ledger;
	p->argv[n++] = p->name;
	if (c->group != NULL)
		p->argv[n++] = c->group;
	p->argv[n++] = number;
	words(p, n, topics);
	proc_start(p);
}

void
bus_start(enum victim v)
{
	if (v <= NAMES)
		start_daemon(v);
	else
		start_client(&procs[v], &clients[v], false);
}

/* ---- draining ---- */

/* Each to the end of its topics; with a name that is new each time. */
static void
drain(struct client *c, size_t n)
{
	static struct proc p[DRAINERS];

	for (size_t i = 0; i < n; i++) {
		snprintf(p[i].base, sizeof p[i].base, "drain%zu", i);
		p[i].ready_fd = -1;
		c[i].program = "consumer";
		c[i].region = i % 2 == 0 ? "A10" : "B20";
		start_client(&p[i], &c[i], true);
	}
	for (size_t i = 0; i < n; i++)
		proc_wait(&p[i]);
}

void
bus_drain(unsigned round, enum rule rule)
{
	struct client groups[] = {
		{ .group = "g1", .topics = ALL },
		{ .group = "g2", .topics = ALL },
		{ .group = "g1", .topics = "gray", .label = "v2" },
	};
	char fresh[32];

	if (HAS_DUE != 0 && !shell("for i in $(seq 100); do dfb-ctl topic list --json | "
	    "jq -e 'all(.[]; (.scheduled // 0) == 0)' && exit 0; sleep 0.1; done; exit 1"))
		fail("messages stay scheduled: see shell.out");
	snprintf(fresh, sizeof fresh, "fresh%u", round);
	drain(groups, rule == REFUSE ? 3 : 2);
	if (bus.keeps)
		drain(&(struct client){ .group = fresh, .topics = "commit async follow gray" }, 1);
}

/* ---- the beginning ---- */

static void
choose_setup(struct rng *r)
{
	static const char *const segments[] = { "1M", "2M", "256M" };

	bus.segment = segments[rng_below(r, 3)];
	/* In every fifth life segments go as soon as they are consumed. */
	if (rng_below(r, 5) == 0) {
		bus.segment = segments[0];
		bus.keeps = false;
	}
	bus.many = rng_below(r, 5) < 2 || bus.many;
}

static void
make_topics(struct rng *r)
{
	static const char *const queues[] = { "1", "2", "3", "7" };
	static const char *const follow[] = { "auto", "1-3", "2-4" };

	make_topic("commit", "commit", queues[rng_below(r, 4)], "");
	make_topic("async", "async", queues[rng_below(r, 4)], "");
	make_topic("memory", "memory", queues[rng_below(r, 4)], "");
	make_topic("call", rng_below(r, 4) == 0 ? "commit" : "async", queues[rng_below(r, 3)], "");
	make_topic("follow", "commit", follow[rng_below(r, 3)], "q");
	make_topic("gray", "commit", follow[rng_below(r, 3)], RULES_GRAY);
	for (size_t i = 0; i < sizeof extra / sizeof *extra; i++)
		if (extra[i].is && (!extra[i].alone || !bus.many))
			make_topic(extra[i].name, extra[i].durability, extra[i].queues,
			    extra[i].rules);
}

void
bus_setup(struct rng *r)
{
	for (enum victim v = A1; v < PROCS; v++) {
		procs[v].ready_fd = -1;
		if (v < BROKERS)
			snprintf(procs[v].base, sizeof procs[v].base, "broker-%s", brokers[v]);
		else
			snprintf(procs[v].base, sizeof procs[v].base, "%s",
			    v == NAMES ? "names" : clients[v].base);
		procs[v].daemon = v <= NAMES;
	}
	choose_setup(r);
	bus.can_pause = shell("dfb-ctl topic pause --help");
	bus.limits = rng_below(r, 3) == 0 &&
	    shell("dfb-ctl topic create --help | grep -e --max-depth");
	start_daemon(NAMES);
	for (enum victim v = A1; v <= B2; v++)
		if (bus_has(v))
			start_daemon(v);
	bus_ready();
	make_topics(r);
	/* Groups that exist get what memory topics hold. */
	drain((struct client[]){ { .group = "g1", .topics = ALL },
	    { .group = "g2", .topics = ALL } }, 2);
}
