#include "dfb-sgs/book.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/log.h"
#include "store/store.h"

#define CACHE_BYTES (8u << 20)
#define CHECKPOINT_KB 4096
#define HISTORY_BYTES (8u << 20) /* of one answer */
#define NAME_MAX_BYTES 64

enum { TABLE_META, TABLE_ROWS, TABLE_JOURNAL, TABLE_REQUESTS };
static const char *const tables[] = { "meta", "rows", "journal", "requests", NULL };
static const char meta_key[] = "catalog"; /* id and version, 8 bytes each */

static void
put64(uint8_t *p, uint64_t n)
{
	for (int i = 7; i >= 0; i--, n >>= 8)
		p[i] = (uint8_t)n;
}

static uint64_t
get64(const uint8_t *p)
{
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | p[i];
	return n;
}

/* ---- in memory ---- */

static json_t *
rows_of(const struct book *b, enum book_kind kind)
{
	return kind == BOOK_SERVICE ? b->services : b->affinity;
}

json_t *
book_row(const struct book *b, enum book_kind kind, const char *name)
{
	if (kind == BOOK_DISTANCES)
		return b->distances;
	return json_object_get(rows_of(b, kind), name);
}

uint64_t
book_row_version(const json_t *row)
{
	return (uint64_t)json_integer_value(json_object_get(row, "version"));
}

/* The row in the place of the one before; its reference is not taken. */
static int
place(struct book *b, enum book_kind kind, const char *name, json_t *row)
{
	if (kind != BOOK_DISTANCES)
		return json_object_set(rows_of(b, kind), name, row);
	json_incref(row);
	json_decref(b->distances);
	b->distances = row;
	return 0;
}

/* ---- from the disk ---- */

static int
bad_row(const char *table)
{
	log_errx("the store is damaged: a row of '%s' cannot be read: restore the directory "
	    "from a copy", table);
	return DFB_BADINPUT;
}

/* The object in a row; NULL with *rc: no memory for it is no damage. */
static json_t *
row_json(const char *table, const void *val, size_t vlen, int *rc)
{
	json_t *j;

	errno = 0;
	j = json_loadb(val, vlen, 0, NULL);
	if (json_is_object(j)) /* a macro, with its argument twice */
		return j;
	if (errno != ENOMEM)
		*rc = bad_row(table);
	else {
		log_err("cannot read the store's table '%s'", table);
		*rc = DFB_OSERR;
	}
	json_decref(j);
	return NULL;
}

static int
load_meta(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct book *b = arg;

	if (klen != sizeof meta_key - 1 || memcmp(key, meta_key, klen) != 0)
		return 0;
	if (vlen != 16)
		return bad_row("meta");
	b->id = get64(val);
	b->version = get64((const uint8_t *)val + 8);
	return 0;
}

static int
load_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct book *b = arg;
	const uint8_t *k = key;
	char name[NAME_MAX_BYTES + 1] = "";
	json_t *row;
	int rc;

	if (klen < 2 || klen > sizeof name || k[0] < BOOK_SERVICE || k[0] > BOOK_DISTANCES)
		return bad_row("rows");
	memcpy(name, k + 1, klen - 1);
	if ((row = row_json("rows", val, vlen, &rc)) == NULL)
		return rc;
	rc = place(b, k[0], name, row);
	json_decref(row);
	if (rc == -1) {
		log_errx("cannot load the catalogue: out of memory");
		return DFB_OSERR;
	}
	return 0;
}

static int
put_meta(struct book *b, uint64_t version)
{
	uint8_t row[16];

	put64(row, b->id);
	put64(row + 8, version);
	return dfb_batch_put(b->batch, TABLE_META, meta_key, sizeof meta_key - 1, row,
	    sizeof row);
}

/* A new store: give the catalogue its id. */
static int
found(struct book *b)
{
	struct dfb_id id;

	dfb_id_random(&id);
	b->id = (get64(id.b) & INT64_MAX) | 1; /* JSON has it, too */
	if (put_meta(b, 0) == -1) {
		log_err("cannot make the catalogue");
		return DFB_OSERR;
	}
	return dfb_store_commit(b->store, b->batch, true) == 0 ? DFB_OK : DFB_IOERR;
}

static int
scan(struct book *b, int table,
    int (*fn)(void *, const void *, size_t, const void *, size_t))
{
	int rc = dfb_store_scan(b->store, table, fn, b);

	return rc == -1 ? DFB_IOERR : rc;
}

int
book_open(struct book *b, const char *dir)
{
	int status = DFB_OSERR;

	*b = (struct book){ .services = json_object(), .affinity = json_object(),
		.distances = json_pack("{s:i, s:{}}", "version", 0, "distances"),
		.batch = dfb_batch_new() };
	if (b->services == NULL || b->affinity == NULL || b->distances == NULL ||
	    b->batch == NULL)
		log_err("cannot open '%s'", dir);
	else if (dfb_store_open(&(struct dfb_store_config){ .dir = dir, .tables = tables,
	    .cache_bytes = CACHE_BYTES, .owner = "dfb-sgs" }, &b->store, &status) == 0 &&
	    (status = scan(b, TABLE_META, load_meta)) == DFB_OK &&
	    (status = scan(b, TABLE_ROWS, load_row)) == DFB_OK)
		status = b->id != 0 ? DFB_OK : found(b);
	if (status != DFB_OK)
		book_close(b);
	return status;
}

int
book_close(struct book *b)
{
	int rc = dfb_store_close(b->store);

	dfb_batch_free(b->batch);
	json_decref(b->services);
	json_decref(b->affinity);
	json_decref(b->distances);
	*b = (struct book){ 0 };
	return rc == 0 ? DFB_OK : DFB_IOERR;
}

/* ---- changes ---- */

static json_t *
entry_of(const struct book *b, const struct book_change *c, json_t *before)
{
	json_t *e = json_pack("{s:I, s:I, s:s, s:s, s:s, s:O?, s:O}",
	    "seq", (json_int_t)(b->version + 1), "at_ms", (json_int_t)c->now_ms,
	    "who", c->who, "what", c->what, "service", c->name, "before", before,
	    "after", c->after);
	int rc = e == NULL ? -1 : 0;

	if (c->region != NULL && rc == 0)
		rc = json_object_set_new(e, "region", json_string(c->region));
	if (c->request != NULL && rc == 0)
		rc = json_object_set_new(e, "request", json_string(c->request));
	if (c->why != NULL && rc == 0)
		rc = json_object_set_new(e, "why", json_string(c->why));
	if (rc == 0)
		return e;
	json_decref(e);
	return NULL;
}

static int
put_json(struct book *b, int table, const void *key, size_t klen, const json_t *j)
{
	char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
	int rc = text != NULL ? dfb_batch_put(b->batch, table, key, klen, text,
	    strlen(text)) : -1;

	free(text);
	return rc;
}

/* All rows of the change into the batch.  0 or -1. */
static int
gather(struct book *b, const struct book_change *c, json_t *before)
{
	uint8_t key[NAME_MAX_BYTES + 1], seq[8], request[16];
	size_t n = strlen(c->name);
	json_t *entry;
	int rc;

	key[0] = (uint8_t)c->kind;
	memcpy(key + 1, c->name, n);
	put64(seq, b->version + 1);
	entry = entry_of(b, c, before);
	rc = put_json(b, TABLE_JOURNAL, seq, sizeof seq, entry);
	json_decref(entry);
	if (rc == 0)
		rc = put_json(b, TABLE_ROWS, key, n + 1, c->after);
	if (rc == 0)
		rc = put_meta(b, b->version + 1);
	if (rc == 0 && c->request != NULL) {
		memcpy(request, seq, 8);
		put64(request + 8, c->hash);
		rc = dfb_batch_put(b->batch, TABLE_REQUESTS, c->request, strlen(c->request),
		    request, sizeof request);
	}
	return rc;
}

enum dfb_status
book_commit(struct book *b, struct book_change *c)
{
	json_t *before = book_row(b, c->kind, c->name);
	enum dfb_status status = DFB_AGAIN;

	/* Distances are there before anybody sets one. */
	if (book_row_version(before) == 0)
		before = NULL;
	dfb_batch_clear(b->batch);
	if (json_object_set_new(c->after, "version",
	    json_integer((json_int_t)(b->version + 1))) == 0 &&
	    gather(b, c, before) == 0 && place(b, c->kind, c->name, c->after) == 0) {
		status = dfb_store_commit(b->store, b->batch, true) == 0 &&
		    dfb_store_checkpoint(b->store, CHECKPOINT_KB) == 0 ? DFB_OK : DFB_IOERR;
		b->version++;
	}
	json_decref(c->after);
	c->after = NULL;
	return status;
}

/* ---- what was ---- */

static json_t *
entry_read(struct book *b, const uint8_t seq[8])
{
	struct dfb_buf val = { 0 };
	json_t *e = NULL;
	int rc;

	if ((rc = dfb_store_get(b->store, TABLE_JOURNAL, seq, 8, &val)) == 1)
		e = row_json("journal", val.data, val.len, &rc);
	else if (rc == 0)
		bad_row("requests"); /* of an entry that is not there */
	dfb_buf_release(&val);
	return e;
}

json_t *
book_request(struct book *b, const char *request, uint64_t hash, enum dfb_status *status,
    char *why)
{
	struct dfb_buf val = { 0 };
	int rc = dfb_store_get(b->store, TABLE_REQUESTS, request, strlen(request), &val);
	json_t *e = NULL;

	*status = rc == -1 ? DFB_IOERR : DFB_OK;
	if (rc == 1 && (val.len != 16 || (e = entry_read(b, val.data)) == NULL)) {
		if (val.len != 16)
			bad_row("requests");
		*status = DFB_IOERR;
	} else if (rc == 1 && get64(val.data + 8) != hash) {
		const char *region = json_string_value(json_object_get(e, "region"));
		snprintf(why, BOOK_WHY, "request '%s' was another one before: %s of '%s'%s%s",
		    request, json_string_value(json_object_get(e, "what")),
		    json_string_value(json_object_get(e, "service")),
		    region != NULL ? " in " : "", region != NULL ? region : "");
		json_decref(e);
		e = NULL;
		*status = DFB_BADINPUT;
	}
	dfb_buf_release(&val);
	return e;
}

struct reading {
	const char *name;
	json_t *list;
	size_t limit, bytes;
	uint64_t next;
};

static int
read_entry(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct reading *r = arg;
	const char *name;
	json_t *e;
	int rc;

	if (klen != 8)
		return bad_row("journal");
	if (json_array_size(r->list) == r->limit || r->bytes > HISTORY_BYTES) {
		r->next = get64(key);
		return 1;
	}
	if ((e = row_json("journal", val, vlen, &rc)) == NULL)
		return rc;
	name = json_string_value(json_object_get(e, "service"));
	if (r->name != NULL && (name == NULL || strcmp(name, r->name) != 0)) {
		json_decref(e);
		return 0;
	}
	r->bytes += vlen;
	return json_array_append_new(r->list, e) == 0 ? 0 : DFB_OSERR;
}

json_t *
book_history(struct book *b, const char *name, uint64_t from, size_t limit, uint64_t *next)
{
	struct reading r = { .name = name, .list = json_array(), .limit = limit };
	uint8_t key[8];
	int rc;

	*next = 0;
	put64(key, from);
	if (r.list == NULL)
		return NULL;
	rc = dfb_store_rows(b->store, TABLE_JOURNAL, key, sizeof key, read_entry, &r);
	if (rc == 0 || rc == 1) {
		*next = r.next;
		return r.list;
	}
	json_decref(r.list);
	return NULL;
}
