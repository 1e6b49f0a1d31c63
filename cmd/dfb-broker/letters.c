/*
 * Which dead letters are left.  They are settled in any order, and it must be exact after a
 * restart, however many there are: so what is settled above the cursor's low offset
 * stands in T_LETTERS, in pieces.  Key: queue id u64, number of the piece u64.  Value: version
 * u8 = 1, a bit for each of CHUNK offsets, the first one's is the lowest of the first
 * byte: 1 is settled.  A row goes when low has passed it.
 */
#include <string.h>
#include <sys/endian.h>

#include "broker.h"
#include "disk.h"
#include "lane.h"
#include "letters.h"
#include "store/store.h"

#define GROUP "%dlq"
#define CHUNK 4096u
#define ROW (1 + CHUNK / 8)

bool
group_is_internal(const struct group *g)
{
	return g->name[0] == '%';
}

struct cursor *
letters_of(const struct topic *t)
{
	struct group *g;

	TAILQ_FOREACH(g, &t->groups, link)
		if (strcmp(g->name, GROUP) == 0)
			return g->cursors[topic_queue(t, 0)->slot];
	return NULL;
}

int
letters_begin(struct broker *b, struct topic *t)
{
	struct group *g;

	if (letters_of(t) != NULL)
		return 0;
	if ((g = group_new(b, t, GROUP, false, true)) == NULL || group_store(b, g) == -1)
		return -1;
	for (uint32_t i = 0; i < t->nqueues; i++)
		cursor_place(b, g->cursors[i], g->cursors[i]->q->first);
	return 0;
}

uint64_t
letters_left(const struct cursor *c)
{
	uint64_t n = queue_count(c->q, c->low, queue_limit(c->q));

	for (size_t i = 0; i < c->ndone; i++)
		n -= queue_count(c->q, c->done[i].from, c->done[i].to);
	return n;
}

bool
letters_has(const struct cursor *c, uint64_t offset)
{
	return offset < queue_limit(c->q) && !cursor_is_settled(c, offset);
}

/* ---- rows ---- */

static void
row_key(const struct cursor *c, uint64_t chunk, uint8_t key[16])
{
	be64enc(key, c->q->id);
	be64enc(key + 8, chunk);
}

static void
forget(struct broker *b, struct cursor *c, uint64_t chunk)
{
	uint8_t key[16];

	row_key(c, chunk, key);
	if (dfb_batch_del(commit_batch(b, true), T_LETTERS, key, sizeof key) == -1)
		fail_stop(b, "no memory for dead letters");
}

static void
write_chunk(struct broker *b, struct cursor *c, uint64_t chunk)
{
	uint8_t key[16], val[ROW] = { 1 };

	row_key(c, chunk, key);
	for (unsigned i = 0; i < CHUNK; i++)
		if (cursor_is_settled(c, chunk * CHUNK + i))
			val[1 + i / 8] |= (uint8_t)(1u << i % 8);
	if (dfb_batch_put(commit_batch(b, true), T_LETTERS, key, sizeof key, val,
	    sizeof val) == -1)
		fail_stop(b, "no memory for dead letters");
}

void
letters_settle(struct broker *b, struct cursor *c, const uint64_t *offsets, size_t n)
{
	uint64_t low = c->low;

	cursor_settle_list(b, c, offsets, n);
	for (uint64_t i = low / CHUNK; i < c->low / CHUNK; i++)
		forget(b, c, i);
	for (size_t i = 0; i < n; i++)
		if (offsets[i] >= c->low && (i + 1 == n ||
		    offsets[i] / CHUNK != offsets[i + 1] / CHUNK))
			write_chunk(b, c, offsets[i] / CHUNK);
}

void
letters_forget(struct broker *b, struct cursor *c)
{
	for (uint64_t n = c->low / CHUNK; n * CHUNK <= c->high; n++)
		forget(b, c, n);
}

static bool
bit(const uint8_t *bits, unsigned i)
{
	return (bits[i / 8] >> i % 8 & 1) != 0;
}

int
letters_load(struct broker *b, const void *key, size_t klen, const void *val, size_t vlen)
{
	const uint8_t *k = key, *v = val;
	struct cursor *c;
	struct topic *t;
	uint64_t base;

	if (klen != 16 || vlen != ROW || v[0] != 1)
		return -1;
	base = be64dec(k + 8) * CHUNK;
	t = topic_by_id(b, (uint32_t)(be64dec(k) >> 16));
	if (t == NULL || (c = letters_of(t)) == NULL || c->q->id != be64dec(k))
		return 0;
	for (unsigned i = 0, n; i < CHUNK; i = n) {
		for (n = i + 1; n < CHUNK && bit(v + 1, n) == bit(v + 1, i); n++)
			;
		if (bit(v + 1, i) && base + n > c->q->next)
			return -1;
		if (bit(v + 1, i))
			cursor_mark(b, c, base + i, base + n);
	}
	return 0;
}
