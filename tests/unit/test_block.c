/* Blocks and batches: memory only. */
#include "store/block.h"
#include "store/checksum.h"
#include "store/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
a_new_block_is_empty(void **state)
{
	struct dfb_block *b = dfb_block_new(7, 100, 10);

	(void)state;
	assert_non_null(b);
	assert_int_equal(b->queue, 7);
	assert_int_equal(b->base, 100);
	assert_int_equal(b->count, 0);
	assert_int_equal(b->refs, 1);
	assert_int_equal(b->len, DFB_BLOCK_HEADER);
	assert_true(b->cap >= DFB_BLOCK_HEADER + 10);
	dfb_block_unref(b);
	assert_null(dfb_block_new(1, 1, SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
}

static void
references_are_counted(void **state)
{
	struct dfb_block *b = dfb_block_new(1, 1, 1);

	(void)state;
	assert_ptr_equal(dfb_block_ref(b), b);
	assert_int_equal(b->refs, 2);
	dfb_block_unref(b);
	assert_int_equal(b->refs, 1);
	dfb_block_unref(b);
	dfb_block_unref(NULL);
}

static void
append_grows_and_counts(void **state)
{
	struct dfb_block *b = dfb_block_new(1, 1, 4);
	char big[5000];

	(void)state;
	memset(big, 'b', sizeof big);
	assert_int_equal(dfb_block_append(b, "ab", 2, 1, 1000), 0);
	assert_int_equal(dfb_block_append(b, big, sizeof big, 3, 2000), 0);
	assert_int_equal(dfb_block_append(b, NULL, 0, 0, 2000), 0);
	assert_int_equal(b->count, 4);
	assert_int_equal(b->first_ms, 1000);
	assert_int_equal(b->last_ms, 2000);
	assert_int_equal(b->len, DFB_BLOCK_HEADER + 2 + sizeof big);
	assert_memory_equal(b->data + DFB_BLOCK_HEADER, "ab", 2);
	assert_memory_equal(b->data + DFB_BLOCK_HEADER + 2, big, sizeof big);
	errno = 0;
	assert_int_equal(dfb_block_append(b, big, SIZE_MAX / 2, 1, 1), -1);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(dfb_block_append(b, "x", 1, UINT32_MAX, 1), -1);
	assert_int_equal(b->count, 4);
	dfb_block_unref(b);
}

/* The format is on disks: byte by byte. */
static void
seal_writes_the_format(void **state)
{
	static const uint8_t want[DFB_BLOCK_HEADER] = { 1, 0xa5, 0, 0, 0, 0, 1, 2,
	    0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 1 };
	struct dfb_block *b = dfb_block_new(1, 1, 4);

	(void)state;
	b->flags = 0xa5;
	dfb_block_append(b, "a", 1, 0x101, UINT64_C(0x18bcfe56800));
	dfb_block_append(b, "b", 1, 1, UINT64_C(0x18bcfe56801));
	dfb_block_seal(b);
	assert_memory_equal(b->data, want, sizeof want);
	dfb_block_unref(b);
}

static void
parse_gives_back_what_was_sealed(void **state)
{
	struct dfb_block *b = dfb_block_new(3, 50, 4), *c;

	(void)state;
	b->flags = 9;
	dfb_block_append(b, "hello", 5, 2, 77);
	dfb_block_append(b, "world", 5, 3, 99);
	dfb_block_seal(b);
	c = dfb_block_parse(3, 50, b->data, b->len);
	assert_non_null(c);
	assert_ptr_not_equal(c->data, b->data);
	assert_int_equal(c->queue, 3);
	assert_int_equal(c->base, 50);
	assert_int_equal(c->count, 5);
	assert_int_equal(c->flags, 9);
	assert_int_equal(c->first_ms, 77);
	assert_int_equal(c->last_ms, 99);
	assert_int_equal(c->len, b->len);
	assert_int_equal(c->refs, 1);
	assert_memory_equal(c->data, b->data, b->len);
	dfb_block_unref(b);
	dfb_block_unref(c);
}

static void
parse_refuses_what_is_no_block(void **state)
{
	struct dfb_block *b = dfb_block_new(1, 1, 4);
	uint8_t bad[DFB_BLOCK_HEADER + 1];
	static const struct { size_t at; uint8_t value; } wrong[] = {
	    { 0, 0 }, { 0, 2 }, { 2, 1 }, { 3, 1 }, { 7, 0 } };

	(void)state;
	dfb_block_append(b, "x", 1, 1, 1);
	dfb_block_seal(b);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		memcpy(bad, b->data, sizeof bad);
		bad[wrong[i].at] = wrong[i].value;
		errno = 0;
		assert_null(dfb_block_parse(1, 1, bad, sizeof bad));
		assert_int_equal(errno, EBADMSG);
	}
	for (size_t len = 0; len < DFB_BLOCK_HEADER; len++) {
		errno = 0;
		assert_null(dfb_block_parse(1, 1, b->data, len));
		assert_int_equal(errno, EBADMSG);
	}
	errno = 0; /* its offsets would pass the end of all offsets */
	assert_null(dfb_block_parse(1, UINT64_MAX, b->data, b->len));
	assert_int_equal(errno, EBADMSG);
	dfb_block_unref(b);
}

static void
a_batch_fills_and_empties(void **state)
{
	struct dfb_batch *batch = dfb_batch_new();
	struct dfb_block *b = dfb_block_new(1, 1, 4);

	(void)state;
	assert_true(dfb_batch_is_empty(batch));
	for (int i = 0; i < 1000; i++)
		assert_int_equal(dfb_batch_put(batch, 0, "k", 1, "v", 1), 0);
	assert_false(dfb_batch_is_empty(batch));
	dfb_batch_clear(batch);
	assert_true(dfb_batch_is_empty(batch));
	assert_int_equal(dfb_batch_del(batch, 0, "k", 1), 0);
	assert_false(dfb_batch_is_empty(batch));
	dfb_batch_clear(batch);
	assert_int_equal(dfb_batch_put(batch, -1, "k", 1, "v", 1), -1);
	assert_int_equal(errno, EINVAL);
	errno = 0; /* a block without records has no offsets */
	assert_int_equal(dfb_batch_block(batch, b), -1);
	assert_int_equal(errno, EINVAL);
	assert_true(dfb_batch_is_empty(batch));
	dfb_block_append(b, "x", 1, 1, 1);
	assert_int_equal(dfb_batch_block(batch, b), 0);
	assert_false(dfb_batch_is_empty(batch));
	dfb_batch_free(batch);
	dfb_batch_free(NULL);
	assert_int_equal(b->refs, 1);
	dfb_block_unref(b);
}

/* As Berkeley DB has it, whatever the length and the place. */
static void
test_checksum(void **state)
{
	static uint8_t bytes[70000];
	uint32_t seed = 1;

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	for (uint32_t len = 0; len < sizeof bytes; len += len < 300 ? 1 : 4099) {
		const uint8_t *p = bytes + len % 13 % (sizeof bytes - len);
		uint32_t want = 0;

		for (uint32_t i = 0; i < len; i++)
			want = want * 33 + p[i];
		assert_int_equal(__ham_func4(NULL, p, len), want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(a_new_block_is_empty),
		cmocka_unit_test(references_are_counted),
		cmocka_unit_test(append_grows_and_counts),
		cmocka_unit_test(seal_writes_the_format),
		cmocka_unit_test(parse_gives_back_what_was_sealed),
		cmocka_unit_test(parse_refuses_what_is_no_block),
		cmocka_unit_test(a_batch_fills_and_empties),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
