#include <errno.h>
#include <string.h>
#include <sys/endian.h>

#include "base/log.h"
#include "daemon/keep.h"
#include "dfb-gsl/gsl.h"
#include "store/store.h"
#include "wire/proto.h"

#define CACHE_BYTES (4u << 20)

enum { TABLE_ENTRIES, TABLE_META };
static const char *const tables[] = { "entries", "meta", NULL };
static const char state_key[] = "state";
#define STATE_BYTES 24

/* A row of entries: its key is the kind and the name, its value the version and the JSON. */

static int
bad_row(const char *table, const char *why)
{
	log_errx("a row of table '%s' is malformed (%s): remove the data directory, sgs "
	    "fills it again", table, why);
	return DFB_BADINPUT;
}

static int
load_entry(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct gsl *g = arg;
	struct dfb_m_entry m;
	struct entry *e;
	char why[256];

	if (klen < 1 || vlen < 8)
		return bad_row("entries", "too short");
	m = (struct dfb_m_entry){ .kind = *(const uint8_t *)key,
		.name = { (const char *)key + 1, klen - 1 }, .version = be64dec(val),
		.json = { (const uint8_t *)val + 8, vlen - 8 } };
	if (entry_read(&m, &e, why, sizeof why) == -1) {
		if (errno == EPROTO)
			return bad_row("entries", why);
		log_err("cannot load the catalogue");
		return DFB_OSERR;
	}
	if (e != NULL)
		catalog_put(&g->catalog, e);
	return 0;
}

static int
load_state(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct gsl *g = arg;
	const uint8_t *p = val;

	if (klen != sizeof state_key - 1 || memcmp(key, state_key, klen) != 0)
		return 0;
	if (vlen != STATE_BYTES)
		return bad_row("meta", "its length");
	g->catalog.id = be64dec(p);
	g->catalog.version = be64dec(p + 8);
	g->follow.heard_ms = be64dec(p + 16);
	return 0;
}

int
store_open(struct gsl *g, const char *dir)
{
	int status, rc;

	g->keep = dfb_keep_open(&(struct dfb_store_config){ .dir = dir, .tables = tables,
	    .cache_bytes = CACHE_BYTES, .owner = "dfb-gsl" }, &status);
	if (g->keep == NULL)
		return status;
	rc = dfb_store_scan(dfb_keep_store(g->keep), TABLE_META, load_state, g);
	if (rc == 0)
		rc = dfb_store_scan(dfb_keep_store(g->keep), TABLE_ENTRIES, load_entry, g);
	return rc == -1 ? DFB_IOERR : rc;
}

static size_t
key_of(uint8_t kind, const char *name, size_t len, uint8_t key[1 + DFB_TOPIC_MAX])
{
	key[0] = kind;
	memcpy(key + 1, name, len);
	return 1 + len;
}

void
store_entry(struct gsl *g, const struct dfb_m_entry *m)
{
	uint8_t key[1 + DFB_TOPIC_MAX];
	size_t klen = key_of(m->kind, m->name.p, m->name.len, key);
	struct dfb_buf val = { 0 };
	uint8_t version[8];

	if (m->json.len == 0) {
		dfb_keep_del(g->keep, TABLE_ENTRIES, key, klen);
		return;
	}
	be64enc(version, m->version);
	if (dfb_buf_add(&val, version, sizeof version) == -1 ||
	    dfb_buf_add(&val, m->json.p, m->json.len) == -1)
		dfb_keep_fail(g->keep);
	else
		dfb_keep_put(g->keep, TABLE_ENTRIES, key, klen, val.data, val.len);
	dfb_buf_release(&val);
}

void
store_gone(struct gsl *g, const struct entry *e)
{
	uint8_t key[1 + DFB_TOPIC_MAX];

	dfb_keep_del(g->keep, TABLE_ENTRIES, key,
	    key_of(e->kind, e->name, strlen(e->name), key));
}

void
store_state(struct gsl *g)
{
	uint8_t row[STATE_BYTES];

	be64enc(row, g->catalog.id);
	be64enc(row + 8, g->catalog.version);
	be64enc(row + 16, g->follow.heard_ms);
	dfb_keep_put(g->keep, TABLE_META, state_key, sizeof state_key - 1, row, sizeof row);
}
