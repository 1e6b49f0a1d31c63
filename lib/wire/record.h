/*
 * Records: a message as it travels in PUT, CALL, DELIVER and PEEKED frames and lies
 * in stored blocks.  u32 length of what follows, u8 flags, 16 bytes id, then each
 * field whose flag is set, in the order of the flags: born u64, expires u64, call
 * u64, due u64, key (u8 length), headers (u16 length); the rest is the body.
 */
#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dfb.h"

enum dfb_record_flag {
	DFB_R_BORN = 1,     /* absent: the time inside the (version 7) id */
	DFB_R_EXPIRES = 2,
	DFB_R_CALL = 4,     /* a call; the number is the asking side's */
	DFB_R_DUE = 8,      /* not delivered before */
	DFB_R_KEY = 16,
	DFB_R_HEADERS = 32,
	DFB_R_MAYBE = 64,   /* may have been sent before, to another broker; no field */
};

#define DFB_RECORD_MIN 21 /* length, flags, id */

struct dfb_record {
	uint8_t flags;
	struct dfb_id id;
	uint64_t born, expires, call, due; /* ms; call: a number */
	const uint8_t *key, *headers, *body;
	size_t key_len, headers_len, body_len;
	size_t size;        /* of the whole encoded record; set by _next */
	size_t call_at;     /* where the call number lies in it; set by _next */
};

/* What a message is as a record: flags from its fields; ids and times as given
 * (set them first).  Points into msg. */
void dfb_record_from(struct dfb_record *, const struct dfb_msg *msg);

/* And back: fills the fields that travel, leaves topic, queue, offset, tries. */
void dfb_record_to(const struct dfb_record *, struct dfb_msg *msg);

/* Encoded size, and the encoding (room for it checked by the caller; the place
 * after it). */
size_t dfb_record_size(const struct dfb_record *);
uint8_t *dfb_record_write(const struct dfb_record *, uint8_t *dst);

/* Take the record at *p, before end, and move *p past it: 1; 0 when *p == end; -1
 * when it is malformed (then *p is unchanged). */
int dfb_record_next(const uint8_t **p, const uint8_t *end, struct dfb_record *);

/* Encoded size of the well-formed record at p. */
size_t dfb_record_peek_size(const uint8_t *p);

/* Set flags without a field in an encoded record (DFB_R_MAYBE). */
void dfb_record_mark(uint8_t *p, uint8_t flags);

/* Whether packed headers are well-formed: names and values as dfb_headers_add()
 * would take them. */
bool dfb_headers_valid(const uint8_t *headers, size_t len);

#endif
