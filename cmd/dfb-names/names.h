/* The name server: what its files share. */
#ifndef NAMES_NAMES_H
#define NAMES_NAMES_H

#include <stdint.h>

#include "dfb-names/registry.h"
#include "dfb-names/session.h"
#include "dfb-names/watch.h"

struct dfb_loop;
struct dfb_proto;
struct dfb_sock;
struct names_held;
struct names_persist;

/* Limits: what does not fit is refused with DFB_AGAIN. */
#define NAMES_ENTRIES_MAX 10000
#define NAMES_OFFERS_MAX 4000000
#define NAMES_LEASE_MIN_MS 100

struct names_stats {
	uint64_t enrolls, lookups, pushes, expired, malformed, slow;
};

struct names {
	const char *name;
	uint64_t incarnation, started_ms; /* wall clock; monotonic */
	uint64_t lease_max_ms;
	struct dfb_loop *loop;
	struct dfb_sock *sock;
	struct names_registry registry;
	struct names_sessions sessions;
	struct names_watches watches;
	TAILQ_HEAD(, names_held) held; /* lookups that wait; see held_begin() */
	size_t nheld;
	struct dfb_timer young;        /* runs while they may */
	struct names_persist *persist;
	struct names_stats stats;
	int status; /* what the process will exit with */
};

/* Stop the loop because something broke (logged already). */
void names_fail(struct names *, int status);

/* ---- handle.c ---- */

/* A frame of a session (data NULL: not one frame). */
void names_handle(struct names *, struct names_session *, const void *data, size_t len);

/* Answer a request. */
void names_answer(struct names *, struct names_session *, struct dfb_proto *answer,
    uint32_t req);
void names_refuse(struct names *, struct names_session *, uint32_t req, int status,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Answer what breaks the protocol, and hear no more of the session. */
void names_malformed(struct names *, struct names_session *, uint32_t req,
    const char *why);

/* ---- enroll.c ---- */

void names_enroll(struct names *, struct names_session *, const struct dfb_proto *);
void names_forget(struct names *, struct names_session *, const struct dfb_proto *);

/* An entry from the disk: its lease starts now. */
void names_adopt(struct names *, struct names_entry *);

/* The session ended: what it enrolled is lost. */
void names_lost(struct names *, struct names_session *);

/* ---- lookup.c ---- */

void names_lookup(struct names *, struct names_session *, const struct dfb_proto *);
void names_unwatch(struct names *, struct names_session *, const struct dfb_proto *);
void names_listing(struct names *, struct names_session *, const struct dfb_proto *);

/* Push to those who watch what has changed since the last time. */
void names_push(struct names *);

/* There is room in the session's queue again: push what it missed. */
void names_push_stale(struct names *, struct names_session *);

/* Answer with what is known now. */
void names_answer_routes(struct names *, struct names_session *, const char *dest,
    uint32_t req);

/* ---- held.c: after a restart daemons need a moment to enroll again.  For so long a lookup
 * that finds nothing waits, rather than tell its client what may not be true. ---- */

void held_init(struct names *);
void held_begin(struct names *); /* the moment starts now */
void held_end(struct names *);   /* answer all, hold no more */

/* Hold it, if it is to be held: whether it is. */
bool held_add(struct names *, struct names_session *, const char *dest, uint32_t req);

/* Answer those that now find something. */
void held_answer(struct names *);

/* The session ends: forget its. */
void held_remove_all(struct names *, struct names_session *);

/* ---- admin.c ---- */

void names_admin(struct names *, struct names_session *, const struct dfb_proto *);

#endif
