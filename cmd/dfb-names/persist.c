#include "dfb-names/persist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/worker.h"
#include "dfb-names/registry.h"
#include "dfb-names/rows.h"
#include "dfb.h"
#include "net/loop.h"
#include "store/store.h"

#define CACHE_BYTES (2u << 20)
#define CHECKPOINT_KB 4096

/* A start takes so many versions for itself: they need not be written one by one. */
#define VERSIONS (UINT64_C(1) << 32)

enum { TABLE_ENTRIES, TABLE_OFFERS, TABLE_META };
static const char *const tables[] = { "entries", "offers", "meta", NULL };
static const char version_key[] = "version";

struct names_persist {
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

struct names_persist *
persist_open(const char *dir, int *status)
{
	struct names_persist *p = calloc(1, sizeof *p);

	if (p == NULL || (p->writing = dfb_batch_new()) == NULL ||
	    (p->gathering = dfb_batch_new()) == NULL) {
		log_err("cannot open '%s'", dir);
		*status = DFB_OSERR;
	} else if (dfb_store_open(&(struct dfb_store_config){ .dir = dir,
	    .tables = tables, .cache_bytes = CACHE_BYTES, .owner = "dfb-names" },
	    &p->store, status) == 0)
		return p;
	if (p != NULL) {
		dfb_batch_free(p->writing);
		dfb_batch_free(p->gathering);
	}
	free(p);
	return NULL;
}

/* ---- reading ---- */

static int
bad_row(const char *table)
{
	log_errx("a row of table '%s' is malformed: remove the data directory, the registry "
	    "fills itself again", table);
	return DFB_BADINPUT;
}

static int
load_version(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	uint64_t *version = arg;

	if (klen != sizeof version_key - 1 || memcmp(key, version_key, klen) != 0)
		return 0;
	return rows_version_read(val, vlen, version) == 0 ? 0 : bad_row("meta");
}

static int
load_entry(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct names_facts facts;
	char name[NAMES_WORD];

	if (rows_entry_read(key, klen, val, vlen, name, &facts) == -1)
		return bad_row("entries");
	if (registry_add(arg, name, &facts) == NULL) {
		log_err("cannot load the registry");
		return DFB_OSERR;
	}
	return 0;
}

static int
load_offer(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct names_entry *e;
	char name[NAMES_WORD], topic[DFB_TOPIC_MAX];

	(void)val;
	(void)vlen;
	if (rows_offer_read(key, klen, name, topic) == -1)
		return bad_row("offers");
	if ((e = registry_find(arg, name)) == NULL)
		return bad_row("offers");
	if (registry_offer(arg, e, topic, 0) == -1) {
		log_err("cannot load the registry");
		return DFB_OSERR;
	}
	return 0;
}

static int
scan_status(int rc)
{
	return rc == -1 ? DFB_IOERR : rc;
}

uint64_t
persist_version(struct names_persist *p, bool *again, int *status)
{
	uint64_t version = 0, now = dfb_wall_ms();
	uint8_t row[ROWS_VERSION];

	*status = scan_status(dfb_store_scan(p->store, TABLE_META, load_version, &version));
	if (*status != DFB_OK)
		return 0;
	*again = version != 0;
	if (version < now)
		version = now;
	rows_version_write(row, version + VERSIONS);
	if (dfb_batch_put(p->gathering, TABLE_META, version_key, sizeof version_key - 1,
	    row, sizeof row) == -1) {
		log_err("cannot write the registry");
		*status = DFB_OSERR;
	} else if (dfb_store_commit(p->store, p->gathering, true) == -1)
		*status = DFB_IOERR;
	dfb_batch_clear(p->gathering);
	return version;
}

int
persist_load(struct names_persist *p, struct names_registry *r)
{
	int status = scan_status(dfb_store_scan(p->store, TABLE_ENTRIES, load_entry, r));

	if (status != DFB_OK)
		return status;
	return scan_status(dfb_store_scan(p->store, TABLE_OFFERS, load_offer, r));
}

/* ---- writing ---- */

/* In the thread. */
static void
commit(struct dfb_job *job)
{
	struct names_persist *p = (struct names_persist *)job;

	p->result = dfb_store_commit(p->store, p->writing, true);
	if (p->result == 0)
		p->result = dfb_store_checkpoint(p->store, CHECKPOINT_KB);
}

static void
broke(struct names_persist *p, int status)
{
	if (p->broken)
		return;
	p->broken = true;
	p->failed(p->arg, status);
}

/* What was gathered becomes what is written. */
static void
take(struct names_persist *p)
{
	struct dfb_batch *full = p->gathering;

	p->gathering = p->writing;
	p->writing = full;
}

static void
submit(struct names_persist *p)
{
	take(p);
	p->busy = true;
	dfb_worker_submit(p->worker, &p->job);
}

static void
on_timer(struct dfb_timer *t, void *arg)
{
	struct names_persist *p = arg;

	(void)t;
	if (!p->busy && !p->broken)
		submit(p);
}

static void
committed(struct dfb_job *job)
{
	struct names_persist *p = (struct names_persist *)job;

	p->busy = false;
	dfb_batch_clear(p->writing);
	if (p->result == -1)
		broke(p, DFB_IOERR);
	else if (!p->closing && !dfb_batch_is_empty(p->gathering) &&
	    p->timer.slot == 0)
		submit(p);
}

static void
on_worker(void *arg, uint32_t ready)
{
	struct names_persist *p = arg;

	(void)ready;
	dfb_worker_collect(p->worker);
}

int
persist_start(struct names_persist *p, struct dfb_loop *loop,
    void (*failed)(void *, int), void *arg)
{
	p->loop = loop;
	p->failed = failed;
	p->arg = arg;
	p->job.run = commit;
	p->job.done = committed;
	p->timer.fn = on_timer;
	p->timer.arg = p;
	if ((p->worker = dfb_worker_new("commit")) == NULL)
		return -1;
	return dfb_loop_add_fd(loop, dfb_worker_fd(p->worker), EPOLLIN, on_worker, p);
}

/* A change was added to the batch, or could not be. */
static void
changed(struct names_persist *p, int rc)
{
	if (rc == -1) {
		log_err("cannot write the registry");
		broke(p, DFB_OSERR);
	} else if (!p->busy && p->timer.slot == 0)
		dfb_loop_timer(p->loop, &p->timer, 0);
}

void
persist_entry(struct names_persist *p, const struct names_entry *e)
{
	uint8_t row[ROWS_ENTRY_MAX];
	size_t n = rows_entry_write(row, &e->facts);

	changed(p, dfb_batch_put(p->gathering, TABLE_ENTRIES, e->name, strlen(e->name), row,
	    n));
}

static int
offer_row(struct names_persist *p, const char *name, const char *topic, bool put)
{
	char key[ROWS_OFFER_MAX];
	size_t n = rows_offer_write(key, name, topic);

	return put ? dfb_batch_put(p->gathering, TABLE_OFFERS, key, n, "", 0) :
	    dfb_batch_del(p->gathering, TABLE_OFFERS, key, n);
}

void
persist_offer(struct names_persist *p, const struct names_entry *e, const char *topic)
{
	changed(p, offer_row(p, e->name, topic, true));
}

void
persist_unoffer(struct names_persist *p, const struct names_entry *e, const char *topic)
{
	changed(p, offer_row(p, e->name, topic, false));
}

struct gone {
	struct names_persist *p;
	const char *name;
	int rc;
};

static void
offer_gone(void *arg, const char *topic)
{
	struct gone *g = arg;

	if (offer_row(g->p, g->name, topic, false) == -1)
		g->rc = -1;
}

void
persist_gone(struct names_persist *p, const struct names_entry *e)
{
	struct gone g = { p, e->name, 0 };

	registry_offers(e, offer_gone, &g);
	if (dfb_batch_del(p->gathering, TABLE_ENTRIES, e->name, strlen(e->name)) == -1)
		g.rc = -1;
	changed(p, g.rc);
}

int
persist_close(struct names_persist *p)
{
	int status = DFB_OK;

	if (p == NULL)
		return DFB_OK;
	if (p->worker != NULL) {
		dfb_loop_timer_stop(p->loop, &p->timer);
		dfb_loop_del_fd(p->loop, dfb_worker_fd(p->worker));
		p->closing = true;
		dfb_worker_free(p->worker);
		if (!p->broken && !dfb_batch_is_empty(p->gathering)) {
			take(p);
			commit(&p->job);
			committed(&p->job);
		}
		if (p->broken)
			status = DFB_IOERR;
	}
	if (dfb_store_close(p->store) == -1)
		status = DFB_IOERR;
	dfb_batch_free(p->writing);
	dfb_batch_free(p->gathering);
	free(p);
	return status;
}
