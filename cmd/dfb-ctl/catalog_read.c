/* A catalogue from a file: every error is told, with the name of what is wrong. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "common/grayrule.h"
#include "common/settings.h"
#include "dfb-ctl/catalog.h"
#include "dfb-ctl/ctl.h"

#define WHY_SIZE 256
#define DESCRIPTION_MAX 500
#define WEIGHT_MAX 1000
#define DISTANCE_MAX 1000000
#define HASHES 10000

struct reader {
	struct ctl *c;
	const char *file;
	bool failed;
};

static void bad(struct reader *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
bad(struct reader *r, const char *fmt, ...)
{
	char text[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ctl_fail(r->c, DFB_BADINPUT, "%s: %s", r->file, text);
	r->failed = true;
}

/* Tell of fields that are not in the list. */
static void
only(struct reader *r, const char *where, const json_t *object, const char *const *fields)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)object, name, v) {
		size_t i = 0;
		while (fields[i] != NULL && strcmp(fields[i], name) != 0)
			i++;
		if (fields[i] == NULL)
			bad(r, "%s: '%.64s' is no field of it", where, name);
	}
}

/* ---- services ---- */

static void
check_regions(struct reader *r, const char *where, json_t *regions)
{
	static const char *const fields[] = { "state", "weight", NULL };
	const char *name, *state;
	char at[160];
	json_t *d, *w;

	if (!json_is_object(regions))
		bad(r, "%s: 'regions' must be an object", where);
	json_object_foreach(regions, name, d) {
		snprintf(at, sizeof at, "%s: regions.%.16s", where, name);
		state = json_string_value(json_object_get(d, "state"));
		w = json_object_get(d, "weight");
		only(r, at, d, fields);
		if (!dfb_region_valid(name))
			bad(r, "%s is no region: 3 capital letters or digits, like A10", at);
		if (state == NULL || (strcmp(state, "online") != 0 &&
		    strcmp(state, "suspended") != 0 && strcmp(state, "offline") != 0))
			bad(r, "%s: 'state' must be online, suspended or offline", at);
		if (w != NULL && (!json_is_integer(w) || json_integer_value(w) < 0 ||
		    json_integer_value(w) > WEIGHT_MAX))
			bad(r, "%s: 'weight' must be a number from 0 to %d", at, WEIGHT_MAX);
	}
}

/* Rules as sgs has them, so that they can be compared. */
static void
check_gray(struct reader *r, const char *where, json_t *rules)
{
	json_t *normal = ctl_must(json_object()), *one, *rule;
	struct gray_list list = TAILQ_HEAD_INITIALIZER(list);
	const char *label;
	char why[WHY_SIZE];
	struct gray *g;

	json_object_foreach(rules, label, rule) {
		struct gray_list alone = TAILQ_HEAD_INITIALIZER(alone);
		one = ctl_must(json_pack("{s:O}", label, rule));
		if (gray_list_from_json(&alone, one, why) == -1)
			bad(r, "%s: gray.%.64s: %s", where, label, why);
		json_decref(one);
		if ((g = TAILQ_FIRST(&alone)) != NULL) {
			one = ctl_must(gray_to_json(g));
			json_object_del(one, "label");
			json_object_set_new(normal, label, one);
		}
		gray_list_free(&alone);
	}
	if (!json_is_object(rules) || (!r->failed && gray_list_from_json(&list, rules, why) == -1))
		bad(r, "%s: gray: %s", where, json_is_object(rules) ? why : "it must be an object");
	else {
		json_object_clear(rules);
		json_object_update(rules, normal);
	}
	gray_list_free(&list);
	json_decref(normal);
}

static void
check_service(struct reader *r, json_t *s, size_t i)
{
	static const char *const fields[] = { "service", "state", "description", "settings",
		"proposed", "regions", "gray", NULL };
	const char *name = json_string_value(json_object_get(s, "service"));
	json_t *description = json_object_get(s, "description"), *v;
	const char *state = json_string_value(json_object_get(s, "state"));
	char where[100], why[WHY_SIZE];
	static const char *const settings[] = { "settings", "proposed" };

	snprintf(where, sizeof where, "service '%.64s'", name != NULL ? name : "");
	if (name == NULL || dfb_word_kind(name) != DFB_WORD_SERVICE) {
		bad(r, "services[%zu]: 'service' must name it: 1 to 64 letters, digits, '_' or "
		    "'.'", i);
		return;
	}
	only(r, where, s, fields);
	if (json_object_get(s, "state") != NULL && (state == NULL ||
	    (strcmp(state, "applied") != 0 && strcmp(state, "approved") != 0)))
		bad(r, "%s: 'state' must be applied or approved", where);
	if (description != NULL && (!json_is_string(description) ||
	    json_string_length(description) == 0 ||
	    json_string_length(description) > DESCRIPTION_MAX))
		bad(r, "%s: 'description' must be text of 1 to %d bytes", where,
		    DESCRIPTION_MAX);
	for (i = 0; i < 2; i++)
		if ((v = json_object_get(s, settings[i])) != NULL && settings_check(v, why) == -1)
			bad(r, "%s: %s: %s", where, settings[i], why);
	if ((v = json_object_get(s, "gray")) != NULL)
		check_gray(r, where, v);
	if ((v = json_object_get(s, "regions")) != NULL)
		check_regions(r, where, v);
	if (state != NULL && strcmp(state, "applied") == 0 && json_object_size(v) != 0)
		bad(r, "%s: regions: it must be approved to be anywhere", where);
}

/* By their names. */
static json_t *
services(struct reader *r, json_t *list)
{
	json_t *all = ctl_must(json_object()), *s;
	size_t i;

	if (list != NULL && !json_is_array(list))
		bad(r, "'services' must be a list");
	json_array_foreach(list, i, s) {
		const char *name = ctl_str(s, "service");
		check_service(r, s, i);
		if (json_object_get(all, name) != NULL)
			bad(r, "service '%.64s' is there twice", name);
		json_object_set(all, name, s);
	}
	return all;
}

/* ---- keys and distances ---- */

static void
check_rule(struct reader *r, const char *where, json_t *rule, json_t *seen, bool *taken)
{
	static const char *const fields[] = { "region", "key", "prefix", "from", "to", NULL };
	const char *region = json_string_value(json_object_get(rule, "region")),
	    *key = json_string_value(json_object_get(rule, "key")),
	    *prefix = json_string_value(json_object_get(rule, "prefix"));
	json_t *from = json_object_get(rule, "from"), *to = json_object_get(rule, "to");
	json_int_t lo = json_integer_value(from), hi = json_integer_value(to);
	bool range = json_is_integer(from) && json_is_integer(to);
	char text[300];

	only(r, where, rule, fields);
	if (region == NULL || !dfb_region_valid(region))
		bad(r, "%s: 'region' must be 3 capital letters or digits, like A10", where);
	if ((key != NULL) + (prefix != NULL) + range != 1 || json_object_size(rule) !=
	    (range ? 3 : 2) || (!range && strlen(key != NULL ? key : prefix) - 1 > 254)) {
		bad(r, "%s: it must have one of 'key', 'prefix' (1 to 255 bytes), or 'from' and "
		    "'to'", where);
		return;
	}
	if (range && (lo < 0 || hi >= HASHES || lo > hi)) {
		bad(r, "%s: 'from' and 'to' are hashes from 0 to %d", where, HASHES - 1);
		return;
	}
	for (; range && lo <= hi; lo++) {
		if (taken[lo]) {
			bad(r, "%s: hash %lld is in two rules", where, (long long)lo);
			return;
		}
		taken[lo] = true;
	}
	snprintf(text, sizeof text, "%s %s", key != NULL ? "key" : "prefix",
	    key != NULL ? key : prefix);
	if (!range && json_object_get(seen, text) != NULL)
		bad(r, "%s: %s is in two rules", where, text);
	else if (!range)
		json_object_set_new(seen, text, json_true());
}

static void
check_affinity(struct reader *r, json_t *all)
{
	static bool taken[HASHES];
	const char *name;
	json_t *list, *rule, *seen;
	char where[160];
	size_t i;

	if (all != NULL && !json_is_object(all))
		bad(r, "'affinity' must be an object of lists of rules by service");
	json_object_foreach(all, name, list) {
		if (strcmp(name, "*") != 0 && dfb_word_kind(name) != DFB_WORD_SERVICE)
			bad(r, "affinity: '%.64s' is no service", name);
		if (!json_is_array(list))
			bad(r, "affinity of '%.64s': it must be a list of rules", name);
		seen = ctl_must(json_object());
		memset(taken, 0, sizeof taken);
		json_array_foreach(list, i, rule) {
			snprintf(where, sizeof where, "affinity of '%.64s': rule %zu", name, i + 1);
			check_rule(r, where, rule, seen, taken);
		}
		json_decref(seen);
	}
}

static void
check_distances(struct reader *r, json_t *all)
{
	const char *from, *to;
	json_t *row, *n;

	if (all != NULL && !json_is_object(all))
		bad(r, "'distances' must be an object");
	json_object_foreach(all, from, row) {
		if (!dfb_region_valid(from) || !json_is_object(row))
			bad(r, "distances.%.16s: it must be an object of distances, and named like "
			    "a region", from);
		json_object_foreach(row, to, n)
			if (!dfb_region_valid(to) || strcmp(from, to) == 0 ||
			    !json_is_integer(n) || json_integer_value(n) < 0 ||
			    json_integer_value(n) > DISTANCE_MAX)
				bad(r, "distances.%.16s.%.16s: it must be the distance to another "
				    "region, 0 to %d", from, to, DISTANCE_MAX);
	}
}

/* ---- the file ---- */

json_t *
ctl_catalog_check(struct ctl *c, const char *name, const json_t *j)
{
	static const char *const fields[] = { "services", "affinity", "distances", NULL };
	json_t *copy, *all, *affinity, *distances;
	struct reader r = { .c = c, .file = name };

	if (!json_is_object(j)) {
		bad(&r, "it must be a JSON object with services, affinity and distances");
		return NULL;
	}
	copy = ctl_must(json_deep_copy(j));
	affinity = json_object_get(copy, "affinity");
	distances = json_object_get(copy, "distances");
	only(&r, "the file", copy, fields);
	all = ctl_must(json_pack("{s:o}", "services",
	    services(&r, json_object_get(copy, "services"))));
	check_affinity(&r, affinity);
	check_distances(&r, distances);
	json_object_set_new(all, "affinity", affinity != NULL ? json_incref(affinity) :
	    json_object());
	json_object_set_new(all, "distances", distances != NULL ? json_incref(distances) :
	    json_object());
	json_decref(copy);
	if (r.failed) {
		json_decref(all);
		all = NULL;
	}
	return all;
}

json_t *
ctl_catalog_read(struct ctl *c, const char *file)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	const char *name = f == stdin ? "stdin" : file;
	json_error_t err;
	json_t *j, *all = NULL;

	if (f == NULL) {
		log_err("cannot open '%s'", file);
		c->status = DFB_IOERR;
		return NULL;
	}
	if ((j = json_loadf(f, JSON_REJECT_DUPLICATES, &err)) != NULL)
		all = ctl_catalog_check(c, name, j);
	else
		ctl_fail(c, DFB_BADINPUT, "%s: line %d: %s", name, err.line, err.text);
	if (f != stdin)
		fclose(f);
	json_decref(j);
	return all;
}
