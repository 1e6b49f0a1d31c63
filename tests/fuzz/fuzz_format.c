/* Format strings, applied to a message: any literal bytes can be written, and a format
 * twice in a row writes twice the same. */
#include "base/buf.h"
#include "common/format.h"
#include "dfb.h"
#include "fuzz.h"

static const uint8_t headers[] = { 1, 'a', 0, 1, '1', 1, 'b', 0, 0 };
static const struct dfb_msg msg = { .topic = "A10-x", .key = "k", .key_len = 1,
	.headers = headers, .headers_len = sizeof headers, .body = "\0%s", .body_len = 3,
	.queue = UINT32_MAX, .offset = UINT64_MAX };

/* The message by this format; false and an empty buffer when it is none. */
static bool
formatted(const char *text, struct dfb_buf *b)
{
	char why[64] = "";
	struct dfb_format *f = dfb_format_new(text, why, sizeof why);

	if (f == NULL) {
		need(why[0] != '\0' && memchr(why, 0, sizeof why) != NULL);
		return false;
	}
	need(dfb_format_write(f, b, &msg) == 0);
	dfb_format_free(f);
	return true;
}

static void
twice(const char *text)
{
	struct dfb_buf once = {0}, both = {0}, doubled = {0};

	if (formatted(text, &once)) {
		need(dfb_buf_addf(&doubled, "%s%s", text, text) == 0);
		need(dfb_buf_add(&doubled, "", 1) == 0);
		need(formatted((char *)doubled.data, &both) && both.len == 2 * once.len);
		need(once.len == 0 || (memcmp(both.data, once.data, once.len) == 0 &&
		    memcmp(both.data + once.len, once.data, once.len) == 0));
	}
	dfb_buf_release(&once);
	dfb_buf_release(&both);
	dfb_buf_release(&doubled);
}

/* Every byte as it must be written to mean itself. */
static void
literal(const uint8_t *data, size_t size)
{
	static const char hex[] = "0123456789abcDEF";
	struct dfb_buf b = {0};
	char *text = malloc(4 * size + 1), *t = text;

	need(text != NULL);
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '%' || data[i] == '\\')
			*t++ = (char)data[i];
		else if (i % 4 == 0 || data[i] == 0) {
			*t++ = '\\';
			*t++ = 'x';
			*t++ = hex[data[i] >> 4];
			*t++ = hex[data[i] & 15];
			continue;
		}
		*t++ = (char)data[i];
	}
	*t = '\0';
	need(formatted(text, &b) && same(b.data, b.len, data, size));
	dfb_buf_release(&b);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);

	twice(text);
	literal(data, size);
	free(text);
	return 0;
}
