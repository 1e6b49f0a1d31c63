/* What one client measured.  Used by its thread alone until that has ended. */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include <stdint.h>

#include "dfb-bench/histogram.h"
#include "dfb.h"

/* All-zero is empty. */
struct meter {
	uint64_t count, bytes;       /* of what went well */
	uint64_t failed;
	uint64_t last_ns;            /* when the last went well; dfb_mono_ns() */
	enum dfb_status status;      /* of the first failure, and why */
	char why[256];
	struct histogram latency;    /* ns; empty when it is not known */
};

/* One of `bytes` went well at now_ns, which took from since_ns on. */
void meter_add(struct meter *, uint64_t since_ns, uint64_t now_ns, uint64_t bytes);

/* Likewise; how long it took is not known, nor when it ended. */
void meter_count(struct meter *, uint64_t bytes);

/* n failed. */
void meter_fail(struct meter *, uint64_t n, enum dfb_status, const char *why);

/* Add what another measured. */
void meter_merge(struct meter *, const struct meter *);

#endif
