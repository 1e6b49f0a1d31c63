/* ADMIN: verbs with JSON arguments and results.  What changes the store is answered after
 * the commit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "broker.h"
#include "limits.h"

#define WHY_SIZE 256

static const struct verb {
	const char *name;
	admin_fn *fn;
	bool changes;
} verbs[] = {
	{ "topic.create", admin_topic_create, true },
	{ "topic.set", admin_topic_set, true },
	{ "topic.list", admin_topic_list, false },
	{ "topic.delete", admin_topic_delete, true },
	{ "topic.pause", admin_topic_pause, true },
	{ "topic.resume", admin_topic_resume, true },
	{ "group.list", admin_group_list, false },
	{ "group.reset", admin_group_reset, true },
	{ "group.delete", admin_group_delete, true },
	{ "group.pause", admin_group_pause, true },
	{ "group.resume", admin_group_resume, true },
	{ "gray.set", admin_gray_set, true },
	{ "gray.list", admin_gray_list, false },
	{ "gray.delete", admin_gray_delete, true },
	{ "stats", admin_stats, false },
	{ "drain", admin_drain, false },
	{ "why", admin_why, false },
};

struct answer {
	struct dfb_peer peer;
	uint64_t serial;
	uint32_t req;
	char *text;
};

static void
send_answer(struct broker *b, void *arg)
{
	struct answer *a = arg;
	struct session *s = session_by_serial(b, &a->peer, a->serial);

	if (s != NULL)
		session_send(b, s, &(struct dfb_proto){ .type = DFB_M_RESULT,
		    .req = a->req, .result = { .json = { (const uint8_t *)a->text,
		    strlen(a->text) } } });
	free(a->text);
	free(a);
}

static void
reply(struct broker *b, struct session *s, uint32_t req, json_t *result, bool later)
{
	struct answer *a = calloc(1, sizeof *a);

	if (a != NULL)
		*a = (struct answer){ s->peer, s->serial, req,
			json_dumps(result, JSON_COMPACT) };
	if (a == NULL || a->text == NULL)
		session_error(b, s, req, DFB_AGAIN, "the broker is out of memory");
	if (a == NULL || a->text == NULL)
		free(a);
	else if (later)
		commit_then(b, send_answer, a);
	else
		send_answer(b, a);
}

void
handle_admin(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	const struct dfb_m_admin *r = &m->admin;
	enum dfb_status status = DFB_BADINPUT;
	const struct verb *v = NULL;
	char why[WHY_SIZE] = "";
	json_error_t err;
	json_t *args, *result;

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
	else if ((result = v->fn(b, args, &status, why)) == NULL)
		session_error(b, s, m->req, status, "%s", why);
	else {
		if (v->changes)
			log_event(DFB_LOG_INFO, "admin", "verb=%s by=%s", v->name,
			    dfb_log_quote(s->who));
		reply(b, s, m->req, result, v->changes);
		json_decref(result);
	}
	json_decref(args);
}
