/* ADMIN verbs about the broker. */
#include <jansson.h>

#include "admin.h"
#include "base/log.h"
#include "broker.h"
#include "letters.h"

json_t *
admin_stats(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	json_t *j = json_object();
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "uptime_ms", b->wall - b->incarnation },
		{ "sessions", b->nsessions }, { "sessions_total", b->n.sessions },
		{ "topics", b->ntopics }, { "producers", b->nproducers },
		{ "frames", b->n.frames }, { "malformed", b->n.malformed },
		{ "messages_in", b->n.puts }, { "duplicates", b->n.duplicates },
		{ "known", b->n.known }, { "lookups", b->n.lookups },
		{ "ids_removed", b->n.ids_removed }, { "filter_bytes", b->filter_bytes },
		{ "refused", b->n.refused }, { "confirms", b->n.confirms },
		{ "messages_out", b->n.deliveries }, { "acknowledged", b->n.acks },
		{ "nacked", b->n.nacks }, { "stale_acks", b->n.stale_acks },
		{ "calls", b->n.calls }, { "calls_waiting", b->live_calls },
		{ "answers", b->n.answers }, { "late_replies", b->n.late_replies },
		{ "expired", b->n.expired }, { "orphaned", b->n.orphaned },
		{ "dead_letters", b->n.dead_letters },
		{ "queues_filling", b->filling }, { "breaker_open", b->shut },
		{ "breaker_opened", b->n.breaker_opened },
		{ "breaker_refused", b->n.breaker_refused },
		{ "flow_refused", b->n.flow_refused },
		{ "unlistened", b->unlistened },
		{ "scheduled", b->timers.count }, { "scheduled_total", b->n.scheduled },
		{ "scheduled_in_memory", b->timers.nnear }, { "fired", b->n.fired },
		{ "cancelled", b->n.cancelled },
		{ "commits", b->n.commits }, { "committed_blocks", b->n.committed_blocks },
		{ "committed_bytes", b->n.committed_bytes },
		{ "pending_bytes", b->pending_bytes }, { "cache_bytes", b->cache_used },
		{ "memory_topic_bytes", b->memory_used },
		{ "disk_free", b->free_bytes }, { "disk_total", b->total_bytes },
		{ "dropped_segments", b->n.dropped_segments },
	};

	(void)args;
	(void)status;
	(void)why;
	json_object_set_new(j, "broker", json_string(b->cf.name));
	json_object_set_new(j, "region", json_string(b->cf.region));
	json_object_set_new(j, "endpoint", json_string(b->endpoint));
	json_object_set_new(j, "draining", json_boolean(b->draining));
	json_object_set_new(j, "storage_full", json_boolean(b->full));
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		json_object_set_new(j, rows[i].name, json_integer((json_int_t)rows[i].value));
	return j;
}

json_t *
admin_drain(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	json_t *on = json_object_get(args, "on");
	uint64_t left = 0;
	struct topic *t;
	struct group *g;

	(void)status;
	(void)why;
	if (on != NULL && b->draining != json_is_true(on)) {
		b->draining = json_is_true(on);
		log_event(DFB_LOG_INFO, b->draining ? "draining" : "undrained",
		    "broker=%s", b->cf.name);
		enroll_state(b);
	}
	RB_FOREACH(t, topic_tree, &b->topics)
		TAILQ_FOREACH(g, &t->groups, link)
			for (uint32_t i = 0; i < t->nqueues && !group_is_internal(g); i++)
				left += queue_count(t->queues[i], g->cursors[i]->low,
				    t->queues[i]->next);
	return json_pack("{s:s, s:b, s:I, s:I, s:I}", "broker", b->cf.name, "draining",
	    b->draining, "left", (json_int_t)left, "calls", (json_int_t)b->live_calls,
	    "scheduled", (json_int_t)b->timers.count);
}
