/*
 * What dfb-ctl needs beyond dfb.h: questions to one daemon, and what the name
 * server knows.  All wait for the answer, serving the client meanwhile, and so
 * must not be called from callbacks.  On failure dfb_error() says why;
 * DFB_TIMEOUT when timeout_ms went by; an ERROR answer's status and reason are
 * passed on.
 */
#ifndef CLIENT_ADMIN_H
#define CLIENT_ADMIN_H

#include <stddef.h>
#include <stdint.h>

#include "dfb.h"

/* ADMIN: verb with args (a JSON object; NULL: {}) to the daemon at endpoint; NULL:
 * the name servers in turn, until one answers.  On DFB_OK *json is the result,
 * NUL-terminated, to be freed with free(3). */
enum dfb_status dfb_admin_ask(struct dfb *, const char *endpoint, const char *verb,
    const char *args, int timeout_ms, char **json);

/* A daemon as the name server lists it (LISTING). */
struct dfb_admin_daemon {
	char kind[32], name[65], region[4], endpoint[256];
	uint64_t incarnation, age_ms;
	uint32_t topics;
	uint8_t state; /* enum dfb_daemon_state */
};

/* All of them; *list is to be freed with free(3). */
enum dfb_status dfb_admin_daemons(struct dfb *, int timeout_ms,
    struct dfb_admin_daemon **list, size_t *n);

/* A broker that serves a topic (ROUTES). */
struct dfb_admin_route {
	char topic[160], broker[65], region[4], endpoint[256];
	uint64_t incarnation;
	uint8_t state;
};

/* Who serves dest (topic or service), own region first; *n is 0 when nobody does.
 * Waits, at most timeout_ms, until there are at least min brokers (0: one answer of
 * the name server is enough); DFB_TIMEOUT when there are fewer, with *list set all the
 * same. *list is to be freed with free(3). */
enum dfb_status dfb_admin_routes(struct dfb *, const char *dest, size_t min,
    int timeout_ms, struct dfb_admin_route **list, size_t *n);

/* Where to look in a queue, and what was there. */
struct dfb_admin_peek {
	const char *endpoint;     /* the broker's */
	const char *topic;
	uint32_t queue;
	enum dfb_start start;
	uint64_t start_value;
	uint32_t max_count;
	/* Filled. */
	uint32_t queues;          /* how many queues the topic has */
	uint32_t count;           /* messages passed to fn */
	uint64_t first, end;      /* the queue's extent: offsets first to end - 1 */
	uint64_t offset;          /* of the first message passed to fn */
};

/* PEEK once: fn runs for each message read (at most about 256 KiB of them; ask again
 * from offset + count for more). */
enum dfb_status dfb_admin_peek(struct dfb *, struct dfb_admin_peek *, int timeout_ms,
    void (*fn)(void *arg, const struct dfb_msg *), void *arg);

#endif
