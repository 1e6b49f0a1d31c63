/* lib/store: blocks and segments. */
#include "store_fixture.h"

/* ---- blocks ---- */

static void
blocks_are_found_by_any_offset(void **state)
{
	struct dfb_store *s = open_it();

	(void)state;
	store_block(s, 1, 5, 1, 10, 1, 0);
	store_block(s, 5, 0, 10, 100, 1, 0);
	store_block(s, 5, 10, 5, DFB_BLOCK_FULL - DFB_BLOCK_HEADER, 2, 0);
	store_block(s, 5, 20, 5, 5000, 3, 0); /* a gap before it */
	store_block(s, 9, 0, 1, 10, 1, 0);
	for (int again = 0; again < 2; again++) {
		for (uint64_t o = 0; o < 10; o++)
			expect_block(s, o, 5, 0, 10, 100, 1, 0);
		for (uint64_t o = 10; o < 15; o++)
			expect_block(s, o, 5, 10, 5, DFB_BLOCK_FULL - DFB_BLOCK_HEADER, 2, 0);
		for (uint64_t o = 15; o < 25; o++)
			expect_block(s, o, 5, 20, 5, 5000, 3, 0);
		expect_none(s, 5, 25);
		expect_none(s, 5, UINT64_MAX);
		expect_block(s, 0, 1, 5, 1, 10, 1, 0);
		expect_none(s, 1, 6);
		expect_none(s, 4, 0);
		expect_none(s, 6, 0);
		expect_extent(s, 5, 0, 25);
		expect_extent(s, 1, 5, 6);
		dfb_store_close(s);
		s = open_it(); /* the index is made again from the segments */
	}
	dfb_store_close(s);
}

static void
the_last_queue_is_a_queue(void **state)
{
	struct dfb_store *s = open_it();

	(void)state;
	store_block(s, 0, 1, 2, 10, 1, 0);
	store_block(s, UINT64_MAX, 7, 2, 10, 1, 0);
	store_block(s, UINT64_MAX, 9, 2, 10, 1, 0);
	dfb_store_close(s);
	s = open_it();
	expect_extent(s, 0, 1, 3);
	expect_extent(s, UINT64_MAX, 7, 11);
	expect_block(s, 10, UINT64_MAX, 9, 2, 10, 1, 0);
	dfb_store_close(s);
}

static void
a_huge_block_is_kept(void **state)
{
	struct dfb_store *s = open_it();

	(void)state;
	store_block(s, 1, 0, 1, 4 << 20, 1, 0);
	store_block(s, 1, 1, 1, (4 << 20) + 1, 1, 0);
	expect_block(s, 0, 1, 0, 1, 4 << 20, 1, 0);
	dfb_store_close(s);
	s = open_it();
	expect_block(s, 0, 1, 0, 1, 4 << 20, 1, 0);
	expect_block(s, 1, 1, 1, 1, (4 << 20) + 1, 1, 0);
	dfb_store_close(s);
}

static void
a_block_can_be_replaced(void **state)
{
	struct dfb_store *s = open_it();

	(void)state;
	store_block(s, 1, 0, 4, 100, 1, 0);
	store_block(s, 1, 4, 2, 100, 2, 0);
	store_block(s, 1, 4, 3, 70000, 3, 1);
	expect_extent(s, 1, 0, 7);
	expect_block(s, 6, 1, 4, 3, 70000, 3, 1);
	store_block(s, 1, 4, 5, 300, 4, 2); /* smaller again */
	expect_extent(s, 1, 0, 9);
	expect_block(s, 8, 1, 4, 5, 300, 4, 2);
	store_block(s, 1, 0, 4, 2000, 1, 3); /* not the last one */
	expect_extent(s, 1, 0, 9);
	dfb_store_close(s);
	s = open_it();
	expect_extent(s, 1, 0, 9);
	expect_block(s, 3, 1, 0, 4, 2000, 1, 3);
	expect_block(s, 4, 1, 4, 5, 300, 4, 2);
	dfb_store_close(s);
}

static void
rows_and_blocks_are_one_commit(void **state)
{
	struct dfb_store *s = open_it();
	struct dfb_block *block = make_block(1, 0, 1, 10, 1, 0);
	struct dfb_batch *b = dfb_batch_new();

	(void)state;
	dfb_batch_block(b, block);
	dfb_batch_put(b, 0, "k", 1, "v", 1);
	dfb_batch_put(b, 7, "k", 1, "v", 1); /* fails: all is undone */
	assert_int_equal(dfb_store_commit(s, b, true), -1);
	dfb_store_close(s);
	s = open_it();
	expect_none(s, 1, 0);
	expect_rows(s, 0, "");
	dfb_batch_clear(b);
	dfb_batch_block(b, block);
	dfb_batch_put(b, 0, "k", 1, "v", 1);
	assert_int_equal(dfb_store_commit(s, b, true), 0);
	expect_block(s, 0, 1, 0, 1, 10, 1, 0);
	expect_rows(s, 0, "k=v ");
	dfb_batch_free(b);
	dfb_block_unref(block);
	dfb_store_close(s);
}

static void
seek_finds_by_time(void **state)
{
	struct dfb_store *s = open_with(100000);
	uint64_t at;

	(void)state;
	/* Block i: offsets 10 i to 10 i + 6, then a gap of 3; last stored at 1000 + 10 i. */
	for (unsigned i = 0; i < 200; i++)
		store_block(s, 3, 10 * i, 7, 2000, 1000 + 10 * i, 0);
	assert_true(dfb_store_segments(s, NULL, 0) > 2);
	for (int again = 0; again < 2; again++) {
		for (unsigned i = 0; i < 200; i++) {
			assert_int_equal(dfb_store_seek(s, 3, 1000 + 10 * i, &at), 1);
			assert_int_equal(at, 10 * i);
			assert_int_equal(dfb_store_seek(s, 3, 1000 + 10 * i - 9, &at), 1);
			assert_int_equal(at, 10 * i);
		}
		assert_int_equal(dfb_store_seek(s, 3, 0, &at), 1);
		assert_int_equal(at, 0);
		assert_int_equal(dfb_store_seek(s, 3, 1000 + 10 * 199 + 1, &at), 1);
		assert_int_equal(at, 10 * 199 + 7);
		assert_int_equal(dfb_store_seek(s, 4, 0, &at), 0);
		dfb_store_close(s);
		s = open_with(100000);
	}
	dfb_store_close(s);
}

/* ---- segments ---- */

static int
note_queue(void *arg, uint64_t queue, uint64_t next)
{
	char *out = arg;
	size_t at = strlen(out);

	snprintf(out + at, 200 - at, "%ju:%ju ", (uintmax_t)queue, (uintmax_t)next);
	return 0;
}

static int
answer_five(void *arg, uint64_t queue, uint64_t next)
{
	(void)arg, (void)queue, (void)next;
	return 5;
}

static void
expect_queues(struct dfb_store *s, uint32_t segment, const char *want)
{
	char got[200] = "";

	assert_int_equal(dfb_store_segment_queues(s, segment, note_queue, got), 0);
	assert_string_equal(got, want);
}

/* Segments of 100 kB: blocks of 60 kB, so two in each. */
static struct dfb_store *
three_segments(void)
{
	struct dfb_store *s = open_with(100000);

	store_block(s, 1, 0, 10, 60000, 100, 0);
	store_block(s, 2, 0, 10, 60000, 200, 0);
	store_block(s, 1, 10, 10, 60000, 300, 0);
	store_block(s, 3, 0, 10, 60000, 400, 0);
	store_block(s, 1, 20, 10, 60000, 500, 0);
	return s;
}

static void
segments_roll(void **state)
{
	struct dfb_store *s = three_segments();
	struct dfb_segment_info info[5];

	(void)state;
	for (int again = 0; again < 2; again++) {
		assert_int_equal(dfb_store_segments(s, info, 5), 3);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(info[i].number, i + 1);
			assert_int_equal(info[i].current, i == 2);
			assert_int_equal(info[i].last_ms, 200 * i + (i == 2 ? 100 : 200));
			assert_in_range(info[i].bytes, i == 2 ? 60000 : 120000,
			    i == 2 ? 90000 : 150000);
		}
		expect_queues(s, 1, "1:10 2:10 ");
		expect_queues(s, 2, "1:20 3:10 ");
		expect_queues(s, 3, "1:30 ");
		expect_queues(s, 4, "");
		assert_int_equal(dfb_store_segment_queues(s, 1, answer_five, NULL), 5);
		expect_extent(s, 1, 0, 30);
		for (uint64_t o = 0; o < 30; o++)
			expect_block(s, o, 1, o / 10 * 10, 10, 60000, 100 + o / 10 * 200, 0);
		dfb_store_close(s);
		s = open_with(100000);
	}
	info[1].number = 99;
	assert_int_equal(dfb_store_segments(s, info, 1), 3);
	assert_int_equal(info[1].number, 99); /* not more than asked for */
	dfb_store_close(s);
}

static void
an_old_block_is_replaced_where_it_is(void **state)
{
	struct dfb_store *s = three_segments();

	(void)state;
	store_block(s, 1, 10, 10, 500, 300, 1);
	store_block(s, 2, 0, 12, 600, 600, 1); /* the queue's last, in an old segment */
	expect_queues(s, 3, "1:30 ");
	expect_queues(s, 1, "1:10 2:12 ");
	expect_extent(s, 2, 0, 12);
	store_block(s, 2, 12, 3, 600, 700, 0);
	expect_queues(s, 3, "1:30 2:15 ");
	dfb_store_close(s);
	s = open_with(100000);
	expect_block(s, 15, 1, 10, 10, 500, 300, 1);
	expect_block(s, 20, 1, 20, 10, 60000, 500, 0);
	expect_block(s, 11, 2, 0, 12, 600, 600, 1);
	expect_block(s, 12, 2, 12, 3, 600, 700, 0);
	dfb_store_close(s);
}

static void
a_segment_is_dropped(void **state)
{
	struct dfb_store *s = three_segments();
	struct dfb_segment_info info[5];

	(void)state;
	assert_int_equal(dfb_store_segment_drop(s, 1), 0);
	assert_false(exists("seg-000001.db"));
	for (int again = 0; again < 2; again++) {
		assert_int_equal(dfb_store_segments(s, info, 5), 2);
		assert_int_equal(info[0].number, 2);
		expect_extent(s, 1, 10, 30);
		expect_block(s, 0, 1, 10, 10, 60000, 300, 0); /* the next one after it */
		expect_none(s, 2, 0);
		expect_queues(s, 1, "");
		dfb_store_close(s);
		s = open_with(100000);
	}
	assert_int_equal(dfb_store_segment_drop(s, 2), 0);
	expect_extent(s, 1, 20, 30);
	store_block(s, 2, 10, 5, 60000, 600, 0); /* the queue goes on */
	store_block(s, 2, 15, 5, 60000, 700, 0);
	assert_int_equal(dfb_store_segments(s, info, 5), 2);
	assert_int_equal(info[1].number, 4);
	expect_extent(s, 2, 10, 20);
	dfb_store_close(s);
}

static void
the_current_segment_cannot_be_dropped(void **state)
{
	struct dfb_store *s = three_segments();

	(void)state;
	assert_int_equal(dfb_store_flush(s), 0);
	assert_int_equal(dfb_store_segment_drop(s, 3), -1);
	dfb_store_close(s);
	s = open_with(100000);
	assert_int_equal(dfb_store_segment_drop(s, 9), -1);
	dfb_store_close(s);
	s = open_with(100000);
	expect_extent(s, 1, 0, 30);
	dfb_store_close(s);
}

static void
an_interrupted_drop_is_ended(void **state)
{
	struct dfb_segment_info info[5];
	struct dfb_store *s = three_segments();

	(void)state;
	assert_int_equal(dfb_store_segment_drop(s, 1), 0);
	assert_false(exists("seg-000001.drop"));
	dfb_store_close(s);
	/* A stub, as recovery may leave it, and a segment that it brought back. */
	write_file(in_dir("seg-000001.db"), "stub");
	write_file(in_dir("seg-000002.drop"), "");
	write_file(in_dir("seg-000001.drop"), "");
	s = open_with(100000);
	assert_int_equal(dfb_store_segments(s, info, 5), 1);
	expect_extent(s, 1, 20, 30);
	assert_false(exists("seg-000001.db"));
	assert_false(exists("seg-000001.drop"));
	assert_false(exists("seg-000002.db"));
	dfb_store_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(blocks_are_found_by_any_offset),
		T(the_last_queue_is_a_queue),
		T(a_huge_block_is_kept),
		T(a_block_can_be_replaced),
		T(rows_and_blocks_are_one_commit),
		T(seek_finds_by_time),
		T(segments_roll),
		T(an_old_block_is_replaced_where_it_is),
		T(a_segment_is_dropped),
		T(the_current_segment_cannot_be_dropped),
		T(an_interrupted_drop_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
