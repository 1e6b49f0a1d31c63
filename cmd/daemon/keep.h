/*
 * A daemon's small store, written behind its back: what is put and deleted in one turn of the
 * loop is committed together, at once, by a thread of its own; while it works the next is
 * gathered.  For what can be had again when the last moment is lost.
 */
#ifndef DAEMON_KEEP_H
#define DAEMON_KEEP_H

#include <stddef.h>

struct dfb_keep;
struct dfb_loop;
struct dfb_store;
struct dfb_store_config;

/* NULL after logging why; *status is then the exit status. */
struct dfb_keep *dfb_keep_open(const struct dfb_store_config *, int *status);

/* To read from. */
struct dfb_store *dfb_keep_store(struct dfb_keep *);

/* Start to write; failed(arg, status) runs once when it cannot go on, logged.  0 or -1 with
 * errno. */
int dfb_keep_start(struct dfb_keep *, struct dfb_loop *,
    void (*failed)(void *arg, int status), void *arg);

/* Set or delete a row (a missing one is fine), copied.  0; -1: no memory, logged, and after
 * _start failed() ran.  Nothing is written any more then: what was gathered is not whole. */
int dfb_keep_put(struct dfb_keep *, int table, const void *key, size_t klen,
    const void *val, size_t vlen);
int dfb_keep_del(struct dfb_keep *, int table, const void *key, size_t klen);

/* The same end, when the caller has no memory for a row (errno). */
void dfb_keep_fail(struct dfb_keep *);

/* Before _start: commit now.  DFB_OK or the exit status, logged. */
int dfb_keep_commit(struct dfb_keep *);

/* Write what is left and close.  DFB_OK or the exit status, logged.  NULL is fine. */
int dfb_keep_close(struct dfb_keep *);

#endif
