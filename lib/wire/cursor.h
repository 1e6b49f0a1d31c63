/* Reading and writing fields, big-endian.  A reader has a sticky error: after the
 * first field that does not fit, all fields read as zero and ok is false. */
#ifndef WIRE_CURSOR_H
#define WIRE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/endian.h>

struct dfb_reader {
	const uint8_t *p, *end;
	bool ok;
};

/* n bytes, or NULL (and the error is set) when fewer are left. */
static inline const uint8_t *
dfb_read_bytes(struct dfb_reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (!r->ok || (size_t)(r->end - p) < n) {
		r->ok = false;
		return NULL;
	}
	r->p += n;
	return p;
}

static inline uint8_t
dfb_read_u8(struct dfb_reader *r)
{
	const uint8_t *p = dfb_read_bytes(r, 1);
	return p != NULL ? *p : 0;
}

static inline uint16_t
dfb_read_u16(struct dfb_reader *r)
{
	const uint8_t *p = dfb_read_bytes(r, 2);
	return p != NULL ? be16dec(p) : 0;
}

static inline uint32_t
dfb_read_u32(struct dfb_reader *r)
{
	const uint8_t *p = dfb_read_bytes(r, 4);
	return p != NULL ? be32dec(p) : 0;
}

static inline uint64_t
dfb_read_u64(struct dfb_reader *r)
{
	const uint8_t *p = dfb_read_bytes(r, 8);
	return p != NULL ? be64dec(p) : 0;
}

/* Write, with room already checked; the place after what was written. */
static inline uint8_t *
dfb_write_bytes(uint8_t *p, const void *src, size_t n)
{
	if (n != 0)
		memcpy(p, src, n);
	return p + n;
}

static inline uint8_t *
dfb_write_u8(uint8_t *p, uint8_t v)
{
	*p = v;
	return p + 1;
}

static inline uint8_t *
dfb_write_u16(uint8_t *p, uint16_t v)
{
	be16enc(p, v);
	return p + 2;
}

static inline uint8_t *
dfb_write_u32(uint8_t *p, uint32_t v)
{
	be32enc(p, v);
	return p + 4;
}

static inline uint8_t *
dfb_write_u64(uint8_t *p, uint64_t v)
{
	be64enc(p, v);
	return p + 8;
}

#endif
