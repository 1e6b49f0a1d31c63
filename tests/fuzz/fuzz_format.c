/* Format strings, applied to a message. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "common/format.h"
#include "dfb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t headers[] = { 1, 'a', 0, 1, '1', 1, 'b', 0, 0 };
	struct dfb_msg m = { .topic = "A10-x", .key = "k", .key_len = 1,
		.headers = headers, .headers_len = sizeof headers, .body = data,
		.body_len = size };
	char *text = malloc(size + 1), why[64] = "";
	struct dfb_buf b = {0};
	struct dfb_format *f;

	memcpy(text, data, size);
	text[size] = '\0';
	f = dfb_format_new(text, why, sizeof why);
	if (f == NULL ? why[0] == '\0' : dfb_format_write(f, &b, &m) == -1)
		abort();
	dfb_format_free(f);
	dfb_buf_release(&b);
	free(text);
	return 0;
}
