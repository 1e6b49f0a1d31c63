/* How far deployments are, and what they wait for, in words that say what to do. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "client/conn.h"
#include "dfb-sgs/command.h"
#include "dfb-sgs/sgs.h"
#include "wire/proto.h"

#define SLOW_MS 1000

/* ---- one broker ---- */

/* It does not talk to us: why.  False when it does. */
static bool
is_away(const struct broker *b, char *why)
{
	if (b->known)
		return false;
	if (b->state == DFB_STATE_LOST)
		snprintf(why, BOOK_WHY, "broker %s is lost: start it again, or wait until its lease "
		    "at the name servers ends", b->name);
	else if (b->why[0] != '\0')
		snprintf(why, BOOK_WHY, "broker %s refuses: %s", b->name, b->why);
	else
		snprintf(why, BOOK_WHY, "broker %s does not answer", b->name);
	return true;
}

static void
waits(const struct broker *b, const struct topic *t, const char *what, char *why)
{
	if (t != NULL && t->req != 0 && dfb_mono_ms() - t->sent_ms > SLOW_MS)
		snprintf(why, BOOK_WHY, "broker %s does not answer", b->name);
	else
		snprintf(why, BOOK_WHY, "broker %s %s", b->name, what);
}

/* What topic.retire found. */
static void
say_left(const struct broker *b, const struct topic *t, char *why)
{
	json_int_t n = 0, first = 0;
	const char *group = NULL;
	json_t *e;
	size_t i;

	json_array_foreach(t->left, i, e) {
		json_int_t m = json_integer_value(json_object_get(e, "messages"));
		n += m;
		if (i == 0) {
			first = m;
			group = json_string_value(json_object_get(e, "group"));
		}
	}
	if (n == 0 && t->scheduled != 0)
		snprintf(why, BOOK_WHY, "%llu scheduled messages are not due yet at broker %s: "
		    "dfb-ctl timer list", (unsigned long long)t->scheduled, b->name);
	else if (group == NULL || *group == '\0')
		snprintf(why, BOOK_WHY, "%lld messages are left at broker %s and no group takes them: "
		    "start a consumer, or dfb-recv -g GROUP -e %s >FILE keeps them", (long long)n,
		    b->name, t->name);
	else
		snprintf(why, BOOK_WHY, "%lld messages are left at broker %s for group %s: its "
		    "consumers must take them, or dfb-recv -g %s -e %s >FILE keeps them",
		    (long long)first, b->name, group, group, t->name);
}

enum had
progress_of(struct broker *b, const char *topic, enum wanted wanted, uint64_t hash,
    char *why)
{
	struct topic *t = broker_topic(b, topic);

	why[0] = '\0';
	if (is_away(b, why))
		return HAD_WAITING;
	if (wanted == WANTED_OPEN) {
		if (t != NULL && t->governed && t->applied == hash)
			return HAD_HAS;
		if (t != NULL && t->status != 0 && t->sent == hash) {
			snprintf(why, BOOK_WHY, "broker %s: %s", b->name, t->why);
			return t->status == DFB_BADINPUT ? HAD_CONFLICT : HAD_WAITING;
		}
		waits(b, t, "has not confirmed yet", why);
		return HAD_WAITING;
	}
	if (t == NULL || !t->governed)
		return HAD_GONE;
	if (wanted == WANTED_KEPT)
		return HAD_HAS;
	if (t->status != 0) {
		snprintf(why, BOOK_WHY, "broker %s: %s", b->name, t->why);
		return HAD_WAITING;
	}
	if (t->applied != hash) {
		waits(b, t, "has not closed the topic yet", why);
		return HAD_WAITING;
	}
	if (t->left == NULL)
		waits(b, t, "has not said what is left", why);
	else
		say_left(b, t, why);
	return HAD_CLOSED;
}

/* ---- a region ---- */

struct view {
	struct sgs *g;
	char topic[DFB_TOPIC_MAX];
	const char *region;
	enum wanted wanted;
	uint64_t hash;
};

static bool
look(struct sgs *g, const json_t *service, const char *region, struct view *v)
{
	const char *name = json_string_value(json_object_get(service, "service"));
	json_t *args;

	*v = (struct view){ .g = g, .region = region };
	snprintf(v->topic, sizeof v->topic, "%s-%s", region, name != NULL ? name : "");
	v->wanted = govern_wanted(g, service, region);
	if ((args = govern_args(service, region, v->wanted, &v->hash)) == NULL)
		return false;
	json_decref(args);
	return true;
}

static bool
is_done(enum wanted wanted, enum had had)
{
	return had == (wanted == WANTED_OPEN ? HAD_HAS : HAD_GONE);
}

bool
progress_region(struct sgs *g, const json_t *service, const char *region, unsigned *n,
    char *why)
{
	struct view v;
	struct broker *b;
	char one[BOOK_WHY];
	bool done = true;

	*n = 0;
	why[0] = '\0';
	if (!look(g, service, region, &v)) {
		snprintf(why, BOOK_WHY, "out of memory");
		return false;
	}
	if (command_place(service, region).deployment == DEPLOYMENT_DRAINING &&
	    !drain_is_told(g, v.topic, why, BOOK_WHY))
		done = false;
	RB_FOREACH(b, brokers, &g->brokers) {
		enum had had;
		if (strcmp(b->region, region) != 0)
			continue;
		++*n;
		had = progress_of(b, v.topic, v.wanted, v.hash, one);
		if (is_done(v.wanted, had))
			continue;
		/* A conflict goes before what may pass by itself. */
		if (why[0] == '\0' || (had == HAD_CONFLICT && done))
			snprintf(why, BOOK_WHY, "%s", one);
		done = false;
	}
	if (*n == 0 && why[0] == '\0' && v.wanted == WANTED_OPEN)
		snprintf(why, BOOK_WHY, g->listed_ms == 0 ? "no name server has answered yet: "
		    "start one" : "no broker of region %s is enrolled: start one", region);
	else if (why[0] == '\0' && v.wanted != WANTED_OPEN && !fleet_is_fresh(g))
		snprintf(why, BOOK_WHY, "no name server answers: start one");
	return done;
}

static void
add_left(json_t *left, const struct broker *b, const struct topic *t)
{
	json_t *e;
	size_t i;

	json_array_foreach(t->left, i, e)
		json_array_append_new(left, json_pack("{s:s, s:O, s:I}", "broker", b->name,
		    "group", json_object_get(e, "group"), "messages",
		    json_integer_value(json_object_get(e, "messages"))));
	if (t->scheduled != 0)
		json_array_append_new(left, json_pack("{s:s, s:s, s:I, s:b}", "broker", b->name,
		    "group", "", "messages", (json_int_t)t->scheduled, "scheduled", 1));
}

/* NULL: nothing to tell of. */
static json_t *
show_region(struct sgs *g, const json_t *service, const char *region)
{
	static const char *const words[] = { "has", "waiting", "closed", "gone", "conflict" };
	json_t *brokers = json_array(), *left = json_array(), *e;
	char why[BOOK_WHY], one[BOOK_WHY];
	struct broker *b;
	struct view v;
	unsigned n;
	bool done = progress_region(g, service, region, &n, why);

	if (look(g, service, region, &v))
		RB_FOREACH(b, brokers, &g->brokers) {
			struct topic *t = broker_topic(b, v.topic);
			enum had had;
			if (strcmp(b->region, region) != 0)
				continue;
			had = progress_of(b, v.topic, v.wanted, v.hash, one);
			if (had == HAD_GONE && v.wanted == WANTED_NOT)
				continue;
			e = json_pack("{s:s, s:s}", "broker", b->name, "state", words[had]);
			if (*one != '\0')
				json_object_set_new(e, "why", json_string(one));
			json_array_append_new(brokers, e);
			if (t != NULL)
				add_left(left, b, t);
		}
	if (v.wanted == WANTED_NOT && json_array_size(brokers) == 0) {
		json_decref(brokers);
		json_decref(left);
		return NULL;
	}
	e = json_pack("{s:o, s:o}", "brokers", brokers, "left", left);
	if (!done || n == 0)
		json_object_set_new(e, "why", json_string(why));
	return e;
}

json_t *
progress_show(struct sgs *g, const char *name)
{
	json_t *row = book_row(&g->book, BOOK_SERVICE, name), *copy, *progress, *d;
	json_t *regions = json_object_get(row, "regions");
	const char *region;

	if (row == NULL || (copy = json_copy(row)) == NULL)
		return NULL;
	progress = json_object();
	json_object_foreach(regions, region, d) {
		json_t *one = show_region(g, row, region);
		if (one != NULL)
			json_object_set_new(progress, region, one);
	}
	json_object_set_new(copy, "progress", progress);
	return copy;
}
