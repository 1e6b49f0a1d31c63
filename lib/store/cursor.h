/* Finding blocks in one segment.  Comes after store/block.h and store/internal.h.  All
 * return 0 or an error of Berkeley DB or errno. */
#ifndef STORE_CURSOR_H
#define STORE_CURSOR_H

/* What a cursor found: the block's place and its header, or its whole item. */
struct found {
	struct dfb_block head; /* data is not set */
	uint8_t *item;         /* from malloc, when asked for; the caller's */
	size_t len;
};

typedef int dfb_found_fn(DBC *, uint64_t queue, uint64_t offset, struct found *);

/* The header of the last block of the queue with a base at or below offset, or of the
 * first above it.  DB_NOTFOUND when the queue has none. */
dfb_found_fn dfb_found_locate;

/* The item of the block that holds offset, or of the next one of the queue;
 * DB_NOTFOUND when the segment has neither. */
dfb_found_fn dfb_found_fetch;

/*
 * Run one of these on a new cursor until it is not the victim of a deadlock.
 * Uncommitted reads, as a commit holds its pages until the log is flushed; what is not
 * committed is beyond what the index in memory answers for, and a page lock held for
 * each step keeps items whole.
 */
int dfb_segment_find(const struct segment *, uint64_t queue, uint64_t offset,
    struct found *, dfb_found_fn *);

#endif
