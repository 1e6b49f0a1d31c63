#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
dfb_buf_release(struct dfb_buf *b)
{
	free(b->data);
	*b = (struct dfb_buf){0};
}

int
dfb_buf_reserve(struct dfb_buf *b, size_t n)
{
	size_t cap = b->cap != 0 ? b->cap : 256;
	uint8_t *p;

	if (n <= b->cap - b->len)
		return 0;
	if (n > SIZE_MAX / 2 - b->len) {
		errno = ENOMEM;
		return -1;
	}
	while (cap < b->len + n)
		cap *= 2;
	if ((p = realloc(b->data, cap)) == NULL)
		return -1;
	b->data = p;
	b->cap = cap;
	return 0;
}

int
dfb_buf_add(struct dfb_buf *b, const void *p, size_t n)
{
	if (n == 0)
		return 0;
	if (dfb_buf_reserve(b, n) == -1)
		return -1;
	memcpy(b->data + b->len, p, n);
	b->len += n;
	return 0;
}

int
dfb_buf_addf(struct dfb_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || dfb_buf_reserve(b, (size_t)n + 1) == -1)
		return -1;
	va_start(ap, fmt);
	n = vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void
dfb_buf_consume(struct dfb_buf *b, size_t n)
{
	b->len -= n;
	if (b->len != 0)
		memmove(b->data, b->data + n, b->len);
}

uint8_t *
dfb_buf_steal(struct dfb_buf *b, size_t *len)
{
	uint8_t *p = b->data;

	*len = b->len;
	*b = (struct dfb_buf){0};
	return p;
}
