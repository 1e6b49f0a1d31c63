/* Direct connections: ZMTP beside a peer that is bytes only, and beside ZeroMQ's. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Here a peer is dead sooner.  The library's own copy stays out of this program. */
#define SILENT_NS 50000000u
#include "net/direct.c"

#define MAX 1000

static const uint8_t greeting[64] = { 0xff, [9] = 0x7f, 3, 1, 'N', 'U', 'L', 'L' };
static const uint8_t dealer[] = "\4\x29\5READY\xbSocket-Type\0\0\0\6DEALER\x8Identity\0\0\0";
static const uint8_t router[] = "\4\x29\5READY\xbSocket-Type\0\0\0\6ROUTER\x8Identity\0\0\0";

static char dir[64], endpoint[100];
static int door, peer;
static struct dfb_direct *d;

static void
say(const void *p, size_t len)
{
	assert_int_equal(write(peer, p, len), len);
}
#define SAY(text) say(text, sizeof(text) - 1)

static void
expect(const void *p, size_t len)
{
	uint8_t got[300];

	assert_int_equal(recv(peer, got, len, MSG_WAITALL), len);
	assert_memory_equal(got, p, len);
}
#define EXPECT(text) expect(text, sizeof(text) - 1)

/* Pump until an event or a frame waits, or the peer has something to read. */
static void
turn(void)
{
	struct pollfd p[] = { { .fd = d->fd, .events = POLLIN },
		{ .fd = d->timer, .events = POLLIN }, { .fd = peer, .events = POLLIN } };
	struct dfb_zmtp_frame f;

	dfb_direct_pump(d, true);
	while (!dfb_direct_has_event(d) && !dfb_direct_frame(d, &f)) {
		assert_true(poll(p, 3, 10000) > 0);
		dfb_direct_pump(d, true);
		if (p[2].revents != 0)
			return;
	}
}

static enum dfb_net_event
event(void)
{
	while (!dfb_direct_has_event(d))
		turn();
	return dfb_direct_event(d);
}

static void
frame_is(const char *text, bool part)
{
	struct dfb_zmtp_frame f;

	turn();
	assert_true(dfb_direct_frame(d, &f));
	assert_int_equal(f.len, strlen(text));
	assert_memory_equal(f.data, text, f.len);
	assert_int_equal(f.part, part);
	dfb_direct_take(d);
}

static void
dial(int queue)
{
	d = dfb_direct_open(&(struct dfb_sock_config){ .max_frame = MAX, .queue = queue },
	    endpoint);
	assert_non_null(d);
	assert_true((peer = accept4(door, NULL, NULL, SOCK_CLOEXEC)) != -1);
	assert_int_equal(dfb_direct_event(d), DFB_NET_NONE);
}

static void
dial_up(int queue)
{
	dial(queue);
	expect(greeting, sizeof greeting);
	expect(dealer, sizeof dealer);
	say(greeting, sizeof greeting);
	say(router, sizeof router);
	assert_int_equal(event(), DFB_NET_UP);
}

static int
setup(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)state;
	snprintf(dir, sizeof dir, "/tmp/dfb-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(endpoint, sizeof endpoint, "ipc://%s/s", dir);
	strcpy(a.sun_path, endpoint + 6);
	assert_true((door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) != -1);
	assert_int_equal(bind(door, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(door, 1), 0);
	peer = -1;
	d = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (d != NULL)
		dfb_direct_close(d, 0);
	close(door);
	if (peer != -1)
		close(peer);
	unlink(endpoint + 6);
	rmdir(dir);
	return 0;
}

static void
byte_by_byte(void **state)
{
	static const uint8_t ready[] = "\4\x31\5READY\xbsocket-type\0\0\0\6ROUTER"
	    "\1x\0\0\0\0\x8Identity\0\0\0\2id";

	(void)state;
	dial(10);
	for (size_t i = 0; i < sizeof greeting; i++) {
		say(greeting + i, 1);
		dfb_direct_pump(d, true);
	}
	for (size_t i = 0; i < sizeof ready - 1; i++) {
		assert_false(dfb_direct_has_event(d));
		say(ready + i, 1);
		dfb_direct_pump(d, true);
	}
	assert_int_equal(event(), DFB_NET_UP);
	assert_int_equal(dfb_direct_event(d), DFB_NET_NONE);
}

static void
frames(void **state)
{
	char text[301] = { 0 };

	(void)state;
	memset(text, 'x', 300);
	dial_up(10);
	SAY("\0\5hello\0\0\2\0\0\0\0\0\0\1\x2c");
	SAY("");
	say(text, 300);
	frame_is("hello", false);
	frame_is("", false);
	frame_is(text, false);
	/* Both lengths, and what was gathered leaves together. */
	assert_int_equal(dfb_direct_send(d, "ab", 2), 0);
	assert_int_equal(dfb_direct_send(d, text, 300), 0);
	dfb_direct_pump(d, false);
	assert_int_equal(recv(peer, text, 1, MSG_DONTWAIT), -1);
	assert_true(dfb_direct_has_work(d));
	dfb_direct_pump(d, true);
	assert_false(dfb_direct_has_work(d));
	EXPECT("\0\2ab\2\0\0\0\0\0\0\1\x2c");
	expect(text, 300);
	/* A message in parts is marked as such to its end. */
	SAY("\1\1a\1\1b\0\1c\0\1d");
	frame_is("a", true);
	frame_is("b", true);
	frame_is("c", true);
	frame_is("d", false);
}

static void
heartbeats(void **state)
{
	(void)state;
	dial_up(10);
	SAY("\4\x9\4PING\0\1xy\4\7\4PING\0\1\4\5\4PONG\4\4\3NEW\0\1m");
	frame_is("m", false);
	EXPECT("\4\7\4PONGxy\4\5\4PONG");
	/* Nobody who pings without reading makes us gather answers. */
	for (int i = 0; i < 20000; i++) {
		SAY("\4\7\4PING\0\1");
		dfb_direct_pump(d, false);
	}
	assert_true(d->zmtp.out.len < 100000);
	assert_false(dfb_direct_has_event(d));
}

static void
silence(void **state)
{
	(void)state;
	dial(10); /* it never greets */
	assert_int_equal(event(), DFB_NET_REFUSED);
	teardown(NULL);
	setup(NULL);
	dial_up(10);
	/* What comes puts it off. */
	for (int i = 0; i < 6; i++) {
		struct pollfd p = { .fd = -1 };
		poll(&p, 1, 15);
		SAY("\4\5\4PONG");
		dfb_direct_pump(d, true);
	}
	assert_false(dfb_direct_has_event(d));
	assert_int_equal(event(), DFB_NET_GONE);
	assert_int_equal(dfb_direct_event(d), DFB_NET_NONE);
}

static void
last_words(void **state)
{
	(void)state;
	dial_up(10);
	SAY("\0\1a\0\1b");
	close(peer);
	peer = -1;
	dfb_direct_pump(d, true);
	frame_is("a", false);
	assert_int_equal(event(), DFB_NET_GONE);
	frame_is("b", false);
	assert_false(dfb_direct_frame(d, &(struct dfb_zmtp_frame){ 0 }));
	assert_int_equal(dfb_direct_send(d, "x", 1), 0); /* forgotten */
	dfb_direct_pump(d, true);
	assert_int_equal(dfb_direct_event(d), DFB_NET_NONE);
}

/* What it says instead of a greeting, READY, or a frame. */
static void
wrong(const char *before, const void *p, size_t len, enum dfb_net_event e)
{
	if (*before == 'u')
		dial_up(10);
	else
		dial(10);
	if (*before == 'r')
		say(greeting, sizeof greeting);
	say(p, len);
	turn();
	assert_int_equal(event(), e);
	teardown(NULL);
	setup(NULL);
}
#define WRONG(before, text, e) wrong(before, text, sizeof(text) - 1, e)

static void
not_zmtp(void **state)
{
	uint8_t curve[sizeof greeting];

	(void)state;
	memcpy(curve, greeting, sizeof curve);
	memcpy(curve + 12, "CURVE", 5);
	wrong("", curve, sizeof curve, DFB_NET_REFUSED);
	WRONG("", "HTTP", DFB_NET_REFUSED);
	WRONG("", "\xff\0\0\0\0\0\0\0\0\x7e", DFB_NET_REFUSED);
	WRONG("", "\xff\0\0\0\0\0\0\0\0\x7f\2", DFB_NET_REFUSED);
	WRONG("ready", "\0\1a", DFB_NET_REFUSED);
	WRONG("ready", "\x10\1a", DFB_NET_REFUSED);
	WRONG("ready", "\4\6\5ERROR", DFB_NET_REFUSED);
	WRONG("ready", "\4\6\5READY", DFB_NET_REFUSED);
	WRONG("ready", "\4\x1b\5READY\xbSocket-Type\0\0\0\5PLAIN", DFB_NET_REFUSED);
	WRONG("ready", "\4\x1b\5READY\xbSocket-Type\0\0\0\6ROUTE", DFB_NET_REFUSED);
	WRONG("ready", "\4\x8\5READY\xbx", DFB_NET_REFUSED);
	WRONG("up", "\2\0\0\0\0\0\0\x3\xe9", DFB_NET_GONE);
	WRONG("up", "\2\xff\xff\xff\xff\xff\xff\xff\xff", DFB_NET_GONE);
	WRONG("up", "\6\0\0\0\0\0\1\0\1", DFB_NET_GONE);
	WRONG("up", "\4\x6\5ERROR", DFB_NET_GONE);
	WRONG("up", "\4\x5\4PING", DFB_NET_GONE);
	WRONG("up", "\4\x18\4PING\0\1" "0123456789abcdefg", DFB_NET_GONE);
}

/* Send until it takes no more. */
static unsigned
fill(const char *text, size_t len)
{
	unsigned n = 0;

	while (dfb_direct_send(d, text, len) == 0)
		n++;
	assert_int_equal(errno, EAGAIN);
	return n;
}

static void
slow_peer(void **state)
{
	char text[1000], got[4096];
	size_t n = 0, left;
	ssize_t rc;

	(void)state;
	memset(text, 'x', sizeof text);
	dial_up(500);
	for (unsigned more = 1; more != 0; n += more)
		more = fill(text, sizeof text);
	assert_true(n >= 500);
	/* What waits leaves when it reads. */
	for (left = n * (9 + sizeof text); left != 0; dfb_direct_pump(d, true))
		while ((rc = recv(peer, got, sizeof got, MSG_DONTWAIT)) > 0)
			left -= (size_t)rc;
	assert_false(dfb_direct_has_work(d));
	/* Before it is closed, too; if it reads soon. */
	assert_int_equal(dfb_direct_send(d, "last", 4), 0);
	dfb_direct_close(d, 30);
	EXPECT("\0\4last");
	close(peer);
	dial_up(500);
	fill(text, sizeof text);
	dfb_direct_close(d, 30);
	d = NULL;
}

static void
addresses(void **state)
{
	static const char *const not_ours[] = { "tcp://localhost:1", "tcp://[::1:1", "tcp://1:1",
		"tcp://[fe80::1%eth0]:1", "ipc://relative", "ipc://@abstract", "udp://127.0.0.1:1" };
	const struct dfb_sock_config cf = { .max_frame = MAX, .queue = 1 };
	union address a;

	(void)state;
	for (size_t i = 0; i < sizeof not_ours / sizeof *not_ours; i++)
		assert_null(dfb_direct_open(&cf, not_ours[i]));
	assert_int_equal(parse("tcp://127.0.0.1:5555", &a), sizeof a.in);
	assert_int_equal(a.in.sin_port, htons(5555));
	assert_int_equal(a.in.sin_addr.s_addr, htonl(0x7f000001));
	assert_int_equal(parse("tcp://[::1]:80", &a), sizeof a.in6);
	assert_int_equal(a.in6.sin6_port, htons(80));
	assert_memory_equal(&a.in6.sin6_addr, &in6addr_loopback, sizeof in6addr_loopback);
	/* Nobody listens. */
	unlink(endpoint + 6);
	assert_non_null(d = dfb_direct_open(&cf, endpoint));
	assert_int_equal(event(), DFB_NET_REFUSED);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(byte_by_byte), TEST(frames), TEST(heartbeats), TEST(silence),
		TEST(last_words), TEST(not_zmtp), TEST(slow_peer), TEST(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
