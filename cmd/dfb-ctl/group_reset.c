#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "client/admin.h"
#include "dfb-ctl/ctl.h"

/* The brokers that have the group, and the topic's name.  0, or -1: reported. */
static int
having(struct ctl *c, struct ctl_brokers *b, char topic[DFB_TOPIC_MAX])
{
	json_t *all, *e;
	size_t n = 0, i;

	ctl_topic(c, c->args[0], topic);
	if ((all = ctl_groups(c, b)) == NULL)
		return -1;
	for (size_t k = 0; k < b->n; k++)
		json_array_foreach(all, i, e)
			if (strcmp(ctl_str(e, "broker"), b->list[k].name) == 0) {
				b->list[n++] = b->list[k];
				break;
			}
	b->n = n;
	json_decref(all);
	/* All or none: one that did not answer is not left out. */
	if (c->status != DFB_OK)
		ctl_brokers_release(b);
	return c->status == DFB_OK ? 0 : -1;
}

static void
ignore(void *arg, const struct dfb_msg *m)
{
	(void)arg;
	(void)m;
}

/* Where each queue of the topic on a broker stands at the time asked for.  NULL: reported. */
static json_t *
offsets_at(struct ctl *c, const struct ctl_broker *b, const char *topic)
{
	struct dfb_admin_peek p = { .endpoint = b->endpoint, .topic = topic,
		.start = DFB_TIME, .start_value = c->start_value, .max_count = 1,
		.queues = 1 };
	json_t *offsets = ctl_must(json_array());
	enum dfb_status st;

	for (; p.queue < p.queues; p.queue++) {
		st = dfb_admin_peek(c->dfb, &p, c->timeout_ms, ignore, NULL);
		if (st != DFB_OK) {
			ctl_fail(c, st, "broker '%s': %s", b->name, dfb_error(c->dfb));
			json_decref(offsets);
			return NULL;
		}
		json_array_append_new(offsets, json_integer((json_int_t)p.offset));
	}
	return offsets;
}

/* Reset on all; dry: only find out what would happen.  NULL: reported. */
static json_t *
reset_all(struct ctl *c, const struct ctl_brokers *b, const char *topic, bool dry)
{
	static const char *const places[] = { [DFB_BEGINNING] = "beginning",
		[DFB_END] = "end", [DFB_OFFSET] = "offset", [DFB_TIME] = "time" };
	json_t *rows = ctl_must(json_array()), *args, *j, *offsets;

	for (size_t i = 0; i < b->n && c->status == DFB_OK; i++) {
		args = ctl_must(json_pack("{s:s, s:s, s:s, s:b}", "topic", topic, "group",
		    c->args[1], "to", places[c->start], "dry_run", dry));
		if (c->start == DFB_OFFSET)
			json_object_set_new(args, "value",
			    json_integer((json_int_t)c->start_value));
		if (c->start == DFB_TIME &&
		    (offsets = offsets_at(c, &b->list[i], topic)) != NULL)
			json_object_set_new(args, "offsets", offsets);
		if (c->status == DFB_OK &&
		    (j = ctl_ask(c, &b->list[i], "group.reset", args)) != NULL) {
			json_array_extend(rows, j);
			json_decref(j);
		}
		json_decref(args);
	}
	if (c->status == DFB_OK)
		return rows;
	json_decref(rows);
	return NULL;
}

static void
print_reset(const json_t *rows)
{
	struct ctl_table t = { .heads = "TOPIC GROUP BROKER >QUEUE >FROM >TO >MESSAGES" };
	size_t i;
	json_t *e;

	json_array_foreach(rows, i, e) {
		ctl_cell(&t, ctl_str(e, "topic"));
		ctl_cell(&t, ctl_str(e, "group"));
		ctl_cell(&t, ctl_str(e, "broker"));
		ctl_cell_int(&t, ctl_int(e, "queue"));
		ctl_cell_int(&t, ctl_int(e, "from"));
		ctl_cell_int(&t, ctl_int(e, "to"));
		ctl_cell_int(&t, ctl_int(e, "messages"));
	}
	ctl_table_print(&t);
}

void
ctl_group_reset(struct ctl *c)
{
	char topic[DFB_TOPIC_MAX];
	struct ctl_brokers b;
	json_t *rows;

	if (c->to == NULL)
		dfb_usage(&c->opts, "say where to: --to beginning, end, an offset or @TIME");
	ctl_place(c, "--to", c->to);
	if (having(c, &b, topic) == -1)
		return;
	/* First see that all of them would. */
	rows = reset_all(c, &b, topic, true);
	if (rows != NULL && !c->dry_run) {
		json_decref(rows);
		rows = reset_all(c, &b, topic, false);
	}
	ctl_brokers_release(&b);
	if (rows == NULL)
		return;
	if (c->json)
		ctl_print_json(rows);
	else {
		print_reset(rows);
		json_decref(rows);
		if (c->dry_run)
			log_warnx("nothing was changed: this was a dry run");
	}
}

void
ctl_group_delete(struct ctl *c)
{
	char topic[DFB_TOPIC_MAX];
	struct ctl_brokers b;
	json_t *args, *results;

	ctl_need_terminal(c);
	if (having(c, &b, topic) == -1)
		return;
	/* What could not be reset cannot be deleted either. */
	c->start = DFB_END;
	json_decref(reset_all(c, &b, topic, true));
	if (c->status == DFB_OK && ctl_confirm(c, "delete group '%s' of topic '%s', and where "
	    "it stands?", c->args[1], topic)) {
		args = ctl_must(json_pack("{s:s, s:s}", "topic", topic, "group", c->args[1]));
		results = ctl_ask_all(c, &b, "group.delete", args);
		json_decref(args);
		if (c->json)
			ctl_print_json(results);
		else
			json_decref(results);
	}
	ctl_brokers_release(&b);
}
