/*
 * Locations: where a service is, as a gsl says in LOCATED, and which of its places comes first
 * for a key, or for a number that spreads those without one (PROTOCOL.md, "Services").
 * Pure: no input or output.
 */
#ifndef WIRE_PLACE_H
#define WIRE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/words.h"

struct dfb_m_located;

#define DFB_PLACES_MAX 4096
#define DFB_RULE_BUCKETS 10000

enum dfb_rule_kind { DFB_RULE_KEY = 1, DFB_RULE_PREFIX = 2, DFB_RULE_HASH = 3 };

/* A topic that serves the service. */
struct dfb_place {
	uint64_t hash;  /* of the topic's name */
	uint32_t tier;  /* 0, 1, ... without gaps */
	uint32_t weight;
	char topic[DFB_TOPIC_MAX], region[4];
};

struct dfb_placerule; /* place.c */

/* Shared, never changed; read-only. */
struct dfb_location {
	unsigned refs;
	uint64_t version, age_ms;
	bool known;        /* the catalogue has the service */
	char reason[256];  /* why there are no places */
	struct dfb_place *places;
	size_t n;
	struct dfb_placerule *rules; /* sorted, for keys and prefixes */
	size_t nkeys, nrules;
	uint8_t lengths[32];         /* a bit for each length that a prefix has */
	uint32_t *buckets;           /* region of each hash, as text; NULL: no such rule */
};

/* What LOCATED says, with one reference.  0; -1 with errno: EPROTO when it is malformed. */
int dfb_location_read(const struct dfb_m_located *, struct dfb_location **);
struct dfb_location *dfb_location_ref(struct dfb_location *);
void dfb_location_unref(struct dfb_location *); /* NULL is fine */

/* Whether they say the same, but for version and age. */
bool dfb_location_same(const struct dfb_location *, const struct dfb_location *);

/* The place of this topic; -1: it is none. */
int dfb_location_find(const struct dfb_location *, const char *topic);

/* What a key makes of a location: found once for all places. */
struct dfb_wish {
	uint64_t hash;
	uint32_t region; /* whose places come first, as text; 0: of none */
};

struct dfb_wish dfb_wish_key(const struct dfb_location *, const void *key, size_t len);
/* For what has no key: a number (any, hashed) gives each place its share. */
struct dfb_wish dfb_wish_spread(uint64_t number);

/* How a place stands for it: the lower tier is first, in a tier who wants it more; of two that
 * are equal in both the earlier in the list. */
struct dfb_stand {
	uint32_t tier;
	double want;
};
struct dfb_stand dfb_place_stand(const struct dfb_place *, const struct dfb_wish *);
static inline bool
dfb_stand_before(struct dfb_stand a, struct dfb_stand b)
{
	return a.tier != b.tier ? a.tier < b.tier : a.want > b.want;
}

/* The numbers of all n places, the first one first. */
void dfb_location_order(const struct dfb_location *, const struct dfb_wish *, uint32_t order[]);

#endif
