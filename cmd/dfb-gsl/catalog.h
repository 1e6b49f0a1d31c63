/*
 * The catalogue as a gsl needs it: of each service where it is deployed, which keys belong to
 * which region, and how far regions are from each other.  Memory only; what is not about
 * locating stays in the JSON that sgs sent.
 */
#ifndef GSL_CATALOG_H
#define GSL_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

struct dfb_m_entry;

/* Kinds of entries, as CATALOG has them. */
enum catalog_kind { CATALOG_SERVICE = 1, CATALOG_KEYS = 2, CATALOG_DISTANCES = 3 };

#define CATALOG_ALL "*" /* the keys of all services that have none of their own */
#define CATALOG_FAR 1000 /* the distance that nobody gave */

enum catalog_state {
	CATALOG_DEPLOYING, CATALOG_ONLINE, CATALOG_SUSPENDED, CATALOG_DRAINING, CATALOG_OFFLINE,
	CATALOG_OTHER, /* of a later version: not online */
};
extern const char *const catalog_states[];

struct deployment {
	char region[4];
	uint32_t weight;
	uint8_t state; /* enum catalog_state */
};

struct distance {
	uint32_t from, to, distance; /* regions as numbers */
};

struct entry {
	uint8_t kind;
	bool gone;               /* not to be kept: it takes another one away */
	bool retired;            /* a service */
	uint64_t version;
	const char *name, *state; /* state: of a service */
	uint32_t n;              /* deployments, bytes of rules, or distances */
	union {
		const struct deployment *deployments; /* in order of regions */
		const uint8_t *rules;                 /* a list of `rule` */
		const struct distance *distances;     /* in order */
	};
	/* Private; `staged` is the owner's while it is not in a catalogue. */
	RB_ENTRY(entry) link;
	STAILQ_ENTRY(entry) staged;
};

RB_HEAD(entry_tree, entry);
STAILQ_HEAD(entry_list, entry);

struct catalog {
	uint64_t id, version; /* 0: there is none yet */
	size_t nservices;
	struct entry_tree entries;
};

void catalog_init(struct catalog *);
void catalog_release(struct catalog *);

/* An entry as it was sent.  0, and *out for catalog_put() or entry_free(), NULL when its kind is
 * unknown; -1 with errno, EPROTO: it is malformed, why says how. */
int entry_read(const struct dfb_m_entry *, struct entry **out, char *why, size_t size);
void entry_free(struct entry *);

/* Put it into the catalogue, in place of what is there; one that is gone only takes away. */
void catalog_put(struct catalog *, struct entry *);

/* Find; NULL. */
struct entry *catalog_find(const struct catalog *, enum catalog_kind, const char *name);

/* The first entry that is not before this kind and name, and the next one; NULL at the end. */
struct entry *catalog_from(const struct catalog *, enum catalog_kind, const char *name);
struct entry *catalog_next(struct entry *);

/* The rules for a service's keys; NULL. */
const struct entry *catalog_keys(const struct catalog *, const char *service);

/* A region as a number (0 for none), and back. */
uint32_t region_number(const char *text);
void region_text(uint32_t number, char text[4]);

/* The distances from a region (a part of the list), and one of them. */
struct distances {
	const struct distance *first;
	size_t n;
	uint32_t from;
};
struct distances catalog_distances(const struct catalog *, uint32_t from);
uint32_t distance_to(const struct distances *, uint32_t to);

#endif
