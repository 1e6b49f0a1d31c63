/* The name server: what its files share. */
#ifndef NAMES_NAMES_H
#define NAMES_NAMES_H

#include <stdint.h>

#include "base/timer.h"
#include "daemon/hub.h"
#include "dfb-names/registry.h"

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
	uint64_t enrolls, lookups, expired;
};

struct names {
	const char *name;
	uint64_t incarnation, started_ms; /* wall clock; monotonic */
	uint64_t lease_max_ms;
	struct dfb_loop *loop;
	struct dfb_sock *sock;
	struct names_registry registry;
	struct dfb_hub hub;
	TAILQ_HEAD(, names_held) held; /* lookups that wait; see held_begin() */
	size_t nheld;
	struct dfb_timer young;        /* runs while they may */
	struct names_persist *persist;
	struct names_stats stats;
	int status; /* what the process will exit with */
};

/* Stop the loop because something broke (logged already). */
void names_fail(struct names *, int status);

/* ---- enroll.c ---- */

void names_enroll(struct names *, struct dfb_session *, const struct dfb_proto *);
void names_forget(struct names *, struct dfb_session *, const struct dfb_proto *);

/* An entry from the disk: its lease starts now. */
void names_adopt(struct names *, struct names_entry *);

/* The session ended: what it enrolled is lost. */
void names_lost(void *names, struct dfb_session *);

/* ---- lookup.c ---- */

void names_lookup(struct names *, struct dfb_session *, const struct dfb_proto *);
void names_unwatch(struct names *, struct dfb_session *, const struct dfb_proto *);
void names_listing(struct names *, struct dfb_session *, const struct dfb_proto *);

/* What those who watch dest are told, into out.  0, or -1 after ending the server. */
int names_news(void *names, const char *dest, uint32_t tag, struct dfb_buf *out);

/* Answer with what is known now. */
void names_answer_routes(struct names *, struct dfb_session *, const char *dest,
    uint32_t req);

/* ---- held.c: after a restart daemons need a moment to enroll again.  For so long a lookup
 * that finds nothing waits, rather than tell its client what may not be true. ---- */

void held_init(struct names *);
void held_begin(struct names *); /* the moment starts now */
void held_end(struct names *);   /* answer all, hold no more */

/* Hold it, if it is to be held: whether it is. */
bool held_add(struct names *, struct dfb_session *, const char *dest, uint32_t req);

/* Answer those that now find something. */
void held_answer(struct names *);

/* The session is not heard any more: forget its. */
void held_remove_all(void *names, struct dfb_session *);

/* ---- admin.c ---- */

void names_admin(struct names *, struct dfb_session *, const struct dfb_proto *);

#endif
