#include <jansson.h>

#include "base/clock.h"
#include "daemon/result.h"
#include "dfb-names/names.h"
#include "wire/proto.h"

static json_t *
stats(struct names *n)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
	    "s:I, s:I}",
	    "name", n->name,
	    "uptime_ms", (json_int_t)(dfb_mono_ms() - n->started_ms),
	    "version", (json_int_t)n->registry.version,
	    "sessions", (json_int_t)n->hub.n,
	    "enrolled", (json_int_t)n->registry.nentries,
	    "topics", (json_int_t)n->registry.ntopics,
	    "services", (json_int_t)n->registry.nservices,
	    "offers", (json_int_t)n->registry.noffers,
	    "watches", (json_int_t)n->hub.watches.n,
	    "lookups", (json_int_t)n->stats.lookups,
	    "pushes", (json_int_t)n->hub.stats.pushes,
	    "enrolls", (json_int_t)n->stats.enrolls,
	    "expired", (json_int_t)n->stats.expired,
	    "malformed", (json_int_t)n->hub.stats.malformed,
	    "slow", (json_int_t)n->hub.stats.slow);
}

static void
add_topic(void *arg, const char *topic)
{
	json_array_append_new(arg, json_string(topic));
}

static json_t *
list(struct names *n)
{
	static const char *const states[] = { "?", "up", "draining", "lost" };
	json_t *all = json_array();
	uint64_t now = dfb_mono_ms();

	for (struct names_entry *e = NULL;
	    (e = registry_next(&n->registry, e)) != NULL;) {
		const struct names_facts *f = &e->facts;
		json_t *topics = json_array();

		registry_offers(e, add_topic, topics);
		json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:I, "
		    "s:I, s:o}", "kind", f->kind, "name", e->name, "region", f->region,
		    "endpoint", f->endpoint, "incarnation", (json_int_t)f->incarnation,
		    "state", states[f->state <= DFB_STATE_LOST ? f->state : 0],
		    "lease_ms", (json_int_t)f->lease_ms,
		    "age_ms", (json_int_t)(now - e->heard_ms), "topics", topics));
	}
	return json_pack("{s:o}", "daemons", all);
}

void
names_admin(struct names *n, struct dfb_session *s, const struct dfb_proto *m)
{
	json_t *given = dfb_hub_args(&n->hub, s, m);

	if (given == NULL)
		return;
	json_decref(given);
	if (dfb_str_is(m->admin.verb, "stats"))
		dfb_hub_result(&n->hub, s, m->req, stats(n));
	else if (dfb_str_is(m->admin.verb, "list"))
		dfb_hub_result(&n->hub, s, m->req, list(n));
	else
		dfb_hub_refuse(&n->hub, s, m->req, DFB_BADINPUT, "a name server knows the "
		    "verbs stats and list, not '%.*s'", (int)m->admin.verb.len,
		    m->admin.verb.p);
}
