/* Calls that are under way, by number. */
#ifndef CLIENT_CALLS_H
#define CLIENT_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/timer.h"
#include "dfb.h"

struct dfb_call;
struct dfb_calls;
struct dfb_caller;
struct dfb_link;
struct dfb_proto;

TAILQ_HEAD(dfb_call_list, dfb_call);

struct dfb_call {
	TAILQ_ENTRY(dfb_call) entry;   /* of a list of its caller's */
	struct dfb_call_list *list;
	struct dfb_caller *caller;
	dfb_answer_fn *fn;
	void *arg;
	uint64_t number;               /* for the wire */
	struct dfb_link *link;         /* where it is; NULL: not sent */
	uint32_t frame;                /* request number of its CALL frame */
	struct dfb_timer timer;        /* its deadline */
	uint64_t timeout_ms;
	uint32_t *tried;               /* targets that certainly did not take it */
	unsigned ntried, cap;
	char why[128];                 /* and what the last of them said */
	enum dfb_status status;
	enum { DFB_CALL_PLAIN, DFB_CALL_BY_ID, DFB_CALL_COLLECT } kind;
	struct dfb_id id;              /* but for a plain one */
	uint64_t expires_ms;
	bool keyed;                    /* key_hash chooses the broker: of the key, or the id */
	uint64_t key_hash;
	size_t len;                    /* 0: to collect */
	uint8_t record[];
};

struct dfb_calls *dfb_calls_new(void);   /* NULL with errno */
void dfb_calls_free(struct dfb_calls *); /* NULL is fine; has no calls left */

/* Give the call a number that no other has, and had for a long time; take it away.  0,
 * or -1 with errno. */
int dfb_calls_add(struct dfb_calls *, struct dfb_call *);
void dfb_calls_del(struct dfb_calls *, struct dfb_call *);

/* An ANSWER came from link (false: malformed); an ERROR for a CALL frame. */
bool dfb_calls_answer(struct dfb_calls *, const struct dfb_link *,
    const struct dfb_proto *);
void dfb_calls_error(struct dfb_calls *, const struct dfb_link *,
    const struct dfb_proto *);

/* caller.c: what became of a call; it frees it. */
struct dfb_m_outcome;
void dfb_caller_outcome(struct dfb_call *, const struct dfb_m_outcome *);
void dfb_caller_finish(struct dfb_call *, enum dfb_status, const char *why,
    const struct dfb_msg *reply);

#endif
