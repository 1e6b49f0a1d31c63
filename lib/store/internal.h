/* What the files of lib/store share. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <db.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dfb_batch;
struct dfb_block;
struct dfb_store_config;

/* A write is one step for the kernel only up to its own page size: kill -9 can tear a
 * larger one (64 KiB on tmpfs: 231 of 300 kills; 4 KiB: none), and Berkeley DB cannot mend
 * a torn page from its log.  The gain of 64 KiB would be 0 to 20 %. */
#define STORE_PAGE 4096

/* A log file, where there are segments. */
#define STORE_LOG_FILE (32u << 20)

/* ---- block.c, batch.c ---- */

/* Fill in count, times and flags from a stored header (b->base is set).  0, or -1 with
 * errno EBADMSG. */
int dfb_block_header_parse(struct dfb_block *b, const uint8_t *p, size_t len);

/* As dfb_block_parse, but item, from malloc(3), belongs to the block on success. */
struct dfb_block *dfb_block_adopt(uint64_t queue, uint64_t base, uint8_t *item, size_t len);

enum batch_kind { BATCH_PUT, BATCH_DEL, BATCH_BLOCK };

struct batch_op {
	enum batch_kind kind;
	int table;
	uint32_t klen, vlen;
	size_t at; /* of the key in the batch's bytes; the value follows */
	const struct dfb_block *block;
};

/* The operations of a batch: their number. */
size_t dfb_batch_ops(const struct dfb_batch *, const struct batch_op **ops, uint8_t **bytes);

/* ---- spans.c: where each queue's blocks are; memory only ---- */

struct segment;

/* The blocks of one queue in one segment. */
struct span {
	struct segment *seg;
	uint64_t first;   /* offset of the first record */
	uint64_t last;    /* base of the last block */
	uint64_t next;    /* one after the last record */
	uint64_t last_ms; /* of the last block */
};

struct spans_queue {
	uint64_t queue;
	struct span *spans; /* oldest first */
	size_t n, cap;
};

struct spans {
	struct spans_queue *queues; /* sorted by queue */
	size_t n, cap;
};

void dfb_spans_release(struct spans *);

/* NULL when nothing is known of the queue. */
const struct spans_queue *dfb_spans_find(const struct spans *, uint64_t queue);

/* Make sure that dfb_spans_note of the queue cannot fail until the next segment starts.
 * 0, or -1 with errno. */
int dfb_spans_reserve(struct spans *, uint64_t queue);

/* The segment where a block with this base belongs, so that offsets rise from segment
 * to segment; current when it is a new one at the end. */
struct segment *dfb_spans_place(const struct spans *, uint64_t queue, uint64_t base,
    struct segment *current);

/* Take note of a stored block.  The queue was reserved. */
void dfb_spans_note(struct spans *, uint64_t queue, struct segment *, uint64_t base,
    uint32_t count, uint64_t last_ms);

/* Forget a segment. */
void dfb_spans_forget(struct spans *, const struct segment *);

/* ---- the store ---- */

struct segment {
	DB *db;
	uint32_t number;
	unsigned readers; /* under the store's mutex, as the rest */
	uint64_t bytes, last_ms;
};

/* A log file that is made ahead, by the keeper. */
struct spare {
	char *path, *new_path;
	int fd;            /* while it is written; -1 */
	size_t size, want; /* written, and when it is finished */
	bool failed;       /* once is enough: it is not needed */
};

/* A thread that writes pages and checkpoints as the log grows. */
struct keeper {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	size_t bytes; /* committed since it last worked */
	bool running, stop;
};

struct dfb_store {
	char *dir;
	int lock_fd;
	DB_ENV *env;
	DB **tables;
	size_t ntables;
	bool has_segments;
	uint64_t segment_bytes;
	atomic_bool failed; /* nothing works any more; said once */
	atomic_int cause;   /* errno that Berkeley DB hid, or 0 */
	atomic_uint complaints;

	pthread_mutex_t mutex; /* for what follows; never held over I/O */
	pthread_cond_t idle;   /* a segment's readers went to 0 */
	struct spans spans;
	struct segment **segs; /* oldest first; the last is the current one */
	size_t nsegs, segs_cap;

	struct keeper keeper;
	struct spare spare; /* the keeper's */
};

/* Log "store 'DIR': cannot WHAT: why" and the remedy where one is known; the store is
 * unusable then, and writes nothing any more, not when it is closed either.  Always -1. */
int dfb_store_fail(struct dfb_store *, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As dfb_store_fail, while opening: sets *status. */
int dfb_store_open_fail(struct dfb_store *, int err, int *status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Is the store usable? */
bool dfb_store_ok(const struct dfb_store *);

/* ---- dir.c: the directory, its version, its lock ---- */

/* Make and lock the directory; refuse what is not ours.  Sets lock_fd. */
int dfb_store_dir_open(struct dfb_store *, const char *owner, int *status);
void dfb_store_dir_close(struct dfb_store *);

/* ---- env.c ---- */

int dfb_store_env_open(struct dfb_store *, size_t cache_bytes, int *status);

/* ---- table.c ---- */

int dfb_store_tables_open(struct dfb_store *, const char *const *names, int *status);

/* Open a btree; name NULL: the file has only one.  0 or an error of Berkeley DB. */
int dfb_store_btree_open(struct dfb_store *, DB **, const char *file, const char *name,
    uint32_t page, uint32_t flags);

/* ---- segment.c ---- */

#define SEGMENT_KEY 16

void dfb_segment_key(uint8_t key[SEGMENT_KEY], uint64_t queue, uint64_t base);
void dfb_segment_key_parse(const uint8_t key[SEGMENT_KEY], uint64_t *queue, uint64_t *base);
int dfb_store_segments_open(struct dfb_store *, int *status);
void dfb_store_segments_close(struct dfb_store *);

/* The segment that new blocks go to, a new one when the last is full; NULL after
 * dfb_store_fail.  Commit thread. */
struct segment *dfb_store_segment_current(struct dfb_store *);

/* Bytes of its file, with pages that are not written yet. */
uint64_t dfb_segment_size(const struct segment *);

/* ---- keeper.c ---- */

int dfb_keeper_start(struct dfb_store *); /* 0 or errno */
void dfb_keeper_stop(struct dfb_store *); /* one that does not run is fine */
void dfb_keeper_note(struct dfb_store *, size_t bytes); /* so many were committed */

/* ---- spare.c ---- */

/* Have Berkeley DB use spare files: before an environment is made.  0 or an error. */
int dfb_spare_hook(void);

/* What is made is as large as bytes.  0 or ENOMEM. */
int dfb_spare_start(struct spare *, const char *dir, size_t bytes);
void dfb_spare_stop(struct spare *); /* one that was not started is fine, fd -1 */

/* Go on with a spare file by about so many bytes, if there is none. */
void dfb_spare_write(struct spare *, size_t bytes);

/* ---- gather.c ---- */

/* Have Berkeley DB's files go by it: before an environment is made.  0 or an error. */
int dfb_gather_hooks(void);

/* Pages that this thread writes in between are written together.  0, or -1 with errno: some
 * are lost, so from then on no read, write or flush of this process works. */
void dfb_gather_begin(void);
int dfb_gather_end(void);

/* ---- cursor.c, besides cursor.h ---- */

/* Read what the index needs of a segment, by two seeks per queue.  0 or an error of
 * Berkeley DB or errno. */
int dfb_segment_scan(struct dfb_store *, struct segment *);

#endif
