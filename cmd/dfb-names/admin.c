#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
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
	    "sessions", (json_int_t)n->sessions.n,
	    "enrolled", (json_int_t)n->registry.nentries,
	    "topics", (json_int_t)n->registry.ntopics,
	    "services", (json_int_t)n->registry.nservices,
	    "offers", (json_int_t)n->registry.noffers,
	    "watches", (json_int_t)n->watches.n,
	    "lookups", (json_int_t)n->stats.lookups,
	    "pushes", (json_int_t)n->stats.pushes,
	    "enrolls", (json_int_t)n->stats.enrolls,
	    "expired", (json_int_t)n->stats.expired,
	    "malformed", (json_int_t)n->stats.malformed,
	    "slow", (json_int_t)n->stats.slow);
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
names_admin(struct names *n, struct names_session *s, const struct dfb_proto *m)
{
	struct dfb_blob args = m->admin.args;
	struct dfb_proto out = { .type = DFB_M_RESULT };
	json_t *given, *result;
	char *text;

	given = args.len != 0 ? json_loadb((const char *)args.p, args.len, 0, NULL) :
	    json_object();
	if (!json_is_object(given)) {
		json_decref(given);
		names_refuse(n, s, m->req, DFB_BADINPUT, "the arguments are no JSON object");
		return;
	}
	json_decref(given);
	if (dfb_str_is(m->admin.verb, "stats"))
		result = stats(n);
	else if (dfb_str_is(m->admin.verb, "list"))
		result = list(n);
	else {
		names_refuse(n, s, m->req, DFB_BADINPUT, "a name server knows the verbs stats "
		    "and list, not '%.*s'", (int)m->admin.verb.len, m->admin.verb.p);
		return;
	}
	if (result == NULL || (text = json_dumps(result, JSON_COMPACT)) == NULL)
		names_refuse(n, s, m->req, DFB_OSERR, "out of memory");
	else {
		out.result.json = (struct dfb_blob){ (uint8_t *)text, strlen(text) };
		if (out.result.json.len > DFB_FRAME_MAX - 64)
			names_refuse(n, s, m->req, DFB_BADINPUT, "the answer is too large");
		else
			names_answer(n, s, &out, m->req);
		free(text);
	}
	json_decref(result);
}
