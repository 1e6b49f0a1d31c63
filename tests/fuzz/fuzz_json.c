/* Lines of JSON as messages: what can be read is written and read back the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "common/msgjson.h"
#include "dfb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
same(const void *a, size_t alen, const void *b, size_t blen)
{
	return alen == blen && (alen == 0 || memcmp(a, b, alen) == 0);
}

static void
read_back(const struct dfb_msg *m)
{
	struct dfb_buf b = {0};
	struct dfb_msgjson *j;
	const struct dfb_msg *r;
	char why[256];

	if (dfb_msgjson_write(&b, m) == -1 ||
	    dfb_msgjson_read((char *)b.data, b.len, &j, why, sizeof why) == -1)
		abort();
	r = dfb_msgjson_msg(j);
	if (!same(m->body, m->body_len, r->body, r->body_len) ||
	    !same(m->key, m->key_len, r->key, r->key_len) ||
	    !same(m->headers, m->headers_len, r->headers, r->headers_len) ||
	    memcmp(&m->id, &r->id, sizeof m->id) != 0 || m->born_ms != r->born_ms ||
	    m->expires_ms != r->expires_ms)
		abort();
	dfb_msgjson_free(j);
	dfb_buf_release(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dfb_msg raw = { .body = data, .body_len = size };
	struct dfb_msgjson *j;
	char why[64];

	read_back(&raw);
	if (dfb_msgjson_read((const char *)data, size, &j, why, sizeof why) == -1) {
		if (memchr(why, 0, sizeof why) == NULL || why[0] == '\0')
			abort();
		return 0;
	}
	read_back(dfb_msgjson_msg(j));
	dfb_msgjson_free(j);
	return 0;
}
