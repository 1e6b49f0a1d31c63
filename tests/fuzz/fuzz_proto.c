/* Frames and what is in them: decoding any bytes is safe, and what is accepted encodes to the same
 * bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "wire/proto.h"
#include "wire/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
need(int ok)
{
	if (!ok)
		abort();
}

static void
records(const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;
	struct dfb_record r;

	while (dfb_record_next(&p, end, &r) == 1) {
		uint8_t *copy = malloc(r.size);
		need(copy != NULL && dfb_record_size(&r) == r.size &&
		    dfb_record_write(&r, copy) == copy + r.size &&
		    memcmp(copy, p - r.size, r.size) == 0);
		if (r.headers_len != 0)
			(void)dfb_headers_valid(r.headers, r.headers_len);
		free(copy);
	}
}

static void
lists(struct dfb_blob rest)
{
#define MSG(NAME, name, number)
#define F(type, field)
#define END(name)
#define ITEM(name) \
	{ \
		struct dfb_blob list = rest; \
		struct dfb_m_##name item; \
		while (dfb_##name##_next(&list, &item) == 1) \
			; \
	}
#include "wire/msgs.def"
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dfb_buf again = { 0 }, text = { 0 };
	struct dfb_proto m;
	const char *why;

	if (dfb_proto_decode(data, len, &m, &why) == 0) {
		need(dfb_proto_encode(&m, &again) == 0 && again.len == len &&
		    memcmp(again.data, data, len) == 0);
		need(dfb_proto_dump(&m, &text) == 0);
	}
	records(data, len);
	lists((struct dfb_blob){ data, len });
	dfb_buf_release(&again);
	dfb_buf_release(&text);
	return 0;
}
