/* Dead letters after they died: their headers, which are left, and verbs about them. */
#ifndef LETTERS_H
#define LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dfb.h"

struct broker;
struct cursor;
struct dfb_record;
struct group;
struct json_t;
struct topic;

/* letter.c: headers.  They are written to a buffer of DFB_HEADERS_MAX; the length. */
struct death {
	const char *topic, *group, *why;
	uint32_t queue, tries;
	uint64_t offset, wall_ms;
};
size_t letter_headers(const struct dfb_record *, const struct death *, uint8_t *headers);
size_t letter_again(const struct dfb_record *, const char *group, uint8_t *headers);
/* A header's value; false: it has none, or it is longer than that. */
bool letter_header(const struct dfb_record *, const char *name, char *text, size_t size);
/* Whether a group gets a message of a block that is BLOCK_AGAIN. */
bool letter_is_for(const struct dfb_record *, const char *group);

/*
 * letters.c: which dead letters of a topic %DLQ-GROUP are left.  What was dropped or sent
 * again is settled in a group of the broker's own, which nobody subscribes to, so that
 * letters stay until then.
 */
bool group_is_internal(const struct group *);
struct cursor *letters_of(const struct topic *);    /* NULL: the topic has no letters */
int letters_begin(struct broker *, struct topic *); /* it will have; -1: no memory */
uint64_t letters_left(const struct cursor *);
bool letters_has(const struct cursor *, uint64_t offset);
/* Settle these, rising and each of them left, now and in the pending batch. */
void letters_settle(struct broker *, struct cursor *, const uint64_t *offsets, size_t n);
void letters_forget(struct broker *, struct cursor *); /* its rows go */
int letters_load(struct broker *, const void *key, size_t klen, const void *val, size_t vlen);

/* admin_dlq.c: the letters that arguments name; offsets rise, and are to be freed with free(3).
 * NULL: *status and why. */
struct cursor *admin_letters(struct broker *, struct json_t *args, enum dfb_status *status,
    char *why);
uint64_t *admin_offsets(struct json_t *args, size_t *n, enum dfb_status *status, char *why);

#endif
