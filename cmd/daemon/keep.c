#include "daemon/keep.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/timer.h"
#include "base/worker.h"
#include "dfb.h"
#include "net/loop.h"
#include "store/store.h"

#define CHECKPOINT_KB 4096

struct dfb_keep {
	struct dfb_job job;         /* commits `writing`; first: it is cast back */
	bool busy;                  /* the job is in the thread */
	int result;
	struct dfb_batch *writing, *gathering;
	struct dfb_store *store;
	struct dfb_worker *worker;
	struct dfb_loop *loop;
	struct dfb_timer timer;     /* runs while something is gathered */
	void (*failed)(void *arg, int status);
	void *arg;
	bool broken, closing;
};

struct dfb_keep *
dfb_keep_open(const struct dfb_store_config *cf, int *status)
{
	struct dfb_keep *k = calloc(1, sizeof *k);

	if (k == NULL || (k->writing = dfb_batch_new()) == NULL ||
	    (k->gathering = dfb_batch_new()) == NULL) {
		log_err("cannot open '%s'", cf->dir);
		*status = DFB_OSERR;
	} else if (dfb_store_open(cf, &k->store, status) == 0)
		return k;
	if (k != NULL) {
		dfb_batch_free(k->writing);
		dfb_batch_free(k->gathering);
	}
	free(k);
	return NULL;
}

struct dfb_store *
dfb_keep_store(struct dfb_keep *k)
{
	return k->store;
}

/* In the thread. */
static void
commit(struct dfb_job *job)
{
	struct dfb_keep *k = (struct dfb_keep *)job;

	k->result = dfb_store_commit(k->store, k->writing, true);
	if (k->result == 0)
		k->result = dfb_store_checkpoint(k->store, CHECKPOINT_KB);
}

static void
broke(struct dfb_keep *k, int status)
{
	if (k->broken)
		return;
	k->broken = true;
	if (k->failed != NULL)
		k->failed(k->arg, status);
}

/* What was gathered becomes what is written. */
static void
take(struct dfb_keep *k)
{
	struct dfb_batch *full = k->gathering;

	k->gathering = k->writing;
	k->writing = full;
}

static void
submit(struct dfb_keep *k)
{
	take(k);
	k->busy = true;
	dfb_worker_submit(k->worker, &k->job);
}

static void
on_timer(struct dfb_timer *t, void *arg)
{
	struct dfb_keep *k = arg;

	(void)t;
	if (!k->busy && !k->broken)
		submit(k);
}

static void
committed(struct dfb_job *job)
{
	struct dfb_keep *k = (struct dfb_keep *)job;

	k->busy = false;
	dfb_batch_clear(k->writing);
	if (k->result == -1)
		broke(k, DFB_IOERR);
	else if (!k->closing && !k->broken && !dfb_batch_is_empty(k->gathering) &&
	    !dfb_timer_is_set(&k->timer))
		submit(k);
}

static void
on_worker(void *arg, uint32_t ready)
{
	struct dfb_keep *k = arg;

	(void)ready;
	dfb_worker_collect(k->worker);
}

int
dfb_keep_start(struct dfb_keep *k, struct dfb_loop *loop, void (*failed)(void *, int),
    void *arg)
{
	k->loop = loop;
	k->failed = failed;
	k->arg = arg;
	k->job.run = commit;
	k->job.done = committed;
	k->timer.fn = on_timer;
	k->timer.arg = k;
	if ((k->worker = dfb_worker_new("commit")) == NULL)
		return -1;
	return dfb_loop_add_fd(loop, dfb_worker_fd(k->worker), EPOLLIN, on_worker, k);
}

/* A change was added to the batch, or could not be. */
static int
changed(struct dfb_keep *k, int rc)
{
	if (rc == -1) {
		log_err("cannot gather what is to be written");
		broke(k, DFB_OSERR);
	} else if (k->worker != NULL && !k->busy && !dfb_timer_is_set(&k->timer))
		dfb_loop_timer(k->loop, &k->timer, 0);
	return rc;
}

int
dfb_keep_put(struct dfb_keep *k, int table, const void *key, size_t klen, const void *val,
    size_t vlen)
{
	return changed(k, dfb_batch_put(k->gathering, table, key, klen, val, vlen));
}

int
dfb_keep_del(struct dfb_keep *k, int table, const void *key, size_t klen)
{
	return changed(k, dfb_batch_del(k->gathering, table, key, klen));
}

void
dfb_keep_fail(struct dfb_keep *k)
{
	(void)changed(k, -1);
}

int
dfb_keep_commit(struct dfb_keep *k)
{
	int rc = dfb_store_commit(k->store, k->gathering, true);

	dfb_batch_clear(k->gathering);
	return rc == -1 ? DFB_IOERR : DFB_OK;
}

int
dfb_keep_close(struct dfb_keep *k)
{
	int status = DFB_OK;

	if (k == NULL)
		return DFB_OK;
	if (k->worker != NULL) {
		dfb_loop_timer_stop(k->loop, &k->timer);
		dfb_loop_del_fd(k->loop, dfb_worker_fd(k->worker));
		k->closing = true;
		dfb_worker_free(k->worker);
		if (!k->broken && !dfb_batch_is_empty(k->gathering)) {
			take(k);
			commit(&k->job);
			committed(&k->job);
		}
		if (k->broken)
			status = DFB_IOERR;
	}
	if (dfb_store_close(k->store) == -1)
		status = DFB_IOERR;
	dfb_batch_free(k->writing);
	dfb_batch_free(k->gathering);
	free(k);
	return status;
}
