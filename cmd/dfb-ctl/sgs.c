#include "dfb-ctl/sgs.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "client/admin.h"
#include "dfb-ctl/ctl.h"
#include "wire/proto.h"

#define REQUEST_MAX 64
#define LOOK_MS 2000 /* how often it is told what is waited for */
#define RETRY_MS 100

bool
ctl_change_option(struct ctl *c, int letter)
{
	const struct dfb_opts *o = &c->opts;
	size_t len;

	switch (letter) {
	case CTL_CHANGE_IF_VERSION:
		json_object_set_new(c->change, "if_version",
		    json_integer((json_int_t)dfb_opt_count(o, 0, INT64_MAX)));
		return true;
	case CTL_CHANGE_REQUEST:
		len = strlen(o->arg);
		if (len == 0 || len > REQUEST_MAX ||
		    json_object_set_new(c->change, "request", json_string(o->arg)) == -1)
			dfb_usage(o, "--request takes 1 to %d bytes of text, not '%s'",
			    REQUEST_MAX, o->arg);
		return true;
	}
	return false;
}

/* ---- where it is ---- */

bool
ctl_sgs_find(struct ctl *c, bool quiet)
{
	struct dfb_admin_route *list;
	enum dfb_status st;
	size_t n, best = 0;

	if (c->sgs != NULL)
		return true;
	if ((st = dfb_admin_routes(c->dfb, "%SGS", 0, ctl_bus_wait(c), &list, &n)) != DFB_OK) {
		if (!quiet)
			ctl_fail(c, st, "%s", dfb_error(c->dfb));
		return false;
	}
	for (size_t i = 1; i < n; i++) /* one that died, and its successor */
		if (list[best].state == DFB_STATE_LOST || (list[i].state != DFB_STATE_LOST &&
		    list[i].incarnation > list[best].incarnation))
			best = i;
	if (n != 0) {
		c->sgs = ctl_must(calloc(1, sizeof *c->sgs));
		snprintf(c->sgs->name, sizeof c->sgs->name, "%s", list[best].broker);
		snprintf(c->sgs->endpoint, sizeof c->sgs->endpoint, "%s", list[best].endpoint);
	} else if (!quiet)
		ctl_fail(c, DFB_NOBODY, "no sgs is known to the name server: start dfb-sgs, "
		    "which keeps the services");
	free(list);
	return n != 0;
}

/* ---- questions ---- */

json_t *
ctl_sgs_quietly(struct ctl *c, const char *verb, json_t *args, enum dfb_status *st,
    const char **why)
{
	json_t *j;

	ctl_must(args);
	j = ctl_ask_quietly(c, c->sgs, verb, args, st, why);
	json_decref(args);
	return j;
}

json_t *
ctl_sgs(struct ctl *c, const char *verb, json_t *args)
{
	enum dfb_status st;
	const char *why;
	json_t *j = NULL;

	if (!ctl_sgs_find(c, false))
		json_decref(args);
	else if ((j = ctl_sgs_quietly(c, verb, args, &st, &why)) == NULL)
		ctl_fail(c, st, "%s", why);
	return j;
}

static json_t *
user(void)
{
	const char *name = getenv("USER");
	struct passwd *p;
	char uid[24];

	if (name == NULL || *name == '\0')
		name = (p = getpwuid(geteuid())) != NULL ? p->pw_name : "";
	if (*name == '\0') {
		snprintf(uid, sizeof uid, "%u", (unsigned)geteuid());
		name = uid;
	}
	return json_string(name);
}

json_t *
ctl_sgs_change(struct ctl *c, const char *verb, json_t *args)
{
	json_t *who = user();

	json_object_update(ctl_must(args), c->change);
	if (who != NULL)
		json_object_set_new(args, "who", who);
	return ctl_sgs(c, verb, args);
}

void
ctl_sgs_done(struct ctl *c, json_t *j)
{
	if (j != NULL && c->json)
		ctl_print_json(j);
	else
		json_decref(j);
}

/* ---- waiting ---- */

/* Whether it is over: where it was to be, or rolled back. */
static json_t *
arrived(struct ctl *c, json_t *j, const char *region, const char *want)
{
	const char *is = ctl_deployment(j, region);

	if (strcmp(is, want) == 0)
		return j;
	ctl_fail(c, DFB_AGAIN, "service '%s' is %s in %s: %s", ctl_str(j, "service"), is, region,
	    *ctl_str(json_object_get(json_object_get(j, "regions"), region), "why") != '\0' ?
	    ctl_str(json_object_get(json_object_get(j, "regions"), region), "why") :
	    "somebody else changed it");
	json_decref(j);
	return NULL;
}

json_t *
ctl_sgs_await(struct ctl *c, const char *service, const char *region, const char *want)
{
	uint64_t start = dfb_mono_ms(), past = 0, turn, asked;
	char said[512] = "";
	enum dfb_status st = DFB_TIMEOUT;
	const char *why = "";
	bool away;
	json_t *j;

	while (past < c->await_ms) {
		turn = c->await_ms - past < LOOK_MS ? c->await_ms - past : LOOK_MS;
		asked = dfb_mono_ms();
		j = ctl_sgs_quietly(c, "service.await", json_pack("{s:s, s:s, s:[s, s], s:I}",
		    "service", service, "region", region, "states", "online", "offline",
		    "timeout_ms", (json_int_t)turn), &st, &why);
		if (j != NULL)
			return arrived(c, j, region, want);
		/* It says so itself, or it does not answer; one that is started again goes on. */
		away = st == DFB_NOBODY;
		if (!away && (st != DFB_TIMEOUT ||
		    dfb_mono_ms() - asked >= (uint64_t)c->timeout_ms)) {
			ctl_fail(c, st, "%s", why);
			return NULL;
		}
		past = dfb_mono_ms() - start;
		if (strcmp(said, why) != 0 && past < c->await_ms)
			log_warnx("%s", why);
		snprintf(said, sizeof said, "%s", why);
		if (away && past < c->await_ms)
			ctl_pause(c, RETRY_MS);
	}
	ctl_fail(c, DFB_AGAIN, "%s; it goes on: 'dfb-ctl service show %s' says how far it is", said,
	    service);
	return NULL;
}
