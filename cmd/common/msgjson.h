/*
 * A message as one line of JSON: what -J writes and reads, and what a --coproc
 * handler speaks.  {"id":..,"topic":..,"queue":0,"offset":7,"key":..,"born":ms,
 * "expires":ms,"due":ms,"try":1,"call":true,"headers":{..},"body":..}; fields that are empty are left
 * out, but body is always there.  A body or key that is not valid UTF-8 is
 * "body64" or "key64", in base64, instead.  Every message round-trips byte for byte.
 */
#ifndef COMMON_MSGJSON_H
#define COMMON_MSGJSON_H

#include <stdbool.h>
#include <stddef.h>

struct dfb_buf;
struct dfb_msg;

/* Append the line, with its newline, to buf.  0, or -1 with errno ENOMEM. */
int dfb_msgjson_write(struct dfb_buf *buf, const struct dfb_msg *);

/* A message read from a line; it owns what msg points to. */
struct dfb_msgjson;

/*
 * Read a line (len bytes, newline or not).  0 and a message to free with _free;
 * -1: it is not such an object, and why (size bytes) says in words what is wrong
 * and where.  Knows: id key key64 born due expires ttl (a number of ms from now, or from
 * due) headers body body64 status reason; of a delivery topic queue offset try call are
 * ignored; any other field is an error (a misspelt one must not be lost).
 * No body at all is an empty one.
 */
int dfb_msgjson_read(const char *line, size_t len, struct dfb_msgjson **,
    char *why, size_t size);
const struct dfb_msg *dfb_msgjson_msg(const struct dfb_msgjson *);
/* "status" (0 when absent) and "reason" (NULL when absent): a coproc's answer. */
int dfb_msgjson_status(const struct dfb_msgjson *);
const char *dfb_msgjson_reason(const struct dfb_msgjson *);
void dfb_msgjson_free(struct dfb_msgjson *); /* NULL is fine */

#endif
