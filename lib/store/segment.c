#include "dfb.h"
#include "store/internal.h"
#include "store/store.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_FORMAT "seg-%06u.db"
#define NAME_MAX_LEN 32

void
dfb_segment_key(uint8_t key[SEGMENT_KEY], uint64_t queue, uint64_t base)
{
	uint64_t q = htobe64(queue), b = htobe64(base);

	memcpy(key, &q, 8);
	memcpy(key + 8, &b, 8);
}

void
dfb_segment_key_parse(const uint8_t key[SEGMENT_KEY], uint64_t *queue, uint64_t *base)
{
	uint64_t q, b;

	memcpy(&q, key, 8);
	memcpy(&b, key + 8, 8);
	*queue = be64toh(q);
	*base = be64toh(b);
}

/* The number of a segment's file, 0 for any other name. */
static uint32_t
number_of(const char *name)
{
	char again[NAME_MAX_LEN];
	unsigned n;

	if (sscanf(name, NAME_FORMAT, &n) != 1)
		return 0;
	snprintf(again, sizeof again, NAME_FORMAT, n);
	return strcmp(name, again) == 0 ? n : 0;
}

uint64_t
dfb_segment_size(const struct segment *g)
{
	DB_MPOOLFILE *f = g->db->get_mpf(g->db);
	db_pgno_t last = 0;

	return f->get_last_pgno(f, &last) == 0 ? ((uint64_t)last + 1) * STORE_PAGE : 0;
}

/* Open a segment as the newest; NULL with *err. */
static struct segment *
open_segment(struct dfb_store *s, uint32_t number, uint32_t flags, int *err)
{
	struct segment *g = calloc(1, sizeof *g), **p = s->segs;
	char name[NAME_MAX_LEN];

	*err = ENOMEM;
	if (g == NULL)
		return NULL;
	snprintf(name, sizeof name, NAME_FORMAT, number);
	g->number = number;
	if ((*err = dfb_store_btree_open(s, &g->db, name, NULL, STORE_PAGE,
	    flags | DB_READ_UNCOMMITTED)) != 0) {
		free(g);
		return NULL;
	}
	g->bytes = dfb_segment_size(g);
	pthread_mutex_lock(&s->mutex);
	if (s->nsegs == s->segs_cap) {
		size_t cap = s->segs_cap != 0 ? s->segs_cap * 2 : 16;

		if ((p = reallocarray(s->segs, cap, sizeof *p)) != NULL) {
			s->segs = p;
			s->segs_cap = cap;
		}
	}
	if (p != NULL || s->nsegs < s->segs_cap)
		s->segs[s->nsegs++] = g;
	else
		*err = ENOMEM;
	pthread_mutex_unlock(&s->mutex);
	if (*err != 0) {
		(void)g->db->close(g->db, 0);
		free(g);
		return NULL;
	}
	return g;
}

static int
by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The numbers of the segment files, sorted: how many, or -1 with errno. */
static ssize_t
list_files(const char *dir, uint32_t **out)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	uint32_t *list = NULL, n;
	size_t len = 0, cap = 0;

	if (d == NULL)
		return -1;
	while (errno = 0, (e = readdir(d)) != NULL) {
		if ((n = number_of(e->d_name)) == 0)
			continue;
		if (len == cap) {
			uint32_t *p = reallocarray(list, cap = cap * 2 + 16, sizeof *p);

			if (p == NULL)
				break;
			list = p;
		}
		list[len++] = n;
	}
	if (errno != 0) {
		int saved = errno;

		free(list);
		closedir(d);
		errno = saved;
		return -1;
	}
	closedir(d);
	if (len != 0)
		qsort(list, len, sizeof *list, by_number);
	*out = list;
	return (ssize_t)len;
}

/*
 * A crash in the midst of a drop can leave a stub: recovery makes the file anew from the log
 * and has no pages to put in, and the segment cannot be opened.  So a file says that it
 * is to go, from before the drop until after it.
 */
#define DROP_FORMAT "seg-%06u.drop"

/* Make or remove that file, for good: 0 or errno. */
static int
mark_drop(const struct dfb_store *s, uint32_t number, bool make)
{
	int dfd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd, e = 0;
	char name[NAME_MAX_LEN];

	if (dfd == -1)
		return errno;
	snprintf(name, sizeof name, DROP_FORMAT, number);
	if (!make)
		e = unlinkat(dfd, name, 0) == -1 ? errno : 0;
	else if ((fd = openat(dfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == -1)
		e = errno;
	else
		close(fd);
	if (e == 0 && fsync(dfd) == -1)
		e = errno;
	close(dfd);
	return e;
}

static bool
is_marked(const struct dfb_store *s, uint32_t number)
{
	char *path;
	bool is;

	if (asprintf(&path, "%s/" DROP_FORMAT, s->dir, number) == -1)
		return false;
	is = access(path, F_OK) == 0;
	free(path);
	return is;
}

/* After recovery.  A stub is less than a page, and Berkeley DB would not open it.  Of a whole segment it
 * has pages from recovery, and must do it. */
static int
end_drop(struct dfb_store *s, uint32_t number)
{
	char name[NAME_MAX_LEN], *path;
	struct stat st;
	int e = 0;

	snprintf(name, sizeof name, NAME_FORMAT, number);
	if (asprintf(&path, "%s/%s", s->dir, name) == -1)
		return ENOMEM;
	if (stat(path, &st) == -1)
		e = errno;
	else if (st.st_size >= STORE_PAGE)
		e = s->env->dbremove(s->env, NULL, name, NULL, DB_AUTO_COMMIT);
	else if (unlink(path) == -1)
		e = errno;
	free(path);
	return e;
}

/* End the drops that a crash interrupted, after recovery: 0 or an error. */
static int
end_drops(struct dfb_store *s, const uint32_t *list, ssize_t n)
{
	int e = 0;

	for (ssize_t i = 0; i < n && e == 0; i++)
		if (is_marked(s, list[i]) && (e = end_drop(s, list[i])) == 0)
			e = mark_drop(s, list[i], false);
	return e;
}

int
dfb_store_segments_open(struct dfb_store *s, int *status)
{
	uint32_t *list = NULL;
	ssize_t n;
	int e = 0;

	if (!s->has_segments)
		return 0;
	if ((n = list_files(s->dir, &list)) == -1)
		return dfb_store_open_fail(s, errno, status, "list its segments");
	e = end_drops(s, list, n);
	free(list);
	list = NULL;
	if (e != 0)
		return dfb_store_open_fail(s, e, status, "end the drop of a segment");
	if ((n = list_files(s->dir, &list)) == -1)
		return dfb_store_open_fail(s, errno, status, "list its segments");
	for (ssize_t i = 0; i < n && e == 0; i++) {
		struct segment *g = open_segment(s, list[i], 0, &e);

		if (g != NULL)
			e = dfb_segment_scan(s, g);
		if (e != 0)
			dfb_store_open_fail(s, e, status, "read segment %u (it may be "
			    "damaged: restore a backup)", list[i]);
	}
	free(list);
	return e == 0 ? 0 : -1;
}

void
dfb_store_segments_close(struct dfb_store *s)
{
	int e;

	for (size_t i = 0; i < s->nsegs; i++) {
		if ((e = s->segs[i]->db->close(s->segs[i]->db, 0)) != 0)
			dfb_store_fail(s, e, "close segment %u", s->segs[i]->number);
		free(s->segs[i]);
	}
	free(s->segs);
	dfb_spans_release(&s->spans);
}

struct segment *
dfb_store_segment_current(struct dfb_store *s)
{
	/* Only this thread changes the list: it may read it without the mutex. */
	struct segment *g = s->nsegs != 0 ? s->segs[s->nsegs - 1] : NULL;
	uint32_t number = g != NULL ? g->number + 1 : 1;
	int e;

	if (g != NULL && g->bytes < s->segment_bytes)
		return g;
	if ((g = open_segment(s, number, DB_CREATE | DB_EXCL, &e)) == NULL)
		dfb_store_fail(s, e, "make segment %u", number);
	return g;
}

size_t
dfb_store_segments(struct dfb_store *s, struct dfb_segment_info *out, size_t max)
{
	size_t n;

	pthread_mutex_lock(&s->mutex);
	n = s->nsegs;
	for (size_t i = 0; i < n && i < max; i++)
		out[i] = (struct dfb_segment_info){ .number = s->segs[i]->number,
		    .current = i == n - 1, .bytes = s->segs[i]->bytes,
		    .last_ms = s->segs[i]->last_ms };
	pthread_mutex_unlock(&s->mutex);
	return n;
}

/* The place of a segment in the list, nsegs when there is none.  Under the mutex. */
static size_t
place_of(const struct dfb_store *s, uint32_t number)
{
	size_t i = 0;

	while (i < s->nsegs && s->segs[i]->number != number)
		i++;
	return i;
}

int
dfb_store_segment_queues(struct dfb_store *s, uint32_t number,
    int (*fn)(void *arg, uint64_t queue, uint64_t next), void *arg)
{
	struct { uint64_t queue, next; } *list;
	size_t n = 0;
	int ret = 0;

	/* Copied, so that fn may use the store. */
	pthread_mutex_lock(&s->mutex);
	list = reallocarray(NULL, s->spans.n + 1, sizeof *list);
	for (size_t i = 0; list != NULL && i < s->spans.n; i++) {
		const struct spans_queue *q = &s->spans.queues[i];

		for (size_t j = 0; j < q->n; j++)
			if (q->spans[j].seg->number == number) {
				list[n].queue = q->queue;
				list[n++].next = q->spans[j].next;
				break;
			}
	}
	pthread_mutex_unlock(&s->mutex);
	if (list == NULL)
		return dfb_store_fail(s, ENOMEM, "list the queues of segment %u", number);
	for (size_t i = 0; i < n && ret == 0; i++)
		ret = fn(arg, list[i].queue, list[i].next);
	free(list);
	return ret;
}

int
dfb_store_segment_drop(struct dfb_store *s, uint32_t number)
{
	struct segment *g;
	char name[NAME_MAX_LEN];
	size_t i;
	int e;

	if (!dfb_store_ok(s))
		return -1;
	pthread_mutex_lock(&s->mutex);
	if ((i = place_of(s, number)) + 1 >= s->nsegs) {
		pthread_mutex_unlock(&s->mutex);
		return dfb_store_fail(s, EINVAL, "drop segment %u, which is %s", number,
		    i < s->nsegs ? "being written" : "not there");
	}
	g = s->segs[i];
	memmove(&s->segs[i], &s->segs[i + 1], (s->nsegs - i - 1) * sizeof *s->segs);
	s->nsegs--;
	dfb_spans_forget(&s->spans, g); /* nobody finds it any more */
	while (g->readers != 0)
		pthread_cond_wait(&s->idle, &s->mutex);
	pthread_mutex_unlock(&s->mutex);

	snprintf(name, sizeof name, NAME_FORMAT, number);
	e = mark_drop(s, number, true);
	if (e == 0)
		e = g->db->close(g->db, 0);
	free(g);
	if (e == 0)
		e = s->env->dbremove(s->env, NULL, name, NULL, DB_AUTO_COMMIT);
	if (e == 0)
		e = mark_drop(s, number, false);
	return e == 0 ? 0 : dfb_store_fail(s, e, "drop segment %u", number);
}
