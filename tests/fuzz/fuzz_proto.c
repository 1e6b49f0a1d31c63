/* Frames and lists of items: decoding any bytes is safe, and what is accepted encodes to the
 * same bytes. */
#include "base/buf.h"
#include "fuzz.h"
#include "wire/proto.h"

static void
frame(const uint8_t *data, size_t len)
{
	struct dfb_buf again = { 0 }, text = { 0 };
	struct dfb_proto m;
	const char *why;

	if (dfb_proto_decode(data, len, &m, &why) == -1) {
		need(why != NULL);
		return;
	}
	need(dfb_proto_name(m.type) != NULL && dfb_proto_head_size(&m) <= len);
	need(dfb_proto_encode(&m, &again) == 0);
	need(same(again.data, again.len, data, len));
	need(dfb_proto_dump(&m, &text) == 0 && memchr(text.data, '\n', text.len) == NULL);
	dfb_buf_release(&again);
	dfb_buf_release(&text);
}

#define MSG(NAME, name, number)
#define F(type, field)
#define END(name)
#define ITEM(name) \
	static void list_of_##name(const uint8_t *data, size_t len) \
	{ \
		struct dfb_blob list = { data, len }; \
		struct dfb_buf again = { 0 }; \
		struct dfb_m_##name item; \
		while (dfb_##name##_next(&list, &item) == 1) \
			need(dfb_##name##_add(&again, &item) == 0); \
		need(same(again.data, again.len, data, len - list.len)); \
		dfb_buf_release(&again); \
	}
#include "wire/msgs.def"
#undef ITEM

/* Each input as everything: most of it is refused soon. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	frame(data, len);
#define ITEM(name) list_of_##name(data, len);
#include "wire/msgs.def"
	return 0;
}
