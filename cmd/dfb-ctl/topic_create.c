#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "client/admin.h"
#include "dfb-ctl/ctl.h"

static size_t
shown(const struct dfb_admin_route *list, size_t n, const struct ctl_brokers *b,
    const bool *there)
{
	size_t missing = 0;

	for (size_t i = 0; i < b->n; i++) {
		size_t k = 0;
		while (k < n && strcmp(list[k].broker, b->list[i].name) != 0)
			k++;
		missing += there[i] && k == n;
	}
	return missing;
}

/* Until the name server shows all that have it, so that a sender finds it. */
static void
wait_for_routes(struct ctl *c, const char *topic, const struct ctl_brokers *b,
    const bool *there)
{
	uint64_t end = dfb_mono_ms() + (uint64_t)c->timeout_ms;
	struct dfb_admin_route *list;
	enum dfb_status st;
	size_t n, missing, min = 0;

	for (size_t i = 0; i < b->n; i++)
		min += there[i];
	while (min != 0) {
		uint64_t now = dfb_mono_ms();
		st = dfb_admin_routes(c->dfb, topic, min, now < end ? (int)(end - now) : 0,
		    &list, &n);
		missing = shown(list, n, b, there);
		free(list);
		if (st != DFB_OK) {
			ctl_fail(c, st, "topic '%s' was created, but the name server does "
			    "not show it: %s", topic, dfb_error(c->dfb));
			return;
		}
		min = missing != 0 ? n + missing : 0;
	}
}

/* One broker's part of it; whether it has the topic now. */
static bool
create_on(struct ctl *c, const struct ctl_broker *b, const char *topic, json_t *results)
{
	enum dfb_status st;
	const char *why;
	json_t *j = ctl_ask_quietly(c, b, "topic.create", c->settings, &st, &why);

	if (j == NULL && !(st == DFB_NO && c->if_missing)) {
		ctl_fail(c, st, "broker '%s': %s", b->name, why);
		return st == DFB_NO;
	}
	json_array_append_new(results, json_pack("{s:s, s:s, s:b}", "topic", topic,
	    "broker", b->name, "created", j != NULL));
	log_debug("topic '%s' %s on broker %s", topic, j != NULL ? "created" : "exists",
	    b->name);
	json_decref(j);
	return true;
}

void
ctl_topic_create(struct ctl *c)
{
	char topic[DFB_TOPIC_MAX], region[4] = "";
	json_t *results;
	struct ctl_brokers b;
	bool *there;

	ctl_topic(c, c->args[0], topic);
	if (dfb_word_kind(topic) != DFB_WORD_TOPIC)
		dfb_usage(&c->opts, "'%s' is made by brokers only", topic);
	memcpy(region, topic, 3);
	if (ctl_brokers_known(c, &b, c->broker != NULL ? NULL : region, c->broker) == -1)
		return;
	there = ctl_must(calloc(b.n, sizeof *there));
	results = ctl_must(json_array());
	json_object_set_new(c->settings, "topic", json_string(topic));
	for (size_t i = 0; i < b.n; i++)
		there[i] = create_on(c, &b.list[i], topic, results);
	wait_for_routes(c, topic, &b, there);
	free(there);
	ctl_brokers_release(&b);
	if (c->json)
		ctl_print_json(results);
	else
		json_decref(results);
}
