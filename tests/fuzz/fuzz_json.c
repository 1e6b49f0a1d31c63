/* Lines of JSON as messages: any message is written and read back the same, and so is
 * what can be read; others can read it, too. */
#include <jansson.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "common/msgjson.h"
#include "dfb.h"
#include "fuzz.h"

/* jansson takes the line; names of headers that repeat are not in an object. */
static void
for_others(const struct dfb_buf *b)
{
	json_t *v = json_loadb((char *)b->data, b->len, JSON_ALLOW_NUL |
	    JSON_REJECT_DUPLICATES, NULL);

	need(json_is_object(v));
	json_decref(v);
}

static void
read_back(const struct dfb_msg *m)
{
	struct dfb_buf b = {0};
	struct dfb_msgjson *j;
	const struct dfb_msg *r;
	char why[256];

	need(dfb_msgjson_write(&b, m) == 0);
	need(memchr(b.data, '\n', b.len) == b.data + b.len - 1);
	need(dfb_utf8_valid(b.data, b.len));
	for_others(&b);
	need(dfb_msgjson_read((char *)b.data, b.len, &j, why, sizeof why) == 0);
	r = dfb_msgjson_msg(j);
	need(same(m->body, m->body_len, r->body, r->body_len));
	need(same(m->key, m->key_len, r->key, r->key_len));
	need(same(m->headers, m->headers_len, r->headers, r->headers_len));
	need(memcmp(&m->id, &r->id, sizeof m->id) == 0);
	need(m->born_ms == r->born_ms && m->expires_ms == r->expires_ms);
	dfb_msgjson_free(j);
	dfb_buf_release(&b);
}

/* A message of any bytes: the first say how many are what. */
static void
any_message(const uint8_t *p, size_t size)
{
	struct dfb_msg m = { .tries = 1, .topic = "A10-x", .is_call = true, .born_ms = 1 };
	uint8_t headers[512];
	char *value;

	if (size > 18) {
		memcpy(&m.id, p, 16);
		m.key = p + 18;
		m.key_len = p[16] % (size - 17);
		p += 18 + m.key_len;
		size -= 18 + m.key_len;
		value = text_of(p, size < 100 ? size : 100);
		(void)dfb_headers_add(headers, sizeof headers, &m.headers_len, "a", value);
		(void)dfb_headers_add(headers, sizeof headers, &m.headers_len,
		    size % 2 ? "a" : "b", value);
		m.headers = headers;
		free(value);
	}
	m.body = p;
	m.body_len = size;
	read_back(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dfb_msgjson *j;
	char why[64];

	any_message(data, size);
	if (dfb_msgjson_read((const char *)data, size, &j, why, sizeof why) == 0) {
		const char *reason = dfb_msgjson_reason(j);
		need(reason == NULL || dfb_utf8_valid(reason, strlen(reason)));
		need(dfb_msgjson_status(j) >= 0 && dfb_msgjson_status(j) <= 255);
		read_back(dfb_msgjson_msg(j));
		dfb_msgjson_free(j);
	} else {
		need(memchr(why, 0, sizeof why) != NULL && why[0] != '\0');
		for (char *p = why; *p != '\0'; p++)
			need((unsigned char)*p >= ' ' && *p != 127);
	}
	return 0;
}
