/* Format strings of dfb-recv -f. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/buf.h"
#include "common/format.h"
#include "dfb.h"

static void
letters(void **state)
{
	static const struct {
		const char *format, *want;
		size_t len;
	} table[] = {
		{ "", "", 0 },
		{ "plain", "plain", 5 },
		{ "%s", "bo\0dy", 5 },
		{ "%t[%q]@%o %k: %s\\n", "A10-x[3]@18446744073709551615 k\n: bo\0dy\n", 40 },
		{ "%h|%T", "a=1,b=x y|1700000000000", 23 },
		{ "%i", "01020304-0506-0708-090a-0b0c0d0e0f10", 36 },
		{ "100%%\\t\\r\\0\\\\\\x00\\xfF%%s", "100%\t\r\0\\\0\xff%s", 12 },
		{ "\\x41\\x4a1", "AJ1", 3 },
	};
	uint8_t headers[64];
	struct dfb_msg m = { .topic = "A10-x", .queue = 3, .offset = UINT64_MAX,
		.key = "k\n", .key_len = 2, .body = "bo\0dy", .body_len = 5,
		.born_ms = 1700000000000, .headers = headers,
		.id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } } };
	char why[128];

	(void)state;
	dfb_headers_add(headers, sizeof headers, &m.headers_len, "a", "1");
	dfb_headers_add(headers, sizeof headers, &m.headers_len, "b", "x y");
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct dfb_format *f = dfb_format_new(table[i].format, why, sizeof why);
		struct dfb_buf b = {0};
		assert_non_null(f);
		assert_int_equal(dfb_format_write(f, &b, &m), 0);
		assert_int_equal(b.len, table[i].len);
		if (b.len != 0)
			assert_memory_equal(b.data, table[i].want, b.len);
		dfb_format_free(f);
		dfb_buf_release(&b);
	}
}

static void
nothing_there(void **state)
{
	struct dfb_msg m = {0};
	struct dfb_buf b = {0};
	char why[128];
	struct dfb_format *f = dfb_format_new("<%t%k%s%h>", why, sizeof why);

	(void)state;
	assert_non_null(f);
	assert_int_equal(dfb_format_write(f, &b, &m), 0);
	assert_int_equal(b.len, 2);
	dfb_format_free(f);
	dfb_buf_release(&b);
}

static void
malformed(void **state)
{
	static const struct {
		const char *format, *named;
	} table[] = {
		{ "%", "'%'" }, { "a%z", "'%z'" }, { "%S", "'%S'" }, { "\\", "'\\'" },
		{ "\\q", "'\\q'" }, { "\\x", "'\\x'" }, { "\\x1", "'\\x'" },
		{ "\\xg0", "'\\x'" }, { "%%%", "'%'" }, { "% ", "'% '" },
	};
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		assert_null(dfb_format_new(table[i].format, why, sizeof why));
		assert_non_null(strstr(why, table[i].named));
	}
	dfb_format_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters),
		cmocka_unit_test(nothing_there),
		cmocka_unit_test(malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
