#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "client/admin.h"
#include "dfb-ctl/ctl.h"

#define ASK_EVERY_MS 100

enum { OPT_UNDO = CTL_LETTER_OWN, OPT_WAIT };

static const struct dfb_opt plain_table[] = { CTL_OPTIONS };
static const struct dfb_opt drain_table[] = {
	{ OPT_UNDO, "undo", NULL, "take part again" },
	{ OPT_WAIT, "wait", NULL, "until nothing is left; --timeout limits it" },
	CTL_OPTIONS,
};

static void
option(struct ctl *c, int letter)
{
	switch (letter) {
	case OPT_UNDO: c->undo = true; break;
	case OPT_WAIT: c->wait = true; break;
	}
}

/* ---- list ---- */

static void
print_list(const json_t *all)
{
	struct ctl_table t = { .heads = "NAME REGION STATE >TOPICS >UP >HEARD ENDPOINT" };
	uint64_t now = dfb_wall_ms(), up;
	char text[16];
	size_t i;
	json_t *e;

	json_array_foreach(all, i, e) {
		up = (uint64_t)ctl_int(e, "incarnation");
		ctl_cell(&t, ctl_str(e, "name"));
		ctl_cell(&t, ctl_str(e, "region"));
		ctl_cell(&t, ctl_str(e, "state"));
		ctl_cell_int(&t, ctl_int(e, "topics"));
		ctl_cell(&t, dfb_format_duration(now > up ? now - up : 0, text));
		ctl_cell(&t, dfb_format_duration((uint64_t)ctl_int(e, "age_ms"), text));
		ctl_cell(&t, ctl_str(e, "endpoint"));
	}
	ctl_table_print(&t);
}

static void
list(struct ctl *c)
{
	struct dfb_admin_daemon *daemons;
	enum dfb_status st;
	json_t *all;
	size_t n;

	if ((st = dfb_admin_daemons(c->dfb, c->timeout_ms, &daemons, &n)) != DFB_OK) {
		ctl_fail(c, st, "%s", dfb_error(c->dfb));
		return;
	}
	all = ctl_must(json_array());
	for (size_t i = 0; i < n; i++) {
		const struct dfb_admin_daemon *d = &daemons[i];
		if (strcmp(d->kind, "broker") == 0)
			json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, "
			    "s:I}", "name", d->name, "region", d->region, "state",
			    ctl_state(d->state), "endpoint", d->endpoint, "topics",
			    (json_int_t)d->topics, "age_ms", (json_int_t)d->age_ms,
			    "incarnation", (json_int_t)d->incarnation));
	}
	free(daemons);
	ctl_sort(all, "region", "name");
	if (c->json)
		ctl_print_json(all);
	else {
		print_list(all);
		json_decref(all);
	}
}

/* ---- stats ---- */

/* A column for each broker. */
static void
print_stats(const json_t *all)
{
	struct dfb_buf heads = { 0 };
	struct ctl_table t = { 0 };
	const char *name;
	json_t *e, *v, *other;
	size_t i;

	if (dfb_buf_addf(&heads, "BROKER") == -1)
		ctl_must(NULL);
	json_array_foreach(all, i, e)
		if (dfb_buf_addf(&heads, " >%s", ctl_str(e, "broker")) == -1)
			ctl_must(NULL);
	if (dfb_buf_add(&heads, "", 1) == -1)
		ctl_must(NULL);
	t.heads = (const char *)heads.data;
	json_object_foreach(json_array_get(all, 0), name, v) {
		if (strcmp(name, "broker") == 0)
			continue;
		ctl_cell(&t, name);
		json_array_foreach(all, i, e) {
			other = json_object_get(e, name);
			if (json_is_integer(other))
				ctl_cell_int(&t, json_integer_value(other));
			else if (json_is_boolean(other))
				ctl_cell(&t, json_is_true(other) ? "yes" : "no");
			else
				ctl_cell(&t, ctl_str(e, name));
		}
	}
	ctl_table_print(&t);
	dfb_buf_release(&heads);
}

static void
stats(struct ctl *c)
{
	struct ctl_brokers b;
	json_t *all;

	if (ctl_brokers_known(c, &b, NULL, c->nargs != 0 ? c->args[0] : NULL) == -1)
		return;
	all = ctl_ask_all(c, &b, "stats", NULL);
	ctl_brokers_release(&b);
	if (c->json && c->nargs == 0)
		ctl_print_json(json_incref(all));
	else if (c->json && json_array_size(all) != 0)
		ctl_print_json(json_incref(json_array_get(all, 0)));
	else if (json_array_size(all) != 0)
		print_stats(all);
	json_decref(all);
}

/* ---- drain ---- */

static void
progress(const char *name, json_int_t left, json_int_t calls)
{
	log_warnx("broker '%s': %" JSON_INTEGER_FORMAT " messages and %"
	    JSON_INTEGER_FORMAT " calls left", name, left, calls);
}

/* Ask until nothing is left.  The last answer; NULL: reported. */
static json_t *
wait_drained(struct ctl *c, const struct ctl_broker *b, json_t *j)
{
	uint64_t start = dfb_mono_ns();
	json_int_t said = -1, said_calls = -1, left, calls;

	for (;;) {
		left = ctl_int(j, "left");
		calls = ctl_int(j, "calls");
		if (left == 0 && calls == 0)
			return j;
		if (left != said || calls != said_calls)
			progress(b->name, said = left, said_calls = calls);
		json_decref(j);
		if (c->timed && (dfb_mono_ns() - start) / 1000000 >=
		    (uint64_t)c->timeout_ms) {
			ctl_fail(c, DFB_TIMEOUT, "broker '%s' has not finished in time: it "
			    "goes on draining", b->name);
			return NULL;
		}
		ctl_pause(c, ASK_EVERY_MS);
		if ((j = ctl_ask(c, b, "drain", NULL)) == NULL)
			return NULL;
	}
}

static void
drain(struct ctl *c)
{
	struct ctl_brokers b;
	json_t *args, *j;

	if (c->undo && c->wait)
		dfb_usage(&c->opts, "--undo leaves nothing to --wait for");
	if (ctl_brokers_known(c, &b, NULL, c->args[0]) == -1)
		return;
	args = ctl_must(json_pack("{s:b}", "on", !c->undo));
	j = ctl_ask(c, &b.list[0], "drain", args);
	json_decref(args);
	if (j != NULL && c->wait)
		j = wait_drained(c, &b.list[0], j);
	if (j != NULL && c->json)
		ctl_print_json(json_incref(j));
	else if (j != NULL && !c->wait && !c->undo)
		progress(b.list[0].name, ctl_int(j, "left"), ctl_int(j, "calls"));
	if (j != NULL && !c->undo && ctl_int(j, "scheduled") != 0)
		log_warnx("broker '%s': %" JSON_INTEGER_FORMAT " messages stay scheduled: it "
		    "must run when they are due", b.list[0].name, ctl_int(j, "scheduled"));
	json_decref(j);
	ctl_brokers_release(&b);
}

const struct ctl_verb ctl_broker_verbs[] = {
	{ "broker", "list", "broker list [options]",
	    "Print the brokers that the name server knows.", plain_table, NULL, 0, 0, list },
	{ "broker", "stats", "broker stats [options] [NAME]",
	    "Print what a broker, or each, has counted since it started.", plain_table, NULL,
	    0, 1, stats },
	{ "broker", "drain", "broker drain [options] NAME",
	    "Have senders go elsewhere while consumers finish what a broker holds.",
	    drain_table, option, 1, 1, drain },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
