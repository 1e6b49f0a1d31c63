/* What dfb-ctl service import reads.  One file or two: what is imported leaves nothing to do, and
 * all that is to be done can be said as a command. */
#include <jansson.h>

#include "dfb-ctl/catalog.h"
#include "dfb-ctl/ctl.h"
#include "fuzz.h"

void
ctl_fail(struct ctl *c, enum dfb_status st, const char *fmt, ...)
{
	need(fmt != NULL && st == DFB_BADINPUT);
	c->status = st;
}

void *
ctl_must(void *p)
{
	need(p != NULL);
	return p;
}

/* A checked file; NULL: there are errors, and they were told. */
static json_t *
read(const char *text, size_t len)
{
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL), *file = NULL;
	struct ctl c = { 0 };

	if (j != NULL) {
		file = ctl_catalog_check(&c, "file", j);
		need((file == NULL) == (c.status == DFB_BADINPUT));
	}
	json_decref(j);
	return file;
}

/* What sgs has when it has exactly what a file says. */
static json_t *
imported(const json_t *file)
{
	json_t *has = json_deep_copy(file), *s;
	const char *name;

	json_object_foreach(json_object_get(has, "services"), name, s) {
		if (json_object_get(s, "state") == NULL)
			json_object_set_new(s, "state", json_string("approved"));
		json_object_set_new(s, "version", json_integer(7));
	}
	return has;
}

static size_t
steps(const json_t *has, const json_t *file, int prune)
{
	json_t *plan = ctl_catalog_plan(has, file, prune), *step, *line;
	size_t n = json_array_size(plan), i, k;

	json_array_foreach(plan, i, step) {
		need(json_array_size(json_object_get(step, "commands")) != 0);
		json_array_foreach(json_object_get(step, "commands"), k, line)
			need(strncmp(json_string_value(line), "dfb-ctl ", 8) == 0);
		need(json_is_string(json_object_get(step, "verb")) &&
		    json_is_object(json_object_get(step, "args")));
	}
	json_decref(plan);
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *bar = memchr(data, '|', size); /* between two files */
	size_t len = bar != NULL ? (size_t)(bar - data) : size;
	json_t *a = read((const char *)data, len), *b = bar == NULL ? NULL :
	    read((const char *)bar + 1, size - len - 1), *has;

	if (a != NULL) {
		has = imported(a);
		need(steps(has, a, 0) == 0 && steps(has, a, 1) == 0);
		if (b != NULL) {
			steps(has, b, 0);
			steps(has, b, 1);
		}
		json_decref(has);
	}
	json_decref(a);
	json_decref(b);
	return 0;
}
