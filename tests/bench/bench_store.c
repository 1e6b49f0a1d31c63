/*
 * bench_store [DIR [MEGABYTES]]: what lib/store does beside what the disk under it
 * allows, in one run.
 *
 *   raw stream    1 MiB appended + fdatasync, again and again: bytes per second
 *   raw flush     1 KiB appended + fdatasync: latency
 *   full blocks   16 full blocks per synchronous commit, housekeeper running.  Each byte
 *                 is written twice (log, page), so the most is raw stream / 2.  Disks
 *                 of rented machines change their speed: both take turns, 8 rounds
 *   two threads   the same, committed without sync by one thread and flushed by another,
 *                 at most 4 commits ahead
 *   small blocks  one 1 KiB block per synchronous commit: latency, to raw flush
 *   8 queues      8 blocks of 1 KiB per synchronous commit
 *   read          all full blocks of the queue in order, one read each
 *   reopen        after kill -9 in the middle of full blocks
 */
#include "base/clock.h"
#include "store/block.h"
#include "store/store.h"

#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024.0 * 1024.0)
#define SMALL 4000 /* flushes timed */
#define ROUNDS 8

static char dir[4096];
static size_t megabytes = 1024;
static atomic_bool stop;

static double
now(void)
{
	return (double)dfb_mono_ns() / 1e9;
}

static int
by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
percentiles(double *lat, size_t n, double *p50, double *p99)
{
	qsort(lat, n, sizeof *lat, by_value);
	*p50 = lat[n / 2] * 1e6;
	*p99 = lat[n * 99 / 100] * 1e6;
}

/* Seconds. */
static double
raw_stream(void)
{
	size_t len = 1 << 20, n = megabytes / ROUNDS / 2; /* MiB */
	char *buf = malloc(len), path[4200];
	double t;
	int fd;

	snprintf(path, sizeof path, "%s.raw", dir);
	if (buf == NULL || (fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600)) == -1)
		err(71, "'%s'", path);
	memset(buf, 'x', len);
	t = now();
	for (size_t i = 0; i < n; i++)
		if (write(fd, buf, len) != (ssize_t)len || fdatasync(fd) == -1)
			err(74, "'%s'", path);
	t = now() - t;
	close(fd);
	unlink(path);
	free(buf);
	return t;
}

static void
raw_flush(double *p50, double *p99)
{
	static double lat[SMALL];
	char buf[1100], path[4200];
	int fd;

	snprintf(path, sizeof path, "%s.raw", dir);
	if ((fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600)) == -1)
		err(71, "'%s'", path);
	memset(buf, 'x', sizeof buf);
	for (size_t i = 0; i < SMALL; i++) {
		double t = now();

		if (write(fd, buf, sizeof buf) != (ssize_t)sizeof buf || fdatasync(fd) == -1)
			err(74, "'%s'", path);
		lat[i] = now() - t;
	}
	close(fd);
	unlink(path);
	percentiles(lat, SMALL, p50, p99);
}

static struct dfb_store *
open_store(void)
{
	static const char *const tables[] = { "rows", NULL };
	struct dfb_store_config c = { .dir = dir, .tables = tables, .segments = true,
	    .owner = "bench_store" };
	struct dfb_store *s;
	int status;

	if (dfb_store_open(&c, &s, &status) == -1)
		exit(status);
	return s;
}

static void *
housekeeper(void *arg)
{
	for (unsigned tick = 1; !stop; tick++) {
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
		if (tick % 10 == 0 && dfb_store_checkpoint(arg, 65536) == -1)
			exit(74);
	}
	return NULL;
}

static struct dfb_block *
make_block(uint64_t queue, uint64_t base, size_t len)
{
	size_t n = len - DFB_BLOCK_HEADER;
	char *body = malloc(n);
	struct dfb_block *b = dfb_block_new(queue, base, n);

	if (body == NULL || b == NULL)
		err(71, "memory");
	memset(body, 'm', n);
	dfb_block_append(b, body, n, 64, dfb_wall_ms());
	dfb_block_seal(b);
	free(body);
	return b;
}

/* A thread that flushes what the main one committed. */
static struct flusher {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t change;
	struct dfb_store *store;
	size_t committed, flushed;
	bool stop;
} flusher = { .mutex = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

static void *
flush_along(void *arg)
{
	struct flusher *f = arg;

	pthread_mutex_lock(&f->mutex);
	while (!f->stop || f->flushed != f->committed) {
		size_t upto = f->committed;

		if (upto == f->flushed) {
			pthread_cond_wait(&f->change, &f->mutex);
			continue;
		}
		pthread_mutex_unlock(&f->mutex);
		if (dfb_store_flush(f->store) == -1)
			exit(74);
		pthread_mutex_lock(&f->mutex);
		f->flushed = upto;
		pthread_cond_broadcast(&f->change);
	}
	pthread_mutex_unlock(&f->mutex);
	return NULL;
}

static void
flusher_start(struct dfb_store *s)
{
	flusher.store = s;
	flusher.committed = flusher.flushed = 0;
	flusher.stop = false;
	pthread_create(&flusher.thread, NULL, flush_along, &flusher);
}

static void
flusher_took(void)
{
	pthread_mutex_lock(&flusher.mutex);
	flusher.committed++;
	pthread_cond_broadcast(&flusher.change);
	while (flusher.committed - flusher.flushed > 4)
		pthread_cond_wait(&flusher.change, &flusher.mutex);
	pthread_mutex_unlock(&flusher.mutex);
}

static void
flusher_stop(void)
{
	pthread_mutex_lock(&flusher.mutex);
	flusher.stop = true;
	pthread_cond_broadcast(&flusher.change);
	pthread_mutex_unlock(&flusher.mutex);
	pthread_join(flusher.thread, NULL);
}

/* Commit `per` blocks at a time, n times; queues take turns.  Seconds.  lat NULL: with
 * the flusher. */
static double
commits(struct dfb_store *s, size_t n, size_t per, size_t queues, uint64_t queue0,
    size_t len, double *lat)
{
	struct dfb_batch *batch = dfb_batch_new();
	struct dfb_block *blocks[64];
	uint64_t next[64] = {0}, first;
	double start;

	for (size_t i = 0; i < per; i++)
		blocks[i] = make_block(queue0 + i % queues, 0, len);
	for (size_t i = 0; i < queues; i++)
		dfb_store_extent(s, queue0 + i, &first, &next[i]);
	if (lat == NULL)
		flusher_start(s);
	start = now();
	for (size_t i = 0; i < n; i++) {
		double t = now();

		dfb_batch_clear(batch);
		for (size_t j = 0; j < per; j++) {
			blocks[j]->base = next[j % queues];
			next[j % queues] += 64;
			dfb_batch_block(batch, blocks[j]);
		}
		if (dfb_store_commit(s, batch, lat != NULL) == -1)
			exit(74);
		if (lat != NULL)
			lat[i] = now() - t;
		else
			flusher_took();
	}
	if (lat == NULL)
		flusher_stop();
	start = now() - start;
	for (size_t i = 0; i < per; i++)
		dfb_block_unref(blocks[i]);
	dfb_batch_free(batch);
	return start;
}

static void
killed_and_reopened(void)
{
	uint64_t first, next;
	struct dfb_store *s;
	double t;
	pid_t pid = fork();

	if (pid == -1)
		err(71, "fork");
	if (pid == 0) {
		pthread_t keeper;

		s = open_store();
		pthread_create(&keeper, NULL, housekeeper, s);
		commits(s, megabytes, 16, 1, 9, DFB_BLOCK_FULL, NULL);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	t = now();
	s = open_store();
	t = now() - t;
	if (dfb_store_extent(s, 9, &first, &next) != 1 || next - first != megabytes * 1024)
		errx(70, "lost blocks");
	printf("%-14s %8.0f ms after kill -9\n", "reopen", t * 1e3);
	dfb_store_close(s);
}

int
main(int argc, char **argv)
{
	static double lat[1 << 20];
	double raw = 0, t = 0, t2 = 0, rate, rate2, p50, p99, raw50, raw99;
	struct dfb_store *s;
	struct rusage ru;
	pthread_t keeper;
	uint64_t offset = 0;
	size_t bytes = 0, per_round;
	char cmd[4200];

	snprintf(dir, sizeof dir, "%s/bench_store.%ld", argc > 1 ? argv[1] :
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp", (long)getpid());
	if (argc > 2)
		megabytes = (size_t)atol(argv[2]);
	if (megabytes < 64 || megabytes > 1 << 20)
		errx(64, "give 64 to 1048576 megabytes");

	raw_flush(&raw50, &raw99);
	s = open_store();
	pthread_create(&keeper, NULL, housekeeper, s);
	per_round = megabytes / ROUNDS;
	for (size_t i = 0; i < ROUNDS; i++) {
		raw += raw_stream();
		t += commits(s, per_round, 16, 1, 1, DFB_BLOCK_FULL, lat + i * per_round);
		raw += raw_stream();
		t2 += commits(s, per_round, 16, 1, 3, DFB_BLOCK_FULL, NULL);
	}
	rate = (double)(per_round * ROUNDS * 16) * DFB_BLOCK_FULL / MIB / t;
	rate2 = rate * t / t2;
	percentiles(lat, per_round * ROUNDS, &p50, &p99);
	raw = (double)(per_round / 2 * ROUNDS * 2) / raw;
	printf("%-14s %8.0f MB/s\n", "raw stream", raw);
	printf("%-14s %8.0f us p50 %8.0f us p99\n", "raw flush", raw50, raw99);
	printf("%-14s %8.0f MB/s = %.2f of raw / 2; commit %.1f ms p50 %.1f ms p99\n",
	    "full blocks", rate, rate / (raw / 2), p50 / 1e3, p99 / 1e3);

	printf("%-14s %8.0f MB/s = %.2f of raw / 2\n", "two threads", rate2,
	    rate2 / (raw / 2));

	commits(s, SMALL, 1, 1, 2, 1024, lat);
	percentiles(lat, SMALL, &p50, &p99);
	printf("%-14s %8.0f us p50 %8.0f us p99 = %.2f, %.2f of raw\n", "small blocks",
	    p50, p99, p50 / raw50, p99 / raw99);
	commits(s, SMALL, 8, 8, 10, 1024, lat);
	percentiles(lat, SMALL, &p50, &p99);
	printf("%-14s %8.0f us p50 %8.0f us p99 = %.2f, %.2f of raw\n", "8 queues",
	    p50, p99, p50 / raw50, p99 / raw99);

	t = now();
	for (struct dfb_block *b; dfb_store_read(s, 1, offset, &b) == 1;) {
		offset = b->base + b->count;
		bytes += b->len;
		dfb_block_unref(b);
	}
	t = now() - t;
	printf("%-14s %8.0f MB/s\n", "read", (double)bytes / MIB / t);
	stop = true;
	pthread_join(keeper, NULL);
	t = now();
	dfb_store_close(s);
	printf("%-14s %8.0f ms\n", "close", (now() - t) * 1e3);
	getrusage(RUSAGE_SELF, &ru);
	printf("%-14s %8.0f MB resident, %.1f s user, %.1f s system\n", "memory",
	    (double)ru.ru_maxrss / 1024, (double)ru.ru_utime.tv_sec +
	    (double)ru.ru_utime.tv_usec / 1e6, (double)ru.ru_stime.tv_sec +
	    (double)ru.ru_stime.tv_usec / 1e6);
	stop = false;
	fflush(stdout);
	killed_and_reopened();
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
	return system(cmd) == 0 ? 0 : 71;
}
