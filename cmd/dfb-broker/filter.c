#include "dfb-broker/filter.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "dfb.h"

#define WORDS 8          /* of a block; an id has a bit in each */
#define IDS_PER_BLOCK 32 /* 16 bits each */
#define BLOCKS_MIN 256
#define BLOCKS_MAX 65536 /* of a layer: 4 MiB */

struct filter {
	struct filter *older;
	uint32_t blocks, n;
	uint64_t words[];
};

/* Where an id's block is, and the rest of the hash, 6 bits a word. */
static const uint64_t *
place(const struct filter *f, uint64_t h)
{
	return &f->words[(h >> 48 & (f->blocks - 1)) * WORDS];
}

static struct filter *
layer_new(struct filter *older)
{
	uint32_t blocks = older == NULL ? BLOCKS_MIN :
	    older->blocks < BLOCKS_MAX ? older->blocks * 4 : BLOCKS_MAX;
	struct filter *f = calloc(1, sizeof *f + blocks * WORDS * sizeof *f->words);

	if (f == NULL)
		return NULL;
	f->older = older;
	f->blocks = blocks;
	return f;
}

static size_t
bytes(const struct filter *f)
{
	return sizeof *f + f->blocks * WORDS * sizeof *f->words;
}

long
filter_add(struct filter **fp, const struct dfb_id *id)
{
	struct filter *f = *fp;
	uint64_t h = dfb_hash_id(id->b), *w;
	long grown = 0;

	if (f == NULL || f->n == f->blocks * IDS_PER_BLOCK) {
		if ((f = layer_new(f)) == NULL)
			return -1;
		*fp = f;
		grown = (long)bytes(f);
	}
	f->n++;
	w = &f->words[place(f, h) - f->words];
	for (unsigned i = 0; i < WORDS; i++)
		w[i] |= UINT64_C(1) << (h >> i * 6 & 63);
	return grown;
}

bool
filter_may_have(const struct filter *f, const struct dfb_id *id)
{
	uint64_t h = dfb_hash_id(id->b);

	for (; f != NULL; f = f->older) {
		const uint64_t *w = place(f, h);
		unsigned i = 0;

		while (i < WORDS && (w[i] >> (h >> i * 6 & 63) & 1) != 0)
			i++;
		if (i == WORDS)
			return true;
	}
	return false;
}

size_t
filter_free(struct filter *f)
{
	size_t sum = 0;

	while (f != NULL) {
		struct filter *older = f->older;

		sum += bytes(f);
		free(f);
		f = older;
	}
	return sum;
}
