/* Keys that belong to regions: rules of a service, or of all. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "dfb-sgs/command.h"
#include "wire/words.h"

#define RULES_MAX 10000
#define KEY_MAX 255
#define RANGE 10000 /* hashes are modulo this */

/* What a rule is about, without its region: "key c1", "prefix cn-", "hashes 0-4999". */
static int
subject(struct edit *e, const json_t *rule, char *text, size_t size)
{
	const char *key = json_string_value(json_object_get(rule, "key")),
	    *prefix = json_string_value(json_object_get(rule, "prefix"));
	json_t *from = json_object_get(rule, "from"), *to = json_object_get(rule, "to");
	json_int_t lo = json_integer_value(from), hi = json_integer_value(to);
	bool range = json_is_integer(from) && json_is_integer(to);

	if ((key != NULL) + (prefix != NULL) + range != 1 ||
	    json_object_size(rule) > (range ? 3 : 2))
		return edit_refuse(e, DFB_BADINPUT, "a rule has 'region' and one of 'key', "
		    "'prefix', or 'from' and 'to'");
	if (range) {
		if (lo < 0 || hi >= RANGE || lo > hi)
			return edit_refuse(e, DFB_BADINPUT, "hashes are from 0 to %d, not "
			    "%lld-%lld", RANGE - 1, (long long)lo, (long long)hi);
		snprintf(text, size, "hashes %lld-%lld", (long long)lo, (long long)hi);
		return 0;
	}
	if (key == NULL)
		key = prefix;
	if (*key == '\0' || strlen(key) > KEY_MAX)
		return edit_refuse(e, DFB_BADINPUT, "a key or prefix has 1 to %d bytes", KEY_MAX);
	snprintf(text, size, "%s %s", prefix != NULL ? "prefix" : "key", key);
	return 0;
}

static bool
is_same(const json_t *a, const json_t *b)
{
	static const char *const fields[] = { "key", "prefix", "from", "to" };

	for (size_t i = 0; i < 4; i++) {
		const json_t *x = json_object_get(a, fields[i]), *y = json_object_get(b, fields[i]);
		if ((x != NULL || y != NULL) && !json_equal(x, y))
			return false;
	}
	return true;
}

static int
check_region(struct edit *e, const json_t *rule)
{
	const char *region = json_string_value(json_object_get(rule, "region"));

	if (region == NULL || !dfb_region_valid(region))
		return edit_refuse(e, DFB_BADINPUT, "a rule needs a 'region': 3 capital letters or "
		    "digits, like A10");
	return 0;
}

/* No hash has two regions. */
static int
claim(struct edit *e, const json_t *rule, const char **owner)
{
	const char *region = json_string_value(json_object_get(rule, "region"));
	json_int_t to = json_integer_value(json_object_get(rule, "to"));

	for (json_int_t i = json_integer_value(json_object_get(rule, "from")); i <= to; i++) {
		if (owner[i] != NULL)
			return edit_refuse(e, DFB_BADINPUT, "hash %lld belongs to %s already, and "
			    "would to %s: delete one of the rules", (long long)i, owner[i], region);
		owner[i] = region;
	}
	return 0;
}

/* Whether the rules can stand beside each other. */
static int
check_all(struct edit *e, const json_t *rules)
{
	static const char *owner[RANGE];
	char text[KEY_MAX + 16];
	json_t *seen = json_object(), *rule;
	const char *other;
	size_t i;
	int rc = seen != NULL ? 0 : edit_refuse(e, DFB_AGAIN, "out of memory");

	memset(owner, 0, sizeof owner);
	json_array_foreach(rules, i, rule) {
		if (rc == -1 || (rc = check_region(e, rule)) == -1 ||
		    (rc = subject(e, rule, text, sizeof text)) == -1)
			break;
		other = json_string_value(json_object_get(seen, text));
		if (other != NULL)
			rc = edit_refuse(e, DFB_BADINPUT, "%s belongs to %s already, and would to "
			    "%s: delete one of the rules", text, other,
			    json_string_value(json_object_get(rule, "region")));
		else if (json_object_get(rule, "from") != NULL)
			rc = claim(e, rule, owner);
		if (rc == 0)
			edit_set(e, seen, text, json_incref(json_object_get(rule, "region")));
	}
	json_decref(seen);
	return rc;
}

/* The rule of the list with the same subject; -1 when there is none. */
static long
find(const json_t *rules, const json_t *rule)
{
	json_t *r;
	size_t i;

	json_array_foreach(rules, i, r)
		if (is_same(r, rule))
			return (long)i;
	return -1;
}

static int
remove_rules(struct edit *e, json_t *rules, const json_t *given)
{
	char text[KEY_MAX + 16];
	json_t *rule;
	size_t i;

	if (given == NULL) {
		if (json_array_size(rules) == 0)
			return edit_refuse(e, DFB_NOBODY, "'%s' has no rules", e->name);
		json_array_clear(rules);
		return 0;
	}
	json_array_foreach(given, i, rule) {
		json_t *region = json_object_get(rule, "region");
		long at;
		if (subject(e, rule, text, sizeof text) == -1)
			return -1;
		at = find(rules, rule);
		if (at == -1 || (region != NULL && !json_equal(region,
		    json_object_get(json_array_get(rules, (size_t)at), "region"))))
			return edit_refuse(e, DFB_NOBODY, "'%s' has no such rule for %s", e->name,
			    text);
		json_array_remove(rules, (size_t)at);
	}
	return 0;
}

/* Those that are there already, word for word, are fine. */
static int
add_rules(struct edit *e, json_t *rules, const json_t *given)
{
	json_t *rule;
	size_t i;

	json_array_foreach(given, i, rule) {
		long at = find(rules, rule);
		if (at != -1 && json_equal(rule, json_array_get(rules, (size_t)at)))
			continue;
		if (json_array_append_new(rules, json_deep_copy(rule)) == -1)
			e->failed = true;
	}
	return 0;
}

int
edit_affinity(struct edit *e)
{
	json_t *given = json_object_get(e->args, "rules"), *rules, *rule;
	bool delete = strcmp(e->what, "affinity.delete") == 0;
	size_t i;

	edit_set(e, e->after, "service", json_string(e->name));
	if (json_object_get(e->after, "rules") == NULL ||
	    strcmp(e->what, "affinity.set") == 0)
		edit_set(e, e->after, "rules", json_array());
	if ((rules = json_object_get(e->after, "rules")) == NULL)
		return 0;
	if (given != NULL || !delete) {
		if (!json_is_array(given) || json_array_size(given) > RULES_MAX)
			return edit_refuse(e, DFB_BADINPUT, "'rules' must be a list of at most %d "
			    "rules", RULES_MAX);
		json_array_foreach(given, i, rule)
			if (!json_is_object(rule))
				return edit_refuse(e, DFB_BADINPUT, "a rule must be an object");
	}
	if (delete)
		return remove_rules(e, rules, given);
	if (add_rules(e, rules, given) == -1)
		return -1;
	if (json_array_size(rules) > RULES_MAX)
		return edit_refuse(e, DFB_BADINPUT, "at most %d rules", RULES_MAX);
	return check_all(e, rules);
}
