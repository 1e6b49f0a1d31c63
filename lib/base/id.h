/* Message and producer ids: UUIDs (RFC 9562).  The text forms are in dfb.h. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

struct dfb_id;

/* A fresh version 7 id for the time wall_ms.  Ids of one thread rise, also
 * within a millisecond (RFC 9562, 6.2, method 2: a random start, counted up). */
void dfb_id_make(struct dfb_id *, uint64_t wall_ms);

/* 122 random bits, version 4: for producers and sessions. */
void dfb_id_random(struct dfb_id *);

/* The Unix ms inside a version 7 id; 0 for any other. */
uint64_t dfb_id_time(const struct dfb_id *);

bool dfb_id_is_zero(const struct dfb_id *);

#endif
