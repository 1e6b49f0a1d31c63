/*
 * Frames: structs, encoder and decoder of the protocol (PROTOCOL.md), generated
 * from msgs.def.  Pure: no input or output.  Decoded strings and bytes point into the
 * frame.
 */
#ifndef WIRE_PROTO_H
#define WIRE_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dfb.h"

struct dfb_buf;

/* Every frame starts with: magic u16, version u8, zero u8, type u16, status u16,
 * request u32; 12 bytes. */
#define DFB_MAGIC 0xdfb0
#define DFB_PROTO_VERSION 1
#define DFB_FRAME_HEADER 12

/* Limits.  A daemon's sockets take no larger frame (ZMQ_MAXMSGSIZE). */
#define DFB_FRAME_MAX (32u << 20)
#define DFB_BODY_MAX_DEFAULT (4u << 20)
#define DFB_BODY_MAX_LIMIT (16u << 20)

struct dfb_str {
	const char *p; /* not NUL-terminated when decoded */
	size_t len;
};

struct dfb_blob {
	const uint8_t *p;
	size_t len;
};

/* Text as a field; NULL as an empty one.  And back into a buffer, cut if need be. */
struct dfb_str dfb_str(const char *text);
char *dfb_str_copy(struct dfb_str, char *buf, size_t size);
bool dfb_str_is(struct dfb_str, const char *text);

/* Numbers of fields that are enumerations. */
enum dfb_daemon_state { DFB_STATE_UP = 1, DFB_STATE_DRAINING = 2, DFB_STATE_LOST = 3 };
enum dfb_durability { DFB_COMMIT = 0, DFB_ASYNC = 1, DFB_MEMORY = 2 };
enum dfb_refuse_scope { DFB_REFUSE_STREAM = 0, DFB_REFUSE_MESSAGE = 1 };
#define DFB_PUT_ATOMIC 1u
#define DFB_PUT_ONCE 2u /* by their ids: what has one that was stored is not stored again */
#define DFB_CATALOG_FULL 1u     /* begins a full copy */
#define DFB_CATALOG_COMPLETE 2u /* all of a version is there */
#define DFB_CALL_ONCE 1u /* the same for calls, which have the first one's answer */
#define DFB_SUB_BROADCAST 1u
#define DFB_SUB_STOP_AT_END 2u
#define DFB_SUB_ANY_REGION 4u /* the topic was named: its region does not matter */

/* The structs. */
#define DFB_T_u8 uint8_t
#define DFB_T_u16 uint16_t
#define DFB_T_u32 uint32_t
#define DFB_T_u64 uint64_t
#define DFB_T_id struct dfb_id
#define DFB_T_str struct dfb_str
#define DFB_T_blob struct dfb_blob
#define DFB_T_rest struct dfb_blob
#define MSG(NAME, name, number) struct dfb_m_##name {
#define ITEM(name) struct dfb_m_##name {
#define F(type, field) DFB_T_##type field;
#define END(name) char end_; };
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef F
#undef END

enum dfb_type {
#define MSG(NAME, name, number) DFB_M_##NAME = number,
#define ITEM(name)
#define F(type, field)
#define END(name)
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef F
#undef END
};

struct dfb_proto {
	uint16_t type;   /* enum dfb_type: DFB_M_PUT, ... */
	uint16_t status; /* enum dfb_status */
	uint32_t req;    /* echoed in the answer; 0 in what is pushed */
	union {
#define MSG(NAME, name, number) struct dfb_m_##name name;
#define ITEM(name)
#define F(type, field)
#define END(name)
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef F
#undef END
	};
};

/*
 * Decode a frame.  0; -1 when it is not exactly one well-formed message of this
 * version: *why then says so in words.  Allocates nothing.
 */
int dfb_proto_decode(const void *frame, size_t len, struct dfb_proto *,
    const char **why);

/* Bytes of the frame without those of its `rest` field. */
size_t dfb_proto_head_size(const struct dfb_proto *);

/* Write these bytes to dst, which has room for them; dst past them. */
uint8_t *dfb_proto_write_head(const struct dfb_proto *, uint8_t *dst);

/* Append the whole frame to buf.  0, or -1 with errno. */
int dfb_proto_encode(const struct dfb_proto *, struct dfb_buf *buf);

/* The message's name ("PUT"); NULL for an unknown type. */
const char *dfb_proto_name(uint16_t type);

/* Append a one-line text form ("PUT req=1 stream=1 seq=7 ... records=123b") to buf. */
int dfb_proto_dump(const struct dfb_proto *, struct dfb_buf *buf);

/*
 * Items: _add appends one to buf (0, or -1 with errno); _next takes the one at
 * the start of *list and moves *list past it: 1; 0 at the end; -1 when it is
 * malformed.
 */
#define MSG(NAME, name, number) struct dfb_m_##name;
#define ITEM(name) \
	int dfb_##name##_add(struct dfb_buf *, const struct dfb_m_##name *); \
	int dfb_##name##_next(struct dfb_blob *list, struct dfb_m_##name *);
#define F(type, field)
#define END(name)
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef F
#undef END

#endif
