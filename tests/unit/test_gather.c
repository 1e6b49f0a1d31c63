/* Page writes that are gathered: nothing gets past what waits. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/internal.h"

#define PAGE STORE_PAGE

static char path[] = "/tmp/dfb-gather.XXXXXX";
static int fd, other; /* two descriptors of one file */

static int
set_up(void **state)
{
	(void)state;
	strcpy(path + sizeof path - 7, "XXXXXX");
	fd = mkstemp(path);
	other = open(path, O_RDWR | O_CLOEXEC);
	return fd == -1 || other == -1;
}

static int
tear_down(void **state)
{
	(void)state;
	close(fd);
	close(other);
	return unlink(path);
}

static void
put(int page, int byte)
{
	static uint8_t b[PAGE];

	memset(b, byte, sizeof b);
	assert_int_equal(pwrite(fd, b, PAGE, (off_t)page * PAGE), PAGE);
}

/* What the file has by the kernel, past what waits. */
static int
in_file(int page)
{
	uint8_t b;

	return pread64(other, &b, 1, (off_t)page * PAGE) == 1 ? b : -1;
}

static int
seen(int page)
{
	uint8_t b;

	return pread(other, &b, 1, (off_t)page * PAGE) == 1 ? b : -1;
}

static void
a_row_is_one_write(void **state)
{
	(void)state;
	dfb_gather_begin();
	for (int i = 0; i < 10; i++)
		put(i, 'a' + i);
	assert_int_equal(in_file(0), -1); /* they wait */
	put(20, 'z');
	assert_int_equal(in_file(9), 'j'); /* not in the row any more */
	assert_int_equal(in_file(20), -1);
	assert_int_equal(dfb_gather_end(), 0);
	assert_int_equal(in_file(20), 'z');
	put(3, 'x'); /* outside: at once */
	assert_int_equal(in_file(3), 'x');
}

static void
long_rows_are_cut(void **state)
{
	(void)state;
	dfb_gather_begin();
	for (int i = 0; i < 300; i++)
		put(i, 'a' + i % 26);
	assert_int_equal(in_file(100), 'a' + 100 % 26);
	assert_int_equal(dfb_gather_end(), 0);
	for (int i = 0; i < 300; i++)
		assert_int_equal(in_file(i), 'a' + i % 26);
}

static void
others_see_what_waits(void **state)
{
	(void)state;
	dfb_gather_begin();
	put(0, 'a');
	put(1, 'b');
	assert_int_equal(seen(5), -1); /* elsewhere */
	assert_int_equal(in_file(0), -1);
	assert_int_equal(seen(1), 'b'); /* by another descriptor, too */
	assert_int_equal(in_file(0), 'a');
	/* A shorter write in its place comes after it. */
	put(0, 'c');
	assert_int_equal(pwrite(other, "d", 1, 0), 1);
	assert_int_equal(in_file(0), 'd');
	assert_int_equal(dfb_gather_end(), 0);
	assert_int_equal(in_file(0), 'd');
}

static void
written_twice(void **state)
{
	(void)state;
	dfb_gather_begin();
	put(0, 'a');
	put(1, 'b');
	put(0, 'c');
	put(1, 'd');
	assert_int_equal(dfb_gather_end(), 0);
	assert_int_equal(in_file(0), 'c');
	assert_int_equal(in_file(1), 'd');
}

/* The last one: what is lost stays lost. */
static void
a_failure_is_told_for_good(void **state)
{
	static uint8_t page[PAGE];
	int right = fd;

	(void)state;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	dfb_gather_begin();
	put(0, 'a');
	assert_int_equal(dfb_gather_end(), -1);
	assert_int_equal(errno, EBADF);
	close(fd);
	fd = right;
	dfb_gather_begin();
	assert_int_equal(pwrite(fd, page, PAGE, 0), -1);
	assert_int_equal(dfb_gather_end(), -1);
	assert_int_equal(errno, EBADF);
	/* Not for the keeper alone, and not only there. */
	assert_int_equal(pwrite(other, page, PAGE, 5 * PAGE), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(pread(other, page, PAGE, 5 * PAGE), -1);
	assert_int_equal(errno, EBADF);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_row_is_one_write, set_up, tear_down),
		cmocka_unit_test_setup_teardown(long_rows_are_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(others_see_what_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(written_twice, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_failure_is_told_for_good, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
