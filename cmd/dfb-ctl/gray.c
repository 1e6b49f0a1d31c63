/* Gray release: rules that give some messages of a topic a label. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dfb-ctl/ctl.h"
#include "dfb-ctl/sgs.h"

enum { OPT_BROKER = CTL_LETTER_OWN, OPT_HEADER, OPT_PERCENT, OPT_KEYS, OPT_KEYS_FROM, OPT_ELSE };

#define BROKER_OPTION { OPT_BROKER, "broker", "NAME", "only on this broker" }

static const struct dfb_opt set_table[] = {
	{ OPT_HEADER, "header", "NAME=VALUE", "messages that have this header" },
	{ OPT_PERCENT, "percent", "P", "this share of all keys, always the same ones" },
	{ OPT_KEYS, "keys", "K1,K2,...", "messages with these keys" },
	{ OPT_KEYS_FROM, "keys-from", "FILE", "the same, a key on each line" },
	{ OPT_ELSE, "else", "WHAT", "with no instance of the label alive: refuse (default) or "
	    "fallback" },
	BROKER_OPTION,
	CTL_CHANGE_OPTIONS,
	CTL_OPTIONS,
};
static const struct dfb_opt delete_table[] = { BROKER_OPTION, CTL_CHANGE_OPTIONS, CTL_OPTIONS };
static const struct dfb_opt plain_table[] = { BROKER_OPTION, CTL_OPTIONS };

/* ---- options ---- */

static void
set(struct ctl *c, const char *name, json_t *value)
{
	json_object_set_new(c->settings, name, ctl_must(value));
}

static void
set_header(struct ctl *c)
{
	const char *eq = strchr(c->opts.arg, '=');

	if (eq == NULL || eq == c->opts.arg)
		dfb_usage(&c->opts, "--header takes NAME=VALUE, not '%s'", c->opts.arg);
	set(c, "header", json_stringn(c->opts.arg, (size_t)(eq - c->opts.arg)));
	set(c, "value", json_string(eq + 1));
}

static void
set_percent(struct ctl *c)
{
	char *end;
	double p;

	errno = 0;
	p = strtod(c->opts.arg, &end);
	if (*end == '%')
		end++;
	if (errno != 0 || end == c->opts.arg || *end != '\0' || !(p > 0 && p <= 100))
		dfb_usage(&c->opts, "--percent takes a number above 0 and up to 100, not '%s'",
		    c->opts.arg);
	set(c, "percent", json_real(p));
}

static json_t *
keys(struct ctl *c)
{
	if (json_object_get(c->settings, "keys") == NULL)
		set(c, "keys", json_array());
	return json_object_get(c->settings, "keys");
}

static void
add_key(struct ctl *c, const char *key, size_t len)
{
	json_t *k = len != 0 ? json_stringn(key, len) : NULL;

	if (k == NULL)
		dfb_usage(&c->opts, "a key must be text, and not empty");
	json_array_append_new(keys(c), k);
}

static void
set_keys(struct ctl *c)
{
	const char *p = c->opts.arg;

	for (;;) {
		size_t len = strcspn(p, ",");
		add_key(c, p, len);
		if (p[len] == '\0')
			return;
		p += len + 1;
	}
}

static void
option(struct ctl *c, int letter)
{
	if (ctl_change_option(c, letter))
		return;
	switch (letter) {
	case OPT_BROKER: c->broker = c->opts.arg; break;
	case OPT_HEADER: set_header(c); break;
	case OPT_PERCENT: set_percent(c); break;
	case OPT_KEYS: set_keys(c); break;
	case OPT_KEYS_FROM: ctl_lines(c, add_key); break;
	case OPT_ELSE:
		if (strcmp(c->opts.arg, "refuse") != 0 && strcmp(c->opts.arg, "fallback") != 0)
			dfb_usage(&c->opts, "--else takes refuse or fallback, not '%s'",
			    c->opts.arg);
		set(c, "else", json_string(c->opts.arg));
		break;
	}
}

/* ---- verbs ---- */

/* Whether the first operand is a service of sgs, whose rules are there.  Else, and on a bus without
 * one, it is a topic, at brokers. */
static bool
is_at_sgs(struct ctl *c)
{
	enum dfb_status st;
	const char *why;
	json_t *s;

	if (c->nargs == 0 || c->broker != NULL ||
	    dfb_word_kind(c->args[0]) != DFB_WORD_SERVICE || !ctl_sgs_find(c, true))
		return false;
	s = ctl_sgs_quietly(c, "service.show", json_pack("{s:s}", "service", c->args[0]), &st,
	    &why);
	json_decref(s);
	return s != NULL || st != DFB_NOBODY;
}

static void
change_service(struct ctl *c, const char *verb)
{
	json_object_set_new(c->settings, "service", json_string(c->args[0]));
	if (json_object_set_new(c->settings, "label", json_string(c->args[1])) == -1)
		dfb_usage(&c->opts, "'%s' is no label", c->args[1]);
	ctl_sgs_done(c, ctl_sgs_change(c, verb, json_incref(c->settings)));
}

/* Have all brokers of the topic do verb. */
static void
change(struct ctl *c, const char *verb)
{
	char topic[DFB_TOPIC_MAX];
	struct ctl_brokers b;
	json_t *results;

	if (is_at_sgs(c)) {
		change_service(c, verb);
		return;
	}
	if (json_object_size(c->change) != 0)
		dfb_usage(&c->opts, "--if-version and --request are for services, which sgs has");
	ctl_topic(c, c->args[0], topic);
	set(c, "topic", json_string(topic));
	if (json_object_set_new(c->settings, "label", json_string(c->args[1])) == -1)
		dfb_usage(&c->opts, "'%s' is no label", c->args[1]);
	if (ctl_brokers_of(c, &b, topic) == -1)
		return;
	results = ctl_ask_all(c, &b, verb, c->settings);
	ctl_brokers_release(&b);
	if (c->json)
		ctl_print_json(results);
	else
		json_decref(results);
}

static void
set_run(struct ctl *c)
{
	if (json_object_size(c->settings) == 0 || (json_object_size(c->settings) == 1 &&
	    json_object_get(c->settings, "else") != NULL))
		dfb_usage(&c->opts, "say which messages: --header, --percent, --keys or "
		    "--keys-from");
	change(c, "gray.set");
}

static void
delete(struct ctl *c)
{
	change(c, "gray.delete");
}

const char *
ctl_gray_rule(const json_t *r, char *text, size_t size)
{
	double percent = json_number_value(json_object_get(r, "percent"));
	size_t n = json_array_size(json_object_get(r, "keys"));
	char part[400];

	*text = '\0';
	if (*ctl_str(r, "header") != '\0') {
		snprintf(part, sizeof part, "%s=%s", ctl_str(r, "header"), ctl_str(r, "value"));
		strlcat(text, part, size);
	}
	if (n != 0) {
		snprintf(part, sizeof part, "%s%zu-keys", *text != '\0' ? "," : "", n);
		strlcat(text, part, size);
	}
	if (percent > 0) {
		snprintf(part, sizeof part, "%s%g%%", *text != '\0' ? "," : "", percent);
		strlcat(text, part, size);
	}
	return text;
}

static void
print_list(const json_t *all)
{
	struct ctl_table t = { .heads = "TOPIC LABEL BROKER RULE ELSE >INSTANCES >QUEUES" };
	char rule[512];
	size_t i;
	json_t *e;

	json_array_foreach(all, i, e) {
		ctl_cell(&t, ctl_str(e, "topic"));
		ctl_cell(&t, ctl_str(e, "label"));
		ctl_cell(&t, ctl_str(e, "broker"));
		ctl_cell(&t, ctl_gray_rule(e, rule, sizeof rule));
		ctl_cell(&t, ctl_str(e, "else"));
		ctl_cell_int(&t, ctl_int(e, "instances"));
		ctl_cell_int(&t, ctl_int(e, "queues"));
	}
	ctl_table_print(&t);
}

static void
list_service(struct ctl *c)
{
	struct ctl_table t = { .heads = "SERVICE LABEL RULE ELSE" };
	json_t *all = ctl_sgs(c, "gray.list", json_pack("{s:s}", "service", c->args[0])), *e;
	char rule[512];
	size_t i;

	if (all != NULL && !c->json) {
		json_array_foreach(all, i, e) {
			ctl_cell(&t, ctl_str(e, "service"));
			ctl_cell(&t, ctl_str(e, "label"));
			ctl_cell(&t, ctl_gray_rule(e, rule, sizeof rule));
			ctl_cell(&t, ctl_str(e, "else"));
		}
		ctl_table_print(&t);
	}
	ctl_sgs_done(c, all);
}

static void
list(struct ctl *c)
{
	json_t *all, *args = ctl_must(json_object());
	char topic[DFB_TOPIC_MAX];
	struct ctl_brokers b;
	int rc;

	if (is_at_sgs(c)) {
		list_service(c);
		json_decref(args);
		return;
	}
	if (c->nargs != 0) {
		ctl_topic(c, c->args[0], topic);
		json_object_set_new(args, "topic", json_string(topic));
		rc = ctl_brokers_of(c, &b, topic);
	} else
		rc = ctl_brokers_known(c, &b, NULL, c->broker);
	if (rc == 0) {
		all = ctl_ask_all(c, &b, "gray.list", args);
		ctl_sort(all, "topic", "label");
		ctl_brokers_release(&b);
		if (c->json)
			ctl_print_json(json_incref(all));
		else
			print_list(all);
		json_decref(all);
	}
	json_decref(args);
}

const struct ctl_verb ctl_gray_verbs[] = {
	{ "gray", "set", "gray set [options] DEST LABEL",
	    "Have some messages of a topic or service go to the instances of a label, dfb-recv -G LABEL.",
	    set_table, option, 2, 2, set_run },
	{ "gray", "list", "gray list [options] [DEST]",
	    "Print the rules of a topic or service, or of all topics.", plain_table, option, 0, 1, list },
	{ "gray", "delete", "gray delete [options] DEST LABEL",
	    "Delete a label's rule: what was in its queues goes to all instances.",
	    delete_table, option, 2, 2, delete },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
