#include "common/msgjson.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "common/json.h"
#include "dfb.h"

#define MS_MAX ((uint64_t)INT64_MAX / 2)
#define STATUS_MAX 255

struct dfb_msgjson {
	struct dfb_msg msg;
	int status;
	const char *reason;
	uint64_t ttl_ms;
	uint8_t *headers;
	uint8_t memory[]; /* strings, as long as the line; then headers, as long */
};

/* A line while it is read. */
struct reading {
	struct dfb_json json;
	struct dfb_msgjson *j;
	unsigned seen;    /* fields: bits */
	size_t room;      /* for headers */
	char *why;
	size_t size;
};

enum field { ID, BORN, EXPIRES, TTL, DUE, KEY, KEY64, BODY, BODY64, HEADERS, STATUS, REASON,
	TOPIC, QUEUE, OFFSET, TRY, CALL, POSSIBLE_DUPLICATE, FIELDS };

static const char *const fields[FIELDS] = { "id", "born", "expires", "ttl", "due",
	"key", "key64", "body", "body64", "headers", "status", "reason", "topic", "queue", "offset",
	"try", "call", "possible_duplicate" };

static int complain(struct reading *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
complain(struct reading *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, r->size, fmt, ap);
	va_end(ap);
	/* It quotes the input, and goes to a terminal. */
	for (char *p = r->why; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	return -1;
}

static int
no_json(struct reading *r)
{
	return complain(r, "no JSON at byte %zu: %s",
	    (size_t)(r->json.p - r->json.start) + 1, r->json.error);
}

/* ---- values ---- */

static int
take_number(struct reading *r, const char *name, uint64_t max, uint64_t *out)
{
	int rc = dfb_json_number(&r->json, out);

	if (rc == -1)
		return no_json(r);
	if (rc == 1 || *out > max)
		return complain(r, "\"%s\" must be a whole number from 0 to %llu", name,
		    (unsigned long long)max);
	return 0;
}

static int
take_string(struct reading *r, const char *name, const char **text, size_t *len)
{
	if (dfb_json_peek(&r->json) != '"')
		return complain(r, "\"%s\" must be a string", name);
	return dfb_json_string(&r->json, text, len) == -1 ? no_json(r) : 0;
}

static int
take_bytes(struct reading *r, enum field f, const void **p, size_t *len)
{
	bool base64 = f == KEY64 || f == BODY64;
	const char *text;
	size_t n;

	if (take_string(r, fields[f], &text, &n) == -1)
		return -1;
	if (*p != NULL)
		return complain(r, "\"%s\" and \"%s\" are both there",
		    fields[f - (base64 ? 1 : 0)], fields[f + (base64 ? 0 : 1)]);
	*p = text;
	*len = n;
	/* In place: what is decoded is shorter. */
	if (base64 && sodium_base642bin((uint8_t *)(uintptr_t)text, n, text, n, NULL, len,
	    NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return complain(r, "\"%s\" is not base64 (A-Z a-z 0-9 + / with padding)",
		    fields[f]);
	return 0;
}

static int
take_header(struct reading *r, const char *name, size_t name_len)
{
	struct dfb_msgjson *j = r->j;
	const char *value;
	size_t len;

	if (take_string(r, name, &value, &len) == -1)
		return -1;
	if (strlen(name) != name_len || strlen(value) != len)
		return complain(r, "header \"%s\" holds a NUL byte", name);
	switch (dfb_headers_add(j->headers, r->room, &j->msg.headers_len, name, value)) {
	case DFB_OK:
		return 0;
	case DFB_BADINPUT:
		return complain(r, "header \"%s\" has a bad name: 1 to 64 letters, "
		    "digits, '_', '.' or '-'", name);
	default:
		return complain(r, "there are more than %d bytes of headers",
		    DFB_HEADERS_MAX);
	}
}

/* {"name":"value"}, or [["name","value"]] when names repeat. */
static int
take_headers(struct reading *r)
{
	struct dfb_json *s = &r->json;
	int open = dfb_json_peek(s), more;
	const char *name;
	size_t len;

	if (open != '{' && open != '[')
		return complain(r, "\"headers\" must be an object");
	s->p++;
	if (dfb_json_peek(s) == (open == '{' ? '}' : ']')) {
		s->p++;
		return 0;
	}
	r->j->msg.headers = r->j->headers;
	do {
		if (open == '[') {
			if (dfb_json_peek(s) != '[')
				return complain(r, "\"headers\" must be pairs of strings");
			s->p++;
		}
		if (dfb_json_string(s, &name, &len) == -1 ||
		    dfb_json_take(s, open == '{' ? ':' : ',') == -1)
			return no_json(r);
		if (take_header(r, name, len) == -1)
			return -1;
		if (open == '[' && dfb_json_take(s, ']') == -1)
			return no_json(r);
	} while ((more = dfb_json_more(s, open == '{' ? '}' : ']')) == 1);
	return more == -1 ? no_json(r) : 0;
}

/* ---- fields ---- */

static int
take_expiry(struct reading *r, enum field f)
{
	if ((r->seen & (1u << EXPIRES)) != 0 && (r->seen & (1u << TTL)) != 0)
		return complain(r, "\"expires\" and \"ttl\" are both there");
	return take_number(r, fields[f], MS_MAX, f == TTL ? &r->j->ttl_ms :
	    &r->j->msg.expires_ms);
}

static int
take_value(struct reading *r, enum field f)
{
	struct dfb_msgjson *j = r->j;
	struct dfb_msg *m = &j->msg;
	const char *text;
	uint64_t n;
	size_t len;

	switch (f) {
	case ID:
		if (take_string(r, "id", &text, &len) == -1)
			return -1;
		return strlen(text) != len || dfb_id_of(text, &m->id) == -1 ?
		    complain(r, "\"id\" must be a UUID, or a text of 1 to 64 bytes") : 0;
	case BORN:
		return take_number(r, "born", MS_MAX, &m->born_ms);
	case EXPIRES:
	case TTL:
		return take_expiry(r, f);
	case DUE:
		return take_number(r, "due", MS_MAX, &m->due_ms);
	case KEY:
	case KEY64:
		return take_bytes(r, f, &m->key, &m->key_len);
	case BODY:
	case BODY64:
		return take_bytes(r, f, &m->body, &m->body_len);
	case HEADERS:
		return take_headers(r);
	case STATUS:
		if (take_number(r, "status", STATUS_MAX, &n) == -1)
			return -1;
		j->status = (int)n;
		return 0;
	case REASON:
		return take_string(r, "reason", &j->reason, &len);
	default: /* of a delivery */
		return dfb_json_skip(&r->json) == -1 ? no_json(r) : 0;
	}
}

static int
take_field(struct reading *r)
{
	struct dfb_json *s = &r->json;
	unsigned f = 0;
	const char *name;
	uint8_t *keep = s->out;
	size_t len;

	if (dfb_json_string(s, &name, &len) == -1 || dfb_json_take(s, ':') == -1)
		return no_json(r);
	while (f < FIELDS && strcmp(name, fields[f]) != 0)
		f++;
	if (f == FIELDS || strlen(name) != len)
		return complain(r, "unknown field \"%.64s\"", name);
	s->out = keep;
	if (dfb_json_peek(s) == 'n') /* null, as jq writes what is not there */
		return dfb_json_skip(s) == -1 ? no_json(r) : 0;
	if ((r->seen & (1u << f)) != 0)
		return complain(r, "\"%s\" is there twice", fields[f]);
	r->seen |= 1u << f;
	return take_value(r, f);
}

/* A lifetime begins when the message may be delivered. */
static void
set_expiry(struct reading *r)
{
	struct dfb_msg *m = &r->j->msg;
	uint64_t from = dfb_wall_ms();

	if ((r->seen & (1u << TTL)) != 0)
		m->expires_ms = (m->due_ms > from ? m->due_ms : from) + r->j->ttl_ms;
}

static int
take_object(struct reading *r)
{
	struct dfb_json *s = &r->json;
	int more = 0;

	if (dfb_json_peek(s) != '{')
		return complain(r, "not a JSON object, like {\"body\":\"text\"}");
	s->p++;
	if (dfb_json_peek(s) == '}')
		s->p++;
	else
		do
			if (take_field(r) == -1)
				return -1;
		while ((more = dfb_json_more(s, '}')) == 1);
	if (more == -1 || dfb_json_end(s) == -1)
		return no_json(r);
	set_expiry(r);
	return 0;
}

int
dfb_msgjson_read(const char *line, size_t len, struct dfb_msgjson **out, char *why,
    size_t size)
{
	const uint8_t *p = (const uint8_t *)line;
	/* A header takes less when packed than as JSON. */
	size_t packed = len < DFB_HEADERS_MAX ? len : DFB_HEADERS_MAX;
	struct dfb_msgjson *j = malloc(sizeof *j + len + packed);
	struct reading r = { .json = { .start = p, .p = p, .end = p + len }, .j = j,
		.room = packed, .why = why, .size = size };

	if (j == NULL)
		return complain(&r, "out of memory");
	*j = (struct dfb_msgjson){ .headers = j->memory + len };
	r.json.out = j->memory;
	if (take_object(&r) == -1) {
		free(j);
		return -1;
	}
	*out = j;
	return 0;
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
	free(j);
}
