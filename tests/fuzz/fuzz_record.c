/* Records and the headers in them: what is accepted is written as the same bytes, also by
 * way of a message. */
#include "base/buf.h"
#include "base/id.h"
#include "fuzz.h"
#include "wire/record.h"

/* Valid headers can be built again, one by one. */
static void
headers(const uint8_t *data, size_t len)
{
	static uint8_t again[DFB_HEADERS_MAX];
	const char *name, *value;
	size_t at = 0, built = 0, n, v;
	bool valid = dfb_headers_valid(data, len), built_all = true;

	while (dfb_headers_next(data, len, &at, &name, &n, &value, &v)) {
		char *a = text_of((const uint8_t *)name, n);
		char *b = text_of((const uint8_t *)value, v);
		need(at <= len);
		if (dfb_headers_add(again, sizeof again, &built, a, b) != DFB_OK)
			built_all = false;
		free(a);
		free(b);
	}
	if (valid)
		need(built_all && same(again, built, data, len));
	else
		need(at != len || !built_all || !same(again, built, data, len));
}

/* To a message and back: only what a message has not is lost. */
static void
message(const struct dfb_record *r)
{
	struct dfb_msg m = { 0 };
	struct dfb_record back;

	dfb_record_to(r, &m);
	dfb_record_from(&back, &m);
	need(memcmp(&back.id, &r->id, sizeof r->id) == 0 && back.born == r->born &&
	    back.expires == r->expires && same(back.key, back.key_len, r->key, r->key_len) &&
	    same(back.headers, back.headers_len, r->headers, r->headers_len) &&
	    same(back.body, back.body_len, r->body, r->body_len));
	if ((back.flags & DFB_R_BORN) == 0)
		need(back.born == dfb_id_time(&r->id));
}

static void
record(const struct dfb_record *r, const uint8_t *at)
{
	uint8_t *copy = malloc(r->size);

	need(copy != NULL && dfb_record_size(r) == r->size &&
	    dfb_record_peek_size(at) == r->size);
	need(dfb_record_write(r, copy) == copy + r->size && memcmp(copy, at, r->size) == 0);
	if ((r->flags & DFB_R_CALL) != 0)
		need(r->call_at + 8 <= r->size && copy[r->call_at] == (uint8_t)(r->call >> 56));
	headers(r->headers, r->headers_len);
	message(r);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *p = data, *end = data + len;
	struct dfb_record r;
	int rc;

	for (const uint8_t *at = p; (rc = dfb_record_next(&p, end, &r)) == 1; at = p)
		record(&r, at);
	need(rc == 0 ? p == end : p < end);
	headers(data, len);
	return 0;
}
