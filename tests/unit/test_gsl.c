/* dfb-gsl as its peers see it: the program itself, a name server, and an sgs that does as it
 * is told. */
#include "peer.h"

#include "base/hash.h"
#include "wire/place.h"

static char names_at[128], sgs_at[128], gsl_at[128];
static pid_t names, gsl;
static struct peer enrolled, sgs; /* the sgs at the name server; and what it is spoken to */
static struct dfb_peer who;
static struct dfb_buf entries;

/* ---- the sgs ---- */

static void
sgs_listen(const char *name)
{
	struct dfb_sock_config cf = { .max_frame = DFB_FRAME_MAX, .queue = 1000 };
	char actual[128];

	snprintf(sgs_at, sizeof sgs_at, "ipc://%s/%s", dir, name);
	sgs = (struct peer){ .sock = dfb_sock_listen(net, &cf), .to = &who };
	assert_non_null(sgs.sock);
	open_peers++;
	assert_int_equal(dfb_sock_bind(sgs.sock, sgs_at, actual, sizeof actual), 0);
}

static void
sgs_enroll(uint64_t incarnation)
{
	struct dfb_buf list = { 0 };

	assert_int_equal(dfb_offer_add(&list, &(struct dfb_m_offer){ .up = 1,
	    .topic = dfb_str("%SGS") }), 0);
	say(&enrolled, (struct dfb_proto){ .type = DFB_M_ENROLL, .enroll = {
	    .kind = dfb_str("sgs"), .name = dfb_str("sgs"), .endpoint = dfb_str(sgs_at),
	    .incarnation = incarnation, .lease_ms = 60000, .state = DFB_STATE_UP, .full = 1,
	    .offers = { list.data, list.len } } });
	expect(&enrolled, DFB_M_DONE);
	dfb_buf_release(&list);
}

/* The gsl comes, and has this much. */
static void
sgs_expect_follow(uint64_t catalog, uint64_t version)
{
	do
		expect(&sgs, sgs.m.type == DFB_M_HELLO ? DFB_M_FOLLOW : DFB_M_HELLO);
	while (sgs.m.type != DFB_M_FOLLOW);
	assert_int_equal(sgs.m.follow.catalog, catalog);
	assert_int_equal(sgs.m.follow.version, version);
}

static void
entry(uint8_t kind, const char *name, const char *json)
{
	assert_int_equal(dfb_entry_add(&entries, &(struct dfb_m_entry){ .kind = kind,
	    .name = dfb_str(name), .version = 1,
	    .json = { (const uint8_t *)json, strlen(json) } }), 0);
}

static void
service(const char *name, const char *regions)
{
	char json[1024];

	snprintf(json, sizeof json, "{\"service\":\"%s\",\"state\":\"approved\",\"regions\":{%s}}",
	    name, regions);
	entry(1, name, json);
}

/* Send the entries that were added. */
static void
catalog(uint64_t id, uint64_t version, uint8_t flags)
{
	say(&sgs, (struct dfb_proto){ .type = DFB_M_CATALOG, .catalog = { .catalog = id,
	    .version = version, .flags = flags,
	    .entries = { entries.data, entries.len } } });
	entries.len = 0;
}

static void
expect_followed(uint64_t version)
{
	expect(&sgs, DFB_M_FOLLOWED);
	assert_int_equal(sgs.m.followed.version, version);
}

/* ---- setup ---- */

static void
gsl_start(void)
{
	char data[128];

	snprintf(data, sizeof data, "%s/gsl", dir);
	snprintf(gsl_at, sizeof gsl_at, "ipc://%s/gsl.sock", dir);
	gsl = program("dfb-gsl", (const char *const[]){ "--data", data, "--bind", gsl_at,
	    "--names", names_at, "--region", "A10", NULL });
}

static int
setup(void **state)
{
	char data[128];

	(void)state;
	snprintf(data, sizeof data, "%s/names", dir);
	snprintf(names_at, sizeof names_at, "ipc://%s/names.sock", dir);
	names = program("dfb-names", (const char *const[]){ "--data", data, "--bind",
	    names_at, NULL });
	sgs_listen("sgs.sock");
	enter_at(&enrolled, names_at);
	sgs_enroll(1);
	gsl_start();
	sgs_expect_follow(0, 0);
	return 0;
}

static int
teardown(void **state)
{
	int w = program_end(gsl, SIGTERM);

	(void)state;
	leave(&enrolled);
	leave(&sgs);
	program_end(names, SIGTERM);
	remove_dir("names");
	remove_dir("gsl");
	return WIFEXITED(w) && WEXITSTATUS(w) == 0 ? 0 : -1;
}

/* Services to begin with: version 5 of catalogue 7. */
static void
fill(void)
{
	service("pay", "\"A10\":{\"state\":\"online\",\"weight\":100},"
	    "\"B20\":{\"state\":\"online\",\"weight\":100},"
	    "\"C30\":{\"state\":\"suspended\"},\"D40\":{\"state\":\"online\",\"weight\":0},"
	    "\"E50\":{\"state\":\"online\",\"weight\":50},"
	    "\"F60\":{\"state\":\"online\",\"weight\":1}");
	service("one", "\"A10\":{\"state\":\"online\"}");
	entry(3, "*", "{\"distances\":{\"A10\":{\"B20\":7,\"E50\":7,\"F60\":3},"
	    "\"B20\":{\"A10\":9}}}");
	catalog(7, 5, DFB_CATALOG_FULL | DFB_CATALOG_COMPLETE);
	expect_followed(5);
}

/* ---- a client ---- */

static void
ask(struct peer *p, const char *name, const char *region, int watch, const char *key)
{
	say(p, (struct dfb_proto){ .type = DFB_M_LOCATE, .locate = {
	    .service = dfb_str(name), .region = dfb_str(region), .watch = (uint8_t)watch,
	    .key = { (const uint8_t *)key, strlen(key) } } });
}

/* The next frame is LOCATED, pushed or not, with just these: "topic/tier/weight ". */
static void
expect_places(struct peer *p, bool pushed, const char *name, const char *want)
{
	struct dfb_m_place m;
	char text[512] = "";
	size_t n = 0;

	expect(p, DFB_M_LOCATED);
	assert_int_equal(p->m.req, pushed ? 0 : p->req);
	assert_true(dfb_str_is(p->m.located.service, name));
	while (dfb_place_next(&p->m.located.places, &m) == 1) {
		assert_memory_equal(m.topic.p, m.region.p, 3);
		n += (size_t)snprintf(text + n, sizeof text - n, "%.*s/%u/%u ",
		    (int)m.topic.len, m.topic.p, m.tier, m.weight);
	}
	assert_string_equal(text, want);
}

static void
expect_reason(const struct peer *p, int known, const char *want)
{
	char text[300];

	assert_int_equal(p->m.located.known, known);
	assert_string_equal(dfb_str_copy(p->m.located.reason, text, sizeof text), want);
}

static void
silent(struct peer *p)
{
	struct peer other;

	enter_at(&other, gsl_at);
	leave(&other);
	assert_int_equal(next(p, 0), 0);
}

/* ---- tests ---- */

static void
test_order(void **state)
{
	struct peer p;

	(void)state;
	enter_at(&p, gsl_at);
	assert_true(dfb_str_is(p.m.welcome.name, "gsl"));
	assert_true(dfb_str_is(p.m.welcome.region, "A10"));
	ask(&p, "pay", "A10", 0, "");
	expect_error(&p, DFB_AGAIN); /* it knows nothing yet, and does not say that nothing is */
	fill();
	ask(&p, "pay", "A10", 0, "");
	expect_places(&p, false, "pay", "A10-pay/0/100 F60-pay/1/1 B20-pay/2/100 E50-pay/2/50 "
	    "D40-pay/3/0 ");
	expect_reason(&p, 1, "C30 suspended");
	assert_int_equal(p.m.located.version, 5);
	assert_int_equal(p.m.located.age_ms, 0);
	/* The other way is another distance; what is not given is 1000. */
	ask(&p, "pay", "B20", 0, "");
	expect_places(&p, false, "pay", "B20-pay/0/100 A10-pay/1/100 E50-pay/2/50 "
	    "F60-pay/2/1 D40-pay/3/0 ");
	/* Its own region's with weight 0 is the first of the last. */
	ask(&p, "pay", "D40", 0, "");
	expect_places(&p, false, "pay", "A10-pay/0/100 B20-pay/0/100 E50-pay/0/50 "
	    "F60-pay/0/1 D40-pay/1/0 ");
	ask(&p, "pay", "", 0, "");
	expect_places(&p, false, "pay", "A10-pay/0/100 B20-pay/0/100 E50-pay/0/50 "
	    "F60-pay/0/1 D40-pay/1/0 ");
	leave(&p);
}

static void
test_states(void **state)
{
	struct peer p;

	(void)state;
	enter_at(&p, gsl_at);
	fill();
	ask(&p, "none", "A10", 0, "");
	expect_places(&p, false, "none", "");
	expect_reason(&p, 0, "the catalogue has no service 'none'");
	service("new", "\"A10\":{\"state\":\"deploying\",\"weight\":100}");
	service("gone", "\"A10\":{\"state\":\"offline\"},\"B20\":{\"state\":\"draining\"},"
	    "\"C30\":{\"state\":\"what-comes\"}");
	entry(1, "applied", "{\"state\":\"applied\"}");
	entry(1, "retired", "{\"state\":\"retired\",\"regions\":{\"A10\":{\"state\":\"offline\"}}}");
	catalog(7, 6, DFB_CATALOG_COMPLETE);
	expect_followed(6);
	ask(&p, "new", "A10", 0, "");
	expect_places(&p, false, "new", "");
	expect_reason(&p, 1, "A10 deploying");
	ask(&p, "applied", "A10", 0, "");
	expect_places(&p, false, "applied", "");
	expect_reason(&p, 0, "service 'applied' is applied, and deployed nowhere");
	ask(&p, "retired", "A10", 0, "");
	expect_places(&p, false, "retired", "");
	expect_reason(&p, 0, "service 'retired' is retired, and deployed nowhere");
	ask(&p, "gone", "A10", 0, "");
	expect_places(&p, false, "gone", "");
	expect_reason(&p, 1, "A10 offline, B20 draining, C30 elsewhere");
	leave(&p);
}

/* A service in many regions that are not online: the reason has room for some. */
static void
test_long_reason(void **state)
{
	struct peer p;
	char regions[4096] = "";
	size_t n = 0;

	(void)state;
	fill();
	for (int i = 0; i < 90; i++)
		n += (size_t)snprintf(regions + n, sizeof regions - n,
		    "%s\"R%02d\":{\"state\":\"suspended\"}", i != 0 ? "," : "", i);
	{
		char json[5000];
		snprintf(json, sizeof json, "{\"state\":\"approved\",\"regions\":{%s}}", regions);
		entry(1, "wide", json);
	}
	catalog(7, 6, DFB_CATALOG_COMPLETE);
	expect_followed(6);
	enter_at(&p, gsl_at);
	ask(&p, "wide", "A10", 0, "");
	expect_places(&p, false, "wide", "");
	assert_in_range(p.m.located.reason.len, 180, 255);
	assert_memory_equal(p.m.located.reason.p + p.m.located.reason.len - 5, ", ...", 5);
	leave(&p);
}

static void
test_keys(void **state)
{
	struct peer p;
	struct dfb_m_rule r;

	(void)state;
	fill();
	entry(2, "*", "{\"service\":\"*\",\"rules\":[{\"region\":\"B20\",\"key\":\"c1\"},"
	    "{\"region\":\"E50\",\"prefix\":\"cn-\"},{\"region\":\"F60\",\"from\":0,\"to\":4999}]}");
	entry(2, "one", "{\"service\":\"one\",\"rules\":[]}");
	catalog(7, 6, DFB_CATALOG_COMPLETE);
	expect_followed(6);
	enter_at(&p, gsl_at);
	ask(&p, "pay", "A10", 0, "");
	expect_places(&p, false, "pay", "A10-pay/0/100 F60-pay/1/1 B20-pay/2/100 E50-pay/2/50 "
	    "D40-pay/3/0 ");
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(dfb_rule_next(&p.m.located.rules, &r), 1);
		assert_int_equal(r.kind, i);
	}
	assert_int_equal(r.to, 4999);
	assert_int_equal(dfb_rule_next(&p.m.located.rules, &r), 0);
	ask(&p, "one", "A10", 0, ""); /* has its own, which are none */
	expect_places(&p, false, "one", "A10-one/0/100 ");
	assert_int_equal(p.m.located.rules.len, 0);
	/* With a key: in the order for it. */
	ask(&p, "pay", "A10", 0, "c1");
	expect(&p, DFB_M_LOCATED);
	{
		struct dfb_m_place m;
		assert_int_equal(dfb_place_next(&p.m.located.places, &m), 1);
		assert_true(dfb_str_is(m.topic, "B20-pay"));
		for (uint32_t tier = 1; tier < 5; tier++) {
			assert_int_equal(dfb_place_next(&p.m.located.places, &m), 1);
			assert_int_equal(m.tier, tier);
		}
		assert_true(dfb_str_is(m.topic, "D40-pay"));
	}
	assert_int_equal(p.m.located.rules.len, 0);
	ask(&p, "pay", "A10", 1, "c1");
	expect_error(&p, DFB_BADINPUT);
	leave(&p);
}

static void
test_watch(void **state)
{
	struct peer p, q;

	(void)state;
	fill();
	enter_at(&p, gsl_at);
	enter_at(&q, gsl_at);
	ask(&p, "one", "A10", 1, "");
	expect_places(&p, false, "one", "A10-one/0/100 ");
	ask(&q, "one", "B20", 1, "");
	expect_places(&q, false, "one", "A10-one/0/100 ");
	ask(&q, "later", "B20", 1, "");
	expect_places(&q, false, "later", "");

	service("one", "\"A10\":{\"state\":\"online\"},\"B20\":{\"state\":\"online\"}");
	catalog(7, 6, DFB_CATALOG_COMPLETE);
	expect_followed(6); /* each is told as its region sees it, and that came first */
	assert_int_not_equal(next(&p, 0), 0);
	expect_reason(&p, 1, "");
	assert_int_equal(p.m.located.version, 6);
	expect_places(&q, true, "one", "B20-one/0/100 A10-one/1/100 ");

	service("later", "\"A10\":{\"state\":\"online\"}");
	catalog(7, 7, DFB_CATALOG_COMPLETE);
	expect_places(&q, true, "later", "A10-later/0/100 ");
	expect_followed(7);
	silent(&p);

	entry(3, "*", ""); /* distances are for all */
	catalog(7, 8, DFB_CATALOG_COMPLETE);
	expect_places(&p, true, "one", "A10-one/0/100 B20-one/1/100 ");
	expect_followed(8);
	say(&p, (struct dfb_proto){ .type = DFB_M_UNLOCATE, .unlocate = {
	    .service = dfb_str("one") } });
	silent(&p);
	entry(1, "one", "");
	catalog(7, 9, DFB_CATALOG_COMPLETE);
	expect_followed(9);
	silent(&p);
	leave(&p);
	leave(&q);
}

/* What is not complete does not count. */
static void
test_whole(void **state)
{
	struct peer p;

	(void)state;
	fill();
	enter_at(&p, gsl_at);
	ask(&p, "one", "A10", 1, "");
	expect_places(&p, false, "one", "A10-one/0/100 ");
	service("one", "\"B20\":{\"state\":\"online\"}");
	catalog(7, 6, 0);
	silent(&p);
	service("two", "\"B20\":{\"state\":\"online\"}");
	catalog(7, 6, DFB_CATALOG_COMPLETE);
	expect_places(&p, true, "one", "B20-one/0/100 ");
	expect_followed(6);

	service("three", "\"B20\":{\"state\":\"online\"}"); /* another catalogue */
	catalog(8, 2, DFB_CATALOG_FULL);
	silent(&p);
	service("one", "\"C30\":{\"state\":\"online\"}");
	catalog(8, 2, DFB_CATALOG_COMPLETE);
	expect_places(&p, true, "one", "C30-one/0/100 ");
	expect_followed(2);
	ask(&p, "pay", "A10", 0, "");
	expect_places(&p, false, "pay", "");
	ask(&p, "three", "A10", 0, "");
	expect_places(&p, false, "three", "B20-three/0/100 ");
	/* Changes of one that it does not have, and older ones: it asks for all. */
	catalog(9, 3, DFB_CATALOG_COMPLETE);
	sgs.m.type = DFB_M_HELLO;
	sgs_expect_follow(0, 0);
	catalog(8, 2, DFB_CATALOG_FULL | DFB_CATALOG_COMPLETE);
	expect_places(&p, true, "one", "");
	expect_followed(2);
	catalog(8, 1, DFB_CATALOG_COMPLETE);
	sgs.m.type = DFB_M_HELLO;
	sgs_expect_follow(0, 0);
	leave(&p);
}

static void
test_restart(void **state)
{
	struct peer p;

	(void)state;
	fill();
	entry(2, "pay", "{\"rules\":[{\"region\":\"B20\",\"key\":\"c1\"}]}");
	service("two", "\"B20\":{\"state\":\"online\"}");
	entry(1, "one", "");
	catalog(7, 6, DFB_CATALOG_COMPLETE);
	expect_followed(6);
	assert_int_equal(WEXITSTATUS(program_end(gsl, SIGTERM)), 0);
	leave(&sgs); /* and no sgs is there */
	say(&enrolled, (struct dfb_proto){ .type = DFB_M_FORGET, .forget = {
	    .name = dfb_str("sgs"), .incarnation = 1 } });
	expect(&enrolled, DFB_M_DONE);

	gsl_start();
	enter_at(&p, gsl_at);
	ask(&p, "pay", "A10", 1, "");
	expect_places(&p, false, "pay", "A10-pay/0/100 F60-pay/1/1 B20-pay/2/100 E50-pay/2/50 "
	    "D40-pay/3/0 ");
	assert_true(p.m.located.age_ms > 0 && p.m.located.age_ms < 600000);
	assert_true(p.m.located.rules.len != 0);
	ask(&p, "one", "A10", 0, "");
	expect_places(&p, false, "one", "");
	expect_reason(&p, 0, "the catalogue has no service 'one'");

	sgs_listen("sgs2.sock"); /* it comes elsewhere */
	sgs_enroll(2);
	sgs_expect_follow(7, 6);
	catalog(7, 6, DFB_CATALOG_COMPLETE); /* nothing new */
	expect_followed(6);
	silent(&p);
	ask(&p, "two", "A10", 0, "");
	expect_places(&p, false, "two", "B20-two/0/100 ");
	assert_int_equal(p.m.located.age_ms, 0);
	/* Its connection ends: it comes again, and says how old it is meanwhile. */
	leave(&sgs);
	do {
		ask(&p, "two", "A10", 0, "");
		expect(&p, DFB_M_LOCATED);
	} while (p.m.located.age_ms == 0);
	sgs_listen("sgs2.sock");
	sgs_expect_follow(7, 6);
	service("two", "\"A10\":{\"state\":\"online\"}");
	catalog(7, 7, DFB_CATALOG_COMPLETE);
	expect_followed(7);
	ask(&p, "two", "A10", 0, "");
	expect_places(&p, false, "two", "A10-two/0/100 ");
	leave(&p);
}

static void
test_malformed_catalogue(void **state)
{
	struct peer p;

	(void)state;
	fill();
	enter_at(&p, gsl_at);
	service("one", "\"B20\":{\"state\":\"online\"}");
	entry(1, "pay", "{");
	catalog(7, 6, DFB_CATALOG_COMPLETE);
	sgs_expect_follow(7, 5); /* a new session, after a pause */
	ask(&p, "one", "A10", 0, "");
	expect_places(&p, false, "one", "A10-one/0/100 "); /* not even a part of it */
	admin(&p, "stats", "");
	expect_json(&p, "\"version\":5,");
	leave(&p);
}

static void
test_refused(void **state)
{
	struct peer p;

	(void)state;
	fill();
	enter_at(&p, gsl_at);
	ask(&p, "A10-pay", "A10", 0, "");
	expect_error(&p, DFB_BADINPUT);
	ask(&p, "", "A10", 0, "");
	expect_error(&p, DFB_BADINPUT);
	ask(&p, "pay", "a10", 0, "");
	expect_error(&p, DFB_BADINPUT);
	ask(&p, "pay", "A100", 0, "");
	expect_error(&p, DFB_BADINPUT);
	admin(&p, "locate", "{}");
	expect_error(&p, DFB_BADINPUT);
	admin(&p, "locate", "{\"service\":1}");
	expect_error(&p, DFB_BADINPUT);
	admin(&p, "list", "{\"limit\":0}");
	expect_error(&p, DFB_BADINPUT);
	admin(&p, "reboot", "");
	expect_error(&p, DFB_BADINPUT);
	say(&p, (struct dfb_proto){ .type = DFB_M_FINISH });
	expect_error(&p, DFB_PROTO);
	leave(&p);
}

static void
test_admin(void **state)
{
	struct peer p;

	(void)state;
	fill();
	enter_at(&p, gsl_at);
	admin(&p, "stats", "");
	expect_json(&p, "\"version\":5,\"services\":2,\"following\":true,");
	admin(&p, "locate", "{\"service\":\"pay\",\"region\":\"B20\"}");
	expect_json(&p, "\"known\":true,\"age_ms\":0,\"reason\":\"C30 suspended\",\"places\":["
	    "{\"topic\":\"B20-pay\",\"region\":\"B20\",\"tier\":0,\"weight\":100},");
	admin(&p, "list", "{\"limit\":1}");
	expect_json(&p, "\"services\":[{\"service\":\"one\",\"state\":\"approved\",\"version\":1,"
	    "\"regions\":{\"A10\":{\"state\":\"online\",\"weight\":100}}}],\"next\":\"pay\"");
	admin(&p, "list", "{\"from\":\"pay\"}");
	expect_json(&p, "\"next\":\"\"");
	leave(&p);
}

/* Who does not read holds FOLLOWED back for a while, not for ever; and reads the last state
 * afterwards. */
static void
test_slow_watcher(void **state)
{
	struct peer slow, other;
	char regions[65536] = "";
	size_t n = 0;
	uint64_t version = 6;
	int pushes = 0;

	(void)state;
	fill();
	enter_at(&other, gsl_at);
	connect_to(&slow, gsl_at, 1);
	say(&slow, (struct dfb_proto){ .type = DFB_M_HELLO, .hello = {
	    .proto = DFB_PROTO_VERSION, .role = dfb_str("client"), .who = dfb_str("slow") } });
	expect(&slow, DFB_M_WELCOME);
	ask(&slow, "wide", "A10", 1, "");
	expect_places(&slow, false, "wide", "");
	for (int i = 0; i < 900; i++)
		n += (size_t)snprintf(regions + n, sizeof regions - n,
		    "%s\"%03d\":{\"state\":\"online\"}", i != 0 ? "," : "", i);
	for (; version < 1500; version++) {
		char *json;
		assert_int_not_equal(asprintf(&json, "{\"state\":\"approved\",\"regions\":{%s}}",
		    version % 2 == 0 ? regions : "\"A10\":{\"state\":\"offline\"}"), -1);
		entry(1, "wide", json);
		free(json);
		catalog(7, version, DFB_CATALOG_COMPLETE);
		do { /* one by one: of several at once the last is told */
			ask(&other, "one", "A10", 0, "");
			expect(&other, DFB_M_LOCATED);
		} while (other.m.located.version != version);
	}
	version--;
	while (sgs.m.followed.version != version)
		expect(&sgs, DFB_M_FOLLOWED);
	for (; slow.m.located.version != version; pushes++)
		expect(&slow, DFB_M_LOCATED);
	assert_in_range(pushes, 100, 1400);
	leave(&slow);
	leave(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_states, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_reason, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed_catalogue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_admin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_watcher, setup, teardown),
	};

	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
