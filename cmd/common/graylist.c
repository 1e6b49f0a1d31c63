/* All gray rules of a topic or service. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/grayrule.h"

#define WHY_SIZE 256

void
gray_list_free(struct gray_list *l)
{
	struct gray *r;

	while ((r = TAILQ_FIRST(l)) != NULL) {
		TAILQ_REMOVE(l, r, link);
		gray_release(r);
	}
}

int
gray_list_from_json(struct gray_list *l, const json_t *j, char *why)
{
	const char *label, *key;
	uint32_t shares = 0;
	struct gray *r;
	json_t *rule, *named;

	if (j != NULL && (!json_is_object(j) || json_object_size(j) > GRAY_LABELS_MAX)) {
		snprintf(why, WHY_SIZE, "'gray' must be an object of at most %d rules by label",
		    GRAY_LABELS_MAX);
		return -1;
	}
	json_object_foreach((json_t *)(uintptr_t)j, label, rule) {
		key = json_string_value(json_object_get(rule, "label"));
		if (key != NULL && strcmp(key, label) != 0) {
			snprintf(why, WHY_SIZE, "the gray rule for '%.64s' has another label",
			    label);
			return -1;
		}
		named = json_is_object(rule) ? json_copy(rule) : json_object();
		json_object_set_new(named, "label", json_string(label));
		r = gray_from_json(named, why);
		json_decref(named);
		if (r == NULL)
			return -1;
		TAILQ_INSERT_TAIL(l, r, link);
		if ((shares += r->share) > 10000) {
			snprintf(why, WHY_SIZE, "the rules would share out more than 100 percent");
			return -1;
		}
	}
	return 0;
}
