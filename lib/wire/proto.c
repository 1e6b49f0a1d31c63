#include "wire/proto.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "wire/cursor.h"

struct dfb_str
dfb_str(const char *text)
{
	return (struct dfb_str){ text, text != NULL ? strlen(text) : 0 };
}

char *
dfb_str_copy(struct dfb_str s, char *buf, size_t size)
{
	size_t n = s.len < size ? s.len : size - 1;

	if (n != 0)
		memcpy(buf, s.p, n);
	buf[n] = '\0';
	return buf;
}

bool
dfb_str_is(struct dfb_str s, const char *text)
{
	return strlen(text) == s.len && (s.len == 0 || memcmp(s.p, text, s.len) == 0);
}

/* One reader, writer, size and dump for each field type. */

static void
read_u8(struct dfb_reader *r, uint8_t *v)
{
	*v = dfb_read_u8(r);
}

static void
read_u16(struct dfb_reader *r, uint16_t *v)
{
	*v = dfb_read_u16(r);
}

static void
read_u32(struct dfb_reader *r, uint32_t *v)
{
	*v = dfb_read_u32(r);
}

static void
read_u64(struct dfb_reader *r, uint64_t *v)
{
	*v = dfb_read_u64(r);
}

static void
read_id(struct dfb_reader *r, struct dfb_id *v)
{
	const uint8_t *p = dfb_read_bytes(r, sizeof v->b);

	if (p != NULL)
		memcpy(v->b, p, sizeof v->b);
}

static void
read_str(struct dfb_reader *r, struct dfb_str *v)
{
	size_t n = dfb_read_u16(r);

	v->p = (const char *)dfb_read_bytes(r, n);
	v->len = v->p != NULL ? n : 0;
	if (v->len != 0 && (memchr(v->p, 0, n) != NULL || !dfb_utf8_valid(v->p, n)))
		r->ok = false;
}

static void
read_blob(struct dfb_reader *r, struct dfb_blob *v)
{
	size_t n = dfb_read_u32(r);

	v->p = dfb_read_bytes(r, n);
	v->len = v->p != NULL ? n : 0;
}

static void
read_rest(struct dfb_reader *r, struct dfb_blob *v)
{
	v->len = (size_t)(r->end - r->p);
	v->p = dfb_read_bytes(r, v->len);
}

static uint8_t *
write_str(uint8_t *p, struct dfb_str v)
{
	assert(v.len <= UINT16_MAX);
	return dfb_write_bytes(dfb_write_u16(p, (uint16_t)v.len), v.p, v.len);
}

static uint8_t *
write_blob(uint8_t *p, struct dfb_blob v)
{
	assert(v.len <= UINT32_MAX);
	return dfb_write_bytes(dfb_write_u32(p, (uint32_t)v.len), v.p, v.len);
}

#define write_u8 dfb_write_u8
#define write_u16 dfb_write_u16
#define write_u32 dfb_write_u32
#define write_u64 dfb_write_u64
#define write_id(p, v) dfb_write_bytes(p, (v).b, sizeof (v).b)
#define write_rest(p, v) (p)

#define size_u8(v) 1
#define size_u16(v) 2
#define size_u32(v) 4
#define size_u64(v) 8
#define size_id(v) sizeof (v).b
#define size_str(v) (2 + (v).len)
#define size_blob(v) (4 + (v).len)
#define size_rest(v) 0

/* decode_NAME, size_NAME, write_NAME, and the item functions. */
#define MSG(NAME, name, number) ITEM_OR_MSG(name)
#define ITEM(name) ITEM_OR_MSG(name)

#define ITEM_OR_MSG(name) \
	static void decode_##name(struct dfb_reader *r, struct dfb_m_##name *m) { \
		(void)r;
#define F(type, field) read_##type(r, &m->field);
#define END(name) m->end_ = 0; }
#include "wire/msgs.def"
#undef ITEM_OR_MSG
#undef F
#undef END

#define ITEM_OR_MSG(name) \
	static size_t size_##name(const struct dfb_m_##name *m) { \
		(void)m; \
		return 0
#define F(type, field) + size_##type(m->field)
#define END(name) ; }
#include "wire/msgs.def"
#undef ITEM_OR_MSG
#undef F
#undef END

#define ITEM_OR_MSG(name) \
	static uint8_t *put_##name(uint8_t *p, const struct dfb_m_##name *m) { \
		(void)m;
#define F(type, field) p = write_##type(p, m->field);
#define END(name) return p; }
#include "wire/msgs.def"
#undef ITEM_OR_MSG
#undef F
#undef END

/* rest_NAME: the message's `rest` field, if it has one. */
#define REST_u8(v)
#define REST_u16(v)
#define REST_u32(v)
#define REST_u64(v)
#define REST_id(v)
#define REST_str(v)
#define REST_blob(v)
#define REST_rest(v) rest = v;
#define ITEM_OR_MSG(name) \
	__attribute__((unused)) static struct dfb_blob rest_##name( \
	    const struct dfb_m_##name *m) { \
		struct dfb_blob rest = { NULL, 0 }; \
		(void)m;
#define F(type, field) REST_##type(m->field)
#define END(name) return rest; }
#include "wire/msgs.def"
#undef ITEM_OR_MSG
#undef F
#undef END

/* dump_NAME: the fields as text. */
#define DUMP_u8(b, n, v) dfb_buf_addf(b, " %s=%u", n, (unsigned)(v))
#define DUMP_u16(b, n, v) dfb_buf_addf(b, " %s=%u", n, (unsigned)(v))
#define DUMP_u32(b, n, v) dfb_buf_addf(b, " %s=%u", n, (unsigned)(v))
#define DUMP_u64(b, n, v) dfb_buf_addf(b, " %s=%llu", n, (unsigned long long)(v))
#define DUMP_id(b, n, v) dump_id(b, n, &(v))
#define DUMP_str(b, n, v) dump_str(b, n, v)
#define DUMP_blob(b, n, v) dfb_buf_addf(b, " %s=%zub", n, (v).len)
#define DUMP_rest(b, n, v) dfb_buf_addf(b, " %s=%zub", n, (v).len)

static int
dump_id(struct dfb_buf *b, const char *name, const struct dfb_id *id)
{
	char text[DFB_ID_TEXT];

	dfb_id_format(id, text);
	return dfb_buf_addf(b, " %s=%s", name, text);
}

/* One line, whatever is in it. */
static int
dump_str(struct dfb_buf *b, const char *name, struct dfb_str s)
{
	size_t at = b->len;

	if (dfb_buf_addf(b, " %s=%.*s", name, (int)s.len, s.p) == -1)
		return -1;
	for (; at < b->len; at++)
		if (b->data[at] < ' ' || b->data[at] == 127)
			b->data[at] = '?';
	return 0;
}

#define ITEM_OR_MSG(name) \
	__attribute__((unused)) static int dump_##name(struct dfb_buf *b, \
	    const struct dfb_m_##name *m) { \
		int rc = 0; \
		(void)b; \
		(void)m;
#define F(type, field) \
		rc |= DUMP_##type(b, #field, m->field);
#define END(name) return rc; }
#include "wire/msgs.def"
#undef ITEM_OR_MSG
#undef F
#undef END
#undef MSG
#undef ITEM

#define MSG(NAME, name, number)
#define F(type, field)
#define END(name)
#define ITEM(name) \
	int dfb_##name##_add(struct dfb_buf *b, const struct dfb_m_##name *m) { \
		size_t n = size_##name(m); \
		if (dfb_buf_reserve(b, n) == -1) \
			return -1; \
		put_##name(b->data + b->len, m); \
		b->len += n; \
		return 0; \
	} \
	int dfb_##name##_next(struct dfb_blob *list, struct dfb_m_##name *m) { \
		struct dfb_reader r = { list->p, list->p + list->len, true }; \
		if (list->len == 0) \
			return 0; \
		decode_##name(&r, m); \
		if (!r.ok) \
			return -1; \
		list->p = r.p; \
		list->len = (size_t)(r.end - r.p); \
		return 1; \
	}
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef F
#undef END

/* What follows has a case for each message. */
#define ITEM(name)
#define F(type, field)
#define END(name)

int
dfb_proto_decode(const void *frame, size_t len, struct dfb_proto *m,
    const char **why)
{
	struct dfb_reader r = { frame, (const uint8_t *)frame + len, true };
	uint16_t magic = dfb_read_u16(&r);
	uint8_t version = dfb_read_u8(&r), zero = dfb_read_u8(&r);

	m->type = dfb_read_u16(&r);
	m->status = dfb_read_u16(&r);
	m->req = dfb_read_u32(&r);
	*why = "not a dfb frame";
	if (!r.ok || magic != DFB_MAGIC)
		return -1;
	*why = "another version of the protocol";
	if (version != DFB_PROTO_VERSION)
		return -1;
	*why = "unknown message type";
	switch (m->type) {
#define MSG(NAME, name, number) \
	case number: \
		decode_##name(&r, &m->name); \
		break;
#include "wire/msgs.def"
#undef MSG
	default:
		return -1;
	}
	*why = "malformed message";
	if (!r.ok || r.p != r.end || zero != 0)
		return -1;
	*why = NULL;
	return 0;
}

size_t
dfb_proto_head_size(const struct dfb_proto *m)
{
	switch (m->type) {
#define MSG(NAME, name, number) \
	case number: \
		return DFB_FRAME_HEADER + size_##name(&m->name);
#include "wire/msgs.def"
#undef MSG
	}
	assert(0 && "unknown message type");
	return 0;
}

uint8_t *
dfb_proto_write_head(const struct dfb_proto *m, uint8_t *p)
{
	p = dfb_write_u16(p, DFB_MAGIC);
	p = dfb_write_u8(p, DFB_PROTO_VERSION);
	p = dfb_write_u8(p, 0);
	p = dfb_write_u16(p, m->type);
	p = dfb_write_u16(p, m->status);
	p = dfb_write_u32(p, m->req);
	switch (m->type) {
#define MSG(NAME, name, number) \
	case number: \
		return put_##name(p, &m->name);
#include "wire/msgs.def"
#undef MSG
	}
	assert(0 && "unknown message type");
	return p;
}

const char *
dfb_proto_name(uint16_t type)
{
	switch (type) {
#define MSG(NAME, name, number) \
	case number: \
		return #NAME;
#include "wire/msgs.def"
#undef MSG
	}
	return NULL;
}

int
dfb_proto_encode(const struct dfb_proto *m, struct dfb_buf *buf)
{
	struct dfb_blob rest = { NULL, 0 };
	size_t n = dfb_proto_head_size(m);

	switch (m->type) {
#define MSG(NAME, name, number) \
	case number: \
		rest = rest_##name(&m->name); \
		break;
#include "wire/msgs.def"
#undef MSG
	}
	if (dfb_buf_reserve(buf, n + rest.len) == -1)
		return -1;
	dfb_proto_write_head(m, buf->data + buf->len);
	buf->len += n;
	return dfb_buf_add(buf, rest.p, rest.len);
}

int
dfb_proto_dump(const struct dfb_proto *m, struct dfb_buf *buf)
{
	const char *name = dfb_proto_name(m->type);

	if (dfb_buf_addf(buf, "%s", name != NULL ? name : "?") == -1 ||
	    (m->req != 0 && dfb_buf_addf(buf, " req=%u", m->req) == -1) ||
	    (m->status != 0 && dfb_buf_addf(buf, " status=%u", m->status) == -1))
		return -1;
	switch (m->type) {
#define MSG(NAME, name, number) \
	case number: \
		return dump_##name(buf, &m->name);
#include "wire/msgs.def"
#undef MSG
	}
	return 0;
}
