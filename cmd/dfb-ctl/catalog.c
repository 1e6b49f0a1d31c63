/* service import and export. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "dfb-ctl/catalog.h"
#include "dfb-ctl/ctl.h"
#include "dfb-ctl/sgs.h"

/* ---- what there is ---- */

/* A list of objects as an object: name is their field "service". */
static json_t *
by_service(json_t *list, const char *field)
{
	json_t *all = ctl_must(json_object()), *e;
	size_t i;

	json_array_foreach(list, i, e)
		json_object_set(all, ctl_str(e, "service"), field != NULL ?
		    json_object_get(e, field) : e);
	return all;
}

json_t *
ctl_catalog(struct ctl *c)
{
	json_t *services = ctl_sgs(c, "service.list", json_object()), *all = NULL,
	    *affinity = services != NULL ? ctl_sgs(c, "affinity.list", json_object()) : NULL,
	    *distances = affinity != NULL ? ctl_sgs(c, "distance.list", json_object()) : NULL;

	if (distances != NULL)
		all = ctl_must(json_pack("{s:o, s:o, s:O}", "services",
		    by_service(services, NULL), "affinity", by_service(affinity, "rules"),
		    "distances", json_object_get(distances, "distances")));
	json_decref(services);
	json_decref(affinity);
	json_decref(distances);
	return all;
}

/* ---- export ---- */

/* Where it is, or is to be: what is under way is not written. */
static json_t *
regions_of(const json_t *service)
{
	json_t *regions = json_object_get(service, "regions"), *d, *all = ctl_must(json_object());
	const char *region;

	json_object_foreach(regions, region, d) {
		const char *state = ctl_str(d, "state");
		if (strcmp(state, "offline") != 0 && strcmp(state, "draining") != 0)
			json_object_set_new(all, region, json_pack("{s:s, s:I}", "state",
			    strcmp(state, "suspended") == 0 ? state : "online", "weight",
			    ctl_int(d, "weight")));
	}
	return all;
}

static void
copy(json_t *to, const json_t *from, const char *name)
{
	json_t *v = json_object_get(from, name);

	if (v != NULL)
		json_object_set(to, name, v);
}

void
ctl_service_export(struct ctl *c)
{
	json_t *all = ctl_catalog(c), *list, *s, *out;
	const char *name;

	if (all == NULL)
		return;
	list = ctl_must(json_array());
	json_object_foreach(json_object_get(all, "services"), name, s) {
		const char *state = ctl_str(s, "state");
		if (strcmp(state, "retired") == 0)
			continue;
		out = ctl_must(json_pack("{s:s}", "service", name));
		if (strcmp(state, "applied") == 0)
			copy(out, s, "state");
		copy(out, s, "description");
		copy(out, s, "settings");
		copy(out, s, "proposed");
		json_object_set_new(out, "regions", regions_of(s));
		copy(out, s, "gray");
		json_array_append_new(list, out);
	}
	json_object_set_new(all, "services", list);
	if (json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0)
		putchar('\n');
	json_decref(all);
}

/* ---- import ---- */

static void
print_commands(const json_t *step)
{
	size_t i;
	json_t *e;

	json_array_foreach(json_object_get(step, "commands"), i, e)
		puts(json_string_value(e));
}

/* Wait for what a step began; false: reported. */
static bool
await(struct ctl *c, const json_t *step)
{
	const json_t *args = json_object_get(step, "args");
	json_t *j = ctl_sgs_await(c, ctl_str(args, "service"), ctl_str(args, "region"),
	    ctl_str(step, "await"));

	json_decref(j);
	return j != NULL;
}

/* Wait until a region is in a state, and for no step any more that began that; false: reported. */
static bool
await_first(struct ctl *c, json_t *plan, const char *service, const char *region,
    const char *state)
{
	json_t *j = ctl_sgs_await(c, service, region, state), *step;
	size_t i;

	json_decref(j);
	json_array_foreach(plan, i, step) {
		const json_t *args = json_object_get(step, "args");
		if (strcmp(ctl_str(args, "service"), service) == 0 &&
		    strcmp(ctl_str(args, "region"), region) == 0)
			json_object_del(step, "await");
	}
	return j != NULL;
}

/* Some steps can only be done when something has arrived; false: it has not, reported. */
static bool
await_needed(struct ctl *c, json_t *plan, const json_t *step, const json_t *has)
{
	const json_t *args = json_object_get(step, "args");
	const char *service = ctl_str(args, "service"), *region;
	json_t *d;

	if (c->await_ms == 0)
		return true;
	if (json_object_get(step, "needs") != NULL)
		return await_first(c, plan, service, ctl_str(args, "region"),
		    ctl_str(step, "needs"));
	if (strcmp(ctl_str(step, "verb"), "service.retire") == 0)
		json_object_foreach(json_object_get(json_object_get(json_object_get(has,
		    "services"), service), "regions"), region, d)
			if (strcmp(ctl_str(d, "state"), "offline") != 0 &&
			    !await_first(c, plan, service, region, "offline"))
				return false;
	return true;
}

static bool
do_step(struct ctl *c, json_t *plan, size_t n, const json_t *has)
{
	json_t *step = json_array_get(plan, n), *j;

	if (!await_needed(c, plan, step, has))
		return false;
	j = ctl_sgs_change(c, ctl_str(step, "verb"),
	    json_copy(json_object_get(step, "args")));
	if (j == NULL)
		return false;
	json_decref(j);
	if (!c->json)
		print_commands(step);
	return true;
}

/* What deployments that the file wants online wait for already: nothing is to be asked. */
static void
add_under_way(json_t *plan, const json_t *has, const json_t *file)
{
	const char *name, *region;
	json_t *s, *d;

	json_object_foreach(json_object_get(file, "services"), name, s)
		json_object_foreach(json_object_get(s, "regions"), region, d)
			if (strcmp(ctl_deployment(json_object_get(json_object_get(has, "services"),
			    name), region), "deploying") == 0 &&
			    strcmp(ctl_str(d, "state"), "online") == 0)
				json_array_append_new(plan, ctl_must(json_pack("{s:{s:s, s:s}, "
				    "s:s}", "args", "service", name, "region", region, "await",
				    "online")));
}

/* All that is not there yet, together in the time that there is for one. */
static void
await_all(struct ctl *c, const json_t *plan)
{
	uint64_t end = dfb_mono_ms() + c->await_ms, now;
	size_t i;
	json_t *step;

	if (c->await_ms == 0)
		return;
	json_array_foreach(plan, i, step)
		if (json_object_get(step, "await") != NULL) {
			now = dfb_mono_ms();
			c->await_ms = now < end ? end - now : 1;
			await(c, step);
		}
}

static void
run(struct ctl *c, json_t *plan, const json_t *has, const json_t *file)
{
	size_t n = json_array_size(plan), i = 0;

	while (i < n && do_step(c, plan, i, has))
		i++;
	if (i < n) {
		json_t *first = json_array_get(json_object_get(json_array_get(plan, i),
		    "commands"), 0);
		log_warnx("%zu of %zu steps were done, then this could not be: %s", i, n,
		    json_string_value(first));
		return;
	}
	add_under_way(plan, has, file);
	await_all(c, plan);
}

void
ctl_service_import(struct ctl *c)
{
	json_t *file = ctl_catalog_read(c, c->args[0]), *has, *plan;
	size_t i, n;
	json_t *e;

	if (file == NULL)
		return;
	if ((has = ctl_catalog(c)) == NULL) {
		json_decref(file);
		return;
	}
	plan = ctl_catalog_plan(has, file, c->prune);
	n = json_array_size(plan);
	if (!c->dry_run)
		run(c, plan, has, file);
	else if (n != 0)
		c->status = DFB_NO;
	if (c->json) {
		while (json_array_size(plan) > n)
			json_array_remove(plan, n);
		ctl_print_json(json_incref(plan));
	} else if (c->dry_run)
		json_array_foreach(plan, i, e)
			print_commands(e);
	json_decref(plan);
	json_decref(has);
	json_decref(file);
}
