/* The topic, made for a run and removed after it; and the group. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "client/admin.h"
#include "dfb-bench/bench.h"
#include "wire/proto.h"
#include "wire/words.h"

#define TIMEOUT_MS 10000
#define BUS_WAIT_MS 5000
#define TRIES 20
#define PAUSE_MS 50

static enum dfb_status
ask(struct dfb *d, const char *endpoint, const char *verb, const char *args)
{
	char *answer;
	enum dfb_status st = dfb_admin_ask(d, endpoint, verb, args, TIMEOUT_MS, &answer);

	free(answer);
	return st;
}

static void
settings(const struct options *o, char *buf, size_t size)
{
	char more[64] = "";

	if (o->size > DFB_BODY_MAX_DEFAULT)
		snprintf(more, sizeof more, ",\"max_body\":%zu", o->size);
	snprintf(buf, size, "{\"topic\":\"%s\",\"durability\":\"%s\",\"queues_min\":%u,\"queues_max\":%u%s}",
	    o->topic, o->durability, o->queues != 0 ? o->queues : 1,
	    o->queues != 0 ? o->queues : 1, more);
}

/* On each broker of the region; *n: on how many. */
static enum dfb_status
create_on_all(const struct options *o, struct dfb *d, size_t *n)
{
	struct dfb_admin_daemon *list;
	enum dfb_status st;
	char args[512];
	size_t all;

	if ((st = dfb_admin_daemons(d, TIMEOUT_MS, &list, &all)) != DFB_OK)
		return st;
	settings(o, args, sizeof args);
	*n = 0;
	for (size_t i = 0; i < all && st == DFB_OK; i++) {
		if (strcmp(list[i].kind, "broker") != 0 ||
		    strncmp(list[i].region, o->topic, 3) != 0)
			continue;
		if ((st = ask(d, list[i].endpoint, "topic.create", args)) == DFB_OK)
			(*n)++;
	}
	free(list);
	return st;
}

enum dfb_status
topic_create(const struct options *o, struct dfb *d)
{
	struct dfb_admin_route *routes;
	size_t n, found;
	enum dfb_status st = create_on_all(o, d, &n);

	if (st == DFB_OK && n == 0) {
		log_errx("cannot create topic '%s': no broker of region '%.3s' is known to "
		    "the name server", o->topic, o->topic);
		return DFB_NOBODY;
	}
	if (st == DFB_OK) {
		st = dfb_admin_routes(d, o->topic, n, TIMEOUT_MS, &routes, &found);
		free(routes);
	}
	if (st != DFB_OK)
		log_errx("cannot create topic '%s': %s", o->topic, dfb_error(d));
	return st;
}

/* Have each broker that serves the topic do verb; group may be NULL. */
static enum dfb_status
on_routes(const char *dest, struct dfb *d, const char *verb, const char *group)
{
	struct dfb_admin_route *list;
	size_t n;
	char args[512];
	enum dfb_status st, one;

	if ((st = dfb_admin_routes(d, dest, 0, BUS_WAIT_MS, &list, &n)) != DFB_OK)
		return st;
	for (size_t i = 0; i < n; i++) {
		snprintf(args, sizeof args, "{\"topic\":\"%s\"%s%s%s}", list[i].topic,
		    group != NULL ? ",\"group\":\"" : "", group != NULL ? group : "",
		    group != NULL ? "\"" : "");
		if ((one = ask(d, list[i].endpoint, verb, args)) != DFB_OK)
			st = one;
	}
	free(list);
	return st;
}

enum dfb_status
topic_delete(const struct options *o, struct dfb *d)
{
	enum dfb_status st = on_routes(o->topic, d, "topic.delete", NULL);

	if (st != DFB_OK)
		log_errx("cannot delete topic '%s': %s", o->topic, dfb_error(d));
	return st;
}

enum dfb_status
group_delete(const struct bench *b, struct dfb *d)
{
	enum dfb_status st = DFB_AGAIN;

	/* A broker may still be reading for it. */
	for (int i = 0; i < TRIES && st == DFB_AGAIN; i++) {
		if (i != 0)
			dfb_wait(d, PAUSE_MS);
		st = on_routes(b->opt->topic, d, "group.delete", b->group);
	}
	if (st != DFB_OK)
		log_warnx("group '%s' was not deleted: %s", b->group, dfb_error(d));
	return st;
}
