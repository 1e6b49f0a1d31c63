/* Producers and callers of a service with gsls: which places count, and in which order. */
#include "fake.h"

#include "base/hash.h"
#include "wire/place.h"

#define DEST "pay"

static struct bus bus; /* b1 serves A10-pay, b2 B20-pay; the client is in A10 */
static struct fake g1, g2;
static struct dfb_producer *prod;
static struct dfb_caller *caller;
static struct dfb_buf places, rules;
static uint64_t version, age;
static uint8_t known;
static const char *reason;

/* ---- a gsl ---- */

static void
place(const char *region, uint32_t tier, uint32_t weight)
{
	char topic[32];

	snprintf(topic, sizeof topic, "%s-pay", region);
	known = 1;
	assert_int_equal(dfb_place_add(&places, &(struct dfb_m_place){
	    .topic = dfb_str(topic), .region = dfb_str(region), .tier = tier,
	    .weight = weight }), 0);
}

static void
rule(const char *region, const char *key)
{
	assert_int_equal(dfb_rule_add(&rules, &(struct dfb_m_rule){ .kind = DFB_RULE_KEY,
	    .region = dfb_str(region),
	    .match = { (const uint8_t *)key, strlen(key) } }), 0);
}

/* From now on no place is known. */
static void
nowhere(void)
{
	dfb_buf_release(&places);
	dfb_buf_release(&rules);
	places = rules = (struct dfb_buf){ 0 };
	version++;
}

static void
say_located(struct fake *f, uint32_t req)
{
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_LOCATED, .req = req, .located = {
	    .service = dfb_str(DEST), .version = version, .known = known, .age_ms = age,
	    .reason = dfb_str(reason), .places = { places.data, places.len },
	    .rules = { rules.data, rules.len } } });
}

static bool
gsl(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_LOCATE)
		return false;
	assert_true(dfb_str_is(m->locate.service, DEST));
	assert_int_equal(m->locate.watch, 1);
	say_located(f, m->req);
	return true;
}

static bool
silent(struct fake *f, const struct dfb_proto *m)
{
	(void)f;
	(void)m;
	return true;
}

static void
enroll(const struct fake *f, const char *region)
{
	struct dfb_m_route r = { .topic = dfb_str("%GSL"), .broker = dfb_str(f->name),
		.region = dfb_str(region), .endpoint = dfb_str(f->endpoint),
		.incarnation = 1, .state = DFB_STATE_UP };

	assert_int_equal(dfb_route_add(&bus.names.gsls, &r), 0);
}

static void
push_gsls(void)
{
	fake_say(&bus.names, &(struct dfb_proto){ .type = DFB_M_ROUTES, .routes = {
	    .dest = dfb_str("%GSL"), .version = 2,
	    .routes = { bus.names.gsls.data, bus.names.gsls.len } } });
}

/* ---- the test ---- */

static int
setup(void **state)
{
	fake_direct = *state != NULL;
	setenv("DFB_AVOID", "60s,60s,60s", 1);
	bus_open(&bus, 30000, 30000);
	unsetenv("DFB_AVOID");
	fake_start(&g1, bus.client, "g1");
	fake_start(&g2, bus.client, "g2");
	g1.script = g2.script = gsl;
	fake_route(&bus.names, "A10-pay", &bus.b1, "A10", DFB_STATE_UP);
	fake_route(&bus.names, "B20-pay", &bus.b2, "B20", DFB_STATE_UP);
	prod = NULL;
	caller = NULL;
	version = 5;
	age = known = 0;
	reason = "";
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dfb_producer_close(prod);
	dfb_caller_close(caller);
	fake_release(&g1);
	fake_release(&g2);
	bus_close(&bus);
	nowhere();
	return 0;
}

static void
open_producer(void)
{
	assert_int_equal(dfb_producer_open(bus.client, &(struct dfb_producer_config){
	    .dest = DEST }, &prod), DFB_OK);
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
sent(const char *key, const char *text)
{
	put(key, text);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
}

static void
assert_stored(const struct fake *b, const char *all)
{
	char text[FAKE_LOG * 4] = "";

	for (unsigned i = 0; i < b->nbodies; i++)
		strlcat(text, b->bodies[i], sizeof text);
	assert_string_equal(text, all);
}

/* Tell the client, and be sure that it knows. */
static void
push(struct fake *f)
{
	say_located(f, 0);
	/* It is when it has answered the PING that follows. */
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_PING, .ping.nonce = ++f->step });
	for (unsigned n = fake_count(f, "PONG"); fake_count(f, "PONG") == n;)
		dfb_wait(bus.client, 1000);
}

struct answer {
	bool done;
	enum dfb_status status;
	char why[400], body[100];
};

static void
on_answer(void *arg, enum dfb_status st, const char *why, const struct dfb_msg *reply)
{
	struct answer *a = arg;

	a->done = true;
	a->status = st;
	snprintf(a->why, sizeof a->why, "%s", why);
	if (reply != NULL)
		snprintf(a->body, sizeof a->body, "%.*s", (int)reply->body_len,
		    (const char *)reply->body);
}

static struct answer
call(const char *key)
{
	struct answer a = { 0 };
	struct dfb_msg m = text_msg("x");

	m.key = key;
	m.key_len = key != NULL ? strlen(key) : 0;
	if (caller == NULL)
		assert_int_equal(dfb_caller_open(bus.client, DEST, &caller), DFB_OK);
	assert_int_equal(dfb_caller_start(caller, &m, 20000, on_answer, &a), DFB_OK);
	WAIT_UNTIL(bus.client, a.done);
	return a;
}

/* A call's answer says which topic it came to. */
static void
answer_call(struct fake *f, const struct dfb_proto *m, enum dfb_status st)
{
	const uint8_t *p = m->call.records.p;
	struct dfb_buf list = { 0 };
	struct dfb_record r;

	assert_int_equal(dfb_record_next(&p, p + m->call.records.len, &r), 1);
	dfb_outcome_add(&list, &(struct dfb_m_outcome){ .call = r.call, .status =
	    (uint16_t)st, .taken = st == DFB_OK, .reason = dfb_str("no consumer"),
	    .body = { (const uint8_t *)m->call.topic.p, m->call.topic.len } });
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ANSWER,
	    .answer.answers = { list.data, list.len } });
	dfb_buf_release(&list);
}

static bool
serves(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_CALL)
		return false;
	answer_call(f, m, DFB_OK);
	return true;
}

static bool
nobody(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_CALL)
		return false;
	f->step++;
	answer_call(f, m, DFB_NOBODY);
	return true;
}

static bool
swallow(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_PUT)
		return false;
	f->step++;
	return true;
}

/* ---- the first answer ---- */

static void
without_gsl_as_ever(void **state)
{
	(void)state;
	open_producer();
	sent(NULL, "a");
	assert_stored(&bus.b1, "a");
	assert_int_equal(bus.names.nlog, 2);
	assert_int_equal(fake_count(&bus.names, "LOOKUP"), 2);
}

static void
a_topic_asks_no_gsl(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	assert_int_equal(dfb_producer_open(bus.client, &(struct dfb_producer_config){
	    .dest = "A10-pay" }, &prod), DFB_OK);
	sent(NULL, "a");
	assert_int_equal(bus.names.nlog, 1);
	assert_int_equal(g1.sessions, 0);
}

static void
only_places_count(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	place("B20", 0, 100);
	open_producer();
	put("k", "a"); /* before anything is known */
	sent(NULL, "b");
	bus.b2.script = serves;
	assert_string_equal(call(NULL).body, "B20-pay");
	assert_stored(&bus.b2, "ab");
	assert_int_equal(bus.b1.sessions, 0);
	assert_int_equal(fake_count(&g1, "LOCATE"), 1);
}

static void
an_unknown_service_as_ever(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	open_producer();
	sent(NULL, "a");
	assert_stored(&bus.b1, "a");
	assert_int_equal(fake_count(&g1, "LOCATE"), 1);
}

static void
online_nowhere(void **state)
{
	struct answer a;

	(void)state;
	enroll(&g1, "A10");
	known = 1;
	reason = "suspended in A10";
	open_producer();
	put(NULL, "a");
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_NOBODY);
	assert_string_equal(dfb_error(bus.client),
	    "service 'pay' is online nowhere: suspended in A10");
	a = call(NULL);
	assert_int_equal(a.status, DFB_NOBODY);
	assert_string_equal(a.why, "service 'pay' is online nowhere: suspended in A10");
	assert_int_equal(bus.b1.sessions, 0);
}

static void
no_broker_where_it_is_online(void **state)
{
	struct answer a;

	(void)state;
	enroll(&g1, "A10");
	place("C30", 0, 100);
	a = call(NULL);
	assert_int_equal(a.status, DFB_NOBODY);
	assert_string_equal(a.why,
	    "no broker serves 'pay' where it is online (C30-pay)");
}

/* ---- which gsl ---- */

static void
the_nearest_is_asked(void **state)
{
	(void)state;
	enroll(&g2, "B20");
	enroll(&g1, "A10");
	place("A10", 0, 100);
	open_producer();
	sent(NULL, "a");
	assert_int_equal(g1.sessions, 1);
	assert_int_equal(g2.sessions, 0);
}

static void
one_that_is_silent_is_left(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	enroll(&g2, "B20");
	g1.script = silent;
	place("B20", 0, 100);
	open_producer();
	sent(NULL, "a");
	assert_stored(&bus.b2, "a");
}

static void
none_answers(void **state)
{
	uint64_t begin = dfb_test_ms();

	(void)state;
	enroll(&g1, "A10");
	enroll(&g2, "B20");
	g1.script = silent;
	fake_stop(&g2);
	place("B20", 0, 100);
	open_producer();
	sent(NULL, "a");
	assert_stored(&bus.b1, "a"); /* as ever */
	assert_true(dfb_test_ms() - begin >= 900);
	/* It goes on asking. */
	g1.script = gsl;
	WAIT_UNTIL(bus.client, fake_count(&g1, "LOCATE") > 1);
	push(&g1);
	sent(NULL, "b");
	assert_stored(&bus.b2, "b");
}

static void
the_only_one_is_gone(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	fake_stop(&g1);
	place("B20", 0, 100);
	open_producer();
	sent(NULL, "a");
	assert_stored(&bus.b1, "a");
	fake_start(&g1, bus.client, "g1");
	WAIT_UNTIL(bus.client, fake_count(&g1, "LOCATE") == 1);
	push(&g1);
	sent(NULL, "b");
	assert_stored(&bus.b2, "b");
}

/* What is known stays in use; another gsl is asked, or the same when it is there again. */
static void
what_is_known_stays(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	place("B20", 0, 100);
	open_producer();
	sent(NULL, "a");
	fake_stop(&g1);
	WAIT_UNTIL(bus.client, strstr(bus.notice, "gsl g1 went away") != NULL);
	sent(NULL, "b");
	enroll(&g2, "B20");
	push_gsls();
	WAIT_UNTIL(bus.client, fake_count(&g2, "LOCATE") == 1);
	nowhere();
	place("A10", 0, 100);
	push(&g2);
	sent(NULL, "c");
	assert_string_equal(bus.notice, "gsl g2 answers");
	assert_stored(&bus.b2, "ab");
	assert_stored(&bus.b1, "c");
}

static void
one_that_is_behind_is_not_believed(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	place("B20", 0, 100);
	open_producer();
	sent(NULL, "a");
	nowhere();
	place("A10", 0, 100);
	version = 4;
	age = 1000;
	push(&g1);
	sent(NULL, "b");
	assert_stored(&bus.b2, "ab");
	age = 0; /* but a catalogue may be made anew */
	push(&g1);
	sent(NULL, "c");
	assert_stored(&bus.b1, "c");
}

static bool
junk(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_LOCATE)
		return false;
	if (f->step++ != 0)
		return gsl(f, m);
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_LOCATED, .req = m->req, .located = {
	    .service = m->locate.service, .known = 1,
	    .places = { (const uint8_t *)"junk", 4 } } });
	return true;
}

static void
malformed_answers(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	g1.script = junk;
	place("B20", 0, 100);
	open_producer();
	sent(NULL, "a");
	assert_stored(&bus.b1, "a");
	WAIT_UNTIL(bus.client, g1.sessions == 2 && fake_count(&g1, "LOCATE") == 2);
	push(&g1);
	sent(NULL, "b");
	assert_stored(&bus.b2, "b");
}

static bool
refuses(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_LOCATE)
		return false;
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ERROR, .req = m->req,
	    .status = DFB_BADINPUT, .error.reason = dfb_str("what?") });
	return true;
}

static void
errors_are_no_answer(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	g1.script = refuses;
	open_producer();
	sent(NULL, "a");
	assert_stored(&bus.b1, "a");
}

static bool
not_yet(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_LOCATE)
		return false;
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_ERROR, .req = m->req,
	    .status = DFB_AGAIN, .error.reason = dfb_str("no catalogue yet") });
	return true;
}

/* One that has no catalogue costs nobody time, and is asked again. */
static void
one_cannot_tell_yet(void **state)
{
	uint64_t begin = dfb_test_ms();

	(void)state;
	enroll(&g1, "A10");
	enroll(&g2, "B20");
	g1.script = not_yet;
	place("B20", 0, 100);
	open_producer();
	sent(NULL, "a");
	assert_stored(&bus.b2, "a");
	assert_true(dfb_test_ms() - begin < 900);
}

static void
none_can_tell_yet(void **state)
{
	uint64_t begin = dfb_test_ms();

	(void)state;
	enroll(&g1, "A10");
	enroll(&g2, "B20");
	g1.script = g2.script = not_yet;
	place("B20", 0, 100);
	open_producer();
	sent(NULL, "a");
	assert_stored(&bus.b1, "a");
	assert_true(dfb_test_ms() - begin < 900);
	g1.script = g2.script = gsl;
	WAIT_UNTIL(bus.client, fake_count(&g1, "LOCATE") + fake_count(&g2, "LOCATE") == 3);
	push(fake_count(&g1, "LOCATE") == 2 ? &g1 : &g2);
	sent(NULL, "b");
	assert_stored(&bus.b2, "b");
	assert_string_equal(bus.notice, "");
}

/* ---- changes ---- */

static void
all_move(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	place("A10", 0, 100);
	place("B20", 1, 100);
	open_producer();
	sent(NULL, "a");
	sent("k", "b");
	nowhere();
	place("B20", 0, 100);
	push(&g1);
	sent(NULL, "c");

	sent("k", "d");
	nowhere();
	place("A10", 0, 100);
	place("B20", 1, 100);
	push(&g1);
	sent(NULL, "e");
	sent("k", "f");
	assert_stored(&bus.b1, "abef");
	assert_stored(&bus.b2, "cd");
}

/* Nothing of a key overtakes what waits at the place that it leaves. */
static void
keys_wait_for_confirmation(void **state)
{
	uint32_t stream = 0;

	(void)state;
	enroll(&g1, "A10");
	place("A10", 0, 100);
	place("B20", 1, 100);
	bus.b1.script = swallow;
	open_producer();
	put("k", "a");
	WAIT_UNTIL(bus.client, bus.b1.step == 1);
	nowhere();
	place("B20", 0, 100);
	push(&g1);
	put("k", "b");
	put("other", "c");
	dfb_producer_flush(prod, 50);
	assert_int_equal(bus.b2.nbodies, 0);
	assert_int_equal(bus.b1.step, 1); /* the suspended place gets nothing new */
	stream = (uint32_t)strtoul(strstr(bus.b1.log[fake_find(&bus.b1, "PUT")],
	    "stream=") + strlen("stream="), NULL, 10);
	fake_confirm(&bus.b1, stream, 1);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b2, "bc");
}

/* The same where only the order of places changes, so that both stay in the list. */
static void
keys_wait_when_the_order_changes(void **state)
{
	uint32_t stream = 0;

	(void)state;
	enroll(&g1, "A10");
	place("A10", 0, 100);
	place("B20", 1, 100);
	bus.b1.script = swallow;
	open_producer();
	put("k", "a");
	WAIT_UNTIL(bus.client, bus.b1.step == 1);
	rule("B20", "k");
	push(&g1);
	put("k", "b");
	put("k", "c");
	dfb_producer_flush(prod, 50);
	assert_int_equal(bus.b2.nbodies, 0);
	stream = (uint32_t)strtoul(strstr(bus.b1.log[fake_find(&bus.b1, "PUT")],
	    "stream=") + strlen("stream="), NULL, 10);
	fake_confirm(&bus.b1, stream, 1);
	bus.b1.next = 2;
	bus.b1.script = NULL;
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b2, "bc");
	sent("l", "d");
	assert_stored(&bus.b1, "d");
}

/* Messages without a key leave a place at once, even one that always has some in doubt. */
static void
others_do_not_wait(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	place("A10", 0, 100);
	place("B20", 1, 100);
	bus.b1.script = swallow;
	open_producer();
	put(NULL, "a");
	WAIT_UNTIL(bus.client, bus.b1.step == 1);
	nowhere();
	place("B20", 0, 100);
	push(&g1);
	put(NULL, "b");
	WAIT_UNTIL(bus.client, dfb_producer_pending(prod) == 1);
	assert_stored(&bus.b2, "b");
	assert_int_equal(bus.b1.step, 1);
}

static void
nothing_is_sent_while_suspended(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	place("A10", 0, 100);
	open_producer();
	sent(NULL, "a");
	sent("k", "b");
	nowhere();
	reason = "suspended in A10";
	push(&g1);
	put(NULL, "c");
	put("k", "d");
	assert_int_equal(dfb_producer_flush(prod, 50), DFB_TIMEOUT);
	assert_stored(&bus.b1, "ab");
	place("A10", 0, 100);
	push(&g1);
	assert_int_equal(dfb_producer_flush(prod, -1), DFB_OK);
	assert_stored(&bus.b1, "abcd");
}

static void
consumers_are_not_affected(void **state)
{
	struct dfb_consumer *c;

	(void)state;
	enroll(&g1, "A10");
	place("B20", 0, 100);
	assert_int_equal(dfb_consumer_open(bus.client, &(struct dfb_consumer_config){
	    .dest = DEST, .group = "g" }, &c), DFB_OK);
	open_producer();
	sent(NULL, "a");
	WAIT_UNTIL(bus.client, fake_count(&bus.b1, "SUBSCRIBE") == 1 &&
	    fake_count(&bus.b2, "SUBSCRIBE") == 1);
	/* Who is left is still told of routes. */
	dfb_producer_close(prod);
	prod = NULL;
	WAIT_UNTIL(bus.client, fake_count(&g1, "UNLOCATE") == 1);
	assert_int_equal(fake_count(&bus.names, "UNWATCH"), 0);
	/* And who comes again asks again. */
	open_producer();
	sent(NULL, "b");
	assert_int_equal(fake_count(&g1, "LOCATE"), 2);
	assert_int_equal(g1.sessions, 1);
	assert_int_equal(fake_count(&bus.names, "LOOKUP"), 2);
	dfb_consumer_close(c, 0);
}

/* ---- order ---- */

static void
keys_of_a_region(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	place("A10", 0, 100);
	place("B20", 1, 100);
	rule("B20", "c2");
	bus.b1.script = bus.b2.script = serves;
	open_producer();
	put("c1", "a");
	put("c2", "b");
	put("c3", "c");
	sent("c2", "d");
	assert_stored(&bus.b1, "ac");
	assert_stored(&bus.b2, "bd");
	assert_string_equal(call("c1").body, "A10-pay");
	assert_string_equal(call("c2").body, "B20-pay");
	assert_string_equal(call(NULL).body, "A10-pay");
}

/* All agree on the place for a key: PROTOCOL.md says which. */
static void
keys_by_weight(void **state)
{
	struct dfb_location *l;
	struct dfb_m_located m = { .known = 1 };
	unsigned first = 0, calls = 0;
	uint32_t order[2];
	char key[16];

	(void)state;
	enroll(&g1, "A10");
	place("A10", 0, 300);
	place("B20", 0, 100);
	m.places = (struct dfb_blob){ places.data, places.len };
	assert_int_equal(dfb_location_read(&m, &l), 0);
	bus.b1.script = bus.b2.script = serves;
	open_producer();
	for (unsigned i = 0; i < 60; i++) {
		snprintf(key, sizeof key, "k%u", i);
		struct dfb_wish w = dfb_wish_key(l, key, strlen(key));
		dfb_location_order(l, &w, order);
		sent(key, order[0] == 0 ? "a" : "b");
		assert_string_equal(call(key).body, order[0] == 0 ? "A10-pay" : "B20-pay");
		first += order[0] == 0;
		calls += strcmp(call(NULL).body, "A10-pay") == 0;
	}
	assert_in_range(first, 35, 55);
	assert_in_range(calls, 30, 58);
	for (unsigned i = 0; i < bus.b1.nbodies; i++)
		assert_string_equal(bus.b1.bodies[i], "a");
	for (unsigned i = 0; i < bus.b2.nbodies; i++)
		assert_string_equal(bus.b2.bodies[i], "b");
	assert_int_equal(bus.b1.nbodies, first);
	dfb_location_unref(l);
}

/* Producers spread as the weights are, and each stays where it is. */
static void
producers_by_weight(void **state)
{
	(void)state;
	enroll(&g1, "A10");
	place("A10", 0, 100);
	place("B20", 0, 300);
	for (unsigned i = 0; i < 40; i++) {
		unsigned had = bus.b1.nbodies;
		open_producer();
		sent(NULL, "a");
		sent(NULL, "b");
		assert_true(bus.b1.nbodies == had || bus.b1.nbodies == had + 2);
		dfb_producer_close(prod);
		prod = NULL;
	}
	assert_in_range(bus.b1.nbodies, 4, 40);
}

static void
calls_go_on_to_the_next_place(void **state)
{
	struct answer a;

	(void)state;
	enroll(&g1, "A10");
	place("A10", 0, 100);
	place("B20", 1, 100);
	bus.b1.script = nobody;
	bus.b2.script = serves;
	assert_string_equal(call("k").body, "B20-pay");
	assert_int_equal(bus.b1.step, 1);
	fake_stop(&bus.b1);
	WAIT_UNTIL(bus.client, strstr(bus.notice, "broker b1 went away") != NULL);
	assert_string_equal(call(NULL).body, "B20-pay");
	bus.b2.script = nobody;
	a = call(NULL);
	assert_int_equal(a.status, DFB_NOBODY);
	assert_string_equal(a.why, "no consumer");
	assert_int_equal(bus.b2.step, 1);
}

static bool
only_the_last(struct fake *f, const struct dfb_proto *m)
{
	if (m->type != DFB_M_CALL)
		return false;
	f->step++;
	answer_call(f, m, dfb_str_is(m->call.topic, "R19-pay") ? DFB_OK : DFB_NOBODY);
	return true;
}

static void
as_many_places_as_there_are(void **state)
{
	char region[4], topic[16];

	(void)state;
	enroll(&g1, "A10");
	bus.b1.script = only_the_last;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(region, sizeof region, "R%02u", i % 100);
		snprintf(topic, sizeof topic, "%s-pay", region);
		place(region, i, 100);
		fake_route(&bus.names, topic, &bus.b1, region, DFB_STATE_UP);
	}
	assert_string_equal(call(NULL).body, "R19-pay");
	assert_int_equal(bus.b1.step, 20); /* and each once */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TWICE(without_gsl_as_ever),
		FAKE_TWICE(a_topic_asks_no_gsl),
		FAKE_TWICE(only_places_count),
		FAKE_TWICE(an_unknown_service_as_ever),
		FAKE_TWICE(online_nowhere),
		FAKE_TWICE(no_broker_where_it_is_online),
		FAKE_TWICE(the_nearest_is_asked),
		FAKE_TWICE(one_that_is_silent_is_left),
		FAKE_TWICE(none_answers),
		FAKE_TWICE(the_only_one_is_gone),
		FAKE_TWICE(what_is_known_stays),
		FAKE_TWICE(one_that_is_behind_is_not_believed),
		FAKE_TWICE(malformed_answers),
		FAKE_TWICE(errors_are_no_answer),
		FAKE_TWICE(one_cannot_tell_yet),
		FAKE_TWICE(none_can_tell_yet),
		FAKE_TWICE(all_move),
		FAKE_TWICE(keys_wait_for_confirmation),
		FAKE_TWICE(keys_wait_when_the_order_changes),
		FAKE_TWICE(others_do_not_wait),
		FAKE_TWICE(nothing_is_sent_while_suspended),
		FAKE_TWICE(consumers_are_not_affected),
		FAKE_TWICE(keys_of_a_region),
		FAKE_TWICE(keys_by_weight),
		FAKE_TWICE(producers_by_weight),
		FAKE_TWICE(calls_go_on_to_the_next_place),
		FAKE_TWICE(as_many_places_as_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
