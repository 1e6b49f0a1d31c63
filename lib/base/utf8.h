/* UTF-8. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Whether p is valid UTF-8 (RFC 3629: shortest forms, no surrogates, up to
 * U+10FFFF).  NUL bytes are valid. */
bool dfb_utf8_valid(const void *p, size_t len);

#endif
