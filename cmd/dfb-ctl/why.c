/* Why messages of a topic are not delivered: what brokers and the name server know of it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "client/admin.h"
#include "dfb-ctl/ctl.h"
#include "wire/proto.h"

enum { OPT_BROKER = CTL_LETTER_OWN, OPT_STUCK };

static const struct dfb_opt table[] = {
	{ OPT_STUCK, "stuck-after", "TIME", "a consumer that acknowledges nothing for so long (5s)" },
	{ OPT_BROKER, "broker", "NAME", "only on this broker" },
	CTL_OPTIONS,
};

/* In the order in which they are shown. */
static const char *const severities[] = { "held", "watch", "note" };
static const char *const marks[] = { "!", "?", "-" };

static void
option(struct ctl *c, int letter)
{
	switch (letter) {
	case OPT_BROKER: c->broker = c->opts.arg; break;
	case OPT_STUCK: c->stuck_ms = dfb_opt_duration(&c->opts); break;
	}
}

static void __attribute__((format(printf, 6, 7)))
add(json_t *all, const char *severity, const char *code, const char *broker,
    const char *remedy, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	json_array_append_new(all, ctl_must(json_pack("{s:s, s:s, s:s, s:s, s:s}", "broker",
	    broker, "code", code, "severity", severity, "text", text, "remedy", remedy)));
}

/* ---- what brokers say ---- */

static void
ask(struct ctl *c, json_t *all, const char *topic, const struct dfb_admin_route *r)
{
	json_t *args = ctl_must(json_pack("{s:s}", "topic", topic)), *j, *e;
	struct ctl_broker b = { .name = "" };
	enum dfb_status st;
	const char *why;
	size_t i;

	snprintf(b.name, sizeof b.name, "%s", r->broker);
	snprintf(b.endpoint, sizeof b.endpoint, "%s", r->endpoint);
	if (c->stuck_ms != UINT64_MAX)
		json_object_set_new(args, "stuck_ms", json_integer((json_int_t)c->stuck_ms));
	j = ctl_ask_quietly(c, &b, "why", args, &st, &why);
	json_decref(args);
	if (j == NULL)
		add(all, "held", st == DFB_NOBODY ? "no-topic" : "no-answer", r->broker,
		    "look at its log; start it again", "broker %s does not answer: %s",
		    r->broker, why);
	json_array_foreach(json_object_get(j, "findings"), i, e) {
		json_object_set_new(e, "broker", json_string(r->broker));
		json_array_append(all, e);
	}
	json_decref(j);
}

/* ---- what the name server says ---- */

/* Brokers of the topic's region that do not have it. */
static void
look_for_others(struct ctl *c, json_t *all, const char *topic,
    const struct dfb_admin_route *routes, size_t n)
{
	struct dfb_admin_daemon *d;
	size_t nd, here = 0, k;
	char remedy[512];

	if (dfb_admin_daemons(c->dfb, c->timeout_ms, &d, &nd) != DFB_OK)
		return;
	snprintf(remedy, sizeof remedy, "dfb-ctl topic create --if-missing %s", topic);
	for (size_t i = 0; i < nd; i++) {
		if (strcmp(d[i].kind, "broker") != 0 || strncmp(d[i].region, topic, 3) != 0)
			continue;
		here++;
		for (k = 0; k < n && strcmp(routes[k].broker, d[i].name) != 0; k++)
			;
		if (k == n && n != 0)
			add(all, "note", "not-on-broker", d[i].name, remedy, "broker %s of the "
			    "region does not have the topic", d[i].name);
	}
	free(d);
	if (n == 0 && here == 0)
		add(all, "held", "no-broker", "", "start one: dfb-broker --region", "no broker "
		    "of region %.3s is known to the name server", topic);
	else if (n == 0)
		add(all, "held", "no-topic", "", remedy, "no broker serves topic '%s'", topic);
}

/* One broker that takes nothing new is no harm while another does. */
static void
weigh_draining(json_t *all, size_t n)
{
	size_t i, draining = 0;
	json_t *e;

	json_array_foreach(all, i, e)
		draining += strcmp(ctl_str(e, "code"), "draining") == 0;
	json_array_foreach(all, i, e)
		if (draining == n && strcmp(ctl_str(e, "code"), "draining") == 0)
			json_object_set_new(e, "severity", json_string("held"));
}

static json_t *
findings(struct ctl *c, const char *topic)
{
	struct dfb_admin_route *list;
	json_t *all = ctl_must(json_array());
	enum dfb_status st;
	size_t n;

	st = dfb_admin_routes(c->dfb, topic, 0, ctl_bus_wait(c), &list, &n);
	if (st != DFB_OK) {
		ctl_fail(c, st, "%s", dfb_error(c->dfb));
		json_decref(all);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		if (c->broker != NULL && strcmp(c->broker, list[i].broker) != 0)
			continue;
		else if (list[i].state == DFB_STATE_LOST)
			add(all, "held", "lost", list[i].broker, "start it again: its messages "
			    "are on its disk", "broker %s is gone without a word: its share of "
			    "the topic waits there", list[i].broker);
		else
			ask(c, all, topic, &list[i]);
	weigh_draining(all, n);
	look_for_others(c, all, topic, list, n);
	free(list);
	return all;
}

/* ---- in words ---- */

static void
print_one(const json_t *e, const char *mark)
{
	uint64_t since = (uint64_t)ctl_int(e, "since_ms"), now = dfb_wall_ms();
	const char *broker = ctl_str(e, "broker"), *remedy = ctl_str(e, "remedy");
	char when[25], time[16];

	printf("%s %s%s%s", mark, broker, *broker != '\0' ? ": " : "", ctl_str(e, "text"));
	if (since != 0)
		printf(", since %s (%s)", dfb_format_when(since, when),
		    dfb_format_duration(now > since ? now - since : 0, time));
	putchar('\n');
	if (*remedy != '\0')
		printf("    %s\n", remedy);
}

static bool
is_held(const json_t *all)
{
	size_t i;
	json_t *e;

	json_array_foreach(all, i, e)
		if (strcmp(ctl_str(e, "severity"), "held") == 0)
			return true;
	return false;
}

static void
print_all(const char *topic, const json_t *all, bool held)
{
	size_t i;
	json_t *e;

	printf("%s: %s\n", topic, held ? "messages are held up" : "messages flow");
	for (size_t k = 0; k < sizeof severities / sizeof severities[0]; k++)
		json_array_foreach(all, i, e)
			if (strcmp(ctl_str(e, "severity"), severities[k]) == 0)
				print_one(e, marks[k]);
}

static void
run(struct ctl *c)
{
	char topic[DFB_TOPIC_MAX];
	json_t *all;
	bool held;

	ctl_topic(c, c->args[0], topic);
	if ((all = findings(c, topic)) == NULL)
		return;
	held = is_held(all);
	if (held)
		c->status = DFB_NO;
	if (c->json)
		ctl_print_json(json_pack("{s:s, s:b, s:O}", "topic", topic, "held", held,
		    "findings", all));
	else
		print_all(topic, all, held);
	json_decref(all);
}

const struct ctl_verb ctl_why_verbs[] = {
	{ "why", NULL, "why [options] TOPIC",
	    "Say what holds the messages of a topic, since when, and what can be done.  Exit\n"
	    "status 1 when something does.", table, option, 1, 1, run },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
