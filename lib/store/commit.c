#include "store/block.h"
#include "store/internal.h"
#include "store/store.h"

#include <errno.h>

/* With one writer only a reader's page lock can stand in the way, and not for long. */
#define TRIES_MAX 1000

static int
put_row(struct dfb_store *s, DB_TXN *txn, const struct batch_op *op, uint8_t *bytes)
{
	DBT key = { .data = bytes + op->at, .size = op->klen };
	DBT val = { .data = bytes + op->at + op->klen, .size = op->vlen };
	DB *db;
	int e;

	if ((size_t)op->table >= s->ntables)
		return EINVAL;
	db = s->tables[op->table];
	if (op->kind == BATCH_PUT)
		return db->put(db, txn, &key, &val, 0);
	e = db->del(db, txn, &key, 0);
	return e == DB_NOTFOUND ? 0 : e;
}

static int
put_block(struct dfb_store *s, DB_TXN *txn, const struct dfb_block *b,
    struct segment *current)
{
	uint8_t bytes[SEGMENT_KEY];
	DBT key = { .data = bytes, .size = sizeof bytes };
	DBT val = { .data = b->data, .size = (uint32_t)b->len };
	DB *db = dfb_spans_place(&s->spans, b->queue, b->base, current)->db;

	dfb_segment_key(bytes, b->queue, b->base);
	return db->put(db, txn, &key, &val, 0);
}

/* One attempt: 0, DB_LOCK_DEADLOCK, or another error; what names the failed step. */
static int
attempt(struct dfb_store *s, const struct batch_op *ops, size_t n, uint8_t *bytes,
    struct segment *current, uint32_t flags, const char **what)
{
	DB_TXN *txn;
	int e;

	*what = "begin a transaction";
	if ((e = s->env->txn_begin(s->env, NULL, &txn, flags)) != 0)
		return e;
	for (size_t i = 0; i < n && e == 0; i++) {
		*what = ops[i].kind == BATCH_BLOCK ? "store a block" : "change a row";
		e = ops[i].kind == BATCH_BLOCK ?
		    put_block(s, txn, ops[i].block, current) :
		    put_row(s, txn, &ops[i], bytes);
	}
	if (e != 0) {
		int undo = txn->abort(txn);

		return undo != 0 ? undo : e;
	}
	*what = "commit a transaction";
	return txn->commit(txn, 0);
}

/* Find or start the segment, and make room in the index, so that nothing can fail
 * between the commit and telling the readers. */
static int
prepare(struct dfb_store *s, const struct batch_op *ops, size_t n,
    struct segment **current)
{
	int ret = 0;

	*current = NULL;
	for (size_t i = 0; i < n; i++) {
		if (ops[i].kind != BATCH_BLOCK)
			continue;
		if (*current == NULL) {
			if (!s->has_segments)
				return dfb_store_fail(s, EINVAL, "store a block: it has no segments");
			if ((*current = dfb_store_segment_current(s)) == NULL)
				return -1;
		}
		pthread_mutex_lock(&s->mutex);
		ret = dfb_spans_reserve(&s->spans, ops[i].block->queue);
		pthread_mutex_unlock(&s->mutex);
		if (ret == -1)
			return dfb_store_fail(s, errno, "store a block");
	}
	return 0;
}

static void
publish(struct dfb_store *s, const struct batch_op *ops, size_t n,
    struct segment *current)
{
	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; i < n; i++) {
		const struct dfb_block *b = ops[i].block;
		struct segment *g;

		if (ops[i].kind != BATCH_BLOCK)
			continue;
		g = dfb_spans_place(&s->spans, b->queue, b->base, current);
		dfb_spans_note(&s->spans, b->queue, g, b->base, b->count, b->last_ms);
		if (b->last_ms > g->last_ms)
			g->last_ms = b->last_ms;
	}
	if (current != NULL)
		current->bytes = dfb_segment_size(current);
	pthread_mutex_unlock(&s->mutex);
}

static size_t
bytes_of(const struct batch_op *ops, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += ops[i].kind == BATCH_BLOCK ? ops[i].block->len :
		    (size_t)ops[i].klen + ops[i].vlen;
	return sum;
}

int
dfb_store_commit(struct dfb_store *s, const struct dfb_batch *batch, bool sync)
{
	const struct batch_op *ops;
	const char *what;
	uint8_t *bytes;
	size_t n = dfb_batch_ops(batch, &ops, &bytes);
	struct segment *current;
	int e = 0;

	if (!dfb_store_ok(s))
		return -1;
	if (n == 0)
		return sync ? dfb_store_flush(s) : 0;
	if (prepare(s, ops, n, &current) == -1)
		return -1;
	for (int tries = 0; tries < TRIES_MAX; tries++)
		if ((e = attempt(s, ops, n, bytes, current,
		    sync ? DB_TXN_SYNC : DB_TXN_NOSYNC, &what)) != DB_LOCK_DEADLOCK)
			break;
	if (e != 0)
		return dfb_store_fail(s, e, "%s", what);
	publish(s, ops, n, current);
	dfb_keeper_note(s, bytes_of(ops, n));
	return 0;
}
