/*
 * Who is up, and which broker serves which topic: entries, and an index from topics
 * and services to them.  Memory only; knows no clock, no sockets and no disk.
 */
#ifndef NAMES_REGISTRY_H
#define NAMES_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "base/timer.h"
#include "wire/words.h"

#define NAMES_WORD 65      /* a name or a kind, with NUL */
#define NAMES_ENDPOINT 256

struct dfb_buf;
struct names_offer;
struct dfb_session;
struct names_service;
struct names_topic;

/* What a daemon says of itself. */
struct names_facts {
	char kind[NAMES_WORD];
	char region[4];
	char endpoint[NAMES_ENDPOINT];
	uint64_t incarnation;
	uint32_t lease_ms;
	uint8_t state; /* enum dfb_daemon_state */
};

RB_HEAD(names_entry_offers, names_offer);

struct names_entry {
	char name[NAMES_WORD];
	struct names_facts facts;
	size_t noffers;
	/* The server's: not touched by the registry. */
	struct dfb_timer lease;
	uint64_t heard_ms;              /* of the monotonic clock */
	struct dfb_session *session;  /* that enrolled it; NULL: none now */
	LIST_ENTRY(names_entry) in_session;
	/* Private. */
	RB_ENTRY(names_entry) by_name;
	struct names_entry_offers offers;
	uint32_t mark;
};

RB_HEAD(names_entries, names_entry);
RB_HEAD(names_topics, names_topic);
RB_HEAD(names_services, names_service);

struct names_registry {
	size_t nentries, ntopics, nservices, noffers;
	uint64_t version; /* rises with each change that a lookup shows */
	/* Private. */
	struct names_entries entries;
	struct names_topics topics;
	struct names_services services;
	void (*changed)(void *arg, const char *dest);
	void *arg;
};

/* changed(arg, dest) runs whenever what a lookup of dest, a topic or a service, would answer has
 * changed; it must not change the registry. */
void registry_init(struct names_registry *, uint64_t version,
    void (*changed)(void *arg, const char *dest), void *arg);
void registry_release(struct names_registry *);

/* Find, make (NULL with errno; the name must be new), remove with all it offers. */
struct names_entry *registry_find(struct names_registry *, const char *name);
struct names_entry *registry_add(struct names_registry *, const char *name,
    const struct names_facts *);
void registry_remove(struct names_registry *, struct names_entry *);

/* The first entry (NULL given) or the next, by name; NULL at the end. */
struct names_entry *registry_next(struct names_registry *, struct names_entry *);

/* New facts.  True when anything but the lease differs. */
bool registry_update(struct names_registry *, struct names_entry *,
    const struct names_facts *);

/* Offer a topic with so many queues (0: not known), or no longer: 1; 0 when it was so already;
 * -1 with errno. */
int registry_offer(struct names_registry *, struct names_entry *, const char *topic,
    uint32_t queues);
int registry_unoffer(struct names_registry *, struct names_entry *, const char *topic);

/* Between _full_begin and _full_end all topics are offered; _full_end takes back those that
 * were not, and says which. */
void registry_full_begin(struct names_entry *);
void registry_full_end(struct names_registry *, struct names_entry *,
    void (*taken_back)(void *arg, const char *topic), void *arg);

/* Each topic that an entry offers, in order. */
void registry_offers(const struct names_entry *,
    void (*fn)(void *arg, const char *topic), void *arg);

/* Whether anybody serves a topic or a service. */
bool registry_has(struct names_registry *, const char *dest);

/* Append a route (wire/proto.h) to buf for each broker of a topic, or of each topic of a
 * service.  0, or -1 with errno ENOMEM. */
int registry_routes(struct names_registry *, const char *dest, struct dfb_buf *buf);

#endif
