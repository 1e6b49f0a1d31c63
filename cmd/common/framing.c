#include "common/framing.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/buf.h"
#include "common/msgjson.h"
#include "dfb.h"
#include "wire/proto.h"

#define CHUNK (256u << 10)
#define LENGTH_SIZE 4
/* Each byte of a body may be written as \u00XX; key and headers are small. */
#define JSON_MAX (6 * (size_t)DFB_BODY_MAX_LIMIT + (1u << 20))

int
dfb_framing_of_letter(int letter)
{
	switch (letter) {
	case '0': return DFB_FRAMING_NUL;
	case 'L': return DFB_FRAMING_LENGTH;
	case 'r': return DFB_FRAMING_RAW;
	case 'J': return DFB_FRAMING_JSON;
	default: return -1;
	}
}

int
dfb_framing_write(struct dfb_buf *b, enum dfb_framing framing,
    const struct dfb_msg *m)
{
	size_t n = m->body_len;
	uint8_t head[LENGTH_SIZE] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16),
		(uint8_t)(n >> 8), (uint8_t)n };

	if (framing == DFB_FRAMING_JSON)
		return dfb_msgjson_write(b, m);
	if (dfb_buf_reserve(b, n + LENGTH_SIZE) == -1)
		return -1;
	if (framing == DFB_FRAMING_LENGTH)
		dfb_buf_add(b, head, sizeof head);
	dfb_buf_add(b, m->body, n);
	if (framing == DFB_FRAMING_LINES)
		dfb_buf_add(b, "\n", 1);
	else if (framing == DFB_FRAMING_NUL)
		dfb_buf_add(b, "", 1);
	return 0;
}

/* ---- input ---- */

void
dfb_frames_init(struct dfb_frames *f, enum dfb_framing framing, size_t max)
{
	*f = (struct dfb_frames){ .framing = framing, .max = max };
	if (max == 0)
		f->max = framing == DFB_FRAMING_JSON ? JSON_MAX : DFB_BODY_MAX_LIMIT;
}

void
dfb_frames_release(struct dfb_frames *f)
{
	free(f->data);
	*f = (struct dfb_frames){0};
}

void
dfb_frames_restart(struct dfb_frames *f)
{
	f->start = f->end = f->scanned = 0;
	f->offset = f->number = 0;
	f->eof = f->over = f->skipping = 0;
	f->why = NULL;
}

/* A piece of n bytes, then `gap` bytes of no interest. */
static enum dfb_frames_result
take(struct dfb_frames *f, size_t n, size_t gap, const uint8_t **p, size_t *len)
{
	*p = f->data + f->start;
	*len = n;
	f->start = f->scanned = f->start + n + gap;
	f->number++;
	return DFB_FRAMES_ONE;
}

static enum dfb_frames_result
too_long(struct dfb_frames *f)
{
	snprintf(f->text, sizeof f->text, "the message is longer than %zu bytes",
	    f->max);
	f->why = f->text;
	f->number++;
	return DFB_FRAMES_LONG;
}

static enum dfb_frames_result
bad(struct dfb_frames *f)
{
	f->why = f->text;
	f->over = 1;
	f->number++;
	return DFB_FRAMES_BAD;
}

/* Lines and their like, up to a byte that ends them or the end of the stream. */
static enum dfb_frames_result
next_line(struct dfb_frames *f, uint8_t sep, const uint8_t **p, size_t *len)
{
	const uint8_t *e = NULL;
	size_t n, gap;

	if (f->scanned != f->end)
		e = memchr(f->data + f->scanned, sep, f->end - f->scanned);
	if (e == NULL && !f->eof) {
		/* What is too long already is dropped while its end is sought. */
		if (f->skipping || f->end - f->start > f->max) {
			f->skipping = 1;
			f->start = f->end;
		}
		f->scanned = f->end;
		return DFB_FRAMES_MORE;
	}
	gap = e != NULL;
	n = (e != NULL ? (size_t)(e - f->data) : f->end) - f->start;
	if (f->skipping || n > f->max) {
		f->skipping = 0;
		f->start = f->scanned = f->start + n + gap;
		return too_long(f);
	}
	return n + gap == 0 ? DFB_FRAMES_END : take(f, n, gap, p, len);
}

static enum dfb_frames_result
next_length(struct dfb_frames *f, const uint8_t **p, size_t *len)
{
	size_t have = f->end - f->start, n;
	const uint8_t *h = f->data + f->start;
	uint64_t at = f->offset + f->start;

	if (have == 0)
		return f->eof ? DFB_FRAMES_END : DFB_FRAMES_MORE;
	if (have >= LENGTH_SIZE) {
		n = (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];
		if (n > f->max) {
			snprintf(f->text, sizeof f->text, "a length of %zu at byte "
			    "%llu is more than %zu: is this -L input?", n,
			    (unsigned long long)at, f->max);
			return bad(f);
		}
		if (have - LENGTH_SIZE >= n) {
			f->start += LENGTH_SIZE;
			return take(f, n, 0, p, len);
		}
	}
	if (!f->eof)
		return DFB_FRAMES_MORE;
	snprintf(f->text, sizeof f->text, "the message at byte %llu is cut short by the "
	    "end of input at byte %llu", (unsigned long long)at,
	    (unsigned long long)(f->offset + f->end));
	return bad(f);
}

static enum dfb_frames_result
next_raw(struct dfb_frames *f, const uint8_t **p, size_t *len)
{
	if (f->skipping || f->end > f->max) {
		f->skipping = 1;
		f->start = f->end;
		if (!f->eof)
			return DFB_FRAMES_MORE;
		f->over = 1;
		return too_long(f);
	}
	if (!f->eof)
		return DFB_FRAMES_MORE;
	f->over = 1;
	return take(f, f->end, 0, p, len);
}

static bool
blank(const uint8_t *p, size_t len)
{
	while (len != 0 && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++, len--;
	return len == 0;
}

enum dfb_frames_result
dfb_frames_next(struct dfb_frames *f, const uint8_t **p, size_t *len)
{
	enum dfb_frames_result r;

	if (f->over)
		return DFB_FRAMES_END;
	if (f->data == NULL)
		return DFB_FRAMES_MORE;
	switch (f->framing) {
	case DFB_FRAMING_NUL:
		return next_line(f, '\0', p, len);
	case DFB_FRAMING_LENGTH:
		return next_length(f, p, len);
	case DFB_FRAMING_RAW:
		return next_raw(f, p, len);
	case DFB_FRAMING_JSON:
		while ((r = next_line(f, '\n', p, len)) == DFB_FRAMES_ONE &&
		    blank(*p, *len))
			;
		return r;
	default:
		return next_line(f, '\n', p, len);
	}
}

size_t
dfb_frames_rest(const struct dfb_frames *f)
{
	return f->end - f->start;
}

/* Room for n more bytes at the end: what was returned goes first. */
static int
make_room(struct dfb_frames *f, size_t n)
{
	uint8_t *p;
	size_t cap = f->cap != 0 ? f->cap : 2 * CHUNK;

	if (f->start != 0) {
		if (f->end != f->start)
			memmove(f->data, f->data + f->start, f->end - f->start);
		f->offset += f->start;
		f->end -= f->start;
		f->scanned -= f->start;
		f->start = 0;
	}
	while (cap - f->end < n)
		cap *= 2;
	if (cap == f->cap)
		return 0;
	if ((p = realloc(f->data, cap)) == NULL)
		return -1;
	f->data = p;
	f->cap = cap;
	return 0;
}

int
dfb_frames_fill(struct dfb_frames *f, int fd)
{
	ssize_t n;

	if (f->eof)
		return 0;
	if (make_room(f, CHUNK) == -1 ||
	    (n = read(fd, f->data + f->end, CHUNK)) == -1)
		return -1;
	f->end += (size_t)n;
	f->eof = n == 0;
	return 0;
}

int
dfb_frames_feed(struct dfb_frames *f, const void *p, size_t n)
{
	if (make_room(f, n) == -1)
		return -1;
	if (n == 0)
		f->eof = 1;
	else
		memcpy(f->data + f->end, p, n);
	f->end += n;
	return 0;
}
