#include "fake.h"

struct failures {
	unsigned n;
	uint64_t number[FAKE_LOG];
	enum dfb_status status[FAKE_LOG];
	char why[400];
};

static struct bus bus;
static struct failures bad;
static struct dfb_producer *prod;

static void
on_failed(void *arg, uint64_t n, enum dfb_status st, const char *why)
{
	struct failures *f = arg;

	f->number[f->n] = n;
	f->status[f->n++] = st;
	snprintf(f->why, sizeof f->why, "%s", why);
}

static void
open_producer(struct dfb_producer_config cf)
{
	bad = (struct failures){ 0 };
	cf.failed = on_failed;
	cf.arg = &bad;
	if (cf.dest == NULL)
		cf.dest = "A10-pay";
	assert_int_equal(dfb_producer_open(bus.client, &cf, &prod), DFB_OK);
}

static void
put(const char *text)
{
	struct dfb_msg m = text_msg(text);

	assert_int_equal(dfb_producer_put(prod, &m), DFB_OK);
}

static void
assert_stored(const struct fake *b, const char *all)
{
	char text[FAKE_LOG * 4] = "";

	for (unsigned i = 0; i < b->nbodies; i++)
		strlcat(text, b->bodies[i], sizeof text);
	assert_string_equal(text, all);
}

static int
setup(void **state)
{
	fake_direct = *state != NULL;
	bus_open(&bus, 30000, 30000);
	fake_route(&bus.names, "A10-pay", &bus.b1, "A10", DFB_STATE_UP);
	prod = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dfb_producer_close(prod);
	bus_close(&bus);
	return 0;
}

static void
confirms(void **state)
{
	(void)state;
	open_producer((struct dfb_producer_config){ 0 });
	put("a");
	put("b");
	put("c");
	assert_int_equal(dfb_producer_pending(prod), 3);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_int_equal(dfb_producer_taken(prod), 3);
	assert_int_equal(dfb_producer_pending(prod), 0);
	assert_stored(&bus.b1, "abc");
	assert_int_equal(fake_count(&bus.b1, "PUT"), 1);
	assert_int_equal(fake_find(&bus.b1, "PRODUCE "), 0);
	put("d");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "abcd");
	dfb_producer_close(prod);
	prod = NULL;
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "FINISH") == 1);
	assert_int_equal(bad.n, 0);
}

static bool
refuse_2nd(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT || f->step++ != 0)
		return false;
	fake_store(f, &m->put, 2);
	fake_refuse(f, m->put.stream, 2, DFB_REFUSE_MESSAGE, DFB_BADINPUT, "too large");
	fake_confirm(f, m->put.stream, 1);
	return true;
}

static void
one_refused_for_good(void **state)
{
	(void)state;
	bus.b1.script = refuse_2nd;
	open_producer((struct dfb_producer_config){ 0 });
	for (const char *t = "abcde"; *t != '\0'; t++)
		put((char[]){ *t, '\0' });
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_BADINPUT);
	assert_string_equal(dfb_error(bus.client), "too large");
	assert_int_equal(bad.n, 1);
	assert_int_equal(bad.number[0], 2);
	assert_int_equal(bad.status[0], DFB_BADINPUT);
	assert_stored(&bus.b1, "acde");
	assert_int_equal(dfb_producer_failures(prod), 1);
}

/* The second of three is known. */
static bool
know_2nd(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT)
		return false;
	assert_int_equal(m->put.flags, DFB_PUT_ONCE);
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_KNOWN, .known = {
	    .stream = m->put.stream, .seq = m->put.seq + 1, .queue = 4, .offset = 17 } });
	fake_confirm(f, m->put.stream, m->put.seq + m->put.count - 1);
	return true;
}

static void
on_known(void *arg, uint64_t n, uint32_t queue, uint64_t offset)
{
	(void)arg;
	bad.number[bad.n++] = n;
	assert_int_equal(queue, 4);
	assert_int_equal(offset, 17);
}

static void
known_by_their_ids(void **state)
{
	(void)state;
	bus.b1.script = know_2nd;
	open_producer((struct dfb_producer_config){ .once = true, .known = on_known });
	for (unsigned i = 0; i < 2; i++) {
		put("a");
		put("b");
		put("c");
		assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
		assert_int_equal(bad.n, i + 1);
		assert_int_equal(bad.number[i], 3 * i + 2);
	}
	assert_int_equal(dfb_producer_failures(prod), 0);
}

/* Three frames are out when the first is refused: later ones are renumbered, too. */
static bool
refuse_1st(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT || m->put.seq != 1 || f->step++ != 0)
		return false;
	fake_refuse(f, m->put.stream, 1, DFB_REFUSE_MESSAGE, DFB_BADINPUT, "no");
	return true;
}

static void
frames_behind_are_renumbered(void **state)
{
	static char big[40000];
	struct dfb_msg m = { .body = big, .body_len = sizeof big };

	(void)state;
	bus.b1.script = refuse_1st;
	open_producer((struct dfb_producer_config){ 0 });
	memset(big, 'x', sizeof big);
	for (int i = 0; i < 5; i++) {
		big[0] = (char)('1' + i);
		assert_int_equal(dfb_producer_put(prod, &m), DFB_OK);
	}
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_BADINPUT);
	assert_int_equal(bad.number[0], 1);
	assert_int_equal(bus.b1.nbodies, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(bus.b1.bodies[i][0], '2' + i);
}

static bool
not_now(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT || f->step++ >= 2)
		return false;
	fake_store(f, &m->put, 3);
	if (f->step == 1)
		fake_confirm(f, m->put.stream, 2);
	fake_refuse(f, m->put.stream, 3, DFB_REFUSE_STREAM, DFB_AGAIN, "full");
	return true;
}

static void
waits_when_told(void **state)
{
	(void)state;
	bus.b1.script = not_now;
	open_producer((struct dfb_producer_config){ 0 });
	for (const char *t = "abcde"; *t != '\0'; t++)
		put((char[]){ *t, '\0' });
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "abcde");
	assert_int_equal(fake_count(&bus.b1, "PUT"), 3);
	assert_int_equal(bad.n, 0);
}

static void
no_wait_fails_at_once(void **state)
{
	(void)state;
	bus.b1.script = not_now;
	bus.b1.step = 1; /* once; and 1, 2 are confirmed late */
	open_producer((struct dfb_producer_config){ .no_wait = true });
	for (const char *t = "abcde"; *t != '\0'; t++)
		put((char[]){ *t, '\0' });
	WAIT_UNTIL(bus.client, bad.n == 3);
	assert_int_equal(bad.number[0], 3);
	assert_int_equal(bad.status[2], DFB_AGAIN);
	assert_int_equal(dfb_producer_pending(prod), 2);
	put("f");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_AGAIN);
	assert_stored(&bus.b1, "abf");
}

static bool
over(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PRODUCE || f->step++ != 0)
		return false;
	fake_refuse(f, m->produce.stream, 0, DFB_REFUSE_STREAM, DFB_DENIED, "not yours");
	return true;
}

static void
stream_refused(void **state)
{
	(void)state;
	bus.b1.script = over;
	open_producer((struct dfb_producer_config){ 0 });
	put("a");
	put("b");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_DENIED);
	assert_int_equal(bad.n, 2);
	put("c"); /* opens another */
	dfb_producer_flush(prod, -1);
	assert_int_equal(bad.n, 2);
	assert_string_equal(bus.b1.bodies[bus.b1.nbodies - 1], "c");
}

static bool
swallow(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT)
		return false;
	f->step++;
	fake_store(f, &m->put, 3);
	fake_confirm(f, m->put.stream, 1);
	return true;
}

static void
resends_to_a_new_session(void **state)
{
	struct dfb_buf first = { 0 };
	char *big = calloc(1, 3000);

	(void)state;
	bus.b1.script = swallow;
	open_producer((struct dfb_producer_config){ 0 });
	memset(big, 'z', 2999);
	put("a");
	put("b");
	put("c");
	put(big); /* too large to be copied by the socket */
	free(big);
	WAIT_UNTIL(bus.client, bus.b1.step == 1 && dfb_producer_pending(prod) == 3);
	first = bus.b1.last_put;
	bus.b1.last_put = (struct dfb_buf){ 0 };
	fake_stop(&bus.b1);
	bus.b1.script = NULL;
	fake_start(&bus.b1, bus.client, "b1");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_int_equal(bus.b1.sessions, 2);
	assert_int_equal(bus.b1.nbodies, 4);
	assert_int_equal(first.len, bus.b1.last_put.len);
	assert_memory_equal(first.data, bus.b1.last_put.data, first.len);
	assert_int_equal(fake_count(&bus.b1, "PRODUCE"), 2);
	assert_non_null(strstr(bus.b1.log[2], "epoch=2 next=2"));
	dfb_buf_release(&first);
}

static void
gives_up_on_a_broker(void **state)
{
	(void)state;
	teardown(NULL);
	bus_open(&bus, 30000, 300);
	fake_route(&bus.names, "A10-pay", &bus.b1, "A10", DFB_STATE_UP);
	bus.b1.script = swallow;
	open_producer((struct dfb_producer_config){ 0 });
	put("a");
	put("b");
	WAIT_UNTIL(bus.client, bus.b1.step == 1 && dfb_producer_pending(prod) == 1);
	fake_stop(&bus.b1);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_NOBODY);
	assert_int_equal(bad.n, 1);
	assert_int_equal(bad.number[0], 2);
	assert_non_null(strstr(bad.why, "may or may not"));
	assert_non_null(strstr(bus.notice, "broker b1 went away"));
	/* And comes back to it later. */
	bus.b1.script = NULL;
	fake_start(&bus.b1, bus.client, "b1");
	put("c");
	dfb_producer_flush(prod, -1);
	assert_int_equal(dfb_producer_failures(prod), 1);
	assert_stored(&bus.b1, "abc");
}

static void
atomic_batches(void **state)
{
	static uint8_t big[16 << 20];
	struct dfb_msg m = { .body = big, .body_len = 900000 };

	(void)state;
	open_producer((struct dfb_producer_config){ .atomic = true, .window = 2 });
	put("a");
	put("b");
	put("c");
	dfb_wait(bus.client, 0); /* sends nothing */
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "abc");
	assert_int_equal(fake_count(&bus.b1, "PUT"), 1);
	assert_non_null(strstr(bus.b1.log[1], "count=3 flags=1"));

	/* What is not flushed is not held back by the window, but has a limit. */
	for (int i = 0; i < 36; i++)
		assert_int_equal(dfb_producer_put(prod, &m), DFB_OK);
	assert_int_equal(dfb_producer_put(prod, &m), DFB_BADINPUT);
	assert_int_equal(dfb_producer_taken(prod), 39);
}

static bool
refuse_atomic(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT || f->step++ != 0)
		return false;
	fake_refuse(f, m->put.stream, 2, DFB_REFUSE_MESSAGE, DFB_BADINPUT, "no");
	return true;
}

static void
atomic_batch_refused(void **state)
{
	(void)state;
	bus.b1.script = refuse_atomic;
	open_producer((struct dfb_producer_config){ .atomic = true });
	put("a");
	put("b");
	put("c");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_BADINPUT);
	assert_int_equal(bad.n, 3);
	put("d");
	put("e");
	dfb_producer_flush(prod, -1);
	assert_int_equal(bad.n, 3);
	assert_stored(&bus.b1, "de");
}

static void
window(void **state)
{
	struct dfb_msg m = text_msg("x");
	char big[3000] = "";
	struct dfb_msg large = { .body = big, .body_len = sizeof big };

	(void)state;
	open_producer((struct dfb_producer_config){ .window = 4, .window_bytes = 2000 });
	for (int i = 0; i < 4; i++)
		assert_int_equal(dfb_producer_put(prod, &m), DFB_OK);
	assert_int_equal(dfb_producer_put(prod, &m), DFB_AGAIN);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	/* Larger than the window: alone. */
	assert_int_equal(dfb_producer_put(prod, &large), DFB_OK);
	assert_int_equal(dfb_producer_put(prod, &m), DFB_AGAIN);
	WAIT_UNTIL(bus.client, dfb_producer_put(prod, &m) == DFB_OK);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_int_equal(bus.b1.nbodies, 6);
}

static void
bad_messages(void **state)
{
	static uint8_t big[(16 << 20) + 1];
	char key[256] = "";
	struct dfb_msg m = text_msg("x");
	struct dfb_producer *none;

	(void)state;
	assert_int_equal(dfb_producer_open(bus.client, &(struct dfb_producer_config){
	    .dest = "a b" }, &none), DFB_USAGE);
	open_producer((struct dfb_producer_config){ 0 });
	m.key = key;
	m.key_len = 256;
	assert_int_equal(dfb_producer_put(prod, &m), DFB_BADINPUT);
	assert_non_null(strstr(dfb_error(bus.client), "key"));
	m = (struct dfb_msg){ .headers = "abc", .headers_len = 3 };
	assert_int_equal(dfb_producer_put(prod, &m), DFB_BADINPUT);
	m = (struct dfb_msg){ .body = big, .body_len = sizeof big };
	assert_int_equal(dfb_producer_put(prod, &m), DFB_BADINPUT);
	put("a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	m.body_len = 1000001; /* the topic's limit is known by now */
	assert_int_equal(dfb_producer_put(prod, &m), DFB_BADINPUT);
	assert_int_equal(dfb_producer_taken(prod), 1);
}

static void
no_route(void **state)
{
	(void)state;
	bus.names.routes.len = 0;
	open_producer((struct dfb_producer_config){ 0 });
	put("a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_NOBODY);
	assert_non_null(strstr(bad.why, "no broker serves 'A10-pay'"));
	/* Once there is one, messages flow. */
	fake_route(&bus.names, "A10-pay", &bus.b1, "A10", DFB_STATE_UP);
	fake_push(&bus.names, "A10-pay");
	WAIT_UNTIL(bus.client, (put("b"), dfb_producer_flush(prod, -1),
	    bus.b1.nbodies != 0));
}

static void
no_name_server(void **state)
{
	(void)state;
	teardown(NULL);
	bus_open(&bus, 50, 30000);
	fake_stop(&bus.names);
	open_producer((struct dfb_producer_config){ 0 });
	put("a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_NOBODY);
	assert_non_null(strstr(bad.why, "is the bus running?"));
}

static void
name_server_comes_late(void **state)
{
	(void)state;
	fake_stop(&bus.names);
	open_producer((struct dfb_producer_config){ 0 });
	put("a");
	assert_int_equal(dfb_producer_flush(prod, 0), DFB_TIMEOUT);
	fake_start(&bus.names, bus.client, "names");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
}

static void
name_server_goes_while_working(void **state)
{
	(void)state;
	open_producer((struct dfb_producer_config){ 0 });
	put("a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	fake_stop(&bus.names);
	WAIT_UNTIL(bus.client, strstr(bus.notice, "name server") != NULL);
	put("b");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	/* Also when the broker restarts meanwhile. */
	fake_stop(&bus.b1);
	fake_start(&bus.b1, bus.client, "b1");
	put("c");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "abc");
	fake_start(&bus.names, bus.client, "names");
	WAIT_UNTIL(bus.client, fake_count(&bus.names, "LOOKUP") == 2);
}

static bool
garbage(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT || f->step++ != 0)
		return false;
	assert_int_equal(dfb_sock_send(f->sock, &f->peer, "garbage", 7), 0);
	return true;
}

static bool
nonsense(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT || f->step++ != 0)
		return false;
	fake_confirm(f, m->put.stream, 99);
	return true;
}

static void
survives_bad_frames(void **state)
{
	(void)state;
	bus.b1.script = garbage;
	open_producer((struct dfb_producer_config){ 0 });
	put("a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_non_null(strstr(bus.notice, "is back"));
	bus.b1.script = nonsense;
	bus.b1.step = 0;
	put("b");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "ab");
	assert_int_equal(bus.b1.sessions, 3);
}

static bool
draining(struct fake *f, const struct dfb_proto *m)
{
	if (m->type == DFB_M_PUT)
		f->step++;
	if (m->type != DFB_M_PRODUCE)
		return m->type == DFB_M_PUT;
	fake_refuse(f, m->produce.stream, 0, DFB_REFUSE_STREAM, DFB_AGAIN, "draining");
	return true;
}

static bool
not_yet(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PRODUCE || f->step++ >= 3)
		return m->type == DFB_M_PUT && f->step <= 3;
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_REFUSE, .status = DFB_AGAIN,
	    .refuse = { .stream = m->produce.stream, .wait_ms = 30,
	    .reason = dfb_str("full") } });
	return true;
}

static void
refused_at_the_beginning(void **state)
{
	uint64_t began = dfb_test_ms();

	(void)state;
	bus.b1.script = not_yet;
	open_producer((struct dfb_producer_config){ 0 });
	put("a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "a");
	assert_int_equal(fake_count(&bus.b1, "PRODUCE "), 4);
	assert_true(dfb_test_ms() - began >= 80); /* it waited each time */
}

static void
leaves_a_draining_broker(void **state)
{
	(void)state;
	fake_route(&bus.names, "A10-pay", &bus.b2, "A10", DFB_STATE_UP);
	open_producer((struct dfb_producer_config){ 0 });
	put("a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	struct fake *from = bus.b1.nbodies != 0 ? &bus.b1 : &bus.b2;
	struct fake *to = from == &bus.b1 ? &bus.b2 : &bus.b1;
	from->script = draining;
	fake_stop(from);
	fake_start(from, bus.client, from == &bus.b1 ? "b1" : "b2");
	WAIT_UNTIL(bus.client, strstr(bus.notice, "is back") != NULL);
	put("b");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(to, "b");
}

static void
own_region_first(void **state)
{
	(void)state;
	bus.names.routes.len = 0;
	fake_route(&bus.names, "A09-pay", &bus.b2, "A09", DFB_STATE_UP);
	fake_route(&bus.names, "A10-pay", &bus.b1, "A10", DFB_STATE_UP);
	open_producer((struct dfb_producer_config){ .dest = "pay" });
	put("a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "a");
	/* Nobody there: the other region. */
	fake_stop(&bus.b1);
	WAIT_UNTIL(bus.client, strstr(bus.notice, "b1 went away") != NULL);
	put("b");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b2, "b");
}

static void
bad_configuration(void **state)
{
	struct dfb *d = NULL;

	(void)state;
	open_producer((struct dfb_producer_config){ 0 });
	assert_int_equal(dfb_open(&(struct dfb_config){ .names = "udp://x" }, &d),
	    DFB_USAGE);
	assert_int_equal(dfb_open(&(struct dfb_config){ .names = "ipc:///a,,ipc:///b" },
	    &d), DFB_USAGE);
	assert_int_equal(dfb_open(&(struct dfb_config){ .region = "a1" }, &d), DFB_USAGE);
	/* Closed with a message on its way. */
	put("a");
	dfb_wait(bus.client, 0);
}

#define TEST(fn) FAKE_TWICE(fn)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(confirms), TEST(known_by_their_ids),
		TEST(one_refused_for_good),
		TEST(frames_behind_are_renumbered), TEST(waits_when_told),
		TEST(no_wait_fails_at_once), TEST(stream_refused),
		TEST(resends_to_a_new_session), TEST(gives_up_on_a_broker),
		TEST(atomic_batches), TEST(atomic_batch_refused), TEST(window),
		TEST(bad_messages), TEST(no_route), TEST(no_name_server),
		TEST(name_server_comes_late), TEST(name_server_goes_while_working),
		TEST(survives_bad_frames), TEST(refused_at_the_beginning),
		TEST(leaves_a_draining_broker),
		TEST(own_region_first), TEST(bad_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
