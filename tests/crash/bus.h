/* The bus of a life: who there is, which topics, and how each is started. */
#ifndef CRASH_BUS_H
#define CRASH_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "life.h"
#include "plan.h"

struct bus {
	uint64_t seed;
	const char *bin, *other_broker; /* NULL: the one in bin */
	char here[TEXT];      /* the harness's programs */
	bool many;            /* brokers: two in each of two regions; else one */
	bool keeps;           /* topics keep what is consumed, for fresh groups */
	bool can_pause;       /* dfb-ctl can pause topics */
	bool limits;          /* topics have a depth and rates, if dfb-ctl can set them */
	bool paused;          /* topic follow is */
	const char *segment;
};

extern struct bus bus;
extern struct proc procs[PROCS];

/* bus.seed, bin, other_broker and here are set: choose the rest and start the daemons. */
void bus_setup(struct rng *);
/* Whether this bus has it. */
bool bus_has(enum victim);
/* Start it, with its next name; ends the life when that does not work. */
void bus_start(enum victim);
/* All daemons are ready. */
void bus_ready(void);
/* Stop and start all brokers, in order. */
void bus_restart(void);
void bus_stop(void);
/* Another rule for the label.  sure: it must have an effect everywhere. */
void bus_rule(enum rule, bool sure);
/* Stop or resume deliveries of a topic, if dfb-ctl can. */
void bus_pause(bool on, bool sure);
/* Groups g1, g2 get the rest of all topics; then a new group reads everything. */
void bus_drain(unsigned round, enum rule);
/* After the last of some rounds: nothing is left in any queue, on any broker. */
void bus_check_lag(unsigned rounds);

#endif
