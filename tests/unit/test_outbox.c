#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/id.h"
#include "client/outbox.h"
#include "wire/record.h"

static struct dfb_outtotal total;
static struct dfb_outbox box, other;

static int
setup(void **state)
{
	(void)state;
	total = (struct dfb_outtotal){ 0 };
	dfb_outbox_init(&box, &total, false);
	dfb_outbox_init(&other, &total, false);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dfb_outbox_release(&box);
	dfb_outbox_release(&other);
	assert_int_equal(total.messages, 0);
	assert_int_equal(total.bytes, 0);
	return 0;
}

/* A message whose body is its number. */
static void
put(struct dfb_outbox *o, uint64_t n)
{
	char body[24];
	int len = snprintf(body, sizeof body, "%llu", (unsigned long long)n);
	struct dfb_msg m = { .body = body, .body_len = (size_t)len };
	struct dfb_record r;

	dfb_id_random(&m.id);
	dfb_record_from(&r, &m);
	assert_int_equal(dfb_outbox_put(o, n, &r, dfb_record_size(&r)), 0);
}

/* All that is taken out from seq on are these numbers, ended by 0, and marked so. */
static void
assert_out(struct dfb_outbox *o, uint64_t seq, const uint64_t *want, uint8_t flags)
{
	struct dfb_outframes gone;
	struct dfb_outmsg m;
	char body[24];

	assert_int_equal(dfb_outbox_truncate(o, seq, true, &gone), 0);
	for (; dfb_outbox_gone(&gone, &m); want++) {
		const uint8_t *p = m.record;
		struct dfb_record r;
		assert_int_equal(m.n, *want);
		assert_int_equal(m.seq, seq++);
		assert_int_equal(dfb_record_next(&p, p + m.size, &r), 1);
		assert_int_equal(r.flags & DFB_R_MAYBE, flags);
		snprintf(body, sizeof body, "%llu", (unsigned long long)m.n);
		assert_int_equal(r.body_len, strlen(body));
		assert_memory_equal(r.body, body, r.body_len);
	}
	assert_int_equal(*want, 0);
}

static void
numbers_with_gaps(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 6; n++)
		put(n % 3 == 0 ? &other : &box, n);
	assert_int_equal(total.messages, 6);
	assert_out(&other, 1, (uint64_t[]){ 3, 6, 0 }, 0);
	assert_int_equal(total.messages, 4);
	assert_out(&box, 2, (uint64_t[]){ 2, 4, 5, 0 }, 0);
	put(&box, 9);
	assert_out(&box, 1, (uint64_t[]){ 1, 9, 0 }, 0);
}

static void
one_is_dropped(void **state)
{
	uint64_t n;

	(void)state;
	for (uint64_t i = 1; i <= 9; i += 2)
		put(&box, i);
	dfb_outbox_cut_frame(&box); /* only what was sent is refused */
	assert_int_equal(dfb_outbox_drop(&box, 3, &n), 1);
	assert_int_equal(n, 5);
	assert_int_equal(total.messages, 4);
	put(&box, 11);
	assert_int_equal(dfb_outbox_drop(&box, 1, &n), 1);
	assert_int_equal(n, 1);
	assert_out(&box, 1, (uint64_t[]){ 3, 7, 9, 11, 0 }, 0);
}

static void
moved_and_marked(void **state)
{
	struct dfb_outframes gone;
	struct dfb_outmsg m;

	(void)state;
	for (uint64_t n = 1; n <= 4; n++)
		put(&box, n);
	put(&other, 5);
	assert_int_equal(dfb_outbox_truncate(&box, 2, true, &gone), 0);
	while (dfb_outbox_gone(&gone, &m)) {
		assert_int_equal(m.first, m.n == 2);
		assert_false(m.last); /* it was open */
		assert_int_equal(dfb_outbox_add(&other, &m, DFB_R_MAYBE), 0);
	}
	assert_int_equal(total.messages, 5);
	assert_int_equal(other.next, 5);
	assert_out(&other, 2, (uint64_t[]){ 2, 3, 4, 0 }, DFB_R_MAYBE);
	assert_out(&other, 1, (uint64_t[]){ 5, 0 }, 0);
	assert_out(&box, 1, (uint64_t[]){ 1, 0 }, 0);
}

static void
batches_keep_together(void **state)
{
	struct dfb_outframes gone;
	struct dfb_outmsg m;
	char seen[16] = "", one[4];

	(void)state;
	dfb_outbox_init(&box, &total, true);
	put(&box, 1);
	put(&box, 2);
	dfb_outbox_cut_frame(&box);
	put(&box, 3);
	put(&box, 4);
	assert_int_equal(dfb_outbox_truncate(&box, 1, false, &gone), 0);
	while (dfb_outbox_gone(&gone, &m)) {
		snprintf(one, sizeof one, "%s%d%s", m.first ? "(" : "", (int)m.n,
		    m.last ? ")" : "");
		strcat(seen, one);
	}
	assert_string_equal(seen, "(12)(34");
	assert_int_equal(box.base, 5);
}

/* So many that frames fill up, and numbers need more room. */
static void
many(void **state)
{
	static uint64_t want[2][40001];
	size_t n[2] = { 0, 0 };

	(void)state;
	for (uint64_t i = 1; i <= 40000; i++) {
		unsigned to = (i / 7) % 3 == 0;
		put(to ? &other : &box, i);
		want[to][n[to]++] = i;
	}
	assert_out(&box, 10001, want[0] + 10000, 0);
	want[0][10000] = 0;
	assert_out(&box, 1, want[0], 0);
	assert_out(&other, 1, want[1], 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(numbers_with_gaps), TEST(one_is_dropped), TEST(moved_and_marked),
		TEST(batches_keep_together), TEST(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
