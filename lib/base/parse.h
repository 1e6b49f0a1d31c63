/* Numbers, sizes, times and names as users write them. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

/* "123", "64k", "4M", "2G" (powers of 1024).  0, or -1 if text is no such number
 * or is outside min..max. */
int dfb_parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* "123", "12k": a plain count, k M G being powers of 1000.  As above. */
int dfb_parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* "250ms", "5s", "2m", "1h", "7d"; a bare number is seconds.  Milliseconds;
 * 0, or -1. */
int dfb_parse_duration(const char *text, uint64_t *ms);

/* A point in time: "2026-01-31T12:00:00Z" (or with a blank, or +02:00; no zone
 * is local time; the time of day may be left out), "@SECONDS", or "-5m" for so
 * long ago.  Unix milliseconds; 0, or -1. */
int dfb_parse_when(const char *text, uint64_t *wall_ms);

/* ms as "1.5s", "250ms", "2h"; and bytes as "1.2M"; into buf (16 bytes). */
const char *dfb_format_duration(uint64_t ms, char buf[16]);
const char *dfb_format_size(uint64_t bytes, char buf[16]);

/* ms as RFC 3339 UTC with milliseconds into buf (25 bytes). */
const char *dfb_format_when(uint64_t wall_ms, char buf[25]);

#endif
