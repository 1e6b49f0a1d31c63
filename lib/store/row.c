#include "base/buf.h"
#include "store/internal.h"
#include "store/store.h"

#include <errno.h>
#include <string.h>

#define KEY_MAX 256

static DB *
table_of(struct dfb_store *s, int table)
{
	return table >= 0 && (size_t)table < s->ntables ? s->tables[table] : NULL;
}

int
dfb_store_get(struct dfb_store *s, int table, const void *key, size_t klen,
    struct dfb_buf *val)
{
	DBT k = { .data = (void *)(uintptr_t)key, .size = (uint32_t)klen };
	DB *db = table_of(s, table);
	int e;

	if (!dfb_store_ok(s))
		return -1;
	if (db == NULL)
		return dfb_store_fail(s, EINVAL, "read table %d", table);
	val->len = 0;
	for (;;) {
		DBT v = { .data = val->data, .ulen = (uint32_t)val->cap,
			.flags = DB_DBT_USERMEM };
		if ((e = db->get(db, NULL, &k, &v, 0)) == 0) {
			val->len = v.size;
			return 1;
		}
		if (e == DB_NOTFOUND)
			return 0;
		if (e == DB_BUFFER_SMALL) {
			if (dfb_buf_reserve(val, v.size) == -1)
				return dfb_store_fail(s, ENOMEM, "read table %d", table);
		} else if (e != DB_LOCK_DEADLOCK)
			return dfb_store_fail(s, e, "read table %d", table);
	}
}

/* One walk: 0 or an error of Berkeley DB; *ret is what fn returned. */
static int
walk(DB *db, uint8_t *at, size_t *len, size_t *left,
    int (*fn)(void *arg, const void *key, size_t klen), void *arg, int *ret)
{
	DBT key = { .data = at, .size = (uint32_t)*len, .ulen = KEY_MAX,
		.flags = DB_DBT_USERMEM };
	DBT val = { .flags = DB_DBT_USERMEM | DB_DBT_PARTIAL };
	uint32_t how = DB_SET_RANGE;
	DBC *c;
	int e, e2;

	if ((e = db->cursor(db, NULL, &c, 0)) != 0)
		return e;
	while (*left != 0 && *ret == 0 && (e = c->get(c, &key, &val, how)) == 0) {
		*ret = fn(arg, key.data, key.size);
		--*left;
		*len = key.size;
		how = DB_NEXT;
	}
	if (how == DB_NEXT && e == DB_LOCK_DEADLOCK && *len < KEY_MAX)
		at[(*len)++] = 0; /* the next that there can be */
	if ((e2 = c->close(c)) != 0 && (e == 0 || e == DB_NOTFOUND))
		e = e2;
	return e;
}

int
dfb_store_keys(struct dfb_store *s, int table, const void *from, size_t flen, size_t max,
    int (*fn)(void *arg, const void *key, size_t klen), void *arg)
{
	DB *db = table_of(s, table);
	uint8_t at[KEY_MAX];
	size_t len = flen, left = max;
	int e, ret = 0;

	if (!dfb_store_ok(s))
		return -1;
	if (db == NULL || flen > sizeof at)
		return dfb_store_fail(s, EINVAL, "read table %d", table);
	if (flen != 0)
		memcpy(at, from, flen);
	while ((e = walk(db, at, &len, &left, fn, arg, &ret)) == DB_LOCK_DEADLOCK)
		;
	if (e != 0 && e != DB_NOTFOUND)
		return dfb_store_fail(s, e, "read table %d", table);
	return ret;
}
