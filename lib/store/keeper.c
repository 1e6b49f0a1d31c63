#include "store/internal.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>

/* Checkpoint after so many bytes of batches: recovery reads at most about twice that. */
#define KEEP_BYTES (24u << 20)

/* In between, pages are written soon after they were filled, and the disk begins with them:
 * the commit thread finds clean ones to use again, and a checkpoint, during which the log's
 * flushes have to wait, finds little to do. */
#define WRITE_BYTES (512u << 10)
#define WRITE_MS 50
#define CLEAN_PERCENT 98

/* A turn that found less has time to go on with a log file for later, by so much.  Under load
 * the disk has enough to do, and flushes are large. */
#define QUIET_BYTES (2u << 20)
#define SPARE_BYTES (8u << 20)

static struct timespec
after(struct timespec t, long ms)
{
	t.tv_nsec += ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

/* Wait until there is work, and it is time; or to stop. */
static void
wait_for_work(struct keeper *k, const struct timespec *next)
{
	while (!k->stop && k->bytes < WRITE_BYTES)
		pthread_cond_wait(&k->wake, &k->mutex);
	while (!k->stop && k->bytes < KEEP_BYTES / 4 &&
	    pthread_cond_clockwait(&k->wake, &k->mutex, CLOCK_MONOTONIC, next) == 0)
		;
}

/* The descriptor of the segment that is being written; -1: there is none. */
static int
current_fd(struct dfb_store *s)
{
	int fd = -1;

	pthread_mutex_lock(&s->mutex);
	if (s->nsegs != 0) {
		DB *db = s->segs[s->nsegs - 1]->db;
		if (db->fd(db, &fd) != 0)
			fd = -1;
	}
	pthread_mutex_unlock(&s->mutex);
	return fd;
}

static int
write_pages(struct dfb_store *s)
{
	int written, fd, e;

	dfb_gather_begin();
	e = s->env->memp_trickle(s->env, CLEAN_PERCENT, &written);
	if (dfb_gather_end() == -1 && e == 0)
		e = errno;
	if (e != 0)
		return dfb_store_fail(s, e, "write pages");
	/* A hint: a checkpoint finds out what went wrong. */
	if ((fd = current_fd(s)) != -1)
		(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return 0;
}

static void *
keep(void *arg)
{
	struct dfb_store *s = arg;
	struct keeper *k = &s->keeper;
	struct timespec next;
	size_t since = 0, bytes;
	int rc;

	pthread_mutex_lock(&k->mutex);
	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &next);
		next = after(next, WRITE_MS);
		wait_for_work(k, &next);
		if (k->stop)
			break;
		since += bytes = k->bytes;
		k->bytes = 0;
		pthread_mutex_unlock(&k->mutex);
		rc = since < KEEP_BYTES ? write_pages(s) : dfb_store_checkpoint(s, 0);
		if (rc == -1)
			return NULL; /* the commit thread sees that the store failed */
		since = since < KEEP_BYTES ? since : 0;
		if (s->has_segments && bytes < QUIET_BYTES)
			dfb_spare_write(&s->spare, SPARE_BYTES);
		pthread_mutex_lock(&k->mutex);
	}
	pthread_mutex_unlock(&k->mutex);
	return NULL;
}

int
dfb_keeper_start(struct dfb_store *s)
{
	struct keeper *k = &s->keeper;
	sigset_t all, old;
	int e;

	if (s->has_segments && (e = dfb_spare_start(&s->spare, s->dir, STORE_LOG_FILE)) != 0)
		return e;
	sigfillset(&all); /* signals are the owner's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&k->thread, NULL, keep, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e == 0) {
		k->running = true;
		pthread_setname_np(k->thread, "store-keeper");
	} else if (s->has_segments)
		dfb_spare_stop(&s->spare);
	return e;
}

void
dfb_keeper_stop(struct dfb_store *s)
{
	struct keeper *k = &s->keeper;

	if (!k->running)
		return;
	pthread_mutex_lock(&k->mutex);
	k->stop = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->mutex);
	pthread_join(k->thread, NULL);
	k->running = false;
	if (s->has_segments)
		dfb_spare_stop(&s->spare);
}

void
dfb_keeper_note(struct dfb_store *s, size_t bytes)
{
	struct keeper *k = &s->keeper;
	size_t was;

	pthread_mutex_lock(&k->mutex);
	was = k->bytes;
	k->bytes += bytes;
	if ((was < WRITE_BYTES && k->bytes >= WRITE_BYTES) ||
	    k->bytes >= KEEP_BYTES / 4)
		pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->mutex);
}
