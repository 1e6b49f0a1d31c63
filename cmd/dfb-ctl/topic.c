#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "dfb-ctl/ctl.h"
#include "dfb-ctl/settings.h"
#include "wire/proto.h"

enum { OPT_BROKER = CTL_LETTER_OWN, OPT_IF_MISSING, OPT_SENDS };

#define BROKER_OPTION \
	{ OPT_BROKER, "broker", "NAME", "only on this broker" }

static const struct dfb_opt create_table[] = {
	CTL_SETTINGS_OPTIONS,
	CTL_DURABILITY_OPTION,
	{ OPT_IF_MISSING, "if-missing", NULL, "a topic that exists is fine" },
	BROKER_OPTION,
	CTL_OPTIONS,
};
static const struct dfb_opt set_table[] = { CTL_SETTINGS_OPTIONS, BROKER_OPTION, CTL_OPTIONS };
static const struct dfb_opt pause_table[] = {
	{ OPT_SENDS, "sends", NULL, "sends and calls, too" },
	BROKER_OPTION,
	CTL_OPTIONS,
};
static const struct dfb_opt resume_table[] = {
	{ OPT_SENDS, "sends", NULL, "sends and calls only" },
	BROKER_OPTION,
	CTL_OPTIONS,
};
static const struct dfb_opt list_table[] = { BROKER_OPTION, CTL_OPTIONS };
static const struct dfb_opt delete_table[] = {
	{ 'y', "yes", NULL, "do not ask" },
	BROKER_OPTION,
	CTL_OPTIONS,
};

/* Fields that are no sums over brokers; and those only for one. */
static const char *const greatest[] = { "groups", NULL };
static const char *const details[] = { "queues", "settings", NULL };

/* ---- options ---- */

static void
option(struct ctl *c, int letter)
{
	if (ctl_setting(c, letter))
		return;
	switch (letter) {
	case OPT_BROKER: c->broker = c->opts.arg; break;
	case OPT_SENDS: c->sends = true; break;
	case OPT_IF_MISSING: c->if_missing = true; break;
	case 'y': c->yes = true; break;
	}
}

/* ---- set, delete ---- */

/* Have all brokers of the topic do verb, with the settings as arguments. */
static void
change(struct ctl *c, const char *topic, const struct ctl_brokers *b, const char *verb)
{
	json_t *results;

	json_object_set_new(c->settings, "topic", json_string(topic));
	results = ctl_ask_all(c, b, verb, c->settings);
	if (c->json)
		ctl_print_json(results);
	else
		json_decref(results);
}

static void
set_run(struct ctl *c)
{
	char topic[DFB_TOPIC_MAX];
	struct ctl_brokers b;

	ctl_topic(c, c->args[0], topic);
	if (json_object_size(c->settings) == 0)
		dfb_usage(&c->opts, "say what to set, like --retention 7d");
	if (ctl_brokers_of(c, &b, topic) == -1)
		return;
	change(c, topic, &b, "topic.set");
	ctl_brokers_release(&b);
}

static void
delete(struct ctl *c)
{
	char topic[DFB_TOPIC_MAX];
	struct ctl_brokers b;

	ctl_topic(c, c->args[0], topic);
	ctl_need_terminal(c);
	if (ctl_brokers_of(c, &b, topic) == -1)
		return;
	if (ctl_confirm(c, "delete topic '%s' and all its messages on %zu broker%s?", topic,
	    b.n, b.n == 1 ? "" : "s"))
		change(c, topic, &b, "topic.delete");
	ctl_brokers_release(&b);
}

/* ---- list, show ---- */

static void
print_list(const json_t *topics)
{
	struct ctl_table t = { .heads = "TOPIC BROKERS >QUEUES >MESSAGES >LAG >GROUPS "
	    ">CONSUMERS >SCHEDULED >IN >OUT >DEAD" };
	size_t i;
	json_t *e;

	json_array_foreach(topics, i, e) {
		ctl_cell(&t, ctl_str(e, "topic"));
		ctl_cell_list(&t, json_object_get(e, "brokers"));
		ctl_cell_int(&t, ctl_int(e, "queue_count"));
		ctl_cell_int(&t, ctl_int(e, "messages"));
		ctl_cell_int(&t, ctl_int(e, "lag"));
		ctl_cell_int(&t, ctl_int(e, "groups"));
		ctl_cell_int(&t, ctl_int(e, "consumers"));
		ctl_cell_int(&t, ctl_int(e, "scheduled"));
		ctl_cell_int(&t, ctl_int(e, "in"));
		ctl_cell_int(&t, ctl_int(e, "out"));
		ctl_cell_int(&t, ctl_int(e, "dead_letters"));
	}
	ctl_table_print(&t);
}

/* Those that hold nothing but history are not shown as queues. */
static json_int_t
count_queues(const json_t *e)
{
	json_int_t n = 0;
	size_t i;
	json_t *q;

	json_array_foreach(json_object_get(e, "queues"), i, q)
		n += strcmp(ctl_str(q, "state"), "history") != 0;
	return n;
}

/* One object for each topic, from those of each broker. */
static json_t *
merged(json_t *all)
{
	size_t i;
	json_t *e;

	json_array_foreach(all, i, e)
		json_object_set_new(e, "queue_count", json_integer(count_queues(e)));
	return ctl_merge(all, "topic", greatest, details);
}

static void
list(struct ctl *c)
{
	json_t *all, *topics;
	struct ctl_brokers b;

	if (ctl_brokers_known(c, &b, NULL, c->broker) == -1)
		return;
	all = ctl_ask_all(c, &b, "topic.list", NULL);
	topics = merged(all);
	json_decref(all);
	ctl_brokers_release(&b);
	if (c->json)
		ctl_print_json(topics);
	else {
		print_list(topics);
		json_decref(topics);
	}
}

static void
print_limits(const json_t *s)
{
	static const struct {
		const char *name, *text;
		bool bytes;
	} rows[] = {
		{ "max_depth", "undelivered messages a queue", false },
		{ "rate", "messages a second", false },
		{ "rate_bytes", "bytes a second", true },
		{ "client_rate", "messages a second of one client", false },
		{ "client_rate_bytes", "bytes a second of one client", true },
	};
	const char *before = "takes at most";
	char size[16];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_int_t n = ctl_int(s, rows[i].name);
		if (n == 0)
			continue;
		if (rows[i].bytes)
			printf("%s %s %s", before, dfb_format_size((uint64_t)n, size),
			    rows[i].text);
		else
			printf("%s %lld %s", before, (long long)n, rows[i].text);
		before = ",";
	}
	if (*before == ',')
		putchar('\n');
}

static void
print_paused(const char *what, json_int_t since)
{
	char when[25];

	if (since != 0)
		printf("%s are paused since %s\n", what,
		    dfb_format_when((uint64_t)since, when));
}

static void
print_settings(const json_t *e)
{
	const json_t *s = json_object_get(e, "settings");
	char size[16], time[16];
	size_t i;
	json_t *v;

	printf("on broker %s: %s, body at most %s, ", ctl_str(e, "broker"),
	    ctl_str(s, "durability"),
	    dfb_format_size((uint64_t)ctl_int(s, "max_body"), size));
	printf("kept %s when consumed, %lld deliveries, back-off ",
	    dfb_format_duration((uint64_t)ctl_int(s, "retention_ms"), time),
	    (long long)ctl_int(s, "retries"));
	json_array_foreach(json_object_get(s, "backoff_ms"), i, v)
		printf("%s%s", i != 0 ? "," : "",
		    dfb_format_duration((uint64_t)json_integer_value(v), time));
	printf(", ids known %s", dfb_format_duration((uint64_t)ctl_int(s, "dedup_ms"), time));
	if (ctl_int(s, "queues_min") == ctl_int(s, "queues_max"))
		printf(", %lld queues\n", (long long)ctl_int(s, "queues_min"));
	else
		printf(", %lld to %lld queues, as consumers are\n",
		    (long long)ctl_int(s, "queues_min"), (long long)ctl_int(s, "queues_max"));
	print_limits(s);
	if (json_is_true(json_object_get(e, "governed")))
		printf("governed: dfb-ctl service changes it%s\n", json_is_true(json_object_get(e,
		    "closed")) ? "; closed: it takes nothing, and delivers what it has" : "");
	print_paused("deliveries", ctl_int(s, "paused_ms"));
	print_paused("sends", ctl_int(s, "sends_paused_ms"));
}

static void
print_queues(const json_t *all)
{
	struct ctl_table t = { .heads = "BROKER >QUEUE STATE LABEL >FIRST >NEXT >MESSAGES "
	    ">COMMITTED >UNDELIVERED" };
	size_t i, k;
	json_t *e, *q;

	json_array_foreach(all, i, e)
		json_array_foreach(json_object_get(e, "queues"), k, q) {
			ctl_cell(&t, ctl_str(e, "broker"));
			ctl_cell_int(&t, ctl_int(q, "queue"));
			ctl_cell(&t, ctl_str(q, "state"));
			ctl_cell(&t, ctl_str(q, "label"));
			ctl_cell_int(&t, ctl_int(q, "first"));
			ctl_cell_int(&t, ctl_int(q, "next"));
			ctl_cell_int(&t, ctl_int(q, "next") - ctl_int(q, "first"));
			ctl_cell_int(&t, ctl_int(q, "committed"));
			ctl_cell_int(&t, ctl_int(q, "undelivered"));
		}
	ctl_table_print(&t);
}

static void
show(struct ctl *c)
{
	char topic[DFB_TOPIC_MAX];
	struct ctl_brokers b;
	json_t *all, *args, *one, *e;
	size_t i;

	ctl_topic(c, c->args[0], topic);
	if (ctl_brokers_of(c, &b, topic) == -1)
		return;
	args = ctl_must(json_pack("{s:s}", "topic", topic));
	all = ctl_ask_all(c, &b, "topic.list", args);
	json_decref(args);
	ctl_brokers_release(&b);
	one = merged(all);
	if (json_array_size(one) == 0)
		json_decref(all);
	else if (c->json) {
		e = json_incref(json_array_get(one, 0));
		json_object_set_new(e, "per_broker", all);
		ctl_print_json(e);
	} else {
		print_list(one);
		putchar('\n');
		json_array_foreach(all, i, e)
			print_settings(e);
		putchar('\n');
		print_queues(all);
		json_decref(all);
	}
	json_decref(one);
}

const struct ctl_verb ctl_topic_verbs[] = {
	{ "topic", "create", "topic create [options] TOPIC",
	    "Create a topic on all brokers of its region, and wait until senders find it.",
	    create_table, option, 1, 1, ctl_topic_create },
	{ "topic", "set", "topic set [options] TOPIC",
	    "Change settings of a topic on all brokers that serve it.",
	    set_table, option, 1, 1, set_run },
	{ "topic", "show", "topic show [options] TOPIC",
	    "Print a topic's counts, settings and queues.", list_table, option, 1, 1, show },
	{ "topic", "list", "topic list [options]",
	    "Print all topics, with their counts over all brokers.", list_table, option,
	    0, 0, list },
	{ "topic", "pause", "topic pause [options] TOPIC",
	    "Stop deliveries to all consumers of a topic; with --sends it takes nothing "
	    "either.", pause_table, option, 1, 1, ctl_topic_pause },
	{ "topic", "resume", "topic resume [options] TOPIC",
	    "End what topic pause began.", resume_table, option, 1, 1, ctl_topic_resume },
	{ "topic", "delete", "topic delete [options] TOPIC",
	    "Delete a topic and all its messages on all brokers that serve it.",
	    delete_table, option, 1, 1, delete },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
