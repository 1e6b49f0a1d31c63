/* Framing of input: any bytes in any portions give the same messages as at once, and what
 * is written is read back. */
#include "base/buf.h"
#include "common/framing.h"
#include "dfb.h"
#include "fuzz.h"

#define MAX 20

static const enum dfb_framing framings[] = { DFB_FRAMING_LINES, DFB_FRAMING_NUL,
	DFB_FRAMING_LENGTH, DFB_FRAMING_RAW, DFB_FRAMING_JSON };

/* One reader for all: its memory is large, and starting again must forget everything. */
static struct dfb_frames f;

/* All that the reader finds, as text, from portions of n bytes. */
static void
read_all(struct dfb_buf *out, enum dfb_framing framing, const uint8_t *data,
    size_t size, size_t n)
{
	enum dfb_frames_result r;
	const uint8_t *p;
	size_t len, at = 0;

	f.framing = framing;
	dfb_frames_restart(&f);
	while ((r = dfb_frames_next(&f, &p, &len)) != DFB_FRAMES_END) {
		if (r == DFB_FRAMES_MORE) {
			size_t part = n < size - at ? n : size - at;
			need(!f.eof && dfb_frames_feed(&f, data + at, part) == 0);
			at += part;
			continue;
		}
		need(r != DFB_FRAMES_ONE || len <= MAX);
		dfb_buf_addf(out, "%d %llu ", (int)r, (unsigned long long)f.number);
		if (r == DFB_FRAMES_ONE)
			dfb_buf_add(out, p, len);
		else
			dfb_buf_addf(out, "%s", f.why);
	}
	need(dfb_frames_next(&f, &p, &len) == DFB_FRAMES_END);
}

static void
portions(enum dfb_framing framing, const uint8_t *data, size_t size, size_t n)
{
	static struct dfb_buf whole, parts;

	whole.len = parts.len = 0;
	read_all(&whole, framing, data, size, SIZE_MAX);
	read_all(&parts, framing, data, size, n);
	need(same(whole.data, whole.len, parts.data, parts.len));
}

/* Messages of n bytes each, written and read. */
static void
round_trip(enum dfb_framing framing, const uint8_t *data, size_t size, size_t n)
{
	static struct dfb_buf b;
	int sep = framing == DFB_FRAMING_NUL ? '\0' : '\n';
	const uint8_t *p;
	size_t len;

	b.len = 0;
	for (size_t at = 0; at < size; at += n) {
		struct dfb_msg m = { .body = data + at,
			.body_len = n < size - at ? n : size - at };
		if (framing != DFB_FRAMING_LENGTH && memchr(m.body, sep, m.body_len) != NULL)
			return; /* it would be two */
		need(dfb_framing_write(&b, framing, &m) == 0);
	}
	f.framing = framing;
	dfb_frames_restart(&f);
	need(b.len == 0 || dfb_frames_feed(&f, b.data, b.len) == 0);
	need(dfb_frames_feed(&f, NULL, 0) == 0);
	for (size_t at = 0; at < size; at += n) {
		need(dfb_frames_next(&f, &p, &len) == DFB_FRAMES_ONE);
		need(same(p, len, data + at, n < size - at ? n : size - at));
	}
	need(dfb_frames_next(&f, &p, &len) == DFB_FRAMES_END);
	need(f.number == (size + n - 1) / n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n;

	if (size < 2)
		return 0;
	if (f.max == 0)
		dfb_frames_init(&f, DFB_FRAMING_LINES, MAX);
	n = data[1] % MAX + 1;
	portions(framings[data[0] % 5], data + 2, size - 2, n);
	round_trip(framings[data[0] % 3], data + 2, size - 2, n);
	return 0;
}
