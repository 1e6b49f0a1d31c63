/* A topic's settings: at brokers, which have topics, and at sgs, which has services. */
#ifndef COMMON_SETTINGS_H
#define COMMON_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/proto.h"

struct json_t;

#define QUEUES_MAX 1023 /* of a lane */
#define BACKOFFS 8

struct settings {
	enum dfb_durability durability;
	uint32_t queues_min, queues_max; /* follow.c; the same: fixed */
	uint64_t grow_ms, shrink_ms;     /* 0: the broker's */
	uint32_t max_body;
	uint32_t retries;              /* deliveries before the dead letters */
	uint64_t retention_ms;
	uint64_t dedup_ms;             /* ids are known for so long; 0: there are none */
	uint64_t backoff_ms[BACKOFFS]; /* 0 ends; the last repeats */
	uint64_t max_depth;            /* undelivered messages of a queue; 0: any */
	uint64_t rate, rate_bytes;     /* taken per second ...; 0: any */
	uint64_t client_rate, client_rate_bytes; /* ... and of one client */
	uint64_t paused_ms, sends_paused_ms;     /* wall: since when; 0: not */
	bool governed;                 /* a service's: dfb-sgs alone changes it */
	bool closed;                   /* it is being taken out of service: nothing comes in */
};

void settings_default(struct settings *);

/* Take what the object has; the rest stays.  0, or -1 and why (256 bytes). */
int settings_from_json(struct settings *, struct json_t *, char *why);
struct json_t *settings_to_json(const struct settings *);

/* Whether an object has only settings that a topic can be made with.  0, or -1 and why. */
int settings_check(const struct json_t *, char *why);

#endif
