/* lib/store: opening, rows, upkeep. */
#include "store_fixture.h"

/* ---- opening ---- */

static void
makes_the_directory(void **state)
{
	struct dfb_store *s = open_it();
	struct stat st;
	uint64_t f, n;
	struct dfb_segment_info info;

	(void)state;
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(dfb_store_extent(s, 1, &f, &n), 0);
	assert_int_equal(dfb_store_seek(s, 1, 0, &f), 0);
	assert_int_equal(dfb_store_segments(s, &info, 1), 0);
	expect_none(s, 1, 0);
	expect_rows(s, 0, "");
	dfb_store_close(s);
	dfb_store_close(NULL);
	s = open_it(); /* empty, again */
	expect_none(s, 1, 0);
	dfb_store_close(s);
}

static void
refuses_another_version(void **state)
{
	(void)state;
	dfb_store_close(open_it());
	write_file(in_dir("dfb.version"), "dfb store 9\n");
	assert_int_equal(open_and_listen(), DFB_BADINPUT);
	assert_said(dir);
	assert_said("dfb store 9");
	assert_said("dfb store 1");
	write_file(in_dir("dfb.version"), "dfb store 1\n");
	assert_int_equal(open_and_listen(), DFB_OK);
	assert_string_equal(said, "");
}

static void
refuses_a_foreign_directory(void **state)
{
	(void)state;
	mkdir(dir, 0700);
	write_file(in_dir("thesis.tex"), "mine");
	assert_int_equal(open_and_listen(), DFB_BADINPUT);
	assert_said(dir);
	assert_said("not a dfb store");
	assert_false(exists("dfb.lock")); /* untouched */
	assert_false(exists("dfb.version"));
}

static void
takes_a_directory_with_lost_and_found(void **state)
{
	(void)state;
	mkdir(dir, 0700);
	mkdir(in_dir("lost+found"), 0700);
	assert_int_equal(open_and_listen(), DFB_OK);
}

/* What a crash at each step of the making leaves. */
static void
opens_what_was_half_made(void **state)
{
	(void)state;
	mkdir(dir, 0700);
	write_file(in_dir("dfb.lock"), "");
	assert_int_equal(open_and_listen(), DFB_OK);

	remove_top(state);
	make_top(state);
	mkdir(dir, 0700);
	write_file(in_dir("dfb.lock"), "dfb-broker (pid 4000000)\n");
	write_file(in_dir("dfb.version.new"), "dfb st");
	assert_int_equal(open_and_listen(), DFB_OK);

	remove_top(state);
	make_top(state);
	mkdir(dir, 0700);
	write_file(in_dir("dfb.version"), "dfb store 1\n");
	assert_int_equal(open_and_listen(), DFB_OK);
}

static void
refuses_a_file_and_a_missing_parent(void **state)
{
	(void)state;
	write_file(dir, "a file");
	assert_int_equal(open_and_listen(), DFB_IOERR);
	assert_said(dir);
	assert_said("not a directory");
	unlink(dir);
	snprintf(dir, sizeof dir, "%s/no/store", top);
	assert_int_equal(open_and_listen(), DFB_IOERR);
	assert_said("cannot make directory");
	assert_said("No such file");
}

static void
refuses_what_it_may_not_write(void **state)
{
	(void)state;
	as_nobody = geteuid() == 0;
	chmod(top, 0755);
	mkdir(dir, 0555);
	assert_int_equal(open_and_listen(), DFB_DENIED);
	assert_said(dir);
	assert_said("cannot write");
	chmod(dir, 0);
	assert_int_equal(open_and_listen(), DFB_DENIED);
	assert_said(dir);
	as_nobody = false;
}

static void
says_who_uses_it(void **state)
{
	struct dfb_store *s = open_it();
	char pid[40];

	(void)state;
	assert_int_equal(open_and_listen(), DFB_AGAIN);
	snprintf(pid, sizeof pid, "in use by test-one (pid %ld)", (long)getpid());
	assert_said(dir);
	assert_said(pid);
	dfb_store_close(s);
	assert_int_equal(open_and_listen(), DFB_OK);
}

static void
garbage_names_the_directory(void **state)
{
	struct dfb_store *s = open_it();

	(void)state;
	store_block(s, 1, 0, 1, 100, 1, 0);
	dfb_store_close(s);
	write_file(in_dir("seg-000001.db"), "this is not a database, however long it is "
	    "it has no page that Berkeley DB knows");
	assert_int_equal(open_and_listen(), DFB_IOERR);
	assert_said(dir);
	assert_said("damaged");
	unlink(in_dir("seg-000001.db"));
	write_file(in_dir("tables.db"), "nor is this");
	assert_int_equal(open_and_listen(), DFB_IOERR);
	assert_said(dir);
}

/* In a child: Berkeley DB leaks its memory when it gives up.  Opening does not read all
 * pages; reading meets the bad one, and then nothing works any more. */
static void
read_damaged(void)
{
	struct dfb_store *s = open_it();
	struct dfb_block *b;
	int n = 1;

	for (unsigned i = 0; i < 10 && n == 1; i++)
		if ((n = dfb_store_read(s, 1, i, &b)) == 1)
			dfb_block_unref(b);
	if (n != -1 || dfb_store_read(s, 1, 0, &b) != -1)
		_exit(1);
	dfb_store_close(s);
}

static void
a_damaged_page_is_found(void **state)
{
	struct dfb_store *s = open_it();
	char junk[1000];
	int fd;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		store_block(s, 1, i, 1, 40000, 1, 0);
	dfb_store_close(s);
	memset(junk, 0xee, sizeof junk);
	fd = open(in_dir("seg-000001.db"), O_WRONLY);
	assert_int_equal(pwrite(fd, junk, sizeof junk, 50 * 4096 + 2000), sizeof junk);
	close(fd);
	in_killed_child(read_damaged);
	s = open_it(); /* what is whole can be saved */
	expect_block(s, 3, 1, 3, 1, 40000, 1, 0);
	dfb_store_close(s);
}

static void
a_damaged_log_is_found(void **state)
{
	(void)state;
	dfb_store_close(open_it());
	write_file(in_dir("log.0000000001"), "garbage garbage garbage garbage garbage "
	    "garbage garbage garbage garbage garbage garbage garbage garbage garbage");
	assert_int_equal(open_and_listen(), DFB_IOERR);
	assert_said(dir);
}

/* ---- rows ---- */

static void
rows_are_set_changed_deleted(void **state)
{
	struct dfb_store *s = open_it();
	struct dfb_batch *b = dfb_batch_new();

	(void)state;
	dfb_batch_put(b, 0, "k2", 2, "two", 3);
	dfb_batch_put(b, 0, "k1", 2, "one", 3);
	dfb_batch_put(b, 1, "k1", 2, "", 0);
	dfb_batch_del(b, 1, "none", 4); /* fine */
	assert_int_equal(dfb_store_commit(s, b, true), 0);
	expect_rows(s, 0, "k1=one k2=two ");
	expect_rows(s, 1, "k1= ");
	dfb_batch_clear(b);
	dfb_batch_put(b, 0, "k2", 2, "zwei", 4);
	dfb_batch_del(b, 0, "k1", 2);
	dfb_batch_put(b, 0, "k3", 2, "x", 1); /* in the order added */
	dfb_batch_del(b, 0, "k3", 2);
	dfb_batch_del(b, 0, "k4", 2);
	dfb_batch_put(b, 0, "k4", 2, "y", 1);
	assert_int_equal(dfb_store_commit(s, b, false), 0);
	assert_int_equal(dfb_store_flush(s), 0);
	expect_rows(s, 0, "k2=zwei k4=y ");
	dfb_batch_free(b);
	dfb_store_close(s);
	s = open_it();
	expect_rows(s, 0, "k2=zwei k4=y ");
	expect_rows(s, 1, "k1= ");
	dfb_store_close(s);
}

static int
stop_at_third(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	(void)key, (void)klen, (void)val, (void)vlen;
	return ++*(int *)arg == 3 ? 42 : 0;
}

static int
check_sequence(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	uint32_t *next = arg, n;

	n = (uint32_t)strtoul((const char *)key, NULL, 10);
	if (klen != 9 || n != *next || vlen != n % 3000 ||
	    (vlen != 0 && ((const uint8_t *)val)[vlen - 1] != (uint8_t)n))
		return -2;
	++*next;
	return 0;
}

/* More rows than one read of the scan holds, and one that is larger than it. */
static void
scan_meets_every_row_once(void **state)
{
	struct dfb_store *s = open_it();
	struct dfb_batch *b = dfb_batch_new();
	uint8_t val[3000], *huge = calloc(1, 1 << 20);
	char key[16];
	int calls = 0;
	uint32_t next = 0;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		memset(val, (int)(i & 255), sizeof val);
		snprintf(key, sizeof key, "%08u", i);
		assert_int_equal(dfb_batch_put(b, 0, key, 9, val, i % 3000), 0);
	}
	assert_int_equal(dfb_store_commit(s, b, false), 0);
	assert_int_equal(dfb_store_scan(s, 0, check_sequence, &next), 0);
	assert_int_equal(next, 20000);
	next = 0;
	assert_int_equal(dfb_store_rows(s, 0, NULL, 0, check_sequence, &next), 0);
	assert_int_equal(next, 20000);
	assert_int_equal(dfb_store_scan(s, 0, stop_at_third, &calls), 42);
	assert_int_equal(calls, 3);
	dfb_batch_clear(b);
	dfb_batch_put(b, 1, "a", 1, "1", 1);
	dfb_batch_put(b, 1, "b", 1, huge, 1 << 20);
	dfb_batch_put(b, 1, "c", 1, "3", 1);
	assert_int_equal(dfb_store_commit(s, b, false), 0);
	calls = 0;
	assert_int_equal(dfb_store_scan(s, 1, stop_at_third, &calls), 42);
	calls = 0;
	assert_int_equal(dfb_store_rows(s, 1, "a", 1, stop_at_third, &calls), 42);
	dfb_batch_free(b);
	free(huge);
	dfb_store_close(s);
}

static int
note_key(void *arg, const void *key, size_t klen)
{
	char *out = arg;
	size_t at = strlen(out);

	snprintf(out + at, 100 - at, "%.*s ", (int)klen, (const char *)key);
	return *(const char *)key == 'x' ? 7 : 0;
}

static void
single_rows(void **state)
{
	struct dfb_store *s = open_it();
	struct dfb_batch *b = dfb_batch_new();
	uint8_t *huge = calloc(1, 1 << 20);
	struct dfb_buf val = { 0 };
	char keys[100] = "";

	(void)state;
	huge[(1 << 20) - 1] = 7;
	dfb_batch_put(b, 0, "a", 1, "1", 1);
	dfb_batch_put(b, 0, "b", 1, huge, 1 << 20);
	dfb_batch_put(b, 0, "bb", 2, "", 0);
	dfb_batch_put(b, 0, "x", 1, "4", 1);
	dfb_batch_put(b, 0, "y", 1, "5", 1);
	assert_int_equal(dfb_store_commit(s, b, false), 0);
	assert_int_equal(dfb_store_get(s, 0, "a", 1, &val), 1);
	assert_int_equal(val.len, 1);
	assert_int_equal(dfb_store_get(s, 0, "b", 1, &val), 1);
	assert_int_equal(val.len, 1 << 20);
	assert_int_equal(val.data[(1 << 20) - 1], 7);
	assert_int_equal(dfb_store_get(s, 0, "c", 1, &val), 0);
	assert_int_equal(dfb_store_get(s, 0, "bb", 2, &val), 1);
	assert_int_equal(val.len, 0);
	assert_int_equal(dfb_store_keys(s, 0, "", 0, 3, note_key, keys), 0);
	assert_string_equal(keys, "a b bb ");
	keys[0] = '\0';
	assert_int_equal(dfb_store_keys(s, 0, "ba", 2, 10, note_key, keys), 7);
	assert_string_equal(keys, "bb x ");
	keys[0] = '\0';
	assert_int_equal(dfb_store_keys(s, 0, "z", 1, 10, note_key, keys), 0);
	assert_string_equal(keys, "");
	assert_int_equal(dfb_store_get(s, 2, "a", 1, &val), -1);
	dfb_store_close(s);
	dfb_batch_free(b);
	dfb_buf_release(&val);
	free(huge);
}

struct writer {
	struct dfb_store *store;
	atomic_uint done;
};

static void *
write_rows(void *arg)
{
	struct writer *w = arg;
	struct dfb_batch *b = dfb_batch_new();

	for (uint32_t i = 0; i < 40000; i++) {
		uint32_t key = i * 2654435761u; /* here and there in the tree */

		dfb_batch_put(b, 0, &key, sizeof key, &i, sizeof i);
		if (i % 200 == 199) {
			if (dfb_store_commit(w->store, b, false) != 0)
				break;
			dfb_batch_clear(b);
			w->done = i + 1;
		}
	}
	dfb_batch_free(b);
	return NULL;
}

static int
count_key(void *arg, const void *key, size_t klen)
{
	(void)key;
	++*(unsigned *)arg;
	return klen == 4 ? 0 : -2;
}

/* Rows that are committed are found, whatever is being committed. */
static void
rows_while_others_are_written(void **state)
{
	struct writer w = { .store = open_it() };
	struct dfb_buf val = { 0 };
	unsigned done = 0, turn = 0;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, write_rows, &w), 0);
	while ((done = w.done) < 40000) {
		uint32_t i = done != 0 ? turn++ * 7919 % done : 0;
		uint32_t key = i * 2654435761u;
		unsigned n = 0;

		if (done == 0)
			continue;
		assert_int_equal(dfb_store_get(w.store, 0, &key, sizeof key, &val), 1);
		assert_memory_equal(val.data, &i, sizeof i);
		if (turn % 16 != 0)
			continue;
		assert_int_equal(dfb_store_keys(w.store, 0, "", 0, 100000, count_key, &n), 0);
		assert_true(n >= done);
	}
	pthread_join(t, NULL);
	dfb_buf_release(&val);
	dfb_store_close(w.store);
}

static void
expect_rows_from(struct dfb_store *s, const void *key, size_t klen, const char *want)
{
	char rows[1000] = "";

	assert_int_equal(dfb_store_rows(s, 0, key, klen, note_row, rows), 0);
	assert_string_equal(rows, want);
}

static void
rows_are_read_from_a_key_on(void **state)
{
	struct dfb_store *s = open_it();
	struct dfb_batch *b = dfb_batch_new();
	uint32_t next = 12345;
	char key[16];
	int calls = 0;

	(void)state;
	expect_rows_from(s, "", 0, "");
	dfb_batch_put(b, 0, "a", 1, "1", 1);
	dfb_batch_put(b, 0, "ab", 2, "2", 1);
	dfb_batch_put(b, 0, "c", 1, "3", 1);
	assert_int_equal(dfb_store_commit(s, b, false), 0);
	expect_rows_from(s, NULL, 0, "a=1 ab=2 c=3 ");
	expect_rows_from(s, "a", 1, "a=1 ab=2 c=3 ");
	expect_rows_from(s, "a\0", 2, "ab=2 c=3 "); /* the next after "a" */
	expect_rows_from(s, "b", 1, "c=3 ");
	expect_rows_from(s, "c\0", 2, "");
	assert_int_equal(dfb_store_rows(s, 0, "a", 1, stop_at_third, &calls), 42);
	dfb_batch_clear(b);
	for (unsigned i = 0; i < 20000; i++) {
		static uint8_t val[3000];
		memset(val, (int)(i & 255), sizeof val);
		snprintf(key, sizeof key, "%08u", i);
		assert_int_equal(dfb_batch_put(b, 1, key, 9, val, i % 3000), 0);
	}
	assert_int_equal(dfb_store_commit(s, b, false), 0);
	assert_int_equal(dfb_store_rows(s, 1, "00012345", 9, check_sequence, &next), 0);
	assert_int_equal(next, 20000);
	dfb_batch_free(b);
	dfb_store_close(s);
}

static void
an_empty_batch_commits(void **state)
{
	struct dfb_store *s = open_it();
	struct dfb_batch *b = dfb_batch_new();

	(void)state;
	assert_int_equal(dfb_store_commit(s, b, true), 0);
	assert_int_equal(dfb_store_commit(s, b, false), 0);
	dfb_batch_free(b);
	dfb_store_close(s);
}

static void
a_store_that_failed_stays_failed(void **state)
{
	struct dfb_store *s = open_it();
	struct dfb_batch *b = dfb_batch_new();
	struct dfb_block *block;
	uint64_t x, y;

	(void)state;
	store_block(s, 1, 0, 1, 100, 1, 0);
	assert_int_equal(dfb_store_flush(s), 0);
	dfb_batch_put(b, 2, "k", 1, "v", 1); /* there is no table 2 */
	assert_int_equal(dfb_store_commit(s, b, true), -1);
	dfb_batch_clear(b);
	dfb_batch_put(b, 0, "k", 1, "v", 1);
	assert_int_equal(dfb_store_commit(s, b, true), -1);
	assert_int_equal(dfb_store_flush(s), -1);
	assert_int_equal(dfb_store_checkpoint(s, 0), -1);
	assert_int_equal(dfb_store_read(s, 1, 0, &block), -1);
	assert_int_equal(dfb_store_extent(s, 1, &x, &y), -1);
	assert_int_equal(dfb_store_seek(s, 1, 0, &x), -1);
	assert_int_equal(dfb_store_scan(s, 0, note_row, NULL), -1);
	assert_int_equal(dfb_store_segment_drop(s, 1), -1);
	dfb_batch_free(b);
	dfb_store_close(s);
	s = open_it(); /* and is whole the next time */
	expect_block(s, 0, 1, 0, 1, 100, 1, 0);
	expect_rows(s, 0, "");
	dfb_store_close(s);
}

static void
a_missing_table_is_an_error(void **state)
{
	struct dfb_store *s = open_it();

	(void)state;
	assert_int_equal(dfb_store_scan(s, 2, note_row, NULL), -1);
	dfb_store_close(s);
	s = open_it();
	assert_int_equal(dfb_store_scan(s, -1, note_row, NULL), -1);
	dfb_store_close(s);
}

static void
a_store_without_segments_takes_no_block(void **state)
{
	static const char *const tables[] = { "t", NULL };
	struct dfb_store_config c = { .dir = dir, .tables = tables, .owner = "test-one" };
	struct dfb_block *block = make_block(1, 0, 1, 10, 1, 0);
	struct dfb_batch *b = dfb_batch_new();
	struct dfb_store *s;
	int status;

	(void)state;
	assert_int_equal(dfb_store_open(&c, &s, &status), 0);
	dfb_batch_put(b, 0, "k", 1, "v", 1);
	assert_int_equal(dfb_store_commit(s, b, true), 0);
	dfb_batch_clear(b);
	dfb_batch_block(b, block);
	assert_int_equal(dfb_store_commit(s, b, true), -1);
	dfb_batch_free(b);
	dfb_block_unref(block);
	dfb_store_close(s);
	assert_false(exists("seg-000001.db"));
}


/* ---- upkeep ---- */

static void
checkpoints_remove_old_logs(void **state)
{
	struct dfb_store *s = open_it();

	(void)state;
	for (unsigned i = 0; i < 70; i++)
		store_block(s, 1, i, 1, 1 << 20, 1, 0);
	assert_int_equal(dfb_store_flush(s), 0);
	/* The store's own checkpoints may have been there before. */
	assert_true(exists("log.0000000002") || exists("log.0000000003"));
	assert_int_equal(dfb_store_checkpoint(s, 0), 0);
	assert_int_equal(dfb_store_checkpoint(s, 1 << 20), 0); /* nothing to do */
	assert_int_equal(dfb_store_checkpoint(s, 0), 0);
	assert_false(exists("log.0000000001"));
	dfb_store_close(s);
}

static void
space_is_told(void **state)
{
	struct dfb_store *s = open_it();
	uint64_t free_bytes = 0, total = 0;

	(void)state;
	assert_int_equal(dfb_store_space(s, &free_bytes, &total), 0);
	assert_true(total > 0);
	assert_true(free_bytes <= total);
	dfb_store_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(makes_the_directory),
		T(refuses_another_version),
		T(refuses_a_foreign_directory),
		T(takes_a_directory_with_lost_and_found),
		T(opens_what_was_half_made),
		T(refuses_a_file_and_a_missing_parent),
		T(refuses_what_it_may_not_write),
		T(says_who_uses_it),
		T(garbage_names_the_directory),
		T(a_damaged_page_is_found),
		T(a_damaged_log_is_found),
		T(rows_are_set_changed_deleted),
		T(scan_meets_every_row_once),
		T(single_rows),
		T(rows_while_others_are_written),
		T(rows_are_read_from_a_key_on),
		T(an_empty_batch_commits),
		T(a_store_that_failed_stays_failed),
		T(a_missing_table_is_an_error),
		T(a_store_without_segments_takes_no_block),
		T(checkpoints_remove_old_logs),
		T(space_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
