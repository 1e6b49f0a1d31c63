/* lib/store on a disk: a directory of its own for each test. */
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

static int
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

static void
release_flush(void)
{
	pthread_mutex_lock(&disk.mutex);
	disk.hold = disk.held = false;
	disk.fail_in = 0;
	pthread_cond_broadcast(&disk.change);
	pthread_mutex_unlock(&disk.mutex);
}

/* ---- helpers ---- */

static int
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

static int
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
static const char *
in_dir(const char *name)
{
	static char path[2][4096];
	static unsigned turn;
	char *p = path[turn++ % 2];

	snprintf(p, sizeof path[0], "%s/%s", dir, name);
	return p;
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static bool
exists(const char *name)
{
	return access(in_dir(name), F_OK) == 0;
}

/* Open in a process of its own (Berkeley DB leaks when it gives up): the status, and
 * what it wrote on stderr. */
static char said[8192];
static bool as_nobody; /* root may everything: the process is somebody else */

static _Noreturn void
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

static int
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

static void
assert_said(const char *text)
{
	if (strstr(said, text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, said);
}

static struct dfb_store *
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

static struct dfb_store *
open_it(void)
{
	return open_with(0);
}

/* A block whose bytes tell where it belongs; version tells copies apart. */
static struct dfb_block *
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

static void
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
static void
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

static void
expect_none(struct dfb_store *s, uint64_t queue, uint64_t offset)
{
	struct dfb_block *b = (void *)&b;

	assert_int_equal(dfb_store_read(s, queue, offset, &b), 0);
	assert_null(b);
}

static void
expect_extent(struct dfb_store *s, uint64_t queue, uint64_t first, uint64_t next)
{
	uint64_t f, n;

	assert_int_equal(dfb_store_extent(s, queue, &f, &n), 1);
	assert_int_equal(f, first);
	assert_int_equal(n, next);
}

/* Rows as text "k=v k=v ". */
static int
note_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	char *out = arg;
	size_t at = strlen(out);

	snprintf(out + at, 1000 - at, "%.*s=%.*s ", (int)klen, (const char *)key,
	    (int)vlen, (const char *)val);
	return 0;
}

static void
expect_rows(struct dfb_store *s, int table, const char *want)
{
	char rows[1000] = "";

	assert_int_equal(dfb_store_scan(s, table, note_row, rows), 0);
	assert_string_equal(rows, want);
}

/* Run fn in a process of its own that ends by SIGKILL. */
static void
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

#define T(fn) cmocka_unit_test_setup_teardown(fn, make_top, remove_top)

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
		T(scan_meets_every_row_once), T(single_rows),
		T(rows_while_others_are_written),
		T(scan_meets_every_row_once),
		T(rows_are_read_from_a_key_on),
		T(an_empty_batch_commits),
		T(a_store_that_failed_stays_failed),
		T(a_missing_table_is_an_error),
		T(a_store_without_segments_takes_no_block),
		T(blocks_are_found_by_any_offset),
		T(the_last_queue_is_a_queue),
		T(a_huge_block_is_kept),
		T(a_block_can_be_replaced),
		T(rows_and_blocks_are_one_commit),
		T(seek_finds_by_time),
		T(segments_roll),
		T(an_old_block_is_replaced_where_it_is),
		T(a_segment_is_dropped),
		T(the_current_segment_cannot_be_dropped), T(an_interrupted_drop_is_ended),
		T(what_was_committed_survives_a_kill),
		T(a_kill_at_any_moment_loses_nothing),
		T(flush_makes_it_durable),
		T(a_kill_after_opening_is_harmless),
		T(readers_and_a_checkpoint_run_beside_commits),
		T(segments_are_dropped_under_readers),
		T(reads_do_not_wait_for_a_commit),
		T(a_failed_flush_stops_the_store),
		T(a_failed_checkpoint_stops_the_store),
		T(checkpoints_remove_old_logs),
		T(space_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
