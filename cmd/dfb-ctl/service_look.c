/* Services: what they are, and where. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "client/admin.h"
#include "dfb-ctl/ctl.h"
#include "dfb-ctl/settings.h"
#include "dfb-ctl/sgs.h"
#include "wire/proto.h"

/* ---- list ---- */

/* "A10=online,B20=draining": all that are not offline. */
static void
cell_regions(struct ctl_table *t, const json_t *service)
{
	json_t *regions = json_object_get(service, "regions"), *d, *list = ctl_must(json_array());
	const char *region;
	char text[64];

	json_object_foreach(regions, region, d)
		if (strcmp(ctl_str(d, "state"), "offline") != 0) {
			snprintf(text, sizeof text, "%s=%s", region, ctl_str(d, "state"));
			json_array_append_new(list, json_string(text));
		}
	ctl_cell_list(t, list);
	json_decref(list);
}

static void
print_list(const json_t *all)
{
	struct ctl_table t = { .heads = "SERVICE STATE >VERSION OWNER DURABILITY >GRAY REGIONS "
	    "DESCRIPTION" };
	size_t i;
	json_t *e;

	json_array_foreach(all, i, e) {
		const char *durability = ctl_str(json_object_get(e, "settings"), "durability");
		ctl_cell(&t, ctl_str(e, "service"));
		ctl_cell(&t, json_object_get(e, "proposed") != NULL ? "approved+proposed" :
		    ctl_str(e, "state"));
		ctl_cell_int(&t, ctl_int(e, "version"));
		ctl_cell(&t, ctl_str(e, "owner"));
		ctl_cell(&t, *durability != '\0' ? durability : "async");
		ctl_cell_int(&t, (json_int_t)json_object_size(json_object_get(e, "gray")));
		cell_regions(&t, e);
		ctl_cell(&t, ctl_str(e, "description"));
	}
	ctl_table_print(&t);
}

void
ctl_service_list(struct ctl *c)
{
	json_t *args = ctl_must(json_object()), *all;

	if (c->nargs != 0)
		json_object_set_new(args, "service", json_string(c->args[0]));
	if (c->state != NULL)
		json_object_set_new(args, "state", json_string(c->state));
	if (c->tool.region != NULL)
		json_object_set_new(args, "region", json_string(c->tool.region));
	if ((all = ctl_sgs(c, "service.list", args)) == NULL)
		return;
	if (!c->json)
		print_list(all);
	ctl_sgs_done(c, all);
}

/* ---- show ---- */

static void
print_settings(const char *what, const json_t *settings)
{
	struct dfb_buf b = { 0 };

	if (settings == NULL)
		return;
	ctl_settings_write(&b, settings);
	printf("%s:%.*s\n", what, b.len != 0 ? (int)b.len : 9,
	    b.len != 0 ? (const char *)b.data : " as usual");
	dfb_buf_release(&b);
}

static void
print_gray(const json_t *rules)
{
	struct ctl_table t = { .heads = "LABEL RULE ELSE" };
	const char *label;
	char rule[512];
	json_t *r;

	json_object_foreach((json_t *)(uintptr_t)rules, label, r) {
		ctl_cell(&t, label);
		ctl_cell(&t, ctl_gray_rule(r, rule, sizeof rule));
		ctl_cell(&t, ctl_str(r, "else"));
	}
	putchar('\n');
	ctl_table_print(&t);
}

static void
cell_brokers(struct ctl_table *t, const json_t *progress)
{
	json_t *list = ctl_must(json_array()), *b;
	char text[128];
	size_t i;

	json_array_foreach(json_object_get(progress, "brokers"), i, b) {
		snprintf(text, sizeof text, "%s=%s", ctl_str(b, "broker"), ctl_str(b, "state"));
		json_array_append_new(list, json_string(text));
	}
	ctl_cell_list(t, list);
	json_decref(list);
}

static void
print_regions(const json_t *service)
{
	struct ctl_table t = { .heads = "REGION STATE SINCE >WEIGHT >LEFT BROKERS WAITS-FOR" };
	json_t *regions = json_object_get(service, "regions"), *d, *left;
	const char *region;
	char when[25];
	size_t i;

	json_object_foreach(regions, region, d) {
		const json_t *p = json_object_get(json_object_get(service, "progress"), region);
		json_int_t n = 0;
		json_array_foreach(json_object_get(p, "left"), i, left)
			n += ctl_int(left, "messages");
		ctl_cell(&t, region);
		ctl_cell(&t, ctl_str(d, "state"));
		ctl_cell(&t, dfb_format_when((uint64_t)ctl_int(d, "since_ms"), when));
		ctl_cell_int(&t, ctl_int(d, "weight"));
		ctl_cell_int(&t, n);
		cell_brokers(&t, p);
		ctl_cell(&t, *ctl_str(p, "why") != '\0' ? ctl_str(p, "why") : ctl_str(d, "why"));
	}
	putchar('\n');
	ctl_table_print(&t);
}

static void
print_service(const json_t *s)
{
	printf("service '%s' is %s, version %lld, first applied by %s\n", ctl_str(s, "service"),
	    ctl_str(s, "state"), (long long)ctl_int(s, "version"), ctl_str(s, "owner"));
	if (*ctl_str(s, "description") != '\0')
		printf("description: %s\n", ctl_str(s, "description"));
	print_settings("settings", json_object_get(s, "settings"));
	print_settings("proposed", json_object_get(s, "proposed"));
	if (json_object_size(json_object_get(s, "gray")) != 0)
		print_gray(json_object_get(s, "gray"));
	if (json_object_size(json_object_get(s, "regions")) != 0)
		print_regions(s);
}

void
ctl_service_show(struct ctl *c)
{
	json_t *s = ctl_sgs(c, "service.show", json_pack("{s:s}", "service", c->args[0]));

	if (s != NULL && !c->json)
		print_service(s);
	ctl_sgs_done(c, s);
}

/* ---- locate ---- */

/* The first gsl that answers, the own region's before others. */
static json_t *
ask_gsl(struct ctl *c, const json_t *args)
{
	struct dfb_admin_route *list;
	struct ctl_broker gsl = { 0 };
	enum dfb_status st;
	const char *why;
	json_t *j = NULL;
	size_t n;

	if ((st = dfb_admin_routes(c->dfb, "%GSL", 0, ctl_bus_wait(c), &list, &n)) != DFB_OK)
		ctl_fail(c, st, "%s", dfb_error(c->dfb));
	else if (n == 0)
		ctl_fail(c, DFB_NOBODY, "no gsl is known to the name server: senders go to the "
		    "topics that 'dfb-ctl route %s' shows", c->args[0]);
	for (size_t i = 0; i < n && j == NULL; i++) {
		snprintf(gsl.name, sizeof gsl.name, "%s", list[i].broker);
		snprintf(gsl.endpoint, sizeof gsl.endpoint, "%s", list[i].endpoint);
		j = ctl_ask_quietly(c, &gsl, "locate", args, &st, &why);
		if (j == NULL && i + 1 == n)
			ctl_fail(c, st, "gsl '%s': %s", gsl.name, why);
	}
	free(list);
	return j;
}

static void
print_places(const json_t *places)
{
	struct ctl_table t = { .heads = ">TIER TOPIC REGION >WEIGHT" };
	size_t i;
	json_t *p;

	json_array_foreach(places, i, p) {
		ctl_cell_int(&t, ctl_int(p, "tier"));
		ctl_cell(&t, ctl_str(p, "topic"));
		ctl_cell(&t, ctl_str(p, "region"));
		ctl_cell_int(&t, ctl_int(p, "weight"));
	}
	ctl_table_print(&t);
}

void
ctl_service_locate(struct ctl *c)
{
	const char *region = c->tool.region != NULL ? c->tool.region : getenv("DFB_REGION");
	json_t *args = ctl_must(json_pack("{s:s}", "service", c->args[0])), *j;
	bool some;

	if (c->key != NULL && json_object_set_new(args, "key", json_string(c->key)) == -1)
		dfb_usage(&c->opts, "--key takes text");
	if (region != NULL)
		json_object_set_new(args, "region", json_string(region));
	j = ask_gsl(c, args);
	json_decref(args);
	if (j == NULL)
		return;
	some = json_array_size(json_object_get(j, "places")) != 0;
	if (!json_is_true(json_object_get(j, "known")))
		ctl_fail(c, DFB_NOBODY, "'%s' is no service that gsl '%s' knows: senders go to the "
		    "topics that 'dfb-ctl route %s' shows", c->args[0], ctl_str(j, "gsl"),
		    c->args[0]);
	else if (!some)
		ctl_fail(c, DFB_NOBODY, "'%s' is nowhere: %s", c->args[0], ctl_str(j, "reason"));
	else if (!c->json)
		print_places(json_object_get(j, "places"));
	ctl_sgs_done(c, j);
}
