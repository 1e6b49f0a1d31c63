/* Scheduled messages: what is to come, and calling it off. */
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "dfb-ctl/ctl.h"

#define COUNT 100
#define COUNT_MAX 1000000
#define PAGE 1000 /* of one answer */

enum { OPT_BROKER = CTL_LETTER_OWN };

#define BROKER_OPTION \
	{ OPT_BROKER, "broker", "NAME", "only on this broker" }

static const struct dfb_opt list_table[] = {
	{ 'c', "count", "N", "messages at most (100)" },
	BROKER_OPTION,
	CTL_OPTIONS,
};
static const struct dfb_opt cancel_table[] = { BROKER_OPTION, CTL_OPTIONS };

static void
option(struct ctl *c, int letter)
{
	switch (letter) {
	case OPT_BROKER: c->broker = c->opts.arg; break;
	case 'c':
		c->count = dfb_opt_count(&c->opts, 1, COUNT_MAX);
		c->placed = true;
		break;
	}
}

/* ---- list ---- */

static int
earlier(const void *a, const void *b)
{
	json_int_t x = ctl_int(*(json_t *const *)a, "due");
	json_int_t y = ctl_int(*(json_t *const *)b, "due");

	return x < y ? -1 : x > y;
}

/* The first max of a list that is sorted by broker, by time. */
static json_t *
first_due(const json_t *all, size_t max)
{
	size_t n = json_array_size(all);
	json_t **v = ctl_must(calloc(n + 1, sizeof *v));
	json_t *list = ctl_must(json_array());

	for (size_t i = 0; i < n; i++)
		v[i] = json_array_get(all, i);
	mergesort(v, n, sizeof *v, earlier); /* stable: what is due at once stays in order */
	for (size_t i = 0; i < n && i < max; i++)
		json_array_append(list, v[i]);
	free(v);
	return list;
}

/* Append up to max of one broker; its scheduled messages. */
static json_int_t
add_from(struct ctl *c, const struct ctl_broker *b, const char *topic, size_t max, json_t *all)
{
	json_t *args = ctl_must(json_pack("{s:s}", "topic", topic)), *j;
	size_t end = json_array_size(all) + max;
	json_int_t scheduled = 0;
	bool more;

	do {
		size_t left = end - json_array_size(all);
		json_object_set_new(args, "limit",
		    json_integer((json_int_t)(left < PAGE ? left : PAGE)));
		if ((j = ctl_ask(c, b, "timer.list", args)) == NULL)
			break;
		scheduled = ctl_int(j, "scheduled");
		json_array_extend(all, json_object_get(j, "timers"));
		more = *ctl_str(j, "next") != '\0' && json_array_size(all) < end;
		json_object_set(args, "from", json_object_get(j, "next"));
		json_decref(j);
	} while (more);
	json_decref(args);
	return scheduled;
}

static void
print_list(const json_t *list, json_int_t scheduled)
{
	struct ctl_table t = { .heads = "DUE ID BROKER >BYTES EXPIRES KEY" };
	json_int_t rest = scheduled - (json_int_t)json_array_size(list), expires;
	char when[25];
	size_t i;
	json_t *e;

	json_array_foreach(list, i, e) {
		expires = ctl_int(e, "expires");
		ctl_cell(&t, dfb_format_when((uint64_t)ctl_int(e, "due"), when));
		ctl_cell(&t, ctl_str(e, "id"));
		ctl_cell(&t, ctl_str(e, "broker"));
		ctl_cell_int(&t, ctl_int(e, "bytes"));
		ctl_cell(&t, expires != 0 ? dfb_format_when((uint64_t)expires, when) : "-");
		ctl_cell(&t, *ctl_str(e, "key") != '\0' ? ctl_str(e, "key") : "-");
	}
	ctl_table_print(&t);
	if (rest > 0)
		printf("and %lld more: -c says how many to print\n", (long long)rest);
}

static void
list(struct ctl *c)
{
	size_t max = c->placed ? (size_t)c->count : COUNT;
	json_t *all = ctl_must(json_array()), *first;
	json_int_t scheduled = 0;
	char topic[DFB_TOPIC_MAX];
	struct ctl_brokers b;

	ctl_topic(c, c->args[0], topic);
	if (ctl_brokers_of(c, &b, topic) == -1) {
		json_decref(all);
		return;
	}
	for (size_t i = 0; i < b.n; i++)
		scheduled += add_from(c, &b.list[i], topic, max, all);
	ctl_brokers_release(&b);
	first = first_due(all, max);
	json_decref(all);
	if (c->json)
		ctl_print_json(first);
	else {
		print_list(first, scheduled);
		json_decref(first);
	}
}

/* ---- cancel ---- */

/* Ask each broker: one has it.  What says most of why none has is kept in why. */
static json_t *
cancel_at(struct ctl *c, const struct ctl_brokers *b, const json_t *args, char *why,
    size_t size, enum dfb_status *worst)
{
	json_t *done = ctl_must(json_array());

	*worst = DFB_NO;
	for (size_t i = 0; i < b->n; i++) {
		enum dfb_status st;
		const char *text;
		json_t *j = ctl_ask_quietly(c, &b->list[i], "timer.cancel", args, &st, &text);
		if (j != NULL) {
			json_array_append_new(done, j);
			continue;
		}
		if (st != DFB_NO)
			*worst = st;
		/* "was delivered at" or a failure, rather than "is not scheduled" */
		if (*why == '\0' || strstr(text, "is not scheduled") == NULL)
			snprintf(why, size, "broker '%s': %s", b->list[i].name, text);
	}
	return done;
}

static void
cancel(struct ctl *c)
{
	char topic[DFB_TOPIC_MAX], why[512] = "";
	enum dfb_status worst;
	struct ctl_brokers b;
	char uuid[DFB_ID_TEXT];
	struct dfb_id id;
	json_t *args, *done;

	ctl_topic(c, c->args[0], topic);
	if (dfb_id_of(c->args[1], &id) == -1)
		dfb_usage(&c->opts, "an id is a UUID, or a name of 1 to %d bytes",
		    DFB_ID_NAME_MAX);
	dfb_id_format(&id, uuid);
	if (ctl_brokers_of(c, &b, topic) == -1)
		return;
	args = ctl_must(json_pack("{s:s, s:s}", "topic", topic, "id", uuid));
	done = cancel_at(c, &b, args, why, sizeof why, &worst);
	json_decref(args);
	ctl_brokers_release(&b);
	if (json_array_size(done) == 0)
		ctl_fail(c, worst, "%s", why);
	else if (worst != DFB_NO)
		ctl_fail(c, worst, "cancelled, but perhaps not everywhere: %s", why);
	if (c->json && json_array_size(done) != 0)
		ctl_print_json(done);
	else
		json_decref(done);
}

const struct ctl_verb ctl_timer_verbs[] = {
	{ "timer", "list", "timer list [options] TOPIC",
	    "Print the messages of a topic that are scheduled, what is due first first.",
	    list_table, option, 1, 1, list },
	{ "timer", "cancel", "timer cancel [options] TOPIC ID",
	    "Cancel a scheduled message.  Status 1 when it is too late, or there is none.",
	    cancel_table, option, 2, 2, cancel },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
