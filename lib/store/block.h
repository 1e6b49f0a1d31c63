/*
 * A block: messages of one queue with consecutive offsets, stored as one item.
 * Pure memory; the store writes `data` whole.  The header inside data (version,
 * count, flags, times) is written by dfb_block_seal and read by dfb_block_parse.
 */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Bytes in front of the records: version u8, flags u8, zero u16, count u32,
 * first_ms u64, last_ms u64, big-endian. */
#define DFB_BLOCK_HEADER 24
#define DFB_BLOCK_VERSION 1

/* Bytes of a block that is full (a record that is larger has one to itself): 16
 * overflow pages of 4096 bytes, which hold 4064 each, and not a byte of a 17th. */
#define DFB_BLOCK_FULL 65024

struct dfb_block {
	uint64_t queue;
	uint64_t base;      /* offset of the first record */
	uint64_t first_ms, last_ms; /* when its first and last record were stored */
	uint32_t count;
	uint8_t flags;      /* the owner's: what is special in it */
	unsigned refs;      /* not atomic: references belong to one thread */
	size_t len, cap;    /* of data, header included */
	uint8_t *data;
};

/* A block with one reference and room for cap bytes of records; NULL with errno. */
struct dfb_block *dfb_block_new(uint64_t queue, uint64_t base, size_t cap);

struct dfb_block *dfb_block_ref(struct dfb_block *);
void dfb_block_unref(struct dfb_block *); /* NULL is fine */

/* Append count encoded records of n bytes together, stored at wall_ms.  0, or -1
 * with errno: it grows as needed. */
int dfb_block_append(struct dfb_block *, const void *records, size_t n,
    uint32_t count, uint64_t wall_ms);

/* Write the header into data: before it is stored. */
void dfb_block_seal(struct dfb_block *);

/* A block from a stored item (copied); NULL with errno EBADMSG when its header is not
 * one, or ENOMEM. */
struct dfb_block *dfb_block_parse(uint64_t queue, uint64_t base,
    const void *item, size_t len);

#endif
