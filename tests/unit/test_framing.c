/* Framing: where messages end, wherever the stream is cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "common/framing.h"
#include "dfb.h"

#define S(text) { text, sizeof text - 1 }

struct text {
	const char *p;
	size_t len;
};

struct table {
	enum dfb_framing framing;
	struct text input;
	size_t n;
	struct text want[8];
	uint64_t numbers[8];
	enum dfb_frames_result end;
};

static const struct table tables[] = {
	{ DFB_FRAMING_LINES, S(""), 0, { S("") }, { 0 }, DFB_FRAMES_END },
	{ DFB_FRAMING_LINES, S("\n"), 1, { S("") }, { 1 }, DFB_FRAMES_END },
	{ DFB_FRAMING_LINES, S("a"), 1, { S("a") }, { 1 }, DFB_FRAMES_END },
	{ DFB_FRAMING_LINES, S("a\n"), 1, { S("a") }, { 1 }, DFB_FRAMES_END },
	{ DFB_FRAMING_LINES, S("a\n\nb\0c\r\n\xff"), 4,
	  { S("a"), S(""), S("b\0c\r"), S("\xff") }, { 1, 2, 3, 4 }, DFB_FRAMES_END },
	{ DFB_FRAMING_NUL, S("a\nb\0\0c"), 3, { S("a\nb"), S(""), S("c") },
	  { 1, 2, 3 }, DFB_FRAMES_END },
	{ DFB_FRAMING_LENGTH, S(""), 0, { S("") }, { 0 }, DFB_FRAMES_END },
	{ DFB_FRAMING_LENGTH, S("\0\0\0\2a\n\0\0\0\0\0\0\0\1\0"), 3,
	  { S("a\n"), S(""), S("\0") }, { 1, 2, 3 }, DFB_FRAMES_END },
	{ DFB_FRAMING_LENGTH, S("\0\0\0\1a\0\0\0\2b"), 1, { S("a") }, { 1 },
	  DFB_FRAMES_BAD },
	{ DFB_FRAMING_LENGTH, S("\0\0\0\1a\0"), 1, { S("a") }, { 1 },
	  DFB_FRAMES_BAD },
	{ DFB_FRAMING_LENGTH, S("a line\n"), 0, { S("") }, { 0 }, DFB_FRAMES_BAD },
	{ DFB_FRAMING_RAW, S(""), 1, { S("") }, { 1 }, DFB_FRAMES_END },
	{ DFB_FRAMING_RAW, S("a\nb\0\n"), 1, { S("a\nb\0\n") }, { 1 },
	  DFB_FRAMES_END },
	{ DFB_FRAMING_JSON, S("\n{}\n \t\r\n[]\n\n"), 2, { S("{}"), S("[]") },
	  { 2, 4 }, DFB_FRAMES_END },
};

/* Whatever comes next, from an input that arrives in two portions. */
static enum dfb_frames_result
next(struct dfb_frames *f, const struct text *input, size_t *fed, size_t cut,
    const uint8_t **p, size_t *len)
{
	enum dfb_frames_result r;

	while ((r = dfb_frames_next(f, p, len)) == DFB_FRAMES_MORE) {
		size_t n = *fed < cut ? cut - *fed : input->len - *fed;
		assert_int_equal(dfb_frames_feed(f, input->p + *fed, n), 0);
		*fed += n;
	}
	return r;
}

static void
cut_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		const struct table *t = &tables[i];
		struct dfb_frames f;
		const uint8_t *p;
		size_t len;

		dfb_frames_init(&f, t->framing, 0);
		for (size_t cut = 0; cut <= t->input.len; cut++) {
			size_t fed = 0;
			dfb_frames_restart(&f);
			for (size_t k = 0; k < t->n; k++) {
				assert_int_equal(next(&f, &t->input, &fed, cut, &p,
				    &len), DFB_FRAMES_ONE);
				assert_int_equal(len, t->want[k].len);
				assert_memory_equal(p, t->want[k].p, len);
				assert_int_equal(f.number, t->numbers[k]);
			}
			assert_int_equal(next(&f, &t->input, &fed, cut, &p, &len),
			    t->end);
			if (t->end == DFB_FRAMES_BAD) {
				assert_non_null(strstr(f.why, "byte"));
				assert_int_equal(dfb_frames_next(&f, &p, &len),
				    DFB_FRAMES_END);
			}
		}
		dfb_frames_release(&f);
	}
}

static void
too_long(void **state)
{
	static const struct text in = S("12345\n123456\n\n1234567890123\n12345");
	struct dfb_frames f;
	const uint8_t *p;
	size_t len;

	(void)state;
	dfb_frames_init(&f, DFB_FRAMING_LINES, 5);
	for (size_t cut = 0; cut <= in.len; cut++) {
		static const enum dfb_frames_result want[] = { DFB_FRAMES_ONE,
			DFB_FRAMES_LONG, DFB_FRAMES_ONE, DFB_FRAMES_LONG,
			DFB_FRAMES_ONE, DFB_FRAMES_END };
		size_t fed = 0;
		dfb_frames_restart(&f);
		for (size_t k = 0; k < 6; k++) {
			assert_int_equal(next(&f, &in, &fed, cut, &p, &len), want[k]);
			assert_int_equal(f.number, k < 5 ? k + 1 : 5);
		}
	}
	dfb_frames_release(&f);

	dfb_frames_init(&f, DFB_FRAMING_RAW, 5);
	for (size_t cut = 0; cut <= in.len; cut++) {
		size_t fed = 0;
		dfb_frames_restart(&f);
		assert_int_equal(next(&f, &in, &fed, cut, &p, &len), DFB_FRAMES_LONG);
		assert_int_equal(next(&f, &in, &fed, cut, &p, &len), DFB_FRAMES_END);
	}
	dfb_frames_release(&f);
}

/* An endless line is dropped as it comes. */
static void
memory_is_bounded(void **state)
{
	static char piece[1 << 20];
	struct dfb_frames f;
	const uint8_t *p;
	size_t len;

	(void)state;
	memset(piece, 'x', sizeof piece);
	for (int raw = 0; raw < 2; raw++) {
		dfb_frames_init(&f, raw ? DFB_FRAMING_RAW : DFB_FRAMING_LINES, 1 << 20);
		for (int i = 0; i < 64; i++) {
			assert_int_equal(dfb_frames_feed(&f, piece, sizeof piece), 0);
			assert_int_equal(dfb_frames_next(&f, &p, &len),
			    DFB_FRAMES_MORE);
		}
		assert_true(f.cap <= 4 << 20);
		assert_int_equal(dfb_frames_feed(&f, NULL, 0), 0);
		assert_int_equal(dfb_frames_next(&f, &p, &len), DFB_FRAMES_LONG);
		assert_int_equal(f.number, 1);
		assert_int_equal(dfb_frames_next(&f, &p, &len), DFB_FRAMES_END);
		dfb_frames_release(&f);
	}
}

/* What is written is read back, in random portions. */
static void
round_trip(void **state)
{
	static const enum dfb_framing framings[] = { DFB_FRAMING_LINES, DFB_FRAMING_NUL,
		DFB_FRAMING_LENGTH };
	enum { N = 300, LEN = 3000 };
	static uint8_t bodies[N][LEN];
	size_t lens[N], len;

	(void)state;
	srandom(1);
	for (size_t k = 0; k < sizeof framings / sizeof *framings; k++) {
		enum dfb_framing framing = framings[k];
		struct dfb_buf b = {0};
		struct dfb_frames f;
		const uint8_t *p;
		size_t at = 0;

		for (size_t i = 0; i < N; i++) {
			struct dfb_msg m = { .body = bodies[i] };
			lens[i] = m.body_len = (size_t)random() % LEN;
			for (size_t j = 0; j < lens[i]; j++) {
				uint8_t c = (uint8_t)random();
				if ((framing == DFB_FRAMING_LINES && c == '\n') ||
				    (framing == DFB_FRAMING_NUL && c == '\0'))
					c = 'x';
				bodies[i][j] = c;
			}
			assert_int_equal(dfb_framing_write(&b, framing, &m), 0);
		}
		dfb_frames_init(&f, framing, 0);
		for (size_t i = 0; i < N;) {
			switch (dfb_frames_next(&f, &p, &len)) {
			case DFB_FRAMES_ONE:
				assert_int_equal(len, lens[i]);
				assert_memory_equal(p, bodies[i], len);
				i++;
				break;
			case DFB_FRAMES_MORE:
				len = (size_t)random() % 9000 + 1;
				len = len < b.len - at ? len : b.len - at;
				assert_int_equal(dfb_frames_feed(&f, b.data + at, len),
				    0);
				at += len;
				break;
			default:
				fail();
			}
		}
		assert_int_equal(at, b.len);
		dfb_frames_release(&f);
		dfb_buf_release(&b);
	}
}

static void
fill_reads_once(void **state)
{
	struct dfb_frames f;
	const uint8_t *p;
	size_t len;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	dfb_frames_init(&f, DFB_FRAMING_LINES, 0);
	assert_int_equal(write(fds[1], "a\nb", 3), 3);
	assert_int_equal(dfb_frames_fill(&f, fds[0]), 0);
	assert_int_equal(dfb_frames_next(&f, &p, &len), DFB_FRAMES_ONE);
	assert_int_equal(dfb_frames_next(&f, &p, &len), DFB_FRAMES_MORE);
	assert_int_equal(dfb_frames_rest(&f), 1);
	close(fds[1]);
	assert_int_equal(dfb_frames_fill(&f, fds[0]), 0);
	assert_int_equal(dfb_frames_next(&f, &p, &len), DFB_FRAMES_ONE);
	assert_int_equal(dfb_frames_next(&f, &p, &len), DFB_FRAMES_END);
	close(fds[0]);
	assert_int_equal(dfb_frames_fill(&f, fds[0]), 0); /* at the end it stays */
	dfb_frames_restart(&f);
	assert_int_equal(dfb_frames_fill(&f, fds[0]), -1);
	dfb_frames_release(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(too_long),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(fill_reads_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
