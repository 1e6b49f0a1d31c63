/*
 * For tests of lib/store on a disk: a directory of its own for each test, blocks whose bytes
 * tell where they belong, and flushes that fail or wait.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "base/buf.h"
#include "base/log.h"
#include "dfb.h"
#include "store/block.h"
#include "store/store.h"

#include <db.h> /* for its hooks only */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Not every test uses every function. */
#define FIXTURE __attribute__((unused)) static

static char top[3072]; /* made for a test, removed after it */
static char dir[3200]; /* the store's, in it */

/* ---- faults, by Berkeley DB's hooks ---- */

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t change;
	int fail_in;       /* the n-th flush from now fails; 0: none */
	bool hold;         /* the next flush waits until this is false */
	bool held;
} disk = { .mutex = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

FIXTURE int
flush_hook(int fd)
{
	int e = 0;

	pthread_mutex_lock(&disk.mutex);
	if (disk.fail_in > 0 && --disk.fail_in == 0)
		e = EIO;
	if (disk.hold) {
		disk.held = true;
		pthread_cond_broadcast(&disk.change);
		while (disk.hold)
			pthread_cond_wait(&disk.change, &disk.mutex);
	}
	pthread_mutex_unlock(&disk.mutex);
	return e != 0 ? e : fdatasync(fd) == -1 ? errno : 0;
}

FIXTURE void
release_flush(void)
{
	pthread_mutex_lock(&disk.mutex);
	disk.hold = disk.held = false;
	disk.fail_in = 0;
	pthread_cond_broadcast(&disk.change);
	pthread_mutex_unlock(&disk.mutex);
}

/* ---- helpers ---- */

FIXTURE int
make_top(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(top, sizeof top, "%s/test_store.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(top) == NULL)
		return -1;
	snprintf(dir, sizeof dir, "%s/store", top);
	return 0;
}

FIXTURE int
remove_top(void **state)
{
	char cmd[2 * sizeof top + 64];

	(void)state;
	release_flush();
	db_env_set_func_fsync(NULL);
	snprintf(cmd, sizeof cmd, "chmod -R u+rwx '%s' && rm -rf '%s'", top, top);
	return system(cmd) == 0 ? 0 : -1;
}

/* The path of a file of the store; one of two buffers in turn. */
FIXTURE const char *
in_dir(const char *name)
{
	static char path[2][4096];
	static unsigned turn;
	char *p = path[turn++ % 2];

	snprintf(p, sizeof path[0], "%s/%s", dir, name);
	return p;
}

FIXTURE void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

FIXTURE bool
exists(const char *name)
{
	return access(in_dir(name), F_OK) == 0;
}

/* Open in a process of its own (Berkeley DB leaks when it gives up): the status, and
 * what it wrote on stderr. */
FIXTURE char said[8192];
FIXTURE bool as_nobody; /* root may everything: the process is somebody else */

FIXTURE _Noreturn void
open_and_die(int err)
{
	static const char *const tables[] = { "a", NULL };
	struct dfb_store_config c = { .dir = dir, .tables = tables, .segments = true,
	    .owner = "test-one" };
	struct dfb_store *s;
	int status = -1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(err, STDERR_FILENO);
	if (as_nobody && setuid(65534) == -1)
		_exit(1);
	if (dfb_store_open(&c, &s, &status) == 0 ? status != DFB_OK :
	    status == DFB_OK || s != NULL)
		_exit(1);
	dfb_store_close(s);
	dprintf(err, "%c%d", 0, status);
	kill(getpid(), SIGKILL); /* before sanitizers and valgrind look for leaks */
	_exit(1);
}

FIXTURE int
open_and_listen(void)
{
	int fds[2], st;
	size_t n = 0;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		open_and_die(fds[1]);
	close(fds[1]);
	for (ssize_t r; (r = read(fds[0], said + n, sizeof said - 1 - n)) > 0;)
		n += (size_t)r;
	said[n] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFSIGNALED(st));
	assert_in_range(strlen(said), 0, n - 1);
	return atoi(said + strlen(said) + 1);
}

FIXTURE void
assert_said(const char *text)
{
	if (strstr(said, text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, said);
}

FIXTURE struct dfb_store *
open_with(uint64_t segment_bytes)
{
	static const char *const tables[] = { "a", "b", NULL };
	struct dfb_store_config c = { .dir = dir, .tables = tables, .segments = true,
	    .segment_bytes = segment_bytes, .owner = "test-one" };
	struct dfb_store *s;
	int status = -1;

	assert_int_equal(dfb_store_open(&c, &s, &status), 0);
	assert_int_equal(status, DFB_OK);
	return s;
}

FIXTURE struct dfb_store *
open_it(void)
{
	return open_with(0);
}

/* A block whose bytes tell where it belongs; version tells copies apart. */
FIXTURE struct dfb_block *
make_block(uint64_t queue, uint64_t base, uint32_t count, size_t len, uint64_t ms,
    unsigned version)
{
	struct dfb_block *b = dfb_block_new(queue, base, len);
	uint8_t *p = malloc(len);

	assert_non_null(b);
	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(queue * 31 + base * 7 + version + i / 1000);
	assert_int_equal(dfb_block_append(b, p, len, count, ms), 0);
	dfb_block_seal(b);
	free(p);
	return b;
}

FIXTURE void
store_block(struct dfb_store *s, uint64_t queue, uint64_t base, uint32_t count,
    size_t len, uint64_t ms, unsigned version)
{
	struct dfb_block *b = make_block(queue, base, count, len, ms, version);
	struct dfb_batch *batch = dfb_batch_new();

	assert_int_equal(dfb_batch_block(batch, b), 0);
	assert_int_equal(dfb_store_commit(s, batch, false), 0);
	dfb_batch_free(batch);
	dfb_block_unref(b);
}

/* Read at offset and expect the block that make_block would make. */
FIXTURE void
expect_block(struct dfb_store *s, uint64_t offset, uint64_t queue, uint64_t base,
    uint32_t count, size_t len, uint64_t ms, unsigned version)
{
	struct dfb_block *want = make_block(queue, base, count, len, ms, version), *b;

	assert_int_equal(dfb_store_read(s, queue, offset, &b), 1);
	assert_int_equal(b->queue, queue);
	assert_int_equal(b->base, base);
	assert_int_equal(b->count, count);
	assert_int_equal(b->last_ms, ms);
	assert_int_equal(b->refs, 1);
	assert_int_equal(b->len, want->len);
	assert_memory_equal(b->data, want->data, want->len);
	dfb_block_unref(b);
	dfb_block_unref(want);
}

FIXTURE void
expect_none(struct dfb_store *s, uint64_t queue, uint64_t offset)
{
	struct dfb_block *b = (void *)&b;

	assert_int_equal(dfb_store_read(s, queue, offset, &b), 0);
	assert_null(b);
}

FIXTURE void
expect_extent(struct dfb_store *s, uint64_t queue, uint64_t first, uint64_t next)
{
	uint64_t f, n;

	assert_int_equal(dfb_store_extent(s, queue, &f, &n), 1);
	assert_int_equal(f, first);
	assert_int_equal(n, next);
}

/* Rows as text "k=v k=v ". */
FIXTURE int
note_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	char *out = arg;
	size_t at = strlen(out);

	snprintf(out + at, 1000 - at, "%.*s=%.*s ", (int)klen, (const char *)key,
	    (int)vlen, (const char *)val);
	return 0;
}

FIXTURE void
expect_rows(struct dfb_store *s, int table, const char *want)
{
	char rows[1000] = "";

	assert_int_equal(dfb_store_scan(s, table, note_row, rows), 0);
	assert_string_equal(rows, want);
}

/* Run fn in a process of its own that ends by SIGKILL. */
FIXTURE void
in_killed_child(void (*fn)(void))
{
	pid_t pid = fork();
	int st;

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn();
		kill(getpid(), SIGKILL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFSIGNALED(st));
	assert_int_equal(WTERMSIG(st), SIGKILL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, make_top, remove_top)

#endif
