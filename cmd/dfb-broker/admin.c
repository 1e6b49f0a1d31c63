/* ADMIN: verbs with JSON arguments and results.  What changes the store is answered after
 * the commit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "admin.h"
#include "base/log.h"
#include "broker.h"
#include "disk.h"
#include "limits.h"

#define WHY_SIZE 256

static const struct verb {
	const char *name;
	admin_fn *fn;
	enum { READS, CHANGES, REPEATS } does; /* repeats: and logs what it changes, itself */
	admin_later_fn *later;   /* instead of fn */
} verbs[] = {
	{ "topic.create", admin_topic_create, CHANGES, NULL },
	{ "topic.set", admin_topic_set, CHANGES, NULL },
	{ "topic.list", admin_topic_list, READS, NULL },
	{ "topic.delete", admin_topic_delete, CHANGES, NULL },
	{ "topic.pause", admin_topic_pause, CHANGES, NULL },
	{ "topic.resume", admin_topic_resume, CHANGES, NULL },
	{ "topic.apply", admin_topic_apply, REPEATS, NULL },
	{ "topic.retire", admin_topic_retire, REPEATS, NULL },
	{ "topic.governed", admin_topic_governed, READS, NULL },
	{ "group.list", admin_group_list, READS, NULL },
	{ "group.reset", admin_group_reset, CHANGES, NULL },
	{ "group.delete", admin_group_delete, CHANGES, NULL },
	{ "group.pause", admin_group_pause, CHANGES, NULL },
	{ "group.resume", admin_group_resume, CHANGES, NULL },
	{ "gray.set", admin_gray_set, CHANGES, NULL },
	{ "gray.list", admin_gray_list, READS, NULL },
	{ "gray.delete", admin_gray_delete, CHANGES, NULL },
	{ "dlq.list", admin_dlq_list, READS, NULL },
	{ "dlq.left", admin_dlq_left, READS, NULL },
	{ "dlq.drop", admin_dlq_drop, CHANGES, NULL },
	{ "dlq.redrive", NULL, CHANGES, admin_dlq_redrive },
	{ "timer.list", NULL, READS, admin_timer_list },
	{ "timer.cancel", NULL, CHANGES, admin_timer_cancel },
	{ "stats", admin_stats, READS, NULL },
	{ "drain", admin_drain, READS, NULL },
	{ "why", admin_why, READS, NULL },
};

struct answer {
	struct asker to;
	char *text;
};

static void
send_answer(struct broker *b, void *arg)
{
	struct answer *a = arg;
	struct session *s = session_by_serial(b, &a->to.peer, a->to.serial);

	if (s != NULL)
		session_send(b, s, &(struct dfb_proto){ .type = DFB_M_RESULT,
		    .req = a->to.req, .result = { .json = { (const uint8_t *)a->text,
		    strlen(a->text) } } });
	free(a->text);
	free(a);
}

static void
reply(struct broker *b, const struct asker *to, json_t *result, bool later)
{
	struct answer *a = calloc(1, sizeof *a);

	if (a != NULL)
		*a = (struct answer){ *to, json_dumps(result, JSON_COMPACT) };
	if (a == NULL || a->text == NULL) {
		admin_fail(b, to, DFB_AGAIN, "the broker is out of memory");
		free(a);
	} else if (later)
		commit_then(b, send_answer, a);
	else
		send_answer(b, a);
}

void
admin_answer(struct broker *b, const struct asker *to, json_t *result)
{
	reply(b, to, result, true);
	json_decref(result);
}

void
admin_answer_now(struct broker *b, const struct asker *to, json_t *result)
{
	reply(b, to, result, false);
	json_decref(result);
}

void
admin_fail(struct broker *b, const struct asker *to, enum dfb_status status, const char *why)
{
	struct session *s = session_by_serial(b, &to->peer, to->serial);

	if (s != NULL)
		session_error(b, s, to->req, status, "%s", why);
}

static void
run(struct broker *b, struct session *s, uint32_t req, const struct verb *v, json_t *args)
{
	struct asker from = { s->peer, s->serial, req };
	enum dfb_status status = DFB_BADINPUT;
	char why[WHY_SIZE] = "";
	json_t *result = NULL;

	if (v->later == NULL && (result = v->fn(b, args, &status, why)) == NULL) {
		session_error(b, s, req, status, "%s", why);
		return;
	}
	if (v->does == CHANGES)
		log_event(DFB_LOG_INFO, "admin", "verb=%s by=%s", v->name,
		    dfb_log_quote(s->who));
	if (v->later != NULL)
		v->later(b, &from, args);
	else
		reply(b, &from, result, v->does != READS);
	json_decref(result);
}

struct topic *
admin_topic_named(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	const char *name = json_string_value(json_object_get(args, "topic"));
	struct topic *t = name != NULL && strlen(name) < DFB_TOPIC_MAX ?
	    topic_by_name(b, name) : NULL;

	if (t == NULL) {
		*status = DFB_NOBODY;
		snprintf(why, WHY_SIZE, "no topic '%.100s' on broker %s",
		    name != NULL ? name : "", b->cf.name);
	}
	return t;
}

void
handle_admin(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	const struct dfb_m_admin *r = &m->admin;
	const struct verb *v = NULL;
	json_error_t err;
	json_t *args;

	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (dfb_str_is(r->verb, verbs[i].name))
			v = &verbs[i];
	if (v == NULL) {
		session_error(b, s, m->req, DFB_BADINPUT, "unknown verb '%.*s'",
		    (int)r->verb.len, r->verb.p);
		return;
	}
	args = r->args.len == 0 ? json_object() :
	    json_loadb((const char *)r->args.p, r->args.len, JSON_REJECT_DUPLICATES, &err);
	if (!json_is_object(args))
		session_error(b, s, m->req, DFB_BADINPUT, "arguments are not a JSON object");
	else
		run(b, s, m->req, v, args);
	json_decref(args);
}
