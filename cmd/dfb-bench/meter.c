#include "dfb-bench/meter.h"

#include <stdio.h>

void
meter_count(struct meter *m, uint64_t bytes)
{
	m->count++;
	m->bytes += bytes;
}

void
meter_add(struct meter *m, uint64_t since_ns, uint64_t now_ns, uint64_t bytes)
{
	meter_count(m, bytes);
	m->last_ns = now_ns;
	histogram_add(&m->latency, now_ns > since_ns ? now_ns - since_ns : 0);
}

void
meter_fail(struct meter *m, uint64_t n, enum dfb_status st, const char *why)
{
	m->failed += n;
	if (m->status != DFB_OK)
		return;
	m->status = st;
	snprintf(m->why, sizeof m->why, "%s",
	    why != NULL && *why != '\0' ? why : dfb_status_text(st));
}

void
meter_merge(struct meter *to, const struct meter *from)
{
	to->count += from->count;
	to->bytes += from->bytes;
	if (from->last_ns > to->last_ns)
		to->last_ns = from->last_ns;
	if (from->status != DFB_OK)
		meter_fail(to, 0, from->status, from->why);
	to->failed += from->failed;
	histogram_merge(&to->latency, &from->latency);
}
