/* What several brokers say, as one. */
#include <stdlib.h>
#include <string.h>

#include "dfb-ctl/ctl.h"

json_int_t
ctl_int(const json_t *j, const char *name)
{
	return json_integer_value(json_object_get(j, name));
}

const char *
ctl_str(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));

	return s != NULL ? s : "";
}

const char *
ctl_deployment(const json_t *service, const char *region)
{
	const json_t *d = json_object_get(json_object_get(service, "regions"), region);

	return d != NULL ? ctl_str(d, "state") : "none";
}

static bool
in(const char *name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(name, *list) == 0)
			return true;
	return false;
}

struct keys {
	const char *first, *second;
};

static int
compare(const void *a, const void *b, void *arg)
{
	json_t *const *x = a, *const *y = b;
	const struct keys *k = arg;
	int d = strcmp(ctl_str(*x, k->first), ctl_str(*y, k->first));

	return d != 0 ? d : strcmp(ctl_str(*x, k->second), ctl_str(*y, k->second));
}

void
ctl_sort(json_t *list, const char *first, const char *second)
{
	struct keys k = { first, second };
	size_t n = json_array_size(list);
	json_t **v = ctl_must(calloc(n + 1, sizeof *v));

	for (size_t i = 0; i < n; i++)
		v[i] = json_incref(json_array_get(list, i));
	qsort_r(v, n, sizeof *v, compare, &k);
	json_array_clear(list);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, v[i]);
	free(v);
}

static json_t *
find(const json_t *all, const json_t *j, const char *key)
{
	size_t i;
	json_t *e;

	json_array_foreach(all, i, e)
		if (strcmp(ctl_str(e, key), ctl_str(j, key)) == 0 &&
		    strcmp(ctl_str(e, "topic"), ctl_str(j, "topic")) == 0)
			return e;
	return NULL;
}

/* Fold j into e. */
static void
fold(json_t *e, json_t *j, const char *const *max, const char *const *drop)
{
	const char *name;
	json_t *v;

	json_object_foreach(j, name, v) {
		json_t *old = json_object_get(e, name);
		json_int_t a = json_integer_value(old), b = json_integer_value(v);

		if (in(name, drop))
			continue;
		if (strcmp(name, "broker") == 0)
			json_array_append(json_object_get(e, "brokers"), v);
		else if (old == NULL)
			json_object_set_new(e, name, json_deep_copy(v));
		else if (json_is_integer(v) && in(name, max))
			json_integer_set(old, a > b ? a : b);
		else if (json_is_integer(v))
			json_integer_set(old, a + b);
	}
}

json_t *
ctl_merge(const json_t *list, const char *key, const char *const *max,
    const char *const *drop)
{
	json_t *all = ctl_must(json_array()), *j, *e;
	size_t i;

	json_array_foreach(list, i, j) {
		if ((e = find(all, j, key)) == NULL) {
			e = ctl_must(json_pack("{s:[]}", "brokers"));
			json_array_append_new(all, e);
		}
		fold(e, j, max, drop);
	}
	ctl_sort(all, "topic", key);
	return all;
}
