/* ADMIN verbs about gray release. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "admin.h"
#include "base/log.h"
#include "broker.h"
#include "disk.h"
#include "gray.h"

#define WHY_SIZE 256

static json_t *
describe(const struct broker *b, const struct topic *t, const struct gray *r)
{
	json_t *j = gray_to_json(r);

	json_object_set_new(j, "topic", json_string(t->name));
	json_object_set_new(j, "broker", json_string(b->cf.name));
	json_object_set_new(j, "queues", json_integer(r->lane->readable));
	json_object_set_new(j, "instances", json_integer(gray_instances(t, r->label)));
	return j;
}

json_t *
admin_gray_set(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	struct topic *t = admin_topic_named(b, args, status, why);
	struct gray *r;
	int rc;

	if (t == NULL || admin_is_governed(t, status, why))
		return NULL;
	*status = DFB_BADINPUT;
	if (t->name[0] == '%') {
		snprintf(why, WHY_SIZE, "a system topic has no gray rules");
		return NULL;
	}
	if ((r = gray_from_json(args, why)) == NULL)
		return NULL;
	if ((rc = gray_put(b, t, r)) != 0) {
		*status = rc == -2 ? DFB_BADINPUT : DFB_AGAIN;
		snprintf(why, WHY_SIZE, rc == -2 ? "the topic's rules would share out more "
		    "than 100 percent" : "too many labels, or out of memory");
		gray_release(r);
		return NULL;
	}
	if (topic_store(b, t) == -1)
		fail_stop(b, "no memory for a topic");
	log_event(DFB_LOG_INFO, "gray-set", "topic=%s label=%s", t->name,
	    dfb_log_quote(r->label));
	return describe(b, t, r);
}

json_t *
admin_gray_list(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	const char *only = json_string_value(json_object_get(args, "topic"));
	json_t *list;
	struct topic *t;
	struct gray *r;

	if (only != NULL && admin_topic_named(b, args, status, why) == NULL)
		return NULL;
	list = json_array();
	RB_FOREACH(t, topic_tree, &b->topics)
		if (only == NULL || strcmp(t->name, only) == 0)
			TAILQ_FOREACH(r, &t->gray, link)
				json_array_append_new(list, describe(b, t, r));
	return list;
}

json_t *
admin_gray_delete(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	struct topic *t = admin_topic_named(b, args, status, why);
	const char *label = json_string_value(json_object_get(args, "label"));
	struct gray *r;

	if (t == NULL || admin_is_governed(t, status, why))
		return NULL;
	if (label == NULL || (r = gray_find(t, label)) == NULL) {
		*status = DFB_NOBODY;
		snprintf(why, WHY_SIZE, "topic '%s' has no rule for label '%.64s' on broker %s",
		    t->name, label != NULL ? label : "", b->cf.name);
		return NULL;
	}
	gray_drop(b, t, r);
	if (topic_store(b, t) == -1)
		fail_stop(b, "no memory for a topic");
	log_event(DFB_LOG_INFO, "gray-deleted", "topic=%s label=%s", t->name,
	    dfb_log_quote(label));
	return json_pack("{s:s, s:s, s:s}", "topic", t->name, "label", label, "broker",
	    b->cf.name);
}
