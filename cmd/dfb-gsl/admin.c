#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/conn.h"
#include "daemon/result.h"
#include "dfb-gsl/gsl.h"
#include "wire/proto.h"

#define LIST_MAX 1000

static json_t *
stats(struct gsl *g)
{
	const struct follow *f = &g->follow;

	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:s, s:I, s:I, s:I, s:I, s:I, "
	    "s:I, s:I, s:I, s:I}",
	    "name", g->name, "region", g->region,
	    "uptime_ms", (json_int_t)(dfb_mono_ms() - g->started_ms),
	    "catalog", (json_int_t)g->catalog.id,
	    "version", (json_int_t)g->catalog.version,
	    "services", (json_int_t)g->catalog.nservices,
	    "following", (int)f->heard,
	    "sgs", f->conn != NULL ? dfb_conn_endpoint(f->conn) : "",
	    "age_ms", (json_int_t)follow_age(g),
	    "sessions", (json_int_t)g->hub.n,
	    "watches", (json_int_t)g->hub.watches.n,
	    "locates", (json_int_t)g->stats.locates,
	    "pushes", (json_int_t)g->hub.stats.pushes,
	    "changes", (json_int_t)g->stats.changes,
	    "copies", (json_int_t)g->stats.copies,
	    "malformed", (json_int_t)g->hub.stats.malformed,
	    "slow", (json_int_t)g->hub.stats.slow);
}

/* An argument that is text; NULL when there is none.  false after refusing. */
static bool
text(struct gsl *g, struct dfb_session *s, uint32_t req, json_t *args, const char *name,
    const char **out)
{
	json_t *v = json_object_get(args, name);

	*out = json_string_value(v);
	if (v == NULL || *out != NULL)
		return true;
	dfb_hub_refuse(&g->hub, s, req, DFB_BADINPUT, "'%s' is not text", name);
	return false;
}

static json_t *
places_json(struct dfb_blob list)
{
	json_t *all = json_array();
	struct dfb_m_place p;

	while (dfb_place_next(&list, &p) == 1)
		json_array_append_new(all, json_pack("{s:s%, s:s%, s:I, s:I}", "topic",
		    p.topic.p, p.topic.len, "region", p.region.p, p.region.len, "tier",
		    (json_int_t)p.tier, "weight", (json_int_t)p.weight));
	return all;
}

static size_t
rules_count(struct dfb_blob list)
{
	struct dfb_m_rule r;
	size_t n = 0;

	while (dfb_rule_next(&list, &r) == 1)
		n++;
	return n;
}

static void
locate_verb(struct gsl *g, struct dfb_session *s, uint32_t req, json_t *args)
{
	const char *service, *region, *key;
	struct dfb_m_located m;
	char reason[256];

	if (!text(g, s, req, args, "service", &service) ||
	    !text(g, s, req, args, "region", &region) || !text(g, s, req, args, "key", &key))
		return;
	if (region == NULL)
		region = s->region;
	if (service == NULL || dfb_word_kind(service) != DFB_WORD_SERVICE)
		dfb_hub_refuse(&g->hub, s, req, DFB_BADINPUT, "no 'service' is given, or it "
		    "is none: %s", dfb_word_help);
	else if (*region != '\0' && !dfb_region_valid(region))
		dfb_hub_refuse(&g->hub, s, req, DFB_BADINPUT, "'%s' is no region", region);
	else if (g->catalog.id == 0)
		dfb_hub_refuse(&g->hub, s, req, DFB_AGAIN, "%s has no catalogue yet: it has "
		    "found no sgs", g->name);
	else if (locate_answer(g, service, region_number(region), (struct dfb_blob){
	    (const uint8_t *)key, key != NULL ? strlen(key) : 0 }, reason, &m) == -1)
		dfb_hub_refuse(&g->hub, s, req, DFB_OSERR, "out of memory");
	else
		dfb_hub_result(&g->hub, s, req, json_pack("{s:s, s:s, s:s, s:I, s:b, s:I, s:s, "
		    "s:o, s:I}", "gsl", g->name, "service", service, "region", region,
		    "version", (json_int_t)m.version, "known", (int)m.known,
		    "age_ms", (json_int_t)m.age_ms, "reason", reason,
		    "places", places_json(m.places),
		    "rules", (json_int_t)rules_count(m.rules)));
}

static json_t *
service_json(const struct entry *e)
{
	json_t *regions = json_object();

	for (uint32_t i = 0; i < e->n; i++) {
		const struct deployment *d = &e->deployments[i];
		json_object_set_new(regions, d->region, json_pack("{s:s, s:I}", "state",
		    catalog_states[d->state], "weight", (json_int_t)d->weight));
	}
	return json_pack("{s:s, s:s, s:I, s:o}", "service", e->name, "state", e->state,
	    "version", (json_int_t)e->version, "regions", regions);
}

static void
list_verb(struct gsl *g, struct dfb_session *s, uint32_t req, json_t *args)
{
	json_t *limit = json_object_get(args, "limit"), *all;
	json_int_t max = limit != NULL ? json_integer_value(limit) : LIST_MAX;
	const char *from;
	struct entry *e;

	if (!text(g, s, req, args, "from", &from))
		return;
	if (max < 1 || max > LIST_MAX) {
		dfb_hub_refuse(&g->hub, s, req, DFB_BADINPUT, "'limit' is 1 to %d", LIST_MAX);
		return;
	}
	all = json_array();
	for (e = catalog_from(&g->catalog, CATALOG_SERVICE, from != NULL ? from : "");
	    e != NULL && e->kind == CATALOG_SERVICE && max > 0; e = catalog_next(e), max--)
		json_array_append_new(all, service_json(e));
	dfb_hub_result(&g->hub, s, req, json_pack("{s:I, s:o, s:s}", "version",
	    (json_int_t)g->catalog.version, "services", all, "next",
	    e != NULL && e->kind == CATALOG_SERVICE ? e->name : ""));
}

void
admin(struct gsl *g, struct dfb_session *s, const struct dfb_proto *m)
{
	json_t *args = dfb_hub_args(&g->hub, s, m);

	if (args == NULL)
		return;
	if (dfb_str_is(m->admin.verb, "stats"))
		dfb_hub_result(&g->hub, s, m->req, stats(g));
	else if (dfb_str_is(m->admin.verb, "locate"))
		locate_verb(g, s, m->req, args);
	else if (dfb_str_is(m->admin.verb, "list"))
		list_verb(g, s, m->req, args);
	else
		dfb_hub_refuse(&g->hub, s, m->req, DFB_BADINPUT, "a gsl knows the verbs stats, "
		    "locate and list, not '%.*s'", (int)m->admin.verb.len, m->admin.verb.p);
	json_decref(args);
}
