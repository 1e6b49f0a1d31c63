#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/id.h"
#include "dfb.h"
#include "wire/proto.h"
#include "wire/record.h"
#include "wire/words.h"

#define ROUNDS 50

/* ---- random fields, and whether two are the same ---- */

static char text[300];
static uint8_t bytes[4000];

static uint64_t
any(void)
{
	return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
}

static void
make_u8(uint8_t *v)
{
	*v = (uint8_t)any();
}

static void
make_u16(uint16_t *v)
{
	*v = (uint16_t)any();
}

static void
make_u32(uint32_t *v)
{
	*v = (uint32_t)any();
}

static void
make_u64(uint64_t *v)
{
	*v = any();
}

static void
make_id(struct dfb_id *v)
{
	dfb_id_random(v);
}

static void
make_str(struct dfb_str *v)
{
	size_t at = (size_t)any() % sizeof text;

	*v = (struct dfb_str){ text + at, (size_t)any() % (sizeof text - at) };
}

static void
make_blob(struct dfb_blob *v)
{
	size_t at = (size_t)any() % sizeof bytes;

	*v = (struct dfb_blob){ bytes + at, (size_t)any() % (sizeof bytes - at) };
}

#define make_rest make_blob

#define same_u8(a, b) assert_int_equal(*(a), *(b))
#define same_u16 same_u8
#define same_u32 same_u8
#define same_u64 same_u8
#define same_id(x, y) assert_memory_equal((x)->b, (y)->b, 16)
#define same_blob(a, b) do { \
	assert_int_equal((a)->len, (b)->len); \
	if ((a)->len != 0) \
		assert_memory_equal((a)->p, (b)->p, (a)->len); \
} while (0)
#define same_str same_blob
#define same_rest same_blob

/* Whether the message has a field that takes whatever is left. */
#define REST_u8
#define REST_u16
#define REST_u32
#define REST_u64
#define REST_id
#define REST_str
#define REST_blob
#define REST_rest rest = true;

#define FIELDS(name) \
	static void make_##name(struct dfb_m_##name *m) {
#define F(type, field) make_##type(&m->field);
#define END(name) m->end_ = 0; }
#define MSG(NAME, name, number) FIELDS(name)
#define ITEM(name) FIELDS(name)
#include "wire/msgs.def"
#undef FIELDS
#undef F
#undef END

#define FIELDS(name) \
	static void same_##name(const struct dfb_m_##name *a, \
	    const struct dfb_m_##name *b) { (void)a; (void)b;
#define F(type, field) same_##type(&a->field, &b->field);
#define END(name) }
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef FIELDS
#undef F
#undef END

#define MSG(NAME, name, number) \
	__attribute__((unused)) static bool has_rest_##name(void) { bool rest = false;
#define F(type, field) REST_##type
#define END(name) return rest; }
#define ITEM(name) \
	__attribute__((unused)) static bool has_rest_##name(void) { bool rest = false;
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef F
#undef END

/* ---- frames ---- */

static void
check_frame(const struct dfb_proto *m, struct dfb_proto *out, struct dfb_buf *b,
    bool has_rest)
{
	size_t head = dfb_proto_head_size(m);
	const char *why;

	b->len = 0;
	assert_int_equal(dfb_proto_encode(m, b), 0);
	/* Cut into memory of its own, so that a sanitizer sees a read past the end. */
	for (size_t n = 0; n < (has_rest ? head : b->len); n++) {
		uint8_t *cut = malloc(n != 0 ? n : 1);
		memcpy(cut, b->data, n);
		assert_int_equal(dfb_proto_decode(cut, n, out, &why), -1);
		assert_non_null(why);
		free(cut);
	}
	if (!has_rest) {
		assert_int_equal(dfb_buf_add(b, "", 1), 0);
		assert_int_equal(dfb_proto_decode(b->data, b->len, out, &why), -1);
		b->len--;
	}
	assert_int_equal(dfb_proto_decode(b->data, b->len, out, &why), 0);
	assert_int_equal(out->type, m->type);
	assert_int_equal(out->status, m->status);
	assert_int_equal(out->req, m->req);
}

static void
every_message_round_trips(void **state)
{
	struct dfb_proto m, out;
	struct dfb_buf b = { 0 }, dump = { 0 };

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
#define MSG(NAME, name, number) \
		m.type = DFB_M_##NAME; \
		m.status = (uint16_t)any(); \
		m.req = (uint32_t)any(); \
		make_##name(&m.name); \
		check_frame(&m, &out, &b, has_rest_##name()); \
		same_##name(&m.name, &out.name); \
		assert_string_equal(dfb_proto_name(m.type), #NAME); \
		dump.len = 0; \
		assert_int_equal(dfb_proto_dump(&m, &dump), 0); \
		assert_memory_equal(dump.data, #NAME, sizeof #NAME - 1);
#define ITEM(name)
#define F(type, field)
#define END(name)
#include "wire/msgs.def"
#undef MSG
#undef ITEM
	}
	dfb_buf_release(&b);
	dfb_buf_release(&dump);
}

static void
every_item_round_trips(void **state)
{
	struct dfb_buf b = { 0 };

	(void)state;
#define MSG(NAME, name, number)
#define ITEM(name) { \
	struct dfb_m_##name in[2], out; \
	struct dfb_blob list; \
	size_t first; \
	b.len = 0; \
	make_##name(&in[0]); \
	make_##name(&in[1]); \
	assert_int_equal(dfb_##name##_add(&b, &in[0]), 0); \
	first = b.len; \
	assert_int_equal(dfb_##name##_add(&b, &in[1]), 0); \
	list = (struct dfb_blob){ b.data, b.len }; \
	for (int i = 0; i < 2; i++) { \
		assert_int_equal(dfb_##name##_next(&list, &out), 1); \
		same_##name(&in[i], &out); \
	} \
	assert_int_equal(dfb_##name##_next(&list, &out), 0); \
	for (size_t n = 1; n < first; n++) { \
		uint8_t *cut = malloc(n); \
		memcpy(cut, b.data, n); \
		list = (struct dfb_blob){ cut, n }; \
		assert_int_equal(dfb_##name##_next(&list, &out), -1); \
		free(cut); \
	} \
}
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef F
#undef END
	dfb_buf_release(&b);
}

static void
bad_frames_are_refused(void **state)
{
	struct dfb_proto m = { .type = DFB_M_PING, .ping.nonce = 1 }, out;
	struct dfb_buf b = { 0 };
	const char *why;
	static const struct { size_t at; uint8_t value; } wrong[] = {
		{ 0, 0xde }, { 1, 0 }, { 2, 2 }, { 3, 1 }, { 4, 0x7f },
	};

	(void)state;
	assert_int_equal(dfb_proto_encode(&m, &b), 0);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		uint8_t old = b.data[wrong[i].at];
		b.data[wrong[i].at] = wrong[i].value;
		assert_int_equal(dfb_proto_decode(b.data, b.len, &out, &why), -1);
		assert_non_null(why);
		b.data[wrong[i].at] = old;
	}
	assert_int_equal(dfb_proto_decode(b.data, b.len, &out, &why), 0);
	assert_null(dfb_proto_name(0x7fff));
	b.len = 0;
	/* Text: NUL and what is not UTF-8. */
	for (int i = 0; i < 2; i++) {
		struct dfb_proto e = { .type = DFB_M_ERROR,
			.error.reason = { i == 0 ? "a\0b" : "a\xff" "b", 3 } };
		b.len = 0;
		assert_int_equal(dfb_proto_encode(&e, &b), 0);
		assert_int_equal(dfb_proto_decode(b.data, b.len, &out, &why), -1);
	}
	dfb_buf_release(&b);
}

static void
noise_is_refused(void **state)
{
	uint8_t frame[64];
	struct dfb_proto out;
	const char *why;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)any() % sizeof frame;
		for (size_t k = 0; k < n; k++)
			frame[k] = (uint8_t)any();
		memcpy(frame, "\xdf\xb0\x01\x00", 4);
		frame[4] = (uint8_t)(any() % 5);
		frame[5] = (uint8_t)(any() % 12);
		(void)dfb_proto_decode(frame, n, &out, &why);
	}
}

/* ---- records ---- */

static void
records_round_trip(void **state)
{
	uint8_t headers[100], *buf, *end;
	size_t hlen = 0;

	(void)state;
	assert_int_equal(dfb_headers_add(headers, sizeof headers, &hlen, "a", "1"), DFB_OK);
	for (unsigned flags = 0; flags < 128; flags++) {
		struct dfb_record r = { .flags = (uint8_t)flags, .born = 1, .expires = 2,
			.call = 3, .due = 4, .key = bytes, .key_len = 255,
			.headers = headers, .headers_len = hlen, .body = bytes,
			.body_len = flags }, out;
		size_t n = dfb_record_size(&r);
		const uint8_t *p;

		dfb_id_make(&r.id, 1000);
		buf = malloc(n);
		end = dfb_record_write(&r, buf);
		assert_ptr_equal(end, buf + n);
		assert_int_equal(dfb_record_peek_size(buf), n);
		p = buf;
		assert_int_equal(dfb_record_next(&p, end, &out), 1);
		assert_ptr_equal(p, end);
		assert_int_equal(dfb_record_next(&p, end, &out), 0);
		assert_int_equal(out.size, n);
		assert_int_equal(out.flags, flags);
		assert_int_equal(out.born, flags & DFB_R_BORN ? 1 : dfb_id_time(&r.id));
		assert_int_equal(out.expires, flags & DFB_R_EXPIRES ? 2 : 0);
		assert_int_equal(out.call, flags & DFB_R_CALL ? 3 : 0);
		assert_int_equal(out.due, flags & DFB_R_DUE ? 4 : 0);
		assert_int_equal(out.key_len, flags & DFB_R_KEY ? 255 : 0);
		assert_int_equal(out.headers_len, flags & DFB_R_HEADERS ? hlen : 0);
		assert_int_equal(out.body_len, flags);
		for (size_t cut = 1; cut < n; cut++) {
			p = buf;
			assert_int_equal(dfb_record_next(&p, buf + cut, &out), -1);
			assert_ptr_equal(p, buf);
		}
		buf[4] |= 128; /* a flag of the future */
		p = buf;
		assert_int_equal(dfb_record_next(&p, end, &out), -1);
		free(buf);
	}
}

static void
messages_become_records(void **state)
{
	struct dfb_msg m = { .born_ms = 5, .key = "k", .key_len = 1, .body = "b",
		.body_len = 1 }, back = { .topic = "kept" };
	struct dfb_record r;

	(void)state;
	dfb_id_make(&m.id, 1000);
	dfb_record_from(&r, &m);
	assert_int_equal(r.flags, DFB_R_BORN | DFB_R_KEY);
	m.born_ms = dfb_id_time(&m.id);
	dfb_record_from(&r, &m);
	assert_int_equal(r.flags, DFB_R_KEY);
	dfb_record_to(&r, &back);
	assert_int_equal(back.born_ms, m.born_ms);
	assert_int_equal(back.key_len, 1);
	assert_string_equal(back.topic, "kept");
	assert_false(back.is_call);
}

/* ---- headers ---- */

static void
headers(void **state)
{
	uint8_t h[70000];
	char value[40000], long_name[66];
	const char *n, *v;
	size_t len = 0, at = 0, nl, vl;

	(void)state;
	memset(value, 'v', sizeof value);
	value[sizeof value - 1] = '\0';
	memset(long_name, 'n', sizeof long_name);
	long_name[65] = '\0';
	assert_int_equal(dfb_headers_add(h, 10, &len, "name", "valu"), DFB_OSERR);
	assert_int_equal(dfb_headers_add(h, sizeof h, &len, "", "v"), DFB_BADINPUT);
	assert_int_equal(dfb_headers_add(h, sizeof h, &len, "a b", "v"), DFB_BADINPUT);
	assert_int_equal(dfb_headers_add(h, sizeof h, &len, long_name, "v"), DFB_BADINPUT);
	assert_int_equal(dfb_headers_add(h, sizeof h, &len, "a", "\xff"), DFB_BADINPUT);
	assert_int_equal(dfb_headers_add(h, sizeof h, &len, "a", value), DFB_OSERR);
	assert_int_equal(len, 0);
	assert_int_equal(dfb_headers_add(h, sizeof h, &len, long_name + 1, ""), DFB_OK);
	assert_int_equal(dfb_headers_add(h, sizeof h, &len, "b", "2"), DFB_OK);
	assert_true(dfb_headers_next(h, len, &at, &n, &nl, &v, &vl));
	assert_int_equal(nl, 64);
	assert_int_equal(vl, 0);
	assert_true(dfb_headers_next(h, len, &at, &n, &nl, &v, &vl));
	assert_memory_equal(v, "2", 1);
	assert_false(dfb_headers_next(h, len, &at, &n, &nl, &v, &vl));
	assert_true(dfb_headers_valid(h, len));
	assert_true(dfb_headers_valid(h, 0));
	for (size_t cut = 1; cut < len; cut++)
		assert_int_equal(dfb_headers_valid(h, cut), cut == 67);
	h[1] = ' ';
	assert_false(dfb_headers_valid(h, len));
}

/* ---- words ---- */

static void
words(void **state)
{
	static const struct { const char *text; enum dfb_word kind; } all[] = {
		{ "A10-pay", DFB_WORD_TOPIC }, { "A10-2019.x_Y", DFB_WORD_TOPIC },
		{ "pay", DFB_WORD_SERVICE }, { "A10", DFB_WORD_SERVICE },
		{ "a", DFB_WORD_SERVICE }, { "a.b_C1", DFB_WORD_SERVICE },
		{ "%DLQ-g", DFB_WORD_SYSTEM }, { "%DLQ-my-group", DFB_WORD_SYSTEM },
		{ "%GSL", DFB_WORD_DAEMONS }, { "%SGS", DFB_WORD_DAEMONS },
		{ "%GSL-g", DFB_WORD_BAD },
		{ "", DFB_WORD_BAD }, { "a10-pay", DFB_WORD_BAD }, { "A10-", DFB_WORD_BAD },
		{ "A1-pay", DFB_WORD_BAD }, { "A10-p-y", DFB_WORD_BAD },
		{ "a b", DFB_WORD_BAD }, { "%", DFB_WORD_BAD }, { "%DLQ-", DFB_WORD_BAD },
		{ "%RETRY-g", DFB_WORD_BAD }, { "A10-\xc3\xa4", DFB_WORD_BAD },
	};
	char longest[70] = "";

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (dfb_word_kind(all[i].text) != all[i].kind)
			fail_msg("'%s' is taken for another kind", all[i].text);
	memset(longest, 'x', 64);
	assert_int_equal(dfb_word_kind(longest), DFB_WORD_SERVICE);
	longest[64] = 'x';
	assert_int_equal(dfb_word_kind(longest), DFB_WORD_BAD);
	assert_true(dfb_region_valid("A10"));
	assert_false(dfb_region_valid("A1"));
	assert_false(dfb_region_valid("a10"));
	assert_false(dfb_region_valid("A100"));
	assert_true(dfb_group_valid("my-group_1.x"));
	assert_false(dfb_group_valid(""));
	assert_false(dfb_group_valid("a/b"));
	assert_true(dfb_name_valid("b1"));
}

static void
strings(void **state)
{
	char buf[4];

	(void)state;
	assert_int_equal(dfb_str(NULL).len, 0);
	assert_string_equal(dfb_str_copy(dfb_str("abcdef"), buf, sizeof buf), "abc");
	assert_string_equal(dfb_str_copy(dfb_str(""), buf, sizeof buf), "");
	assert_true(dfb_str_is(dfb_str("ab"), "ab"));
	assert_false(dfb_str_is(dfb_str("ab"), "abc"));
	assert_true(dfb_str_is(dfb_str(NULL), ""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_round_trips),
		cmocka_unit_test(every_item_round_trips),
		cmocka_unit_test(bad_frames_are_refused),
		cmocka_unit_test(noise_is_refused),
		cmocka_unit_test(records_round_trip),
		cmocka_unit_test(messages_become_records),
		cmocka_unit_test(headers),
		cmocka_unit_test(words),
		cmocka_unit_test(strings),
	};

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('!' + i % 90);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)any();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
