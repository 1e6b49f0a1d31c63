/*
 * The store: one Berkeley DB environment in one data directory, with named tables
 * of small rows, and blocks of messages in segments.  It sees ids and opaque
 * bytes.  The only code that includes <db.h>.
 *
 * Threads: dfb_store_commit and the segment functions that say so are for one thread
 * (the commit thread); dfb_store_read, _get, _keys, _rows, _seek, _space and _flush for any
 * thread at the same time; _checkpoint for the housekeeper's.  A thread of the store's own
 * writes pages soon after they are filled, and checkpoints, so that recovery stays short.
 * Any error that is not named as an answer here is fatal for the owner: log, refuse, exit
 * (fail stop).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dfb_store;
struct dfb_block;
struct dfb_buf;

struct dfb_store_config {
	const char *dir;           /* made when missing, mode 0700 */
	const char *const *tables; /* names, NULL at the end; index = number */
	bool segments;             /* whether blocks are stored */
	size_t cache_bytes;        /* 0: 32 MiB */
	uint64_t segment_bytes;    /* start a new segment above it; 0: 256 MiB */
	const char *owner;         /* the program, for "in use by" messages */
};

/*
 * Open: lock the directory, recover, open tables and segments.  0, or -1 after
 * logging why, naming the directory and the remedy: in use by another process
 * (its pid), made by another version of the format, not a directory, not
 * permitted, corrupt.  *status says which exit status fits (DFB_AGAIN in use,
 * DFB_BADINPUT another version or not a store, DFB_DENIED, DFB_IOERR, DFB_OSERR).
 */
int dfb_store_open(const struct dfb_store_config *, struct dfb_store **,
    int *status);

/* Checkpoint and close.  NULL is fine.  0; -1 (logged) when something could not be written,
 * then or before: what was committed with sync is in the log. */
int dfb_store_close(struct dfb_store *);

/* ---- tables ---- */

/* Call fn for each row of a table, in key order, until it returns non-zero, which is
 * then the result; 0 at the end, -1 on a store error (logged).  fn must not use the
 * store: the scan holds locks that a commit would wait for. */
int dfb_store_scan(struct dfb_store *, int table,
    int (*fn)(void *arg, const void *key, size_t klen, const void *val, size_t vlen),
    void *arg);

/*
 * One row's value into val (what it had goes).  1; 0: there is none; -1 error (logged).  For
 * any thread.  Waits for a commit in progress that changes the row's page.
 */
int dfb_store_get(struct dfb_store *, int table, const void *key, size_t klen,
    struct dfb_buf *val);

/*
 * Call fn with the keys of at most max rows, from the first that is not below `from` on, in
 * key order (keys of at most 256 bytes), until it returns non-zero, which is then the
 * result; 0 at the end, -1 error (logged).  For any thread; fn must not use the store.
 */
int dfb_store_keys(struct dfb_store *, int table, const void *from, size_t flen,
    size_t max, int (*fn)(void *arg, const void *key, size_t klen), void *arg);

/*
 * As dfb_store_scan, from a key on (the first at or after it), and beside commits, for any thread:
 * fn may take its time and may use the store.  It sees all that was committed before the
 * call; of what is committed meanwhile, any part.
 */
int dfb_store_rows(struct dfb_store *, int table, const void *key, size_t klen,
    int (*fn)(void *arg, const void *key, size_t klen, const void *val, size_t vlen),
    void *arg);

/* ---- batches: what is committed together ---- */

struct dfb_batch;

struct dfb_batch *dfb_batch_new(void); /* NULL with errno */
void dfb_batch_free(struct dfb_batch *); /* not the blocks; NULL is fine */

/* Empty it for reuse; memory is kept, unless it is much. */
void dfb_batch_clear(struct dfb_batch *);
bool dfb_batch_is_empty(const struct dfb_batch *);

/* Add a row to set or to delete (a missing row is fine), copied.  0, or -1 with errno. */
int dfb_batch_put(struct dfb_batch *, int table, const void *key, size_t klen,
    const void *val, size_t vlen);
int dfb_batch_del(struct dfb_batch *, int table, const void *key, size_t klen);

/* Add a block, not copied: it must stay unchanged until the commit returned.
 * A block with the same queue and base replaces the stored one.  0, or -1. */
int dfb_batch_block(struct dfb_batch *, const struct dfb_block *);

/*
 * Commit all of a batch in one transaction, in the order added.  sync: on return it
 * is on the disk; otherwise it is there after the next sync commit or flush.
 * Starts a new segment when the current one is full.  0; -1 on an error (logged): the
 * store is then unusable and the process must stop.
 */
int dfb_store_commit(struct dfb_store *, const struct dfb_batch *, bool sync);

/*
 * Make the commits that returned before durable.  0 or -1 as above.  For any thread: large
 * batches, committed without sync and flushed by a second thread while the next one
 * is committed, get 1.2 to 1.8 times as far as with sync (bench_store).
 */
int dfb_store_flush(struct dfb_store *);

/* ---- blocks ---- */

/*
 * The stored block that holds offset, or the next one after it.  1 and a block that
 * the caller releases with dfb_block_unref; 0: none at or after offset; -1 error.
 * For any thread; does not wait for a commit in progress.  What a commit in progress adds
 * is not answered for, but a block that it replaces may already be the new one: records
 * at and above dfb_store_extent's next are not to be used yet.
 */
int dfb_store_read(struct dfb_store *, uint64_t queue, uint64_t offset,
    struct dfb_block **);

/* The first stored offset of a queue and the one after its last.  1; 0: it has no
 * stored block; -1 error. */
int dfb_store_extent(struct dfb_store *, uint64_t queue, uint64_t *first,
    uint64_t *next);

/*
 * The base offset of the first block whose last message was stored at or after
 * wall_ms (*offset = one after the queue's last when there is none).  1, 0: no stored
 * block, -1 error.  For any thread.
 */
int dfb_store_seek(struct dfb_store *, uint64_t queue, uint64_t wall_ms,
    uint64_t *offset);

/* ---- segments ---- */

struct dfb_segment_info {
	uint32_t number;
	bool current;         /* being written */
	uint64_t bytes;
	uint64_t last_ms;     /* when its last block was stored */
};

/* The segments, oldest first: fills at most max, returns how many there are. */
size_t dfb_store_segments(struct dfb_store *, struct dfb_segment_info *, size_t max);

/* For each queue with blocks in segment number: fn(queue, one after its last offset
 * there); stops when fn returns non-zero and returns that; 0 at the end; -1 error.
 * From an index in memory: fast. */
int dfb_store_segment_queues(struct dfb_store *, uint32_t number,
    int (*fn)(void *arg, uint64_t queue, uint64_t next), void *arg);

/* Drop a segment that is not the current one, with all its blocks.  Commit thread
 * only; readers in it are waited for.  0 or -1. */
int dfb_store_segment_drop(struct dfb_store *, uint32_t number);

/* ---- upkeep ---- */

/* Write what the log holds to the databases when at least kbytes of log came since
 * the last time (0: always).  Housekeeper.  0 or -1. */
int dfb_store_checkpoint(struct dfb_store *, uint32_t kbytes);

/* Free and total bytes of the file system that the directory is on.  0 or -1. */
int dfb_store_space(const struct dfb_store *, uint64_t *free_bytes, uint64_t *total);

#endif
