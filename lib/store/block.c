#include "store/block.h"
#include "store/internal.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the header's fields are. */
enum { AT_VERSION = 0, AT_FLAGS = 1, AT_ZERO = 2, AT_COUNT = 4, AT_FIRST = 8, AT_LAST = 16 };

struct dfb_block *
dfb_block_new(uint64_t queue, uint64_t base, size_t cap)
{
	struct dfb_block *b;

	if (cap > SIZE_MAX - DFB_BLOCK_HEADER) {
		errno = ENOMEM;
		return NULL;
	}
	if ((b = calloc(1, sizeof *b)) == NULL)
		return NULL;
	b->cap = DFB_BLOCK_HEADER + cap;
	if ((b->data = malloc(b->cap)) == NULL) {
		free(b);
		return NULL;
	}
	memset(b->data, 0, DFB_BLOCK_HEADER);
	b->queue = queue;
	b->base = base;
	b->refs = 1;
	b->len = DFB_BLOCK_HEADER;
	return b;
}

struct dfb_block *
dfb_block_ref(struct dfb_block *b)
{
	b->refs++;
	return b;
}

void
dfb_block_unref(struct dfb_block *b)
{
	if (b == NULL || --b->refs != 0)
		return;
	free(b->data);
	free(b);
}

int
dfb_block_append(struct dfb_block *b, const void *records, size_t n,
    uint32_t count, uint64_t wall_ms)
{
	if (n > SIZE_MAX / 2 - b->len || count > UINT32_MAX - b->count) {
		errno = ENOMEM;
		return -1;
	}
	if (n > b->cap - b->len) {
		size_t cap = b->cap * 2 > b->len + n ? b->cap * 2 : b->len + n;
		uint8_t *p = realloc(b->data, cap);

		if (p == NULL)
			return -1;
		b->data = p;
		b->cap = cap;
	}
	if (n != 0)
		memcpy(b->data + b->len, records, n);
	b->len += n;
	if (b->count == 0)
		b->first_ms = wall_ms;
	b->last_ms = wall_ms;
	b->count += count;
	return 0;
}

void
dfb_block_seal(struct dfb_block *b)
{
	uint32_t count = htobe32(b->count);
	uint64_t first = htobe64(b->first_ms), last = htobe64(b->last_ms);

	b->data[AT_VERSION] = DFB_BLOCK_VERSION;
	b->data[AT_FLAGS] = b->flags;
	memset(b->data + AT_ZERO, 0, 2);
	memcpy(b->data + AT_COUNT, &count, sizeof count);
	memcpy(b->data + AT_FIRST, &first, sizeof first);
	memcpy(b->data + AT_LAST, &last, sizeof last);
}

int
dfb_block_header_parse(struct dfb_block *b, const uint8_t *p, size_t len)
{
	uint32_t count;
	uint64_t first, last;

	if (len < DFB_BLOCK_HEADER || p[AT_VERSION] != DFB_BLOCK_VERSION ||
	    p[AT_ZERO] != 0 || p[AT_ZERO + 1] != 0) {
		errno = EBADMSG;
		return -1;
	}
	memcpy(&count, p + AT_COUNT, sizeof count);
	memcpy(&first, p + AT_FIRST, sizeof first);
	memcpy(&last, p + AT_LAST, sizeof last);
	b->count = be32toh(count);
	b->first_ms = be64toh(first);
	b->last_ms = be64toh(last);
	b->flags = p[AT_FLAGS];
	if (b->count == 0 || b->count > UINT64_MAX - b->base) {
		errno = EBADMSG;
		return -1;
	}
	return 0;
}

struct dfb_block *
dfb_block_adopt(uint64_t queue, uint64_t base, uint8_t *item, size_t len)
{
	struct dfb_block *b = calloc(1, sizeof *b);

	if (b == NULL)
		return NULL;
	b->queue = queue;
	b->base = base;
	if (dfb_block_header_parse(b, item, len) == -1) {
		free(b);
		errno = EBADMSG;
		return NULL;
	}
	b->refs = 1;
	b->data = item;
	b->len = b->cap = len;
	return b;
}

struct dfb_block *
dfb_block_parse(uint64_t queue, uint64_t base, const void *item, size_t len)
{
	struct dfb_block *b;
	uint8_t *copy = malloc(len != 0 ? len : 1);
	int saved;

	if (copy == NULL)
		return NULL;
	if (len != 0)
		memcpy(copy, item, len);
	if ((b = dfb_block_adopt(queue, base, copy, len)) == NULL) {
		saved = errno;
		free(copy);
		errno = saved;
	}
	return b;
}
