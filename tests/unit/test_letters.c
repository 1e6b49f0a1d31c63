/* Dead letters: their headers at every size, and settling many at once beside a plain list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dfb-broker/broker.h"
#include "dfb-broker/letters.h"
#include "net/loop.h"
#include "wire/record.h"

static uint8_t own[DFB_HEADERS_MAX], one[DFB_HEADERS_MAX], two[DFB_HEADERS_MAX];

/* ---- headers ---- */

static const char *
value(const struct dfb_record *r, const char *name)
{
	static char text[DFB_HEADERS_MAX];

	return letter_header(r, name, text, sizeof text) ? text : NULL;
}

static struct dfb_record
record(const uint8_t *headers, size_t len)
{
	assert_true(len <= DFB_HEADERS_MAX && dfb_headers_valid(headers, len));
	return (struct dfb_record){ .headers = headers, .headers_len = len };
}

static struct death
death(const char *why)
{
	return (struct death){ .topic = "A10-x", .group = "g", .why = why, .queue = 2,
		.tries = 3, .offset = 17, .wall_ms = 1767225600000 };
}

static void
has_all_it_needs(void **state)
{
	struct death d = death("no good");
	struct dfb_record r, again;
	size_t n = 0;

	(void)state;
	dfb_headers_add(own, sizeof own, &n, "color", "red");
	dfb_headers_add(own, sizeof own, &n, "dfb-only-group", "forged");
	dfb_headers_add(own, sizeof own, &n, "color", "green");
	r = record(own, n);
	r = record(one, letter_headers(&r, &d, one));
	assert_string_equal(value(&r, "color"), "red");
	assert_string_equal(value(&r, "dfb-dead-topic"), "A10-x");
	assert_string_equal(value(&r, "dfb-dead-group"), "g");
	assert_string_equal(value(&r, "dfb-dead-queue"), "2");
	assert_string_equal(value(&r, "dfb-dead-offset"), "17");
	assert_string_equal(value(&r, "dfb-dead-tries"), "3");
	assert_string_equal(value(&r, "dfb-dead-time"), "2026-01-01T00:00:00.000Z");
	assert_string_equal(value(&r, "dfb-dead-reason"), "no good");
	assert_null(value(&r, "dfb-only-group"));
	assert_null(value(&r, "dfb-dead-before-1"));
	assert_true(letter_is_for(&r, "g") && letter_is_for(&r, "other"));
	again = record(two, letter_again(&r, "g", two));
	assert_true(letter_is_for(&again, "g"));
	assert_false(letter_is_for(&again, "gg"));
	assert_false(letter_is_for(&again, "forged"));
	assert_string_equal(value(&again, "dfb-redriven"), "1");
	assert_string_equal(value(&again, "dfb-dead-reason"), "no good");
}

static void
remembers_five_deaths(void **state)
{
	struct dfb_record r = { .headers_len = 0 };
	char why[32];

	(void)state;
	for (unsigned i = 1; i <= 12; i++) {
		struct death d = death(why);
		snprintf(why, sizeof why, "death %u", i);
		r = record(one, letter_headers(&r, &d, one));
		assert_string_equal(value(&r, "dfb-dead-reason"), why);
		r = record(two, letter_again(&r, "g", two));
	}
	assert_string_equal(value(&r, "dfb-redriven"), "12");
	assert_string_equal(value(&r, "dfb-dead-before-11"),
	    "2026-01-01T00:00:00.000Z A10-x 2:17 tries=3: death 11");
	assert_non_null(value(&r, "dfb-dead-before-8"));
	assert_null(value(&r, "dfb-dead-before-7"));
	assert_null(value(&r, "dfb-dead-before-12"));
}

/* Own headers of n bytes; then it dies so often. */
static void
die(size_t n, unsigned times, const char *why)
{
	size_t len = 0, chunk;
	char *text = calloc(1, DFB_HEADERS_MAX);
	struct dfb_record r;

	while (n - len > 8) {
		chunk = n - len - 4 < 20000 ? n - len - 4 : 20000;
		memset(text, 'x', chunk);
		text[chunk] = '\0';
		assert_int_equal(dfb_headers_add(own, sizeof own, &len, "o", text), DFB_OK);
	}
	r = record(own, len);
	for (unsigned i = 0; i < times; i++) {
		struct death d = death(why);
		r = record(one, letter_headers(&r, &d, one));
		assert_non_null(value(&r, "dfb-dead-reason"));
		assert_int_equal(value(&r, "o") != NULL, len <= DFB_HEADERS_MAX - 192 - 700);
		r = record(two, letter_again(&r, "gggggggggggggggggggggggggggggg", two));
		assert_false(letter_is_for(&r, "g"));
		assert_true(letter_is_for(&r, "gggggggggggggggggggggggggggggg"));
		assert_int_equal(strtoul(value(&r, "dfb-redriven"), NULL, 10), i + 1);
	}
	free(text);
}

static void
fits_whatever_size(void **state)
{
	static char why[3000];

	(void)state;
	for (size_t i = 0; i + 3 < sizeof why; i += 3)
		memcpy(why + i, "\xe2\x82\xac", 3);
	for (size_t n = 10; n < DFB_HEADERS_MAX; n += n < 25000 ? 5000 : 37) {
		die(n, 7, why);
		die(n, 2, "short");
	}
}

/* ---- settling ---- */

#define SPACE 300

static void
settles_as_a_list_does(void **state)
{
	static struct broker b;
	bool settled[SPACE];

	(void)state;
	assert_non_null(b.loop = dfb_loop_new());
	TAILQ_INIT(&b.ready);
	STAILQ_INIT(&b.dirty_cursors);
	for (unsigned round = 0; round < 300; round++) {
		struct topic t = { .id = 5 };
		struct group g = { .name = "%dlq", .topic = &t };
		struct queue q = { .topic = &t, .next = SPACE, .committed = SPACE };
		struct cursor *c = cursor_new(&b, &g, &q);

		assert_non_null(c);
		c->low = c->pos = c->high = 0;
		memset(settled, 0, sizeof settled);
		for (unsigned turn = 0; turn < 12; turn++) {
			uint64_t offsets[SPACE], n = 0, left = 0;
			unsigned odds = 1 + arc4random_uniform(20);
			for (uint64_t o = 0; o < SPACE; o++)
				if (!settled[o] && arc4random_uniform(odds) == 0)
					settled[offsets[n++] = o] = true;
			cursor_settle_list(&b, c, offsets, n);
			for (uint64_t o = 0; o < SPACE; o++) {
				assert_int_equal(cursor_is_settled(c, o), settled[o]);
				assert_int_equal(letters_has(c, o), !settled[o]);
				left += !settled[o];
			}
			assert_int_equal(letters_left(c), left);
			for (size_t i = 0; i < c->ndone; i++)
				assert_true(c->done[i].from > (i != 0 ? c->done[i - 1].to :
				    c->low) && c->done[i].to > c->done[i].from);
			assert_true(c->low <= c->pos && c->pos <= c->high);
		}
		cursor_free(&b, c);
	}
	dfb_loop_free(b.loop);
}

/* ---- blocks ---- */

/* A block is all of messages that are sent again, or none of it is. */
static void
blocks_do_not_mix(void **state)
{
	static const enum append kinds[] = { APPEND_PLAIN, APPEND_EXPIRES, APPEND_AGAIN,
		APPEND_AGAIN, APPEND_PLAIN, APPEND_AGAIN };
	static const struct { uint64_t base; uint32_t count; uint8_t flags; } want[] = {
		{ 0, 2, BLOCK_SPECIAL }, { 2, 2, BLOCK_SPECIAL | BLOCK_AGAIN }, { 4, 1, 0 },
		{ 5, 1, BLOCK_SPECIAL | BLOCK_AGAIN } };
	struct topic t = { .id = 5, .set = { .durability = DFB_MEMORY } };
	struct broker b = { .wall = 1 };
	struct queue *q = queue_new(&t, NULL, 0);
	const struct dfb_record r = { .body = (const uint8_t *)"x", .body_len = 1 };
	uint8_t bytes[64];
	size_t len = (size_t)(dfb_record_write(&r, bytes) - bytes), i = 0;
	struct held *h;

	(void)state;
	assert_non_null(q);
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
		assert_int_equal(queue_append(&b, q, bytes, len, kinds[k], NULL), k);
	RB_FOREACH(h, held_tree, &q->blocks) {
		assert_true(i < sizeof want / sizeof *want);
		assert_int_equal(h->b->base, want[i].base);
		assert_int_equal(h->b->count, want[i].count);
		assert_int_equal(h->b->flags, want[i].flags);
		i++;
	}
	assert_int_equal(i, sizeof want / sizeof *want);
	queue_free(&b, q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_all_it_needs),
		cmocka_unit_test(remembers_five_deaths),
		cmocka_unit_test(fits_whatever_size),
		cmocka_unit_test(settles_as_a_list_does),
		cmocka_unit_test(blocks_do_not_mix),
	};

	return cmocka_run_group_tests_name("letters", tests, NULL, NULL);
}
