/* Questions to sgs, which alone changes services. */
#ifndef CTL_SGS_H
#define CTL_SGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dfb.h"

struct ctl;
struct json_t;

enum { CTL_CHANGE_IF_VERSION = 970, CTL_CHANGE_REQUEST };

/* Options of all that changes something there. */
#define CTL_CHANGE_OPTIONS \
	{ CTL_CHANGE_IF_VERSION, "if-version", "N", "only if it is at this version" }, \
	{ CTL_CHANGE_REQUEST, "request", "ID", "done once, however often it is asked" }

/* Take the option with this letter into c->change, if it is one of these. */
bool ctl_change_option(struct ctl *, int letter);

/* Whether an sgs is enrolled.  quiet: it is not reported when there is none. */
bool ctl_sgs_find(struct ctl *, bool quiet);

/* Ask it; args is taken.  The result, or NULL with *st and *why, valid until the next
 * question. */
struct json_t *ctl_sgs_quietly(struct ctl *, const char *verb, struct json_t *args,
    enum dfb_status *st, const char **why);

/* The same; a failure is reported. */
struct json_t *ctl_sgs(struct ctl *, const char *verb, struct json_t *args);

/* A change: args (taken) with c->change and who asks.  As above. */
struct json_t *ctl_sgs_change(struct ctl *, const char *verb, struct json_t *args);

/* Print a result with --json; release it.  NULL is fine. */
void ctl_sgs_done(struct ctl *, struct json_t *);

/*
 * Wait, at most c->await_ms, until a deployment is in state `want` ("online", "offline"), with what
 * it waits for on stderr.  What service.show says then; NULL: reported.  Also one that was rolled
 * back, when `want` is online, is reported.
 */
struct json_t *ctl_sgs_await(struct ctl *, const char *service, const char *region,
    const char *want);

#endif
