/*
 * Format strings: %t topic, %q queue, %o offset, %k key, %s body, %h headers
 * (name=value,name=value), %T time it was made (Unix ms), %i id, %% a per cent
 * sign; \n \t \r \0 \\ and \xHH.  Nothing is added: a line needs its \n.
 */
#ifndef COMMON_FORMAT_H
#define COMMON_FORMAT_H

#include <stddef.h>

struct dfb_buf;
struct dfb_format;
struct dfb_msg;

/* Compile text.  NULL when it is malformed (or memory is short): why (size bytes) then
 * says what is wrong and names it. */
struct dfb_format *dfb_format_new(const char *text, char *why, size_t size);
void dfb_format_free(struct dfb_format *); /* NULL is fine */

/* Append the message so formatted.  0, or -1 with errno ENOMEM. */
int dfb_format_write(const struct dfb_format *, struct dfb_buf *,
    const struct dfb_msg *);

#endif
