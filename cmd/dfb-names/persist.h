/*
 * The registry on the disk, so that a restart answers at once.  Changes of one
 * turn are committed together, at once, by a thread of their own; while it works the next
 * are gathered.  Renewals are not written.
 */
#ifndef NAMES_PERSIST_H
#define NAMES_PERSIST_H

#include <stdbool.h>
#include <stdint.h>

struct dfb_loop;
struct names_entry;
struct names_persist;
struct names_registry;

/* Open the store in dir.  NULL after logging why; *status is then the exit status. */
struct names_persist *persist_open(const char *dir, int *status);

/* A version for the registry to start from, above any that was used before; *again: the
 * directory was used before.  *status: DFB_OK or the exit status, logged. */
uint64_t persist_version(struct names_persist *, bool *again, int *status);

/* Fill the registry.  DFB_OK or the exit status, logged. */
int persist_load(struct names_persist *, struct names_registry *);

/* Start to write; failed(arg, status) runs, from the loop, when it cannot go on.  0 or -1
 * with errno. */
int persist_start(struct names_persist *, struct dfb_loop *,
    void (*failed)(void *arg, int status), void *arg);

/* Remember a change: an entry's facts, that it is gone (before it is removed), a topic
 * more or less. */
void persist_entry(struct names_persist *, const struct names_entry *);
void persist_gone(struct names_persist *, const struct names_entry *);
void persist_offer(struct names_persist *, const struct names_entry *, const char *topic);
void persist_unoffer(struct names_persist *, const struct names_entry *,
    const char *topic);

/* Write what is left and close.  DFB_OK or the exit status, logged.  NULL is fine. */
int persist_close(struct names_persist *);

#endif
