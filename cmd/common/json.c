#include "common/json.h"

#include <string.h>

#include "base/utf8.h"

#define DEPTH_MAX 64

static int
wrong(struct dfb_json *j, const char *why)
{
	if (j->error == NULL)
		j->error = why;
	return -1;
}

int
dfb_json_peek(struct dfb_json *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' ||
	    *j->p == '\r'))
		j->p++;
	return j->p < j->end ? *j->p : 0;
}

int
dfb_json_take(struct dfb_json *j, char c)
{
	if (dfb_json_peek(j) == c) {
		j->p++;
		return 0;
	}
	if (j->p == j->end)
		return wrong(j, "it breaks off");
	switch (c) {
	case '{': return wrong(j, "'{' expected");
	case '[': return wrong(j, "'[' expected");
	case ':': return wrong(j, "':' expected");
	case ']': return wrong(j, "',' or ']' expected");
	case '}': return wrong(j, "',' or '}' expected");
	default: return wrong(j, "a string expected");
	}
}

int
dfb_json_more(struct dfb_json *j, char close)
{
	if (dfb_json_peek(j) == ',') {
		j->p++;
		return 1;
	}
	return dfb_json_take(j, close);
}

/* ---- strings ---- */

static int
hex4(struct dfb_json *j, uint32_t *out)
{
	uint32_t n = 0;

	if (j->end - j->p < 4)
		return wrong(j, "it breaks off");
	for (int i = 0; i < 4; i++) {
		uint8_t c = j->p[i], d = (uint8_t)((c | 0x20) - 'a');
		if (c >= '0' && c <= '9')
			d = (uint8_t)(c - '0');
		else if (d < 6)
			d = (uint8_t)(d + 10);
		else
			return wrong(j, "\\u takes four hex digits");
		n = n << 4 | d;
	}
	j->p += 4;
	*out = n;
	return 0;
}

static uint8_t *
put_utf8(uint8_t *o, uint32_t c)
{
	if (c < 0x80) {
		*o++ = (uint8_t)c;
		return o;
	}
	if (c < 0x800)
		*o++ = (uint8_t)(0xc0 | c >> 6);
	else {
		if (c < 0x10000)
			*o++ = (uint8_t)(0xe0 | c >> 12);
		else {
			*o++ = (uint8_t)(0xf0 | c >> 18);
			*o++ = (uint8_t)(0x80 | (c >> 12 & 63));
		}
		*o++ = (uint8_t)(0x80 | (c >> 6 & 63));
	}
	*o++ = (uint8_t)(0x80 | (c & 63));
	return o;
}

/* Behind "\u". */
static int
code_point(struct dfb_json *j, uint32_t *out)
{
	uint32_t c, low;

	if (hex4(j, &c) == -1)
		return -1;
	if (c >= 0xd800 && c < 0xdc00) {
		if (j->end - j->p < 2 || j->p[0] != '\\' || j->p[1] != 'u')
			return wrong(j, "half of a surrogate pair");
		j->p += 2;
		if (hex4(j, &low) == -1)
			return -1;
		if (low < 0xdc00 || low > 0xdfff)
			return wrong(j, "half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c < 0xe000)
		return wrong(j, "half of a surrogate pair");
	*out = c;
	return 0;
}

/* At the backslash. */
static int
escape(struct dfb_json *j)
{
	static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *l;
	uint32_t c;

	if (j->end - j->p < 2)
		return wrong(j, "it breaks off");
	if (j->p[1] == 'u') {
		j->p += 2;
		if (code_point(j, &c) == -1)
			return -1;
		j->out = put_utf8(j->out, c);
		return 0;
	}
	if (j->p[1] == '\0' || (l = strchr(letters, j->p[1])) == NULL)
		return wrong(j, "an escape that JSON has not");
	*j->out++ = (uint8_t)bytes[l - letters];
	j->p += 2;
	return 0;
}

int
dfb_json_string(struct dfb_json *j, const char **text, size_t *len)
{
	uint8_t *start = j->out;

	if (dfb_json_take(j, '"') == -1)
		return -1;
	for (;;) {
		const uint8_t *plain = j->p;
		while (j->p < j->end && *j->p >= ' ' && *j->p != '"' && *j->p != '\\')
			j->p++;
		memcpy(j->out, plain, (size_t)(j->p - plain));
		j->out += j->p - plain;
		if (j->p == j->end)
			return wrong(j, "a string breaks off");
		if (*j->p == '"')
			break;
		if (*j->p != '\\')
			return wrong(j, "a control character in a string");
		if (escape(j) == -1)
			return -1;
	}
	j->p++;
	*len = (size_t)(j->out - start);
	*text = (char *)start;
	if (!dfb_utf8_valid(start, *len))
		return wrong(j, "a string that is not UTF-8");
	*j->out++ = '\0'; /* its quotes took more */
	return 0;
}

/* ---- the rest ---- */

static const uint8_t *
digits(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* Past a number at p; NULL if there is none. */
static const uint8_t *
past_number(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *d;

	p += p < end && *p == '-';
	if ((d = digits(p, end)) == p || (*p == '0' && d - p > 1))
		return NULL;
	p = d;
	if (p < end && *p == '.') {
		if ((d = digits(p + 1, end)) == p + 1)
			return NULL;
		p = d;
	}
	if (p < end && (*p | 0x20) == 'e') {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		if ((d = digits(p, end)) == p)
			return NULL;
		p = d;
	}
	return p;
}

int
dfb_json_number(struct dfb_json *j, uint64_t *out)
{
	int c = dfb_json_peek(j);
	const uint8_t *past;
	uint64_t n = 0;

	if (c < '0' || c > '9')
		return 1;
	if ((past = past_number(j->p, j->end)) == NULL)
		return wrong(j, "a number starts with 0");
	if (digits(j->p, j->end) != past)
		return 1;
	for (const uint8_t *p = j->p; p < past; p++) {
		if (n > (INT64_MAX - 9) / 10)
			return 1;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	j->p = past;
	*out = n;
	return 0;
}

static int
skip_list(struct dfb_json *j, char open, char close, unsigned depth);

static int
skip(struct dfb_json *j, unsigned depth)
{
	static const char *const words[] = { "true", "false", "null" };
	uint8_t *keep = j->out;
	const char *text;
	const uint8_t *past;
	size_t len;
	int c = dfb_json_peek(j);

	if (c == '{' || c == '[')
		return skip_list(j, (char)c, c == '{' ? '}' : ']', depth);
	if (c == '"') {
		if (dfb_json_string(j, &text, &len) == -1)
			return -1;
		j->out = keep;
		return 0;
	}
	if ((past = past_number(j->p, j->end)) != NULL) {
		j->p = past;
		return 0;
	}
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if ((size_t)(j->end - j->p) >= strlen(words[i]) &&
		    memcmp(j->p, words[i], strlen(words[i])) == 0) {
			j->p += strlen(words[i]);
			return 0;
		}
	return wrong(j, j->p == j->end ? "it breaks off" : "a value expected");
}

static int
skip_list(struct dfb_json *j, char open, char close, unsigned depth)
{
	uint8_t *keep = j->out;
	const char *name;
	size_t len;
	int more;

	if (depth == DEPTH_MAX)
		return wrong(j, "nested too deeply");
	j->p++;
	if (dfb_json_peek(j) == close) {
		j->p++;
		return 0;
	}
	do {
		if (open == '{' && (dfb_json_string(j, &name, &len) == -1 ||
		    dfb_json_take(j, ':') == -1))
			return -1;
		j->out = keep;
		if (skip(j, depth + 1) == -1)
			return -1;
	} while ((more = dfb_json_more(j, close)) == 1);
	return more;
}

int
dfb_json_skip(struct dfb_json *j)
{
	return skip(j, 0);
}

int
dfb_json_end(struct dfb_json *j)
{
	if (dfb_json_peek(j) == 0 && j->p == j->end)
		return 0;
	return wrong(j, "something follows the object");
}
