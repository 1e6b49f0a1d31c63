#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/utf8.h"
#include "common/msgjson.h"
#include "dfb.h"

/* Text as a JSON string, with its quotes; valid UTF-8 needs no other escapes. */
static int
add_string(struct dfb_buf *b, const void *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	static const char shorts[32] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',
		['\f'] = 'f', ['\r'] = 'r' };
	const uint8_t *p = text, *end = p + len;
	uint8_t *o;

	/* Room for the worst case once, rather than a check per byte. */
	if (len > (SIZE_MAX - 2) / 6) {
		errno = ENOMEM;
		return -1;
	}
	if (dfb_buf_reserve(b, len + 2) == -1)
		return -1;
	b->data[b->len++] = '"';
	while (p < end) {
		const uint8_t *plain = p;
		while (p < end && *p >= ' ' && *p != '"' && *p != '\\')
			p++;
		if (dfb_buf_add(b, plain, (size_t)(p - plain)) == -1 ||
		    dfb_buf_reserve(b, 8) == -1)
			return -1;
		if (p == end)
			break;
		o = b->data + b->len;
		*o++ = '\\';
		if (*p >= ' ')
			*o++ = *p;
		else if (shorts[*p] != 0)
			*o++ = (uint8_t)shorts[*p];
		else {
			memcpy(o, "u00", 3);
			o[3] = (uint8_t)hex[*p >> 4];
			o[4] = (uint8_t)hex[*p & 15];
			o += 5;
		}
		b->len = (size_t)(o - b->data);
		p++;
	}
	return dfb_buf_add(b, "\"", 1);
}

static int
add_base64(struct dfb_buf *b, const void *p, size_t len)
{
	size_t n = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);

	if (dfb_buf_reserve(b, n + 2) == -1)
		return -1;
	b->data[b->len++] = '"';
	sodium_bin2base64((char *)b->data + b->len, n, p, len,
	    sodium_base64_VARIANT_ORIGINAL);
	b->len += n - 1; /* not its NUL */
	b->data[b->len++] = '"';
	return 0;
}

/* ,"name":"text", or ,"name64":"base64" */
static int
add_bytes(struct dfb_buf *b, const char *name, const void *p, size_t len)
{
	if (dfb_utf8_valid(p, len))
		return dfb_buf_addf(b, "\"%s\":", name) == -1 ? -1 :
		    add_string(b, p, len);
	return dfb_buf_addf(b, "\"%s64\":", name) == -1 ? -1 : add_base64(b, p, len);
}

static bool
name_repeats(const struct dfb_msg *m)
{
	const char *a, *b, *v;
	size_t i = 0, an, bn, vn;

	while (dfb_headers_next(m->headers, m->headers_len, &i, &a, &an, &v, &vn))
		for (size_t j = i; dfb_headers_next(m->headers, m->headers_len, &j, &b,
		    &bn, &v, &vn);)
			if (an == bn && memcmp(a, b, an) == 0)
				return true;
	return false;
}

/* An object; an array of pairs when a name occurs twice, which an object would
 * lose. */
static int
add_headers(struct dfb_buf *b, const struct dfb_msg *m)
{
	bool pairs = name_repeats(m);
	const char *name, *value, *comma = "";
	size_t at = 0, n, v;

	if (dfb_buf_addf(b, "\"headers\":%c", pairs ? '[' : '{') == -1)
		return -1;
	while (dfb_headers_next(m->headers, m->headers_len, &at, &name, &n, &value,
	    &v)) {
		if (dfb_buf_addf(b, "%s%s", comma, pairs ? "[" : "") == -1 ||
		    add_string(b, name, n) == -1 ||
		    dfb_buf_add(b, pairs ? "," : ":", 1) == -1 ||
		    add_string(b, value, v) == -1 ||
		    (pairs && dfb_buf_add(b, "]", 1) == -1))
			return -1;
		comma = ",";
	}
	return dfb_buf_addf(b, "%c,", pairs ? ']' : '}');
}

static int
add_number(struct dfb_buf *b, const char *name, uint64_t n)
{
	return dfb_buf_addf(b, "\"%s\":%" PRIu64 ",", name, n);
}

static int
add_fields(struct dfb_buf *b, const struct dfb_msg *m)
{
	char id[DFB_ID_TEXT];

	if (dfb_buf_add(b, "{", 1) == -1)
		return -1;
	if (!dfb_id_is_zero(&m->id)) {
		dfb_id_format(&m->id, id);
		if (dfb_buf_addf(b, "\"id\":\"%s\",", id) == -1)
			return -1;
	}
	if (m->topic != NULL && (dfb_buf_add(b, "\"topic\":", 8) == -1 ||
	    add_string(b, m->topic, strlen(m->topic)) == -1 ||
	    dfb_buf_addf(b, ",\"queue\":%" PRIu32 ",\"offset\":%" PRIu64 ",", m->queue,
	    m->offset) == -1))
		return -1;
	if (m->key_len != 0 && (add_bytes(b, "key", m->key, m->key_len) == -1 ||
	    dfb_buf_add(b, ",", 1) == -1))
		return -1;
	if ((m->born_ms != 0 && add_number(b, "born", m->born_ms) == -1) ||
	    (m->expires_ms != 0 && add_number(b, "expires", m->expires_ms) == -1) ||
	    (m->tries != 0 && add_number(b, "try", m->tries) == -1) ||
	    (m->is_call && dfb_buf_addf(b, "\"call\":true,") == -1) ||
	    (m->headers_len != 0 && add_headers(b, m) == -1))
		return -1;
	if (add_bytes(b, "body", m->body, m->body_len) == -1)
		return -1;
	return dfb_buf_add(b, "}\n", 2);
}

int
dfb_msgjson_write(struct dfb_buf *b, const struct dfb_msg *m)
{
	size_t before = b->len;

	if (add_fields(b, m) == 0)
		return 0;
	b->len = before;
	errno = ENOMEM;
	return -1;
}
