/* Sessions to daemons and to name servers. */
#include "client/conn.h"

#include "fake.h"

static struct bus bus;
static struct dfb_conn *conn;
static unsigned ups, downs, refusals, welcomes, pongs;
static char why[300];
static bool free_in_callback;

static void
on_up(void *arg)
{
	(void)arg;
	ups++;
}

static void
on_down(void *arg, const char *reason)
{
	(void)arg;
	downs++;
	snprintf(why, sizeof why, "%s", reason);
	if (free_in_callback) {
		dfb_conn_free(conn, 0);
		conn = NULL;
	}
}

static void
on_refused(void *arg)
{
	(void)arg;
	refusals++;
	if (free_in_callback) {
		dfb_conn_free(conn, 0);
		conn = NULL;
	}
}

static void
on_frame(void *arg, const struct dfb_proto *m)
{
	(void)arg;
	welcomes += m->type == DFB_M_WELCOME;
	if (free_in_callback) {
		dfb_conn_free(conn, 0);
		conn = NULL;
	}
}

static void
connect_to(const char *endpoint)
{
	conn = dfb_conn_new(&(struct dfb_conn_config){ .net = dfb_client_net(bus.client),
	    .loop = dfb_client_loop(bus.client), .endpoint = endpoint, .role = "client",
	    .who = "me", .region = "A10", .up = on_up, .down = on_down,
	    .refused = on_refused, .frame = on_frame });
	assert_non_null(conn);
	assert_false(dfb_conn_is_up(conn));
	assert_string_equal(dfb_conn_endpoint(conn), endpoint);
}

static int
setup(void **state)
{
	fake_direct = *state != NULL;
	bus_open(&bus, 30000, 30000);
	ups = downs = refusals = welcomes = pongs = 0;
	free_in_callback = false;
	conn = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dfb_conn_free(conn, 0);
	bus_close(&bus);
	return 0;
}

static void
a_session(void **state)
{
	struct dfb_proto m = { .type = DFB_M_DAEMONS };

	(void)state;
	connect_to(bus.b1.endpoint);
	assert_int_equal(dfb_conn_send(conn, &m), -1); /* not up */
	WAIT_UNTIL(bus.client, welcomes == 1);
	assert_int_equal(ups, 1);
	assert_int_equal(dfb_conn_session(conn), 1);
	/* A PING is answered without anybody's help. */
	fake_say(&bus.b1, &(struct dfb_proto){ .type = DFB_M_PING, .ping.nonce = 5 });
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "PONG nonce=5") == 1);
	fake_stop(&bus.b1);
	WAIT_UNTIL(bus.client, downs == 1);
	assert_false(dfb_conn_is_up(conn));
	fake_start(&bus.b1, bus.client, "b1");
	WAIT_UNTIL(bus.client, welcomes == 2);
	assert_int_equal(dfb_conn_session(conn), 2);
}

static void
nobody_listens(void **state)
{
	(void)state;
	fake_stop(&bus.b1);
	connect_to(bus.b1.endpoint);
	WAIT_UNTIL(bus.client, refusals >= 2);
	fake_start(&bus.b1, bus.client, "b1");
	WAIT_UNTIL(bus.client, ups == 1);
	assert_int_equal(downs, 0);
}

static bool
stranger(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_HELLO)
		return false;
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ERROR, .status = DFB_PROTO,
	    .error.reason = dfb_str("version 2 is spoken here") });
	return true;
}

static void
another_version(void **state)
{
	(void)state;
	bus.b1.script = stranger;
	connect_to(bus.b1.endpoint);
	WAIT_UNTIL(bus.client, downs == 1);
	assert_non_null(strstr(why, "version 2 is spoken here"));
	assert_int_equal(ups, 1);
}

static void
freed_in_callbacks(void **state)
{
	(void)state;
	free_in_callback = true;
	connect_to(bus.b1.endpoint); /* by WELCOME */
	WAIT_UNTIL(bus.client, conn == NULL);
	fake_stop(&bus.b1);
	connect_to(bus.b1.endpoint); /* by the refusal */
	WAIT_UNTIL(bus.client, conn == NULL);
	assert_true(refusals >= 1);
	connect_to(bus.b2.endpoint);
	free_in_callback = false;
	WAIT_UNTIL(bus.client, welcomes == 2);
	free_in_callback = true;
	dfb_conn_drop(conn, "enough", 0); /* by its end */
	assert_null(conn);
	assert_string_equal(why, "enough");
}

/* ---- name servers ---- */

static struct fake spare;

static bool
silent(struct fake *f, const struct dfb_proto *m)
{
	(void)f;
	(void)m;
	return true;
}

static void
next_name_server(void **state)
{
	struct dfb_producer *p;
	struct dfb_msg m = text_msg("x");
	char list[300];
	struct bus b = { 0 };

	(void)state;
	/* The first is not there, the second says nothing, the third knows. */
	snprintf(list, sizeof list, "ipc://%s/none,%s,ipc://%s/spare", fake_dir,
	    bus.names.endpoint, fake_dir);
	assert_int_equal(dfb_open(&(struct dfb_config){ .names = list }, &b.client), DFB_OK);
	fake_release(&bus.names);
	fake_release(&bus.b1);
	fake_start(&b.names, b.client, "names");
	fake_start(&b.b1, b.client, "b1");
	fake_start(&spare, b.client, "spare");
	b.names.script = silent;
	fake_route(&spare, "A10-pay", &b.b1, "A10", DFB_STATE_UP);
	assert_int_equal(dfb_producer_open(b.client, &(struct dfb_producer_config){
	    .dest = "A10-pay" }, &p), DFB_OK);
	assert_int_equal(dfb_producer_put(p, &m), DFB_OK);
	assert_int_equal(dfb_producer_flush(p, -1), DFB_OK);
	assert_int_equal(fake_count(&b.names, "LOOKUP"), 1);
	/* The third goes, the second has woken up. */
	b.names.script = NULL;
	fake_route(&b.names, "A10-pay", &b.b1, "A10", DFB_STATE_UP);
	fake_stop(&spare);
	WAIT_UNTIL(b.client, fake_count(&b.names, "LOOKUP") == 2);
	dfb_producer_close(p);
	fake_release(&spare);
	fake_release(&b.names);
	fake_release(&b.b1);
	dfb_close(b.client);
}

static bool
bad_routes(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_LOOKUP || f->step++ != 0)
		return false;
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ROUTES, .req = m->req, .routes = {
	    .dest = m->lookup.dest, .routes = { (const uint8_t *)"junk", 4 } } });
	return true;
}

static bool
refuses(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_LOOKUP)
		return false;
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ERROR, .req = m->req,
	    .status = DFB_DENIED, .error.reason = dfb_str("not you") });
	return true;
}

static void
odd_name_servers(void **state)
{
	struct dfb_producer *p;
	struct dfb_msg m = text_msg("x");

	(void)state;
	fake_route(&bus.names, "A10-pay", &bus.b1, "A10", DFB_STATE_UP);
	bus.names.script = bad_routes;
	assert_int_equal(dfb_producer_open(bus.client, &(struct dfb_producer_config){
	    .dest = "A10-pay" }, &p), DFB_OK);
	assert_int_equal(dfb_producer_put(p, &m), DFB_OK);
	assert_int_equal(dfb_producer_flush(p, -1), DFB_OK);
	assert_int_equal(bus.names.sessions, 2);
	dfb_producer_close(p);
	WAIT_UNTIL(bus.client, fake_count(&bus.names, "UNWATCH dest=A10-pay") == 1);
	bus.names.script = refuses;
	assert_int_equal(dfb_producer_open(bus.client, &(struct dfb_producer_config){
	    .dest = "A10-pay" }, &p), DFB_OK);
	assert_int_equal(dfb_producer_put(p, &m), DFB_OK);
	assert_int_equal(dfb_producer_flush(p, -1), DFB_DENIED);
	assert_non_null(strstr(dfb_error(bus.client), "not you"));
	dfb_producer_close(p);
}

static void
nothing_happens(void **state)
{
	uint64_t before = dfb_test_ms();

	(void)state;
	assert_int_equal(dfb_wait(bus.client, 0), DFB_TIMEOUT);
	assert_int_equal(dfb_wait(bus.client, 20), DFB_TIMEOUT);
	assert_true(dfb_test_ms() - before >= 19);
	assert_true(dfb_fd(bus.client) >= 0);
	assert_non_null(dfb_error(bus.client));
	dfb_close(NULL);
}

#define TEST(fn) FAKE_TWICE(fn)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_session), TEST(nobody_listens), TEST(another_version),
		TEST(freed_in_callbacks), TEST(next_name_server), TEST(odd_name_servers),
		TEST(nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
