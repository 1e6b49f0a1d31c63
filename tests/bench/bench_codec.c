/*
 * The codec alone: bench_codec [SIZE], the size of a body, 1024 by default.  Time for each
 * frame, record or line, in ns, and how many that makes a second.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "common/msgjson.h"
#include "wire/proto.h"
#include "wire/record.h"

#define NS 300000000u /* how long each is measured */
#define BATCH 64      /* records of a frame */

static struct dfb_msg msg = { .id = { { 1 } }, .born_ms = 1764000000000, .key = "customer-4711",
    .key_len = 13 };
static struct dfb_buf frame, records, line;

static void
need(int ok)
{
	if (!ok)
		errx(70, "the codec refuses its own output");
}

/* ---- what is measured: each returns how many it did ---- */

static struct dfb_proto
put_frame(void)
{
	return (struct dfb_proto){ .type = DFB_M_PUT, .put = { .stream = 1, .seq = 7,
	    .count = BATCH, .records = { records.data, records.len } } };
}

static unsigned
encode(void)
{
	struct dfb_proto p = put_frame();

	frame.len = 0;
	need(dfb_proto_encode(&p, &frame) == 0);
	return 1;
}

static unsigned
decode(void)
{
	struct dfb_proto p;
	const char *why;

	need(dfb_proto_decode(frame.data, frame.len, &p, &why) == 0);
	return 1;
}

/* Every message of the table there and back, empty as it may be. */
static unsigned
table(void)
{
	static const uint16_t types[] = {
#define MSG(NAME, name, number) number,
#define ITEM(name)
#define F(type, field)
#define END(name)
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef F
#undef END
	};
	static struct dfb_buf b;
	struct dfb_proto p = { .req = 1 }, q;
	const char *why;
	size_t n = sizeof types / sizeof *types;

	for (size_t i = 0; i < n; i++) {
		p.type = types[i];
		b.len = 0;
		need(dfb_proto_encode(&p, &b) == 0 &&
		    dfb_proto_decode(b.data, b.len, &q, &why) == 0);
	}
	return (unsigned)n;
}

static unsigned
write_records(void)
{
	struct dfb_record r;
	uint8_t *p;

	dfb_record_from(&r, &msg);
	need(dfb_buf_reserve(&records, BATCH * dfb_record_size(&r)) == 0);
	p = records.data;
	for (int i = 0; i < BATCH; i++) {
		dfb_record_from(&r, &msg);
		p = dfb_record_write(&r, p);
	}
	records.len = (size_t)(p - records.data);
	return BATCH;
}

static unsigned
read_records(void)
{
	const uint8_t *p = records.data, *end = p + records.len;
	struct dfb_record r;
	unsigned n = 0;

	while (dfb_record_next(&p, end, &r) == 1)
		n++;
	need(n == BATCH);
	return n;
}

static unsigned
write_json(void)
{
	line.len = 0;
	need(dfb_msgjson_write(&line, &msg) == 0);
	return 1;
}

static unsigned
read_json(void)
{
	struct dfb_msgjson *j;
	char why[256];

	need(dfb_msgjson_read((const char *)line.data, line.len, &j, why, sizeof why) == 0);
	dfb_msgjson_free(j);
	return 1;
}

static void
measure(const char *what, unsigned (*fn)(void))
{
	uint64_t start = dfb_mono_ns(), now, n = 0;
	double each;

	do {
		for (int i = 0; i < 16; i++)
			n += fn();
		now = dfb_mono_ns();
	} while (now - start < NS);
	each = (double)(now - start) / (double)n;
	printf("%-34s %9.1f ns %9.3f M/s\n", what, each, 1e3 / each);
}

int
main(int argc, char **argv)
{
	size_t size = argc > 1 ? (size_t)atol(argv[1]) : 1024;
	char *body = malloc(size);

	if (size == 0 || body == NULL)
		errx(64, "usage: bench_codec [SIZE]");
	memset(body, 'b', size);
	msg.body = body;
	msg.body_len = size;
	printf("bodies of %zu bytes, frames of %d records\n", size, BATCH);
	measure("record, write", write_records);
	measure("record, next", read_records);
	measure("PUT frame, encode", encode);
	measure("PUT frame, decode", decode);
	measure("msgs.def, each there and back", table);
	measure("JSON line, write", write_json);
	measure("JSON line, read", read_json);
	return 0;
}
