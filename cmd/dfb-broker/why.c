/* ADMIN verb why: what holds the messages of a topic, in words. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "admin.h"
#include "base/parse.h"
#include "broker.h"
#include "limits.h"
#include "why.h"

#define WHY_SIZE 256
#define RECENT_MS 10000
#define STUCK_MS 5000
#define EACH_MAX 10 /* findings of a kind, before it is only counted */

/* On one line; what was cut within a character, or is none, is no JSON. */
static json_t *
one_line(char *text)
{
	json_t *j;

	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	if ((j = json_string(text)) != NULL)
		return j;
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(text);
}

void
why_add(struct why *w, enum why_weight weight, const char *code, const struct about *at,
    const char *remedy, const char *fmt, ...)
{
	static const char *const weights[] = { "held", "watch", "note" };
	json_t *j = json_object();
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	json_object_set_new(j, "code", json_string(code));
	json_object_set_new(j, "severity", json_string(weights[weight]));
	if (at != NULL && at->q != NULL)
		json_object_set_new(j, "queue", json_integer(at->q->index));
	if (at != NULL && at->g != NULL)
		json_object_set_new(j, "group", json_string(at->g->name));
	if (at != NULL && at->u != NULL) {
		json_object_set_new(j, "instance", json_string(at->u->instance));
		json_object_set_new(j, "who", json_string(at->u->session->who));
	}
	if (at != NULL && at->since_ms != 0)
		json_object_set_new(j, "since_ms", json_integer((json_int_t)at->since_ms));
	json_object_set_new(j, "text", one_line(text));
	json_object_set_new(j, "remedy", json_string(remedy));
	json_array_append_new(w->findings, j);
	w->held |= weight == WHY_HELD;
}

/* ---- sends ---- */

static void
look_at_sends(struct why *w)
{
	struct broker *b = w->b;
	struct topic *t = w->t;
	char remedy[512];
	const char *busy;
	uint32_t wait_ms;

	if (t->set.sends_paused_ms != 0) {
		snprintf(remedy, sizeof remedy, "dfb-ctl topic resume --sends %s", t->name);
		why_add(w, WHY_HELD, "sends-paused",
		    &(struct about){ .since_ms = t->set.sends_paused_ms }, remedy,
		    "an operator paused sends and calls");
	}
	if (t->set.closed) {
		snprintf(remedy, sizeof remedy, "dfb-ctl service show %s", t->name + 4);
		why_add(w, WHY_WATCH, "closed", NULL, remedy, "it is being taken out of service: "
		    "it takes no messages and calls, and delivers what it has");
	}
	if (b->draining) {
		snprintf(remedy, sizeof remedy, "dfb-ctl broker drain --undo %s", b->cf.name);
		why_add(w, WHY_WATCH, "draining", NULL, remedy, "the broker is draining: it "
		    "takes no messages and calls, and delivers what it has");
	} else if (t->set.sends_paused_ms == 0 && !t->set.closed &&
	    (busy = broker_refuses(b, t, &wait_ms)) != NULL)
		why_add(w, WHY_HELD, strncmp(busy, "storage", 7) == 0 ? "storage-full" :
		    "disk-behind", NULL, "make room in the file system of its data, or delete "
		    "groups and topics that nobody needs", "sends are refused: %s", busy);
	if (t->limited_ms != 0 && t->limited_ms + RECENT_MS > b->wall) {
		snprintf(remedy, sizeof remedy, "raise the rates with dfb-ctl topic set %s",
		    t->name);
		why_add(w, WHY_WATCH, "rate-limited", NULL, remedy,
		    "senders exceed the topic's rates, and are refused until they are below");
	}
}

static void
look_at_breakers(struct why *w)
{
	struct topic *t = w->t;
	uint64_t depth, max = t->set.max_depth;
	unsigned n = 0;
	char remedy[512];

	snprintf(remedy, sizeof remedy, "start more or faster consumers of the group that is "
	    "least behind, or raise the limit: dfb-ctl topic set --max-depth N %s", t->name);
	for (uint32_t i = 0; i < t->nqueues; i++) {
		struct queue *q = t->queues[i];
		bool open;
		breaker_look(w->b, q);
		if ((!q->filling && q->shut_ms == 0) || !breaker_depth(q, &depth))
			continue;
		open = depth >= max;
		if (n++ < EACH_MAX)
			why_add(w, open ? WHY_HELD : WHY_WATCH,
			    open ? "breaker-open" : "queue-filling",
			    &(struct about){ .q = q, .since_ms = q->shut_ms }, remedy,
			    "queue %u has %llu undelivered messages of at most %llu%s",
			    q->index, (unsigned long long)depth, (unsigned long long)max,
			    open ? ": it refuses more" : "");
	}
	if (n > EACH_MAX)
		why_add(w, WHY_NOTE, "more", NULL, "", "%u queues are so", n);
}

/* ---- deliveries ---- */

static void
look_at_deliveries(struct why *w)
{
	struct topic *t = w->t;
	uint64_t waiting = 0, stored = 0;
	char remedy[512];
	struct group *g;

	if (t->set.paused_ms != 0) {
		snprintf(remedy, sizeof remedy, "dfb-ctl topic resume %s", t->name);
		why_add(w, WHY_HELD, "paused", &(struct about){ .since_ms = t->set.paused_ms },
		    remedy, "an operator paused deliveries");
	}
	TAILQ_FOREACH(g, &t->groups, link)
		if (g->name[0] != '%') /* dlq's own */
			waiting += why_group(w, g);
	for (uint32_t i = 0; i < t->nqueues; i++)
		stored += queue_count(t->queues[i], t->queues[i]->first, t->queues[i]->next);
	if (TAILQ_EMPTY(&t->groups)) {
		snprintf(remedy, sizeof remedy, "start one, like dfb-recv -g GROUP %s", t->name);
		why_add(w, stored != 0 && t->name[0] != '%' ? WHY_HELD : WHY_WATCH, "no-group",
		    &(struct about){ .since_ms = t->deaf.since_ms }, remedy,
		    "it has no group: %llu messages wait for one, calls are refused",
		    (unsigned long long)stored);
	} else if (waiting == 0)
		why_add(w, WHY_NOTE, "all-settled", NULL, "", "nothing to deliver: all groups "
		    "have settled everything");
	else
		why_add(w, WHY_NOTE, "waiting", NULL, "", "%llu messages are not settled, over "
		    "all groups", (unsigned long long)waiting);
	if (t->expired != 0)
		why_add(w, WHY_NOTE, "expired", NULL, "send with a longer -t, or start more "
		    "consumers", "%llu messages were not delivered because their time was over, "
		    "since the broker started", (unsigned long long)t->expired);
}

json_t *
admin_why(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	const char *name = json_string_value(json_object_get(args, "topic"));
	json_t *stuck = json_object_get(args, "stuck_ms");
	struct topic *t = name != NULL && strlen(name) < DFB_TOPIC_MAX ?
	    topic_by_name(b, name) : NULL;
	struct why w = { .b = b, .t = t, .stuck_ms = STUCK_MS };

	if (t == NULL) {
		*status = DFB_NOBODY;
		snprintf(why, WHY_SIZE, "no topic '%s' on broker %s",
		    name != NULL ? name : "", b->cf.name);
		return NULL;
	}
	if (json_is_integer(stuck) && json_integer_value(stuck) >= 0)
		w.stuck_ms = (uint64_t)json_integer_value(stuck);
	w.findings = json_array();
	look_at_sends(&w);
	look_at_breakers(&w);
	look_at_deliveries(&w);
	return json_pack("{s:s, s:s, s:b, s:o}", "topic", t->name, "broker", b->cf.name,
	    "held", w.held, "findings", w.findings);
}
