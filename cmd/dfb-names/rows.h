/* The registry's rows on the disk: a version byte, then fields, big-endian. */
#ifndef NAMES_ROWS_H
#define NAMES_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "wire/words.h"

struct names_facts;

#define ROWS_VERSION 9
#define ROWS_ENTRY_MAX 512
#define ROWS_OFFER_MAX 256

/* Each _write: the bytes written.  Each _read: 0; -1 when it is malformed or of another
 * version. */

void rows_version_write(uint8_t row[ROWS_VERSION], uint64_t version);
int rows_version_read(const void *row, size_t len, uint64_t *version);

/* Key: the name; value: the facts. */
size_t rows_entry_write(uint8_t row[ROWS_ENTRY_MAX], const struct names_facts *);
int rows_entry_read(const void *key, size_t klen, const void *row, size_t len, char *name,
    struct names_facts *);

/* Key: the name, NUL, the topic; the value is empty.  name and topic of _read have room
 * for NAMES_WORD and DFB_TOPIC_MAX bytes. */
size_t rows_offer_write(char key[ROWS_OFFER_MAX], const char *name, const char *topic);
int rows_offer_read(const void *key, size_t klen, char *name, char *topic);

#endif
