/* The locator: what its files share. */
#ifndef GSL_GSL_H
#define GSL_GSL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/timer.h"
#include "daemon/hub.h"
#include "dfb-gsl/catalog.h"
#include "wire/proto.h"

struct dfb_conn;
struct dfb_enroll;
struct dfb_keep;
struct dfb_loop;
struct dfb_net;
struct dfb_sock;

#define GSL_ENDPOINT 256

/* The session to the sgs (follow.c). */
struct follow {
	struct dfb_conn *conn;       /* NULL: no sgs is known, or again runs */
	char endpoint[GSL_ENDPOINT]; /* where it is */
	bool up, heard;              /* the session; and CATALOG came in it */
	uint64_t last_ms;            /* of the last frame; monotonic */
	uint64_t heard_ms;           /* when an sgs was last heard of; wall clock, 0: never */
	bool full, anew;             /* a full copy comes; one is to be asked for */
	struct entry_list staged;    /* of a CATALOG that is not complete */
	struct dfb_buf raw;          /* the same, as it came */
	bool owes;                   /* FOLLOWED */
	struct dfb_timer beat, patience, remember, again;
};

struct gsl {
	const char *name, *region;
	char endpoint[GSL_ENDPOINT];
	uint64_t incarnation, started_ms; /* wall clock; monotonic */
	uint64_t lease_ms;
	struct dfb_loop *loop;
	struct dfb_net *net;
	struct dfb_sock *sock;
	struct dfb_hub hub;
	struct dfb_enroll *enroll;
	struct dfb_keep *keep;
	struct catalog catalog;
	struct follow follow;
	struct dfb_buf places;  /* scratch of locate.c */
	struct {
		uint64_t locates, changes, copies;
	} stats;
	int ready_fd;
	int status; /* what the process will exit with */
};

/* Stop the loop because something broke (logged already). */
void gsl_fail(void *gsl, int status);

/* ---- store.c: the catalogue on the disk ---- */

/* Open the store in dir and fill the catalogue.  DFB_OK or the exit status, logged. */
int store_open(struct gsl *, const char *dir);

/* Remember an entry as it was sent; that one is gone; and which catalogue and version this is,
 * and when an sgs was last heard of.  What one turn remembers is written together. */
void store_entry(struct gsl *, const struct dfb_m_entry *);
void store_gone(struct gsl *, const struct entry *);
void store_state(struct gsl *);

/* ---- follow.c ---- */

void follow_init(struct gsl *);
void follow_release(struct gsl *);

/* Where the sgs is: the routes of %SGS. */
void follow_routes(struct gsl *, struct dfb_blob routes);

/* To be called before each sleep, after the watchers were told. */
void follow_tell(struct gsl *);

/* How long no sgs was heard of, in ms. */
uint64_t follow_age(const struct gsl *);

/* ---- locate.c ---- */

void locate(struct gsl *, struct dfb_session *, const struct dfb_proto *);
void unlocate(struct gsl *, struct dfb_session *, const struct dfb_proto *);

/* The places of a service for a region (0: none) and key, and why there are no more: 0; -1 without
 * memory.  The answer points into the catalogue, g->places and reason. */
int locate_answer(struct gsl *, const char *service, uint32_t region, struct dfb_blob key,
    char reason[256], struct dfb_m_located *);

/* What those who watch are told (hub.h). */
int locate_news(void *gsl, const char *service, uint32_t region, struct dfb_buf *out);

/* ---- admin.c ---- */

void admin(struct gsl *, struct dfb_session *, const struct dfb_proto *);

#endif
