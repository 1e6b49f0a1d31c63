/* dfb-names as its peers see it: the program itself, spoken to in frames. */
#include "peer.h"

#include <sys/socket.h>
#include <sys/un.h>

static char endpoint[128];
static pid_t server;

/* ---- the server ---- */

static void
start(void)
{
	char data[128];

	snprintf(data, sizeof data, "%s/data", dir);
	snprintf(endpoint, sizeof endpoint, "ipc://%s/names.sock", dir);
	server = program("dfb-names", (const char *const[]){ "--data", data, "--bind",
	    endpoint, NULL });
}

static int
stop(int signo)
{
	return program_end(server, signo);
}

static int
setup(void **state)
{
	(void)state;
	start();
	return 0;
}

static int
teardown(void **state)
{
	int w = stop(SIGTERM);

	(void)state;
	remove_dir("data");
	return WIFEXITED(w) && WEXITSTATUS(w) == 0 ? 0 : -1;
}

static void
connect_raw(struct peer *p, int queue)
{
	connect_to(p, endpoint, queue);
}

static void
hello(struct peer *p, int proto)
{
	say(p, (struct dfb_proto){ .type = DFB_M_HELLO, .hello = {
	    .proto = (uint16_t)proto, .role = dfb_str("client"), .who = dfb_str("test") } });
}

static void
enter(struct peer *p)
{
	enter_at(p, endpoint);
}

/* Nothing came, and nothing that was under way before a full round trip. */
static void
silent(struct peer *p)
{
	struct peer other;

	enter(&other);
	leave(&other);
	assert_int_equal(next(p, 0), 0);
}

/* ---- requests ---- */

/* offers: "+A10-x -A10-y" */
static struct dfb_blob
offers(const char *text)
{
	static struct dfb_buf buf;
	char copy[256], *save = NULL;

	buf.len = 0;
	snprintf(copy, sizeof copy, "%s", text);
	for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
		struct dfb_m_offer o = { .up = *w == '+', .topic = dfb_str(w + 1) };
		assert_int_equal(dfb_offer_add(&buf, &o), 0);
	}
	return (struct dfb_blob){ buf.data, buf.len };
}

static struct dfb_proto
enrolment(const char *name, uint64_t incarnation, int full, const char *topics)
{
	return (struct dfb_proto){ .type = DFB_M_ENROLL, .enroll = {
		.kind = dfb_str("broker"), .name = dfb_str(name), .region = dfb_str("A10"),
		.endpoint = dfb_str("ipc:///tmp/x"), .incarnation = incarnation,
		.lease_ms = 60000, .state = 1, .full = (uint8_t)full,
		.offers = offers(topics) } };
}

static void
enroll(struct peer *p, const char *name, uint64_t incarnation, int full, const char *topics)
{
	say(p, enrolment(name, incarnation, full, topics));
}

static void
forget(struct peer *p, const char *name, uint64_t incarnation)
{
	say(p, (struct dfb_proto){ .type = DFB_M_FORGET, .forget = {
	    .name = dfb_str(name), .incarnation = incarnation } });
}

static void
lookup(struct peer *p, const char *dest, int watch)
{
	say(p, (struct dfb_proto){ .type = DFB_M_LOOKUP, .lookup = {
	    .dest = dfb_str(dest), .watch = (uint8_t)watch } });
}

/* The next frame is ROUTES, pushed or not, with just these: "topic@broker/state ". */
static uint64_t
expect_routes(struct peer *p, bool pushed, const char *dest, const char *want)
{
	struct dfb_m_route r;
	char text[512] = "";
	size_t n = 0;

	expect(p, DFB_M_ROUTES);
	assert_int_equal(p->m.req, pushed ? 0 : p->req);
	assert_true(dfb_str_is(p->m.routes.dest, dest));
	while (dfb_route_next(&p->m.routes.routes, &r) == 1)
		n += (size_t)snprintf(text + n, sizeof text - n, "%.*s@%.*s/%u ",
		    (int)r.topic.len, r.topic.p, (int)r.broker.len, r.broker.p, r.state);
	assert_string_equal(text, want);
	return p->m.routes.version;
}

/* ---- tests ---- */

static void
test_session(void **state)
{
	struct peer p;

	(void)state;
	enter(&p);
	assert_true(dfb_str_is(p.m.welcome.name, "names"));
	assert_int_equal(p.m.req, 1);
	assert_true(p.m.welcome.incarnation > 1000000);
	assert_int_equal(p.m.welcome.max_frame, DFB_FRAME_MAX);
	say(&p, (struct dfb_proto){ .type = DFB_M_PING, .ping = { .nonce = 42 } });
	expect(&p, DFB_M_PONG);
	assert_int_equal(p.m.pong.nonce, 42);
	assert_int_equal(p.m.req, 2);
	leave(&p);
}

static void
test_malformed(void **state)
{
	static const char junk[] = "GET / HTTP/1.1\r\n";
	struct peer p;

	(void)state;
	connect_raw(&p, 1000); /* not a frame */
	send_frame(&p, junk, sizeof junk - 1);
	expect_error(&p, DFB_PROTO);
	hello(&p, 1);
	silent(&p);
	leave(&p);

	connect_raw(&p, 1000); /* empty */
	send_frame(&p, "", 0);
	expect_error(&p, DFB_PROTO);
	leave(&p);

	connect_raw(&p, 1000); /* HELLO must be first */
	lookup(&p, "x", 0);
	expect_error(&p, DFB_PROTO);
	assert_int_equal(p.m.req, 1);
	leave(&p);

	connect_raw(&p, 1000); /* another version */
	hello(&p, 2);
	expect_error(&p, DFB_PROTO);
	leave(&p);

	enter(&p); /* HELLO twice */
	hello(&p, 1);
	expect_error(&p, DFB_PROTO);
	leave(&p);

	enter(&p); /* a broker's business */
	say(&p, (struct dfb_proto){ .type = DFB_M_FINISH });
	expect_error(&p, DFB_PROTO);
	lookup(&p, "x", 0);
	silent(&p);
	leave(&p);

	enter(&p); /* trailing bytes in a list */
	{
		struct dfb_proto m = enrolment("b1", 1, 1, "+A10-x");
		m.enroll.offers.len--;
		say(&p, m);
	}
	expect_error(&p, DFB_PROTO);
	leave(&p);
}

static void
test_enroll(void **state)
{
	struct peer p, q;

	(void)state;
	enter(&p);
	enter(&q);
	enroll(&p, "b1", 5, 0, "");
	expect_error(&p, DFB_NOBODY);
	enroll(&p, "b1", 5, 1, "+A10-x +A10-y");
	expect(&p, DFB_M_DONE);
	enroll(&p, "b1", 5, 0, "");
	expect(&p, DFB_M_DONE);
	enroll(&p, "b1", 5, 0, "-A10-y +B20-x -A10-none");
	expect(&p, DFB_M_DONE);
	lookup(&q, "x", 0);
	expect_routes(&q, false, "x", "A10-x@b1/1 B20-x@b1/1 ");
	lookup(&q, "A10-y", 0);
	expect_routes(&q, false, "A10-y", "");
	/* Another session has not enrolled in full. */
	enroll(&q, "b1", 5, 0, "");
	expect_error(&q, DFB_NOBODY);
	/* Another incarnation: a later one replaces, an earlier one is refused. */
	enroll(&q, "b1", 6, 0, "");
	expect_error(&q, DFB_NOBODY);
	enroll(&q, "b1", 6, 1, "+A10-z");
	expect(&q, DFB_M_DONE);
	lookup(&q, "A10-x", 0);
	expect_routes(&q, false, "A10-x", "");
	enroll(&p, "b1", 5, 0, "");
	expect_error(&p, DFB_DENIED);
	enroll(&p, "b1", 5, 1, "");
	expect_error(&p, DFB_DENIED);
	forget(&p, "b1", 5);
	expect(&p, DFB_M_DONE);
	lookup(&p, "A10-z", 0);
	expect_routes(&p, false, "A10-z", "A10-z@b1/1 ");
	leave(&p);
	leave(&q);
}

static void
refused(struct peer *p, struct dfb_proto m)
{
	say(p, m);
	expect_error(p, DFB_BADINPUT);
	assert_int_equal(p->m.req, p->req);
}

static void
test_refused(void **state)
{
	struct dfb_proto m;
	struct peer p;

	(void)state;
	enter(&p);
	m = enrolment("", 1, 1, "");
	refused(&p, m);
	m = enrolment("a b", 1, 1, "");
	refused(&p, m);
	m = enrolment("b1", 1, 1, "+nohyphen");
	refused(&p, m);
	m = enrolment("b1", 1, 1, "+A10-a-b");
	refused(&p, m);
	m = enrolment("b1", 1, 1, "");
	m.enroll.region = dfb_str("a10");
	refused(&p, m);
	m = enrolment("b1", 1, 1, "");
	m.enroll.endpoint = dfb_str("http://x");
	refused(&p, m);
	m = enrolment("b1", 1, 1, "");
	m.enroll.lease_ms = 99;
	refused(&p, m);
	m.enroll.lease_ms = 3600 * 1000;
	refused(&p, m);
	m = enrolment("b1", 1, 1, "");
	m.enroll.state = 3;
	refused(&p, m);
	m = enrolment("b1", 1, 2, "");
	refused(&p, m);
	lookup(&p, "a-b", 1);
	expect_error(&p, DFB_BADINPUT);
	lookup(&p, "", 0);
	expect_error(&p, DFB_BADINPUT);
	/* The session goes on. */
	lookup(&p, "x", 0);
	expect_routes(&p, false, "x", "");
	leave(&p);
}

static void
test_watch(void **state)
{
	struct peer b, c, d;
	uint64_t v, w;

	(void)state;
	enter(&b);
	enter(&c);
	enter(&d);
	lookup(&c, "x", 1);
	v = expect_routes(&c, false, "x", "");
	lookup(&d, "A10-other", 1);
	expect_routes(&d, false, "A10-other", "");
	enroll(&b, "b1", 1, 1, "+A10-x");
	expect(&b, DFB_M_DONE);
	w = expect_routes(&c, true, "x", "A10-x@b1/1 ");
	assert_true(w > v);
	enroll(&b, "b1", 1, 0, ""); /* a renewal is no news */
	expect(&b, DFB_M_DONE);
	enroll(&b, "b1", 1, 0, "+B20-x");
	expect(&b, DFB_M_DONE);
	v = expect_routes(&c, true, "x", "A10-x@b1/1 B20-x@b1/1 ");
	assert_true(v > w);
	{
		struct dfb_proto m = enrolment("b1", 1, 0, "");
		m.enroll.state = DFB_STATE_DRAINING;
		say(&b, m);
	}
	expect(&b, DFB_M_DONE);
	expect_routes(&c, true, "x", "A10-x@b1/2 B20-x@b1/2 ");
	forget(&b, "b1", 7); /* not this one */
	expect(&b, DFB_M_DONE);
	forget(&b, "b1", 1);
	expect(&b, DFB_M_DONE);
	expect_routes(&c, true, "x", "");
	say(&c, (struct dfb_proto){ .type = DFB_M_UNWATCH, .unwatch = {
	    .dest = dfb_str("x") } });
	lookup(&c, "y", 0);
	expect_routes(&c, false, "y", "");
	enroll(&b, "b1", 2, 1, "+A10-x");
	expect(&b, DFB_M_DONE);
	silent(&c);
	silent(&d);
	leave(&b);
	leave(&c);
	leave(&d);
}

static void
test_lost(void **state)
{
	struct peer b, c;
	struct dfb_proto m;

	(void)state;
	enter(&c);
	lookup(&c, "A10-x", 1);
	expect_routes(&c, false, "A10-x", "");
	enter(&b);
	m = enrolment("b1", 1, 1, "+A10-x");
	m.enroll.lease_ms = 500;
	say(&b, m);
	expect(&b, DFB_M_DONE);
	expect_routes(&c, true, "A10-x", "A10-x@b1/1 ");
	leave(&b);
	expect_routes(&c, true, "A10-x", "A10-x@b1/3 ");
	/* It comes back within its lease. */
	enter(&b);
	say(&b, m);
	expect(&b, DFB_M_DONE);
	expect_routes(&c, true, "A10-x", "A10-x@b1/1 ");
	/* It hangs: connected, but silent. */
	expect_routes(&c, true, "A10-x", "");
	enroll(&b, "b1", 1, 0, "");
	expect_error(&b, DFB_NOBODY);
	leave(&b);
	leave(&c);
}

/* What was said before the connection ended counts, in order. */
static void
test_last_words(void **state)
{
	struct peer b, c;

	(void)state;
	enter(&c);
	for (uint64_t i = 1; i <= 20; i++) {
		connect_raw(&b, 1000);
		hello(&b, 1);
		enroll(&b, "b1", i, 1, "+A10-x");
		leave(&b);
	}
	lookup(&c, "A10-x", 1);
	for (;;) {
		struct dfb_m_route r = { .state = 0 };

		expect(&c, DFB_M_ROUTES);
		dfb_route_next(&c.m.routes.routes, &r);
		if (r.incarnation == 20 && r.state == DFB_STATE_LOST)
			break;
	}
	connect_raw(&b, 1000);
	hello(&b, 1);
	forget(&b, "b1", 20);
	leave(&b);
	expect_routes(&c, true, "A10-x", "");
	leave(&c);
}

static void
test_listing(void **state)
{
	struct peer b, c;
	struct dfb_m_daemon d;

	(void)state;
	enter(&b);
	enter(&c);
	say(&c, (struct dfb_proto){ .type = DFB_M_DAEMONS });
	expect(&c, DFB_M_LISTING);
	assert_int_equal(c.m.listing.daemons.len, 0);
	enroll(&b, "b1", 5, 1, "+A10-x +A10-y");
	expect(&b, DFB_M_DONE);
	say(&c, (struct dfb_proto){ .type = DFB_M_DAEMONS });
	expect(&c, DFB_M_LISTING);
	assert_int_equal(dfb_daemon_next(&c.m.listing.daemons, &d), 1);
	assert_true(dfb_str_is(d.kind, "broker"));
	assert_true(dfb_str_is(d.name, "b1"));
	assert_true(dfb_str_is(d.region, "A10"));
	assert_int_equal(d.incarnation, 5);
	assert_int_equal(d.topics, 2);
	assert_int_equal(d.state, 1);
	assert_true(d.age_ms < 60000);
	assert_int_equal(dfb_daemon_next(&c.m.listing.daemons, &d), 0);
	leave(&b);
	leave(&c);
}

static void
test_admin(void **state)
{
	struct peer p;

	(void)state;
	enter(&p);
	enroll(&p, "b1", 5, 1, "+A10-x");
	expect(&p, DFB_M_DONE);
	admin(&p, "stats", "");
	expect_json(&p, "\"enrolled\":1,\"topics\":1,\"services\":1,");
	admin(&p, "list", "{}");
	expect_json(&p, "\"topics\":[\"A10-x\"]");
	admin(&p, "list", "[1]");
	expect_error(&p, DFB_BADINPUT);
	admin(&p, "list", "{");
	expect_error(&p, DFB_BADINPUT);
	admin(&p, "reboot", "");
	expect_error(&p, DFB_BADINPUT);
	leave(&p);
}

static void
test_restart(void **state)
{
	struct peer p, c;
	uint64_t v, w;
	int status;

	(void)state;
	enter(&p);
	enroll(&p, "b1", 5, 1, "+A10-x +A10-y");
	enroll(&p, "b2", 5, 1, "+A10-x");
	enroll(&p, "b1", 5, 0, "-A10-y");
	forget(&p, "b2", 5);
	for (int i = 0; i < 4; i++)
		expect(&p, DFB_M_DONE);
	lookup(&p, "A10-x", 0);
	v = expect_routes(&p, false, "A10-x", "A10-x@b1/1 ");
	leave(&p);
	status = stop(SIGTERM);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);

	start(); /* answers at once, before b1 came */
	enter(&c);
	lookup(&c, "A10-x", 1);
	w = expect_routes(&c, false, "A10-x", "A10-x@b1/1 ");
	assert_true(w > v);
	lookup(&c, "A10-y", 0);
	expect_routes(&c, false, "A10-y", "");
	enter(&p);
	enroll(&p, "b1", 5, 0, "");
	expect_error(&p, DFB_NOBODY);
	enroll(&p, "b1", 5, 1, "+A10-x");
	expect(&p, DFB_M_DONE);
	silent(&c); /* nothing changed */
	leave(&c);
	leave(&p);

	stop(SIGKILL); /* and after a crash */
	start();
	enter(&c);
	lookup(&c, "A10-x", 0);
	assert_true(expect_routes(&c, false, "A10-x", "A10-x@b1/1 ") > w);
	leave(&c);
}

/* systemd hears of readiness, and of the end. */
static void
test_notify(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char text[64];
	ssize_t n;

	(void)state;
	assert_true(fd != -1);
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s/notify", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	stop(SIGTERM);
	setenv("NOTIFY_SOCKET", sa.sun_path, 1);
	start();
	unsetenv("NOTIFY_SOCKET");
	n = recv(fd, text, sizeof text, 0);
	assert_int_equal(n, 7);
	assert_memory_equal(text, "READY=1", 7);
	stop(SIGTERM);
	n = recv(fd, text, sizeof text, 0);
	assert_int_equal(n, 10);
	assert_memory_equal(text, "STOPPING=1", 10);
	close(fd);
	unlink(sa.sun_path);
	start();
}

/* A service in so many regions that its ROUTES are large. */
static void
enroll_large(struct peer *p)
{
	struct dfb_proto m = enrolment("b1", 1, 1, "");
	struct dfb_buf list = { 0 };

	for (int i = 0; i < 1000; i++) {
		char topic[16];
		struct dfb_m_offer o = { .up = 1 };
		snprintf(topic, sizeof topic, "%03d-s", i);
		o.topic = dfb_str(topic);
		assert_int_equal(dfb_offer_add(&list, &o), 0);
	}
	m.enroll.offers = (struct dfb_blob){ list.data, list.len };
	say(p, m);
	expect(p, DFB_M_DONE);
	dfb_buf_release(&list);
}

/* Who does not read for a while misses states in between, but not the last. */
static void
test_slow_watcher(void **state)
{
	struct peer b, slow, other;
	uint64_t last, v = 0;
	int pushes = 0;

	(void)state;
	enter(&b);
	enroll_large(&b);
	connect_raw(&slow, 1);
	hello(&slow, 1);
	expect(&slow, DFB_M_WELCOME);
	lookup(&slow, "s", 1);
	expect(&slow, DFB_M_ROUTES);
	for (int i = 0; i < 2000; i++) {
		enroll(&b, "b1", 1, 0, i % 2 == 0 ? "+ZZZ-s" : "-ZZZ-s");
		expect(&b, DFB_M_DONE);
	}
	enter(&other);
	lookup(&other, "s", 0);
	expect(&other, DFB_M_ROUTES);
	last = other.m.routes.version;
	for (; v < last; pushes++) {
		expect(&slow, DFB_M_ROUTES);
		assert_true(slow.m.routes.version > v);
		v = slow.m.routes.version;
	}
	assert_in_range(pushes, 100, 1900);
	assert_int_equal(v, last);
	leave(&slow);
	leave(&other);
	leave(&b);
}

/* Who asks and asks and never reads is given up; the others do not notice. */
static void
test_glutton(void **state)
{
	struct peer b, bad, other;
	struct dfb_buf buf = { 0 };
	struct dfb_proto m = { .type = DFB_M_LOOKUP, .lookup = { .dest = dfb_str("s") } };
	int got = 0;

	(void)state;
	enter(&b);
	enroll_large(&b);
	connect_raw(&bad, 100);
	hello(&bad, 1);
	expect(&bad, DFB_M_WELCOME);
	assert_int_equal(dfb_proto_encode(&m, &buf), 0);
	for (int i = 0; i < 4000; i++)
		while (dfb_sock_send(bad.sock, NULL, buf.data, buf.len) == -1) {
			assert_int_equal(errno, EAGAIN);
			poll(NULL, 0, 1);
		}
	dfb_buf_release(&buf);
	enter(&other);
	do {
		admin(&other, "stats", "");
		expect(&other, DFB_M_RESULT);
	} while (!json_has(&other, "\"slow\":1"));
	leave(&other);
	/* It reads now: what was queued is there, the rest is not. */
	while (got < 4000 && next(&bad, 500) == DFB_M_ROUTES)
		got++;
	assert_in_range(got, 100, 3900);
	leave(&bad);
	leave(&b);
}

/* A server that was started again does not say 'nobody' before brokers are back. */
static void
test_held(void **state)
{
	struct peer broker, first, second;

	(void)state;
	stop(SIGKILL);
	start();
	enter(&first);
	lookup(&first, "A10-x", 0);
	enter(&second);
	lookup(&second, "A10-none", 1);
	silent(&first);
	enter(&broker);
	enroll(&broker, "b1", 7, 1, "+A10-x");
	expect(&broker, DFB_M_DONE);
	expect_routes(&first, false, "A10-x", "A10-x@b1/1 ");
	expect_routes(&second, false, "A10-none", "");
	lookup(&first, "A10-y", 0);
	expect_routes(&first, false, "A10-y", "");
	leave(&first);
	leave(&second);
	leave(&broker);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_enroll, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_admin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_notify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_watcher, setup, teardown),
		cmocka_unit_test_setup_teardown(test_glutton, setup, teardown),
	};

	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
