/*
 * A set of ids that answers "certainly not in it" or "maybe" (a split-block Bloom filter, 2
 * bytes an id, one cache line a layer).  It grows by layers, each four times as large.
 */
#ifndef BROKER_FILTER_H
#define BROKER_FILTER_H

#include <stdbool.h>
#include <stddef.h>

struct dfb_id;
struct filter;

/* Add an id; makes the filter when *f is NULL.  The bytes that it grew by; -1: no memory, and
 * the id is not in it. */
long filter_add(struct filter **f, const struct dfb_id *);

/* NULL has none. */
bool filter_may_have(const struct filter *, const struct dfb_id *);

/* NULL is fine.  The bytes that it had. */
size_t filter_free(struct filter *);

#endif
