#include "base/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/endian.h>

#include <sodium.h>

#include "dfb.h"

void
dfb_id_make(struct dfb_id *id, uint64_t wall_ms)
{
	static _Thread_local uint64_t last_ms, low;
	static _Thread_local uint16_t high; /* 12 bits */

	if (wall_ms > last_ms) {
		uint16_t r;
		arc4random_buf(&low, sizeof low);
		arc4random_buf(&r, sizeof r);
		low &= (UINT64_C(1) << 62) - 1;
		high = r & 0x7ff; /* top bit clear: room to count */
		last_ms = wall_ms;
	} else if (++low >> 62 != 0) {
		low = 0;
		if (++high > 0xfff) {
			high = 0;
			last_ms++;
		}
	}
	be64enc(id->b, last_ms << 16 | 0x7000u | high);
	be64enc(id->b + 8, UINT64_C(1) << 63 | low);
}

void
dfb_id_random(struct dfb_id *id)
{
	arc4random_buf(id->b, sizeof id->b);
	id->b[6] = (uint8_t)((id->b[6] & 0x0f) | 0x40);
	id->b[8] = (uint8_t)((id->b[8] & 0x3f) | 0x80);
}

uint64_t
dfb_id_time(const struct dfb_id *id)
{
	return id->b[6] >> 4 == 7 ? be64dec(id->b) >> 16 : 0;
}

bool
dfb_id_is_zero(const struct dfb_id *id)
{
	static const struct dfb_id zero;

	return memcmp(id, &zero, sizeof zero) == 0;
}

void
dfb_id_format(const struct dfb_id *id, char text[DFB_ID_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	char *t = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*t++ = '-';
		*t++ = hex[id->b[i] >> 4];
		*t++ = hex[id->b[i] & 15];
	}
	*t = '\0';
}

int
dfb_id_of(const char *name, struct dfb_id *id)
{
	size_t len = strlen(name);

	if (len == 0 || len > DFB_ID_NAME_MAX)
		return -1;
	if (dfb_id_parse(name, id) == 0 && !dfb_id_is_zero(id))
		return 0;
	(void)crypto_generichash(id->b, sizeof id->b, (const uint8_t *)name, len, NULL, 0);
	id->b[6] = (uint8_t)((id->b[6] & 0x0f) | 0x80);
	id->b[8] = (uint8_t)((id->b[8] & 0x3f) | 0x80);
	return 0;
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
dfb_id_parse(const char *text, struct dfb_id *id)
{
	struct dfb_id out;

	for (int i = 0; i < 16; i++) {
		int hi, lo;
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return -1;
		if ((hi = nibble(text[0])) == -1 || (lo = nibble(text[1])) == -1)
			return -1;
		out.b[i] = (uint8_t)(hi << 4 | lo);
		text += 2;
	}
	if (*text != '\0')
		return -1;
	*id = out;
	return 0;
}
