/*
 * A scanner for one JSON text (RFC 8259), for lines that are read by the hundred thousand
 * per second: values in the order they stand, strings decoded into memory of the caller's.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stddef.h>
#include <stdint.h>

struct dfb_json {
	const uint8_t *start, *p, *end;
	uint8_t *out;      /* where strings go: room for end - start bytes */
	const char *error; /* set once something is wrong */
};

/* The next byte that is no white space, which stays; 0 at the end. */
int dfb_json_peek(struct dfb_json *);

/* Take this character, after white space.  0, or -1 and error. */
int dfb_json_take(struct dfb_json *, char c);

/* After a value of a list that close ends: 1 there is another; 0 it ended; -1 error. */
int dfb_json_more(struct dfb_json *, char close);

/* A string, valid UTF-8 and with a NUL behind.  0, or -1 and error. */
int dfb_json_string(struct dfb_json *, const char **text, size_t *len);

/* A whole number from 0 to INT64_MAX.  0; 1: something else, which is not taken; -1
 * and error. */
int dfb_json_number(struct dfb_json *, uint64_t *);

/* Any value.  0, or -1 and error. */
int dfb_json_skip(struct dfb_json *);

/* Nothing but white space is left.  0, or -1 and error. */
int dfb_json_end(struct dfb_json *);

#endif
