/* A part of Berkeley DB that is done here, faster. */
#ifndef STORE_CHECKSUM_H
#define STORE_CHECKSUM_H

#include <stdint.h>

/*
 * The sum by which Berkeley DB 5.3 checks log records and pages (its hash/hash_func.c):
 * h = h * 33 + byte over len bytes, from 0, modulo 2^32.  db is not used.  Called by
 * libdb itself.
 */
uint32_t __ham_func4(void *db, const void *key, uint32_t len)
    __attribute__((visibility("default")));

#endif
