/* What is to be, and the steps towards it: looked at when something has changed.  All of it follows
 * from the book and from what brokers say that they have, so that it goes on after a crash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "dfb-sgs/command.h"
#include "dfb-sgs/sgs.h"

#define SETTLE_MS 2000 /* after a start, before something is given up */

/* ---- marks ---- */

void
govern_mark(struct sgs *g, const char *service)
{
	if (json_object_set_new(g->dirty, service, json_null()) == -1)
		g->all_dirty = true;
}

void
govern_mark_topic(struct sgs *g, const char *topic)
{
	const char *hyphen = strchr(topic, '-');

	govern_mark(g, hyphen != NULL ? hyphen + 1 : topic);
}

void
govern_mark_all(struct sgs *g)
{
	g->all_dirty = true;
}

void
govern_changed(struct sgs *g, const char *service)
{
	govern_mark(g, service);
	await_check(g, service);
	fleet_ask(g); /* a broker may be new */
}

/* ---- what brokers are to have ---- */

enum wanted
govern_wanted(struct sgs *g, const json_t *service, const char *region)
{
	const char *name = json_string_value(json_object_get(service, "service"));
	char topic[DFB_TOPIC_MAX], why[BOOK_WHY];

	snprintf(topic, sizeof topic, "%s-%s", region, name != NULL ? name : "");
	switch (command_place(service, region).deployment) {
	case DEPLOYMENT_DEPLOYING:
	case DEPLOYMENT_ONLINE:
	case DEPLOYMENT_SUSPENDED:
		return WANTED_OPEN;
	case DEPLOYMENT_DRAINING:
		return drain_is_told(g, topic, why, sizeof why) ? WANTED_CLOSED : WANTED_KEPT;
	default:
		return WANTED_NOT;
	}
}

json_t *
govern_args(const json_t *service, const char *region, enum wanted wanted, uint64_t *hash)
{
	json_t *settings = json_object_get(service, "settings");
	json_t *d = json_object_get(json_object_get(service, "regions"), region);
	json_t *args = settings != NULL ? json_copy(settings) : json_object();
	json_t *gray = json_object_get(service, "gray");
	char *text;
	int rc;

	rc = json_object_set_new(args, "closed", json_boolean(wanted != WANTED_OPEN)) |
	    json_object_set(args, "adopt", json_is_true(json_object_get(d, "adopt")) ?
	    json_true() : json_false());
	rc |= gray != NULL ? json_object_set(args, "gray", gray) :
	    json_object_set_new(args, "gray", json_object());
	/* What ends keeps the durability that it was made with. */
	if (wanted == WANTED_OPEN)
		rc |= json_object_set_new(args, "durability",
		    json_string(settings_durability(settings)));
	else
		json_object_del(args, "durability");
	text = rc == 0 ? json_dumps(args, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	if (text == NULL) {
		json_decref(args);
		return NULL;
	}
	*hash = dfb_hash(text, strlen(text)) | 1;
	free(text);
	return args;
}

/* One step of one broker. */
static void
act(struct broker *b, const char *name, enum wanted wanted, json_t *args, uint64_t hash)
{
	struct topic *t = broker_topic(b, name);

	if (wanted == WANTED_KEPT || (wanted != WANTED_OPEN && (t == NULL || !t->governed)))
		return;
	if (wanted == WANTED_OPEN || t->applied != hash)
		broker_apply(b, name, args, hash);
	else
		broker_retire(b, t);
}

/* ---- steps of deployments ---- */

static void
step(struct sgs *g, enum command c, const char *service, const char *region,
    const char *why)
{
	enum dfb_status status = command_step(&g->book, c, service, region, why,
	    dfb_wall_ms());

	if (status == DFB_OK)
		govern_changed(g, service);
	else if (status == DFB_IOERR)
		sgs_fail(g, DFB_IOERR);
	/* Without memory it is tried again. */
}

static void
deploying(struct sgs *g, const json_t *row, const char *service, const char *region)
{
	json_t *d = json_object_get(json_object_get(row, "regions"), region);
	json_int_t until = json_integer_value(json_object_get(d, "until_ms"));
	char why[BOOK_WHY] = "", reason[BOOK_WHY + 32];
	unsigned n;

	if (progress_region(g, row, region, &n, why) && n != 0)
		step(g, COMMAND_DEPLOYED, service, region, NULL);
	else if (until != 0 && dfb_wall_ms() >= (uint64_t)until &&
	    dfb_mono_ms() - g->started_ms >= SETTLE_MS) {
		snprintf(reason, sizeof reason, "rolled back: %s", why);
		step(g, COMMAND_ROLLED_BACK, service, region, reason);
	}
}

static void
draining(struct sgs *g, const json_t *row, const char *service, const char *region)
{
	char why[BOOK_WHY], topic[DFB_TOPIC_MAX];
	unsigned n;

	if (govern_wanted(g, row, region) != WANTED_CLOSED || !fleet_is_fresh(g) ||
	    !progress_region(g, row, region, &n, why))
		return;
	step(g, COMMAND_DRAINED, service, region, NULL);
	snprintf(topic, sizeof topic, "%s-%s", region, service);
	drain_forget(g, topic);
}

static void
look_at_steps(struct sgs *g, const char *service)
{
	/* Held, as a step puts another row in its place. */
	json_t *row = json_incref(book_row(&g->book, BOOK_SERVICE, service)), *d;
	json_t *regions = json_object_get(row, "regions");
	const char *region;

	json_object_foreach(regions, region, d) {
		char topic[DFB_TOPIC_MAX];
		enum deployment_state state = command_place(row, region).deployment;

		if (state == DEPLOYMENT_DEPLOYING)
			deploying(g, row, service, region);
		if (state == DEPLOYMENT_DRAINING)
			draining(g, row, service, region);
		else if (!TAILQ_EMPTY(&g->drains)) {
			snprintf(topic, sizeof topic, "%s-%s", region, service);
			drain_forget(g, topic); /* taken back */
		}
	}
	json_decref(row);
}

static void
look_at(struct sgs *g, const char *service)
{
	json_t *row = book_row(&g->book, BOOK_SERVICE, service), *args = NULL;
	char topic[DFB_TOPIC_MAX], region[4] = "";
	enum wanted wanted = WANTED_NOT;
	uint64_t hash = 0;
	struct broker *b;

	/* What the book has never heard of is not unwanted: it may be the wrong book. */
	if (row == NULL)
		return;
	RB_FOREACH(b, brokers, &g->brokers) {
		struct topic *t;
		if (!b->known)
			continue;
		snprintf(topic, sizeof topic, "%s-%s", b->region, service);
		/* Brokers of one region often follow each other. */
		if (strcmp(region, b->region) != 0) {
			snprintf(region, sizeof region, "%s", b->region);
			json_decref(args);
			args = NULL;
			wanted = govern_wanted(g, row, region);
		}
		t = broker_topic(b, topic);
		if (wanted == WANTED_KEPT || (wanted == WANTED_NOT && (t == NULL ||
		    !t->governed)))
			continue;
		if (args == NULL &&
		    (args = govern_args(row, region, wanted, &hash)) == NULL)
			break; /* the next turn of the poll */
		if (json_object_set_new(args, "topic", json_string(topic)) == 0)
			act(b, topic, wanted, args, hash);
	}
	json_decref(args);
	look_at_steps(g, service);
}

static void
mark_each(struct sgs *g)
{
	const char *name;
	json_t *row;

	json_object_foreach(g->book.services, name, row)
		govern_mark(g, name);
}

void
govern_run(struct sgs *g)
{
	const char *name;
	json_t *dirty, *v;

	if (g->enroll == NULL || g->status != DFB_OK)
		return;
	while (g->status == DFB_OK && (g->all_dirty || json_object_size(g->dirty) != 0)) {
		if (g->all_dirty) {
			g->all_dirty = false;
			mark_each(g);
		}
		dirty = g->dirty;
		if ((g->dirty = json_object()) == NULL) {
			g->dirty = dirty;
			g->all_dirty = true;
			return;
		}
		json_object_foreach(dirty, name, v)
			look_at(g, name);
		json_decref(dirty);
	}
}
