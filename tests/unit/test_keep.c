/* cmd/daemon/keep: a daemon's small store, and its end in the middle of a change. */
#include "store_fixture.h"

#include "daemon/keep.h"
#include "net/loop.h"

static const char *const tables[] = { "a", NULL };
static struct dfb_loop *loop;
static unsigned failures;
static int failure;

static void
failed(void *arg, int status)
{
	(void)arg;
	failures++;
	failure = status;
}

static struct dfb_keep *
open_keep(void)
{
	int status;
	struct dfb_keep *k = dfb_keep_open(&(struct dfb_store_config){ .dir = dir,
	    .tables = tables, .cache_bytes = 1 << 20, .owner = "test" }, &status);

	assert_non_null(k);
	return k;
}

static struct dfb_keep *
start_keep(void)
{
	struct dfb_keep *k = open_keep();

	failures = 0;
	loop = dfb_loop_new();
	assert_non_null(loop);
	assert_int_equal(dfb_keep_start(k, loop, failed, NULL), 0);
	return k;
}

static void
put(struct dfb_keep *k, const char *key, const char *val)
{
	assert_int_equal(dfb_keep_put(k, 0, key, strlen(key), val, strlen(val)), 0);
}

/* Close it; what is there when it is opened again. */
static void
expect_after_close(struct dfb_keep *k, int status, const char *rows)
{
	assert_int_equal(dfb_keep_close(k), status);
	dfb_loop_free(loop);
	k = open_keep();
	expect_rows(dfb_keep_store(k), 0, rows);
	assert_int_equal(dfb_keep_close(k), DFB_OK);
}

static void
an_end_writes_what_is_left(void **state)
{
	struct dfb_keep *k = start_keep();

	(void)state;
	put(k, "entry", "2");
	put(k, "version", "2");
	expect_after_close(k, DFB_OK, "entry=2 version=2 ");
}

/* The version must not be there without what it is the version of. */
static void
half_a_change_is_not_written(void **state)
{
	struct dfb_keep *k = start_keep();

	(void)state;
	put(k, "entry", "1");
	dfb_keep_fail(k);
	put(k, "version", "2");
	assert_int_equal(failures, 1);
	assert_int_equal(failure, DFB_OSERR);
	expect_after_close(k, DFB_IOERR, "");
}

/* Nor by the end of the commit that was under way. */
static void
nor_after_another_commit(void **state)
{
	struct dfb_keep *k = start_keep();

	(void)state;
	db_env_set_func_fsync(flush_hook);
	disk.hold = true;
	put(k, "version", "1");
	while (!disk.held)
		assert_int_not_equal(dfb_loop_once(loop, 1), -1);
	put(k, "version", "2"); /* while it is busy */
	dfb_keep_fail(k);
	release_flush();
	for (int i = 0; i < 20; i++)
		assert_int_not_equal(dfb_loop_once(loop, 5), -1);
	expect_after_close(k, DFB_IOERR, "version=1 ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_end_writes_what_is_left),
		T(half_a_change_is_not_written),
		T(nor_after_another_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
