/* ZMTP: any bytes of a peer in any portions say the same as at once, and what we say is
 * understood by the same rules. */
#include "base/buf.h"
#include "fuzz.h"
#include "net/zmtp.h"

#define MAX 300

static const uint8_t greeting[64] = { 0xff, [9] = 0x7f, 3, 1, 'N', 'U', 'L', 'L' };
static const uint8_t ready[] = "\4\x1c\5READY\xbSocket-Type\0\0\0\6ROUTER";

static void
begin(struct dfb_zmtp *z)
{
	dfb_buf_add(&z->in, greeting, sizeof greeting);
	dfb_buf_add(&z->in, ready, sizeof ready - 1);
}

/* What is found, as text; and what is answered. */
static void
digest(struct dfb_zmtp *z, struct dfb_buf *found)
{
	struct dfb_zmtp_frame f;

	while (dfb_zmtp_next(z, &f) == 1) {
		need(f.len <= MAX && z->state == DFB_ZMTP_OPEN);
		dfb_buf_addf(found, "%zu%s ", f.len, f.part ? "+" : "");
		dfb_buf_add(found, f.data, f.len);
		dfb_zmtp_take(z);
	}
	need(z->at <= z->in.len);
	dfb_zmtp_tidy(z);
}

static void
read_all(struct dfb_buf *found, const uint8_t *p, size_t size, size_t n, bool opened)
{
	struct dfb_zmtp z = { .max_frame = MAX };

	found->len = 0;
	if (opened) {
		begin(&z);
		digest(&z, found);
		need(z.state == DFB_ZMTP_OPEN);
	}
	for (size_t part; size != 0; p += part, size -= part) {
		part = n < size ? n : size;
		dfb_buf_add(&z.in, p, part);
		digest(&z, found);
	}
	dfb_buf_addf(found, "state %d, out ", (int)z.state);
	dfb_buf_add(found, z.out.data, z.out.len);
	dfb_zmtp_release(&z);
}

/* Whoever reads us finds what we sent. */
static void
round_trip(const uint8_t *data, size_t size)
{
	struct dfb_zmtp z = { .max_frame = MAX }, other = { .max_frame = MAX };
	struct dfb_zmtp_frame f;
	size_t n = size < MAX ? size : MAX;

	begin(&other);
	need(dfb_zmtp_put(&z, data, n) == 0);
	dfb_buf_add(&other.in, z.out.data, z.out.len);
	need(dfb_zmtp_next(&other, &f) == 1 && !f.part && same(f.data, f.len, data, n));
	dfb_zmtp_take(&other);
	need(dfb_zmtp_next(&other, &f) == 0);
	dfb_zmtp_release(&z);
	dfb_zmtp_release(&other);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dfb_buf whole, parts;
	size_t n;
	bool opened;

	if (size < 1)
		return 0;
	n = 1 + (data[0] & 127);
	opened = data[0] >= 128;
	data++, size--;
	read_all(&whole, data, size, SIZE_MAX, opened);
	read_all(&parts, data, size, n, opened);
	need(same(whole.data, whole.len, parts.data, parts.len));
	round_trip(data, size);
	return 0;
}
