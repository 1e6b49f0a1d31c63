/*
 * Berkeley DB sums up every byte of its log and of its pages, one after the other, with
 * h = h * 33 + byte: a quarter of the time that storing a message takes.  Its shared library
 * looks this function up by name, so ours is found first, here: the same sum, in 32 lanes
 * of every 32nd byte each.
 */
#include "store/checksum.h"

#include <string.h>

#define LANES 8  /* in a vector */
#define STEP 32  /* bytes at a time: four vectors */

typedef uint32_t lanes __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef uint8_t octets __attribute__((vector_size(LANES)));

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx2", "sse4.1", "default")))
#else
#define CLONES
#endif

/* 33 to the power of n, modulo 2^32. */
static uint32_t
power(unsigned n)
{
	uint32_t p = 1;

	while (n-- > 0)
		p *= 33;
	return p;
}

/* The sum of n * STEP bytes. */
CLONES static uint32_t
sum_steps(const uint8_t *p, size_t n)
{
	const uint32_t step = power(STEP);
	lanes v[STEP / LANES] = { { 0 } };
	uint32_t h = 0;

	for (; n > 0; n--, p += STEP)
		for (unsigned i = 0; i < STEP / LANES; i++) {
			octets o;
			memcpy(&o, p + i * LANES, sizeof o);
			v[i] = v[i] * step + __builtin_convertvector(o, lanes);
		}
	for (unsigned i = 0; i < STEP; i++)
		h = h * 33 + v[i / LANES][i % LANES];
	return h;
}

uint32_t
__ham_func4(void *db, const void *key, uint32_t len)
{
	const uint8_t *p = key, *end = p + len;
	uint32_t h = 0;

	(void)db;
	if (len >= 2 * STEP) {
		h = sum_steps(p, len / STEP);
		p += len / STEP * STEP;
	}
	while (p < end)
		h = h * 33 + *p++;
	return h;
}
