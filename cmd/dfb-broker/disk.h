/* To the disk and from it: what the switch thread has others do. */
#ifndef DISK_H
#define DISK_H

#include "broker.h"

/* commit.c */
struct dfb_batch *commit_batch(struct broker *, bool urgent); /* to add rows; NULL: no memory */
int commit_then(struct broker *, void (*fn)(struct broker *, void *arg), void *arg);
void commit_if_due(struct broker *);
void commit_final(struct broker *);
void commit_dirty_queue(struct broker *, struct queue *);
void commit_dirty_cursor(struct broker *, struct cursor *);
void commit_dirty_producer(struct broker *, struct producer *);
_Noreturn void fail_stop(struct broker *, const char *what);

/* reader.c: fn gets a block that holds offset or is the next after it (NULL: none), now or
 * from a later turn; it is released after fn.  seek gives an offset. */
void reader_fetch(struct broker *, struct queue *, uint64_t offset,
    void (*fn)(struct broker *, void *arg, struct dfb_block *), void *arg);
void reader_seek(struct broker *, struct queue *, uint64_t wall_ms,
    void (*fn)(struct broker *, void *arg, uint64_t offset), void *arg);

#endif
