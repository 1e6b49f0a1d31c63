/*
 * A gsl with a large catalogue: bench_locate DIRECTORY-OF-PROGRAMS [SERVICES [REGIONS]], 10000 and
 * 50 by default.  It starts a name server and a gsl in a directory of its own, is the sgs itself,
 * and prints
 *   pull     how long a full copy takes, from FOLLOW to FOLLOWED, and the gsl's memory then
 *   locate   LOCATE, one at a time, of all services and regions in turn, beside a bare ROUTER
 *            that answers the same question with as many bytes: percentiles in us; turns
 *            of both alternate, and the ratio is the median of the turns'
 *   watch    until a change has reached 100 clients that watch, from CATALOG, in ms
 *   again    how long a gsl that was started anew takes until it is ready, from its disk
 * ZeroMQ as it is, without lib/net, on this side of both.  Where threads wake up decides a good part of
 * the ratio: "taskset -c 0 bench_locate ..." compares what both cost.
 */
#include <err.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "base/buf.h"
#include "base/clock.h"
#include "meter.h"
#include "wire/proto.h"

#define CATALOG 7
#define FRAME_BYTES (1u << 20)
#define TURNS 10
#define CALLS 2000      /* of a turn */
#define WATCHERS 100
#define CHANGES 50

static char dir[] = "/tmp/dfb-bench-locate.XXXXXX";
static const char *bin;
static unsigned services = 10000, regions = 50;
static void *ctx;
static zmq_msg_t in;
static struct dfb_proto m; /* the last that came */

/* ---- sockets ---- */

static const char *
at(const char *name)
{
	static char text[4][128];
	static unsigned i;

	snprintf(text[++i % 4], sizeof text[0], "ipc://%s/%s", dir, name);
	return text[i % 4];
}

static void *
dealer(const char *name)
{
	void *s = zmq_socket(ctx, ZMQ_DEALER);
	int none = 0;

	zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none);
	meter_check(zmq_connect(s, at(name)) == 0, "connect");
	return s;
}

/* peer NULL: of a DEALER. */
static void
say(void *s, const zmq_msg_t *peer, const struct dfb_proto *out)
{
	struct dfb_buf buf = { 0 };

	meter_check(dfb_proto_encode(out, &buf) == 0, "encode");
	if (peer != NULL)
		meter_check(zmq_send(s, zmq_msg_data((zmq_msg_t *)(uintptr_t)peer),
		    zmq_msg_size(peer), ZMQ_SNDMORE) != -1, "send");
	meter_check(zmq_send(s, buf.data, buf.len, 0) != -1, "send");
	dfb_buf_release(&buf);
}

/* The next frame. */
static int
hear(void *s)
{
	const char *why;

	meter_check(zmq_msg_recv(&in, s, 0) != -1, "receive");
	meter_check(dfb_proto_decode(zmq_msg_data(&in), zmq_msg_size(&in), &m, &why) == 0,
	    "a malformed frame");
	if (m.type == DFB_M_ERROR)
		errx(1, "refused: %.*s", (int)m.error.reason.len, m.error.reason.p);
	return m.type;
}

static void
hear_type(void *s, int type)
{
	while (hear(s) != type)
		;
}

static void *
session(const char *name)
{
	void *s = dealer(name);

	say(s, NULL, &(struct dfb_proto){ .type = DFB_M_HELLO, .req = 1, .hello = {
	    .proto = DFB_PROTO_VERSION, .role = dfb_str("client"),
	    .who = dfb_str("bench"), .region = dfb_str("R00") } });
	hear_type(s, DFB_M_WELCOME);
	return s;
}

/* ---- programs ---- */

static pid_t
start(const char *prog, const char *name, const char *const *more)
{
	char path[512], data[128], text[16];
	const char *argv[32] = { path, "-q", "--ready-fd", "9", "--data", data, "--bind",
		at(name) };
	int ready[2], n = 8;
	pid_t pid;

	snprintf(path, sizeof path, "%s/%s", bin, prog);
	snprintf(data, sizeof data, "%s/%s.d", dir, name);
	while (*more != NULL)
		argv[n++] = *more++;
	meter_check(pipe(ready) == 0, "pipe");
	if ((pid = meter_fork()) == 0) {
		dup2(ready[1], 9);
		close_range(10, ~0u, 0);
		execv(path, (char *const *)(uintptr_t)argv);
		_exit(99);
	}
	close(ready[1]);
	meter_check(read(ready[0], text, sizeof text) == 6, prog);
	close(ready[0]);
	return pid;
}

static pid_t
start_gsl(void)
{
	return start("dfb-gsl", "gsl", (const char *const[]){ "--region", "R00", "--names",
	    at("names"), NULL });
}

/* A field of /proc/PID/status in MB. */
static double
memory(pid_t pid, const char *field)
{
	char path[64], line[256];
	double kb = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	meter_check((f = fopen(path, "r")) != NULL, path);
	while (fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, field, strlen(field)) == 0)
			kb = strtod(line + strlen(field), NULL);
	fclose(f);
	return kb / 1024;
}

/* Processor time it has used, in seconds. */
static double
cpu(pid_t pid)
{
	char path[64], line[1024], *p;
	unsigned long user = 0, sys = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	meter_check((f = fopen(path, "r")) != NULL && fgets(line, sizeof line, f) != NULL,
	    path);
	fclose(f);
	if ((p = strrchr(line, ')')) != NULL)
		sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		    &sys);
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* ---- the sgs: a thread, that answers FOLLOW at any time, passes on what main() sends and hands
 * it what it shall wait for ---- */

static void *sgs; /* main's end: frames both ways */
static atomic_uint_least64_t version; /* complete at the gsl */

static void
from_gsl(void *s, void *pair, zmq_msg_t *peer)
{
	zmq_msg_t f;
	struct dfb_proto p;
	const char *why;

	zmq_msg_init(&f);
	meter_check(zmq_msg_recv(peer, s, 0) != -1 && zmq_msg_recv(&f, s, 0) != -1 &&
	    dfb_proto_decode(zmq_msg_data(&f), zmq_msg_size(&f), &p, &why) == 0, "receive");
	if (p.type == DFB_M_FOLLOW && version != 0)
		say(s, peer, &(struct dfb_proto){ .type = DFB_M_CATALOG, .req = p.req,
		    .catalog = { .catalog = CATALOG, .version = version,
		    .flags = DFB_CATALOG_COMPLETE } });
	else if (p.type == DFB_M_FOLLOW || p.type == DFB_M_FOLLOWED)
		zmq_msg_send(&f, pair, 0);
	zmq_msg_close(&f);
}

static void *
run_sgs(void *bound)
{
	void *pair = zmq_socket(ctx, ZMQ_PAIR);
	zmq_pollitem_t items[] = { { .socket = bound, .events = ZMQ_POLLIN },
		{ .socket = pair, .events = ZMQ_POLLIN } };
	zmq_msg_t peer, f, to;

	meter_check(zmq_connect(pair, "inproc://sgs") == 0, "connect");
	zmq_msg_init(&peer);
	zmq_msg_init(&f);
	zmq_msg_init(&to);
	for (;;) {
		meter_check(zmq_poll(items, 2, -1) > 0, "poll");
		if (items[0].revents & ZMQ_POLLIN)
			from_gsl(bound, pair, &peer);
		if (items[1].revents & ZMQ_POLLIN) {
			zmq_msg_recv(&f, pair, 0);
			zmq_msg_copy(&to, &peer);
			zmq_msg_send(&to, bound, ZMQ_SNDMORE);
			zmq_msg_send(&f, bound, 0);
		}
	}
	return NULL;
}

static void
start_sgs(void)
{
	void *bound = zmq_socket(ctx, ZMQ_ROUTER);
	pthread_t thread;
	int none = 0;

	sgs = zmq_socket(ctx, ZMQ_PAIR);
	zmq_setsockopt(sgs, ZMQ_SNDHWM, &none, sizeof none);
	zmq_setsockopt(bound, ZMQ_SNDHWM, &none, sizeof none);
	meter_check(zmq_bind(bound, at("sgs")) == 0 && zmq_bind(sgs, "inproc://sgs") == 0 &&
	    pthread_create(&thread, NULL, run_sgs, bound) == 0, "start");
}

static void
enroll(void)
{
	void *s = session("names");
	struct dfb_buf list = { 0 };

	dfb_offer_add(&list, &(struct dfb_m_offer){ .up = 1, .topic = dfb_str("%SGS") });
	say(s, NULL, &(struct dfb_proto){ .type = DFB_M_ENROLL, .req = 2, .enroll = {
	    .kind = dfb_str("sgs"), .name = dfb_str("sgs"), .endpoint = dfb_str(at("sgs")),
	    .incarnation = 1, .lease_ms = 600000, .state = DFB_STATE_UP, .full = 1,
	    .offers = { list.data, list.len } } });
	hear_type(s, DFB_M_DONE);
	dfb_buf_release(&list);
}

static void
add_service(struct dfb_buf *list, unsigned i, uint64_t v, unsigned online)
{
	struct dfb_buf json = { 0 };
	char name[32];

	snprintf(name, sizeof name, "service%05u", i);
	dfb_buf_addf(&json, "{\"service\":\"%s\",\"state\":\"approved\",\"version\":%ju,"
	    "\"description\":\"one of many\",\"owner\":\"bench\",\"regions\":{", name,
	    (uintmax_t)v);
	for (unsigned r = 0; r < regions; r++)
		dfb_buf_addf(&json, "%s\"R%02u\":{\"state\":\"%s\",\"weight\":100,"
		    "\"since_ms\":1764000000000}", r != 0 ? "," : "", r,
		    r < online ? "online" : "suspended");
	dfb_buf_addf(&json, "}}");
	meter_check(dfb_entry_add(list, &(struct dfb_m_entry){ .kind = 1,
	    .name = dfb_str(name), .version = v,
	    .json = { json.data, json.len } }) == 0, "memory");
	dfb_buf_release(&json);
}

static void
add_distances(struct dfb_buf *list)
{
	struct dfb_buf json = { 0 };

	dfb_buf_addf(&json, "{\"version\":1,\"distances\":{");
	for (unsigned a = 0; a < regions; a++) {
		dfb_buf_addf(&json, "%s\"R%02u\":{", a != 0 ? "," : "", a);
		for (unsigned b = 0; b < regions; b++)
			dfb_buf_addf(&json, "%s\"R%02u\":%u", b != 0 ? "," : "", b,
			    a < b ? b - a : a - b);
		dfb_buf_addf(&json, "}");
	}
	dfb_buf_addf(&json, "}}");
	meter_check(dfb_entry_add(list, &(struct dfb_m_entry){ .kind = 3,
	    .name = dfb_str("*"), .version = 1, .json = { json.data, json.len } }) == 0,
	    "memory");
	dfb_buf_release(&json);
}

static void
catalog(struct dfb_buf *list, uint64_t v, unsigned flags)
{
	if ((flags & DFB_CATALOG_COMPLETE) != 0)
		version = v;
	say(sgs, NULL, &(struct dfb_proto){ .type = DFB_M_CATALOG, .catalog = {
	    .catalog = CATALOG, .version = v, .flags = (uint8_t)flags,
	    .entries = { list->data, list->len } } });
	list->len = 0;
}

static void
pull(pid_t gsl)
{
	struct dfb_buf *parts = calloc(services + 2, sizeof *parts);
	size_t n = 0, bytes = 0;
	uint64_t begin;

	meter_check(parts != NULL, "memory");
	for (unsigned i = 0; i < services; i++) {
		add_service(&parts[n], i, 1, regions);
		if (parts[n].len > FRAME_BYTES)
			n++;
	}
	add_distances(&parts[n]);
	begin = dfb_mono_ns();
	for (size_t i = 0; i <= n; i++) {
		bytes += parts[i].len;
		catalog(&parts[i], 1, (i == 0 ? DFB_CATALOG_FULL : 0) |
		    (i == n ? DFB_CATALOG_COMPLETE : 0u));
		dfb_buf_release(&parts[i]);
	}
	hear_type(sgs, DFB_M_FOLLOWED);
	printf("pull    %u services in %u regions, %.1f MB: %.3f s", services, regions,
	    (double)bytes / 1e6, (double)(dfb_mono_ns() - begin) / 1e9);
	fflush(stdout);
	free(parts);
	sleep(1); /* its thread has written */
	printf(" (%.2f s of processor); gsl has %.1f MB, %.1f MB at most\n", cpu(gsl),
	    memory(gsl, "VmRSS:"), memory(gsl, "VmHWM:"));
}

/* ---- LOCATE ---- */

/* Answers what comes with size bytes. */
static _Noreturn void
bare_router(size_t size)
{
	void *s = zmq_socket(zmq_ctx_new(), ZMQ_ROUTER);
	char *out = calloc(1, size);
	zmq_msg_t peer, frame;

	meter_check(zmq_bind(s, at("bare")) == 0 && out != NULL, "bind");
	zmq_msg_init(&peer);
	zmq_msg_init(&frame);
	for (;;) {
		meter_check(zmq_msg_recv(&peer, s, 0) != -1 &&
		    zmq_msg_recv(&frame, s, 0) != -1, "receive");
		zmq_msg_send(&peer, s, ZMQ_SNDMORE);
		zmq_send(s, out, size, 0);
		zmq_msg_init(&peer);
	}
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

struct turn {
	double p50, p99;
};

static double ratio[TURNS];
static uint64_t all[2][TURNS * CALLS];

static void
turn(void *s, unsigned number, bool bare, struct turn *t)
{
	uint64_t *ns = all[bare] + number * CALLS;
	static unsigned next;

	for (unsigned i = 0; i < CALLS; i++) {
		char service[32], region[4];
		uint64_t begin;

		snprintf(service, sizeof service, "service%05u", next * 7919 % services);
		snprintf(region, sizeof region, "R%02u", next % regions % 100);
		next++;
		begin = dfb_mono_ns();
		say(s, NULL, &(struct dfb_proto){ .type = DFB_M_LOCATE, .req = i + 10,
		    .locate = { .service = dfb_str(service), .region = dfb_str(region) } });
		if (bare)
			meter_check(zmq_msg_recv(&in, s, 0) != -1, "receive");
		else
			hear_type(s, DFB_M_LOCATED);
		ns[i] = dfb_mono_ns() - begin;
	}
	qsort(ns, CALLS, sizeof *ns, by_value);
	*t = (struct turn){ (double)ns[CALLS / 2] / 1e3, (double)ns[CALLS * 99 / 100] / 1e3 };
}

static int
by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
print_all(const char *what, bool bare)
{
	qsort(all[bare], TURNS * CALLS, sizeof **all, by_value);
	printf("%s p50 %.1f us, p99 %.1f us, p99.9 %.1f us", what,
	    (double)all[bare][TURNS * CALLS / 2] / 1e3,
	    (double)all[bare][TURNS * CALLS / 100 * 99] / 1e3,
	    (double)all[bare][TURNS * CALLS / 1000 * 999] / 1e3);
}

static void
locate(void)
{
	void *s = session("gsl"), *b;
	size_t size;
	pid_t pid;

	say(s, NULL, &(struct dfb_proto){ .type = DFB_M_LOCATE, .req = 2, .locate = {
	    .service = dfb_str("service00000"), .region = dfb_str("R00") } });
	hear_type(s, DFB_M_LOCATED);
	size = zmq_msg_size(&in);
	if ((pid = meter_fork()) == 0)
		bare_router(size);
	b = dealer("bare");
	for (unsigned i = 0; i < TURNS; i++) {
		struct turn gsl, bare;

		turn(b, i, true, &bare);
		turn(s, i, false, &gsl);
		ratio[i] = gsl.p50 / bare.p50;
	}
	qsort(ratio, TURNS, sizeof *ratio, by_double);
	print_all("locate ", false);
	print_all("; bare", true);
	printf("; %zu bytes, %.2f times\n", size, ratio[TURNS / 2]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	zmq_close(s);
	zmq_close(b);
}

/* ---- changes ---- */

static void
watch(void)
{
	void *s[WATCHERS];
	zmq_pollitem_t items[WATCHERS];
	struct dfb_buf list = { 0 };
	double ms[CHANGES];

	for (unsigned i = 0; i < WATCHERS; i++) {
		char region[4];

		snprintf(region, sizeof region, "R%02u", i % regions % 100);
		s[i] = session("gsl");
		say(s[i], NULL, &(struct dfb_proto){ .type = DFB_M_LOCATE, .req = 2,
		    .locate = { .service = dfb_str("service00042"), .watch = 1,
		    .region = dfb_str(region) } });
		hear_type(s[i], DFB_M_LOCATED);
	}
	for (unsigned c = 0; c < CHANGES; c++) {
		unsigned told = 0;
		uint64_t begin;

		for (unsigned i = 0; i < WATCHERS; i++)
			items[i] = (zmq_pollitem_t){ .socket = s[i], .events = ZMQ_POLLIN };
		add_service(&list, 42, c + 2, regions - c % 2);
		begin = dfb_mono_ns();
		catalog(&list, c + 2, DFB_CATALOG_COMPLETE);
		while (told < WATCHERS) {
			meter_check(zmq_poll(items, WATCHERS, 10000) > 0, "poll");
			for (unsigned i = 0; i < WATCHERS; i++) {
				if (!(items[i].revents & ZMQ_POLLIN))
					continue;
				hear_type(s[i], DFB_M_LOCATED);
				meter_check(m.located.version == c + 2, "the version");
				items[i].events = 0;
				told++;
			}
		}
		ms[c] = (double)(dfb_mono_ns() - begin) / 1e6;
		do
			hear_type(sgs, DFB_M_FOLLOWED);
		while (m.followed.version != c + 2);
	}
	qsort(ms, CHANGES, sizeof *ms, by_double);
	printf("watch   a change at %d clients: p50 %.2f ms, max %.2f ms of %d\n", WATCHERS,
	    ms[CHANGES / 2], ms[CHANGES - 1], CHANGES);
	for (unsigned i = 0; i < WATCHERS; i++)
		zmq_close(s[i]);
	dfb_buf_release(&list);
}

int
main(int argc, char **argv)
{
	pid_t names, gsl;
	uint64_t begin;

	if (argc < 2)
		errx(64, "usage: bench_locate DIRECTORY-OF-PROGRAMS [SERVICES [REGIONS]]");
	bin = argv[1];
	if (argc > 2)
		services = (unsigned)strtoul(argv[2], NULL, 10);
	if (argc > 3)
		regions = (unsigned)strtoul(argv[3], NULL, 10);
	if (services < 43 || regions < 1 || regions > 100)
		errx(64, "43 services and 1 to 100 regions");
	meter_check(mkdtemp(dir) != NULL, dir);
	ctx = zmq_ctx_new();
	zmq_msg_init(&in);
	start_sgs();
	names = start("dfb-names", "names", (const char *const[]){ NULL });
	enroll();
	gsl = start_gsl();
	hear_type(sgs, DFB_M_FOLLOW);
	pull(gsl);
	locate();
	watch();
	kill(gsl, SIGTERM);
	waitpid(gsl, NULL, 0);
	begin = dfb_mono_ns();
	gsl = start_gsl();
	printf("again   ready after %.3f s; %.1f MB\n", (double)(dfb_mono_ns() - begin) / 1e9,
	    memory(gsl, "VmRSS:"));
	kill(gsl, SIGKILL);
	waitpid(gsl, NULL, 0);
	kill(names, SIGKILL);
	waitpid(names, NULL, 0);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
