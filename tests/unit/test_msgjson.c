/* Messages as lines of JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "common/msgjson.h"
#include "dfb.h"

static void
assert_same(const struct dfb_msg *a, const struct dfb_msg *b)
{
	assert_memory_equal(a->id.b, b->id.b, sizeof a->id.b);
	assert_int_equal(a->born_ms, b->born_ms);
	assert_int_equal(a->expires_ms, b->expires_ms);
	assert_int_equal(a->due_ms, b->due_ms);
	assert_int_equal(a->key_len, b->key_len);
	if (a->key_len != 0)
		assert_memory_equal(a->key, b->key, a->key_len);
	assert_int_equal(a->headers_len, b->headers_len);
	if (a->headers_len != 0)
		assert_memory_equal(a->headers, b->headers, a->headers_len);
	assert_int_equal(a->body_len, b->body_len);
	if (a->body_len != 0)
		assert_memory_equal(a->body, b->body, a->body_len);
}

static void
back_and_forth(const struct dfb_msg *m)
{
	struct dfb_buf b = {0};
	struct dfb_msgjson *j;
	char why[256] = "";

	assert_int_equal(dfb_msgjson_write(&b, m), 0);
	assert_int_equal(b.data[b.len - 1], '\n');
	assert_ptr_equal(memchr(b.data, '\n', b.len), b.data + b.len - 1);
	if (dfb_msgjson_read((char *)b.data, b.len, &j, why, sizeof why) == -1)
		fail_msg("%s: %.*s", why, (int)b.len, (char *)b.data);
	assert_same(m, dfb_msgjson_msg(j));
	dfb_msgjson_free(j);
	dfb_buf_release(&b);
}

static void
random_text(uint8_t *p, size_t len, int kind)
{
	static const char special[] = "\"\\/\n\r\t\b\f\0\x01\x1f\x7f u{}[]:,é€😀";

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(kind == 0 ? random() : kind == 1 ? random() % 128 :
		    special[(size_t)random() % sizeof special]);
}

static void
random_round_trips(void **state)
{
	static uint8_t body[5000], key[255], headers[DFB_HEADERS_MAX];

	(void)state;
	srandom(2);
	for (int i = 0; i < 20000; i++) {
		struct dfb_msg m = { .body = body, .key = key, .headers = headers };
		int count = (int)(random() % 5) - 1;

		m.body_len = (size_t)random() % (i % 100 == 0 ? sizeof body : 40);
		m.key_len = random() % 2 ? (size_t)random() % 256 : 0;
		random_text(body, m.body_len, i % 3);
		random_text(key, m.key_len, i / 3 % 3);
		for (int k = 0; k < count; k++) {
			char name[3] = { (char)('a' + random() % 3), '.', 0 };
			char value[4] = { (char)(random() % 128), '"', (char)(random() % 32), 0 };
			assert_int_equal(dfb_headers_add(headers, sizeof headers,
			    &m.headers_len, name, value), DFB_OK);
		}
		if (random() % 2)
			for (size_t k = 0; k < sizeof m.id.b; k++)
				m.id.b[k] = (uint8_t)random();
		if (random() % 2)
			m.born_ms = (uint64_t)random() * 1000;
		if (random() % 2)
			m.expires_ms = (uint64_t)random() * 1000;
		if (random() % 2)
			m.due_ms = (uint64_t)random() * 1000;
		back_and_forth(&m);
	}
}

/* Every byte by itself, and all together. */
static void
every_byte(void **state)
{
	uint8_t all[256];

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		struct dfb_msg m = { .body = &all[c], .body_len = 1, .key = &all[c],
			.key_len = 1 };
		all[c] = (uint8_t)c;
		back_and_forth(&m);
	}
	back_and_forth(&(struct dfb_msg){ .body = all, .body_len = 256 });
	back_and_forth(&(struct dfb_msg){ .body = all, .body_len = 128 });
	back_and_forth(&(struct dfb_msg){ 0 });
}

static void
written_form(void **state)
{
	uint8_t headers[64];
	struct dfb_msg m = { .id = { { 0xab } }, .topic = "A10-x", .queue = 0,
		.offset = 7, .tries = 1, .is_call = true, .born_ms = 5, .key = "k",
		.key_len = 1, .body = "a\n\0\"", .body_len = 4, .headers = headers };
	struct dfb_buf b = {0};
	static const char want[] = "{\"id\":\"ab000000-0000-0000-0000-000000000000\","
	    "\"topic\":\"A10-x\",\"queue\":0,\"offset\":7,\"key\":\"k\",\"born\":5,"
	    "\"try\":1,\"call\":true,\"headers\":{\"h\":\"v\"},"
	    "\"body\":\"a\\n\\u0000\\\"\"}\n";

	(void)state;
	dfb_headers_add(headers, sizeof headers, &m.headers_len, "h", "v");
	assert_int_equal(dfb_msgjson_write(&b, &m), 0);
	assert_int_equal(b.len, sizeof want - 1);
	assert_memory_equal(b.data, want, b.len);
	b.len = 0;
	m = (struct dfb_msg){ .body = "\xff", .body_len = 1 };
	assert_int_equal(dfb_msgjson_write(&b, &m), 0);
	assert_memory_equal(b.data, "{\"body64\":\"/w==\"}\n", b.len);
	dfb_buf_release(&b);
}

static void
wrong(void **state)
{
	static const struct {
		const char *line, *says;
	} table[] = {
		{ "", "JSON" }, { "{", "byte" }, { "[]", "object" }, { "7", "object" },
		{ "{}{}", "byte" }, { "{\"body\":\"\xff\"}", "byte" },
		{ "{\"body\":\"\\ud800\"}", "byte" }, { "{\"body\":1}", "\"body\"" },
		{ "{\"body\":{}}", "\"body\"" }, { "{\"bdoy\":\"x\"}", "\"bdoy\"" },
		{ "{\"body\":\"\",\"body\":\"\"}", "twice" },
		{ "{\"body\":\"x}", "byte" }, { "{\"body\":\"\\", "byte" },
		{ "{\"body\":\"\\u12", "byte" }, { "{\"body\":\"\\u12g4\"}", "hex" },
		{ "{\"body\":\"\\x\"}", "escape" }, { "{\"body\":\"a\nb\"}", "control" },
		{ "{\"body\":\"\\ud800\\u0041\"}", "surrogate" },
		{ "{\"body\":\"\\udc00\"}", "surrogate" }, { "{\"body\" \"x\"}", "':'" },
		{ "{\"body\":\"x\",}", "string" }, { "{\"body\":\"x\" \"key\"", "'}'" },
		{ "{\"try\":01}", "value" }, { "{\"try\":1.}", "value" },
		{ "{\"try\":1e}", "value" }, { "{\"try\":-}", "value" },
		{ "{\"try\":nul}", "value" }, { "{\"try\":tru", "value" },
		{ "{\"try\":[1,]}", "value" }, { "{\"try\":{\"a\":1,}}", "string" },
		{ "{\"try\":", "breaks off" }, { "{\"born\":01}", "byte" },
		{ "{\"born\":1e3}", "whole" }, { "{\"body\":nil}", "value" },
		{ "{\"id\":\"01a206a9-e2b2-778b-8777-d14250511eb0\\u0000\"}", "\"id\"" },
		{ "{\"body\\u0000\":\"\"}", "unknown" },
		{ "{\"body\":\"x\",\"body64\":\"\"}", "both" },
		{ "{\"key64\":\"\",\"key\":\"x\"}", "both" },
		{ "{\"body64\":\"a\"}", "base64" }, { "{\"body64\":\"YQ\"}", "base64" },
		{ "{\"body64\":\"Y Q==\"}", "base64" }, { "{\"body64\":\"YQ==YQ==\"}", "base64" },
		{ "{\"body64\":7}", "\"body64\"" }, { "{\"key\":[]}", "\"key\"" },
		{ "{\"id\":\"\"}", "\"id\"" }, { "{\"id\":1}", "\"id\"" },
		{ "{\"born\":-1}", "\"born\"" }, { "{\"born\":1.5}", "\"born\"" },
		{ "{\"born\":\"1\"}", "\"born\"" },
		{ "{\"expires\":99999999999999999999}", "\"expires\"" },
		{ "{\"ttl\":1,\"expires\":1}", "both" }, { "{\"headers\":7}", "\"headers\"" },
		{ "{\"headers\":{\"a b\":\"\"}}", "\"a b\"" },
		{ "{\"headers\":{\"\":\"x\"}}", "name" },
		{ "{\"headers\":{\"a\":1}}", "\"a\"" },
		{ "{\"headers\":{\"a\":\"\\u0000\"}}", "NUL" },
		{ "{\"headers\":[\"a\"]}", "pairs" }, { "{\"headers\":[[\"a\"]]}", "byte" },
		{ "{\"headers\":[[1,2]]}", "string" },
		{ "{\"status\":256}", "\"status\"" }, { "{\"reason\":1}", "\"reason\"" },
	};
	char why[256];
	struct dfb_msgjson *j;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		why[0] = '\0';
		assert_int_equal(dfb_msgjson_read(table[i].line, strlen(table[i].line),
		    &j, why, sizeof why), -1);
		if (strstr(why, table[i].says) == NULL)
			fail_msg("%s: %s", table[i].line, why);
		for (const char *p = why; *p != '\0'; p++)
			assert_true((unsigned char)*p >= ' ');
	}
}

static void
right(void **state)
{
	static const char line[] = " {\"topic\":7,\"queue\":null,\"offset\":{},\"try\":1,"
	    "\"call\":true,\"key\":null,\"headers\":[[\"a\",\"1\"],[\"a\",\"2\"]],"
	    "\"ttl\":1000,\"status\":75,\"reason\":\"so\",\"body\":\"\\u00e9\\ud83d\\ude00\"} \r\n";
	uint64_t now = dfb_wall_ms();
	const struct dfb_msg *m;
	struct dfb_msgjson *j;
	char why[256];

	(void)state;
	assert_int_equal(dfb_msgjson_read(line, sizeof line - 1, &j, why, sizeof why), 0);
	m = dfb_msgjson_msg(j);
	assert_null(m->topic);
	assert_int_equal(m->key_len, 0);
	assert_int_equal(m->headers_len, 10);
	assert_memory_equal(m->headers, "\1a\0\1" "1\1a\0\1" "2", 10);
	assert_in_range(m->expires_ms, now + 1000, now + 3000);
	assert_int_equal(dfb_msgjson_status(j), 75);
	assert_string_equal(dfb_msgjson_reason(j), "so");
	assert_int_equal(m->body_len, 6);
	dfb_msgjson_free(j);
	assert_int_equal(dfb_msgjson_read("{}", 2, &j, why, sizeof why), 0);
	assert_int_equal(dfb_msgjson_msg(j)->body_len, 0);
	assert_int_equal(dfb_msgjson_status(j), 0);
	assert_null(dfb_msgjson_reason(j));
	dfb_msgjson_free(j);
	dfb_msgjson_free(NULL);
}

static void
too_many_headers(void **state)
{
	struct dfb_buf b = {0};
	struct dfb_msgjson *j;
	char why[256];

	(void)state;
	dfb_buf_addf(&b, "{\"headers\":{\"a\":\"");
	for (int i = 0; i < DFB_HEADERS_MAX; i++)
		dfb_buf_add(&b, "x", 1);
	dfb_buf_addf(&b, "\"}}");
	assert_int_equal(dfb_msgjson_read((char *)b.data, b.len, &j, why, sizeof why), -1);
	assert_non_null(strstr(why, "32768"));
	dfb_buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_round_trips),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(written_form),
		cmocka_unit_test(wrong),
		cmocka_unit_test(right),
		cmocka_unit_test(too_many_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
