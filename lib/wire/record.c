#include "wire/record.h"

#include <string.h>

#include "base/id.h"
#include "wire/cursor.h"

#define ALL_FLAGS 127u

void
dfb_record_from(struct dfb_record *r, const struct dfb_msg *m)
{
	*r = (struct dfb_record){ .id = m->id, .born = m->born_ms,
		.expires = m->expires_ms, .due = m->due_ms,
		.key = m->key, .key_len = m->key_len,
		.headers = m->headers, .headers_len = m->headers_len,
		.body = m->body, .body_len = m->body_len };
	if (m->born_ms != dfb_id_time(&m->id))
		r->flags |= DFB_R_BORN;
	if (m->expires_ms != 0)
		r->flags |= DFB_R_EXPIRES;
	if (m->due_ms != 0)
		r->flags |= DFB_R_DUE;
	if (m->key_len != 0)
		r->flags |= DFB_R_KEY;
	if (m->headers_len != 0)
		r->flags |= DFB_R_HEADERS;
}

void
dfb_record_to(const struct dfb_record *r, struct dfb_msg *m)
{
	m->id = r->id;
	m->born_ms = r->born;
	m->expires_ms = r->expires;
	m->due_ms = r->due;
	m->key = r->key;
	m->key_len = r->key_len;
	m->headers = r->headers;
	m->headers_len = r->headers_len;
	m->body = r->body;
	m->body_len = r->body_len;
	m->possible_duplicate = (r->flags & DFB_R_MAYBE) != 0;
	m->is_call = (r->flags & DFB_R_CALL) != 0;
}

size_t
dfb_record_size(const struct dfb_record *r)
{
	size_t n = DFB_RECORD_MIN + r->body_len;

	for (unsigned f = DFB_R_BORN; f <= DFB_R_DUE; f <<= 1)
		if ((r->flags & f) != 0)
			n += 8;
	if ((r->flags & DFB_R_KEY) != 0)
		n += 1 + r->key_len;
	if ((r->flags & DFB_R_HEADERS) != 0)
		n += 2 + r->headers_len;
	return n;
}

uint8_t *
dfb_record_write(const struct dfb_record *r, uint8_t *p)
{
	p = dfb_write_u32(p, (uint32_t)(dfb_record_size(r) - 4));
	p = dfb_write_u8(p, r->flags);
	p = dfb_write_bytes(p, r->id.b, sizeof r->id.b);
	if ((r->flags & DFB_R_BORN) != 0)
		p = dfb_write_u64(p, r->born);
	if ((r->flags & DFB_R_EXPIRES) != 0)
		p = dfb_write_u64(p, r->expires);
	if ((r->flags & DFB_R_CALL) != 0)
		p = dfb_write_u64(p, r->call);
	if ((r->flags & DFB_R_DUE) != 0)
		p = dfb_write_u64(p, r->due);
	if ((r->flags & DFB_R_KEY) != 0) {
		p = dfb_write_u8(p, (uint8_t)r->key_len);
		p = dfb_write_bytes(p, r->key, r->key_len);
	}
	if ((r->flags & DFB_R_HEADERS) != 0) {
		p = dfb_write_u16(p, (uint16_t)r->headers_len);
		p = dfb_write_bytes(p, r->headers, r->headers_len);
	}
	return dfb_write_bytes(p, r->body, r->body_len);
}

int
dfb_record_next(const uint8_t **at, const uint8_t *end, struct dfb_record *out)
{
	struct dfb_reader r = { *at, end, true };
	const uint8_t *start = *at, *id;
	size_t len;

	if (start == end)
		return 0;
	len = dfb_read_u32(&r);
	if (!r.ok || len < DFB_RECORD_MIN - 4 || (size_t)(end - r.p) < len)
		return -1;
	r.end = r.p + len;
	out->size = len + 4;
	out->flags = dfb_read_u8(&r);
	id = dfb_read_bytes(&r, sizeof out->id.b);
	memcpy(out->id.b, id, sizeof out->id.b);
	out->born = (out->flags & DFB_R_BORN) != 0 ? dfb_read_u64(&r) :
	    dfb_id_time(&out->id);
	out->expires = (out->flags & DFB_R_EXPIRES) != 0 ? dfb_read_u64(&r) : 0;
	out->call_at = (size_t)(r.p - start);
	out->call = (out->flags & DFB_R_CALL) != 0 ? dfb_read_u64(&r) : 0;
	out->due = (out->flags & DFB_R_DUE) != 0 ? dfb_read_u64(&r) : 0;
	out->key_len = (out->flags & DFB_R_KEY) != 0 ? dfb_read_u8(&r) : 0;
	out->key = dfb_read_bytes(&r, out->key_len);
	out->headers_len = (out->flags & DFB_R_HEADERS) != 0 ? dfb_read_u16(&r) : 0;
	out->headers = dfb_read_bytes(&r, out->headers_len);
	if (!r.ok || (out->flags & ~ALL_FLAGS) != 0 ||
	    ((out->flags & DFB_R_KEY) != 0 && out->key_len == 0) ||
	    ((out->flags & DFB_R_HEADERS) != 0 && (out->headers_len == 0 ||
	    out->headers_len > DFB_HEADERS_MAX)))
		return -1;
	out->body = r.p;
	out->body_len = (size_t)(r.end - r.p);
	*at = r.end;
	return 1;
}

size_t
dfb_record_peek_size(const uint8_t *p)
{
	return (size_t)be32dec(p) + 4;
}

void
dfb_record_mark(uint8_t *p, uint8_t flags)
{
	p[4] |= flags;
}
