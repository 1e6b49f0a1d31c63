#include "store/internal.h"
#include "store/store.h"

#include <signal.h>

/* Checkpoint after so many bytes of batches.  Recovery reads at most about twice that,
 * and as a thread of its own writes the pages, the commit thread finds clean
 * ones to reuse. */
#define KEEP_BYTES (8u << 20)

static void *
keep(void *arg)
{
	struct dfb_store *s = arg;
	struct keeper *k = &s->keeper;

	pthread_mutex_lock(&k->mutex);
	while (!k->stop) {
		if (k->bytes < KEEP_BYTES) {
			pthread_cond_wait(&k->wake, &k->mutex);
			continue;
		}
		k->bytes = 0;
		pthread_mutex_unlock(&k->mutex);
		if (dfb_store_checkpoint(s, 0) == -1)
			return NULL; /* the commit thread sees that the store failed */
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

	sigfillset(&all); /* signals are the owner's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&k->thread, NULL, keep, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e == 0) {
		k->running = true;
		pthread_setname_np(k->thread, "store-keeper");
	}
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
}

void
dfb_keeper_note(struct dfb_store *s, size_t bytes)
{
	struct keeper *k = &s->keeper;

	pthread_mutex_lock(&k->mutex);
	k->bytes += bytes;
	if (k->bytes >= KEEP_BYTES)
		pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->mutex);
}
