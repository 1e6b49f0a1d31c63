/* ADMIN verbs about groups. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "admin.h"
#include "broker.h"
#include "lane.h"
#include "letters.h"

#define WHY_SIZE 256

static json_t *
describe(struct broker *b, struct group *g)
{
	struct topic *t = g->topic;
	json_t *queues = json_array(), *members = json_array();
	uint64_t lag = 0, out = 0, retries = 0;
	struct sub *u;

	for (uint32_t i = 0; i < t->nqueues; i++) {
		struct cursor *c = g->cursors[i];
		lag += cursor_waiting(c);
		out += c->out;
		retries += c->nretries;
		json_array_append_new(queues, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
		    "queue", (json_int_t)c->q->index, "offset", (json_int_t)c->low,
		    "next", (json_int_t)c->q->next,
		    "lag", (json_int_t)cursor_waiting(c), "out", (json_int_t)c->out,
		    "retries", (json_int_t)c->nretries,
		    "owner", c->owner == NULL ? "" : c->owner->instance[0] != '\0' ?
		    c->owner->instance : c->owner->session->who));
	}
	TAILQ_FOREACH(u, &g->subs, in_group)
		json_array_append_new(members, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}",
		    "who", u->session->who, "instance", u->instance,
		    "region", u->session->region, "label", u->label,
		    "queues", (json_int_t)u->queues,
		    "out", (json_int_t)u->out, "credit", (json_int_t)u->credit));
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
	    "s:o, s:o}",
	    "group", g->name, "topic", t->name, "broker", b->cf.name,
	    "broadcast", g->broadcast, "stored", g->kept,
	    "paused_ms", (json_int_t)g->paused_ms,
	    "lag", (json_int_t)lag, "out", (json_int_t)out,
	    "waiting_retries", (json_int_t)retries,
	    "settled", (json_int_t)g->settled, "redelivered", (json_int_t)g->redelivered,
	    "retried", (json_int_t)g->retried, "dead_letters", (json_int_t)g->dead_letters,
	    "expired", (json_int_t)g->expired,
	    "queues", queues, "members", members);
}

json_t *
admin_group_list(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	const char *topic = json_string_value(json_object_get(args, "topic"));
	const char *group = json_string_value(json_object_get(args, "group"));
	json_t *list = json_array();
	struct topic *t;
	struct group *g;

	(void)status;
	(void)why;
	RB_FOREACH(t, topic_tree, &b->topics) {
		if (topic != NULL && strcmp(t->name, topic) != 0)
			continue;
		TAILQ_FOREACH(g, &t->groups, link)
			if (!group_is_internal(g) &&
			    (group == NULL || strcmp(g->name, group) == 0))
				json_array_append_new(list, describe(b, g));
	}
	return list;
}

static struct group *
idle(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	const char *topic = json_string_value(json_object_get(args, "topic"));
	const char *group = json_string_value(json_object_get(args, "group"));
	struct topic *t = topic != NULL && strlen(topic) < DFB_TOPIC_MAX ?
	    topic_by_name(b, topic) : NULL;
	struct group *g = t != NULL && group != NULL ? group_find(t, group) : NULL;

	*status = DFB_NOBODY;
	if (g == NULL || group_is_internal(g)) {
		snprintf(why, WHY_SIZE, "no group '%s' on topic '%s' at broker %s",
		    group != NULL ? group : "", topic != NULL ? topic : "", b->cf.name);
		return NULL;
	}
	*status = DFB_AGAIN;
	if (g->nsubs != 0) {
		snprintf(why, WHY_SIZE, "group '%s' has %u consumers: stop them first",
		    g->name, g->nsubs);
		return NULL;
	}
	for (uint32_t i = 0; i < t->nqueues; i++)
		if (g->cursors[i]->jobs != 0) {
			snprintf(why, WHY_SIZE, "group '%s' is being read: try again", g->name);
			return NULL;
		}
	return g;
}

/* The offset asked for: "to" beginning, end or offset with "value"; a time was turned into
 * offsets by PEEK on the asking side ("offsets": one per queue). */
static int
target(json_t *args, const struct queue *q, uint64_t *offset, char *why)
{
	const char *to = json_string_value(json_object_get(args, "to"));
	json_t *at = json_array_get(json_object_get(args, "offsets"), queue_ordinal(q));
	json_int_t value = json_integer_value(json_object_get(args, "value"));

	if (at != NULL)
		*offset = (uint64_t)json_integer_value(at);
	else if (to != NULL && strcmp(to, "beginning") == 0)
		*offset = q->first;
	else if (to != NULL && strcmp(to, "end") == 0)
		*offset = q->next;
	else if (to != NULL && strcmp(to, "offset") == 0 && value >= 0)
		*offset = (uint64_t)value;
	else {
		snprintf(why, WHY_SIZE, "'to' must be beginning, end or offset with a value");
		return -1;
	}
	if (*offset < q->first)
		*offset = q->first;
	if (*offset > q->next)
		*offset = q->next;
	return 0;
}

json_t *
admin_group_reset(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	struct group *g = idle(b, args, status, why);
	bool dry = json_is_true(json_object_get(args, "dry_run"));
	json_t *list;
	uint64_t offset;

	if (g == NULL)
		return NULL;
	list = json_array();
	for (uint32_t i = 0; i < g->topic->nqueues; i++) {
		struct cursor *c = g->cursors[i];
		if (target(args, c->q, &offset, why) == -1) {
			*status = DFB_BADINPUT;
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b}",
		    "group", g->name, "topic", g->topic->name, "broker", b->cf.name,
		    "queue", (json_int_t)c->q->index, "from", (json_int_t)c->low,
		    "to", (json_int_t)offset,
		    "messages", (json_int_t)(c->low > offset ? c->low - offset :
		    offset - c->low), "done", !dry));
		if (!dry)
			cursor_place(b, c, offset);
	}
	return list;
}

json_t *
admin_group_delete(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	struct group *g = idle(b, args, status, why);
	json_t *result;

	if (g == NULL)
		return NULL;
	result = json_pack("{s:s, s:s, s:s}", "group", g->name, "topic", g->topic->name,
	    "broker", b->cf.name);
	group_delete_rows(b, g);
	group_free(b, g);
	return result;
}
