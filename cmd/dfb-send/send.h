/* dfb-send: messages to a topic or service. */
#ifndef SEND_SEND_H
#define SEND_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/input.h"
#include "common/msgopt.h"
#include "common/report.h"
#include "dfb.h"

struct send {
	struct dfb *dfb;
	struct dfb_producer *producer;
	struct dfb_input in;
	struct dfb_msgopt options;
	struct dfb_report report;
	uint64_t ttl_ms;         /* 0: never expires */
	uint64_t due_ms;         /* of messages that say nothing; 0: at once */
	uint64_t delay_ms;       /* the same, from when each is sent */
	bool one;                /* a second message is an error */
	bool atomic;             /* all or none */
	bool once;               /* each message has an id to be known by */
	uint64_t known;          /* messages that were there */
	bool interrupted;        /* set by a signal: wind up */
};

/* Take all of the input, unless interrupted; with one and atomic, nothing is sent
 * when something is wrong. */
void send_pump(struct send *);

/* Wait until every message is decided, or for a little while once interrupted. */
void send_flush(struct send *);

#endif
