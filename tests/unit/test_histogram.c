/* The histogram of dfb-bench, beside sorted lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dfb-bench/histogram.h"

#define N 20000

static struct histogram h, other;

static int
empty(void **state)
{
	(void)state;
	memset(&h, 0, sizeof h);
	memset(&other, 0, sizeof other);
	return 0;
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* xorshift: the same numbers each time. */
static uint64_t
next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void
nothing(void **state)
{
	(void)state;
	assert_int_equal(histogram_at(&h, 500), 0);
	assert_int_equal(histogram_at(&h, 1000), 0);
}

static void
one(void **state)
{
	static const uint64_t values[] = { 0, 1, 1023, 1024, 2047, 2048, 123456789,
		UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		memset(&h, 0, sizeof h);
		histogram_add(&h, values[i]);
		assert_true(histogram_at(&h, 1) == values[i]);
		assert_true(histogram_at(&h, 500) == values[i]);
		assert_true(histogram_at(&h, 1000) == values[i]);
	}
}

/* Small values are exact, and so is the rank. */
static void
ranks(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 1000; i++)
		histogram_add(&h, i);
	for (unsigned q = 1; q <= 1000; q++)
		assert_int_equal(histogram_at(&h, q), q);
	memset(&h, 0, sizeof h);
	for (uint64_t i = 1; i <= 10; i++)
		histogram_add(&h, i);
	assert_int_equal(histogram_at(&h, 500), 5);
	assert_int_equal(histogram_at(&h, 501), 6);
	assert_int_equal(histogram_at(&h, 900), 9);
	assert_int_equal(histogram_at(&h, 990), 10);
}

/* No value is further off than half a slot: 1 in 2048. */
static void
error(void **state)
{
	static uint64_t list[N];
	uint64_t seed = 88172645463325252;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		list[i] = next(&seed) >> next(&seed) % 64;
		histogram_add(&h, list[i]);
	}
	qsort(list, N, sizeof *list, by_size);
	for (unsigned q = 1; q <= 1000; q++) {
		uint64_t want = list[N / 1000 * q - 1], got = histogram_at(&h, q);
		uint64_t off = got > want ? got - want : want - got;
		assert_true(off <= want / 2048 + 1);
	}
	assert_true(histogram_at(&h, 1000) == list[N - 1]);
}

/* Each value by itself, at the edges of the slots. */
static void
edges(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++)
		for (int d = -1; d <= 1; d++) {
			uint64_t v = ((uint64_t)1 << bit) + (uint64_t)d, got, off;
			memset(&h, 0, sizeof h);
			histogram_add(&h, 0);
			histogram_add(&h, v);
			histogram_add(&h, UINT64_MAX);
			got = histogram_at(&h, 500);
			off = got > v ? got - v : v - got;
			assert_true(off <= v / 2048);
		}
}

static void
merged(void **state)
{
	(void)state;
	histogram_merge(&h, &other);
	assert_int_equal(histogram_at(&h, 500), 0);
	for (uint64_t i = 1; i <= 1000; i++)
		histogram_add(i % 2 == 0 ? &h : &other, i);
	histogram_merge(&h, &other);
	assert_int_equal(h.n, 1000);
	assert_int_equal(h.min, 1);
	assert_int_equal(h.max, 1000);
	for (unsigned q = 1; q <= 1000; q++)
		assert_int_equal(histogram_at(&h, q), q);
	memset(&h, 0, sizeof h);
	histogram_merge(&h, &other);
	assert_int_equal(h.min, 1);
	assert_int_equal(h.max, 999);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing, empty),
		cmocka_unit_test_setup(one, empty),
		cmocka_unit_test_setup(ranks, empty),
		cmocka_unit_test_setup(error, empty),
		cmocka_unit_test_setup(edges, empty),
		cmocka_unit_test_setup(merged, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
