/* ADMIN verbs about topics. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "admin.h"
#include "base/log.h"
#include "broker.h"
#include "disk.h"
#include "lane.h"
#include "letters.h"
#include "limits.h"

#define WHY_SIZE 256

void
admin_not_settable(json_t *args)
{
	json_object_del(args, "paused_ms");
	json_object_del(args, "sends_paused_ms");
	json_object_del(args, "governed");
	json_object_del(args, "closed");
}

struct topic *
admin_topic_make(struct broker *b, const char *name, const struct settings *set,
    enum dfb_status *status, char *why)
{
	struct topic *t;

	*status = DFB_BADINPUT;
	if (name == NULL || strlen(name) >= DFB_TOPIC_MAX ||
	    dfb_word_kind(name) != DFB_WORD_TOPIC) {
		snprintf(why, WHY_SIZE, "'%.80s' is not a topic's name: %s",
		    name != NULL ? name : "", dfb_word_help);
		return NULL;
	}
	if (strncmp(name, b->cf.region, 3) != 0) {
		snprintf(why, WHY_SIZE, "topic '%s' is not of this broker's region %s",
		    name, b->cf.region);
		return NULL;
	}
	if (topic_by_name(b, name) != NULL) {
		*status = DFB_NO;
		snprintf(why, WHY_SIZE, "topic '%s' exists on broker %s", name, b->cf.name);
		return NULL;
	}
	if ((t = topic_new(b, name, b->last_topic_id + 1, set, set->queues_min)) == NULL) {
		*status = DFB_AGAIN;
		snprintf(why, WHY_SIZE, "the broker is out of memory");
		return NULL;
	}
	if (topic_store(b, t) == -1)
		fail_stop(b, "no memory for a topic");
	enroll_topic(b, t, true);
	log_event(DFB_LOG_INFO, "topic-created", "topic=%s", name);
	return t;
}

json_t *
admin_topic_create(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	const char *name = json_string_value(json_object_get(args, "topic"));
	struct settings set;

	settings_default(&set);
	*status = DFB_BADINPUT;
	admin_not_settable(args);
	if (settings_from_json(&set, args, why) == -1 ||
	    admin_topic_make(b, name, &set, status, why) == NULL)
		return NULL;
	return json_pack("{s:s, s:s}", "topic", name, "broker", b->cf.name);
}

bool
admin_topic_change(struct broker *b, struct topic *t, const struct settings *set, char *why)
{
	bool counts = set->queues_min != t->set.queues_min ||
	    set->queues_max != t->set.queues_max;

	if (set->durability != t->set.durability) {
		snprintf(why, WHY_SIZE, "a topic's durability cannot be changed: delete it "
		    "and create it anew");
		return false;
	}
	t->set = *set;
	breaker_forget(t);
	flow_settings(t);
	follow_anew(b, t, counts);
	enroll_topic(b, t, true);
	if (topic_store(b, t) == -1)
		fail_stop(b, "no memory for a topic");
	return true;
}

json_t *
admin_topic_set(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	struct topic *t = admin_topic_named(b, args, status, why);
	struct settings set;

	if (t == NULL || admin_is_governed(t, status, why))
		return NULL;
	set = t->set;
	*status = DFB_BADINPUT;
	admin_not_settable(args);
	if (settings_from_json(&set, args, why) == -1 ||
	    !admin_topic_change(b, t, &set, why))
		return NULL;
	return json_pack("{s:s, s:s, s:o}", "topic", t->name, "broker", b->cf.name,
	    "settings", settings_to_json(&t->set));
}

static const char *
queue_state(const struct queue *q)
{
	uint32_t i = q->index & LANE_QUEUES_MAX;

	return i < q->lane->writable ? "open" : i < q->lane->readable ? "closed" : "history";
}

static json_t *
describe(struct broker *b, struct topic *t)
{
	json_t *queues = json_array();
	uint64_t waiting = 0, messages = 0;
	struct group *g;
	size_t groups = 0;

	for (uint32_t i = 0; i < t->nqueues; i++) {
		struct queue *q = t->queues[i];
		uint64_t depth;
		messages += queue_count(q, q->first, q->next);
		if (!breaker_depth(q, &depth))
			depth = 0;
		json_array_append_new(queues, json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I}",
		    "queue", (json_int_t)q->index, "label", q->lane->label,
		    "state", queue_state(q), "first", (json_int_t)q->first,
		    "next", (json_int_t)q->next, "committed", (json_int_t)queue_limit(q),
		    "undelivered", (json_int_t)depth, "shut_ms", (json_int_t)q->shut_ms));
	}
	TAILQ_FOREACH(g, &t->groups, link) {
		uint64_t lag = 0;
		if (group_is_internal(g))
			continue;
		for (uint32_t i = 0; i < t->nqueues; i++)
			lag += queue_count(t->queues[i], g->cursors[i]->low,
			    t->queues[i]->next);
		if (lag > waiting)
			waiting = lag;
		groups += !g->broadcast || g->kept;
	}
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
	    "s:I, s:I, s:I}",
	    "topic", t->name, "broker", b->cf.name, "region", b->cf.region,
	    "governed", t->set.governed, "closed", t->set.closed,
	    "settings", settings_to_json(&t->set), "queues", queues,
	    "messages", (json_int_t)messages, "lag", (json_int_t)waiting,
	    "groups", (json_int_t)groups, "consumers", (json_int_t)t->serving,
	    "in", (json_int_t)t->in, "out", (json_int_t)t->out,
	    "expired", (json_int_t)t->expired, "orphaned", (json_int_t)t->orphaned,
	    "dead_letters", (json_int_t)t->dead_letters,
	    "scheduled", (json_int_t)t->scheduled);
}

json_t *
admin_topic_list(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	json_t *list = json_array();
	struct topic *t;

	if (json_object_get(args, "topic") != NULL) {
		if ((t = admin_topic_named(b, args, status, why)) == NULL) {
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, describe(b, t));
	} else
		RB_FOREACH(t, topic_tree, &b->topics)
			json_array_append_new(list, describe(b, t));
	return list;
}

json_t *
admin_topic_delete(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	struct topic *t = admin_topic_named(b, args, status, why);
	json_t *result;

	if (t == NULL || admin_is_governed(t, status, why))
		return NULL;
	result = json_pack("{s:s, s:s}", "topic", t->name, "broker", b->cf.name);
	topic_delete(b, t);
	return result;
}
