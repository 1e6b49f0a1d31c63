/* How far regions are from each other. */
#include <string.h>

#include <jansson.h>

#include "dfb-sgs/command.h"

#define DISTANCE_MAX 1000000

static void
set(struct edit *e, json_t *all, const char *from, const char *to, int64_t n)
{
	json_t *row = json_object_get(all, from);

	if (row == NULL) {
		edit_set(e, all, from, json_object());
		row = json_object_get(all, from);
	}
	edit_set(e, row, to, json_integer(n));
}

/* Whether there was one. */
static bool
unset(json_t *all, const char *from, const char *to)
{
	json_t *row = json_object_get(all, from);
	bool was = json_object_del(row, to) == 0;

	if (was && json_object_size(row) == 0)
		json_object_del(all, from);
	return was;
}

int
edit_distance(struct edit *e)
{
	json_t *all = json_object_get(e->after, "distances");
	json_t *one = json_object_get(e->args, "one_way");
	const char *from, *to;
	int64_t n = -1;
	bool was;

	if (edit_region(e, "from", &from) == -1 || edit_region(e, "to", &to) == -1)
		return -1;
	if (strcmp(from, to) == 0)
		return edit_refuse(e, DFB_BADINPUT, "the distance of %s to itself is 0", from);
	if (one != NULL && !json_is_boolean(one))
		return edit_refuse(e, DFB_BADINPUT, "'one_way' must be true or false");
	if (strcmp(e->what, "distance.delete") == 0) {
		was = unset(all, from, to);
		if (!json_is_true(one))
			was = unset(all, to, from) || was;
		return was ? 0 : edit_refuse(e, DFB_NOBODY, "no distance from %s to %s is set",
		    from, to);
	}
	if (edit_number(e, "distance", 0, DISTANCE_MAX, &n) == -1)
		return -1;
	if (n == -1)
		return edit_refuse(e, DFB_BADINPUT, "'distance' is missing: 0 to %d",
		    DISTANCE_MAX);
	set(e, all, from, to, n);
	if (!json_is_true(one))
		set(e, all, to, from, n);
	return 0;
}
