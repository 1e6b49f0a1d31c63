/* Verbs of ADMIN. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/result.h"
#include "dfb-sgs/command.h"
#include "dfb-sgs/sgs.h"
#include "wire/proto.h"

#define HISTORY_DEFAULT 100
#define HISTORY_MAX 1000

/* ---- what is looked at: the answer, or NULL with *status and why ---- */

typedef json_t *look_fn(struct sgs *, json_t *args, enum dfb_status *, char *why);

static const char *
text_of(const json_t *args, const char *key)
{
	return json_string_value(json_object_get(args, key));
}

static json_t *
service_show(struct sgs *g, json_t *args, enum dfb_status *status, char *why)
{
	const char *name = text_of(args, "service");

	if (name == NULL || book_row(&g->book, BOOK_SERVICE, name) == NULL) {
		*status = DFB_NOBODY;
		snprintf(why, BOOK_WHY, "no service '%.64s'", name != NULL ? name : "");
		return NULL;
	}
	return progress_show(g, name);
}

static bool
is_listed(const json_t *row, const char *state, const char *region)
{
	struct place at = command_place(row, region);

	return (state == NULL || strcmp(state, service_state_text(at.service)) == 0) &&
	    (region == NULL || (at.deployment != DEPLOYMENT_NONE &&
	    at.deployment != DEPLOYMENT_OFFLINE));
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(text_of(*(json_t *const *)a, "service"),
	    text_of(*(json_t *const *)b, "service"));
}

/* Rows by the name of their service.  Releases the list; NULL: no memory. */
static json_t *
sorted(json_t *list)
{
	size_t n = json_array_size(list);
	json_t **rows = calloc(n + 1, sizeof *rows), *out = json_array();

	for (size_t i = 0; rows != NULL && i < n; i++)
		rows[i] = json_array_get(list, i);
	if (rows != NULL)
		qsort(rows, n, sizeof *rows, by_name);
	for (size_t i = 0; rows != NULL && i < n; i++)
		json_array_append(out, rows[i]);
	if (rows == NULL || json_array_size(out) != n) {
		json_decref(out);
		out = NULL;
	}
	free(rows);
	json_decref(list);
	return out;
}

static json_t *
service_list(struct sgs *g, json_t *args, enum dfb_status *status, char *why)
{
	const char *state = text_of(args, "state"), *region = text_of(args, "region"),
	    *prefix = text_of(args, "service");
	json_t *list = json_array(), *row;
	enum service_state s;
	const char *name;

	if (state != NULL && !service_state_of(state, &s)) {
		*status = DFB_BADINPUT;
		snprintf(why, BOOK_WHY, "'state' must be applied, approved or retired");
		json_decref(list);
		return NULL;
	}
	json_object_foreach(g->book.services, name, row)
		if (is_listed(row, state, region) && (prefix == NULL ||
		    strncmp(name, prefix, strlen(prefix)) == 0))
			json_array_append(list, row);
	return sorted(list);
}

static json_t *
service_history(struct sgs *g, json_t *args, enum dfb_status *status, char *why)
{
	const char *name = text_of(args, "service");
	json_t *from = json_object_get(args, "from"), *limit = json_object_get(args, "limit");
	json_int_t at = json_integer_value(from), n = limit != NULL ?
	    json_integer_value(limit) : HISTORY_DEFAULT;
	json_t *list;
	uint64_t next;

	if (at < 0 || n < 1 || n > HISTORY_MAX) {
		*status = DFB_BADINPUT;
		snprintf(why, BOOK_WHY, "'from' must be a number, 'limit' one from 1 to %d",
		    HISTORY_MAX);
		return NULL;
	}
	if ((list = book_history(&g->book, name, (uint64_t)at, (size_t)n, &next)) == NULL) {
		*status = DFB_IOERR;
		snprintf(why, BOOK_WHY, "cannot read the journal");
		return NULL;
	}
	return json_pack("{s:o, s:I}", "entries", list, "next", (json_int_t)next);
}

static json_t *
affinity_list(struct sgs *g, json_t *args, enum dfb_status *status, char *why)
{
	const char *only = text_of(args, "service"), *name;
	json_t *list = json_array(), *row;

	(void)status;
	(void)why;
	json_object_foreach(g->book.affinity, name, row)
		if ((only == NULL || strcmp(only, name) == 0) &&
		    json_array_size(json_object_get(row, "rules")) != 0)
			json_array_append(list, row);
	return sorted(list);
}

static json_t *
distance_list(struct sgs *g, json_t *args, enum dfb_status *status, char *why)
{
	(void)args;
	(void)status;
	(void)why;
	return json_incref(g->book.distances);
}

static json_t *
gray_list(struct sgs *g, json_t *args, enum dfb_status *status, char *why)
{
	const char *only = text_of(args, "service"), *name, *label;
	json_t *list, *row, *rules, *rule;

	if (only != NULL && book_row(&g->book, BOOK_SERVICE, only) == NULL)
		return service_show(g, args, status, why);
	list = json_array();
	json_object_foreach(g->book.services, name, row) {
		rules = json_object_get(row, "gray");
		if (only != NULL && strcmp(only, name) != 0)
			continue;
		json_object_foreach(rules, label, rule) {
			json_t *one = json_copy(rule);
			json_object_set_new(one, "service", json_string(name));
			json_object_set_new(one, "label", json_string(label));
			json_array_append_new(list, one);
		}
	}
	return sorted(list);
}

static json_t *
stats(struct sgs *g, json_t *args, enum dfb_status *status, char *why)
{
	json_t *gsls = json_array();
	struct gsl *l;

	(void)args;
	(void)status;
	(void)why;
	TAILQ_FOREACH(l, &g->gsls, link)
		json_array_append_new(gsls, json_pack("{s:s, s:I}", "name", l->session->who,
		    "version", (json_int_t)l->followed));
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I}",
	    "name", g->name, "uptime_ms", (json_int_t)(dfb_mono_ms() - g->started_ms),
	    "version", (json_int_t)g->book.version, "catalog", (json_int_t)g->book.id,
	    "services", (json_int_t)json_object_size(g->book.services), "gsls", gsls,
	    "brokers", (json_int_t)g->nbrokers, "sessions", (json_int_t)g->hub.n,
	    "awaits", (json_int_t)g->nawaits,
	    "malformed", (json_int_t)g->hub.stats.malformed,
	    "slow", (json_int_t)g->hub.stats.slow);
}

static const struct {
	const char *name;
	look_fn *fn;
} looks[] = {
	{ "service.show", service_show },
	{ "service.list", service_list },
	{ "service.history", service_history },
	{ "affinity.list", affinity_list },
	{ "distance.list", distance_list },
	{ "gray.list", gray_list },
	{ "stats", stats },
};

static const char *const affinities[] = { "affinity.set", "affinity.add", "affinity.delete" };
static const char *const distances[] = { "distance.set", "distance.delete" };

/* ---- dispatch ---- */

/* The command of a verb: "service.deploy", "gray.set"; COMMANDS: none. */
static enum command
command_of(const char *verb)
{
	const char *word = strncmp(verb, "service.", 8) == 0 ? verb + 8 : verb;

	for (enum command c = COMMAND_APPLY; c <= COMMAND_GRAY_DELETE; c++)
		if (strcmp(word, command_text(c)) == 0 &&
		    (word != verb) == (strchr(word, '.') == NULL))
			return c;
	return COMMANDS;
}

/* A verb that changes something: whether it is one; the answer then, or NULL. */
static bool
change(struct sgs *g, const char *verb, const struct asked *a, json_t **result,
    enum dfb_status *status, char *why)
{
	enum command c = command_of(verb);

	if (c != COMMANDS) {
		*result = command_run(&g->book, c, a, status, why);
		return true;
	}
	for (size_t i = 0; i < sizeof affinities / sizeof affinities[0]; i++)
		if (strcmp(verb, affinities[i]) == 0) {
			*result = command_affinity(&g->book, affinities[i], a, status, why);
			return true;
		}
	for (size_t i = 0; i < sizeof distances / sizeof distances[0]; i++)
		if (strcmp(verb, distances[i]) == 0) {
			*result = command_distance(&g->book, distances[i], a, status, why);
			return true;
		}
	return false;
}

static void
reply(struct sgs *g, struct dfb_session *s, uint32_t req, json_t *result,
    enum dfb_status status, const char *why)
{
	if (result != NULL)
		dfb_hub_result(&g->hub, s, req, result);
	else
		dfb_hub_refuse(&g->hub, s, req, (int)status, "%s", why);
	if (result == NULL && (status == DFB_IOERR || status == DFB_OSERR))
		sgs_fail(g, (int)status);
}

static void
admin(struct sgs *g, struct dfb_session *s, const char *verb, uint32_t req, json_t *args)
{
	struct asked a = { .args = args, .who = s->who, .now_ms = dfb_wall_ms() };
	enum dfb_status status = DFB_OSERR;
	char why[BOOK_WHY] = "out of memory";
	uint64_t version = g->book.version;
	json_t *result = NULL;

	for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
		if (strcmp(verb, looks[i].name) == 0) {
			result = looks[i].fn(g, args, &status, why);
			reply(g, s, req, result, status, why);
			return;
		}
	if (strcmp(verb, "service.await") == 0)
		await_begin(g, s, req, args);
	else if (change(g, verb, &a, &result, &status, why)) {
		reply(g, s, req, result, status, why);
		if (g->book.version != version)
			govern_changed(g, text_of(args, "service") != NULL ?
			    text_of(args, "service") : BOOK_ALL);
	} else
		dfb_hub_refuse(&g->hub, s, req, DFB_BADINPUT, "sgs has no verb '%.64s'", verb);
}

void
admin_frame(struct sgs *g, struct dfb_session *s, const struct dfb_proto *m)
{
	json_t *args = dfb_hub_args(&g->hub, s, m);
	char verb[64];

	if (args == NULL)
		return;
	admin(g, s, dfb_str_copy(m->admin.verb, verb, sizeof verb), m->req, args);
	json_decref(args);
}
