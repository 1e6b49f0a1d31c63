/* ADMIN verbs about topics of services, for dfb-sgs: it says what there is to be, again and
 * again, and what is so already is not touched. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "admin.h"
#include "base/log.h"
#include "broker.h"
#include "disk.h"
#include "gray.h"
#include "letters.h"

#define WHY_SIZE 256

bool
admin_is_governed(const struct topic *t, enum dfb_status *status, char *why)
{
	const char *service = strchr(t->name, '-');

	if (!t->set.governed)
		return false;
	*status = DFB_DENIED;
	snprintf(why, WHY_SIZE, "topic '%.70s' is governed: change service '%.64s' with "
	    "dfb-ctl service, its gray rules with dfb-ctl gray", t->name,
	    service != NULL ? service + 1 : t->name);
	return true;
}

/* ---- topic.apply ---- */

/* The settings wanted: those not given are the usual ones, but the durability stays; pauses
 * are the operators'. */
static int
wanted(const struct topic *t, json_t *args, struct settings *set, char *why)
{
	bool closed = json_is_true(json_object_get(args, "closed"));

	settings_default(set);
	if (t != NULL) {
		set->durability = t->set.durability;
		set->paused_ms = t->set.paused_ms;
		set->sends_paused_ms = t->set.sends_paused_ms;
	}
	admin_not_settable(args);
	if (settings_from_json(set, args, why) == -1)
		return -1;
	set->governed = true;
	set->closed = closed;
	return 0;
}

static bool
same_settings(const struct settings *a, const struct settings *b)
{
	json_t *x = settings_to_json(a), *y = settings_to_json(b);
	bool same = json_equal(x, y) == 1;

	json_decref(x);
	json_decref(y);
	return same;
}

static bool
may_govern(const struct topic *t, const json_t *args, enum dfb_status *status, char *why)
{
	*status = DFB_BADINPUT;
	if (t->set.governed || json_is_true(json_object_get(args, "adopt")))
		return true;
	snprintf(why, WHY_SIZE, "topic '%s' exists and is not governed by dfb-sgs: delete it, or "
	    "have the service adopt it", t->name);
	return false;
}

json_t *
admin_topic_apply(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	const char *name = json_string_value(json_object_get(args, "topic")), *did = "same";
	struct topic *t = name != NULL && strlen(name) < DFB_TOPIC_MAX ?
	    topic_by_name(b, name) : NULL;
	struct gray_list rules = TAILQ_HEAD_INITIALIZER(rules);
	struct settings set;
	int rc = -1;

	*status = DFB_BADINPUT;
	if ((t != NULL && !may_govern(t, args, status, why)) ||
	    gray_list_from_json(&rules, json_object_get(args, "gray"), why) == -1 ||
	    wanted(t, args, &set, why) == -1)
		goto out;
	if (t == NULL) {
		if ((t = admin_topic_make(b, name, &set, status, why)) == NULL)
			goto out;
		did = "created";
	} else if (!same_settings(&set, &t->set)) {
		if (!admin_topic_change(b, t, &set, why))
			goto out;
		did = "changed";
	}
	if ((rc = gray_replace(b, t, &rules)) == 1 && *did == 's')
		did = "changed";
	if (rc == -1) {
		*status = DFB_AGAIN;
		snprintf(why, WHY_SIZE, "too many labels, or out of memory");
	}
	if (rc != 0 && topic_store(b, t) == -1)
		fail_stop(b, "no memory for a topic");
	if (*did != 's')
		log_event(DFB_LOG_INFO, "topic-applied", "topic=%s did=%s closed=%s", t->name,
		    did, t->set.closed ? "yes" : "no");
out:
	gray_list_free(&rules);
	return rc == -1 ? NULL : json_pack("{s:s, s:s, s:s}", "topic", t->name, "broker",
	    b->cf.name, "did", did);
}

/* ---- topic.retire ---- */

/* What groups have not settled, and calls without an answer. */
static json_t *
what_is_left(const struct topic *t)
{
	json_t *left = json_array();
	uint64_t stored = 0;
	struct group *g;
	bool any = false;

	TAILQ_FOREACH(g, &t->groups, link) {
		uint64_t waiting = 0, out = 0;
		if (group_is_over(g) || group_is_internal(g))
			continue;
		any = true;
		for (uint32_t i = 0; i < t->nqueues; i++) {
			waiting += cursor_waiting(g->cursors[i]);
			out += g->cursors[i]->out;
		}
		if (waiting != 0 || out != 0)
			json_array_append_new(left, json_pack("{s:s, s:I, s:I}", "group", g->name,
			    "messages", (json_int_t)waiting, "out", (json_int_t)out));
	}
	for (uint32_t i = 0; i < t->nqueues; i++) {
		const struct queue *q = t->queues[i];
		if (!any)
			stored += queue_count(q, q->first, q->next);
		else if (!RB_EMPTY(&q->calls) && json_array_size(left) == 0)
			stored = 1; /* settled, and its reply is to come */
	}
	if (stored != 0)
		json_array_append_new(left, json_pack("{s:s, s:I, s:I}", "group", "",
		    "messages", (json_int_t)stored, "out", (json_int_t)0));
	return left;
}

json_t *
admin_topic_retire(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	struct topic *t = admin_topic_named(b, args, status, why);
	json_t *left;

	if (t == NULL)
		return NULL;
	if (!t->set.governed || !t->set.closed) {
		*status = DFB_BADINPUT;
		snprintf(why, WHY_SIZE, "topic '%s' is not %s: topic.apply first", t->name,
		    t->set.governed ? "closed" : "governed");
		return NULL;
	}
	left = what_is_left(t);
	if (json_array_size(left) != 0 || t->scheduled != 0)
		return json_pack("{s:b, s:o, s:I}", "gone", 0, "left", left, "scheduled",
		    (json_int_t)t->scheduled);
	json_decref(left);
	topic_delete(b, t);
	return json_pack("{s:b}", "gone", 1);
}

/* ---- topic.governed ---- */

json_t *
admin_topic_governed(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	json_t *list = json_array();
	struct topic *t;

	(void)args;
	(void)status;
	(void)why;
	RB_FOREACH(t, topic_tree, &b->topics)
		if (t->set.governed)
			json_array_append_new(list, json_pack("{s:s, s:b}", "topic", t->name,
			    "closed", t->set.closed));
	return list;
}
