#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "wire/place.h"
#include "wire/proto.h"

static struct dfb_buf places, rules;

static void
place(const char *region, uint32_t tier, uint32_t weight)
{
	char topic[32];

	snprintf(topic, sizeof topic, "%s-pay", region);
	assert_int_equal(dfb_place_add(&places, &(struct dfb_m_place){
	    .topic = dfb_str(topic), .region = dfb_str(region), .tier = tier,
	    .weight = weight }), 0);
}

static void
rule(uint8_t kind, const char *region, const char *match)
{
	assert_int_equal(dfb_rule_add(&rules, &(struct dfb_m_rule){ .kind = kind,
	    .region = dfb_str(region),
	    .match = { (const uint8_t *)match, strlen(match) } }), 0);
}

static void
range(const char *region, uint32_t from, uint32_t to)
{
	assert_int_equal(dfb_rule_add(&rules, &(struct dfb_m_rule){ .kind = DFB_RULE_HASH,
	    .region = dfb_str(region), .from = from, .to = to }), 0);
}

/* What was added since the last one; NULL: it is refused. */
static struct dfb_location *
location(void)
{
	struct dfb_m_located m = { .version = 7, .known = 1, .reason = dfb_str("r"),
		.places = { places.data, places.len }, .rules = { rules.data, rules.len } };
	struct dfb_location *l = NULL;

	if (dfb_location_read(&m, &l) == -1)
		assert_int_equal(errno, EPROTO);
	/* It does not refer to the frame. */
	if (places.len != 0)
		memset(places.data, 0xff, places.len);
	if (rules.len != 0)
		memset(rules.data, 0xff, rules.len);
	dfb_buf_release(&places);
	dfb_buf_release(&rules);
	places = rules = (struct dfb_buf){ 0 };
	return l;
}

static const char *
first(const struct dfb_location *l, struct dfb_wish w)
{
	static uint32_t order[DFB_PLACES_MAX];

	dfb_location_order(l, &w, order);
	return l->places[order[0]].region;
}

static const char *
of_key(const struct dfb_location *l, const char *key)
{
	return first(l, dfb_wish_key(l, key, strlen(key)));
}

/* ---- order ---- */

static void
tiers_come_first(void **state)
{
	struct dfb_location *l;
	uint32_t order[4];
	struct dfb_wish w;

	(void)state;
	place("A10", 0, 1);
	place("B20", 5, 1000);
	place("C30", 5, 1000);
	place("D40", 9, 0);
	l = location();
	for (uint64_t i = 0; i < 100; i++) {
		w = dfb_wish_spread(i);
		dfb_location_order(l, &w, order);
		assert_int_equal(order[0], 0);
		assert_int_equal(order[1] + order[2], 3);
		assert_int_equal(order[3], 3);
	}
	assert_int_equal(l->places[1].tier, 1); /* without gaps */
	assert_int_equal(dfb_location_find(l, "C30-pay"), 2);
	assert_int_equal(dfb_location_find(l, "C30-pa"), -1);
	dfb_location_unref(l);
}

static void
no_weight_is_last_in_its_tier(void **state)
{
	struct dfb_location *l;
	unsigned zero = 0;
	uint32_t order[3];
	struct dfb_wish w;

	(void)state;
	place("A10", 0, 0);
	place("B20", 0, 1);
	place("C30", 0, 0);
	l = location();
	for (uint64_t i = 0; i < 1000; i++) {
		w = dfb_wish_spread(i);
		dfb_location_order(l, &w, order);
		assert_int_equal(order[0], 1);
		zero += order[1] == 0;
	}
	assert_in_range(zero, 450, 550); /* those share what is left */
	dfb_location_unref(l);
}

#define KEYS 100000

/* Shares are as the weights, within 1 % of all. */
static void
weights_are_shares(void **state)
{
	static const struct { const char *region; unsigned weight; } all[] = {
		{ "A10", 100 }, { "B20", 50 }, { "C30", 1000 }, { "D40", 850 } };
	unsigned got[4] = { 0 }, spread[4] = { 0 };
	struct dfb_location *l;
	char key[16];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		place(all[i].region, 0, all[i].weight);
	l = location();
	for (uint64_t i = 0; i < KEYS; i++) {
		snprintf(key, sizeof key, "c%06u", (unsigned)i);
		got[(of_key(l, key)[0] - 'A')]++;
		spread[(first(l, dfb_wish_spread(i))[0] - 'A')]++;
	}
	for (size_t i = 0; i < 4; i++) {
		unsigned want = KEYS / 2000 * all[i].weight;
		assert_in_range(got[i] + KEYS / 100, want, want + KEYS / 50);
		assert_in_range(spread[i] + KEYS / 100, want, want + KEYS / 50);
	}
	dfb_location_unref(l);
}

/* A place that goes, or gets less, moves its own keys only. */
static void
keys_stay(void **state)
{
	struct dfb_location *all, *fewer, *less;
	unsigned moved = 0, lost = 0;
	char key[16];

	(void)state;
	place("A10", 0, 100);
	place("B20", 0, 300);
	place("C30", 0, 200);
	all = location();
	place("A10", 0, 100);
	place("C30", 0, 200);
	fewer = location();
	place("A10", 0, 100);
	place("B20", 0, 150);
	place("C30", 0, 200);
	less = location();
	for (unsigned i = 0; i < KEYS; i++) {
		const char *had;
		snprintf(key, sizeof key, "c%06u", i);
		had = of_key(all, key);
		if (strcmp(had, "B20") != 0) {
			assert_string_equal(of_key(fewer, key), had);
			assert_string_equal(of_key(less, key), had);
		} else
			moved += strcmp(of_key(less, key), had) != 0;
		lost += strcmp(had, "B20") == 0;
	}
	assert_in_range(lost, KEYS / 2 - KEYS / 100, KEYS / 2 + KEYS / 100);
	assert_in_range(moved, KEYS / 6 - KEYS / 100, KEYS / 6 + KEYS / 100);
	dfb_location_unref(all);
	dfb_location_unref(fewer);
	dfb_location_unref(less);
}

/* Numbers that another implementation must have, too. */
static void
formula(void **state)
{
	struct dfb_location *l;
	struct dfb_stand s;
	struct dfb_wish w;

	(void)state;
	place("A10", 0, 100);
	place("B20", 0, 0);
	l = location();
	w = dfb_wish_key(l, "key", 3);
	s = dfb_place_stand(&l->places[0], &w);
	assert_float_equal(s.want, 53.222511, 1e-5);
	s = dfb_place_stand(&l->places[1], &w);
	assert_true(s.want < 0 && s.want > -1);
	dfb_location_unref(l);
}

/* ---- keys of a region ---- */

static void
rules_count_before_tiers(void **state)
{
	struct dfb_location *l;

	(void)state;
	place("A10", 0, 100);
	place("B20", 1, 100);
	place("C30", 2, 0);
	rule(DFB_RULE_PREFIX, "B20", "cn-");
	rule(DFB_RULE_PREFIX, "C30", "cn-9");
	rule(DFB_RULE_KEY, "A10", "cn-99");
	rule(DFB_RULE_KEY, "C30", "cn-99"); /* said twice: the first counts */
	rule(DFB_RULE_KEY, "D40", "cn-1");  /* which has no place */
	rule(DFB_RULE_KEY, "C30", "x");
	rule(77, "C30", "y");
	l = location();
	assert_string_equal(of_key(l, "de-1"), "A10");
	assert_string_equal(of_key(l, "cn-"), "B20");
	assert_string_equal(of_key(l, "cn"), "A10");
	assert_string_equal(of_key(l, "cn-8"), "B20");
	assert_string_equal(of_key(l, "cn-9"), "C30");
	assert_string_equal(of_key(l, "cn-98"), "C30");
	assert_string_equal(of_key(l, "cn-99"), "A10");
	assert_string_equal(of_key(l, "cn-999"), "C30");
	assert_string_equal(of_key(l, "cn-1"), "A10");
	assert_string_equal(of_key(l, "x"), "C30");
	assert_string_equal(of_key(l, "xx"), "A10");
	assert_string_equal(of_key(l, "y"), "A10");
	assert_string_equal(of_key(l, ""), "A10");
	/* What has no key has no rule. */
	assert_string_equal(first(l, dfb_wish_spread(1)), "A10");
	dfb_location_unref(l);
}

static void
ranges_of_hashes(void **state)
{
	struct dfb_location *l;
	unsigned got[3] = { 0 };
	char key[16];

	(void)state;
	place("A10", 0, 100);
	place("B20", 1, 100);
	place("C30", 2, 100);
	range("B20", 0, 2499);
	range("C30", 2000, 4999); /* 2000 to 2499 are B20's */
	rule(DFB_RULE_PREFIX, "C30", "p");
	l = location();
	for (unsigned i = 0; i < KEYS; i++) {
		snprintf(key, sizeof key, "c%06u", i);
		got[of_key(l, key)[0] - 'A']++;
		key[0] = 'p';
		assert_string_equal(of_key(l, key), "C30");
	}
	assert_in_range(got[0], KEYS / 2 - KEYS / 100, KEYS / 2 + KEYS / 100);
	assert_in_range(got[1], KEYS / 4 - KEYS / 100, KEYS / 4 + KEYS / 100);
	dfb_location_unref(l);
}

static void
all_keys_of_a_region(void **state)
{
	struct dfb_location *l;

	(void)state;
	place("A10", 0, 100);
	place("B20", 1, 100);
	rule(DFB_RULE_PREFIX, "B20", "");
	rule(DFB_RULE_KEY, "A10", "a");
	l = location();
	assert_string_equal(of_key(l, "b"), "B20");
	assert_string_equal(of_key(l, "a"), "A10");
	dfb_location_unref(l);
}

/* Each key of 10000 that are listed is found, in far less time than a message takes. */
static void
many_rules(void **state)
{
	struct dfb_location *l;
	uint64_t before;
	char key[16];

	(void)state;
	place("A10", 0, 100);
	place("B20", 1, 100);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(key, sizeof key, "%u", i * 7919 % 10000);
		rule(DFB_RULE_KEY, "B20", key);
	}
	l = location();
	before = dfb_mono_ns();
	for (unsigned i = 0; i < KEYS; i++) {
		snprintf(key, sizeof key, "%u", i);
		assert_string_equal(of_key(l, key), i < 10000 ? "B20" : "A10");
	}
	print_message("# %u ns for a key of 10000\n",
	    (unsigned)((dfb_mono_ns() - before) / KEYS));
	dfb_location_unref(l);
}

/* ---- frames ---- */

static void
nonsense_is_refused(void **state)
{
	struct dfb_m_located m = { .known = 1 };
	struct dfb_location *l;

	(void)state;
	place("A1", 0, 1);
	assert_null(location());
	place("A10", 1, 1);
	place("B20", 0, 1);
	assert_null(location());
	rule(DFB_RULE_KEY, "a10", "k");
	assert_null(location());
	range("A10", 5, 4);
	assert_null(location());
	range("A10", 0, 10000);
	assert_null(location());
	for (unsigned i = 0; i <= DFB_PLACES_MAX; i++)
		place("A10", 0, 1);
	assert_null(location());
	m.places = (struct dfb_blob){ (const uint8_t *)"\0", 1 };
	assert_int_equal(dfb_location_read(&m, &l), -1);
	m.rules = m.places;
	m.places.len = 0;
	assert_int_equal(dfb_location_read(&m, &l), -1);
}

static void
sameness(void **state)
{
	struct dfb_location *a, *b;

	(void)state;
	for (int i = 0; i < 5; i++) {
		place("A10", 0, 1);
		rule(DFB_RULE_KEY, "A10", "k");
		range("A10", 0, 9);
		a = location();
		place(i == 1 ? "B20" : "A10", 0, i == 2 ? 2 : 1);
		rule(i == 3 ? DFB_RULE_PREFIX : DFB_RULE_KEY, "A10", "k");
		range("A10", 0, i == 4 ? 8 : 9);
		b = location();
		assert_int_equal(dfb_location_same(a, b), i == 0);
		dfb_location_unref(dfb_location_ref(a));
		dfb_location_unref(a);
		dfb_location_unref(b);
	}
	a = location();
	assert_int_equal(a->n, 0);
	assert_int_equal(a->version, 7);
	assert_string_equal(a->reason, "r");
	dfb_location_unref(a);
	dfb_location_unref(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tiers_come_first),
		cmocka_unit_test(no_weight_is_last_in_its_tier),
		cmocka_unit_test(weights_are_shares),
		cmocka_unit_test(keys_stay),
		cmocka_unit_test(formula),
		cmocka_unit_test(rules_count_before_tiers),
		cmocka_unit_test(ranges_of_hashes),
		cmocka_unit_test(all_keys_of_a_region),
		cmocka_unit_test(many_rules),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(sameness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
