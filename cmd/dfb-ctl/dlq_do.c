/* Send dead letters again, or drop them: so many at a time, and no faster than --rate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "dfb-ctl/ctl.h"

#define BATCH_MAX 1000
#define BATCHES_A_SECOND 10

struct work {
	const char *verb;        /* the broker's */
	json_t *offsets;         /* of letters of one broker */
	json_t *reasons;         /* why some stay: reason to {count, status} */
	uint64_t begun_ms, done, failed, gone;
	struct dfb_buf lines;    /* of a dry run */
};

/* ---- the broker's part ---- */

static void
note_failures(struct work *k, json_t *failed)
{
	json_t *e, *r;
	size_t i;

	json_array_foreach(failed, i, e) {
		const char *why = ctl_str(e, "reason");
		if ((r = json_object_get(k->reasons, why)) == NULL) {
			r = ctl_must(json_pack("{s:I, s:I}", "count", (json_int_t)0, "status",
			    ctl_int(e, "status")));
			json_object_set_new(k->reasons, why, r);
		}
		json_object_set_new(r, "count", json_integer(ctl_int(r, "count") + 1));
		k->failed++;
	}
}

/* Not before it is time for the next. */
static void
pace(struct ctl *c, struct work *k)
{
	double due = c->rate > 0 ? (double)(k->done + k->failed + k->gone) * 1000 / c->rate : 0;

	for (;;) {
		uint64_t now = dfb_mono_ms() - k->begun_ms;
		if ((double)now >= due)
			return;
		dfb_wait(c->dfb, (int)(due - (double)now) + 1);
	}
}

static bool
ask(struct ctl *c, struct work *k, const struct ctl_broker *b, const char *topic,
    json_t *offsets)
{
	json_t *args, *j;

	pace(c, k);
	args = ctl_must(json_pack("{s:s, s:O}", "topic", topic, "offsets", offsets));
	j = ctl_ask(c, b, k->verb, args);
	json_decref(args);
	if (j == NULL)
		return false;
	k->done += (uint64_t)ctl_int(j, "done");
	k->gone += (uint64_t)ctl_int(j, "gone");
	note_failures(k, json_object_get(j, "failed"));
	json_decref(j);
	return true;
}

static bool
page(struct ctl_walk *w, const struct ctl_broker *b, const char *topic)
{
	struct ctl *c = w->c;
	struct work *k = w->arg;
	size_t n = json_array_size(k->offsets), most = BATCH_MAX;
	bool ok = true;

	if (c->rate > 0 && c->rate / BATCHES_A_SECOND < BATCH_MAX)
		most = c->rate < BATCHES_A_SECOND ? 1 : (size_t)(c->rate / BATCHES_A_SECOND);
	if (n < most && !w->last)
		return true;
	for (size_t i = 0; i < n && ok && !c->dry_run; i += most) {
		json_t *some = ctl_must(json_array());
		for (size_t at = i; at < n && at < i + most; at++)
			json_array_append(some, json_array_get(k->offsets, at));
		ok = ask(c, k, b, topic, some);
		json_decref(some);
	}
	json_array_clear(k->offsets);
	if (dfb_tool_write(STDOUT_FILENO, &k->lines) == -1) {
		log_err("cannot write");
		exit(DFB_IOERR);
	}
	return ok;
}

static bool
letter(struct ctl_walk *w, const struct ctl_letter *l)
{
	struct work *k = w->arg;

	json_array_append_new(k->offsets, json_integer((json_int_t)l->msg->offset));
	if (w->c->dry_run && !w->c->json && ctl_letter_line(&k->lines, l) == -1)
		ctl_must(NULL);
	return true;
}

/* ---- what it came to ---- */

static void
report(struct ctl *c, const struct ctl_walk *w, struct work *k)
{
	const char *why;
	json_t *r;

	json_object_foreach(k->reasons, why, r)
		ctl_fail(c, (enum dfb_status)ctl_int(r, "status"), "%lld dead letter%s: %s",
		    (long long)ctl_int(r, "count"), ctl_int(r, "count") == 1 ? " stays" :
		    "s stay", why);
	if (w->seen == 0 && c->status == DFB_OK)
		ctl_fail(c, DFB_NO, "no dead letter of group '%s'%s", w->group,
		    c->nwhere != 0 ? " is like that" : "");
	if (c->json) {
		ctl_print_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:b}", "group", w->group,
		    "selected", (json_int_t)w->seen, "done", (json_int_t)k->done,
		    "failed", (json_int_t)k->failed, "gone", (json_int_t)k->gone,
		    "dry_run", c->dry_run));
	} else if (!c->dry_run && w->seen != 0) {
		struct ctl_table t = { .heads = "GROUP >SELECTED >DONE >FAILED >GONE" };
		ctl_cell(&t, w->group);
		ctl_cell_int(&t, (json_int_t)w->seen);
		ctl_cell_int(&t, (json_int_t)k->done);
		ctl_cell_int(&t, (json_int_t)k->failed);
		ctl_cell_int(&t, (json_int_t)k->gone);
		ctl_table_print(&t);
	}
}

static void
run(struct ctl *c, const char *verb)
{
	struct work k = { .verb = verb, .offsets = ctl_must(json_array()),
		.reasons = ctl_must(json_object()), .begun_ms = dfb_mono_ms() };
	struct ctl_walk w = { .c = c, .group = c->args[0], .letter = letter, .page = page,
		.arg = &k };

	ctl_walk(&w);
	report(c, &w, &k);
	json_decref(k.offsets);
	json_decref(k.reasons);
	dfb_buf_release(&k.lines);
}

void
ctl_dlq_redrive(struct ctl *c)
{
	run(c, "dlq.redrive");
}

void
ctl_dlq_drop(struct ctl *c)
{
	if (!c->dry_run) {
		ctl_need_terminal(c);
		if (!ctl_confirm(c, "Drop dead letters of group '%s' for good?", c->args[0]))
			return;
	}
	run(c, "dlq.drop");
}
