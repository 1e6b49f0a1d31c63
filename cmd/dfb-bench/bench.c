/* A run from start to end, as the main thread sees it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "dfb-bench/bench.h"

static void
watch_signals(struct bench *b)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	b->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* Threads inherit the mask. */
	if (b->news_fd == -1 || sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
	    (b->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) == -1) {
		log_err("cannot start");
		exit(DFB_OSERR);
	}
}

/* The first signal winds up, the second ends. */
static void
take_signal(struct bench *b)
{
	struct signalfd_siginfo info;

	if (read(b->signal_fd, &info, sizeof info) != sizeof info)
		return;
	if (atomic_exchange(&b->stop, true))
		_exit(DFB_AGAIN);
	bench_wake(b);
}

static void
wait_for(struct bench *b, const _Atomic uint32_t *what, uint32_t n)
{
	struct pollfd p[] = { { .fd = b->news_fd, .events = POLLIN },
		{ .fd = b->signal_fd, .events = POLLIN } };
	eventfd_t news;

	while (*what < n) {
		if (poll(p, 2, -1) == -1)
			continue;
		if (p[0].revents != 0)
			eventfd_read(b->news_fd, &news);
		if (p[1].revents != 0)
			take_signal(b);
	}
}

static uint64_t
confirmed(const struct bench *b)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < b->nload; i++)
		n += b->load[i].meter.count;
	return n;
}

/* Senders or callers, while servers are there. */
static void
run_load(struct bench *b)
{
	static void (*const runs[])(struct client *) = { [BENCH_SEND] = send_run,
		[BENCH_BOTH] = send_run, [BENCH_CALL] = call_run };

	if ((errno = pthread_barrier_init(&b->warm, NULL, b->nload)) != 0) {
		log_err("cannot start");
		exit(DFB_OSERR);
	}
	clients_start(b->load, b->nload, runs[b->opt->mode], &b->load_over);
	wait_for(b, &b->load_over, b->nload);
	clients_join(b->load, b->nload);
	pthread_barrier_destroy(&b->warm);
}

void
bench_run(struct bench *b)
{
	static void (*const runs[])(struct client *) = { [BENCH_RECV] = recv_run,
		[BENCH_BOTH] = both_run, [BENCH_CALL] = echo_run };
	const struct options *o = b->opt;

	b->expected = UINT64_MAX;
	if (o->mode == BENCH_RECV && o->count < UINT64_MAX)
		b->expected = o->warmup + o->count;
	watch_signals(b);
	clients_start(b->servers, b->nservers, runs[o->mode], &b->servers_over);
	if (o->mode != BENCH_RECV) {
		wait_for(b, &b->ready, b->nservers);
		if (!b->broken && !b->stop)
			run_load(b);
		if (o->mode == BENCH_BOTH)
			b->expected = confirmed(b);
		b->load_ended = true;
		bench_wake(b);
	}
	wait_for(b, &b->servers_over, b->nservers);
	clients_join(b->servers, b->nservers);
	close(b->news_fd);
	close(b->signal_fd);
}
