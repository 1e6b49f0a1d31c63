#include "fake.h"

static struct bus bus;
static struct dfb_consumer *cons;
static struct dfb_delivery got[FAKE_LOG];
static char bodies[FAKE_LOG * 4], why_failed[400];
static unsigned ngot, ends;
static enum dfb_status failed;

static void
on_message(void *arg, struct dfb_consumer *c, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	(void)arg;
	(void)c;
	got[ngot++] = *d;
	strncat(bodies, m->body, m->body_len);
	assert_string_equal(m->topic, "A10-pay");
}

static void
on_end(void *arg)
{
	(void)arg;
	ends++;
}

static void
on_failed(void *arg, enum dfb_status st, const char *why)
{
	(void)arg;
	failed = st;
	snprintf(why_failed, sizeof why_failed, "%s", why);
}

static void
open_consumer(struct dfb_consumer_config cf)
{
	cf.dest = "A10-pay";
	cf.group = "g";
	cf.message = on_message;
	cf.end = on_end;
	cf.failed = on_failed;
	assert_int_equal(dfb_consumer_open(bus.client, &cf, &cons), DFB_OK);
}

static int
setup(void **state)
{
	fake_direct = *state != NULL;
	bus_open(&bus, 30000, 30000);
	fake_route(&bus.names, "A10-pay", &bus.b1, "A10", DFB_STATE_UP);
	cons = NULL;
	ngot = ends = 0;
	bodies[0] = why_failed[0] = '\0';
	failed = DFB_OK;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (cons != NULL)
		dfb_consumer_close(cons, 1000);
	bus_close(&bus);
	return 0;
}

/* One record per letter. */
static void
deliver(struct fake *f, uint32_t queue, uint64_t offset, const char *letters,
    uint64_t call)
{
	struct dfb_buf b = { 0 };
	struct dfb_proto m = { .type = DFB_M_DELIVER, .deliver = { .sub = 1,
		.queue = queue, .epoch = 7, .offset = offset, .tries = 1,
		.count = (uint32_t)strlen(letters) } };

	for (const char *p = letters; *p != '\0'; p++) {
		struct dfb_msg msg = { .body = p, .body_len = 1 };
		struct dfb_record r;
		dfb_record_from(&r, &msg);
		if (call != 0) {
			r.flags |= DFB_R_CALL;
			r.call = call;
		}
		assert_int_equal(dfb_buf_reserve(&b, dfb_record_size(&r)), 0);
		dfb_record_write(&r, b.data + b.len);
		b.len += dfb_record_size(&r);
	}
	m.deliver.records = (struct dfb_blob){ b.data, b.len };
	fake_say(f, &m);
	dfb_buf_release(&b);
}

static void
subscribed(struct fake *f)
{
	unsigned before = fake_count(f, "SUBSCRIBE");

	WAIT_UNTIL(bus.client, fake_count(f, "SUBSCRIBE") > before);
}

/* The ranges of the last ACK a broker got, as "queue/epoch:offset+count ...". */
static char acked[400];

static bool
note_acks(struct fake *f, const struct dfb_proto *m)
{
	struct dfb_blob list;
	struct dfb_m_range r;
	size_t n = 0;

	(void)f;
	if (m->type != DFB_M_ACK)
		return false;
	list = m->ack.ranges;
	while (dfb_range_next(&list, &r) == 1)
		n += (size_t)snprintf(acked + n, sizeof acked - n, "%s%u/%u:%u+%u",
		    n != 0 ? " " : "", r.queue, r.epoch, (unsigned)r.offset, r.count);
	return true;
}

static void
acks_are_ranges(void **state)
{
	(void)state;
	bus.b1.script = note_acks;
	open_consumer((struct dfb_consumer_config){ .credit = 50 });
	subscribed(&bus.b1);
	assert_non_null(strstr(bus.b1.log[0], "topic=A10-pay group=g instance= credit=50"));
	deliver(&bus.b1, 0, 10, "abcde", 0);
	deliver(&bus.b1, 1, 0, "xy", 0);
	WAIT_UNTIL(bus.client, ngot == 7);
	assert_string_equal(bodies, "abcdexy");
	for (unsigned i = 0; i < 7; i++)
		if (i != 1)
			dfb_consumer_ack(cons, &got[i]);
	dfb_consumer_nack(cons, &got[1], DFB_DEAD, "bad\xff");
	WAIT_UNTIL(bus.client, acked[0] != '\0');
	assert_string_equal(acked, "0/7:10+1 0/7:12+3 1/7:0+2");
	assert_int_equal(fake_count(&bus.b1, "ACK"), 1);
	assert_int_equal(fake_count(&bus.b1, "NACK sub=1 queue=0 epoch=7 offset=11 action=2"),
	    1);
	acked[0] = '\0';
	assert_int_equal(dfb_consumer_close(cons, -1), DFB_OK);
	cons = NULL;
	assert_int_equal(fake_count(&bus.b1, "LEAVE"), 1);
}

static void
close_sends_what_is_settled(void **state)
{
	struct dfb_msg reply = text_msg("pong");

	(void)state;
	open_consumer((struct dfb_consumer_config){ 0 });
	subscribed(&bus.b1);
	deliver(&bus.b1, 0, 0, "p", 99);
	WAIT_UNTIL(bus.client, ngot == 1);
	assert_int_equal(got[0].call, 99);
	dfb_consumer_ack(cons, &got[0]);
	dfb_consumer_reply(cons, &got[0], DFB_OK, NULL, &reply);
	assert_int_equal(dfb_consumer_close(cons, -1), DFB_OK);
	cons = NULL;
	int at = fake_find(&bus.b1, "REPLY");
	assert_true(at > 0);
	assert_int_equal(fake_find(&bus.b1, "ACK"), at + 1);
	assert_int_equal(fake_find(&bus.b1, "LEAVE"), at + 2);
}

static void
end_when_all_are_drained(void **state)
{
	struct dfb_proto m = { .type = DFB_M_DRAINED, .drained.sub = 1 };

	(void)state;
	fake_route(&bus.names, "A10-pay", &bus.b2, "A10", DFB_STATE_UP);
	open_consumer((struct dfb_consumer_config){ .stop_at_end = true });
	WAIT_UNTIL(bus.client, bus.b1.nlog != 0 && bus.b2.nlog != 0);
	fake_say(&bus.b1, &m);
	deliver(&bus.b1, 0, 0, "a", 0);
	fake_say(&bus.b2, &m);
	WAIT_UNTIL(bus.client, ngot == 1);
	dfb_wait(bus.client, 0);
	assert_int_equal(ends, 0);
	dfb_consumer_ack(cons, &got[0]);
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "ACK") == 1);
	fake_say(&bus.b1, &m);
	WAIT_UNTIL(bus.client, ends == 1);
	assert_int_equal(dfb_consumer_close(cons, -1), DFB_OK);
	cons = NULL;
}

static bool
deny(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_SUBSCRIBE)
		return false;
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ERROR, .status = DFB_DENIED,
	    .req = m->req, .error.reason = dfb_str("not yours") });
	return true;
}

static bool
later(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_SUBSCRIBE || f->step++ != 0)
		return false;
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ERROR, .status = DFB_AGAIN,
	    .req = m->req, .error = { .wait_ms = 1, .reason = dfb_str("later") } });
	return true;
}

static void
refused(void **state)
{
	(void)state;
	bus.b1.script = deny;
	open_consumer((struct dfb_consumer_config){ 0 });
	WAIT_UNTIL(bus.client, failed != DFB_OK);
	assert_int_equal(failed, DFB_DENIED);
	assert_string_equal(why_failed, "broker b1: not yours");
}

static void
asked_to_come_later(void **state)
{
	(void)state;
	bus.b1.script = later;
	open_consumer((struct dfb_consumer_config){ 0 });
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "SUBSCRIBE") == 2);
	assert_int_equal(failed, DFB_OK);
}

static void
dropped(void **state)
{
	(void)state;
	open_consumer((struct dfb_consumer_config){ 0 });
	subscribed(&bus.b1);
	fake_say(&bus.b1, &(struct dfb_proto){ .type = DFB_M_DROPPED, .status = DFB_NOBODY,
	    .dropped = { .sub = 1, .reason = dfb_str("deleted") } });
	WAIT_UNTIL(bus.client, failed != DFB_OK);
	assert_string_equal(why_failed, "broker b1: deleted");
}

static void
no_route(void **state)
{
	(void)state;
	bus.names.routes.len = 0;
	open_consumer((struct dfb_consumer_config){ 0 });
	WAIT_UNTIL(bus.client, failed != DFB_OK);
	assert_int_equal(failed, DFB_NOBODY);
}

static void
new_brokers_are_found(void **state)
{
	(void)state;
	open_consumer((struct dfb_consumer_config){ 0 });
	subscribed(&bus.b1);
	fake_route(&bus.names, "A10-pay", &bus.b2, "A10", DFB_STATE_UP);
	fake_push(&bus.names, "A10-pay");
	subscribed(&bus.b2);
	/* A name server that forgot all does not end what works. */
	bus.names.routes.len = 0;
	fake_push(&bus.names, "A10-pay");
	deliver(&bus.b1, 0, 0, "a", 0);
	WAIT_UNTIL(bus.client, ngot == 1);
	dfb_consumer_ack(cons, &got[0]);
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "ACK") == 1);
}

static void
old_acks_do_not_reach_a_new_session(void **state)
{
	(void)state;
	open_consumer((struct dfb_consumer_config){ 0 });
	subscribed(&bus.b1);
	deliver(&bus.b1, 0, 0, "a", 0);
	WAIT_UNTIL(bus.client, ngot == 1);
	fake_stop(&bus.b1);
	fake_start(&bus.b1, bus.client, "b1");
	subscribed(&bus.b1);
	deliver(&bus.b1, 0, 0, "a", 0);
	WAIT_UNTIL(bus.client, ngot == 2);
	dfb_consumer_ack(cons, &got[0]);
	dfb_consumer_nack(cons, &got[0], DFB_RETRY, NULL);
	dfb_wait(bus.client, 0);
	dfb_consumer_ack(cons, &got[1]);
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "ACK") == 1);
	assert_int_equal(fake_count(&bus.b1, "NACK"), 0);
}

static void
malformed_delivery(void **state)
{
	struct dfb_proto m = { .type = DFB_M_DELIVER, .deliver = { .sub = 1, .count = 1,
		.records = { (const uint8_t *)"xxxx", 4 } } };

	(void)state;
	open_consumer((struct dfb_consumer_config){ 0 });
	subscribed(&bus.b1);
	fake_say(&bus.b1, &m);
	subscribed(&bus.b1);
	assert_int_equal(bus.b1.sessions, 2);
	assert_non_null(strstr(bus.notice, "is back"));
}

static void
close_without_answer(void **state)
{
	(void)state;
	open_consumer((struct dfb_consumer_config){ 0 });
	subscribed(&bus.b1);
	deliver(&bus.b1, 0, 0, "a", 0);
	WAIT_UNTIL(bus.client, ngot == 1);
	dfb_consumer_ack(cons, &got[0]);
	fake_stop(&bus.b1);
	WAIT_UNTIL(bus.client, strstr(bus.notice, "went away") != NULL);
	assert_int_equal(dfb_consumer_close(cons, 1000), DFB_NOBODY);
	cons = NULL;
}

static void
bad_configuration(void **state)
{
	struct dfb_consumer *c;

	(void)state;
	assert_int_equal(dfb_consumer_open(bus.client, &(struct dfb_consumer_config){
	    .dest = "pay" }, &c), DFB_USAGE);
	assert_int_equal(dfb_consumer_open(bus.client, &(struct dfb_consumer_config){
	    .dest = "pay", .group = "a b" }, &c), DFB_USAGE);
	assert_int_equal(dfb_consumer_open(bus.client, &(struct dfb_consumer_config){
	    .dest = "p-y", .group = "g" }, &c), DFB_USAGE);
	assert_int_equal(dfb_consumer_open(bus.client, &(struct dfb_consumer_config){
	    .dest = "pay", .group = "g", .instance = "" }, &c), DFB_USAGE);
}

#define TEST(fn) FAKE_TWICE(fn)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(acks_are_ranges), TEST(close_sends_what_is_settled),
		TEST(end_when_all_are_drained), TEST(refused), TEST(asked_to_come_later),
		TEST(dropped), TEST(no_route), TEST(new_brokers_are_found),
		TEST(old_acks_do_not_reach_a_new_session), TEST(malformed_delivery),
		TEST(close_without_answer), TEST(bad_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
