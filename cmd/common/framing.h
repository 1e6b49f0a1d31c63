/* How messages are told apart in a stream of bytes, on input and on output. */
#ifndef COMMON_FRAMING_H
#define COMMON_FRAMING_H

#include <stddef.h>
#include <stdint.h>

struct dfb_buf;
struct dfb_msg;

enum dfb_framing {
	DFB_FRAMING_LINES,  /* each line is a message */
	DFB_FRAMING_NUL,    /* -0: as lines, ended by NUL */
	DFB_FRAMING_LENGTH, /* -L: 4 bytes of length, big-endian, in front */
	DFB_FRAMING_RAW,    /* -r: all up to the end is one message, also when
	                       that is nothing */
	DFB_FRAMING_JSON,   /* -J: each line is an object, see msgjson.h; blank lines
	                       are skipped */
};

/* The letters 0 L r J of the rows in an option table. */
#define DFB_FRAMING_OPTIONS_OUT \
	{ '0', "null", NULL, "messages end with a NUL byte, not a newline" }, \
	{ 'L', "length", NULL, "each message after its length, 4 bytes big-endian" }, \
	{ 'J', "json", NULL, "JSON lines: every field, binary safe" }
#define DFB_FRAMING_OPTIONS \
	DFB_FRAMING_OPTIONS_OUT, \
	{ 'r', "raw", NULL, "the whole input is one message" }

/* The framing of an option letter; -1 if it is none. */
int dfb_framing_of_letter(int letter);

/* ---- output ---- */

/* Append a message: its body as the framing has it, the object with JSON.  0, or -1
 * with errno ENOMEM. */
int dfb_framing_write(struct dfb_buf *, enum dfb_framing, const struct dfb_msg *);

/* ---- input ---- */

/* Embedded; _init once, then any number of streams one after the other. */
struct dfb_frames {
	enum dfb_framing framing;
	size_t max;             /* longest message (or line of JSON) taken */
	uint64_t number;        /* of the message last returned, 1 the first of the
	                           stream; with lines and JSON its line */
	const char *why;        /* after DFB_FRAMES_LONG and _BAD, in words */
	/* Private. */
	uint8_t *data;
	size_t cap, start, end, scanned;
	uint64_t offset;        /* of data[0] in the stream */
	uint8_t eof, over, skipping;
	char text[160];
};

enum dfb_frames_result {
	DFB_FRAMES_MORE, /* none is complete: _fill, or wait for input first */
	DFB_FRAMES_ONE,  /* a message */
	DFB_FRAMES_LONG, /* message `number` is longer than max and is left out */
	DFB_FRAMES_BAD,  /* the stream breaks off or cannot be understood; over */
	DFB_FRAMES_END,  /* no more */
};

/* max 0: what a message can hold at most, or a line of JSON for it. */
void dfb_frames_init(struct dfb_frames *, enum dfb_framing, size_t max);
void dfb_frames_release(struct dfb_frames *);

/* Begin a new stream; what is left of the last is dropped. */
void dfb_frames_restart(struct dfb_frames *);

/* The next message; *p is valid until the next _fill, _feed or _restart. */
enum dfb_frames_result dfb_frames_next(struct dfb_frames *, const uint8_t **p,
    size_t *len);

/* Bytes that were read and are not returned yet. */
size_t dfb_frames_rest(const struct dfb_frames *);

/* Read from fd, once.  0 (something came, or the end), or -1 with errno (EAGAIN,
 * EINTR: again later). */
int dfb_frames_fill(struct dfb_frames *, int fd);

/* Add n bytes instead of reading them; n = 0 is the end.  0, or -1 with errno. */
int dfb_frames_feed(struct dfb_frames *, const void *p, size_t n);

#endif
