/* Which keys belong to which region, and how far regions are from each other: at sgs. */
#include <stdio.h>
#include <string.h>

#include "dfb-ctl/ctl.h"
#include "dfb-ctl/sgs.h"

enum { OPT_KEY = 'k', OPT_PREFIX = CTL_LETTER_OWN, OPT_HASH, OPT_KEYS_FROM, OPT_ONE_WAY };

#define HASHES 10000

#define RULE_OPTIONS \
	{ OPT_KEY, "key", "KEY", "this key; can be repeated" }, \
	{ OPT_KEYS_FROM, "keys-from", "FILE", "keys, one on each line" }, \
	{ OPT_PREFIX, "prefix", "TEXT", "keys that begin so; can be repeated" }, \
	{ OPT_HASH, "hash", "FROM-TO", "keys with such a hash, 0-9999; can be repeated" }

static const struct dfb_opt rule_table[] = { RULE_OPTIONS, CTL_CHANGE_OPTIONS, CTL_OPTIONS };
static const struct dfb_opt plain_table[] = { CTL_OPTIONS };
static const struct dfb_opt distance_table[] = {
	{ OPT_ONE_WAY, "one-way", NULL, "not the way back" },
	CTL_CHANGE_OPTIONS,
	CTL_OPTIONS,
};

/* ---- options ---- */

/* The rules that are named, without their region. */
static json_t *
rules(struct ctl *c)
{
	if (json_object_get(c->change, "rules") == NULL)
		json_object_set_new(c->change, "rules", ctl_must(json_array()));
	return json_object_get(c->change, "rules");
}

static void
add(struct ctl *c, const char *what, const char *text, size_t len)
{
	json_t *v = len != 0 && len <= 255 ? json_stringn(text, len) : NULL;

	if (v == NULL)
		dfb_usage(&c->opts, "a %s must be text of 1 to 255 bytes", what);
	json_array_append_new(rules(c), ctl_must(json_pack("{s:o}", what, v)));
}

static void
add_key(struct ctl *c, const char *text, size_t len)
{
	add(c, "key", text, len);
}

static void
add_hashes(struct ctl *c)
{
	unsigned from, to;
	char rest;

	if (c->opts.arg[strspn(c->opts.arg, "0123456789-")] != '\0' ||
	    sscanf(c->opts.arg, "%u-%u%c", &from, &to, &rest) != 2 || from > to || to >= HASHES)
		dfb_usage(&c->opts, "--hash takes two numbers from 0 to %d, like 0-4999, not '%s'",
		    HASHES - 1, c->opts.arg);
	json_array_append_new(rules(c), ctl_must(json_pack("{s:i, s:i}", "from", (int)from, "to",
	    (int)to)));
}

static void
option(struct ctl *c, int letter)
{
	const char *arg = c->opts.arg;

	if (ctl_change_option(c, letter))
		return;
	switch (letter) {
	case OPT_KEY: add(c, "key", arg, strlen(arg)); break;
	case OPT_PREFIX: add(c, "prefix", arg, strlen(arg)); break;
	case OPT_HASH: add_hashes(c); break;
	case OPT_KEYS_FROM: ctl_lines(c, add_key); break;
	case OPT_ONE_WAY: json_object_set_new(c->change, "one_way", json_true()); break;
	}
}

/* ---- keys ---- */

static json_t *
named(struct ctl *c)
{
	if (strcmp(c->args[0], "*") != 0 && dfb_word_kind(c->args[0]) != DFB_WORD_SERVICE)
		dfb_usage(&c->opts, "'%s' is no service: give one like pay, or '*' for all that "
		    "have no rules of their own", c->args[0]);
	return json_pack("{s:s}", "service", c->args[0]);
}

static const char *
region(struct ctl *c, int i)
{
	if (!dfb_region_valid(c->args[i]))
		dfb_usage(&c->opts, "'%s' is no region: 3 capital letters or digits, like A10",
		    c->args[i]);
	return c->args[i];
}

static void
put_region(struct ctl *c, const char *name)
{
	size_t i;
	json_t *r;

	json_array_foreach(json_object_get(c->change, "rules"), i, r)
		json_object_set_new(r, "region", json_string(name));
}

static void
affinity_add(struct ctl *c)
{
	json_t *args = named(c);

	if (json_object_get(c->change, "rules") == NULL)
		dfb_usage(&c->opts, "say which keys: --key, --keys-from, --prefix or --hash");
	put_region(c, region(c, 1));
	ctl_sgs_done(c, ctl_sgs_change(c, "affinity.add", args));
}

static void
affinity_delete(struct ctl *c)
{
	json_t *args = named(c);

	if (c->nargs > 1 && json_object_get(c->change, "rules") == NULL)
		dfb_usage(&c->opts, "say which keys of region %s: --key, --keys-from, --prefix or "
		    "--hash", c->args[1]);
	if (c->nargs > 1)
		put_region(c, region(c, 1));
	ctl_sgs_done(c, ctl_sgs_change(c, "affinity.delete", args));
}

static void
print_rules(const json_t *all)
{
	struct ctl_table t = { .heads = "SERVICE REGION KEYS" };
	char text[300];
	json_t *e, *r;
	size_t i, k;

	json_array_foreach(all, i, e)
		json_array_foreach(json_object_get(e, "rules"), k, r) {
			if (json_object_get(r, "key") != NULL)
				snprintf(text, sizeof text, "%s", ctl_str(r, "key"));
			else if (json_object_get(r, "prefix") != NULL)
				snprintf(text, sizeof text, "%s...", ctl_str(r, "prefix"));
			else
				snprintf(text, sizeof text, "hash %lld-%lld",
				    (long long)ctl_int(r, "from"), (long long)ctl_int(r, "to"));
			ctl_cell(&t, ctl_str(e, "service"));
			ctl_cell(&t, ctl_str(r, "region"));
			ctl_cell(&t, text);
		}
	ctl_table_print(&t);
}

static void
affinity_list(struct ctl *c)
{
	json_t *all = ctl_sgs(c, "affinity.list", c->nargs != 0 ? named(c) : json_object());

	if (all != NULL && !c->json)
		print_rules(all);
	ctl_sgs_done(c, all);
}

/* ---- distances ---- */

static json_t *
pair(struct ctl *c)
{
	const char *from = region(c, 0), *to = region(c, 1);

	if (strcmp(from, to) == 0)
		dfb_usage(&c->opts, "the distance of %s to itself is 0", from);
	return json_pack("{s:s, s:s}", "from", from, "to", to);
}

static void
distance_set(struct ctl *c)
{
	json_t *args = pair(c);

	json_object_set_new(ctl_must(args), "distance", json_integer((json_int_t)ctl_number(c,
	    "a distance", c->args[2], 1000000)));
	ctl_sgs_done(c, ctl_sgs_change(c, "distance.set", args));
}

static void
distance_delete(struct ctl *c)
{
	ctl_sgs_done(c, ctl_sgs_change(c, "distance.delete", pair(c)));
}

static void
distance_list(struct ctl *c)
{
	struct ctl_table t = { .heads = "FROM TO >DISTANCE" };
	json_t *all = ctl_sgs(c, "distance.list", json_object()), *row, *n;
	const char *from, *to;

	if (all != NULL && !c->json) {
		json_object_foreach(json_object_get(all, "distances"), from, row)
			json_object_foreach(row, to, n) {
				ctl_cell(&t, from);
				ctl_cell(&t, to);
				ctl_cell_int(&t, json_integer_value(n));
			}
		ctl_table_print(&t);
	}
	ctl_sgs_done(c, all);
}

const struct ctl_verb ctl_affinity_verbs[] = {
	{ "affinity", "add", "affinity add [options] SERVICE REGION",
	    "Have messages with some keys go to a region first, of a service or of all ('*').",
	    rule_table, option, 2, 2, affinity_add },
	{ "affinity", "delete", "affinity delete [options] SERVICE [REGION]",
	    "Delete these keys, or all of them.", rule_table, option, 1, 2, affinity_delete },
	{ "affinity", "list", "affinity list [options] [SERVICE]",
	    "Print which keys belong where.", plain_table, NULL, 0, 1, affinity_list },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};

const struct ctl_verb ctl_distance_verbs[] = {
	{ "distance", "set", "distance set [options] FROM TO N",
	    "Say how far two regions are from each other: senders go to the next one.",
	    distance_table, option, 3, 3, distance_set },
	{ "distance", "delete", "distance delete [options] FROM TO",
	    "Forget a distance: it is 1000 then.", distance_table, option, 2, 2,
	    distance_delete },
	{ "distance", "list", "distance list [options]", "Print all distances.", plain_table,
	    NULL, 0, 0, distance_list },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
