#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* Bytes that follow lead byte c, and the bounds of the first of them (RFC 3629,
 * section 4); 0 for a lead byte that is none. */
static unsigned
tail(uint8_t c, uint8_t *lo, uint8_t *hi)
{
	*lo = 0x80;
	*hi = 0xbf;
	if (c >= 0xc2 && c <= 0xdf)
		return 1;
	if (c >= 0xe0 && c <= 0xef) {
		if (c == 0xe0)
			*lo = 0xa0;
		if (c == 0xed)
			*hi = 0x9f;
		return 2;
	}
	if (c >= 0xf0 && c <= 0xf4) {
		if (c == 0xf0)
			*lo = 0x90;
		if (c == 0xf4)
			*hi = 0x8f;
		return 3;
	}
	return 0;
}

bool
dfb_utf8_valid(const void *data, size_t len)
{
	const uint8_t *p = data, *end;

	if (len == 0)
		return true;
	end = p + len;
	while (p < end) {
		uint64_t word;
		uint8_t lo, hi;
		unsigned n;

		if (end - p >= 8) {
			memcpy(&word, p, 8);
			if ((word & UINT64_C(0x8080808080808080)) == 0) {
				p += 8;
				continue;
			}
		}
		if (*p < 0x80) {
			p++;
			continue;
		}
		n = tail(*p, &lo, &hi);
		if (n == 0 || (size_t)(end - p) <= n || p[1] < lo || p[1] > hi)
			return false;
		for (unsigned i = 2; i <= n; i++)
			if ((p[i] & 0xc0) != 0x80)
				return false;
		p += n + 1;
	}
	return true;
}
