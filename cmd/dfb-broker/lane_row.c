/* Lanes in a topic's row: "lanes": a list of label, number, kept, readable,
 * writable; "moves". */
#include <string.h>

#include <jansson.h>

#include "broker.h"
#include "gray.h"
#include "lane.h"

int
lanes_to_json(const struct topic *t, struct json_t *row)
{
	json_t *lanes = json_array(), *moves = json_array(), *rules = json_array();
	struct gray *r;
	struct lane *l;

	TAILQ_FOREACH(r, &t->gray, link)
		if (json_array_append_new(rules, gray_to_json(r)) == -1)
			break;
	if (json_object_set_new(row, "gray", rules) == -1)
		return -1;

	TAILQ_FOREACH(l, &t->lanes, link)
		if (json_array_append_new(lanes, json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}",
		    "label", l->label, "ending", l->ending, "number", (json_int_t)l->number,
		    "kept", (json_int_t)l->kept, "readable", (json_int_t)l->readable,
		    "writable", (json_int_t)l->writable)) == -1)
			break;
	if (l != NULL || moves_to_json(t, moves) == -1) {
		json_decref(lanes);
		json_decref(moves);
		return -1;
	}
	return json_object_set_new(row, "lanes", lanes) == 0 &&
	    json_object_set_new(row, "moves", moves) == 0 ? 0 : -1;
}

static int
load_lane(struct broker *b, struct topic *t, const json_t *j)
{
	const char *label = json_string_value(json_object_get(j, "label"));
	json_int_t number = json_integer_value(json_object_get(j, "number"));
	json_int_t kept = json_integer_value(json_object_get(j, "kept"));
	json_int_t readable = json_integer_value(json_object_get(j, "readable"));
	json_int_t writable = json_integer_value(json_object_get(j, "writable"));
	struct lane *l;

	if (label == NULL || strlen(label) >= sizeof l->label || number < 0 ||
	    number >= LANES_MAX || writable < 0 || writable > readable ||
	    readable > kept || kept > LANE_QUEUES_MAX)
		return -1;
	if ((l = lane_find(t, (uint32_t)number)) == NULL &&
	    (l = lane_new(t, (uint32_t)number, label)) == NULL)
		return -1;
	if (lane_add(b, t, l, (uint32_t)kept) == -1)
		return -1;
	l->readable = (uint32_t)readable;
	l->writable = (uint32_t)writable;
	l->ending = json_is_true(json_object_get(j, "ending"));
	return 0;
}

int
lanes_from_json(struct broker *b, struct topic *t, const struct json_t *row)
{
	struct gray *r;
	char why[256];
	const json_t *j;
	size_t i;

	json_array_foreach(json_object_get(row, "lanes"), i, j)
		if (load_lane(b, t, j) == -1)
			return -1;
	json_array_foreach(json_object_get(row, "gray"), i, j)
		if ((r = gray_from_json(j, why)) == NULL || gray_put(b, t, r) != 0)
			return -1;
	if (t->set.durability == DFB_MEMORY)
		return 0; /* what was in the queues is gone */
	return moves_from_json(t, json_object_get(row, "moves"));
}
