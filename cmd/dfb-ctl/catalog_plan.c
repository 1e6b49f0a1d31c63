/* What differs between the catalogue and a file, as questions to sgs in their order: keys and
 * distances, then each service; what is not in the file last. */
#include <stdio.h>
#include <string.h>

#include "dfb-ctl/catalog.h"
#include "dfb-ctl/ctl.h"

/* Add a step; args is taken. */
static json_t *
step(json_t *plan, const char *verb, json_t *args)
{
	json_t *commands = ctl_catalog_commands(verb, ctl_must(args)),
	    *s = ctl_must(json_pack("{s:s, s:o, s:o}", "verb", verb, "args", args, "commands",
	    commands));

	json_array_append_new(plan, s);
	return s;
}

static bool
is(const json_t *v, const char *text)
{
	return json_is_string(v) && strcmp(json_string_value(v), text) == 0;
}

/* ---- services ---- */

struct job {
	json_t *plan;
	const char *name;
	const json_t *has, *file; /* has: NULL when it is new, or retired */
	json_int_t version;       /* what the first step expects; -1: none does */
};

static json_t *
service(struct job *j, const char *verb, const char *region)
{
	json_t *args = ctl_must(json_pack("{s:s}", "service", j->name));

	if (region != NULL)
		json_object_set_new(args, "region", json_string(region));
	if (j->version >= 0)
		json_object_set_new(args, "if_version", json_integer(j->version));
	j->version = -1;
	return step(j->plan, verb, args);
}

/* A step that has more arguments: its commands are written anew. */
static void
with(json_t *step, const char *name, json_t *value)
{
	json_t *args = json_object_get(step, "args");

	json_object_set_new(args, name, ctl_must(value));
	json_object_set_new(step, "commands", ctl_catalog_commands(ctl_str(step, "verb"), args));
}

static void
settings(struct job *j)
{
	json_t *want = json_object_get(j->file, "settings"),
	    *proposed = json_object_get(j->file, "proposed"),
	    *description = json_object_get(j->file, "description"),
	    *is_now = json_object_get(j->has, "settings"), *s;
	bool approved = is(json_object_get(j->has, "state"), "approved"),
	    approve = !is(json_object_get(j->file, "state"), "applied") && !approved,
	    new = want != NULL && json_equal(want, is_now) == 0,
	    drop = want != NULL && proposed == NULL && json_object_get(j->has, "proposed") != NULL,
	    told = description != NULL &&
	    json_equal(description, json_object_get(j->has, "description")) == 0;

	if (j->has == NULL || new || told || drop) {
		s = service(j, "service.apply", NULL);
		if (new || drop || (j->has == NULL && want != NULL))
			with(s, "settings", json_incref(want));
		if (told)
			with(s, "description", json_incref(description));
	}
	if (approve || (new && approved))
		service(j, "service.approve", NULL);
	if (proposed != NULL && ((new && approved) ||
	    json_equal(proposed, json_object_get(j->has, "proposed")) == 0)) {
		s = service(j, "service.apply", NULL);
		with(s, "settings", json_incref(proposed));
	}
}

static double
percent(const json_t *rule)
{
	return json_number_value(json_object_get(rule, "percent"));
}

/* Shares become smaller before others become larger: together they are never above the whole. */
static void
gray(struct job *j)
{
	json_t *want = json_object_get(j->file, "gray"), *now = json_object_get(j->has, "gray"),
	    *rule, *args;
	const char *label, *field;
	json_t *v;

	if (want == NULL)
		return;
	json_object_foreach(now, label, rule)
		if (json_object_get(want, label) == NULL)
			with(service(j, "gray.delete", NULL), "label", json_string(label));
	for (int larger = 0; larger < 2; larger++)
		json_object_foreach(want, label, rule) {
			json_t *old = json_object_get(now, label);
			if (json_equal(old, rule) == 1 ||
			    (percent(rule) > percent(old)) != (larger == 1))
				continue;
			args = service(j, "gray.set", NULL);
			with(args, "label", json_string(label));
			json_object_foreach(rule, field, v)
				with(args, field, json_incref(v));
		}
}

static void
await(json_t *step, const char *state)
{
	json_object_set_new(step, "await", json_string(state));
}

/* It must be online first; when it is to be, the step says that it needs that. */
static void
suspend(struct job *j, const char *region, bool online)
{
	json_t *s = service(j, "service.suspend", region);

	if (!online)
		json_object_set_new(s, "needs", json_string("online"));
}

static void
deployment(struct job *j, const char *region, const json_t *want)
{
	const char *now = ctl_deployment(j->has, region), *state = ctl_str(want, "state");
	json_t *weight = json_object_get(want, "weight"), *s,
	    *old = json_object_get(json_object_get(json_object_get(j->has, "regions"), region),
	    "weight");
	bool away = strcmp(now, "none") == 0 || strcmp(now, "offline") == 0,
	    draining = strcmp(now, "draining") == 0, begun = false;

	if (strcmp(state, "offline") == 0) {
		if (!away && !draining)
			await(service(j, "service.undeploy", region), "offline");
		return;
	}
	if (away || draining) {
		s = service(j, "service.deploy", region);
		if (weight != NULL)
			with(s, "weight", json_incref(weight));
		await(s, "online");
		begun = true;
	} else if (weight != NULL && json_equal(weight, old) == 0)
		with(service(j, "service.weight", region), "weight", json_incref(weight));
	if (strcmp(state, "suspended") == 0 && strcmp(now, "suspended") != 0)
		suspend(j, region, strcmp(now, "online") == 0 && !begun);
	else if (strcmp(state, "online") == 0 && strcmp(now, "suspended") == 0)
		service(j, "service.resume", region);
}

/* Take it out of all regions that the list does not have. */
static void
withdraw(struct job *j, const json_t *keep)
{
	const char *region;
	json_t *d;

	json_object_foreach(json_object_get(j->has, "regions"), region, d)
		if (json_object_get(keep, region) == NULL &&
		    !is(json_object_get(d, "state"), "offline") &&
		    !is(json_object_get(d, "state"), "draining"))
			await(service(j, "service.undeploy", region), "offline");
}

static void
one_service(struct job *j)
{
	json_t *regions = json_object_get(j->file, "regions"), *d;
	const char *region;

	settings(j);
	gray(j);
	json_object_foreach(regions, region, d)
		deployment(j, region, d);
	if (regions != NULL)
		withdraw(j, regions);
}

static void
services(json_t *plan, const json_t *has, const json_t *file, bool prune)
{
	const char *name;
	json_t *s;

	json_object_foreach((json_t *)(uintptr_t)file, name, s) {
		const json_t *now = json_object_get(has, name);
		bool retired = is(json_object_get(now, "state"), "retired");
		struct job j = { plan, name, retired ? NULL : now, s, ctl_int(now, "version") };
		one_service(&j);
	}
	json_object_foreach((json_t *)(uintptr_t)has, name, s) {
		struct job j = { plan, name, s, NULL, ctl_int(s, "version") };
		if (!prune || json_object_get(file, name) != NULL ||
		    is(json_object_get(s, "state"), "retired"))
			continue;
		withdraw(&j, NULL);
		service(&j, "service.retire", NULL);
	}
}

/* ---- keys ---- */

/* Rules by what they are. */
static json_t *
by_text(const json_t *list)
{
	json_t *all = ctl_must(json_object()), *rule;
	size_t i;

	json_array_foreach(list, i, rule) {
		char *text = ctl_must(json_dumps(rule, JSON_COMPACT | JSON_SORT_KEYS));
		json_object_set(all, text, rule);
		free(text);
	}
	return all;
}

/* Commands for the rules that only `some` has. */
static void
commands(json_t *list, const char *verb, const char *name, const json_t *some,
    const json_t *others)
{
	json_t *by_region = ctl_must(json_object()), *rule, *args;
	const char *text, *region;

	json_object_foreach((json_t *)(uintptr_t)some, text, rule) {
		region = ctl_str(rule, "region");
		if (json_object_get(others, text) != NULL)
			continue;
		if (json_object_get(by_region, region) == NULL)
			json_object_set_new(by_region, region, json_array());
		json_array_append(json_object_get(by_region, region), rule);
	}
	json_object_foreach(by_region, region, rule) {
		json_t *more;
		args = ctl_must(json_pack("{s:s, s:s, s:O}", "service", name, "region", region,
		    "rules", rule));
		more = ctl_catalog_commands(verb, args);
		json_array_extend(list, more);
		json_decref(more);
		json_decref(args);
	}
	json_decref(by_region);
}

/* Replaced as one; the commands do the same in several steps. */
static void
affinity(json_t *plan, const char *name, const json_t *has, json_t *want)
{
	json_t *old = by_text(has), *new = by_text(want), *list = ctl_must(json_array()), *s;

	commands(list, "affinity.delete", name, old, new);
	commands(list, "affinity.add", name, new, old);
	if (json_array_size(list) != 0) {
		s = step(plan, "affinity.set", json_pack("{s:s, s:O}", "service", name, "rules",
		    want));
		json_object_set(s, "commands", list);
	}
	json_decref(list);
	json_decref(old);
	json_decref(new);
}

static void
affinities(json_t *plan, const json_t *has, const json_t *file, bool prune)
{
	const char *name;
	json_t *list;

	json_object_foreach((json_t *)(uintptr_t)file, name, list)
		affinity(plan, name, json_object_get(has, name), list);
	json_object_foreach((json_t *)(uintptr_t)has, name, list)
		if (prune && json_object_get(file, name) == NULL)
			step(plan, "affinity.delete", json_pack("{s:s}", "service", name));
}

/* ---- distances ---- */

static json_t *
distance(const json_t *all, const char *from, const char *to)
{
	return json_object_get(json_object_get(all, from), to);
}

/* Steps for what a has and b has not, or otherwise; both ways in one when they are alike. */
static void
distances(json_t *plan, const char *verb, const json_t *a, const json_t *b)
{
	const char *from, *to;
	json_t *row, *n, *args, *back;

	json_object_foreach((json_t *)(uintptr_t)a, from, row)
		json_object_foreach(row, to, n) {
			bool both, set = strcmp(verb, "distance.set") == 0;
			back = distance(a, to, from);
			if (set ? json_equal(n, distance(b, from, to)) == 1 :
			    distance(b, from, to) != NULL)
				continue;
			both = back != NULL && (set ? json_equal(back, n) == 1 &&
			    json_equal(back, distance(b, to, from)) == 0 :
			    distance(b, to, from) == NULL);
			if (both && strcmp(from, to) > 0)
				continue;
			args = ctl_must(json_pack("{s:s, s:s}", "from", from, "to", to));
			if (!both)
				json_object_set_new(args, "one_way", json_true());
			if (set)
				json_object_set(args, "distance", n);
			step(plan, verb, args);
		}
}

json_t *
ctl_catalog_plan(const json_t *has, const json_t *file, int prune)
{
	json_t *plan = ctl_must(json_array());

	distances(plan, "distance.set", json_object_get(file, "distances"),
	    json_object_get(has, "distances"));
	if (prune)
		distances(plan, "distance.delete", json_object_get(has, "distances"),
		    json_object_get(file, "distances"));
	affinities(plan, json_object_get(has, "affinity"), json_object_get(file, "affinity"),
	    prune != 0);
	services(plan, json_object_get(has, "services"), json_object_get(file, "services"),
	    prune != 0);
	return plan;
}
