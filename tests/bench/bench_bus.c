/*
 * A first look at a whole bus through libdfb: durable sends of 1 KiB (window 1000, and one
 * at a time) and calls (one outstanding, and 256), beside what the machine gives: append
 * and fdatasync of the same bytes, and a bare ROUTER hop (DEALER to ROUTER to DEALER
 * and back) over the same transport.  Usage, inside a bus with the topics A10-bench (commit) and
 * A10-echo (async): bench_bus DIR, where DIR is on the disk that the broker uses.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "dfb.h"

#define BODY 1024
#define SENDS 100000
#define SINGLES 1000
#define CALLS1 5000
#define CALLS256 200000

static char body[BODY];
static atomic_bool stop;

static void
check(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "bench_bus: %s failed\n", what);
		exit(DFB_BUG);
	}
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Median and 99th percentile of n latencies in ns, as microseconds. */
static double
report(const char *what, uint64_t *ns, size_t n)
{
	qsort(ns, n, sizeof *ns, by_size);
	printf("%-44s p50 %7.0f us   p99 %7.0f us\n", what, (double)ns[n / 2] / 1e3,
	    (double)ns[n * 99 / 100] / 1e3);
	return (double)ns[n / 2];
}

/* ---- sends ---- */

static void
send_window(struct dfb *d, uint32_t window)
{
	struct dfb_producer *p;
	struct dfb_msg m = { .body = body, .body_len = BODY };
	uint64_t start;

	check(dfb_producer_open(d, &(struct dfb_producer_config){ .dest = "A10-bench",
	    .window = window }, &p) == DFB_OK, "producer");
	check(dfb_producer_put(p, &m) == DFB_OK &&
	    dfb_producer_flush(p, 10000) == DFB_OK, "first send");
	start = dfb_mono_ns();
	for (int i = 0; i < SENDS;) {
		enum dfb_status s = dfb_producer_put(p, &m);
		if (s == DFB_OK)
			i++;
		else {
			check(s == DFB_AGAIN, "put");
			dfb_wait(d, 1000);
		}
	}
	check(dfb_producer_flush(p, 60000) == DFB_OK, "flush");
	printf("%-44s %8.0f /s\n", "durable send, 1 KiB, window 1000",
	    SENDS / ((double)(dfb_mono_ns() - start) / 1e9));
	dfb_producer_close(p);
}

static double
send_single(struct dfb *d)
{
	static uint64_t ns[SINGLES];
	struct dfb_producer *p;
	struct dfb_msg m = { .body = body, .body_len = BODY };

	check(dfb_producer_open(d, &(struct dfb_producer_config){ .dest = "A10-bench" },
	    &p) == DFB_OK, "producer");
	for (int i = 0; i < SINGLES; i++) {
		uint64_t t = dfb_mono_ns();
		check(dfb_producer_put(p, &m) == DFB_OK &&
		    dfb_producer_flush(p, 10000) == DFB_OK, "send");
		ns[i] = dfb_mono_ns() - t;
	}
	dfb_producer_close(p);
	return report("durable send, one outstanding", ns, SINGLES);
}

static double
raw_single(const char *dir)
{
	static uint64_t ns[SINGLES];
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/raw", dir);
	check((fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600)) != -1, path);
	for (int i = 0; i < SINGLES; i++) {
		uint64_t t = dfb_mono_ns();
		check(write(fd, body, BODY) == BODY && fdatasync(fd) == 0, path);
		ns[i] = dfb_mono_ns() - t;
	}
	close(fd);
	unlink(path);
	return report("raw append and fdatasync, 1 KiB", ns, SINGLES);
}

static void
raw_stream(const char *dir)
{
	static char mib[1 << 20];
	char path[4096];
	uint64_t start;
	int fd, n = 200;

	snprintf(path, sizeof path, "%s/raw", dir);
	check((fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600)) != -1, path);
	start = dfb_mono_ns();
	for (int i = 0; i < n; i++)
		check(write(fd, mib, sizeof mib) == sizeof mib && fdatasync(fd) == 0, path);
	printf("%-44s %8.0f MB/s (so log + pages: %.0f /s of 1 KiB)\n",
	    "raw write, fdatasync each MiB",
	    n * 1.048576 / ((double)(dfb_mono_ns() - start) / 1e9),
	    n * 1024 / ((double)(dfb_mono_ns() - start) / 1e9) / 2);
	close(fd);
	unlink(path);
}

/* ---- calls ---- */

static void
echo(void *arg, struct dfb_consumer *c, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	(void)arg;
	dfb_consumer_reply(c, d, DFB_OK, NULL, m);
	dfb_consumer_ack(c, d);
}

static void
over(void *arg, enum dfb_status s, const char *why)
{
	(void)arg;
	fprintf(stderr, "bench_bus: consumer: %s (%d)\n", why, s);
	exit(DFB_BUG);
}

static void *
serve(void *arg)
{
	struct dfb_consumer *c;
	struct dfb *d;

	(void)arg;
	check(dfb_open(&(struct dfb_config){ .who = "echo" }, &d) == DFB_OK &&
	    dfb_consumer_open(d, &(struct dfb_consumer_config){ .dest = "A10-echo",
	    .group = "echo", .message = echo, .failed = over }, &c) == DFB_OK, "consumer");
	while (!atomic_load(&stop))
		dfb_wait(d, 50);
	dfb_consumer_close(c, 1000);
	dfb_close(d);
	return NULL;
}

struct calls {
	struct dfb_caller *c;
	int started, ended, limit;
};

static void
ended(void *arg, enum dfb_status s, const char *why, const struct dfb_msg *reply)
{
	struct calls *k = arg;

	(void)reply;
	if (s != DFB_OK) {
		fprintf(stderr, "bench_bus: call: %s\n", why);
		exit(DFB_BUG);
	}
	k->ended++;
	if (k->started < k->limit) {
		k->started++;
		check(dfb_caller_start(k->c, &(struct dfb_msg){ .body = body,
		    .body_len = 100 }, 10000, ended, k) == DFB_OK, "call");
	}
}

static double
call_window(struct dfb *d, int window)
{
	struct calls k = { .limit = CALLS256 };
	uint64_t start;
	double rate;

	check(dfb_caller_open(d, "A10-echo", &k.c) == DFB_OK, "caller");
	start = dfb_mono_ns();
	for (int i = 0; i < window; i++) {
		k.started++;
		check(dfb_caller_start(k.c, &(struct dfb_msg){ .body = body,
		    .body_len = 100 }, 10000, ended, &k) == DFB_OK, "call");
	}
	while (k.ended < k.limit)
		check(dfb_wait(d, 10000) == DFB_OK, "wait");
	rate = CALLS256 / ((double)(dfb_mono_ns() - start) / 1e9);
	printf("%-44s %8.0f /s\n", "calls, 100 B, 256 outstanding", rate);
	dfb_caller_close(k.c);
	return rate;
}

static double
call_single(struct dfb *d)
{
	static uint64_t ns[CALLS1];
	struct calls k = { .limit = 0 };

	check(dfb_caller_open(d, "A10-echo", &k.c) == DFB_OK, "caller");
	for (int i = 0; i < CALLS1; i++) {
		uint64_t t = dfb_mono_ns();
		k.ended = 0;
		check(dfb_caller_start(k.c, &(struct dfb_msg){ .body = body,
		    .body_len = 100 }, 10000, ended, &k) == DFB_OK, "call");
		while (k.ended == 0)
			dfb_wait(d, 10000);
		ns[i] = dfb_mono_ns() - t;
	}
	dfb_caller_close(k.c);
	return report("call, 100 B, one outstanding", ns, CALLS1);
}

/* ---- the bare hop ---- */

static void *
hop(void *ctx)
{
	void *r = zmq_socket(ctx, ZMQ_ROUTER);
	char buf[256];

	check(zmq_bind(r, "ipc://@dfb-bench-hop") == 0, "bind");
	for (;;) {
		char from[16], to[16];
		int n = zmq_recv(r, from, sizeof from, 0), len;
		if (n == -1)
			break;
		len = zmq_recv(r, buf, sizeof buf, 0);
		strcpy(to, from[0] == 'a' ? "b" : "a");
		zmq_send(r, to, 1, ZMQ_SNDMORE);
		zmq_send(r, buf, (size_t)len, 0);
	}
	zmq_close(r);
	return NULL;
}

static void *
peer(void *ctx, const char *id)
{
	void *s = zmq_socket(ctx, ZMQ_DEALER);
	int zero = 0;

	zmq_setsockopt(s, ZMQ_ROUTING_ID, id, 1);
	zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof zero);
	check(zmq_connect(s, "ipc://@dfb-bench-hop") == 0, "connect");
	return s;
}

static void *
worker(void *ctx)
{
	void *s = peer(ctx, "b");
	char buf[256];
	int n;

	zmq_send(s, "hello", 5, 0);
	while ((n = zmq_recv(s, buf, sizeof buf, 0)) != -1)
		zmq_send(s, buf, (size_t)n, 0);
	zmq_close(s);
	return NULL;
}

static double
bare_hop(void)
{
	static uint64_t ns[CALLS1];
	/* One context each, as processes have. */
	void *ctx[3] = { zmq_ctx_new(), zmq_ctx_new(), zmq_ctx_new() };
	pthread_t t[2];
	char buf[256];
	void *s;
	double p50;

	pthread_create(&t[0], NULL, hop, ctx[0]);
	usleep(100000);
	s = peer(ctx[2], "a");
	zmq_send(s, "hello", 5, 0); /* dropped by the hop: b is not there */
	usleep(100000);
	pthread_create(&t[1], NULL, worker, ctx[1]);
	zmq_recv(s, buf, sizeof buf, 0); /* b's hello */
	for (int i = 0; i < CALLS1; i++) {
		uint64_t at = dfb_mono_ns();
		zmq_send(s, body, 100, 0);
		zmq_recv(s, buf, sizeof buf, 0);
		ns[i] = dfb_mono_ns() - at;
	}
	p50 = report("bare ROUTER hop, one outstanding", ns, CALLS1);
	zmq_close(s);
	for (int i = 0; i < 3; i++)
		zmq_ctx_shutdown(ctx[i]);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	for (int i = 0; i < 3; i++)
		zmq_ctx_term(ctx[i]);
	return p50;
}

int
main(int argc, char **argv)
{
	struct dfb *d;
	pthread_t t;
	double raw, one, bare, call;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_bus DIR (see the head of its source)\n");
		return DFB_USAGE;
	}
	check(dfb_open(&(struct dfb_config){ .who = "bench" }, &d) == DFB_OK, "client");
	raw_stream(argv[1]);
	send_window(d, 1000);
	raw = raw_single(argv[1]);
	one = send_single(d);
	bare = bare_hop();
	pthread_create(&t, NULL, serve, NULL);
	usleep(300000);
	call = call_single(d);
	call_window(d, 256);
	printf("single durable send: %.2f x (raw + half a hop); call: %.2f x the hop\n",
	    one / (raw + bare / 2), call / bare);
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	dfb_close(d);
	return 0;
}
