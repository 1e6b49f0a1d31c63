#include "base/log.h"
#include "dfb.h"
#include "store/checksum.h"
#include "store/internal.h"
#include "store/store.h"

#include <string.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define CACHE_DEFAULT (32u << 20)
/* A start after a crash fills the rest of a file with zeros. */
#define LOG_FILE_BYTES STORE_LOG_FILE
/* The first one of a new store has no blocks ready: it is soon over. */
#define FIRST_LOG_FILE_BYTES (8u << 20)
#define LOG_BUFFER_BYTES (8u << 20)
/* Each opening fills the rest of the log file with zeros, in writes of 4 KiB: a store of rows
 * alone, which writes little, has small ones (measured: 4 ms to open it, not 36). */
#define SMALL_LOG_FILE_BYTES (4u << 20)
#define SMALL_LOG_BUFFER_BYTES (1u << 20)

/* A batch of some thousand rows locks as many pages.  The table of locks grows as needed;
 * what it is searched with is made for so many at once, and takes memory. */
#define LOCKS_MAX 100000
#define LOCKS 20000

static const char *
remedy(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return ": make room on its disk";
	case EMFILE:
		return ": raise the limit of open files";
	case DB_RUNRECOVERY:
		return ": start again to recover; if it happens again, restore a backup";
	default:
		return "";
	}
}

static void
complain(struct dfb_store *s, int err, const char *fmt, va_list ap)
{
	char what[256];

	vsnprintf(what, sizeof what, fmt, ap);
	log_errx("store '%s': cannot %s: %s%s", s->dir, what, db_strerror(err),
	    remedy(err));
}

int
dfb_store_fail(struct dfb_store *s, int err, const char *fmt, ...)
{
	/* Whoever comes second may end the process: only when the reason is in the log. */
	static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
	va_list ap;

	pthread_mutex_lock(&first);
	if (!s->failed) {
		va_start(ap, fmt);
		complain(s, err, fmt, ap);
		va_end(ap);
		/* Nothing may write any more: closing in order would store a checkpoint, and
		 * recovery begin after what could not be written. */
		if (s->env != NULL)
			(void)s->env->set_flags(s->env, DB_PANIC_ENVIRONMENT, 1);
		s->failed = true;
	}
	pthread_mutex_unlock(&first);
	return -1;
}

int
dfb_store_open_fail(struct dfb_store *s, int err, int *status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(s, err, fmt, ap);
	va_end(ap);
	s->failed = true;
	*status = err == EACCES || err == EPERM ? DFB_DENIED :
	    err == ENOMEM || err == EMFILE || err == ENFILE ? DFB_OSERR : DFB_IOERR;
	return -1;
}

bool
dfb_store_ok(const struct dfb_store *s)
{
	return !s->failed;
}

/* Of one failure it may say a thousand things. */
#define COMPLAINTS_MAX 8

static void
on_error(const DB_ENV *env, const char *prefix, const char *msg)
{
	struct dfb_store *s = env->app_private;

	(void)prefix;
	/* Berkeley DB's own status does not tell a full disk from a damaged one. */
	if (strstr(msg, strerror(ENOSPC)) != NULL)
		s->cause = ENOSPC;
	else if (strstr(msg, strerror(ENOMEM)) != NULL)
		s->cause = ENOMEM;
	/* What follows a failure adds nothing. */
	if (dfb_store_ok(s) && s->complaints++ < COMPLAINTS_MAX)
		log_errx("store '%s': %s", s->dir, msg);
}

static void
on_message(const DB_ENV *env, const char *msg)
{
	const struct dfb_store *s = env->app_private;

	log_debug("store '%s': %s", s->dir, msg);
}

/* A checkpoint that meets a page in use sleeps a second before it looks again, and a
 * second is 100 MB of log to recover.  The page is free in microseconds. */
static int
short_yield(u_long secs, u_long usecs)
{
	struct timespec t = { .tv_nsec = 1000000 };

	if (secs == 0)
		t.tv_nsec = usecs < 1000 ? (long)usecs * 1000 : 1000000;
	if (secs == 0 && usecs == 0)
		sched_yield();
	else
		nanosleep(&t, NULL);
	return 0;
}

/*
 * Berkeley DB does not survive every lack of memory: some of its functions go on with
 * what they did not get.  Small pieces are those of its inside, and without one of them
 * the program ends; a cache or a message that is too large is an answer.
 */
#define PIECE_MAX ((size_t)64 << 10)

static void *
got(void *p, size_t n)
{
	if (p != NULL || n > PIECE_MAX || n == 0)
		return p;
	log_errx("the store has no memory for %zu bytes: give this program more, or make its "
	    "--cache smaller", n);
	_exit(DFB_OSERR);
}

static void *
get(size_t n)
{
	return got(malloc(n), n);
}

static void *
get_more(void *p, size_t n)
{
	return got(realloc(p, n), n);
}

static int
configure(DB_ENV *env, size_t cache, bool small)
{
	uint32_t file = small ? SMALL_LOG_FILE_BYTES : FIRST_LOG_FILE_BYTES;
	uint32_t buffer = small ? SMALL_LOG_BUFFER_BYTES : LOG_BUFFER_BYTES;
	int e;

	if ((e = env->set_cachesize(env, (uint32_t)(cache >> 30),
	    (uint32_t)(cache & ((1u << 30) - 1)), 1)) != 0 ||
	    (e = env->set_lg_max(env, file)) != 0 ||
	    (e = env->set_lg_bsize(env, buffer)) != 0 ||
	    (e = env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1)) != 0 ||
	    (e = env->set_lk_max_locks(env, LOCKS_MAX)) != 0 ||
	    (e = env->set_lk_max_objects(env, LOCKS_MAX)) != 0 ||
	    (e = env->set_lk_tablesize(env, LOCKS)) != 0 ||
	    /* The reader, which has written nothing, is the one to try again. */
	    (e = env->set_lk_detect(env, DB_LOCK_MINWRITE)) != 0)
		return e;
	return 0;
}

int
dfb_store_env_open(struct dfb_store *s, size_t cache, int *status)
{
	int e;

	/* Whoever links the store has it: libdb finds it in the program. */
	if (__ham_func4(NULL, "dfb", 3) != 'd' * 33 * 33 + 'f' * 33 + 'b')
		return dfb_store_open_fail(s, EINVAL, status, "sum up bytes");
	if ((e = db_env_set_func_yield(short_yield)) != 0 ||
	    (e = db_env_set_func_malloc(get)) != 0 ||
	    (e = db_env_set_func_realloc(get_more)) != 0 ||
	    (e = dfb_spare_hook()) != 0 ||
	    (e = dfb_gather_hooks()) != 0 ||
	    (e = db_env_create(&s->env, 0)) != 0)
		return dfb_store_open_fail(s, e, status, "make a Berkeley DB environment");
	s->env->app_private = s;
	s->env->set_errcall(s->env, on_error);
	s->env->set_msgcall(s->env, on_message);
	if ((e = configure(s->env, cache != 0 ? cache : CACHE_DEFAULT,
	    !s->has_segments)) != 0)
		return dfb_store_open_fail(s, e, status, "configure Berkeley DB");
	e = s->env->open(s->env, s->dir, DB_CREATE | DB_PRIVATE | DB_THREAD | DB_RECOVER |
	    DB_INIT_MPOOL | DB_INIT_LOG | DB_INIT_TXN | DB_INIT_LOCK, 0600);
	if (e != 0 && s->cause != 0)
		return dfb_store_open_fail(s, s->cause, status, s->cause == ENOSPC ?
		    "open or recover: make room on its disk" :
		    "open or recover: make its --cache smaller");
	if (e != 0)
		return dfb_store_open_fail(s, e, status, "open or recover (its files may be "
		    "damaged: restore a backup, or give another directory)");
	if (s->has_segments && (e = s->env->set_lg_max(s->env, LOG_FILE_BYTES)) != 0)
		return dfb_store_open_fail(s, e, status, "configure Berkeley DB");
	s->complaints = 0;
	return 0;
}

int
dfb_store_checkpoint(struct dfb_store *s, uint32_t kbytes)
{
	int e;

	if (!dfb_store_ok(s))
		return -1;
	dfb_gather_begin();
	e = s->env->txn_checkpoint(s->env, kbytes, 0, kbytes == 0 ? DB_FORCE : 0);
	if (dfb_gather_end() == -1 && e == 0)
		e = errno;
	return e == 0 ? 0 : dfb_store_fail(s, e, "write a checkpoint");
}

int
dfb_store_flush(struct dfb_store *s)
{
	int e;

	if (!dfb_store_ok(s))
		return -1;
	e = s->env->log_flush(s->env, NULL);
	return e == 0 ? 0 : dfb_store_fail(s, e, "flush the log");
}

int
dfb_store_space(const struct dfb_store *s, uint64_t *free_bytes, uint64_t *total)
{
	struct statvfs v;

	if (statvfs(s->dir, &v) == -1) {
		log_err("cannot ask for the free space of '%s'", s->dir);
		return -1;
	}
	*free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	*total = (uint64_t)v.f_blocks * v.f_frsize;
	return 0;
}
