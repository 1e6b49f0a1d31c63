#include <errno.h>
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

/* "name": */
static int
add_name(struct dfb_buf *b, const char *name)
{
	size_t n = strlen(name);

	if (dfb_buf_reserve(b, n + 3) == -1)
		return -1;
	b->data[b->len] = '"';
	memcpy(b->data + b->len + 1, name, n);
	memcpy(b->data + b->len + 1 + n, "\":", 2);
	b->len += n + 3;
	return 0;
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

/* "name":"text", or "name64":"base64" */
static int
add_bytes(struct dfb_buf *b, const char *name, const char *name64, const void *p,
    size_t len)
{
	if (len == 0 || dfb_utf8_valid(p, len))
		return add_name(b, name) == -1 ? -1 : add_string(b, len != 0 ? p : "", len);
	return add_name(b, name64) == -1 ? -1 : add_base64(b, p, len);
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

/* "name":n, */
static int
add_number(struct dfb_buf *b, const char *name, uint64_t n)
{
	char digits[24], *p = digits + sizeof digits;

	*--p = ',';
	do
		*--p = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	return add_name(b, name) == -1 ? -1 :
	    dfb_buf_add(b, p, (size_t)(digits + sizeof digits - p));
}

static int
add_fields(struct dfb_buf *b, const struct dfb_msg *m)
{
	char id[DFB_ID_TEXT];

	if (dfb_buf_add(b, "{", 1) == -1)
		return -1;
	if (!dfb_id_is_zero(&m->id)) {
		dfb_id_format(&m->id, id);
		if (add_name(b, "id") == -1 ||
		    add_string(b, id, DFB_ID_TEXT - 1) == -1 ||
		    dfb_buf_add(b, ",", 1) == -1)
			return -1;
	}
	if (m->topic != NULL && (add_name(b, "topic") == -1 ||
	    add_string(b, m->topic, strlen(m->topic)) == -1 ||
	    dfb_buf_add(b, ",", 1) == -1 || add_number(b, "queue", m->queue) == -1 ||
	    add_number(b, "offset", m->offset) == -1))
		return -1;
	if (m->key_len != 0 &&
	    (add_bytes(b, "key", "key64", m->key, m->key_len) == -1 ||
	    dfb_buf_add(b, ",", 1) == -1))
		return -1;
	if ((m->born_ms != 0 && add_number(b, "born", m->born_ms) == -1) ||
	    (m->expires_ms != 0 && add_number(b, "expires", m->expires_ms) == -1) ||
	    (m->due_ms != 0 && add_number(b, "due", m->due_ms) == -1) ||
	    (m->tries != 0 && add_number(b, "try", m->tries) == -1) ||
	    (m->possible_duplicate &&
	    dfb_buf_add(b, "\"possible_duplicate\":true,", 26) == -1) ||
	    (m->is_call && dfb_buf_add(b, "\"call\":true,", 12) == -1) ||
	    (m->headers_len != 0 && add_headers(b, m) == -1))
		return -1;
	if (add_bytes(b, "body", "body64", m->body, m->body_len) == -1)
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
