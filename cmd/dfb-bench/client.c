#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "client/client.h"
#include "dfb-bench/bench.h"
#include "net/loop.h"

static _Noreturn void
cannot_start(void)
{
	log_err("cannot start");
	exit(DFB_OSERR);
}

static void
on_wake(void *arg, uint32_t ready)
{
	const struct client *c = arg;
	uint64_t n;

	(void)ready;
	if (read(c->wake_fd, &n, sizeof n) == -1)
		return; /* the flags are looked at all the same */
}

static void
on_timer(void *arg, uint32_t ready)
{
	struct client *c = arg;
	uint64_t n;

	(void)ready;
	if (read(c->timer_fd, &n, sizeof n) == sizeof n)
		c->timed = true;
}

static void
open_one(struct client *c, const struct dfb_opts *o)
{
	struct dfb_loop *loop;

	c->dfb = dfb_tool_open(&c->bench->opt->tool, o);
	loop = dfb_client_loop(c->dfb);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->wake_fd == -1 || c->timer_fd == -1 ||
	    dfb_loop_add_fd(loop, c->wake_fd, EPOLLIN, on_wake, c) == -1 ||
	    dfb_loop_add_fd(loop, c->timer_fd, EPOLLIN, on_timer, c) == -1)
		cannot_start();
}

struct client *
clients_open(struct bench *b, const struct dfb_opts *o, uint32_t n)
{
	struct client *list = NULL;

	if (n != 0 && (list = calloc(n, sizeof *list)) == NULL)
		cannot_start();
	for (uint32_t i = 0; i < n; i++) {
		list[i].bench = b;
		list[i].index = i;
		open_one(&list[i], o);
	}
	return list;
}

void
clients_close(struct client *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		dfb_close(list[i].dfb);
		close(list[i].wake_fd);
		close(list[i].timer_fd);
	}
	free(list);
}

static void *
thread(void *arg)
{
	struct client *c = arg;
	struct bench *b = c->bench;

	c->run(c);
	atomic_fetch_add(c->over, 1);
	eventfd_write(b->news_fd, 1);
	return NULL;
}

void
clients_start(struct client *list, uint32_t n, void (*run)(struct client *),
    _Atomic uint32_t *over)
{
	for (uint32_t i = 0; i < n; i++) {
		list[i].run = run;
		list[i].over = over;
		if ((errno = pthread_create(&list[i].thread, NULL, thread, &list[i])) != 0)
			cannot_start();
	}
}

void
clients_join(struct client *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		pthread_join(list[i].thread, NULL);
}

void
bench_wake(struct bench *b)
{
	for (uint32_t i = 0; i < b->nload; i++)
		eventfd_write(b->load[i].wake_fd, 1);
	for (uint32_t i = 0; i < b->nservers; i++)
		eventfd_write(b->servers[i].wake_fd, 1);
}

void
client_break(struct client *c, enum dfb_status st, const char *why)
{
	meter_fail(&c->meter, 1, st, why);
	if (!atomic_exchange(&c->bench->broken, true))
		bench_wake(c->bench);
}

void
client_wait(struct client *c, int timeout_ms)
{
	if (dfb_wait(c->dfb, timeout_ms) == DFB_OSERR)
		client_break(c, DFB_OSERR, dfb_error(c->dfb));
}

void
client_timer(struct client *c, uint64_t at_ns)
{
	struct itimerspec t = { .it_value = { .tv_sec = (time_t)(at_ns / 1000000000),
		.tv_nsec = (long)(at_ns % 1000000000) } };

	c->timed = false;
	if (timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &t, NULL) == -1)
		client_break(c, DFB_OSERR, strerror(errno));
}
