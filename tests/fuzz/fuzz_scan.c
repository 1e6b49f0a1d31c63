/* The JSON scanner beside another: it takes the same texts as jansson, and reads the same
 * strings and numbers. */
#include <jansson.h>

#include "common/json.h"
#include "fuzz.h"

/* Things that differ by intent: depth, and numbers and names that jansson cannot hold. */
static bool
excused(const struct dfb_json *j, const json_error_t *e)
{
	enum json_error_code code = json_error_code(e);

	return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
	    (j->error != NULL && strcmp(j->error, "nested too deeply") == 0);
}

static void
values(const uint8_t *data, size_t size, json_t *v)
{
	uint8_t *out = malloc(size + 1);
	struct dfb_json j = { .start = data, .p = data, .end = data + size, .out = out };
	const char *text;
	uint64_t n;
	size_t len;

	if (json_is_string(v)) {
		need(dfb_json_string(&j, &text, &len) == 0 && dfb_json_end(&j) == 0);
		need(same(text, len, json_string_value(v), json_string_length(v)));
		need(text[len] == '\0' && j.out <= out + size);
	} else {
		int rc = dfb_json_number(&j, &n);
		need(rc != -1);
		if (rc == 0)
			need(json_is_integer(v) && json_integer_value(v) == (json_int_t)n);
		else if (json_is_integer(v))
			need(json_integer_value(v) > INT64_MAX / 10 - 10 ||
			    memchr(data, '-', size) != NULL);
	}
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *out = malloc(size + 1);
	struct dfb_json j = { .start = data, .p = data, .end = data + size, .out = out };
	json_error_t e = { 0 };
	json_t *v = json_loadb((const char *)data, size,
	    JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
	bool ok = dfb_json_skip(&j) == 0 && dfb_json_end(&j) == 0;

	need(out != NULL && j.p >= data && j.p <= data + size && ok == (j.error == NULL));
	if (memchr(data, 0, size) != NULL)
		need(!ok); /* jansson takes it for the end */
	else
		need(ok == (v != NULL) || excused(&j, &e));
	if (ok && v != NULL)
		values(data, size, v);
	json_decref(v);
	free(out);
	return 0;
}
