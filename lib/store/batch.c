#include "base/buf.h"
#include "store/block.h"
#include "store/internal.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>

#define KEEP_MAX ((size_t)4 << 20) /* of a buffer that was needed once */

struct dfb_batch {
	struct batch_op *ops;
	size_t n, cap;
	struct dfb_buf bytes; /* keys and values of the rows */
};

struct dfb_batch *
dfb_batch_new(void)
{
	return calloc(1, sizeof(struct dfb_batch));
}

void
dfb_batch_free(struct dfb_batch *b)
{
	if (b == NULL)
		return;
	dfb_buf_release(&b->bytes);
	free(b->ops);
	free(b);
}

void
dfb_batch_clear(struct dfb_batch *b)
{
	b->n = 0;
	b->bytes.len = 0;
	if (b->bytes.cap > KEEP_MAX)
		dfb_buf_release(&b->bytes);
}

bool
dfb_batch_is_empty(const struct dfb_batch *b)
{
	return b->n == 0;
}

static struct batch_op *
next_op(struct dfb_batch *b)
{
	if (b->n == b->cap) {
		size_t cap = b->cap != 0 ? b->cap * 2 : 64;
		struct batch_op *p = reallocarray(b->ops, cap, sizeof *p);

		if (p == NULL)
			return NULL;
		b->ops = p;
		b->cap = cap;
	}
	return &b->ops[b->n];
}

static int
add_row(struct dfb_batch *b, enum batch_kind kind, int table, const void *key,
    size_t klen, const void *val, size_t vlen)
{
	struct batch_op *op;

	if (table < 0 || klen > UINT32_MAX || vlen > UINT32_MAX) {
		errno = EINVAL;
		return -1;
	}
	if ((op = next_op(b)) == NULL || dfb_buf_reserve(&b->bytes, klen + vlen) == -1)
		return -1;
	*op = (struct batch_op){ .kind = kind, .table = table, .at = b->bytes.len,
	    .klen = (uint32_t)klen, .vlen = (uint32_t)vlen };
	dfb_buf_add(&b->bytes, key, klen); /* there is room */
	dfb_buf_add(&b->bytes, val, vlen);
	b->n++;
	return 0;
}

int
dfb_batch_put(struct dfb_batch *b, int table, const void *key, size_t klen,
    const void *val, size_t vlen)
{
	return add_row(b, BATCH_PUT, table, key, klen, val, vlen);
}

int
dfb_batch_del(struct dfb_batch *b, int table, const void *key, size_t klen)
{
	return add_row(b, BATCH_DEL, table, key, klen, NULL, 0);
}

int
dfb_batch_block(struct dfb_batch *b, const struct dfb_block *block)
{
	struct batch_op *op;

	if (block->count == 0 || block->len > UINT32_MAX ||
	    block->count > UINT64_MAX - block->base) {
		errno = EINVAL;
		return -1;
	}
	if ((op = next_op(b)) == NULL)
		return -1;
	*op = (struct batch_op){ .kind = BATCH_BLOCK, .block = block };
	b->n++;
	return 0;
}

size_t
dfb_batch_ops(const struct dfb_batch *b, const struct batch_op **ops, uint8_t **bytes)
{
	*ops = b->ops;
	*bytes = b->bytes.data;
	return b->n;
}
