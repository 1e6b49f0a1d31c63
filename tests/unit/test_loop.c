/* The reactor and sockets: nothing that waits is slept over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/loop.h"
#include "net/sock.h"

#define PATIENCE_MS 20000

static struct dfb_net *net;
static struct dfb_loop *loop;
static struct dfb_sock *server, *client;
static unsigned got;

static void
on_frames(void *arg)
{
	struct dfb_frame f;

	(void)arg;
	while (dfb_sock_recv(server, &f) == 1) {
		got++;
		dfb_frame_release(&f);
	}
}

static void
on_events(void *arg)
{
	int fd;

	(void)arg;
	while (dfb_sock_event(server, &fd) != DFB_NET_NONE)
		;
}

static int
setup(void **state)
{
	struct dfb_sock_config cf = { .max_frame = 1000, .queue = 100 };
	char endpoint[128], actual[128];

	(void)state;
	snprintf(endpoint, sizeof endpoint, "ipc:///tmp/dfb-test-loop.%d", (int)getpid());
	got = 0;
	net = dfb_net_new();
	loop = dfb_loop_new();
	server = dfb_sock_listen(net, &cf);
	if (server == NULL || dfb_sock_bind(server, endpoint, actual, sizeof actual) == -1 ||
	    (client = dfb_sock_connect(net, &cf, actual)) == NULL)
		return -1;
	return dfb_loop_add_sock(loop, server, on_frames, on_events, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	dfb_loop_del_sock(loop, server);
	dfb_sock_close(server, 0);
	dfb_sock_close(client, 0);
	dfb_loop_free(loop);
	dfb_net_free(net);
	return 0;
}

/* A turn may wake for what concerns only the socket; but none sleeps until it times out. */
static void
wait_for(unsigned n)
{
	uint64_t end = dfb_mono_ms() + PATIENCE_MS;

	while (got < n) {
		assert_true(dfb_mono_ms() < end);
		dfb_loop_once(loop, PATIENCE_MS);
	}
}

static void
receive(unsigned n)
{
	assert_int_equal(dfb_sock_send(client, NULL, "x", 1), 0);
	wait_for(n);
}

/* Nothing is under way: a turn that does not wait has nothing to do. */
static void
settle(void)
{
	while (dfb_loop_once(loop, 0) != 0)
		;
}

static void
frames_wake(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 100; i++) {
		receive(i);
		if (i % 2 == 0)
			settle();
	}
}

/* The descriptor is edge-triggered: who asked used up the edge. */
static void
asked_by_others(void **state)
{
	(void)state;
	receive(1);
	settle();
	for (unsigned i = 2; i <= 10; i++) {
		assert_int_equal(dfb_sock_send(client, NULL, "x", 1), 0);
		while (!dfb_sock_readable(server))
			;
		wait_for(i);
		settle();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_wake, setup, teardown),
		cmocka_unit_test_setup_teardown(asked_by_others, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
