/* Watches: which sessions are told when what a name stands for changes.  The hub (hub.h)
 * tells them. */
#ifndef DAEMON_WATCH_H
#define DAEMON_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "wire/words.h"

#define DFB_WATCHES_MAX 100000 /* of one session */

struct dfb_session;

struct dfb_watcher {
	struct dfb_watched *dest;
	struct dfb_session *session;
	bool stale; /* has yet to be told */
	LIST_ENTRY(dfb_watcher) in_dest;
	RB_ENTRY(dfb_watcher) in_session;
	TAILQ_ENTRY(dfb_watcher) in_stale;
};

RB_HEAD(dfb_session_watches, dfb_watcher);
TAILQ_HEAD(dfb_stale_watches, dfb_watcher);

/* What is watched.  Those with one name and one tag are told the same; what a tag is, the
 * program knows (a caller's region; 0 for all alike). */
struct dfb_watched {
	char name[DFB_TOPIC_MAX];
	uint32_t tag;
	bool dirty;
	LIST_HEAD(, dfb_watcher) watches;
	RB_ENTRY(dfb_watched) by_name;
	TAILQ_ENTRY(dfb_watched) in_dirty;
};

RB_HEAD(dfb_watched_tree, dfb_watched);

struct dfb_watches {
	size_t n;      /* watches */
	size_t nstale; /* of them, those that have yet to be told */
	struct dfb_watched_tree dests;
	TAILQ_HEAD(, dfb_watched) dirty;
};

void dfb_watches_init(struct dfb_watches *);

/* Begin: 0, -1 with errno ENOMEM.  A watch that exists is fine.  End, with all tags: a
 * missing one is fine. */
int dfb_watch_add(struct dfb_watches *, struct dfb_session *, const char *name,
    uint32_t tag);
void dfb_watch_remove(struct dfb_watches *, struct dfb_session *, const char *name);

/* End all watches of a session. */
void dfb_watch_remove_all(struct dfb_watches *, struct dfb_session *);

/* What the name stands for changed: remember it, if anybody watches; and all names. */
void dfb_watch_mark(struct dfb_watches *, const char *name);
void dfb_watch_mark_all(struct dfb_watches *);

/* Take what is marked; NULL when there is no more. */
struct dfb_watched *dfb_watch_take(struct dfb_watches *);

/* The session could not be told now: remember it; and take one such watch (NULL: no
 * more). */
void dfb_watch_set_stale(struct dfb_watches *, struct dfb_watcher *);
struct dfb_watcher *dfb_watch_take_stale(struct dfb_watches *, struct dfb_session *);

#endif
