#include "dfb.h"
#include "store/internal.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>

#define TABLES_FILE "tables.db"
#define SCAN_BYTES (256u << 10)

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
		    STORE_PAGE, DB_CREATE)) != 0)
			return dfb_store_open_fail(s, e, status, "open table '%s'", names[i]);
	return 0;
}

/* Rows arrive many at a time in buf, which grows when one row is larger. */
static int
next_rows(DBC *c, DBT *key, DBT *buf)
{
	int e;

	while ((e = c->get(c, key, buf, DB_MULTIPLE_KEY | DB_NEXT)) == DB_BUFFER_SMALL) {
		void *p;

		if (buf->ulen > UINT32_MAX / 2 ||
		    (p = realloc(buf->data, buf->ulen * 2)) == NULL)
			return ENOMEM;
		buf->data = p;
		buf->ulen *= 2;
	}
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
