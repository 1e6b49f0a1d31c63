/* Dead letters: what there is. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "common/framing.h"
#include "dfb-ctl/ctl.h"
#include "wire/words.h"

#define REASON_WIDTH 60
#define REASONS_MAX 1000 /* told apart; more are counted together */

enum { OPT_BROKER = CTL_LETTER_OWN, OPT_WHERE, OPT_RATE, OPT_DRY_RUN };

#define WHICH \
	{ OPT_WHERE, "where", "COND", "only those: FIELD=VALUE, also ~ < >; several: all" }, \
	{ 'c', "count", "N", "so many at most" }, \
	{ OPT_BROKER, "broker", "NAME", "only on this broker" }
#define HOW \
	{ OPT_RATE, "rate", "N", "so many a second at most" }, \
	{ OPT_DRY_RUN, "dry-run", NULL, "only say which" }

static const struct dfb_opt list_table[] = { WHICH, CTL_OPTIONS };
static const struct dfb_opt redrive_table[] = { WHICH, HOW, CTL_OPTIONS };
static const struct dfb_opt drop_table[] = {
	WHICH, HOW, { 'y', "yes", NULL, "do not ask" }, CTL_OPTIONS };

/* 100, or 100/s. */
static double
rate_of(const struct dfb_opts *o)
{
	char text[32];
	size_t n = strlen(o->arg);
	uint64_t rate;

	if (n > 2 && strcmp(o->arg + n - 2, "/s") == 0)
		n -= 2;
	snprintf(text, sizeof text, "%.*s", (int)n, o->arg);
	if (n >= sizeof text || dfb_parse_count(text, 1, INT32_MAX, &rate) == -1)
		dfb_usage(o, "--rate takes a number of messages a second, not '%s'", o->arg);
	return (double)rate;
}

static void
option(struct ctl *c, int letter)
{
	switch (letter) {
	case OPT_BROKER: c->broker = c->opts.arg; break;
	case OPT_WHERE: ctl_where(c, c->opts.arg); break;
	case OPT_RATE: c->rate = rate_of(&c->opts); break;
	case OPT_DRY_RUN: c->dry_run = true; break;
	case 'y': c->yes = true; break;
	case 'c':
		c->count = dfb_opt_count(&c->opts, 1, UINT64_MAX);
		c->counted = true;
		break;
	}
}

/* A reason's first line, short; into text. */
static const char *
short_reason(const char *reason, char text[REASON_WIDTH + 4])
{
	size_t n = strcspn(reason, "\r\n"), i = 0;
	const char *more = reason[n] != '\0' || n > REASON_WIDTH ? "..." : "";

	if (n > REASON_WIDTH)
		n = REASON_WIDTH;
	while (n > 0 && ((unsigned char)reason[n] & 0xc0) == 0x80)
		n--;
	for (; i < n; i++)
		text[i] = iscntrl((unsigned char)reason[i]) ? '?' : reason[i];
	snprintf(text + n, REASON_WIDTH + 4 - n, "%s", more);
	return text;
}

/* ---- list ---- */

/* One more like this, in an object of rows. */
static bool
count_letter(struct ctl_walk *w, const struct ctl_letter *l)
{
	json_t *rows = w->arg, *row;
	char reason[REASON_WIDTH + 4], when[25], key[512];

	short_reason(l->reason, reason);
	if (json_object_size(rows) >= REASONS_MAX)
		snprintf(reason, sizeof reason, "(other reasons)");
	snprintf(key, sizeof key, "%s %s %s %s", l->group, l->topic, l->broker->name, reason);
	if ((row = json_object_get(rows, key)) == NULL) {
		row = ctl_must(json_pack("{s:s, s:s, s:s, s:I, s:s, s:s}", "group", l->group,
		    "topic", l->topic, "broker", l->broker->name, "letters", (json_int_t)0,
		    "oldest", dfb_format_when(l->time_ms, when), "reason", reason));
		json_object_set_new(rows, key, row);
	}
	json_object_set_new(row, "letters", json_integer(ctl_int(row, "letters") + 1));
	if (strcmp(dfb_format_when(l->time_ms, when), ctl_str(row, "oldest")) < 0)
		json_object_set_new(row, "oldest", json_string(when));
	return true;
}

static bool
no_page(struct ctl_walk *w, const struct ctl_broker *b, const char *topic)
{
	(void)w;
	(void)b;
	(void)topic;
	return true;
}

static void
print_counts(const json_t *list)
{
	struct ctl_table t = { .heads = "GROUP TOPIC BROKER >LETTERS OLDEST REASON" };
	json_t *e;
	size_t i;

	json_array_foreach(list, i, e) {
		ctl_cell(&t, ctl_str(e, "group"));
		ctl_cell(&t, ctl_str(e, "topic"));
		ctl_cell(&t, ctl_str(e, "broker"));
		ctl_cell_int(&t, ctl_int(e, "letters"));
		ctl_cell(&t, ctl_str(e, "oldest"));
		ctl_cell(&t, ctl_str(e, "reason"));
	}
	ctl_table_print(&t);
}

static void
list(struct ctl *c)
{
	json_t *rows = ctl_must(json_object()), *all = ctl_must(json_array()), *e;
	struct ctl_walk w = { .c = c, .group = c->nargs > 0 ? c->args[0] : NULL,
		.letter = count_letter, .page = no_page, .arg = rows };
	const char *key;

	ctl_walk(&w);
	json_object_foreach(rows, key, e)
		json_array_append(all, e);
	json_decref(rows);
	ctl_sort(all, "group", "topic");
	if (c->json)
		ctl_print_json(all);
	else {
		print_counts(all);
		json_decref(all);
	}
}

/* ---- show, export ---- */

static int
add_field(struct dfb_buf *b, const char *name, const void *p, size_t n)
{
	if (!dfb_utf8_valid(p, n) || memchr(p, '\n', n) != NULL)
		return dfb_buf_addf(b, "  %s=(%zu bytes)", name, n);
	return dfb_buf_addf(b, "  %s=%.*s", name, (int)n, (const char *)p);
}

int
ctl_letter_line(struct dfb_buf *b, const struct ctl_letter *l)
{
	char id[DFB_ID_TEXT], when[25], reason[REASON_WIDTH + 4];

	dfb_id_format(&l->msg->id, id);
	if (dfb_buf_addf(b, "%s:%llu  %s  %s %u:%llu  %s", l->broker->name,
	    (unsigned long long)l->msg->offset, dfb_format_when(l->time_ms, when), l->topic,
	    l->queue, (unsigned long long)l->offset, id) == -1)
		return -1;
	if (l->msg->key_len != 0 && add_field(b, "key", l->msg->key, l->msg->key_len) == -1)
		return -1;
	if (l->redriven != 0 && dfb_buf_addf(b, "  redriven=%u", l->redriven) == -1)
		return -1;
	return dfb_buf_addf(b, "  tries=%u  %s\n", l->tries, short_reason(l->reason, reason));
}

int
ctl_letter_json(struct dfb_buf *b, const struct ctl_letter *l)
{
	struct dfb_buf line = { 0 };
	char when[25], *text;
	json_t *j, *dead;
	int rc;

	if (dfb_framing_write(&line, DFB_FRAMING_JSON, l->msg) == -1)
		return -1;
	j = ctl_must(json_loadb((const char *)line.data, line.len, 0, NULL));
	dead = ctl_must(json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s}", "topic", l->topic,
	    "group", l->group, "queue", (json_int_t)l->queue, "offset", (json_int_t)l->offset,
	    "tries", (json_int_t)l->tries, "redriven", (json_int_t)l->redriven,
	    "time", dfb_format_when(l->time_ms, when), "reason", l->reason));
	json_object_set_new(j, "broker", json_string(l->broker->name));
	json_object_set_new(j, "dead", dead);
	text = ctl_must(json_dumps(j, JSON_COMPACT));
	rc = dfb_buf_addf(b, "%s\n", text);
	free(text);
	json_decref(j);
	dfb_buf_release(&line);
	return rc;
}

static bool
write_page(struct ctl_walk *w, const struct ctl_broker *b, const char *topic)
{
	(void)b;
	(void)topic;
	if (dfb_tool_write(STDOUT_FILENO, w->arg) == -1) {
		log_err("cannot write");
		exit(DFB_IOERR);
	}
	return true;
}

static bool
show_letter(struct ctl_walk *w, const struct ctl_letter *l)
{
	if ((w->c->json ? ctl_letter_json(w->arg, l) : ctl_letter_line(w->arg, l)) == -1)
		ctl_must(NULL);
	return true;
}

static bool
export_letter(struct ctl_walk *w, const struct ctl_letter *l)
{
	if (dfb_framing_write(w->arg, DFB_FRAMING_JSON, l->msg) == -1)
		ctl_must(NULL);
	return true;
}

static void
print(struct ctl *c, bool (*letter)(struct ctl_walk *, const struct ctl_letter *))
{
	struct dfb_buf buf = { 0 };
	struct ctl_walk w = { .c = c, .group = c->args[0], .letter = letter,
		.page = write_page, .arg = &buf };

	ctl_walk(&w);
	if (w.seen == 0 && c->status == DFB_OK)
		ctl_fail(c, DFB_NO, "no dead letter of group '%s'%s", w.group,
		    c->nwhere != 0 ? " is like that" : "");
	dfb_buf_release(&buf);
}

static void
show(struct ctl *c)
{
	print(c, show_letter);
}

static void
export(struct ctl *c)
{
	print(c, export_letter);
}

const struct ctl_verb ctl_dlq_verbs[] = {
	{ "dlq", "list", "dlq list [options] [GROUP]",
	    "Count dead letters by group, topic, broker and reason.", list_table, option, 0, 1,
	    list },
	{ "dlq", "show", "dlq show [options] GROUP",
	    "Print a line about each dead letter of a group; --json prints all of it.",
	    list_table, option, 1, 1, show },
	{ "dlq", "redrive", "dlq redrive [options] GROUP",
	    "Send dead letters to their topics again; only this group gets them.",
	    redrive_table, option, 1, 1, ctl_dlq_redrive },
	{ "dlq", "drop", "dlq drop [options] GROUP", "Drop dead letters.", drop_table, option,
	    1, 1, ctl_dlq_drop },
	{ "dlq", "export", "dlq export [options] GROUP",
	    "Print dead letters as lines of JSON, as dfb-recv -J does.", list_table, option,
	    1, 1, export },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
