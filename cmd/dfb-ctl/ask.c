/* Questions to brokers: which, one after the other, and what they say together. */
#include <stdlib.h>
#include <string.h>

#include "client/admin.h"
#include "dfb-ctl/ctl.h"

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
	if ((st = dfb_admin_routes(c->dfb, topic, 0, c->timeout_ms, &list, &n)) != DFB_OK) {
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

json_int_t
ctl_int(const json_t *j, const char *name)
{
	return json_integer_value(json_object_get(j, name));
}

const char *
ctl_str(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));

	return s != NULL ? s : "";
}

static bool
in(const char *name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(name, *list) == 0)
			return true;
	return false;
}

static json_t *
find(const json_t *all, const json_t *j, const char *key)
{
	size_t i;
	json_t *e;

	json_array_foreach(all, i, e)
		if (strcmp(ctl_str(e, key), ctl_str(j, key)) == 0 &&
		    strcmp(ctl_str(e, "topic"), ctl_str(j, "topic")) == 0)
			return e;
	return NULL;
}

/* Fold j into e. */
static void
fold(json_t *e, json_t *j, const char *const *max, const char *const *drop)
{
	const char *name;
	json_t *v;

	json_object_foreach(j, name, v) {
		json_t *old = json_object_get(e, name);
		json_int_t a = json_integer_value(old), b = json_integer_value(v);

		if (in(name, drop))
			continue;
		if (strcmp(name, "broker") == 0)
			json_array_append(json_object_get(e, "brokers"), v);
		else if (old == NULL)
			json_object_set_new(e, name, json_deep_copy(v));
		else if (json_is_integer(v) && in(name, max))
			json_integer_set(old, a > b ? a : b);
		else if (json_is_integer(v))
			json_integer_set(old, a + b);
	}
}

json_t *
ctl_merge(const json_t *list, const char *key, const char *const *max,
    const char *const *drop)
{
	json_t *all = ctl_must(json_array()), *j, *e;
	size_t i;

	json_array_foreach(list, i, j) {
		if ((e = find(all, j, key)) == NULL) {
			e = ctl_must(json_pack("{s:[]}", "brokers"));
			json_array_append_new(all, e);
		}
		fold(e, j, max, drop);
	}
	return all;
}
