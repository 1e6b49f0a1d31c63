/*
 * Sockets alone: bench_sock hop|direct [options] ENDPOINT, as tcp://127.0.0.1:* or
 * ipc:///some/path.
 *   hop     a DEALER calls another through a ROUTER and back, a process each, one record
 *           per frame: what a bus of such sockets could do if it did nothing else
 *   direct  a DEALER calls a ROUTER that answers
 * And bench_sock free-port prints a TCP port that nobody uses.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "meter.h"

#define FRAME 65536

static char buf[FRAME];

static int
receive(void *s, int flags)
{
	int n = zmq_recv(s, buf, sizeof buf, flags);

	meter_check(n <= FRAME && (n >= 0 || flags != 0), "receive");
	return n;
}

static void
transmit(void *s, const void *p, size_t n, int flags)
{
	meter_check(zmq_send(s, p, n, flags) == (int)n, "send");
}

/* A frame that comes from a goes to b, and the other way round; with direct, and the very
 * first one, back.  Tells its endpoint first. */
static _Noreturn void
router(const char *endpoint, bool direct, int tell)
{
	void *s = zmq_socket(zmq_ctx_new(), ZMQ_ROUTER);
	char from, actual[256];
	size_t len = sizeof actual;

	meter_check(zmq_bind(s, endpoint) == 0, endpoint);
	zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, actual, &len);
	meter_check(write(tell, actual, len) == (ssize_t)len, "pipe");
	for (bool back = true;; back = direct) {
		int n;

		meter_check(zmq_recv(s, &from, 1, 0) == 1, "receive");
		n = receive(s, 0);
		if (!back)
			from = from == 'a' ? 'b' : 'a';
		transmit(s, &from, 1, ZMQ_SNDMORE);
		transmit(s, buf, (size_t)n, 0);
	}
}

static void *
dealer(const char *endpoint, const char *id)
{
	void *s = zmq_socket(zmq_ctx_new(), ZMQ_DEALER);

	zmq_setsockopt(s, ZMQ_ROUTING_ID, id, 1);
	meter_check(zmq_connect(s, endpoint) == 0, endpoint);
	return s;
}

static _Noreturn void
worker(const char *endpoint)
{
	void *s = dealer(endpoint, "b");

	transmit(s, "here", 4, 0); /* to a */
	for (;;)
		transmit(s, buf, (size_t)receive(s, 0), 0);
}

static void
put(void *arg, const char *body, size_t size)
{
	transmit(arg, body, size, 0);
}

static void
flush(void *arg)
{
	(void)arg;
}

static unsigned
done(void *arg)
{
	unsigned n = 1;

	receive(arg, 0);
	while (receive(arg, ZMQ_DONTWAIT) != -1)
		n++;
	return n;
}

static int
free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	meter_check(fd != -1 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
	    getsockname(fd, (struct sockaddr *)&a, &len) == 0, "bind");
	printf("%d\n", ntohs(a.sin_port));
	return 0;
}

int
main(int argc, char **argv)
{
	char endpoint[256];
	struct meter m;
	bool direct;
	int fd[2];
	void *s;

	if (argc == 2 && strcmp(argv[1], "free-port") == 0)
		return free_port();
	meter_options(&m, argc, argv);
	direct = strcmp(m.mode, "direct") == 0;
	if ((!direct && strcmp(m.mode, "hop") != 0) || m.size > FRAME)
		return 64;
	meter_check(pipe(fd) == 0, "pipe");
	if (meter_fork() == 0)
		router(m.topic, direct, fd[1]);
	meter_check(read(fd[0], endpoint, sizeof endpoint) > 0, "router");
	s = dealer(endpoint, "a");
	/* A router drops what is for somebody it does not know yet: so first a, then b. */
	transmit(s, "here", 4, 0);
	receive(s, 0);
	if (!direct && meter_fork() == 0)
		worker(endpoint);
	if (!direct)
		receive(s, 0);
	meter_run(&m, &(struct meter_flow){ .arg = s, .fd = -1, .put = put, .flush = flush,
	    .done = done });
	meter_print(&m);
	return 0;
}
