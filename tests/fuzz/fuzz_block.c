/* Blocks: a stored item that is accepted is written back the same; what is appended is
 * found again. */
#include <errno.h>

#include "fuzz.h"
#include "store/block.h"

static void
stored(const uint8_t *data, size_t len)
{
	struct dfb_block *b = dfb_block_parse(7, 100, data, len);

	if (b == NULL) {
		need(errno == EBADMSG);
		return;
	}
	need(len >= DFB_BLOCK_HEADER && b->queue == 7 && b->base == 100 && b->count != 0);
	need(b->base + b->count > b->base && b->refs == 1);
	dfb_block_seal(b);
	need(same(b->data, b->len, data, len));
	need(dfb_block_append(b, data, len, 1, 9) == -1 || b->len == 2 * len);
	dfb_block_unref(b);
}

/* Cut the input into records of some length, as the first bytes say. */
static void
gathered(const uint8_t *data, size_t len)
{
	struct dfb_block *b = dfb_block_new(1, len, len % 5), *back;
	const uint8_t *p = data, *end = data + len;
	uint32_t count = 0;

	need(b != NULL);
	while (p < end) {
		size_t n = *p % 64u + 1u;
		if (n > (size_t)(end - p))
			n = (size_t)(end - p);
		need(dfb_block_append(b, p, n, 1, 1000 + count) == 0);
		count++;
		p += n;
	}
	dfb_block_seal(b);
	need(same(b->data + DFB_BLOCK_HEADER, b->len - DFB_BLOCK_HEADER, data, len));
	back = dfb_block_parse(1, len, b->data, b->len);
	need((back == NULL) == (count == 0));
	if (back != NULL)
		need(back->count == count && back->first_ms == 1000 &&
		    back->last_ms == 999 + count &&
		    same(back->data, back->len, b->data, b->len));
	dfb_block_unref(back);
	dfb_block_unref(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dfb_block *b;

	stored(data, len);
	gathered(data, len);
	/* Offsets end where numbers end. */
	b = dfb_block_parse(1, UINT64_MAX, data, len);
	need(b == NULL || b->count == 0);
	dfb_block_unref(b);
	return 0;
}
