/* Watches: which sessions are told when a destination's routes change. */
#ifndef NAMES_WATCH_H
#define NAMES_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "wire/words.h"

#define NAMES_WATCHES_MAX 100000 /* of one session */

struct names_session;

struct names_watch {
	struct names_dest *dest;
	struct names_session *session;
	bool stale; /* has yet to be told */
	LIST_ENTRY(names_watch) in_dest;
	RB_ENTRY(names_watch) in_session;
	TAILQ_ENTRY(names_watch) in_stale;
};

RB_HEAD(names_session_watches, names_watch);
TAILQ_HEAD(names_stale_watches, names_watch);

struct names_dest {
	char name[DFB_TOPIC_MAX];
	bool dirty;
	LIST_HEAD(, names_watch) watches;
	RB_ENTRY(names_dest) by_name;
	TAILQ_ENTRY(names_dest) in_dirty;
};

RB_HEAD(names_dests, names_dest);

struct names_watches {
	size_t n; /* watches */
	struct names_dests dests;
	TAILQ_HEAD(, names_dest) dirty;
};

void watches_init(struct names_watches *);

/* Begin: 0, -1 with errno ENOMEM.  A watch that exists is fine.  End: a missing one is fine. */
int watch_add(struct names_watches *, struct names_session *, const char *dest);
void watch_remove(struct names_watches *, struct names_session *, const char *dest);

/* End all watches of a session. */
void watch_remove_all(struct names_watches *, struct names_session *);

/* The routes of dest changed: remember it, if anybody watches. */
void watch_mark(struct names_watches *, const char *dest);

/* Take a marked destination; NULL when there are no more. */
struct names_dest *watch_take(struct names_watches *);

/* The session could not be told now: remember it; and take one such watch (NULL: no
 * more). */
void watch_set_stale(struct names_watch *);
struct names_watch *watch_take_stale(struct names_session *);

#endif
