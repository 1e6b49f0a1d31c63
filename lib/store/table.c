#include "base/buf.h"
#include "dfb.h"
#include "store/internal.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>

#define TABLES_FILE "tables.db"
#define SCAN_BYTES (256u << 10)
#define ROWS_BYTES (64u << 10) /* for each step of a bounded scan */

int
dfb_store_btree_open(struct dfb_store *s, DB **out, const char *file, const char *name,
    uint32_t page, uint32_t flags)
{
	DB *db;
	int e;

	if ((e = db_create(&db, s->env, 0)) != 0)
		return e;
	if ((e = db->set_flags(db, DB_CHKSUM)) != 0 ||
	    (e = db->set_pagesize(db, page)) != 0 ||
	    (e = db->open(db, NULL, file, name, DB_BTREE, flags | DB_AUTO_COMMIT |
	    DB_THREAD, 0600)) != 0) {
		(void)db->close(db, 0);
		return e;
	}
	*out = db;
	return 0;
}

int
dfb_store_tables_open(struct dfb_store *s, const char *const *names, int *status)
{
	size_t n = 0;
	int e;

	while (names != NULL && names[n] != NULL)
		n++;
	if (n == 0)
		return 0;
	if ((s->tables = calloc(n, sizeof *s->tables)) == NULL)
		return dfb_store_open_fail(s, errno, status, "open its tables");
	s->ntables = n;
	for (size_t i = 0; i < n; i++)
		if ((e = dfb_store_btree_open(s, &s->tables[i], TABLES_FILE, names[i],
		    STORE_PAGE, DB_CREATE | DB_READ_UNCOMMITTED)) != 0)
			return dfb_store_open_fail(s, e, status, "open table '%s'", names[i]);
	return 0;
}

static int
grow(DBT *buf)
{
	void *p;

	if (buf->ulen > UINT32_MAX / 2 ||
	    (p = realloc(buf->data, buf->ulen * 2)) == NULL)
		return ENOMEM;
	buf->data = p;
	buf->ulen *= 2;
	return 0;
}

/* Rows arrive many at a time in buf, which grows when one row is larger. */
static int
next_rows(DBC *c, DBT *key, DBT *buf)
{
	int e;

	while ((e = c->get(c, key, buf, DB_MULTIPLE_KEY | DB_NEXT)) == DB_BUFFER_SMALL)
		if (grow(buf) != 0)
			return ENOMEM;
	return e;
}

int
dfb_store_scan(struct dfb_store *s, int table,
    int (*fn)(void *arg, const void *key, size_t klen, const void *val, size_t vlen),
    void *arg)
{
	DBT last = { .flags = DB_DBT_REALLOC }; /* its key comes by itself too */
	DBT buf = { .flags = DB_DBT_USERMEM, .ulen = SCAN_BYTES };
	DB *db;
	DBC *c = NULL;
	int e, ret = 0;

	if (!dfb_store_ok(s))
		return -1;
	if (table < 0 || (size_t)table >= s->ntables)
		return dfb_store_fail(s, EINVAL, "scan table %d", table);
	db = s->tables[table];
	if ((buf.data = malloc(SCAN_BYTES)) == NULL)
		return dfb_store_fail(s, ENOMEM, "scan table %d", table);
	e = db->cursor(db, NULL, &c, 0);
	while (e == 0 && ret == 0 && (e = next_rows(c, &last, &buf)) == 0) {
		void *at;

		DB_MULTIPLE_INIT(at, &buf);
		while (ret == 0) {
			void *key, *val;
			size_t klen, vlen;

			DB_MULTIPLE_KEY_NEXT(at, &buf, key, klen, val, vlen);
			if (at == NULL)
				break;
			ret = fn(arg, key, klen, val, vlen);
		}
	}
	if (c != NULL)
		(void)c->close(c);
	free(last.data);
	free(buf.data);
	if (e != 0 && e != DB_NOTFOUND)
		return dfb_store_fail(s, e, "scan table %d", table);
	return ret;
}

/* ---- a bounded scan, beside commits ---- */

/* Many rows from a key on, by a cursor that is closed again: no lock outlives it. */
static int
rows_at(DB *db, const struct dfb_buf *from, DBT *buf)
{
	DBC *c;
	int e, e2;

	do {
		DBT key = { .data = from->data, .size = (uint32_t)from->len,
		    .flags = DB_DBT_MALLOC };

		if ((e = db->cursor(db, NULL, &c, DB_READ_UNCOMMITTED)) != 0)
			return e;
		e = c->get(c, &key, buf, DB_MULTIPLE_KEY | DB_SET_RANGE);
		if (key.data != from->data)
			free(key.data);
		if ((e2 = c->close(c)) != 0 && (e == 0 || e == DB_NOTFOUND))
			e = e2;
		if (e == DB_BUFFER_SMALL)
			e = grow(buf) == 0 ? DB_LOCK_DEADLOCK : ENOMEM;
	} while (e == DB_LOCK_DEADLOCK);
	return e;
}

/* Have fn see what is in buf, and leave in from the first key after it. */
static int
show_rows(const DBT *buf, struct dfb_buf *from,
    int (*fn)(void *arg, const void *key, size_t klen, const void *val, size_t vlen),
    void *arg, int *e)
{
	void *at;
	int ret = 0;

	DB_MULTIPLE_INIT(at, buf);
	while (ret == 0) {
		void *key, *val;
		size_t klen, vlen;

		DB_MULTIPLE_KEY_NEXT(at, buf, key, klen, val, vlen);
		if (at == NULL)
			break;
		ret = fn(arg, key, klen, val, vlen);
		from->len = 0;
		if (dfb_buf_add(from, key, klen) == -1 || dfb_buf_add(from, "", 1) == -1) {
			*e = ENOMEM;
			break;
		}
	}
	return ret;
}

int
dfb_store_rows(struct dfb_store *s, int table, const void *key, size_t klen,
    int (*fn)(void *arg, const void *key, size_t klen, const void *val, size_t vlen),
    void *arg)
{
	DBT buf = { .flags = DB_DBT_USERMEM, .ulen = ROWS_BYTES };
	struct dfb_buf from = { 0 };
	int e = 0, ret = 0;

	if (!dfb_store_ok(s))
		return -1;
	if (table < 0 || (size_t)table >= s->ntables)
		return dfb_store_fail(s, EINVAL, "read table %d", table);
	if (dfb_buf_add(&from, key, klen) == -1 || (buf.data = malloc(ROWS_BYTES)) == NULL)
		e = ENOMEM;
	while (e == 0 && ret == 0 && (e = rows_at(s->tables[table], &from, &buf)) == 0)
		ret = show_rows(&buf, &from, fn, arg, &e);
	dfb_buf_release(&from);
	free(buf.data);
	if (e != 0 && e != DB_NOTFOUND)
		return dfb_store_fail(s, e, "read table %d", table);
	return ret;
}
