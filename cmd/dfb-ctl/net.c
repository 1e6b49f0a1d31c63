/* Who is there: routes and round trips. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/admin.h"
#include "dfb-ctl/ctl.h"

#define PING_MS 2000

static const struct dfb_opt table[] = { CTL_OPTIONS };

/* ---- route ---- */

static void
print_routes(const json_t *all)
{
	struct ctl_table t = { .heads = "TOPIC BROKER REGION STATE ENDPOINT" };
	static const char *const fields[] = { "topic", "broker", "region", "state",
		"endpoint" };
	size_t i;
	json_t *e;

	json_array_foreach(all, i, e)
		for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++)
			ctl_cell(&t, ctl_str(e, fields[k]));
	ctl_table_print(&t);
}

static void
route(struct ctl *c)
{
	const char *dest = c->args[0];
	struct dfb_admin_route *list;
	json_t *all = ctl_must(json_array());
	enum dfb_status st;
	size_t n;

	dfb_tool_check_dest(&c->opts, dest);
	if ((st = dfb_admin_routes(c->dfb, dest, 0, ctl_bus_wait(c), &list, &n)) != DFB_OK)
		ctl_fail(c, st, "%s", dfb_error(c->dfb));
	else if (n == 0)
		ctl_fail(c, DFB_NOBODY, "no broker serves '%s': 'dfb-ctl topic list' shows "
		    "what is served, 'dfb-ctl topic create' makes a topic", dest);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s, s:s}", "topic",
		    list[i].topic, "broker", list[i].broker, "region", list[i].region,
		    "state", ctl_state(list[i].state), "endpoint", list[i].endpoint));
	free(list);
	if (n != 0 && c->json)
		ctl_print_json(json_incref(all));
	else if (n != 0)
		print_routes(all);
	json_decref(all);
}

/* ---- ping ---- */

/* The second question of two: the first connects. */
static bool
ping_one(struct ctl *c, json_t *all, const char *kind, const struct ctl_broker *b)
{
	const char *why = "", *name = b->name;
	enum dfb_status st = DFB_OK;
	uint64_t start = 0;
	json_t *j = NULL;
	double ms;

	for (int i = 0; i < 2 && st == DFB_OK; i++) {
		json_decref(j);
		start = dfb_mono_ns();
		j = ctl_ask_quietly(c, b, "stats", NULL, &st, &why);
	}
	ms = (double)(dfb_mono_ns() - start) / 1e6;
	if (j == NULL)
		ctl_fail(c, DFB_NOBODY, "%s: %s", *name != '\0' ? name : b->endpoint, why);
	if (*name == '\0')
		name = json_object_get(j, "name") != NULL ? ctl_str(j, "name") :
		    ctl_str(j, "broker");
	json_array_append_new(all, j != NULL ?
	    json_pack("{s:s, s:s, s:s, s:b, s:f}", "kind", kind, "name", name, "endpoint",
	    b->endpoint, "answers", 1, "ms", ms) :
	    json_pack("{s:s, s:s, s:s, s:b, s:n}", "kind", kind, "name", name, "endpoint",
	    b->endpoint, "answers", 0, "ms"));
	json_decref(j);
	return j != NULL;
}

static bool
ping_endpoint(struct ctl *c, json_t *all, const char *kind, const char *endpoint)
{
	struct ctl_broker b = { .name = "" };

	snprintf(b.endpoint, sizeof b.endpoint, "%s", endpoint);
	return ping_one(c, all, kind, &b);
}

/* Whether one answered. */
static bool
ping_names(struct ctl *c, json_t *all)
{
	const char *text = c->tool.names != NULL ? c->tool.names : getenv("DFB_NAMES");
	char *copy, *rest, *endpoint;
	bool any = false;

	rest = copy = ctl_must(strdup(text != NULL && *text != '\0' ? text :
	    "ipc:///run/dfb/names.sock"));
	while ((endpoint = strsep(&rest, ",")) != NULL)
		if (*endpoint != '\0' && ping_endpoint(c, all, "names", endpoint))
			any = true;
	free(copy);
	return any;
}

static void
print_pings(const json_t *all)
{
	struct ctl_table t = { .heads = "KIND NAME >ROUND-TRIP ENDPOINT" };
	char text[32];
	size_t i;
	json_t *e;

	json_array_foreach(all, i, e) {
		ctl_cell(&t, ctl_str(e, "kind"));
		ctl_cell(&t, ctl_str(e, "name"));
		snprintf(text, sizeof text, "%.3fms",
		    json_real_value(json_object_get(e, "ms")));
		ctl_cell(&t, json_is_true(json_object_get(e, "answers")) ? text : "");
		ctl_cell(&t, ctl_str(e, "endpoint"));
	}
	ctl_table_print(&t);
}

static void
ping(struct ctl *c)
{
	const char *name = c->nargs != 0 ? c->args[0] : NULL;
	json_t *all = ctl_must(json_array());
	struct ctl_brokers b = { 0 };

	if (!c->timed)
		c->timeout_ms = PING_MS;
	if (name != NULL && strstr(name, "://") != NULL)
		ping_endpoint(c, all, "daemon", name);
	/* When no name server answers there are no brokers to be found. */
	else if (name != NULL || ping_names(c, all))
		ctl_brokers_known(c, &b, NULL, name);
	for (size_t i = 0; i < b.n; i++)
		ping_one(c, all, "broker", &b.list[i]);
	ctl_brokers_release(&b);
	if (c->json)
		ctl_print_json(json_incref(all));
	else if (json_array_size(all) != 0)
		print_pings(all);
	json_decref(all);
}

const struct ctl_verb ctl_net_verbs[] = {
	{ "route", NULL, "route [options] DEST",
	    "Print who serves a topic or service, the own region first.", table, NULL, 1, 1,
	    route },
	{ "ping", NULL, "ping [options] [NAME]",
	    "Measure round trips to all name servers and brokers, or to one broker or "
	    "endpoint.", table, NULL, 0, 1, ping },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
