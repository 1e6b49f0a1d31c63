#include "dfb-names/persist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/keep.h"
#include "dfb-names/registry.h"
#include "dfb-names/rows.h"
#include "dfb.h"
#include "store/store.h"

#define CACHE_BYTES (2u << 20)

/* A start takes so many versions for itself: they need not be written one by one. */
#define VERSIONS (UINT64_C(1) << 32)

enum { TABLE_ENTRIES, TABLE_OFFERS, TABLE_META };
static const char *const tables[] = { "entries", "offers", "meta", NULL };
static const char version_key[] = "version";

struct names_persist {
	struct dfb_keep *keep;
};

struct names_persist *
persist_open(const char *dir, int *status)
{
	struct names_persist *p = calloc(1, sizeof *p);

	if (p == NULL) {
		log_err("cannot open '%s'", dir);
		*status = DFB_OSERR;
	} else if ((p->keep = dfb_keep_open(&(struct dfb_store_config){ .dir = dir,
	    .tables = tables, .cache_bytes = CACHE_BYTES, .owner = "dfb-names" },
	    status)) != NULL)
		return p;
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

	*status = scan_status(dfb_store_scan(dfb_keep_store(p->keep), TABLE_META, load_version, &version));
	if (*status != DFB_OK)
		return 0;
	*again = version != 0;
	if (version < now)
		version = now;
	rows_version_write(row, version + VERSIONS);
	*status = dfb_keep_put(p->keep, TABLE_META, version_key, sizeof version_key - 1, row,
	    sizeof row) == -1 ? DFB_OSERR : dfb_keep_commit(p->keep);
	return version;
}

int
persist_load(struct names_persist *p, struct names_registry *r)
{
	int status = scan_status(dfb_store_scan(dfb_keep_store(p->keep), TABLE_ENTRIES, load_entry, r));

	if (status != DFB_OK)
		return status;
	return scan_status(dfb_store_scan(dfb_keep_store(p->keep), TABLE_OFFERS, load_offer, r));
}

/* ---- writing ---- */

int
persist_start(struct names_persist *p, struct dfb_loop *loop,
    void (*failed)(void *, int), void *arg)
{
	return dfb_keep_start(p->keep, loop, failed, arg);
}

void
persist_entry(struct names_persist *p, const struct names_entry *e)
{
	uint8_t row[ROWS_ENTRY_MAX];
	size_t n = rows_entry_write(row, &e->facts);

	dfb_keep_put(p->keep, TABLE_ENTRIES, e->name, strlen(e->name), row, n);
}

static void
offer_row(struct names_persist *p, const char *name, const char *topic, bool put)
{
	char key[ROWS_OFFER_MAX];
	size_t n = rows_offer_write(key, name, topic);

	if (put)
		dfb_keep_put(p->keep, TABLE_OFFERS, key, n, "", 0);
	else
		dfb_keep_del(p->keep, TABLE_OFFERS, key, n);
}

void
persist_offer(struct names_persist *p, const struct names_entry *e, const char *topic)
{
	offer_row(p, e->name, topic, true);
}

void
persist_unoffer(struct names_persist *p, const struct names_entry *e, const char *topic)
{
	offer_row(p, e->name, topic, false);
}

struct gone {
	struct names_persist *p;
	const char *name;
};

static void
offer_gone(void *arg, const char *topic)
{
	struct gone *g = arg;

	offer_row(g->p, g->name, topic, false);
}

void
persist_gone(struct names_persist *p, const struct names_entry *e)
{
	struct gone g = { p, e->name };

	registry_offers(e, offer_gone, &g);
	dfb_keep_del(p->keep, TABLE_ENTRIES, e->name, strlen(e->name));
}

int
persist_close(struct names_persist *p)
{
	int status = p != NULL ? dfb_keep_close(p->keep) : DFB_OK;

	free(p);
	return status;
}
