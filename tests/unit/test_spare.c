/* Log files that are made ahead: lib/store/spare.c, with a store on a disk. */
#include "store/block.h"
#include "store/internal.h"
#include "store/store.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BLOCK 65000u

static char top[3072]; /* made for a test, removed after it */
static char dir[3200]; /* the store's, in it */

static int
make_top(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(top, sizeof top, "%s/test_spare.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(top) == NULL)
		return -1;
	snprintf(dir, sizeof dir, "%s/store", top);
	return 0;
}

static int
remove_top(void **state)
{
	char cmd[2 * sizeof top + 64];

	(void)state;
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", top);
	return system(cmd) == 0 ? 0 : -1;
}

static const char *
in_dir(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

/* Its inode; 0: there is none. */
static ino_t
inode(const char *name)
{
	struct stat st;

	return stat(in_dir(name), &st) == 0 ? st.st_ino : 0;
}

static struct dfb_store *
open_it(void)
{
	static const char *const tables[] = { "a", NULL };
	struct dfb_store_config c = { .dir = dir, .tables = tables, .segments = true,
	    .owner = "test" };
	struct dfb_store *s;
	int status;

	assert_int_equal(dfb_store_open(&c, &s, &status), 0);
	return s;
}

static void
store_block(struct dfb_store *s, uint64_t base, bool sync)
{
	struct dfb_block *b = dfb_block_new(1, base, BLOCK);
	struct dfb_batch *batch = dfb_batch_new();
	char *p = malloc(BLOCK);

	assert_non_null(p);
	memset(p, (int)base, BLOCK);
	assert_int_equal(dfb_block_append(b, p, BLOCK, 1, 1), 0);
	dfb_block_seal(b);
	assert_int_equal(dfb_batch_block(batch, b), 0);
	assert_int_equal(dfb_store_commit(s, batch, sync), 0);
	dfb_batch_free(batch);
	dfb_block_unref(b);
	free(p);
}

static void
expect_blocks(struct dfb_store *s, uint64_t n)
{
	uint64_t first, next;

	assert_int_equal(dfb_store_extent(s, 1, &first, &next), 1);
	assert_int_equal(first, 0);
	assert_in_range(next, n, UINT64_MAX);
	for (uint64_t i = 0; i < n; i++) {
		struct dfb_block *b;

		assert_int_equal(dfb_store_read(s, 1, i, &b), 1);
		assert_int_equal(b->base, i);
		assert_int_equal(b->len, DFB_BLOCK_HEADER + BLOCK);
		assert_int_equal(b->data[DFB_BLOCK_HEADER], (uint8_t)i);
		assert_int_equal(b->data[b->len - 1], (uint8_t)i);
		dfb_block_unref(b);
	}
}

/* Make one, whole. */
static void
make_spare(void)
{
	struct spare p = { .fd = -1 };

	assert_int_equal(dfb_spare_start(&p, dir, STORE_LOG_FILE), 0);
	dfb_spare_write(&p, STORE_LOG_FILE);
	assert_false(p.failed);
	dfb_spare_stop(&p);
}

static void
is_made_a_little_at_a_time(void **state)
{
	struct spare p = { .fd = -1 };
	struct stat st;
	ino_t made;

	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(dfb_spare_start(&p, dir, 1 << 20), 0);
	dfb_spare_write(&p, 1 << 19);
	assert_int_equal(inode("spare.log"), 0);
	made = inode("spare.new");
	assert_int_not_equal(made, 0);
	dfb_spare_write(&p, 1 << 19);
	assert_int_equal(inode("spare.log"), made);
	assert_int_equal(inode("spare.new"), 0);
	assert_int_equal(stat(in_dir("spare.log"), &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_in_range(st.st_blocks, 2048, UINT64_MAX); /* no holes */
	dfb_spare_write(&p, 1 << 20); /* there is one */
	assert_int_equal(inode("spare.log"), made);
	assert_int_equal(inode("spare.new"), 0);
	assert_int_equal(unlink(in_dir("spare.log")), 0);
	dfb_spare_write(&p, 1 << 19); /* half of one is not kept */
	dfb_spare_stop(&p);
	assert_int_equal(inode("spare.new"), 0);
	assert_int_equal(inode("spare.log"), 0);
}

static void
goes_without_where_none_can_be_made(void **state)
{
	struct spare p = { .fd = -1 };

	(void)state;
	assert_int_equal(dfb_spare_start(&p, in_dir("missing"), 1 << 20), 0);
	dfb_spare_write(&p, 1 << 20);
	assert_true(p.failed);
	dfb_spare_write(&p, 1 << 20);
	dfb_spare_stop(&p);
}

static void
becomes_the_next_log_file(void **state)
{
	struct dfb_store *s = open_it();
	struct stat st;
	uint64_t n = 0;
	ino_t made;

	(void)state;
	make_spare();
	made = inode("spare.log");
	assert_int_not_equal(made, 0);
	while (inode("log.0000000002") == 0) {
		assert_in_range(n, 0, 1000);
		store_block(s, n++, true);
	}
	assert_int_equal(inode("log.0000000002"), made);
	assert_int_equal(stat(in_dir("log.0000000002"), &st), 0);
	assert_int_equal(st.st_size, STORE_LOG_FILE);
	dfb_store_close(s);
	s = open_it();
	expect_blocks(s, n);
	dfb_store_close(s);
}

/* Killed after the spare file got its name, and before anything was written to it. */
static void
an_unused_one_is_an_end_of_the_log(void **state)
{
	struct dfb_store *s = open_it();
	char to[4096];

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		store_block(s, i, true);
	dfb_store_close(s);
	make_spare();
	snprintf(to, sizeof to, "%s", in_dir("log.0000000002"));
	assert_int_equal(rename(in_dir("spare.log"), to), 0);
	s = open_it();
	expect_blocks(s, 10);
	for (uint64_t i = 10; inode("log.0000000003") == 0; i++)
		store_block(s, i, true);
	dfb_store_close(s);
	s = open_it();
	expect_blocks(s, 100);
	dfb_store_close(s);
}

static int told;

static _Noreturn void
commit_until_killed(uint64_t from)
{
	struct dfb_store *s;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (from != 0)
		make_spare(); /* later ones are the keeper's */
	s = open_it();
	for (uint64_t i = from;; i++) {
		store_block(s, i, true);
		if (write(told, &i, sizeof i) != sizeof i)
			_exit(1);
	}
}

static void
a_kill_loses_nothing(void **state)
{
	uint64_t n = 0, i;

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		uint64_t until = n + 150 + round * 111;
		int fds[2];
		struct dfb_store *s;
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		told = fds[1];
		if ((pid = fork()) == 0)
			commit_until_killed(n);
		close(fds[1]);
		while (n < until && read(fds[0], &i, sizeof i) == sizeof i)
			n = i + 1;
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		while (read(fds[0], &i, sizeof i) == sizeof i)
			n = i + 1;
		close(fds[0]);
		assert_in_range(n, until, UINT64_MAX);
		s = open_it();
		expect_blocks(s, n);
		dfb_store_close(s);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, make_top, remove_top)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(is_made_a_little_at_a_time),
		T(goes_without_where_none_can_be_made),
		T(becomes_the_next_log_file),
		T(an_unused_one_is_an_end_of_the_log),
		T(a_kill_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
