/* lib/store: kills, threads beside each other, and flushes that fail. */
#include "store_fixture.h"

/* ---- crashes ---- */

static void
commit_and_die(void)
{
	struct dfb_store *s = open_with(300000);
	struct dfb_batch *b = dfb_batch_new();

	for (unsigned i = 0; i < 100; i++) {
		struct dfb_block *block = make_block(i % 3, i / 3 * 5, 5, 300 * i, i, 0);
		char key[16];

		snprintf(key, sizeof key, "%02u", i);
		dfb_batch_clear(b);
		dfb_batch_block(b, block);
		dfb_batch_put(b, 0, "last", 4, key, 2);
		if (dfb_store_commit(s, b, true) == -1)
			_exit(1);
		dfb_block_unref(block);
		if (i == 50 && dfb_store_checkpoint(s, 0) == -1)
			_exit(1);
		if (i == 70 && dfb_store_segment_drop(s, 1) == -1)
			_exit(1);
	}
}

static void
what_was_committed_survives_a_kill(void **state)
{
	struct dfb_store *s;
	struct dfb_segment_info info[20];
	uint64_t first, next;

	(void)state;
	in_killed_child(commit_and_die);
	s = open_with(300000);
	expect_rows(s, 0, "last=99 ");
	assert_in_range(dfb_store_segments(s, info, 20), 4, 20);
	assert_int_equal(info[0].number, 2); /* the drop survived too */
	for (unsigned q = 0; q < 3; q++) {
		assert_int_equal(dfb_store_extent(s, q, &first, &next), 1);
		assert_int_equal(next, q == 0 ? 170 : 165);
		assert_true(first > 0);
		for (uint64_t o = first; o < next; o += 5) {
			unsigned i = (unsigned)(o / 5 * 3 + q);

			expect_block(s, o + 2, q, o, 5, 300 * i, i, 0);
		}
	}
	dfb_store_close(s);
}

static int pipe_fds[2];

/* Commits for ever, and tells of each one. */
static void
commit_until_killed(void)
{
	struct dfb_store *s = open_with(1 << 20);
	struct dfb_batch *b = dfb_batch_new();

	for (uint32_t i = 0;; i++) {
		struct dfb_block *block = make_block(1, i, 1, 20000 + i % 7 * 9000, i, 0);

		dfb_batch_clear(b);
		dfb_batch_block(b, block);
		dfb_batch_put(b, 0, "n", 1, &i, 4);
		if (dfb_store_commit(s, b, true) == -1 ||
		    write(pipe_fds[1], &i, 4) != 4)
			_exit(1);
		dfb_block_unref(block);
		if (i % 20 == 19 && dfb_store_checkpoint(s, 0) == -1)
			_exit(1);
	}
}

static int
take_count(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	(void)key, (void)klen;
	memcpy(arg, val, vlen == 4 ? 4 : 0);
	return 0;
}

/* Killed at whatever it does after so many commits: nothing confirmed is lost, and
 * rows and blocks agree. */
static void
a_kill_at_any_moment_loses_nothing(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		uint32_t told = 0, row = UINT32_MAX;
		uint64_t first, next;
		struct dfb_store *s;
		pid_t pid;
		int st;

		remove_top(state);
		make_top(state);
		assert_int_equal(pipe(pipe_fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(pipe_fds[0]);
			commit_until_killed();
		}
		close(pipe_fds[1]);
		while (told < 30u + (unsigned)round * 23)
			assert_int_equal(read(pipe_fds[0], &told, 4), 4);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &st, 0), pid);
		assert_true(WIFSIGNALED(st));
		while (read(pipe_fds[0], &told, 4) == 4)
			;
		close(pipe_fds[0]);
		s = open_with(1 << 20);
		assert_int_equal(dfb_store_extent(s, 1, &first, &next), 1);
		assert_int_equal(first, 0);
		assert_true(next >= told + 1);
		assert_int_equal(dfb_store_scan(s, 0, take_count, &row), 0);
		assert_int_equal(row + UINT64_C(1), next);
		for (uint32_t i = 0; i < next; i++)
			expect_block(s, i, 1, i, 1, 20000 + i % 7 * 9000, i, 0);
		dfb_store_close(s);
	}
}

static void
commit_without_sync_then_flush(void)
{
	struct dfb_store *s = open_it();

	store_block(s, 1, 0, 1, 1000, 1, 0);
	if (dfb_store_flush(s) == -1)
		_exit(1);
}

static void
flush_makes_it_durable(void **state)
{
	struct dfb_store *s;

	(void)state;
	in_killed_child(commit_without_sync_then_flush);
	s = open_it();
	expect_block(s, 0, 1, 0, 1, 1000, 1, 0);
	dfb_store_close(s);
}

static void
only_open(void)
{
	(void)open_it();
}

static void
a_kill_after_opening_is_harmless(void **state)
{
	(void)state;
	in_killed_child(only_open);
	in_killed_child(only_open);
	assert_int_equal(open_and_listen(), DFB_OK);
}

/* ---- threads ---- */

static struct {
	struct dfb_store *s;
	atomic_uint_fast64_t next; /* committed */
	atomic_bool stop;
	const char *wrong;
	atomic_uint_fast64_t reads;
} shared;

static size_t
len_of(uint64_t i)
{
	return 100 + i % 13 * 7000;
}

/* Follows the writer, and checks each byte, and that nothing is answered early. */
static void *
read_along(void *arg)
{
	uint64_t offset = 0;

	(void)arg;
	while (shared.wrong == NULL) {
		bool last = shared.stop;
		uint64_t next = shared.next;
		struct dfb_block *b;
		int n = dfb_store_read(shared.s, 1, offset, &b);

		if (n == -1)
			shared.wrong = "error";
		if (n == 0 && offset < next)
			shared.wrong = "committed but not found";
		if (n == 0 && last)
			break;
		if (n != 1)
			continue;
		if (b->base != offset || b->count != 1 ||
		    b->len != DFB_BLOCK_HEADER + len_of(offset))
			shared.wrong = "another block";
		for (size_t i = 0; i < b->len - DFB_BLOCK_HEADER && shared.wrong == NULL; i++)
			if (b->data[DFB_BLOCK_HEADER + i] !=
			    (uint8_t)(31 + offset * 7 + i / 1000))
				shared.wrong = "torn";
		dfb_block_unref(b);
		shared.reads++;
		offset++;
	}
	return NULL;
}

/* Reads the block that is replaced all the time: one version or another, whole. */
static void *
read_replaced(void *arg)
{
	(void)arg;
	while (shared.wrong == NULL && !shared.stop) {
		struct dfb_block *b;
		uint8_t version;

		if (dfb_store_read(shared.s, 2, 0, &b) != 1) {
			shared.wrong = "not found";
			break;
		}
		version = (uint8_t)(b->data[DFB_BLOCK_HEADER] - 62);
		if (b->len != DFB_BLOCK_HEADER + 100 + 1000u * (version % 64))
			shared.wrong = "another length";
		for (size_t i = 0; i < b->len - DFB_BLOCK_HEADER && shared.wrong == NULL; i++)
			if (b->data[DFB_BLOCK_HEADER + i] != (uint8_t)(62 + version + i / 1000))
				shared.wrong = "torn replaced block";
		dfb_block_unref(b);
	}
	return NULL;
}

static void *
checkpoint_along(void *arg)
{
	(void)arg;
	while (!shared.stop && shared.wrong == NULL)
		if (dfb_store_checkpoint(shared.s, 1024) == -1 ||
		    dfb_store_flush(shared.s) == -1)
			shared.wrong = "checkpoint";
	return NULL;
}

static void
readers_and_a_checkpoint_run_beside_commits(void **state)
{
	pthread_t t[3];
	uint64_t next = 0;

	(void)state;
	shared.s = open_with(4 << 20);
	shared.wrong = NULL;
	shared.stop = false;
	shared.next = 0;
	shared.reads = 0;
	store_block(shared.s, 2, 0, 1, 100, 1, 0);
	pthread_create(&t[0], NULL, read_along, NULL);
	pthread_create(&t[1], NULL, read_replaced, NULL);
	pthread_create(&t[2], NULL, checkpoint_along, NULL);
	for (unsigned i = 0; i < 300 && shared.wrong == NULL; i++) {
		struct dfb_batch *b = dfb_batch_new();
		struct dfb_block *blocks[5];

		for (int j = 0; j < 4; j++) {
			blocks[j] = make_block(1, next + (unsigned)j, 1,
			    len_of(next + (unsigned)j), i, 0);
			dfb_batch_block(b, blocks[j]);
		}
		blocks[4] = make_block(2, 0, 1, 100 + 1000 * (i % 64), i, i % 64);
		dfb_batch_block(b, blocks[4]);
		assert_int_equal(dfb_store_commit(shared.s, b, i % 10 == 0), 0);
		next += 4;
		shared.next = next;
		dfb_batch_free(b);
		for (int j = 0; j < 5; j++)
			dfb_block_unref(blocks[j]);
	}
	shared.stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	if (shared.wrong != NULL)
		fail_msg("%s", shared.wrong);
	assert_int_equal(shared.reads, next);
	assert_true(dfb_store_segments(shared.s, NULL, 0) > 5);
	dfb_store_close(shared.s);
}

/* Reads from the start of a queue, wherever it is by now. */
static void *
read_first(void *arg)
{
	(void)arg;
	while (shared.wrong == NULL && !shared.stop) {
		struct dfb_block *b;
		int n = dfb_store_read(shared.s, 1, 0, &b);

		if (n != 1) {
			shared.wrong = "no first block";
			break;
		}
		dfb_block_unref(b);
		shared.reads++;
	}
	return NULL;
}

static void
segments_are_dropped_under_readers(void **state)
{
	pthread_t t[3];

	(void)state;
	shared.s = open_with(100000);
	shared.wrong = NULL;
	shared.stop = false;
	shared.reads = 0;
	store_block(shared.s, 1, 0, 1, 60000, 1, 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, read_first, NULL);
	pthread_create(&t[2], NULL, checkpoint_along, NULL);
	for (unsigned i = 1; i < 100; i++) {
		struct dfb_segment_info info[100];
		size_t n;

		store_block(shared.s, 1, i, 1, 60000, 1, 0);
		n = dfb_store_segments(shared.s, info, 100);
		if (n > 3)
			assert_int_equal(dfb_store_segment_drop(shared.s, info[0].number), 0);
	}
	shared.stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	if (shared.wrong != NULL)
		fail_msg("%s", shared.wrong);
	assert_true(shared.reads > 0);
	dfb_store_close(shared.s);
}

/* ---- faults ---- */

static void *
commit_one_more(void *arg)
{
	struct dfb_batch *batch = dfb_batch_new();
	struct dfb_block *b = make_block(1, 10, 10, 3000, 2, 0);

	dfb_batch_block(batch, b);
	dfb_batch_put(batch, 0, "k", 1, "v", 1);
	if (dfb_store_commit(arg, batch, true) == -1)
		shared.wrong = "commit";
	dfb_batch_free(batch);
	dfb_block_unref(b);
	return NULL;
}

static void
commit_row(struct dfb_store *s, const char *key)
{
	struct dfb_batch *b = dfb_batch_new();

	dfb_batch_put(b, 0, key, strlen(key), "v", 1);
	assert_int_equal(dfb_store_commit(s, b, false), 0);
	dfb_batch_free(b);
}

static void
reads_do_not_wait_for_a_commit(void **state)
{
	struct dfb_store *s = open_it();
	char rows[1000] = "";
	pthread_t t;
	uint64_t at;

	(void)state;
	db_env_set_func_fsync(flush_hook);
	shared.wrong = NULL;
	store_block(s, 1, 0, 10, 3000, 1, 0);
	commit_row(s, "a");
	disk.hold = true;
	pthread_create(&t, NULL, commit_one_more, s);
	pthread_mutex_lock(&disk.mutex);
	while (!disk.held)
		pthread_cond_wait(&disk.change, &disk.mutex);
	pthread_mutex_unlock(&disk.mutex);
	alarm(60); /* waiting would be for ever */
	expect_block(s, 0, 1, 0, 10, 3000, 1, 0);
	expect_block(s, 9, 1, 0, 10, 3000, 1, 0);
	expect_none(s, 1, 10); /* not yet */
	expect_extent(s, 1, 0, 10);
	assert_int_equal(dfb_store_seek(s, 1, 1, &at), 1);
	assert_int_equal(at, 0);
	assert_int_equal(dfb_store_rows(s, 0, "", 0, note_row, rows), 0);
	assert_memory_equal(rows, "a=v ", 4); /* what is committed meanwhile may be there */
	alarm(0);
	release_flush();
	pthread_join(t, NULL);
	assert_null(shared.wrong);
	expect_block(s, 10, 1, 10, 10, 3000, 2, 0);
	dfb_store_close(s);
}

/* In a child, for the leaks of a store that gave up. */
static void
fail_the_third_flush(void)
{
	struct dfb_store *s = open_it();
	struct dfb_batch *b = dfb_batch_new();
	uint64_t at;

	db_env_set_func_fsync(flush_hook);
	disk.fail_in = 3;
	for (char c = '1'; c <= '3'; c++) {
		dfb_batch_clear(b);
		dfb_batch_put(b, 0, &c, 1, "v", 1);
		if ((dfb_store_commit(s, b, true) == -1) != (c == '3'))
			_exit(1);
	}
	if (dfb_store_commit(s, b, true) != -1 || dfb_store_seek(s, 1, 1, &at) != -1)
		_exit(1);
	dfb_store_close(s);
}

static void
a_failed_flush_stops_the_store(void **state)
{
	struct dfb_store *s;
	char rows[1000] = "";

	(void)state;
	in_killed_child(fail_the_third_flush);
	s = open_it();
	assert_int_equal(dfb_store_scan(s, 0, note_row, rows), 0);
	rows[8] = '\0'; /* the third may be there: its sender was told that it failed */
	assert_string_equal(rows, "1=v 2=v ");
	dfb_store_close(s);
}

static void
fail_a_checkpoint(void)
{
	struct dfb_store *s = open_it();

	db_env_set_func_fsync(flush_hook);
	disk.fail_in = 1;
	if (dfb_store_checkpoint(s, 0) != -1 || dfb_store_flush(s) != -1)
		_exit(1);
}

static void
a_failed_checkpoint_stops_the_store(void **state)
{
	(void)state;
	in_killed_child(fail_a_checkpoint);
	dfb_store_close(open_it());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_committed_survives_a_kill),
		T(a_kill_at_any_moment_loses_nothing),
		T(flush_makes_it_durable),
		T(a_kill_after_opening_is_harmless),
		T(readers_and_a_checkpoint_run_beside_commits),
		T(segments_are_dropped_under_readers),
		T(reads_do_not_wait_for_a_commit),
		T(a_failed_flush_stops_the_store),
		T(a_failed_checkpoint_stops_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
