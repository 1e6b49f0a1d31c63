/*
 * A histogram of latencies: exact below 1024, then 1024 slots for each power of two.  A
 * value read from it is at most 0.05 % away from one that was added; the least and the
 * greatest are exact.  Adding takes no memory and some nanoseconds.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 10
#define HISTOGRAM_SLOTS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

/* All-zero is empty. */
struct histogram {
	uint64_t n, min, max;
	uint64_t slots[HISTOGRAM_SLOTS];
};

void histogram_add(struct histogram *, uint64_t value);

/* Add all that is in another one. */
void histogram_merge(struct histogram *, const struct histogram *);

/* The least value that q thousandths (1 to 1000) of all are not above: 500 is the median.
 * 0 when there are none. */
uint64_t histogram_at(const struct histogram *, unsigned q);

#endif
