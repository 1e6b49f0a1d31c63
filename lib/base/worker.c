#include "base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct list {
	struct dfb_job *first, **last;
};

struct dfb_worker {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	struct list todo, done; /* both under the mutex */
	bool stop;
	int fd;
};

static void
list_init(struct list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void
list_add(struct list *l, struct dfb_job *j)
{
	j->next = NULL;
	*l->last = j;
	l->last = &j->next;
}

static struct dfb_job *
list_take(struct list *l)
{
	struct dfb_job *j = l->first;

	if (j != NULL && (l->first = j->next) == NULL)
		l->last = &l->first;
	return j;
}

static void *
work(void *arg)
{
	struct dfb_worker *w = arg;

	pthread_mutex_lock(&w->mutex);
	for (;;) {
		struct dfb_job *j = list_take(&w->todo);
		bool first;

		if (j == NULL) {
			if (w->stop)
				break;
			pthread_cond_wait(&w->wake, &w->mutex);
			continue;
		}
		pthread_mutex_unlock(&w->mutex);
		j->run(j);
		pthread_mutex_lock(&w->mutex);
		first = w->done.first == NULL;
		list_add(&w->done, j);
		if (first) {
			uint64_t one = 1;
			if (write(w->fd, &one, sizeof one) == -1 && errno != EAGAIN)
				abort();
		}
	}
	pthread_mutex_unlock(&w->mutex);
	return NULL;
}

struct dfb_worker *
dfb_worker_new(const char *name)
{
	struct dfb_worker *w = calloc(1, sizeof *w);
	sigset_t all, old;
	int e;

	if (w == NULL)
		return NULL;
	if ((w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1) {
		free(w);
		return NULL;
	}
	list_init(&w->todo);
	list_init(&w->done);
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->wake, NULL);
	sigfillset(&all); /* signals are the owner's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&w->thread, NULL, work, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e != 0) {
		close(w->fd);
		free(w);
		errno = e;
		return NULL;
	}
	pthread_setname_np(w->thread, name);
	return w;
}

void
dfb_worker_free(struct dfb_worker *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->mutex);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
	pthread_join(w->thread, NULL);
	dfb_worker_collect(w);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->mutex);
	close(w->fd);
	free(w);
}

void
dfb_worker_submit(struct dfb_worker *w, struct dfb_job *j)
{
	pthread_mutex_lock(&w->mutex);
	list_add(&w->todo, j);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
}

int
dfb_worker_fd(const struct dfb_worker *w)
{
	return w->fd;
}

unsigned
dfb_worker_collect(struct dfb_worker *w)
{
	struct dfb_job *j;
	uint64_t count;
	unsigned n = 0;

	if (read(w->fd, &count, sizeof count) == -1 && errno != EAGAIN)
		abort();
	pthread_mutex_lock(&w->mutex);
	j = w->done.first;
	list_init(&w->done);
	pthread_mutex_unlock(&w->mutex);
	while (j != NULL) {
		struct dfb_job *next = j->next;
		j->done(j);
		j = next;
		n++;
	}
	return n;
}
