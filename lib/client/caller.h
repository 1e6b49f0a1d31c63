/* Inside a caller: what its files share. */
#ifndef CLIENT_CALLER_H
#define CLIENT_CALLER_H

#include "base/buf.h"
#include "client/calls.h"
#include "client/internal.h"
#include "client/link.h"
#include "client/routes.h"

/* A topic at a broker that calls were sent to. */
struct dfb_target {
	LIST_ENTRY(dfb_target) entry;
	struct dfb_caller *caller;
	struct dfb_link_user user;
	char topic[DFB_TOPIC_MAX], broker[65];
	uint32_t id;                /* calls remember where they were */
	struct dfb_call_list out;   /* sent there, no answer yet */
	struct dfb_buf batch;       /* records of the next CALL frame */
	uint32_t frame;             /* its number; 0: the batch is empty */
	bool once;                  /* its calls are by id */
};

struct dfb_caller {
	LIST_ENTRY(dfb_caller) entry;
	struct dfb *dfb;
	struct dfb_watch watch;
	struct dfb_work work;
	struct dfb_timer timer;
	struct dfb_call_list queue; /* to be sent */
	LIST_HEAD(, dfb_target) targets;
	uint32_t last_id;
	uint64_t turn;              /* brokers take turns */
	uint64_t stuck_since;
	bool full;                  /* a socket takes no more now */
	bool sync;                  /* dfb_call()'s */
};

/* dispatch.c: send what is queued (the work); let go of a target. */
void dfb_dispatch_serve(void *caller);
void dfb_target_free(struct dfb_target *);
/* Its broker refused: others first, for a while, when there are others. */
void dfb_target_refused(struct dfb_target *);

/* The target that a route leads to; NULL: there is none yet. */
struct dfb_target *dfb_target_find(struct dfb_caller *, const struct dfb_route *);

/* pick.c: the route to the nearest broker that may take the call, of those equally near to the
 * one that wants it most; NULL: there is none. */
const struct dfb_route *dfb_caller_pick(struct dfb_caller *, const struct dfb_call *);

/* caller.c: move a call to a list. */
void dfb_call_move(struct dfb_call *, struct dfb_call_list *);

#endif
