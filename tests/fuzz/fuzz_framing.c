/* Framing of input: any bytes in any portions give the same messages as at once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "common/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All that the reader finds, as text, from portions of n bytes. */
static void
read_all(struct dfb_buf *out, enum dfb_framing framing, const uint8_t *data,
    size_t size, size_t n)
{
	enum dfb_frames_result r;
	struct dfb_frames f;
	const uint8_t *p;
	size_t len, at = 0;

	dfb_frames_init(&f, framing, 20);
	while ((r = dfb_frames_next(&f, &p, &len)) != DFB_FRAMES_END) {
		if (r == DFB_FRAMES_MORE) {
			size_t part = n < size - at ? n : size - at;
			if (dfb_frames_feed(&f, data + at, part) == -1)
				abort();
			at += part;
			continue;
		}
		dfb_buf_addf(out, "%d %llu ", (int)r, (unsigned long long)f.number);
		if (r == DFB_FRAMES_ONE)
			dfb_buf_add(out, p, len);
		else
			dfb_buf_addf(out, "%s", f.why);
	}
	dfb_frames_release(&f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dfb_framing framings[] = { DFB_FRAMING_LINES, DFB_FRAMING_NUL,
		DFB_FRAMING_LENGTH, DFB_FRAMING_RAW, DFB_FRAMING_JSON };
	struct dfb_buf whole = {0}, parts = {0};
	size_t n;

	if (size < 2)
		return 0;
	n = data[1] % 32 + 1;
	read_all(&whole, framings[data[0] % 5], data + 2, size - 2, SIZE_MAX);
	read_all(&parts, framings[data[0] % 5], data + 2, size - 2, n);
	if (whole.len != parts.len ||
	    (whole.len != 0 && memcmp(whole.data, parts.data, whole.len) != 0))
		abort();
	dfb_buf_release(&whole);
	dfb_buf_release(&parts);
	return 0;
}
