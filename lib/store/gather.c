/*
 * Page writes in one.  Berkeley DB writes each page of 4 KiB by itself, in the order of
 * the file: for 64 KiB of new pages that is 75 us of a processor's time, and 12 us when it is one
 * write.  So what the keeper's thread writes in a row is gathered here and written together, at
 * most RUN bytes later.  Until then no other write, read or flush gets past it: Berkeley
 * DB's shared library looks pwrite and pread up by name, so ours are found first, as in
 * checksum.c; for the rest it has hooks.
 *
 * A gathered write that fails takes pages with it that Berkeley DB believes to be written.  From
 * then on nothing is read, written or flushed any more, by anybody: a checkpoint that knew nothing
 * of it would have recovery begin behind them.
 *
 * A write that a kill tears ends between two pages, as the buffer begins at one: each page is
 * old or new, as without this.
 */
#include "store/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN ((size_t)256 << 10)

/* Declared here, since unistd.h may make it another function's name. */
ssize_t pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t pread(int fd, void *p, size_t n, off_t at);

static struct {
	pthread_mutex_t mutex;
	atomic_size_t len;   /* 0: nothing waits */
	int fd;
	dev_t dev;
	ino_t ino;
	off_t at;
	atomic_int broken;   /* errno of a write that failed: its pages are lost */
	uint8_t *bytes;      /* RUN, made when first needed */
} run = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local bool gathering;

/* Write what waits.  0, or -1 with errno, now and from now on. */
static int
flush(void)
{
	size_t done = 0;

	while (run.broken == 0 && done < run.len) {
		ssize_t n = pwrite64(run.fd, run.bytes + done, run.len - done,
		    run.at + (off_t)done);
		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			run.broken = n == 0 ? EIO : errno;
	}
	run.len = 0;
	errno = run.broken;
	return run.broken == 0 ? 0 : -1;
}

static int
flush_locked(void)
{
	int rc;

	pthread_mutex_lock(&run.mutex);
	rc = flush();
	pthread_mutex_unlock(&run.mutex);
	return rc;
}

/* Whether others have to look here before they write, read or flush. */
static bool
is_busy(void)
{
	return run.len != 0 || run.broken != 0;
}

/* What waits is written before somebody else writes or reads there. */
static int
give_way(int fd, size_t n, off_t at)
{
	struct stat st;
	int rc = 0;

	pthread_mutex_lock(&run.mutex);
	if (run.broken != 0 || (run.len != 0 && at < run.at + (off_t)run.len &&
	    run.at < at + (off_t)n && (fstat(fd, &st) == -1 ||
	    (st.st_ino == run.ino && st.st_dev == run.dev))))
		rc = flush();
	pthread_mutex_unlock(&run.mutex);
	return rc;
}

/* The first of a row. */
static int
begin(int fd, off_t at)
{
	struct stat st;

	if (run.bytes == NULL && (run.bytes = aligned_alloc(STORE_PAGE, RUN)) == NULL)
		return -1;
	if (fstat(fd, &st) == -1)
		return -1;
	run.fd = fd;
	run.dev = st.st_dev;
	run.ino = st.st_ino;
	run.at = at;
	return 0;
}

/* 1: it waits; 0: it is to be written by itself; -1 with errno. */
static int
add(int fd, const void *p, size_t n, off_t at)
{
	int rc = 1;

	pthread_mutex_lock(&run.mutex);
	if (run.broken != 0 || (run.len != 0 && (fd != run.fd ||
	    at != run.at + (off_t)run.len || run.len + n > RUN)))
		rc = flush() == -1 ? -1 : 1;
	if (rc == 1 && (n != STORE_PAGE || (run.len == 0 && begin(fd, at) == -1)))
		rc = 0;
	if (rc == 1) {
		memcpy(run.bytes + run.len, p, n);
		run.len += n;
	}
	pthread_mutex_unlock(&run.mutex);
	return rc;
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	int rc = 0;

	if (gathering)
		rc = add(fd, p, n, at);
	if (rc == 0 && is_busy())
		rc = give_way(fd, n, at);
	return rc == 1 ? (ssize_t)n : rc == -1 ? -1 : pwrite64(fd, p, n, at);
}

ssize_t
pread(int fd, void *p, size_t n, off_t at)
{
	if (is_busy() && give_way(fd, n, at) == -1)
		return -1;
	return pread64(fd, p, n, at);
}

/* Returns errno. */
static int
fsync_hook(int fd)
{
	if (is_busy() && flush_locked() == -1)
		return errno;
	while (fdatasync(fd) == -1)
		if (errno != EINTR)
			return errno;
	return 0;
}

static int
close_hook(int fd)
{
	if (run.len != 0)
		(void)flush_locked(); /* who writes next is told */
	return close(fd);
}

int
dfb_gather_hooks(void)
{
	int e = db_env_set_func_fsync(fsync_hook);

	return e != 0 ? e : db_env_set_func_close(close_hook);
}

void
dfb_gather_begin(void)
{
	gathering = true;
}

int
dfb_gather_end(void)
{
	gathering = false;
	return flush_locked();
}
