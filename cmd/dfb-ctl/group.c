#include <stdlib.h>
#include <string.h>

#include "dfb-ctl/ctl.h"

enum { OPT_BROKER = CTL_LETTER_OWN, OPT_TO, OPT_DRY_RUN };

#define BROKER_OPTION \
	{ OPT_BROKER, "broker", "NAME", "only on this broker" }

static const struct dfb_opt list_table[] = { BROKER_OPTION, CTL_OPTIONS };
static const struct dfb_opt reset_table[] = {
	{ OPT_TO, "to", "PLACE", "beginning, end, an offset or @TIME" },
	{ OPT_DRY_RUN, "dry-run", NULL, "only say what would be done" },
	BROKER_OPTION,
	CTL_OPTIONS,
};
static const struct dfb_opt delete_table[] = {
	{ 'y', "yes", NULL, "do not ask" },
	BROKER_OPTION,
	CTL_OPTIONS,
};

static const char *const greatest[] = { "member_count", "paused_ms", NULL };
static const char *const details[] = { "queues", "members", NULL };

static void
option(struct ctl *c, int letter)
{
	switch (letter) {
	case OPT_BROKER: c->broker = c->opts.arg; break;
	case OPT_TO: c->to = c->opts.arg; break;
	case OPT_DRY_RUN: c->dry_run = true; break;
	case 'y': c->yes = true; break;
	}
}

/* ---- list, show, lag ---- */

json_t *
ctl_groups(struct ctl *c, struct ctl_brokers *b)
{
	char topic[DFB_TOPIC_MAX] = "";
	const char *group = c->nargs > 1 ? c->args[1] : NULL;
	json_t *args = ctl_must(json_object()), *all = NULL;
	int rc;

	if (c->nargs > 0) {
		ctl_topic(c, c->args[0], topic);
		json_object_set_new(args, "topic", json_string(topic));
	}
	if (group != NULL)
		json_object_set_new(args, "group", json_string(group));
	rc = *topic != '\0' ? ctl_brokers_of(c, b, topic) :
	    ctl_brokers_known(c, b, NULL, c->broker);
	if (rc == 0)
		all = ctl_ask_all(c, b, "group.list", args);
	json_decref(args);
	if (all != NULL && group != NULL && json_array_size(all) == 0) {
		if (c->status == DFB_OK)
			ctl_fail(c, DFB_NOBODY, "topic '%s' has no group '%s': 'dfb-ctl "
			    "group list %s' shows those it has", topic, group, topic);
		json_decref(all);
		ctl_brokers_release(b);
		all = NULL;
	}
	return all;
}

static json_t *
merged(json_t *all)
{
	size_t i;
	json_t *e;

	json_array_foreach(all, i, e)
		json_object_set_new(e, "member_count", json_integer((json_int_t)
		    json_array_size(json_object_get(e, "members"))));
	return ctl_merge(all, "group", greatest, details);
}

static const char *
kind(const json_t *e)
{
	bool paused = ctl_int(e, "paused_ms") != 0;

	if (json_is_true(json_object_get(e, "broadcast")))
		return paused ? "broadcast,paused" : "broadcast";
	return paused ? "shared,paused" : "shared";
}

static void
print_list(const json_t *groups)
{
	struct ctl_table t = { .heads = "TOPIC GROUP KIND BROKERS >MEMBERS >LAG >OUT >RETRIES "
	    ">SETTLED >REDELIVERED >DEAD" };
	size_t i;
	json_t *e;

	json_array_foreach(groups, i, e) {
		ctl_cell(&t, ctl_str(e, "topic"));
		ctl_cell(&t, ctl_str(e, "group"));
		ctl_cell(&t, kind(e));
		ctl_cell_list(&t, json_object_get(e, "brokers"));
		ctl_cell_int(&t, ctl_int(e, "member_count"));
		ctl_cell_int(&t, ctl_int(e, "lag"));
		ctl_cell_int(&t, ctl_int(e, "out"));
		ctl_cell_int(&t, ctl_int(e, "waiting_retries"));
		ctl_cell_int(&t, ctl_int(e, "settled"));
		ctl_cell_int(&t, ctl_int(e, "redelivered"));
		ctl_cell_int(&t, ctl_int(e, "dead_letters"));
	}
	ctl_table_print(&t);
}

static void
list(struct ctl *c)
{
	struct ctl_brokers b;
	json_t *all = ctl_groups(c, &b), *groups;

	if (all == NULL)
		return;
	groups = merged(all);
	json_decref(all);
	ctl_brokers_release(&b);
	if (c->json)
		ctl_print_json(groups);
	else {
		print_list(groups);
		json_decref(groups);
	}
}

static void
print_members(const json_t *all)
{
	struct ctl_table t = { .heads = "BROKER MEMBER INSTANCE REGION >QUEUES >OUT >CREDIT" };
	size_t i, k;
	json_t *e, *m;

	json_array_foreach(all, i, e)
		json_array_foreach(json_object_get(e, "members"), k, m) {
			ctl_cell(&t, ctl_str(e, "broker"));
			ctl_cell(&t, ctl_str(m, "who"));
			ctl_cell(&t, ctl_str(m, "instance"));
			ctl_cell(&t, ctl_str(m, "region"));
			ctl_cell_int(&t, ctl_int(m, "queues"));
			ctl_cell_int(&t, ctl_int(m, "out"));
			ctl_cell_int(&t, ctl_int(m, "credit"));
		}
	ctl_table_print(&t);
}

/* One object for each queue of each group of each broker. */
static json_t *
by_queue(const json_t *all)
{
	json_t *rows = ctl_must(json_array()), *e, *q, *row;
	size_t i, k;

	json_array_foreach(all, i, e)
		json_array_foreach(json_object_get(e, "queues"), k, q) {
			row = ctl_must(json_pack("{s:s, s:s, s:s}", "topic",
			    ctl_str(e, "topic"), "group", ctl_str(e, "group"), "broker",
			    ctl_str(e, "broker")));
			json_object_update(row, q);
			json_array_append_new(rows, row);
		}
	return rows;
}

static void
print_queues(const json_t *rows)
{
	struct ctl_table t = { .heads = "TOPIC GROUP BROKER >QUEUE >OFFSET >NEXT >LAG >OUT "
	    ">RETRIES OWNER" };
	size_t i;
	json_t *e;

	json_array_foreach(rows, i, e) {
		ctl_cell(&t, ctl_str(e, "topic"));
		ctl_cell(&t, ctl_str(e, "group"));
		ctl_cell(&t, ctl_str(e, "broker"));
		ctl_cell_int(&t, ctl_int(e, "queue"));
		ctl_cell_int(&t, ctl_int(e, "offset"));
		ctl_cell_int(&t, ctl_int(e, "next"));
		ctl_cell_int(&t, ctl_int(e, "lag"));
		ctl_cell_int(&t, ctl_int(e, "out"));
		ctl_cell_int(&t, ctl_int(e, "retries"));
		ctl_cell(&t, ctl_str(e, "owner"));
	}
	ctl_table_print(&t);
}

static void
lag(struct ctl *c)
{
	struct ctl_brokers b;
	json_t *all = ctl_groups(c, &b), *rows;

	if (all == NULL)
		return;
	rows = by_queue(all);
	json_decref(all);
	ctl_brokers_release(&b);
	if (c->json)
		ctl_print_json(rows);
	else {
		print_queues(rows);
		json_decref(rows);
	}
}

static void
show(struct ctl *c)
{
	struct ctl_brokers b;
	json_t *all = ctl_groups(c, &b), *one, *rows, *e;

	if (all == NULL)
		return;
	one = merged(all);
	ctl_brokers_release(&b);
	if (c->json) {
		e = json_incref(json_array_get(one, 0));
		json_object_set(e, "per_broker", all);
		ctl_print_json(e);
	} else {
		rows = by_queue(all);
		print_list(one);
		putchar('\n');
		print_members(all);
		putchar('\n');
		print_queues(rows);
		json_decref(rows);
	}
	json_decref(one);
	json_decref(all);
}

const struct ctl_verb ctl_group_verbs[] = {
	{ "group", "list", "group list [options] [TOPIC]",
	    "Print the groups of a topic, or of all, with their counts over all brokers.",
	    list_table, option, 0, 1, list },
	{ "group", "show", "group show [options] TOPIC GROUP",
	    "Print a group's counts, members and queues.", list_table, option, 2, 2, show },
	{ "group", "lag", "group lag [options] [TOPIC [GROUP]]",
	    "Print where groups stand in each queue.", list_table, option, 0, 2, lag },
	{ "group", "reset", "group reset [options] TOPIC GROUP --to PLACE",
	    "Have a group without consumers go on elsewhere: on all brokers, or, when one\n"
	    "refuses, on none.  TIME is 2026-01-31T12:00:00Z, Unix seconds, or -5m for so "
	    "long ago.", reset_table, option, 2, 2, ctl_group_reset },
	{ "group", "pause", "group pause [options] TOPIC GROUP",
	    "Stop deliveries to a group.", list_table, option, 2, 2, ctl_group_pause },
	{ "group", "resume", "group resume [options] TOPIC GROUP",
	    "Deliver to it again.", list_table, option, 2, 2, ctl_group_resume },
	{ "group", "delete", "group delete [options] TOPIC GROUP",
	    "Forget a group without consumers, and where it stands.", delete_table, option,
	    2, 2, ctl_group_delete },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
