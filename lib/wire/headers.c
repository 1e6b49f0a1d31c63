#include <string.h>

#include "base/utf8.h"
#include "dfb.h"
#include "wire/cursor.h"
#include "wire/record.h"

/* Packed: u8 name length, name, u16 value length, value. */

#define NAME_MAX_LEN 64

static bool
name_valid(const char *name, size_t len)
{
	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'))
			return false;
	}
	return true;
}

static bool
value_valid(const char *value, size_t len)
{
	return memchr(value, 0, len) == NULL && dfb_utf8_valid(value, len);
}

enum dfb_status
dfb_headers_add(void *buf, size_t cap, size_t *len, const char *name,
    const char *value)
{
	size_t n = strlen(name), v = strlen(value);
	uint8_t *p = (uint8_t *)buf + *len;

	if (!name_valid(name, n) || !value_valid(value, v))
		return DFB_BADINPUT;
	if (3 + n + v > cap - *len || *len + 3 + n + v > DFB_HEADERS_MAX)
		return DFB_OSERR;
	p = dfb_write_u8(p, (uint8_t)n);
	p = dfb_write_bytes(p, name, n);
	p = dfb_write_u16(p, (uint16_t)v);
	dfb_write_bytes(p, value, v);
	*len += 3 + n + v;
	return DFB_OK;
}

bool
dfb_headers_next(const void *headers, size_t len, size_t *at,
    const char **name, size_t *name_len, const char **value, size_t *value_len)
{
	const uint8_t *start = headers;
	struct dfb_reader r;

	if (*at >= len)
		return false;
	r = (struct dfb_reader){ start + *at, start + len, true };
	*name_len = dfb_read_u8(&r);
	*name = (const char *)dfb_read_bytes(&r, *name_len);
	*value_len = dfb_read_u16(&r);
	*value = (const char *)dfb_read_bytes(&r, *value_len);
	if (!r.ok)
		return false;
	*at = (size_t)(r.p - start);
	return true;
}

bool
dfb_headers_valid(const uint8_t *headers, size_t len)
{
	const char *name, *value;
	size_t at = 0, n, v;

	while (dfb_headers_next(headers, len, &at, &name, &n, &value, &v))
		if (!name_valid(name, n) || !value_valid(value, v))
			return false;
	return at == len;
}
