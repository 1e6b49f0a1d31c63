#include "common/msgjson.h"

#include <jansson.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dfb.h"

struct dfb_msgjson {
	json_t *root; /* holds the strings */
	struct dfb_msg msg;
	uint8_t *headers, *key64, *body64;
	int status;
	const char *reason;
};

/* Where a complaint goes. */
struct why {
	char *text;
	size_t size;
};

static int complain(const struct why *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
complain(const struct why *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->text, w->size, fmt, ap);
	va_end(ap);
	/* It quotes the input, and goes to a terminal. */
	for (char *p = w->text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	return -1;
}

/* ---- values ---- */

static int
take_number(const char *name, const json_t *v, uint64_t max, uint64_t *out,
    const struct why *w)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || (uint64_t)n > max)
		return complain(w, "\"%s\" must be a whole number from 0 to %llu", name,
		    (unsigned long long)max);
	*out = (uint64_t)n;
	return 0;
}

static int
take_text(const char *name, const json_t *v, const void **p, size_t *len,
    const struct why *w)
{
	if (!json_is_string(v))
		return complain(w, "\"%s\" must be a string", name);
	if (*p != NULL)
		return complain(w, "\"%s\" and \"%s64\" are both there", name, name);
	*p = json_string_value(v);
	*len = json_string_length(v);
	return 0;
}

static int
take_base64(const char *name, const json_t *v, uint8_t **mem, const void **p,
    size_t *len, const struct why *w)
{
	size_t n = json_string_length(v), plain = strlen(name) - 2;

	if (!json_is_string(v))
		return complain(w, "\"%s\" must be a string", name);
	if (*p != NULL)
		return complain(w, "\"%.*s\" and \"%s\" are both there", (int)plain,
		    name, name);
	if ((*mem = malloc(n / 4 * 3 + 1)) == NULL)
		return complain(w, "out of memory");
	if (sodium_base642bin(*mem, n / 4 * 3, json_string_value(v), n, NULL, len,
	    NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return complain(w, "\"%s\" is not base64 (A-Z a-z 0-9 + / with padding)",
		    name);
	*p = *mem;
	return 0;
}

static int
take_header(struct dfb_msgjson *j, size_t cap, const char *name, const json_t *v,
    const struct why *w)
{
	const char *value = json_string_value(v);

	if (name == NULL || value == NULL)
		return complain(w, "header \"%s\" must be a string",
		    name != NULL ? name : "");
	if (strlen(value) != json_string_length(v))
		return complain(w, "header \"%s\" holds a NUL byte", name);
	switch (dfb_headers_add(j->headers, cap, &j->msg.headers_len, name, value)) {
	case DFB_OK:
		return 0;
	case DFB_BADINPUT:
		return complain(w, "header \"%s\" has a bad name: 1 to 64 letters, "
		    "digits, '_', '.' or '-'", name);
	default:
		return complain(w, "there are more than %d bytes of headers",
		    DFB_HEADERS_MAX);
	}
}

/* {"name":"value"}, or [["name","value"]] when names repeat. */
static int
take_headers(struct dfb_msgjson *j, json_t *v, const struct why *w)
{
	size_t cap = 0, i;
	const char *name;
	json_t *value;

	if (!json_is_object(v) && !json_is_array(v))
		return complain(w, "\"headers\" must be an object");
	json_object_foreach(v, name, value)
		cap += 3 + strlen(name) + json_string_length(value);
	json_array_foreach(v, i, value) {
		if (json_array_size(value) != 2)
			return complain(w, "\"headers\" must be pairs of strings");
		cap += 3 + json_string_length(json_array_get(value, 0)) +
		    json_string_length(json_array_get(value, 1));
	}
	if (cap > DFB_HEADERS_MAX)
		return complain(w, "there are more than %d bytes of headers",
		    DFB_HEADERS_MAX);
	if ((j->headers = malloc(cap + 1)) == NULL)
		return complain(w, "out of memory");
	j->msg.headers = j->headers;
	json_object_foreach(v, name, value)
		if (take_header(j, cap, name, value, w) == -1)
			return -1;
	json_array_foreach(v, i, value)
		if (take_header(j, cap, json_string_value(json_array_get(value, 0)),
		    json_array_get(value, 1), w) == -1)
			return -1;
	return 0;
}

/* ---- fields ---- */

#define MS_MAX ((uint64_t)INT64_MAX / 2)

static int
take_expiry(struct dfb_msgjson *j, const char *name, const json_t *v, uint64_t from,
    const struct why *w)
{
	if (j->msg.expires_ms != 0)
		return complain(w, "\"expires\" and \"ttl\" are both there");
	if (take_number(name, v, MS_MAX, &j->msg.expires_ms, w) == -1)
		return -1;
	j->msg.expires_ms += from;
	return 0;
}

static int
take_field(struct dfb_msgjson *j, const char *name, json_t *v, const struct why *w)
{
	static const char *const ignored[] = { "topic", "queue", "offset", "try",
		"call" };
	struct dfb_msg *m = &j->msg;
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		if (strcmp(name, ignored[i]) == 0)
			return 0;
	if (json_is_null(v)) /* as jq writes what is not there */
		v = NULL;
	if (strcmp(name, "body") == 0)
		return v == NULL ? 0 : take_text(name, v, &m->body, &m->body_len, w);
	if (strcmp(name, "body64") == 0)
		return v == NULL ? 0 :
		    take_base64(name, v, &j->body64, &m->body, &m->body_len, w);
	if (strcmp(name, "key") == 0)
		return v == NULL ? 0 : take_text(name, v, &m->key, &m->key_len, w);
	if (strcmp(name, "key64") == 0)
		return v == NULL ? 0 :
		    take_base64(name, v, &j->key64, &m->key, &m->key_len, w);
	if (strcmp(name, "headers") == 0)
		return v == NULL ? 0 : take_headers(j, v, w);
	if (strcmp(name, "id") == 0) {
		const char *text = json_string_value(v);
		if (v != NULL && (text == NULL || dfb_id_parse(text, &m->id) == -1))
			return complain(w, "\"id\" must be a UUID");
		return 0;
	}
	if (strcmp(name, "born") == 0)
		return v == NULL ? 0 : take_number(name, v, MS_MAX, &m->born_ms, w);
	if (strcmp(name, "expires") == 0)
		return v == NULL ? 0 : take_expiry(j, name, v, 0, w);
	if (strcmp(name, "ttl") == 0)
		return v == NULL ? 0 : take_expiry(j, name, v, dfb_wall_ms(), w);
	if (strcmp(name, "status") == 0) {
		if (v != NULL && take_number(name, v, 255, &n, w) == -1)
			return -1;
		j->status = (int)n;
		return 0;
	}
	if (strcmp(name, "reason") == 0) {
		if (v != NULL && !json_is_string(v))
			return complain(w, "\"reason\" must be a string");
		j->reason = json_string_value(v);
		return 0;
	}
	return complain(w, "unknown field \"%.64s\"", name);
}

int
dfb_msgjson_read(const char *line, size_t len, struct dfb_msgjson **out, char *text,
    size_t size)
{
	const struct why w = { text, size };
	struct dfb_msgjson *j = calloc(1, sizeof *j);
	json_error_t e;
	const char *name;
	json_t *v;

	if (j == NULL)
		return complain(&w, "out of memory");
	j->root = json_loadb(line, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES |
	    JSON_DECODE_ANY, &e);
	if (j->root == NULL) {
		complain(&w, "no JSON at byte %d: %s", e.position, e.text);
		goto fail;
	}
	if (!json_is_object(j->root)) {
		complain(&w, "not a JSON object, like {\"body\":\"text\"}");
		goto fail;
	}
	json_object_foreach(j->root, name, v)
		if (take_field(j, name, v, &w) == -1)
			goto fail;
	*out = j;
	return 0;
fail:
	dfb_msgjson_free(j);
	return -1;
}

const struct dfb_msg *
dfb_msgjson_msg(const struct dfb_msgjson *j)
{
	return &j->msg;
}

int
dfb_msgjson_status(const struct dfb_msgjson *j)
{
	return j->status;
}

const char *
dfb_msgjson_reason(const struct dfb_msgjson *j)
{
	return j->reason;
}

void
dfb_msgjson_free(struct dfb_msgjson *j)
{
	if (j == NULL)
		return;
	json_decref(j->root);
	free(j->headers);
	free(j->key64);
	free(j->body64);
	free(j);
}
