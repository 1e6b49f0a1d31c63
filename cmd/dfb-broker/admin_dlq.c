/* ADMIN verbs about dead letters; dlq.redrive is in redrive.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "admin.h"
#include "broker.h"
#include "letters.h"

#define WHY_SIZE 256
#define OFFSETS_MAX 10000
#define RANGES_MAX 1000

static json_t *
describe(struct broker *b, const struct cursor *c)
{
	const char *name = c->q->topic->name;

	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "topic", name,
	    "group", name + strlen("%DLQ-"), "broker", b->cf.name,
	    "letters", (json_int_t)letters_left(c),
	    "first", (json_int_t)c->low, "end", (json_int_t)queue_limit(c->q));
}

json_t *
admin_dlq_list(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	const char *group = json_string_value(json_object_get(args, "group"));
	json_t *list = json_array();
	struct topic *t;

	(void)status;
	(void)why;
	RB_FOREACH(t, topic_tree, &b->topics) {
		struct cursor *c = t->name[0] == '%' ? letters_of(t) : NULL;
		if (c != NULL && (group == NULL ||
		    strcmp(t->name + strlen("%DLQ-"), group) == 0))
			json_array_append_new(list, describe(b, c));
	}
	return list;
}

struct cursor *
admin_letters(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	const char *name = json_string_value(json_object_get(args, "topic"));
	struct topic *t = name != NULL && strlen(name) < DFB_TOPIC_MAX ?
	    topic_by_name(b, name) : NULL;
	struct cursor *c = t != NULL && *name == '%' ? letters_of(t) : NULL;

	if (c == NULL) {
		*status = DFB_NOBODY;
		snprintf(why, WHY_SIZE, "no dead letters in '%.160s' on broker %s",
		    name != NULL ? name : "", b->cf.name);
	}
	return c;
}

/* Ranges of letters that are left, from one offset to another: at most so many. */
json_t *
admin_dlq_left(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	struct cursor *c = admin_letters(b, args, status, why);
	json_int_t from = json_integer_value(json_object_get(args, "from"));
	json_int_t below = json_integer_value(json_object_get(args, "end"));
	uint64_t at, end;
	json_t *ranges;

	if (c == NULL)
		return NULL;
	ranges = json_array();
	end = queue_limit(c->q);
	if (below > 0 && (uint64_t)below < end)
		end = (uint64_t)below;
	at = from > 0 && (uint64_t)from > c->low ? (uint64_t)from : c->low;
	for (size_t i = 0; i <= c->ndone && at < end &&
	    json_array_size(ranges) < RANGES_MAX; i++) {
		uint64_t to = i < c->ndone && c->done[i].from < end ? c->done[i].from : end;
		if (at < to)
			json_array_append_new(ranges, json_pack("[I, I]", (json_int_t)at,
			    (json_int_t)to));
		if (i == c->ndone)
			at = end;
		else if (c->done[i].to > at)
			at = c->done[i].to;
	}
	return json_pack("{s:s, s:o, s:I, s:I}", "topic", c->q->topic->name,
	    "ranges", ranges, "next", (json_int_t)(at < end ? at : end), "end", (json_int_t)end);
}

/* ---- which ---- */

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static size_t
unique(uint64_t *offsets, size_t n)
{
	size_t k = 1;

	for (size_t i = 1; i < n; i++)
		if (offsets[i] != offsets[k - 1])
			offsets[k++] = offsets[i];
	return k;
}

uint64_t *
admin_offsets(json_t *args, size_t *n, enum dfb_status *status, char *why)
{
	json_t *list = json_object_get(args, "offsets"), *v;
	uint64_t *offsets;
	size_t i;

	*n = json_array_size(list);
	*status = DFB_BADINPUT;
	snprintf(why, WHY_SIZE, "'offsets' must be a list of 1 to %d offsets", OFFSETS_MAX);
	if (*n == 0 || *n > OFFSETS_MAX)
		return NULL;
	json_array_foreach(list, i, v)
		if (!json_is_integer(v) || json_integer_value(v) < 0)
			return NULL;
	if ((offsets = calloc(*n, sizeof *offsets)) == NULL) {
		*status = DFB_AGAIN;
		snprintf(why, WHY_SIZE, "the broker is out of memory");
		return NULL;
	}
	json_array_foreach(list, i, v)
		offsets[i] = (uint64_t)json_integer_value(v);
	qsort(offsets, *n, sizeof *offsets, compare);
	*n = unique(offsets, *n);
	return offsets;
}

json_t *
admin_dlq_drop(struct broker *b, json_t *args, enum dfb_status *status, char *why)
{
	struct cursor *c = admin_letters(b, args, status, why);
	uint64_t *offsets;
	size_t n, left = 0;

	if (c == NULL || (offsets = admin_offsets(args, &n, status, why)) == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (letters_has(c, offsets[i]))
			offsets[left++] = offsets[i];
	letters_settle(b, c, offsets, left);
	free(offsets);
	return json_pack("{s:s, s:s, s:I, s:I}", "topic", c->q->topic->name,
	    "broker", b->cf.name, "done", (json_int_t)left, "gone", (json_int_t)(n - left));
}
