/* A growable byte buffer. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct dfb_buf {
	uint8_t *data;
	size_t len;
	size_t cap;
};

/* Embedded life cycle: all-zero is a valid empty buffer.  _release frees the
 * memory and leaves it empty. */
void dfb_buf_release(struct dfb_buf *);

/* Make room for n more bytes.  0, or -1 with errno ENOMEM (unchanged then). */
int dfb_buf_reserve(struct dfb_buf *, size_t n);

/* Append n bytes.  0, or -1 with errno ENOMEM (unchanged then). */
int dfb_buf_add(struct dfb_buf *, const void *p, size_t n);

/* Append formatted text, without its NUL.  0, or -1 with errno. */
int dfb_buf_addf(struct dfb_buf *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Drop the first n bytes (n <= len). */
void dfb_buf_consume(struct dfb_buf *, size_t n);

/* Hand the memory over: the result is to be freed with free(3), the buffer is
 * empty afterwards.  NULL if it never held anything. */
uint8_t *dfb_buf_steal(struct dfb_buf *, size_t *len);

#endif
