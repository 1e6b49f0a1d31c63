/*
 * Messages from files, one after the other: framing.h's reader on descriptors that
 * are served by a client's loop, so that nothing waits for slow input.
 */
#ifndef COMMON_INPUT_H
#define COMMON_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/framing.h"

struct dfb_loop;

struct dfb_input {
	struct dfb_frames frames;
	size_t file;            /* the current one, 0 the first */
	/* Private. */
	char *const *names;     /* NULL: a text that was given */
	size_t n;
	struct dfb_loop *loop;  /* NULL: wait in read(2) */
	int fd;
	bool watched, armed, ready, widened;
};

enum dfb_input_result {
	DFB_INPUT_ONE,   /* a message */
	DFB_INPUT_WAIT,  /* none yet: serve the client, for dfb_input_timeout() */
	DFB_INPUT_WRONG, /* DFB_BADINPUT: this message is left out; frames.why */
	DFB_INPUT_FAIL,  /* DFB_IOERR: the file cannot be read (further); errno.  Goes
	                    on with the next */
	DFB_INPUT_END,
};

/* names: n files, "-" is stdin; n = 0: stdin.  loop NULL: _next blocks, and never
 * answers WAIT.  names and loop must outlive the input. */
void dfb_input_init(struct dfb_input *, enum dfb_framing, char *const *names, size_t n,
    struct dfb_loop *loop);

/* The text is the input.  0, or -1 with errno. */
int dfb_input_init_text(struct dfb_input *, enum dfb_framing, const char *text);

void dfb_input_release(struct dfb_input *);

/* The name of the first file that is no readable file, without reading any, and
 * errno; NULL: all can be read. */
const char *dfb_input_unreadable(char *const *names, size_t n);

/* The next message: *p is valid until the next call.  frames.number and file say
 * where it stands. */
enum dfb_input_result dfb_input_next(struct dfb_input *, const uint8_t **p, size_t *len);

/* How long to wait after WAIT: 0 or -1 (until a callback ran). */
int dfb_input_timeout(const struct dfb_input *);

/* A place as people write it: "stdin:12", "FILE: message 3"; into buf. */
const char *dfb_input_place(const struct dfb_input *, size_t file, uint64_t number,
    char *buf, size_t size);

#endif
