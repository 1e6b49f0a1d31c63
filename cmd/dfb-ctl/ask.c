/* Questions to brokers: which, one after the other, and what they say together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/admin.h"
#include "dfb-ctl/ctl.h"
#include "wire/proto.h"

#define BUS_WAIT_MS 5000

int
ctl_bus_wait(const struct ctl *c)
{
	return c->timed ? c->timeout_ms : BUS_WAIT_MS;
}

const char *
ctl_state(uint8_t state)
{
	switch (state) {
	case DFB_STATE_UP: return "up";
	case DFB_STATE_DRAINING: return "draining";
	case DFB_STATE_LOST: return "lost";
	default: return "?";
	}
}

void
ctl_brokers_release(struct ctl_brokers *b)
{
	free(b->list);
	*b = (struct ctl_brokers){ 0 };
}

static void
add(struct ctl_brokers *b, const char *name, const char *region, const char *endpoint)
{
	struct ctl_broker *to;

	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->list[i].name, name) == 0)
			return;
	b->list = ctl_must(reallocarray(b->list, b->n + 1, sizeof *b->list));
	to = &b->list[b->n++];
	snprintf(to->name, sizeof to->name, "%s", name);
	snprintf(to->region, sizeof to->region, "%s", region);
	snprintf(to->endpoint, sizeof to->endpoint, "%s", endpoint);
}

int
ctl_brokers_known(struct ctl *c, struct ctl_brokers *b, const char *region,
    const char *name)
{
	struct dfb_admin_daemon *list;
	enum dfb_status st;
	size_t n;

	*b = (struct ctl_brokers){ 0 };
	if ((st = dfb_admin_daemons(c->dfb, c->timeout_ms, &list, &n)) != DFB_OK) {
		ctl_fail(c, st, "%s", dfb_error(c->dfb));
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].kind, "broker") == 0 &&
		    (region == NULL || strcmp(list[i].region, region) == 0) &&
		    (name == NULL || strcmp(list[i].name, name) == 0))
			add(b, list[i].name, list[i].region, list[i].endpoint);
	free(list);
	if (b->n != 0)
		return 0;
	if (name != NULL)
		ctl_fail(c, DFB_NOBODY, "no broker '%s' is known to the name server: "
		    "'dfb-ctl broker list' shows those that are", name);
	else if (region != NULL)
		ctl_fail(c, DFB_NOBODY, "no broker of region '%s' is known to the name "
		    "server: start one with dfb-broker --region %s", region, region);
	else
		ctl_fail(c, DFB_NOBODY, "no broker is known to the name server: start "
		    "one with dfb-broker");
	return -1;
}

int
ctl_brokers_of(struct ctl *c, struct ctl_brokers *b, const char *topic)
{
	struct dfb_admin_route *list;
	enum dfb_status st;
	size_t n;

	*b = (struct ctl_brokers){ 0 };
	if ((st = dfb_admin_routes(c->dfb, topic, 0, ctl_bus_wait(c), &list, &n)) != DFB_OK) {
		ctl_fail(c, st, "%s", dfb_error(c->dfb));
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (c->broker == NULL || strcmp(list[i].broker, c->broker) == 0)
			add(b, list[i].broker, list[i].region, list[i].endpoint);
	free(list);
	if (b->n != 0)
		return 0;
	if (c->broker != NULL)
		ctl_fail(c, DFB_NOBODY, "broker '%s' does not serve topic '%s': "
		    "'dfb-ctl route %s' shows who does", c->broker, topic, topic);
	else
		ctl_fail(c, DFB_NOBODY, "no broker serves topic '%s': 'dfb-ctl topic list' "
		    "shows the topics, 'dfb-ctl topic create' makes one", topic);
	return -1;
}

json_t *
ctl_ask_quietly(struct ctl *c, const struct ctl_broker *b, const char *verb,
    const json_t *args, enum dfb_status *st, const char **why)
{
	char *text = args != NULL ? ctl_must(json_dumps(args, JSON_COMPACT)) : NULL;
	char *answer;
	json_t *j;

	*st = dfb_admin_ask(c->dfb, b->endpoint, verb, text, c->timeout_ms, &answer);
	free(text);
	if (*st != DFB_OK) {
		*why = dfb_error(c->dfb);
		return NULL;
	}
	j = json_loads(answer, JSON_DECODE_ANY, NULL);
	free(answer);
	if (j == NULL) {
		*st = DFB_PROTO;
		*why = "its answer is not JSON";
	}
	return j;
}

json_t *
ctl_ask(struct ctl *c, const struct ctl_broker *b, const char *verb, const json_t *args)
{
	enum dfb_status st;
	const char *why;
	json_t *j = ctl_ask_quietly(c, b, verb, args, &st, &why);

	if (j == NULL)
		ctl_fail(c, st, "broker '%s': %s", b->name, why);
	return j;
}

json_t *
ctl_ask_all(struct ctl *c, const struct ctl_brokers *b, const char *verb,
    const json_t *args)
{
	json_t *all = ctl_must(json_array()), *j;

	for (size_t i = 0; i < b->n; i++) {
		if ((j = ctl_ask(c, &b->list[i], verb, args)) == NULL)
			continue;
		if (json_is_array(j))
			json_array_extend(all, j);
		else
			json_array_append(all, j);
		json_decref(j);
	}
	return all;
}

void
ctl_pause(struct ctl *c, uint64_t ms)
{
	uint64_t start = dfb_mono_ms(), past = 0;

	while (past < ms) {
		dfb_wait(c->dfb, (int)(ms - past));
		past = dfb_mono_ms() - start;
	}
}
