#include "dfb-bench/histogram.h"

#include <stddef.h>

#define SUB (1u << HISTOGRAM_BITS)

static size_t
slot_of(uint64_t v)
{
	unsigned shift;

	if (v < SUB)
		return v;
	shift = 63 - (unsigned)__builtin_clzll(v) - HISTOGRAM_BITS;
	return ((size_t)shift << HISTOGRAM_BITS) + (v >> shift);
}

/* The middle of a slot. */
static uint64_t
value_of(size_t slot)
{
	size_t shift = slot >> HISTOGRAM_BITS;

	if (shift-- == 0)
		return slot;
	return ((uint64_t)(SUB + slot % SUB) << shift) + ((uint64_t)1 << shift) / 2;
}

void
histogram_add(struct histogram *h, uint64_t v)
{
	if (h->n++ == 0 || v < h->min)
		h->min = v;
	if (v > h->max)
		h->max = v;
	h->slots[slot_of(v)]++;
}

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
	if (from->n == 0)
		return;
	if (to->n == 0 || from->min < to->min)
		to->min = from->min;
	if (from->max > to->max)
		to->max = from->max;
	to->n += from->n;
	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++)
		to->slots[i] += from->slots[i];
}

uint64_t
histogram_at(const struct histogram *h, unsigned q)
{
	/* Rounded up: of 10 values, 950 thousandths are all 10. */
	uint64_t rank = h->n / 1000 * q + (h->n % 1000 * q + 999) / 1000, seen = 0, v;

	if (h->n == 0 || rank == h->n)
		return h->max;
	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
		if ((seen += h->slots[i]) < rank)
			continue;
		v = value_of(i);
		return v < h->min ? h->min : v > h->max ? h->max : v;
	}
	return h->max;
}
