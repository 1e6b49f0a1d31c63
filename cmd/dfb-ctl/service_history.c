/* The journal of sgs: who changed what. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "dfb-ctl/ctl.h"
#include "dfb-ctl/sgs.h"

#define PAGE 500
#define ITEMS_MAX 3 /* of a list that changed */
#define COMPARE_MAX 1000 /* longer lists: how long */

/* ---- what changed ---- */

static void
add(struct dfb_buf *b, const char *fmt, const char *text)
{
	ctl_must(dfb_buf_addf(b, fmt, text) == 0 ? b : NULL);
}

static void
add_json(struct dfb_buf *b, const char *fmt, const json_t *v)
{
	char *text = v == NULL ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY |
	    JSON_REAL_PRECISION(6));

	if (json_is_string(v))
		add(b, fmt, json_string_value(v));
	else
		add(b, fmt, text != NULL ? text : "none");
	free(text);
}

static bool
has(const json_t *list, const json_t *v)
{
	size_t i;
	json_t *e;

	json_array_foreach(list, i, e)
		if (json_equal(e, v))
			return true;
	return false;
}

/* What one list has and the other has not. */
static void
add_items(struct dfb_buf *b, const char *fmt, const json_t *list, const json_t *other)
{
	size_t i, n = 0;
	char more[32];
	json_t *e;

	json_array_foreach(list, i, e)
		if (!has(other, e) && n++ < ITEMS_MAX)
			add_json(b, fmt, e);
	if (n > ITEMS_MAX) {
		snprintf(more, sizeof more, "%zu more", n - ITEMS_MAX);
		add(b, fmt, more);
	}
}

/* Fields that say when, or repeat what is in the entry. */
static bool
is_plain(const char *name)
{
	return strcmp(name, "version") == 0 || strcmp(name, "since_ms") == 0 ||
	    strcmp(name, "until_ms") == 0 || strcmp(name, "service") == 0 ||
	    strcmp(name, "why") == 0;
}

static void diff(struct dfb_buf *, const char *path, const json_t *a, const json_t *b);

static void
diff_one(struct dfb_buf *out, const char *path, const char *name, const json_t *a,
    const json_t *b)
{
	char full[256];

	snprintf(full, sizeof full, "%s%s%s", path, *path != '\0' ? "." : "", name);
	if (is_plain(name) || json_equal(a, b))
		return;
	if ((a == NULL || json_is_object(a)) && (b == NULL || json_is_object(b))) {
		diff(out, full, a, b);
		return;
	}
	add(out, out->len != 0 ? "; %s" : "%s", full);
	if (json_array_size(a) > COMPARE_MAX || json_array_size(b) > COMPARE_MAX) {
		snprintf(full, sizeof full, " %zu -> %zu entries", json_array_size(a),
		    json_array_size(b));
		add(out, "%s", full);
	} else if ((a == NULL || json_is_array(a)) && (b == NULL || json_is_array(b))) {
		add_items(out, " -%s", a, b);
		add_items(out, " +%s", b, a);
	} else if (a == NULL)
		add_json(out, " %s", b);
	else {
		add_json(out, " %s", a);
		add_json(out, " -> %s", b);
	}
}

static void
diff(struct dfb_buf *out, const char *path, const json_t *a, const json_t *b)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)b, name, v)
		diff_one(out, path, name, json_object_get(a, name), v);
	json_object_foreach((json_t *)(uintptr_t)a, name, v)
		if (json_object_get(b, name) == NULL)
			diff_one(out, path, name, v, NULL);
}

/* ---- print ---- */

static void
print(const json_t *entries)
{
	struct ctl_table t = { .heads = ">VERSION TIME WHO WHAT SERVICE REGION CHANGED" };
	struct dfb_buf b = { 0 };
	char when[25];
	size_t i;
	json_t *e;

	json_array_foreach(entries, i, e) {
		ctl_cell_int(&t, ctl_int(e, "seq"));
		ctl_cell(&t, dfb_format_when((uint64_t)ctl_int(e, "at_ms"), when));
		ctl_cell(&t, ctl_str(e, "who"));
		ctl_cell(&t, ctl_str(e, "what"));
		ctl_cell(&t, ctl_str(e, "service"));
		ctl_cell(&t, ctl_str(e, "region"));
		diff(&b, "", json_object_get(e, "before"), json_object_get(e, "after"));
		if (*ctl_str(e, "why") != '\0')
			add(&b, b.len != 0 ? "; because %s" : "because %s", ctl_str(e, "why"));
		ctl_must(dfb_buf_add(&b, "", 1) == 0 ? &b : NULL);
		ctl_cell(&t, (const char *)b.data);
		b.len = 0;
	}
	dfb_buf_release(&b);
	ctl_table_print(&t);
}

void
ctl_service_history(struct ctl *c)
{
	json_t *all = ctl_must(json_array()), *page, *args;
	json_int_t next = (json_int_t)c->start_value;

	do {
		args = ctl_must(json_pack("{s:I, s:i}", "from", next, "limit", PAGE));
		if (c->nargs != 0)
			json_object_set_new(args, "service", json_string(c->args[0]));
		if ((page = ctl_sgs(c, "service.history", args)) == NULL) {
			json_decref(all);
			return;
		}
		json_array_extend(all, json_object_get(page, "entries"));
		while (c->counted && json_array_size(all) > c->count)
			json_array_remove(all, 0);
		next = ctl_int(page, "next");
		json_decref(page);
	} while (next != 0);
	if (c->nargs != 0 && json_array_size(all) == 0)
		ctl_fail(c, DFB_NOBODY, "nothing was ever done with '%s'", c->args[0]);
	else if (!c->json)
		print(all);
	ctl_sgs_done(c, all);
}
