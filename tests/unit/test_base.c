#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/parse.h"
#include "base/timer.h"
#include "base/utf8.h"
#include "base/worker.h"
#include "dfb.h"

static void
buffers(void **state)
{
	struct dfb_buf b = { 0 };
	size_t len;
	uint8_t *p;

	(void)state;
	assert_int_equal(dfb_buf_add(&b, NULL, 0), 0);
	assert_null(dfb_buf_steal(&b, &len));
	assert_int_equal(dfb_buf_add(&b, "hello ", 6), 0);
	assert_int_equal(dfb_buf_addf(&b, "%d%s", 42, "!"), 0);
	assert_int_equal(b.len, 9);
	dfb_buf_consume(&b, 6);
	assert_memory_equal(b.data, "42!", 3);
	assert_int_equal(dfb_buf_reserve(&b, SIZE_MAX / 2), -1);
	assert_int_equal(b.len, 3);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(dfb_buf_addf(&b, "%04d", i), 0);
	assert_memory_equal(b.data + 3 + 4 * 999, "0999", 4);
	dfb_buf_consume(&b, b.len);
	assert_int_equal(b.len, 0);
	p = dfb_buf_steal(&b, &len);
	assert_non_null(p);
	assert_null(b.data);
	free(p);
	dfb_buf_release(&b);
}

static void
ids(void **state)
{
	struct dfb_id a, b, zero = { { 0 } };
	char text[DFB_ID_TEXT];
	static const char *bad[] = { "", "0190163d-8694-739b-aea5-966c26f8ad9",
		"0190163d-8694-739b-aea5-966c26f8ad910", "0190163d086940739b0aea50966c26f8ad91",
		"g190163d-8694-739b-aea5-966c26f8ad91" };

	(void)state;
	assert_int_equal(dfb_id_parse("0190163D-8694-739b-aea5-966c26f8ad91", &a), 0);
	dfb_id_format(&a, text);
	assert_string_equal(text, "0190163d-8694-739b-aea5-966c26f8ad91");
	/* The example of RFC 9562, appendix A.6. */
	assert_int_equal(dfb_id_parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", &a), 0);
	assert_int_equal(dfb_id_time(&a), UINT64_C(0x17f22e279b0));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(dfb_id_parse(bad[i], &b), -1);
	assert_true(dfb_id_is_zero(&zero));
	assert_false(dfb_id_is_zero(&a));
	dfb_id_random(&a);
	assert_int_equal(a.b[6] >> 4, 4);
	assert_int_equal(a.b[8] >> 6, 2);
	assert_int_equal(dfb_id_time(&a), 0);
	/* They rise, also when the clock stands or goes back. */
	dfb_id_make(&a, 2000000000000);
	assert_int_equal(dfb_id_time(&a), 2000000000000);
	for (int i = 0; i < 10000; i++) {
		dfb_id_make(&b, 2000000000000 - (uint64_t)(i % 3));
		assert_true(memcmp(&a, &b, sizeof a) < 0);
		assert_int_equal(b.b[6] >> 4, 7);
		assert_int_equal(b.b[8] >> 6, 2);
		a = b;
	}
}

static void
names_as_ids(void **state)
{
	char text[DFB_ID_TEXT], name[66];
	struct dfb_id a, b;

	(void)state;
	assert_int_equal(dfb_id_of("0190163D-8694-739b-aea5-966c26f8ad91", &a), 0);
	dfb_id_format(&a, text);
	assert_string_equal(text, "0190163d-8694-739b-aea5-966c26f8ad91");
	/* For ever the same: b2sum -l 128, with the version and the variant put in. */
	assert_int_equal(dfb_id_of("order-17", &a), 0);
	dfb_id_format(&a, text);
	assert_string_equal(text, "dfc164b1-29ef-8f11-861b-d2062345a12b");
	assert_int_equal(dfb_id_of("order-18", &b), 0);
	assert_memory_not_equal(&a, &b, sizeof a);
	assert_int_equal(dfb_id_of("", &a), -1);
	memset(name, 'x', sizeof name);
	name[64] = '\0';
	assert_int_equal(dfb_id_of(name, &a), 0);
	name[64] = 'x';
	name[65] = '\0';
	assert_int_equal(dfb_id_of(name, &a), -1);
}

static void
sizes_and_counts(void **state)
{
	uint64_t n = 99;
	static const char *bad[] = { "", "x", "-1", "+1", " 1", "1 ", "1.5", "1T", "1kk",
		"18446744073709551616", "18446744073709551615k", "0x10" };

	(void)state;
	assert_int_equal(dfb_parse_size("64k", 0, UINT64_MAX, &n), 0);
	assert_int_equal(n, 65536);
	assert_int_equal(dfb_parse_size("2G", 0, UINT64_MAX, &n), 0);
	assert_int_equal(n, UINT64_C(2) << 30);
	assert_int_equal(dfb_parse_count("12k", 0, UINT64_MAX, &n), 0);
	assert_int_equal(n, 12000);
	assert_int_equal(dfb_parse_count("18446744073709551615", 0, UINT64_MAX, &n), 0);
	assert_int_equal(n, UINT64_MAX);
	n = 99;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(dfb_parse_size(bad[i], 0, UINT64_MAX, &n), -1);
		assert_int_equal(dfb_parse_count(bad[i], 0, UINT64_MAX, &n), -1);
	}
	assert_int_equal(dfb_parse_count("5", 6, 10, &n), -1);
	assert_int_equal(dfb_parse_count("11", 6, 10, &n), -1);
	assert_int_equal(n, 99);
}

static void
times(void **state)
{
	uint64_t n, m;
	char buf[25];

	(void)state;
	assert_int_equal(dfb_parse_duration("250ms", &n), 0);
	assert_int_equal(n, 250);
	assert_int_equal(dfb_parse_duration("5", &n), 0);
	assert_int_equal(n, 5000);
	assert_int_equal(dfb_parse_duration("7d", &n), 0);
	assert_int_equal(n, 7 * 86400000);
	assert_int_equal(dfb_parse_duration("5x", &n), -1);
	assert_int_equal(dfb_parse_when("2026-01-31T12:00:00Z", &n), 0);
	assert_int_equal(n, UINT64_C(1769860800000));
	assert_int_equal(dfb_parse_when("2026-01-31 14:00:00.25+02:00", &m), 0);
	assert_int_equal(m, n + 250);
	assert_int_equal(dfb_parse_when("@1769860800", &m), 0);
	assert_int_equal(m, n);
	assert_int_equal(dfb_parse_when("-5m", &m), 0);
	assert_in_range(dfb_wall_ms() - m, 300000, 301000);
	assert_int_equal(dfb_parse_when("2026-13-01", &n), -1);
	assert_int_equal(dfb_parse_when("yesterday", &n), -1);
	assert_int_equal(dfb_parse_when("2026-01-31T12:00:00X", &n), -1);
	assert_int_equal(dfb_parse_when("2026-01-31T12:00:00Zx", &n), -1);
	assert_int_equal(dfb_parse_when("2026-02-31", &n), -1);
	assert_int_equal(dfb_parse_when("2028-02-29T12:00:00Z", &n), 0);
	assert_int_equal(dfb_parse_when("2026-01-31T12:00:00+ 1:00", &n), -1);
	assert_int_equal(dfb_parse_when("2026-01-31T12:00:00+1:000", &n), -1);
	assert_string_equal(dfb_format_when(UINT64_C(1769860800250), buf),
	    "2026-01-31T12:00:00.250Z");
	assert_string_equal(dfb_format_duration(250, buf), "250ms");
	assert_string_equal(dfb_format_duration(1500, buf), "1.5s");
	assert_string_equal(dfb_format_duration(60000, buf), "1m");
	assert_string_equal(dfb_format_duration(7200000, buf), "2h");
	assert_string_equal(dfb_format_size(1023, buf), "1023");
	assert_string_equal(dfb_format_size(1536, buf), "1.5k");
	assert_true(dfb_mono_ns() <= dfb_mono_ns());
}

static void
utf8(void **state)
{
	static const char *good[] = { "", "abcdefghijklmnop", "\xc3\xa4", "\xe2\x82\xac",
		"\xf0\x9f\x92\xb6", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80",
		"1234567\xc3\xa4" };
	static const char *bad[] = { "\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf",
		"\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xc3", "\xe2\x82", "\xf0\x9f\x92", "\xc3(", "\xff", "12345678\xfe" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(dfb_utf8_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(dfb_utf8_valid(bad[i], strlen(bad[i])));
	assert_true(dfb_utf8_valid("a\0b", 3));
}

/* Written down: messages with a key stay in their queue across versions. */
static void
hash(void **state)
{
	(void)state;
	assert_true(dfb_hash("", 0) == dfb_hash("x", 0));
	assert_true(dfb_hash("a", 1) != dfb_hash("b", 1));
	assert_true(dfb_hash("customer-1", 10) == UINT64_C(0xc58725f6af115f61));
}

/* ---- timers ---- */

#define TIMERS 200

static uint64_t ran[TIMERS];
static unsigned nran;

static void
note(struct dfb_timer *t, void *arg)
{
	(void)arg;
	ran[nran++] = t->due;
}

static struct dfb_timers all_timers;

static void
again(struct dfb_timer *t, void *arg)
{
	unsigned *left = arg;

	nran++;
	if (--*left != 0)
		dfb_timer_set(&all_timers, t, t->due + 10);
}

static void
timers(void **state)
{
	static struct dfb_timer t[TIMERS];
	unsigned left = 3;

	(void)state;
	assert_true(dfb_timers_next(&all_timers) == UINT64_MAX);
	for (int round = 0; round < 20; round++) {
		nran = 0;
		for (int i = 0; i < TIMERS; i++) {
			t[i] = (struct dfb_timer){ .fn = note };
			dfb_timer_set(&all_timers, &t[i], (uint64_t)random() % 1000);
		}
		for (int i = 0; i < TIMERS; i += 3) /* moved */
			dfb_timer_set(&all_timers, &t[i], (uint64_t)random() % 1000);
		for (int i = 0; i < TIMERS; i += 4)
			dfb_timer_stop(&all_timers, &t[i]);
		dfb_timer_stop(&all_timers, &t[0]); /* idle already */
		dfb_timers_run(&all_timers, 500);
		assert_true(dfb_timers_next(&all_timers) > 500);
		dfb_timers_run(&all_timers, 1000);
		assert_int_equal(nran, TIMERS - TIMERS / 4);
		for (unsigned i = 1; i < nran; i++)
			assert_true(ran[i - 1] <= ran[i]);
	}
	nran = 0;
	t[0] = (struct dfb_timer){ .fn = again, .arg = &left };
	dfb_timer_set(&all_timers, &t[0], 10);
	assert_int_equal(dfb_timers_run(&all_timers, 30), 3);
	assert_int_equal(nran, 3);
	assert_false(dfb_timer_is_set(&t[0]));
}

/* ---- workers ---- */

struct job {
	struct dfb_job job;
	int number;
	bool ran;
};

static int done[100];
static unsigned ndone;

static void
run(struct dfb_job *j)
{
	((struct job *)(void *)j)->ran = true;
}

static void
on_done(struct dfb_job *j)
{
	struct job *job = (struct job *)(void *)j;

	assert_true(job->ran);
	done[ndone++] = job->number;
	free(job);
}

static void
submit(struct dfb_worker *w, int number)
{
	struct job *j = calloc(1, sizeof *j);

	assert_non_null(j);
	j->job = (struct dfb_job){ .run = run, .done = on_done };
	j->number = number;
	dfb_worker_submit(w, &j->job);
}

static void
workers(void **state)
{
	struct dfb_worker *w = dfb_worker_new("test");
	struct pollfd p = { .events = POLLIN };

	(void)state;
	assert_non_null(w);
	p.fd = dfb_worker_fd(w);
	for (int i = 0; i < 50; i++)
		submit(w, i);
	while (ndone < 50) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		dfb_worker_collect(w);
	}
	for (int i = 0; i < 50; i++)
		assert_int_equal(done[i], i);
	assert_int_equal(dfb_worker_collect(w), 0);
	for (int i = 50; i < 100; i++)
		submit(w, i);
	dfb_worker_free(w); /* finishes them */
	assert_int_equal(ndone, 100);
	dfb_worker_free(NULL);
}

static void
statuses(void **state)
{
	(void)state;
	assert_string_equal(dfb_status_text(DFB_AGAIN), "try again later");
	assert_non_null(dfb_status_text((enum dfb_status)9999));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers), cmocka_unit_test(ids),
		cmocka_unit_test(names_as_ids),
		cmocka_unit_test(sizes_and_counts), cmocka_unit_test(times),
		cmocka_unit_test(utf8), cmocka_unit_test(hash), cmocka_unit_test(timers),
		cmocka_unit_test(workers), cmocka_unit_test(statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
