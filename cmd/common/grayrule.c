/* Rules of gray release as JSON: in the topic's row and in ADMIN. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/grayrule.h"

#define WHY_SIZE 256

json_t *
gray_to_json(const struct gray *r)
{
	json_t *j = json_pack("{s:s, s:s}", "label", r->label, "else",
	    r->fallback ? "fallback" : "refuse"), *keys;

	if (r->header[0] != '\0') {
		json_object_set_new(j, "header", json_string(r->header));
		json_object_set_new(j, "value", json_string(r->value));
	}
	if (r->share != 0)
		json_object_set_new(j, "percent", json_real(r->share / 100.0));
	if (r->nkeys != 0) {
		json_object_set_new(j, "keys", keys = json_array());
		for (size_t i = 0; i < r->nkeys; i++)
			json_array_append_new(keys, json_string(r->keys[i]));
	}
	return j;
}

void
gray_release(struct gray *r)
{
	for (size_t i = 0; r != NULL && i < r->nkeys; i++)
		free(r->keys[i]);
	if (r != NULL)
		free(r->keys);
	free(r);
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
read_keys(struct gray *r, const json_t *list, char *why)
{
	size_t n = json_array_size(list);

	snprintf(why, WHY_SIZE, "'keys' must be a list of at most %d keys of 1 to 255 bytes",
	    GRAY_KEYS_MAX);
	if (list == NULL)
		return 0;
	if (!json_is_array(list) || n > GRAY_KEYS_MAX ||
	    (r->keys = calloc(n + 1, sizeof(char *))) == NULL)
		return -1;
	for (; r->nkeys < n; r->nkeys++) {
		const char *key = json_string_value(json_array_get(list, r->nkeys));
		if (key == NULL || *key == '\0' || strlen(key) > 255 ||
		    (r->keys[r->nkeys] = strdup(key)) == NULL)
			return -1;
	}
	qsort(r->keys, n, sizeof(char *), by_bytes);
	return 0;
}

/* Text of a field, at most size - 1 bytes; absent: empty. */
static int
text(const json_t *j, const char *field, char *to, size_t size, char *why)
{
	const json_t *v = json_object_get(j, field);
	const char *s = json_string_value(v);

	if (v != NULL && (s == NULL || strlen(s) >= size)) {
		snprintf(why, WHY_SIZE, "'%s' must be text of at most %zu bytes", field,
		    size - 1);
		return -1;
	}
	snprintf(to, size, "%s", s != NULL ? s : "");
	return 0;
}

static int
read_fields(struct gray *r, const json_t *j, char *why)
{
	double percent = json_number_value(json_object_get(j, "percent"));
	char otherwise[16];

	if (text(j, "label", r->label, 65, why) == -1 ||
	    text(j, "header", r->header, sizeof r->header, why) == -1 ||
	    text(j, "value", r->value, sizeof r->value, why) == -1 ||
	    text(j, "else", otherwise, sizeof otherwise, why) == -1)
		return -1;
	if (!dfb_name_valid(r->label))
		snprintf(why, WHY_SIZE, "'label' must be 1 to 64 letters, digits, '_', '.' "
		    "or '-'");
	else if (percent < 0 || percent > 100)
		snprintf(why, WHY_SIZE, "'percent' must be from 0 to 100");
	else if (otherwise[0] != '\0' && strcmp(otherwise, "refuse") != 0 &&
	    strcmp(otherwise, "fallback") != 0)
		snprintf(why, WHY_SIZE, "'else' must be refuse or fallback");
	else {
		r->share = (uint32_t)(percent * 100 + 0.5);
		r->fallback = strcmp(otherwise, "fallback") == 0;
		return read_keys(r, json_object_get(j, "keys"), why);
	}
	return -1;
}

struct gray *
gray_from_json(const json_t *j, char *why)
{
	struct gray *r = calloc(1, sizeof *r);

	snprintf(why, WHY_SIZE, "out of memory");
	if (r == NULL)
		return NULL;
	if (read_fields(r, j, why) == -1) {
		gray_release(r);
		return NULL;
	}
	if (r->header[0] == '\0' && r->nkeys == 0 && r->share == 0) {
		snprintf(why, WHY_SIZE, "a rule needs a header, keys or a percentage");
		gray_release(r);
		return NULL;
	}
	return r;
}
