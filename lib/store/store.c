#include "base/log.h"
#include "dfb.h"
#include "store/internal.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT_BYTES_DEFAULT (UINT64_C(256) << 20)

/* Undo what was opened, in any state of it.  0, or -1 when the store failed. */
static int
discard(struct dfb_store *s)
{
	DB_ENV *env = s->env;
	int e, ret;

	dfb_store_segments_close(s);
	for (size_t i = 0; i < s->ntables; i++)
		if (s->tables[i] != NULL &&
		    (e = s->tables[i]->close(s->tables[i], 0)) != 0)
			dfb_store_fail(s, e, "close a table");
	free(s->tables);
	s->env = NULL; /* gone, however that ends */
	if (env != NULL && (e = env->close(env, 0)) != 0)
		dfb_store_fail(s, e, "close the environment");
	ret = dfb_store_ok(s) ? 0 : -1;
	dfb_store_dir_close(s);
	pthread_cond_destroy(&s->keeper.wake);
	pthread_mutex_destroy(&s->keeper.mutex);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->mutex);
	free(s->dir);
	free(s);
	return ret;
}

static int
start_keeper(struct dfb_store *s, int *status)
{
	int e = dfb_keeper_start(s);

	return e == 0 ? 0 : dfb_store_open_fail(s, e, status, "start a thread");
}

int
dfb_store_open(const struct dfb_store_config *c, struct dfb_store **out, int *status)
{
	struct dfb_store *s = calloc(1, sizeof *s);

	*out = NULL;
	*status = DFB_OSERR;
	if (s == NULL || (s->dir = strdup(c->dir)) == NULL) {
		log_err("cannot open store '%s'", c->dir);
		free(s);
		return -1;
	}
	s->lock_fd = -1;
	s->has_segments = c->segments;
	s->segment_bytes = c->segment_bytes != 0 ? c->segment_bytes : SEGMENT_BYTES_DEFAULT;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->idle, NULL);
	pthread_mutex_init(&s->keeper.mutex, NULL);
	pthread_cond_init(&s->keeper.wake, NULL);
	if (dfb_store_dir_open(s, c->owner, status) == -1 ||
	    dfb_store_env_open(s, c->cache_bytes, status) == -1 ||
	    dfb_store_tables_open(s, c->tables, status) == -1 ||
	    dfb_store_segments_open(s, status) == -1 ||
	    start_keeper(s, status) == -1) {
		s->failed = true; /* what closing says adds nothing */
		(void)discard(s);
		return -1;
	}
	*status = DFB_OK;
	*out = s;
	return 0;
}

int
dfb_store_close(struct dfb_store *s)
{
	if (s == NULL)
		return 0;
	dfb_keeper_stop(s);
	if (dfb_store_ok(s))
		(void)dfb_store_checkpoint(s, 0);
	return discard(s);
}
