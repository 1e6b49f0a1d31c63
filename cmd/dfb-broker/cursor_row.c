/*
 * A cursor's row.  Key: topic id u32, queue u32, group name.  Value: version u8 = 1, low u64,
 * count u32 of settled ranges (from u64, to u64), count u32 of retries (offset u64, due u64,
 * tries u32).  Ranges beyond what a row holds are left out: those messages come again
 * after a restart.  What is settled of dead letters has rows of its own (letters.c).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/endian.h>

#include "broker.h"
#include "letters.h"
#include "wire/cursor.h"

#define ROW_RANGES 256

void
cursor_row_key(const struct cursor *c, struct dfb_buf *key)
{
	uint8_t head[8];

	be32enc(head, c->group->topic->id);
	be32enc(head + 4, c->q->index);
	if (dfb_buf_add(key, head, sizeof head) == -1 ||
	    dfb_buf_add(key, c->group->name, strlen(c->group->name)) == -1)
		dfb_buf_release(key);
}

int
cursor_row(const struct cursor *c, struct dfb_buf *key, struct dfb_buf *val)
{
	size_t ranges = c->ndone < ROW_RANGES ? c->ndone : ROW_RANGES;
	uint8_t *p;

	if (group_is_internal(c->group))
		ranges = 0;
	cursor_row_key(c, key);
	if (key->data == NULL ||
	    dfb_buf_reserve(val, 17 + ranges * 16 + c->nretries * 20) == -1)
		return -1;
	p = dfb_write_u8(val->data, 1);
	p = dfb_write_u64(p, c->low);
	p = dfb_write_u32(p, (uint32_t)ranges);
	for (size_t i = 0; i < ranges; i++) {
		p = dfb_write_u64(p, c->done[i].from);
		p = dfb_write_u64(p, c->done[i].to);
	}
	p = dfb_write_u32(p, (uint32_t)c->nretries);
	for (size_t i = 0; i < c->nretries; i++) {
		p = dfb_write_u64(p, c->retries[i].offset);
		p = dfb_write_u64(p, c->retries[i].due);
		p = dfb_write_u32(p, c->retries[i].tries);
	}
	val->len = (size_t)(p - val->data);
	return 0;
}

/* Ranges and retries rise, as they were written. */
static bool
in_order(const struct cursor *c)
{
	for (size_t i = 0; i < c->ndone; i++)
		if (c->done[i].from >= c->done[i].to ||
		    (i > 0 && c->done[i].from < c->done[i - 1].to))
			return false;
	return c->nretries == 0 || c->retries[c->nretries - 1].offset != UINT64_MAX;
}

int
cursor_load(struct broker *b, struct cursor *c, const uint8_t *val, size_t len)
{
	struct dfb_reader r = { val, val + len, true };
	uint32_t n;

	if (dfb_read_u8(&r) != 1)
		return -1;
	c->low = dfb_read_u64(&r);
	n = dfb_read_u32(&r);
	if (!r.ok || n > ROW_RANGES || (c->done = calloc(n + 1, sizeof *c->done)) == NULL)
		return -1;
	c->done_cap = n + 1;
	for (c->ndone = 0; c->ndone < n; c->ndone++) {
		c->done[c->ndone].from = dfb_read_u64(&r);
		c->done[c->ndone].to = dfb_read_u64(&r);
	}
	n = dfb_read_u32(&r);
	for (uint32_t i = 0; i < n && r.ok; i++) {
		uint64_t offset = dfb_read_u64(&r);
		struct retry *t;

		if (!r.ok || (i > 0 && offset <= c->retries[i - 1].offset) ||
		    (t = cursor_retry_add(c, offset)) == NULL)
			return -1;
		t->due = dfb_read_u64(&r);
		t->tries = dfb_read_u32(&r);
	}
	if (!r.ok || r.p != r.end || !in_order(c))
		return -1;
	if (c->low < c->q->first)
		c->low = c->q->first;
	cursor_forget_below(c);
	c->pos = c->high = c->low;
	if (c->ndone != 0) /* all below its end was out once */
		c->high = c->done[c->ndone - 1].to;
	if (c->nretries != 0 && c->high <= c->retries[c->nretries - 1].offset)
		c->high = c->retries[c->nretries - 1].offset + 1;
	cursor_arm(b, c);
	return 0;
}
