/* Verbs of ADMIN. */
#ifndef ADMIN_H
#define ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "dfb.h"
#include "net/sock.h"

struct broker;
struct dfb_proto;
struct json_t;
struct session;
struct settings;
struct topic;

/* Verbs answer with a JSON value, or NULL and *status and why (256 bytes). */
void handle_admin(struct broker *, struct session *, const struct dfb_proto *);
typedef struct json_t *admin_fn(struct broker *, struct json_t *args,
    enum dfb_status *status, char *why);
admin_fn admin_topic_create, admin_topic_set, admin_topic_list, admin_topic_delete,
    admin_topic_pause, admin_topic_resume, admin_group_list, admin_group_reset,
    admin_group_delete, admin_group_pause, admin_group_resume, admin_stats, admin_drain,
    admin_gray_set, admin_gray_list, admin_gray_delete, admin_dlq_list, admin_dlq_left,
    admin_dlq_drop, admin_why, admin_topic_apply, admin_topic_retire, admin_topic_governed;

/* The topic that "topic" names; NULL, with *status and why. */
struct topic *admin_topic_named(struct broker *, struct json_t *args, enum dfb_status *,
    char *why);

/* admin_topic.c: create a topic that is not there; NULL: *status and why. */
struct topic *admin_topic_make(struct broker *, const char *name, const struct settings *,
    enum dfb_status *, char *why);
/* Have other settings; false: why (bad input). */
bool admin_topic_change(struct broker *, struct topic *, const struct settings *, char *why);
/* Remove what is in rows as settings and has verbs of its own. */
void admin_not_settable(struct json_t *args);
/* admin_govern.c: whether a topic is dfb-sgs's, which alone changes it: *status and why. */
bool admin_is_governed(const struct topic *, enum dfb_status *, char *why);

/* Those that answer in a later turn, when who asked may be gone. */
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
