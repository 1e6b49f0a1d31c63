/*
 * life -s SEED -n ROUNDS -d DIR -b BIN [-B BROKER] [-a AIM] [-4]: the life of one bus in DIR,
 * of some rounds.  In each, clients send, receive and call while daemons and clients are killed
 * at moments that the seed says; then all is drained, and the checker reads the ledgers of all
 * rounds so far.  BIN has the dfb programs, BROKER is another dfb-broker; the harness's own
 * programs are beside this one.  AIM: only "brokers" are struck, or only "takers".  -4: it has
 * four brokers in any case.  Prints a line, and ends with status 0, or 1.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bus.h"

static unsigned round_number, rounds, kills, broker_kills, names_kills;
static enum aim aim;
static uint64_t back_at[PROCS], again_us[PROCS]; /* those who are away */

_Noreturn void
fail(const char *fmt, ...)
{
	va_list ap;

	printf("FAILED seed %llu, its round %u: ", (unsigned long long)bus.seed, round_number);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	procs_end();
	exit(1);
}

/* ---- events ---- */

static void
killed(enum victim v)
{
	proc_kill(&procs[v]);
	kills++;
	broker_kills += v < BROKERS;
	names_kills += v == NAMES;
}

static void
come_back(enum victim v)
{
	back_at[v] = 0;
	bus_start(v);
	if (again_us[v] == 0)
		return;
	usleep((useconds_t)again_us[v]);
	again_us[v] = 0;
	killed(v);
	bus_start(v);
}

/* Whoever is to be back by then; waits for that time. */
static void
until(uint64_t ns)
{
	for (;;) {
		enum victim first = PROCS;
		uint64_t now = now_ns(), next = ns;

		for (enum victim v = A1; v < PROCS; v++)
			if (back_at[v] != 0 && back_at[v] <= next) {
				next = back_at[v];
				first = v;
			}
		if (now < next)
			usleep((useconds_t)((next - now) / 1000));
		if (first == PROCS)
			return;
		come_back(first);
	}
}

static void
all_back(void)
{
	for (enum victim v = A1; v < PROCS; v++)
		if (back_at[v] != 0)
			come_back(v);
}

static void
strike_one(const struct event *e, enum victim v)
{
	struct proc *p = &procs[v];

	if (p->pid == 0)
		return; /* it is away */
	if (e->gently) {
		/* A client waits for its brokers.  One that is not ready does not know SIGTERM yet. */
		if (!p->daemon) {
			all_back();
			bus_ready();
			bus_pause(false, true);
		}
		proc_ready(p);
		proc_stop(p);
		if (p->daemon)
			proc_wait_stopped(p);
		else
			proc_wait(p);
	} else
		killed(v);
	back_at[v] = now_ns() + e->pause_us * 1000;
	again_us[v] = e->twice && p->daemon ? e->twice_us + 1 : 0;
}

static void
strike(const struct event *e)
{
	if (e->who == RULE)
		bus_rule(e->rule, false);
	else if (e->who == PAUSE)
		bus_pause(!bus.paused, false);
	else {
		for (enum victim v = A1; v < BROKERS; v++)
			if (v == e->who || (e->also & 1u << v) != 0)
				strike_one(e, v);
		if (e->who >= BROKERS && bus_has(e->who))
			strike_one(e, e->who);
	}
	until(now_ns());
}

/* ---- a round ---- */

static void
stop_clients(enum victim from, enum victim to)
{
	for (enum victim v = from; v <= to; v++)
		proc_stop(&procs[v]);
	for (enum victim v = from; v <= to; v++)
		proc_wait(&procs[v]);
}

static void
check_ledgers(void)
{
	char cmd[TEXT + 64];

	snprintf(cmd, sizeof cmd, "'%s/checker' *.led >checker.out 2>&1", bus.here);
	if (system(cmd) == 0)
		return;
	fflush(stdout);
	if (system("head -n 20 checker.out") != 0)
		printf("checker.out cannot be read\n");
	fail("the checker found what must not be");
}

static void
look_after(void)
{
	for (enum victim v = A1; v < PROCS; v++)
		if (bus_has(v) && !proc_check(&procs[v]))
			bus_start(v);
}

static void
play(const struct plan *p)
{
	uint64_t begin;

	for (enum victim v = P1; v < PROCS; v++)
		if (bus_has(v))
			bus_start(v);
	begin = now_ns();
	for (unsigned i = 0; i < p->n; i++) {
		until(begin + p->events[i].at_us * 1000);
		look_after();
		strike(&p->events[i]);
	}
	until(begin + p->length_us * 1000);
	all_back();
	bus_ready();
	bus_pause(false, true);
	bus_rule(p->last, true);
	look_after();
	stop_clients(P1, O2);
	stop_clients(K1, K1);
	stop_clients(C1, S2);
	if (p->restart)
		bus_restart();
	bus_drain(round_number, p->last);
	check_ledgers();
}

static enum aim
aim_named(const char *name)
{
	if (strcmp(name, "brokers") == 0)
		return BROKERS_ONLY;
	if (strcmp(name, "takers") == 0)
		return TAKERS;
	die("-a takes brokers or takers, not '%s'", name);
}

static void
options(int argc, char **argv)
{
	const char *dir = NULL;
	int c;

	while ((c = getopt(argc, argv, "s:n:d:b:B:a:4")) != -1)
		switch (c) {
		case 's': bus.seed = strtoull(optarg, NULL, 10); break;
		case 'n': rounds = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'd': dir = optarg; break;
		case 'b': bus.bin = optarg; break;
		case 'B': bus.other_broker = optarg; break;
		case 'a': aim = aim_named(optarg); break;
		case '4': bus.many = true; break;
		default: exit(64);
		}
	if (dir == NULL || bus.bin[0] != '/')
		die("usage: life -s SEED -n ROUNDS -d DIR -b BIN [-B BROKER] [-a AIM] [-4]");
	if (readlink("/proc/self/exe", bus.here, sizeof bus.here - 1) == -1 || chdir(dir) == -1)
		die("cannot use '%s': %s", dir, strerror(errno));
	*strrchr(bus.here, '/') = '\0';
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
	r.state = bus.seed;
	ledger_open("driver.led");
	ledger_line("D %llu", (unsigned long long)bus.seed);
	bus_setup(&r);
	for (round_number = 1; round_number <= rounds; round_number++) {
		plan_make(&plan, &r, bus.many, aim);
		play(&plan);
	}
	round_number = rounds;
	bus_check_lag(rounds);
	bus_stop();
	printf("ok seed %llu, %u rounds, %u kills (%u of brokers, %u of names), %s\n",
	    (unsigned long long)bus.seed, rounds, kills, broker_kills, names_kills,
	    bus.many ? "four brokers" : "one broker");
	return 0;
}
