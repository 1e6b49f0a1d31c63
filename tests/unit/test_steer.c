/* Producers with several brokers: which message goes where, when one refuses or is gone. */
#include "fake.h"

#include "base/hash.h"
#include "client/producer.h"

#define DEST "A10-pay"

static struct bus bus;
static struct fake b3;
static struct dfb_producer *prod;
static unsigned nbad;
static uint64_t bad[FAKE_LOG];
static enum dfb_status bad_status;
static char marks[FAKE_LOG]; /* of the records that came to b2: '-', or 'm' */

static void
on_failed(void *arg, uint64_t n, enum dfb_status st, const char *why)
{
	(void)arg;
	(void)why;
	bad[nbad++] = n;
	bad_status = st;
}

static void
open_bus(const char *avoid)
{
	setenv("DFB_AVOID", avoid, 1);
	bus_open(&bus, 30000, 30000);
	unsetenv("DFB_AVOID");
	fake_start(&b3, bus.client, "b3");
	fake_route(&bus.names, DEST, &bus.b1, "A10", DFB_STATE_UP);
	fake_route(&bus.names, DEST, &bus.b2, "A10", DFB_STATE_UP);
	prod = NULL;
	nbad = 0;
	bad_status = DFB_OK;
	memset(marks, 0, sizeof marks);
}

static int
setup(void **state)
{
	fake_direct = *state != NULL;
	open_bus("60s,60s,60s");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dfb_producer_close(prod);
	fake_release(&b3);
	bus_close(&bus);
	return 0;
}

static void
open_producer(struct dfb_producer_config cf)
{
	cf.failed = on_failed;
	cf.dest = DEST;
	assert_int_equal(dfb_producer_open(bus.client, &cf, &prod), DFB_OK);
}

static void
put(const char *key, const char *text)
{
	struct dfb_msg m = text_msg(text);

	m.key = key;
	m.key_len = key != NULL ? strlen(key) : 0;
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

/* A key that a broker of these wants more than the other. */
static const char *
key_of(const char *broker, const char *than)
{
	static char keys[8][16];
	static unsigned next;
	char *key = keys[next++ % 8];
	uint64_t a = dfb_hash(broker, strlen(broker)), b = dfb_hash(than, strlen(than)), k;

	for (int i = 0;; i++) {
		snprintf(key, sizeof keys[0], "key%d", i);
		k = dfb_hash(key, strlen(key));
		if (dfb_hash_score(k, a) > dfb_hash_score(k, b))
			return key;
	}
}

static struct fake *
home(void)
{
	return bus.b1.nbodies != 0 ? &bus.b1 : &bus.b2;
}

static void
keys_by_hash(void **state)
{
	const char *k1 = key_of("b1", "b2"), *k2 = key_of("b2", "b1");

	(void)state;
	open_producer((struct dfb_producer_config){ 0 });
	put(k1, "a"); /* before routes are known */
	put(k2, "b");
	put(k1, "c");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	put(k2, "d");
	put(k1, "e");
	put(k2, "f");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "ace");
	assert_stored(&bus.b2, "bdf");
	assert_int_equal(fake_count(&bus.b1, "PUT"), 2);
}

/* The hash is for ever: other senders, and other versions, use it, too. */
static void
the_hash(void **state)
{
	unsigned share[3] = { 0 }, moved = 0;
	char key[16];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		uint64_t score[3];
		snprintf(key, sizeof key, "%d", i);
		for (int b = 0; b < 3; b++)
			score[b] = dfb_hash_score(dfb_hash(key, strlen(key)),
			    dfb_hash((char[]){ 'b', (char)('1' + b) }, 2));
		unsigned two = score[1] > score[0];
		unsigned three = score[2] > score[two] ? 2 : two;
		share[three]++;
		moved += three != two;
	}
	for (int b = 0; b < 3; b++)
		assert_in_range(share[b], 900, 1100);
	assert_in_range(moved, 900, 1100);
	assert_int_equal(dfb_hash_score(dfb_hash("key", 3), dfb_hash("b1", 2)),
	    UINT64_C(0xb7d19d92a04b216c));
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
failures_have_their_numbers(void **state)
{
	const char *k1 = key_of("b1", "b2"), *k2 = key_of("b2", "b1");

	(void)state;
	bus.b2.script = refuse_2nd;
	open_producer((struct dfb_producer_config){ 0 });
	put(k1, "a");
	put(k2, "b");
	put(k1, "c");
	put(k1, "d");
	put(k2, "e"); /* the 5th */
	put(k2, "f");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_BADINPUT);
	assert_int_equal(nbad, 1);
	assert_int_equal(bad[0], 5);
	assert_stored(&bus.b1, "acd");
	assert_stored(&bus.b2, "bf");
	assert_int_equal(dfb_producer_taken(prod), 6);
	assert_int_equal(dfb_producer_pending(prod), 0);
}

/* ---- failing over ---- */

static bool
swallow(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT)
		return false;
	f->step++;
	return true;
}

static bool
see_marks(struct fake *f, const struct dfb_proto *m)
{
	const uint8_t *p = m->put.records.p, *end = p + m->put.records.len;
	struct dfb_record r;

	(void)f;
	while (m->type == DFB_M_PUT && dfb_record_next(&p, end, &r) == 1)
		marks[strlen(marks)] = (r.flags & DFB_R_MAYBE) != 0 ? 'm' : '-';
	return false;
}

static void
in_doubt_is_marked(void **state)
{
	const char *k1 = key_of("b1", "b2");

	(void)state;
	bus.b1.script = swallow;
	bus.b2.script = see_marks;
	open_producer((struct dfb_producer_config){ .failover_ms = 20 });
	put(k1, "a");
	put(k1, "b");
	WAIT_UNTIL(bus.client, bus.b1.step == 1);
	fake_stop(&bus.b1);
	WAIT_UNTIL(bus.client, strstr(bus.notice, "went away") != NULL);
	put(k1, "c");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b2, "abc");
	assert_string_equal(marks, "mm-");
	assert_non_null(strstr(bus.notice, "broker b1 is gone for 20ms"));
	/* Later ones follow at once. */
	put(k1, "d");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b2, "abcd");
}

static void
back_in_time_is_not_marked(void **state)
{
	const char *k1 = key_of("b1", "b2");

	(void)state;
	bus.b1.script = swallow;
	open_producer((struct dfb_producer_config){ .failover_ms = 30000 });
	put(k1, "a");
	WAIT_UNTIL(bus.client, bus.b1.step == 1);
	fake_stop(&bus.b1);
	WAIT_UNTIL(bus.client, strstr(bus.notice, "went away") != NULL);
	put(k1, "b");
	bus.b1.script = NULL;
	fake_start(&bus.b1, bus.client, "b1");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "ab");
	assert_int_equal(bus.b2.nlog, 0);
}

static void
a_batch_moves_as_one(void **state)
{
	const char *k1 = key_of("b1", "b2"), *k2 = key_of("b2", "b1");

	(void)state;
	bus.b1.script = swallow;
	bus.b2.script = see_marks;
	open_producer((struct dfb_producer_config){ .failover_ms = 20, .atomic = true });
	put(k1, "a");
	put(k2, "b");
	assert_int_equal(dfb_producer_flush(prod, 0), DFB_TIMEOUT);
	put(k1, "c");
	put(k2, "d");
	assert_int_equal(dfb_producer_flush(prod, 0), DFB_TIMEOUT);
	WAIT_UNTIL(bus.client, bus.b1.step == 2);
	fake_stop(&bus.b1);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b2, "abcd");
	assert_string_equal(marks, "mmmm");
	assert_int_equal(fake_count(&bus.b2, "PUT"), 2);
}

/* ---- isolation ---- */

/* "not now", until step is 0. */
static bool
busy(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT || f->step == 0)
		return false;
	f->step++;
	fake_refuse(f, m->put.stream, m->put.seq, DFB_REFUSE_STREAM, DFB_AGAIN, "full");
	return true;
}

static bool
busy_for_all(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PRODUCE || f->step == 0)
		return busy(f, m);
	fake_refuse(f, m->produce.stream, 0, DFB_REFUSE_STREAM, DFB_AGAIN, "full");
	return true;
}

static void
refused_is_tried_elsewhere(void **state)
{
	(void)state;
	open_producer((struct dfb_producer_config){ 0 });
	put(NULL, "a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	struct fake *from = home(), *to = from == &bus.b1 ? &bus.b2 : &bus.b1;
	from->script = busy;
	from->step = 1;
	put(NULL, "b");
	put(NULL, "c");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	put(NULL, "d"); /* stays there, though the first one is well */
	from->step = 0;
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(to, "bcd");
	assert_stored(from, "a");
	assert_int_equal(fake_count(from, "PUT"), 2);
	assert_non_null(strstr(bus.notice, "full; to another one"));
}

static void
two_others_then_it_waits(void **state)
{
	struct fake *all[] = { &bus.b1, &bus.b2, &b3 };

	(void)state;
	fake_route(&bus.names, DEST, &b3, "A10", DFB_STATE_UP);
	for (int i = 0; i < 3; i++) {
		all[i]->script = busy;
		all[i]->step = 1;
	}
	open_producer((struct dfb_producer_config){ .no_wait = true });
	put(NULL, "a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_AGAIN);
	assert_int_equal(nbad, 1);
	for (int i = 0; i < 3; i++) /* each once */
		assert_int_equal(fake_count(all[i], "PUT"), 1);
	dfb_producer_close(prod);
	/* Who waits tries them all again, never one twice in a row. */
	open_producer((struct dfb_producer_config){ 0 });
	put(NULL, "b");
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "PUT") > 2 ||
	    fake_count(&bus.b2, "PUT") > 2 || fake_count(&b3, "PUT") > 2);
	for (int i = 0; i < 3; i++)
		all[i]->step = 0;
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_int_equal(bus.b1.nbodies + bus.b2.nbodies + b3.nbodies, 1);
	unsigned most = 0, sum = 0;
	for (int i = 0; i < 3; i++) {
		unsigned n = fake_count(all[i], "PUT") - 1;
		sum += n;
		most = n > most ? n : most;
	}
	assert_true(sum - most + 1 >= most);
}

static void
keys_do_not_jump(void **state)
{
	const char *k1 = key_of("b1", "b2"), *k2 = key_of("b2", "b1");

	(void)state;
	bus.b1.script = busy;
	bus.b1.step = 1;
	open_producer((struct dfb_producer_config){ 0 });
	put(k1, "a");
	put(k2, "b");
	WAIT_UNTIL(bus.client, bus.b1.step > 3 && bus.b2.nbodies == 1);
	assert_non_null(strstr(bus.notice, "full; waiting"));
	bus.b1.step = 0;
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "a");
	assert_stored(&bus.b2, "b");
}

static void
no_wait_fails_keys_only(void **state)
{
	const char *k1 = key_of("b1", "b2");

	(void)state;
	fake_route(&bus.names, DEST, &b3, "A09", DFB_STATE_UP);
	bus.b1.script = busy;
	bus.b1.step = 1;
	bus.names.routes.len = 0; /* b1 is home */
	fake_route(&bus.names, DEST, &bus.b1, "A10", DFB_STATE_UP);
	fake_route(&bus.names, DEST, &b3, "A09", DFB_STATE_UP);
	open_producer((struct dfb_producer_config){ .no_wait = true });
	put(NULL, "a");
	put(k1, "b");
	put(NULL, "c");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_AGAIN);
	assert_int_equal(nbad, 1);
	assert_int_equal(bad[0], 2);
	assert_int_equal(bad_status, DFB_AGAIN);
	assert_stored(&b3, "ac");
	assert_stored(&bus.b1, "");
}

static void
probes_bring_it_back(void **state)
{
	(void)state;
	teardown(NULL);
	open_bus("60s,5ms,5ms");
	bus.names.routes.len = 0;
	fake_route(&bus.names, DEST, &bus.b1, "A10", DFB_STATE_UP);
	fake_route(&bus.names, DEST, &b3, "A09", DFB_STATE_UP);
	bus.b1.script = busy_for_all;
	bus.b1.step = 1;
	open_producer((struct dfb_producer_config){ 0 });
	put(NULL, "a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&b3, "a");
	/* Asked again and again; no FINISH for what was refused. */
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "PRODUCE") > 3);
	assert_int_equal(fake_count(&bus.b1, "FINISH"), 0);
	bus.b1.step = 0;
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "FINISH") == 1);
	put(NULL, "b");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "b");
}

static void
avoided_for_its_time(void **state)
{
	(void)state;
	teardown(NULL);
	open_bus("50ms,60s,60s");
	bus.names.routes.len = 0;
	fake_route(&bus.names, DEST, &bus.b1, "A10", DFB_STATE_UP);
	fake_route(&bus.names, DEST, &b3, "A09", DFB_STATE_UP);
	bus.b1.script = busy;
	bus.b1.step = 1;
	open_producer((struct dfb_producer_config){ 0 });
	put(NULL, "a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&b3, "a");
	bus.b1.step = 0;
	WAIT_UNTIL(bus.client, (put(NULL, "b"), dfb_producer_flush(prod, -1),
	    bus.b1.nbodies != 0));
	assert_int_equal(fake_count(&bus.b1, "PRODUCE "), 2); /* no probe */
}

static void
brokers_come_and_go(void **state)
{
	const char *k1 = key_of("b1", "b2");

	(void)state;
	open_producer((struct dfb_producer_config){ 0 });
	put(k1, "a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "a");
	/* The broker leaves: what it has not taken moves at once. */
	bus.b1.script = busy;
	bus.b1.step = 1;
	put(k1, "b");
	WAIT_UNTIL(bus.client, bus.b1.step > 1);
	bus.names.routes.len = 0;
	fake_route(&bus.names, DEST, &bus.b2, "A10", DFB_STATE_UP);
	fake_push(&bus.names, DEST);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b2, "b");
	/* And comes back. */
	bus.b1.step = 0;
	fake_route(&bus.names, DEST, &bus.b1, "A10", DFB_STATE_UP);
	fake_push(&bus.names, DEST);
	WAIT_UNTIL(bus.client, (put(k1, "c"), dfb_producer_flush(prod, -1),
	    bus.b1.nbodies == 2));
}

/* The client does not return for that. */
static void
wait_listed(unsigned n)
{
	uint64_t end = dfb_test_ms() + 60000;

	while (prod->nlisted != n) {
		assert_true(dfb_test_ms() < end);
		dfb_wait(bus.client, 5);
	}
}

static void
one_that_left_is_not_overtaken(void **state)
{
	const char *k1 = key_of("b1", "b2");

	(void)state;
	bus.b1.script = swallow;
	bus.b2.script = see_marks;
	open_producer((struct dfb_producer_config){ .failover_ms = 100 });
	put(k1, "a");
	WAIT_UNTIL(bus.client, bus.b1.step == 1);
	bus.names.routes.len = 0;
	fake_route(&bus.names, DEST, &bus.b2, "A10", DFB_STATE_UP);
	fake_push(&bus.names, DEST);
	wait_listed(1);
	put(k1, "b");
	fake_stop(&bus.b1);
	WAIT_UNTIL(bus.client, strstr(bus.notice, "went away") != NULL);
	put(k1, "c");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b2, "abc");
	assert_int_equal(marks[0], 'm');
}

/* ---- keys whose broker comes back ---- */

static uint32_t swallowed; /* the stream of what came last */

static bool
swallow_stream(struct fake *f, const struct dfb_proto *m)
{
	if (m->type == DFB_M_PUT)
		swallowed = m->put.stream;
	return swallow(f, m);
}

/* Nothing is sent to the broker that came back, nor more to the one that has "a". */
static void
assert_waiting(const struct fake *back, const struct fake *has)
{
	assert_int_equal(dfb_producer_flush(prod, 20), DFB_TIMEOUT);
	assert_int_equal(back->nbodies, 0);
	assert_int_equal(has->step, 1);
}

/* "a", whose key is k1, went from b1, which is back now, to b2, which has not confirmed it. */
static void
come_back_unconfirmed(const char *k1, struct dfb_producer_config cf)
{
	teardown(NULL);
	open_bus("60s,5ms,5ms");
	bus.b2.script = swallow_stream;
	bus.b1.script = swallow;
	open_producer(cf);
	put(k1, "a");
	dfb_producer_flush(prod, 0);
	WAIT_UNTIL(bus.client, bus.b1.step == 1);
	fake_stop(&bus.b1);
	WAIT_UNTIL(bus.client, bus.b2.step == 1);
	bus.b1.script = see_marks;
	fake_start(&bus.b1, bus.client, "b1");
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "FINISH") != 0);
}

static void
back_again_overtakes_nothing(void **state)
{
	const char *k1 = key_of("b1", "b2");

	(void)state;
	come_back_unconfirmed(k1, (struct dfb_producer_config){ .failover_ms = 20 });
	put(k1, "b");
	put(k1, "c");
	assert_waiting(&bus.b1, &bus.b2);
	fake_confirm(&bus.b2, swallowed, 1);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "bc");
	assert_string_equal(marks, "--");
	put(k1, "d"); /* at once */
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "bcd");
	assert_int_equal(bus.b2.step, 1);
}

static void
all_go_together(void **state)
{
	const char *k1 = key_of("b1", "b2"), *k2 = key_of("b2", "b1");

	(void)state;
	come_back_unconfirmed(k1, (struct dfb_producer_config){ .failover_ms = 20 });
	put(k1, "b");
	put(k2, "c");
	assert_waiting(&bus.b1, &bus.b2);
	fake_stop(&bus.b2);
	put(k1, "d");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "abcd");
	assert_string_equal(marks, "m---");
}

static void
batches_overtake_nothing(void **state)
{
	const char *k1 = key_of("b1", "b2"), *k2 = key_of("b2", "b1");

	(void)state;
	come_back_unconfirmed(k1,
	    (struct dfb_producer_config){ .failover_ms = 20, .atomic = true });
	put(k1, "b");
	put(k2, "c");
	assert_waiting(&bus.b1, &bus.b2);
	put(k1, "d");
	fake_confirm(&bus.b2, swallowed, 1);
	WAIT_UNTIL(bus.client, bus.b1.nbodies == 2);
	put(k2, "e");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "bcde");
	assert_int_equal(fake_count(&bus.b1, "PUT"), 3); /* one of them was "a" */
}

static void
home_from_afar_overtakes_nothing(void **state)
{
	(void)state;
	b3.script = swallow_stream;
	bus.names.routes.len = 0;
	fake_route(&bus.names, DEST, &b3, "A09", DFB_STATE_UP);
	open_producer((struct dfb_producer_config){ 0 });
	put("key", "a");
	WAIT_UNTIL(bus.client, b3.step == 1);
	bus.names.routes.len = 0;
	fake_route(&bus.names, DEST, &bus.b1, "A10", DFB_STATE_UP);
	fake_route(&bus.names, DEST, &b3, "A09", DFB_STATE_UP);
	fake_push(&bus.names, DEST);
	wait_listed(2);
	put("key", "b");
	assert_waiting(&bus.b1, &b3);
	/* It is sent again to what loses the connection. */
	fake_stop(&b3);
	b3.script = NULL;
	fake_start(&b3, bus.client, "b3");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&b3, "a");
	assert_stored(&bus.b1, "b");
}

/* While "a" waits at b2, b1 leaves and returns: that changes nothing for the key. */
static void
changes_wait_for_each_other(void **state)
{
	const char *k1 = key_of("b1", "b2"), *k2 = key_of("b2", "b1");

	(void)state;
	come_back_unconfirmed(k1, (struct dfb_producer_config){ .failover_ms = 20 });
	put(k1, "b");
	for (int i = 0; i < 2; i++) {
		bus.names.routes.len = 0;
		fake_route(&bus.names, DEST, &bus.b2, "A10", DFB_STATE_UP);
		if (i == 1)
			fake_route(&bus.names, DEST, &bus.b1, "A10", DFB_STATE_UP);
		fake_push(&bus.names, DEST);
		wait_listed(1u + (unsigned)i);
		put(i == 0 ? k1 : k2, i == 0 ? "c" : "d");
	}
	assert_waiting(&bus.b1, &bus.b2);
	bus.b2.script = NULL;
	bus.b2.next = 2;
	fake_confirm(&bus.b2, swallowed, 1);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "bc");
	assert_stored(&bus.b2, "d");
}

#define TEST(fn) FAKE_TWICE(fn)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_by_hash), TEST(the_hash), TEST(failures_have_their_numbers),
		TEST(in_doubt_is_marked), TEST(back_in_time_is_not_marked),
		TEST(a_batch_moves_as_one), TEST(refused_is_tried_elsewhere),
		TEST(two_others_then_it_waits), TEST(keys_do_not_jump),
		TEST(no_wait_fails_keys_only), TEST(probes_bring_it_back),
		TEST(avoided_for_its_time), TEST(brokers_come_and_go),
		TEST(one_that_left_is_not_overtaken), TEST(back_again_overtakes_nothing),
		TEST(all_go_together), TEST(batches_overtake_nothing),
		TEST(home_from_afar_overtakes_nothing), TEST(changes_wait_for_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
