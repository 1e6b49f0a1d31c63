/* dfb-call: ask a topic or service and print the answers. */
#ifndef CALL_CALL_H
#define CALL_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/input.h"
#include "common/msgopt.h"
#include "common/report.h"
#include "dfb.h"

struct slot;

struct call {
	struct dfb *dfb;
	struct dfb_caller *caller;
	struct dfb_input in;
	struct dfb_msgopt options;
	struct dfb_report report;
	uint64_t timeout_ms;
	uint32_t window;         /* calls under way at most */
	enum dfb_framing framing; /* of requests and replies */
	bool one;                /* a second request is an error; it is made once for its id */
	bool collects;           /* no request: the answer of this id's */
	struct dfb_id collect;
	/* Private. */
	struct slot *slots;      /* a ring: calls head to tail - 1, in order */
	uint64_t head, tail;
};

/* Make the calls and print the replies, in the order of the requests.  0, or -1
 * after a message when it cannot go on (DFB_IOERR or DFB_OSERR in *status). */
int call_run(struct call *, enum dfb_status *status);
void call_release(struct call *);

#endif
