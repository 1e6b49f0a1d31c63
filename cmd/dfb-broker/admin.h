/* Verbs of ADMIN that answer in a later turn, when who asked may be gone. */
#ifndef ADMIN_H
#define ADMIN_H

#include <stdint.h>

#include "dfb.h"
#include "net/sock.h"

struct broker;
struct json_t;

struct asker {
	struct dfb_peer peer;
	uint64_t serial;
	uint32_t req;
};
typedef void admin_later_fn(struct broker *, const struct asker *, struct json_t *args);

/* Answer.  _answer takes the result, and sends it when what is pending is on the disk; _now at
 * once. */
void admin_answer(struct broker *, const struct asker *, struct json_t *result);
void admin_answer_now(struct broker *, const struct asker *, struct json_t *result);
void admin_fail(struct broker *, const struct asker *, enum dfb_status, const char *why);

admin_later_fn admin_dlq_redrive; /* redrive.c */
admin_later_fn admin_timer_list, admin_timer_cancel; /* admin_timer.c */

#endif
