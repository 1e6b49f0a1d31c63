#include "client/admin.h"
#include "fake.h"

static struct bus bus;
static struct dfb_caller *caller;

struct answer {
	unsigned n;
	enum dfb_status status;
	char why[400], body[100];
};

static void
on_answer(void *arg, enum dfb_status st, const char *why, const struct dfb_msg *reply)
{
	struct answer *a = arg;

	a->n++;
	a->status = st;
	snprintf(a->why, sizeof a->why, "%s", why);
	if (reply != NULL)
		snprintf(a->body, sizeof a->body, "%.*s", (int)reply->body_len,
		    (const char *)reply->body);
}

static int
setup(void **state)
{
	fake_direct = *state != NULL;
	bus_open(&bus, 30000, 30000);
	fake_route(&bus.names, "A10-pay", &bus.b1, "A10", DFB_STATE_UP);
	assert_int_equal(dfb_caller_open(bus.client, "A10-pay", &caller), DFB_OK);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dfb_caller_close(caller);
	bus_close(&bus);
	return 0;
}

static void
start(const char *text, uint64_t timeout_ms, struct answer *a)
{
	struct dfb_msg m = text_msg(text);

	*a = (struct answer){ 0 };
	assert_int_equal(dfb_caller_start(caller, &m, timeout_ms, on_answer, a), DFB_OK);
}

/* Answer all calls of a frame in one, with the same. */
static void
answer_all(struct fake *f, const struct dfb_m_call *m, enum dfb_status st, uint8_t taken,
    const char *reason, const char *prefix)
{
	const uint8_t *p = m->records.p, *end = p + m->records.len;
	struct dfb_buf list = { 0 };
	struct dfb_record r;
	char body[100];

	while (dfb_record_next(&p, end, &r) == 1) {
		assert_true((r.flags & (DFB_R_CALL | DFB_R_EXPIRES)) ==
		    (DFB_R_CALL | DFB_R_EXPIRES));
		snprintf(body, sizeof body, "%s%.*s", prefix, (int)r.body_len,
		    (const char *)r.body);
		dfb_outcome_add(&list, &(struct dfb_m_outcome){ .call = r.call,
		    .status = (uint16_t)st, .taken = taken, .reason = dfb_str(reason),
		    .body = { (const uint8_t *)body, strlen(body) } });
	}
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ANSWER,
	    .answer.answers = { list.data, list.len } });
	dfb_buf_release(&list);
}

static bool
echo(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_CALL)
		return false;
	answer_all(f, &m->call, DFB_OK, 1, "", f->name);
	return true;
}

static bool
nobody(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_CALL)
		return false;
	answer_all(f, &m->call, DFB_NOBODY, 0, "no consumer", "");
	return true;
}

static bool
busy(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_CALL)
		return false;
	answer_all(f, &m->call, DFB_AGAIN, 0, "the disk is behind", "");
	return true;
}

static bool
broken(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_CALL)
		return false;
	answer_all(f, &m->call, DFB_NO, 1, "exit 3", "");
	return true;
}

/* Calls by id are in frames of their own; what is collected is there. */
static bool
by_id(struct fake *f, const struct dfb_proto *m)
{
	struct dfb_buf list = { 0 };

	if (m->type == DFB_M_CALL) {
		answer_all(f, &m->call, DFB_OK, 1, "", m->call.flags == DFB_CALL_ONCE ?
		    "once " : m->call.flags == 0 ? "plain " : "wrong ");
		return true;
	}
	if (m->type != DFB_M_COLLECT)
		return false;
	assert_int_equal(m->collect.id.b[0], 0xab);
	assert_true(m->collect.expires > 1000000);
	dfb_outcome_add(&list, &(struct dfb_m_outcome){ .call = m->collect.call, .taken = 1,
	    .body = { (const uint8_t *)"kept", 4 } });
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ANSWER,
	    .answer.answers = { list.data, list.len } });
	dfb_buf_release(&list);
	return true;
}

static void
ids(void **state)
{
	const struct dfb_id id = { { 0xab } };
	struct dfb_msg m = text_msg("b");
	struct answer a, b = { 0 }, c, d = { 0 };

	(void)state;
	bus.b1.script = by_id;
	assert_int_equal(dfb_caller_start_once(caller, &m, 30000, on_answer, &b),
	    DFB_BADINPUT);
	m.id = id;
	start("a", 30000, &a);
	assert_int_equal(dfb_caller_start_once(caller, &m, 30000, on_answer, &b), DFB_OK);
	start("c", 30000, &c);
	assert_int_equal(dfb_caller_collect(caller, &id, 30000, on_answer, &d), DFB_OK);
	WAIT_UNTIL(bus.client, a.n + b.n + c.n + d.n == 4);
	assert_string_equal(a.body, "plain a");
	assert_string_equal(b.body, "once b");
	assert_string_equal(c.body, "plain c");
	assert_string_equal(d.body, "kept");
}

static void
answers(void **state)
{
	struct answer a, b;

	(void)state;
	bus.b1.script = echo;
	start("ping", 30000, &a);
	start("pong", 30000, &b);
	WAIT_UNTIL(bus.client, a.n == 1 && b.n == 1);
	assert_string_equal(a.body, "b1ping");
	assert_string_equal(b.body, "b1pong");
	assert_int_equal(fake_count(&bus.b1, "CALL"), 1); /* together */
	bus.b1.script = broken;
	start("ping", 30000, &a);
	WAIT_UNTIL(bus.client, a.n == 1);
	assert_int_equal(a.status, DFB_NO);
	assert_string_equal(a.why, "exit 3");
}

static void
timeouts(void **state)
{
	struct answer a;

	(void)state;
	start("ping", 200, &a);
	WAIT_UNTIL(bus.client, a.n == 1);
	assert_int_equal(a.status, DFB_TIMEOUT);
}

static bool
keep(struct fake *f, const struct dfb_proto *m)
{
	const uint8_t *p;
	struct dfb_record r;

	if (m->type != DFB_M_CALL)
		return false;
	p = m->call.records.p;
	assert_int_equal(dfb_record_next(&p, p + m->call.records.len, &r), 1);
	if (r.body[0] != 'o')
		return echo(f, m);
	f->next = r.call; /* answered later */
	return true;
}

static void
late_answers_find_nobody(void **state)
{
	struct dfb_buf list = { 0 };
	struct answer a, b;

	(void)state;
	bus.b1.script = keep;
	start("new", 30000, &b); /* connects */
	WAIT_UNTIL(bus.client, b.n == 1);
	start("old", 200, &a);
	WAIT_UNTIL(bus.client, a.n == 1 && bus.b1.next != 1);
	start("new", 30000, &b);
	dfb_outcome_add(&list, &(struct dfb_m_outcome){ .call = bus.b1.next, .taken = 1,
	    .body = { (const uint8_t *)"late", 4 } });
	fake_say(&bus.b1, &(struct dfb_proto){ .type = DFB_M_ANSWER,
	    .answer.answers = { list.data, list.len } });
	dfb_buf_release(&list);
	WAIT_UNTIL(bus.client, b.n == 1);
	assert_string_equal(b.body, "b1new");
	assert_int_equal(a.n, 1);
}

static void
next_broker(void **state)
{
	struct answer a;

	(void)state;
	bus.names.routes.len = 0;
	fake_route(&bus.names, "A10-pay", &bus.b1, "A10", DFB_STATE_UP);
	fake_route(&bus.names, "A10-pay", &bus.b2, "A09", DFB_STATE_UP);
	bus.b1.script = nobody;
	bus.b2.script = echo;
	start("x", 30000, &a);
	WAIT_UNTIL(bus.client, a.n == 1);
	assert_int_equal(a.status, DFB_OK);
	assert_string_equal(a.body, "b2x");
	assert_int_equal(fake_count(&bus.b1, "CALL"), 1);
	bus.b2.script = nobody;
	start("y", 30000, &a);
	WAIT_UNTIL(bus.client, a.n == 1);
	assert_int_equal(a.status, DFB_NOBODY);
	assert_string_equal(a.why, "no consumer");
	assert_int_equal(fake_count(&bus.b1, "CALL"), 2);
	assert_int_equal(fake_count(&bus.b2, "CALL"), 2);
}

/* The caller is told, and at once; a call must not wait for its timeout in silence. */
static void
only_broker_is_busy(void **state)
{
	struct answer a;

	(void)state;
	bus.b1.script = busy;
	start("x", 30000, &a);
	WAIT_UNTIL(bus.client, a.n == 1);
	assert_int_equal(a.status, DFB_AGAIN);
	assert_string_equal(a.why, "the disk is behind");
	assert_int_equal(fake_count(&bus.b1, "CALL"), 1);
}

static void
brokers_take_turns(void **state)
{
	struct answer a[10];

	(void)state;
	fake_route(&bus.names, "A10-pay", &bus.b2, "A10", DFB_STATE_UP);
	bus.b1.script = bus.b2.script = echo;
	for (int i = 0; i < 10; i++) {
		start("x", 30000, &a[i]);
		WAIT_UNTIL(bus.client, a[i].n == 1);
	}
	assert_int_equal(fake_count(&bus.b1, "CALL"), 5);
	assert_int_equal(fake_count(&bus.b2, "CALL"), 5);
}

static void
refused_comes_last(void **state)
{
	struct answer a[8];
	uint64_t calls;

	(void)state;
	fake_route(&bus.names, "A10-pay", &bus.b2, "A10", DFB_STATE_UP);
	bus.b1.script = busy;
	bus.b2.script = echo;
	for (int i = 0; i < 8; i++) {
		start("x", 30000, &a[i]);
		WAIT_UNTIL(bus.client, a[i].n == 1);
		assert_string_equal(a[i].body, "b2x");
	}
	assert_int_equal(fake_count(&bus.b1, "CALL"), 1); /* then it is avoided */
	/* Who is avoided is better than nobody. */
	bus.b2.script = busy;
	bus.b1.script = echo;
	calls = fake_count(&bus.b2, "CALL");
	start("y", 30000, &a[0]);
	WAIT_UNTIL(bus.client, a[0].n == 1);
	assert_string_equal(a[0].body, "b1y");
	assert_int_equal(fake_count(&bus.b2, "CALL"), calls + 1);
}

static void
keys_have_their_broker(void **state)
{
	struct dfb_msg m = text_msg("x");
	unsigned both = 0;
	char key[8];
	struct answer a, first;

	(void)state;
	fake_route(&bus.names, "A10-pay", &bus.b2, "A10", DFB_STATE_UP);
	bus.b1.script = bus.b2.script = echo;
	for (int i = 0; i < 30; i++) {
		snprintf(key, sizeof key, "k%d", i / 3);
		m.key = key;
		m.key_len = strlen(key);
		a = (struct answer){ 0 };
		assert_int_equal(dfb_caller_start(caller, &m, 30000, on_answer, &a), DFB_OK);
		WAIT_UNTIL(bus.client, a.n == 1);
		if (i % 3 == 0)
			first = a;
		assert_string_equal(a.body, first.body);
		both |= strcmp(a.body, "b1x") == 0 ? 1 : 2;
	}
	assert_int_equal(both, 3);
}

static void
connection_lost(void **state)
{
	struct answer a;

	(void)state;
	start("x", 30000, &a);
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "CALL") == 1);
	fake_stop(&bus.b1);
	WAIT_UNTIL(bus.client, a.n == 1);
	assert_int_equal(a.status, DFB_NOBODY);
	assert_non_null(strstr(a.why, "may have been handled"));
	/* What was never sent waits for the broker to come back. */
	start("y", 30000, &a);
	dfb_wait(bus.client, 0);
	fake_start(&bus.b1, bus.client, "b1");
	bus.b1.script = echo;
	WAIT_UNTIL(bus.client, a.n == 1);
	assert_string_equal(a.body, "b1y");
}

static void
no_route(void **state)
{
	struct answer a;

	(void)state;
	bus.names.routes.len = 0;
	start("x", 30000, &a);
	WAIT_UNTIL(bus.client, a.n == 1);
	assert_int_equal(a.status, DFB_NOBODY);
	assert_non_null(strstr(a.why, "no broker serves 'A10-pay'"));
}

static void
no_name_server(void **state)
{
	struct answer a, b;

	(void)state;
	dfb_caller_close(caller);
	bus_close(&bus);
	bus_open(&bus, 100, 30000);
	fake_stop(&bus.names);
	assert_int_equal(dfb_caller_open(bus.client, "A10-pay", &caller), DFB_OK);
	start("x", 30000, &a);
	start("y", 10, &b);
	WAIT_UNTIL(bus.client, a.n == 1 && b.n == 1);
	assert_int_equal(a.status, DFB_NOBODY);
	assert_non_null(strstr(a.why, "is the bus running?"));
	assert_int_equal(b.status, DFB_TIMEOUT);
	assert_non_null(strstr(b.why, "is the bus running?"));
}

static void
closed_with_calls(void **state)
{
	struct answer a, b;

	(void)state;
	start("x", 30000, &a);
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "CALL") == 1);
	start("y", 30000, &b);
	dfb_caller_close(caller);
	caller = NULL;
	assert_int_equal(a.n + b.n, 0);
}

static bool
error(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_CALL)
		return false;
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ERROR, .status = DFB_DENIED,
	    .req = m->req, .error.reason = dfb_str("not yours") });
	return true;
}

static void
frame_refused(void **state)
{
	struct answer a;

	(void)state;
	bus.b1.script = error;
	start("x", 30000, &a);
	WAIT_UNTIL(bus.client, a.n == 1);
	assert_int_equal(a.status, DFB_DENIED);
	assert_string_equal(a.why, "not yours");
}

static void
synchronous(void **state)
{
	struct dfb_msg m = text_msg("ping");
	void *reply;
	size_t len;

	(void)state;
	bus.b1.script = echo;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(dfb_call(bus.client, "A10-pay", &m, 30000, &reply, &len),
		    DFB_OK);
		assert_int_equal(len, 6);
		assert_memory_equal(reply, "b1ping", 6);
		free(reply);
	}
	assert_int_equal(fake_count(&bus.names, "LOOKUP"), 1);
	bus.b1.script = broken;
	assert_int_equal(dfb_call(bus.client, "pay", &m, 30000, &reply, &len), DFB_NO);
	assert_string_equal(dfb_error(bus.client), "exit 3");
	for (int i = 0; i < 40; i++) {
		char dest[16];
		snprintf(dest, sizeof dest, "s%d", i);
		assert_int_equal(dfb_call(bus.client, dest, &m, 30000, &reply, &len),
		    DFB_NO);
	}
}

/* ---- admin.h ---- */

static bool
administer(struct fake *f, const struct dfb_proto *m)
{
	struct dfb_proto a = { .req = m->req };
	struct dfb_buf list = { 0 };
	struct dfb_msg msg = text_msg("hello");
	struct dfb_record r;

	switch (m->type) {
	case DFB_M_ADMIN:
		a.type = dfb_str_is(m->admin.verb, "fail") ? DFB_M_ERROR : DFB_M_RESULT;
		if (a.type == DFB_M_ERROR) {
			a.status = DFB_DENIED;
			a.error.reason = dfb_str("no");
		} else
			a.result.json = m->admin.args;
		break;
	case DFB_M_DAEMONS:
		a.type = DFB_M_LISTING;
		dfb_daemon_add(&list, &(struct dfb_m_daemon){ .kind = dfb_str("broker"),
		    .name = dfb_str("b1"), .topics = 3 });
		a.listing.daemons = (struct dfb_blob){ list.data, list.len };
		break;
	case DFB_M_PEEK:
		a.type = DFB_M_PEEKED;
		dfb_record_from(&r, &msg);
		dfb_buf_reserve(&list, 100);
		list.len = (size_t)(dfb_record_write(&r, list.data) - list.data);
		a.peeked = (struct dfb_m_peeked){ .queues = 4, .first = 1, .end = 9,
			.offset = m->peek.value, .count = 1,
			.records = { list.data, list.len } };
		break;
	default:
		return false;
	}
	fake_say(f, &a);
	dfb_buf_release(&list);
	return true;
}

static void
on_peek(void *arg, const struct dfb_msg *m)
{
	*(uint64_t *)arg = m->offset;
	assert_memory_equal(m->body, "hello", 5);
}

static void
admin(void **state)
{
	struct dfb_admin_daemon *daemons;
	struct dfb_admin_route *routes;
	struct dfb_admin_peek peek = { .endpoint = bus.b1.endpoint, .topic = "A10-pay",
		.start = DFB_OFFSET, .start_value = 5, .max_count = 1 };
	uint64_t offset = 0;
	size_t n;
	char *json;

	(void)state;
	bus.names.script = bus.b1.script = administer;
	assert_int_equal(dfb_admin_ask(bus.client, NULL, "v", "{\"a\":1}", 30000, &json),
	    DFB_OK);
	assert_string_equal(json, "{\"a\":1}");
	free(json);
	assert_int_equal(dfb_admin_ask(bus.client, bus.b1.endpoint, "fail", NULL, 30000,
	    &json), DFB_DENIED);
	assert_string_equal(dfb_error(bus.client), "no");
	assert_int_equal(dfb_admin_ask(bus.client, "ipc:///nowhere/x", "v", NULL, 1000,
	    &json), DFB_NOBODY);
	assert_int_equal(dfb_admin_daemons(bus.client, 30000, &daemons, &n), DFB_OK);
	assert_int_equal(n, 1);
	assert_string_equal(daemons[0].name, "b1");
	free(daemons);
	assert_int_equal(dfb_admin_routes(bus.client, "A10-pay", 1, 30000, &routes, &n),
	    DFB_OK);
	assert_int_equal(n, 1);
	assert_string_equal(routes[0].endpoint, bus.b1.endpoint);
	free(routes);
	assert_int_equal(dfb_admin_routes(bus.client, "A10-pay", 2, 10, &routes, &n),
	    DFB_TIMEOUT);
	free(routes);
	assert_int_equal(dfb_admin_peek(bus.client, &peek, 30000, on_peek, &offset), DFB_OK);
	assert_int_equal(offset, 5);
	assert_int_equal(peek.queues, 4);
	assert_int_equal(peek.count, 1);
	dfb_caller_close(caller);
	caller = NULL;
	bus_close(&bus);
	bus_open(&bus, 100, 30000);
	fake_stop(&bus.names);
	/* At first the question may still go to the one that is dying. */
	WAIT_UNTIL(bus.client, dfb_admin_ask(bus.client, NULL, "v", NULL, 1000, &json) ==
	    DFB_NOBODY && strstr(dfb_error(bus.client), "is the bus running?") != NULL);
}

#define TEST(fn) FAKE_TWICE(fn)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers), TEST(ids), TEST(timeouts), TEST(late_answers_find_nobody),
		TEST(next_broker), TEST(only_broker_is_busy), TEST(brokers_take_turns),
		TEST(refused_comes_last), TEST(keys_have_their_broker), TEST(connection_lost),
		TEST(no_route), TEST(no_name_server), TEST(closed_with_calls),
		TEST(frame_refused), TEST(synchronous), TEST(admin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
