/* An operator stops deliveries of a topic or a group, or sends to a topic; until it is resumed,
 * over restarts, too. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "admin.h"
#include "base/log.h"
#include "broker.h"
#include "call.h"
#include "disk.h"
#include "limits.h"

#define WHY_SIZE 256

/* ---- calls ---- */

bool
pause_serves(const struct topic *t)
{
	const struct group *g;

	TAILQ_FOREACH(g, &t->groups, link)
		if (g->nsubs != 0 && !g->broadcast && !g->halted)
			return true;
	return false;
}

void
pause_calls(struct broker *b, struct topic *t)
{
	struct call *c, *next;

	if (pause_serves(t))
		return;
	for (uint32_t i = 0; i < t->nqueues; i++)
		RB_FOREACH_SAFE(c, call_tree, &t->queues[i]->calls, next)
			if (!c->taken)
				call_end(b, c, DFB_AGAIN, PAUSED);
}

/* ---- effect ---- */

static void
apply(struct broker *b, struct topic *t)
{
	struct group *g;

	TAILQ_FOREACH(g, &t->groups, link) {
		bool was = g->halted;
		g->halted = t->set.paused_ms != 0 || g->paused_ms != 0;
		for (uint32_t i = 0; was && !g->halted && i < t->nqueues; i++)
			deliver_ready(b, g->cursors[i]);
	}
	pause_calls(b, t);
	breaker_forget(t);
}

static void
set(struct broker *b, uint64_t *since, bool on)
{
	if (!on)
		*since = 0;
	else if (*since == 0)
		*since = b->wall;
}

/* ---- verbs ---- */

static json_t *
topic_set(struct broker *b, json_t *args, bool on, enum dfb_status *status, char *why)
{
	struct topic *t = admin_topic_named(b, args, status, why);
	bool sends = json_is_true(json_object_get(args, "sends"));

	if (t == NULL)
		return NULL;
	/* Deliveries stop with sends; each can be resumed before the other. */
	if (on || !sends)
		set(b, &t->set.paused_ms, on);
	if (sends || !on)
		set(b, &t->set.sends_paused_ms, on);
	if (topic_store(b, t) == -1)
		fail_stop(b, "no memory to pause a topic");
	log_event(DFB_LOG_INFO, on ? "paused" : "resumed", "topic=%s deliveries=%s sends=%s",
	    t->name, t->set.paused_ms != 0 ? "no" : "yes",
	    t->set.sends_paused_ms != 0 ? "no" : "yes");
	apply(b, t);
	return json_pack("{s:s, s:s, s:I, s:I}", "topic", t->name, "broker", b->cf.name,
	    "paused_ms", (json_int_t)t->set.paused_ms,
	    "sends_paused_ms", (json_int_t)t->set.sends_paused_ms);
}

static json_t *
group_set(struct broker *b, json_t *args, bool on, enum dfb_status *status, char *why)
{
	struct topic *t = admin_topic_named(b, args, status, why);
	const char *name = json_string_value(json_object_get(args, "group"));
	struct group *g = t != NULL && name != NULL ? group_find(t, name) : NULL;

	if (t == NULL)
		return NULL;
	if (g == NULL) {
		*status = DFB_NOBODY;
		snprintf(why, WHY_SIZE, "no group '%s' on topic '%s' at broker %s",
		    name != NULL ? name : "", t->name, b->cf.name);
		return NULL;
	}
	set(b, &g->paused_ms, on);
	if (g->kept && group_store(b, g) == -1)
		fail_stop(b, "no memory to pause a group");
	log_event(DFB_LOG_INFO, on ? "paused" : "resumed", "topic=%s group=%s", t->name,
	    dfb_log_quote(g->name));
	apply(b, t);
	return json_pack("{s:s, s:s, s:s, s:I}", "group", g->name, "topic", t->name,
	    "broker", b->cf.name, "paused_ms", (json_int_t)g->paused_ms);
}

json_t *
admin_topic_pause(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	return topic_set(b, args, true, status, why);
}

json_t *
admin_topic_resume(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	return topic_set(b, args, false, status, why);
}

json_t *
admin_group_pause(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	return group_set(b, args, true, status, why);
}

json_t *
admin_group_resume(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	return group_set(b, args, false, status, why);
}
