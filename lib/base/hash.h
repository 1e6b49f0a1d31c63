/* The hash that maps keys to queues: stable for ever, on every machine. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* FNV-1a, 64 bit (draft-eastlake-fnv), with the murmur3 finaliser so that low
 * bits are usable by themselves. */
static inline uint64_t
dfb_hash(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	return h;
}

/* For tables in memory: of 16 bytes, every bit of which may be the only one that varies. */
static inline uint64_t
dfb_hash_id(const uint8_t b[16])
{
	uint64_t half[2], h;

	memcpy(half, b, sizeof half);
	h = half[0] * UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ h >> 32 ^ half[1]) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ h >> 32) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 32;
}

/* How much a name wants a key, both hashed: the one with the highest score of a set gets it, so
 * that a name that joins or leaves moves its own share of the keys only (rendezvous hashing;
 * mixed as murmur3's finaliser does). */
static inline uint64_t
dfb_hash_score(uint64_t key, uint64_t name)
{
	uint64_t h = key ^ name;

	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	h ^= h >> 33;
	return h;
}

#endif
