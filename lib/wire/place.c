#include "wire/place.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "wire/proto.h"

#define KEY_MAX 255

/* Of a key or a prefix. */
struct dfb_placerule {
	const uint8_t *match;
	uint32_t number; /* in the list: of equal ones the first counts */
	uint32_t region;
	uint8_t kind, len;
};

/* A region's three letters and NUL, to be compared at once. */
static uint32_t
region_number(const char *text)
{
	uint32_t n;

	memcpy(&n, text, sizeof n);
	return n;
}

/* ---- reading ---- */

static bool
read_place(const struct dfb_m_place *m, struct dfb_place *p)
{
	dfb_str_copy(m->topic, p->topic, sizeof p->topic);
	dfb_str_copy(m->region, p->region, sizeof p->region);
	if (m->topic.len >= sizeof p->topic || dfb_word_kind(p->topic) != DFB_WORD_TOPIC ||
	    m->region.len >= sizeof p->region || !dfb_region_valid(p->region))
		return false;
	p->hash = dfb_hash(p->topic, strlen(p->topic));
	p->weight = m->weight;
	return true;
}

/* Tiers as sent may have gaps, but do not fall. */
static bool
read_places(struct dfb_blob list, struct dfb_location *l)
{
	struct dfb_m_place m;
	uint32_t last = 0, tier = 0;

	while (l->n < DFB_PLACES_MAX && dfb_place_next(&list, &m) == 1) {
		if (!read_place(&m, &l->places[l->n]) || (l->n != 0 && m.tier < last))
			return false;
		if (l->n != 0 && m.tier != last)
			tier++;
		last = m.tier;
		l->places[l->n++].tier = tier;
	}
	return true;
}

static bool
read_rule(const struct dfb_m_rule *m, uint32_t number, struct dfb_location *l)
{
	struct dfb_placerule *r = &l->rules[l->nrules];
	char region[4] = "";

	dfb_str_copy(m->region, region, sizeof region);
	if (m->region.len >= sizeof region || !dfb_region_valid(region))
		return false;
	if (m->kind == DFB_RULE_HASH) {
		if (m->from > m->to || m->to >= DFB_RULE_BUCKETS)
			return false;
		for (uint32_t i = m->from; i <= m->to; i++)
			if (l->buckets[i] == 0)
				l->buckets[i] = region_number(region);
		return true;
	}
	/* Kinds of a later version, and keys that no message can have. */
	if ((m->kind != DFB_RULE_KEY && m->kind != DFB_RULE_PREFIX) || m->match.len > KEY_MAX)
		return true;
	*r = (struct dfb_placerule){ .match = m->match.p, .len = (uint8_t)m->match.len,
		.kind = m->kind, .number = number, .region = region_number(region) };
	l->nrules++;
	if (m->kind == DFB_RULE_KEY)
		l->nkeys++;
	else
		l->lengths[r->len / 8] |= (uint8_t)(1u << r->len % 8);
	return true;
}

static int
compare(const struct dfb_placerule *a, uint8_t kind, const void *match, size_t len)
{
	return a->kind != kind ? a->kind - kind : a->len != len ? (a->len > len ? 1 : -1) :
	    len == 0 ? 0 : memcmp(a->match, match, len);
}

static int
order_rules(const void *a, const void *b)
{
	const struct dfb_placerule *x = a, *y = b;
	int c = compare(x, y->kind, y->match, y->len);

	return c != 0 ? c : (x->number > y->number) - (x->number < y->number);
}

static bool
read_rules(struct dfb_blob list, struct dfb_location *l)
{
	struct dfb_m_rule m;
	uint32_t number = 0;

	while (dfb_rule_next(&list, &m) == 1)
		if (!read_rule(&m, number++, l))
			return false;
	if (l->nrules > 1)
		qsort(l->rules, l->nrules, sizeof *l->rules, order_rules);
	return true;
}

/* How many there are; -1: the list is malformed. */
static long
count_places(struct dfb_blob list)
{
	struct dfb_m_place m;
	long n = 0;
	int rc;

	while ((rc = dfb_place_next(&list, &m)) == 1)
		n++;
	return rc == -1 || n > DFB_PLACES_MAX ? -1 : n;
}

static long
count_rules(struct dfb_blob list, bool *hashes)
{
	struct dfb_m_rule m;
	long n = 0;
	int rc;

	while ((rc = dfb_rule_next(&list, &m)) == 1) {
		n++;
		*hashes |= m.kind == DFB_RULE_HASH;
	}
	return rc == -1 ? -1 : n;
}

/* Zeroed memory for all of it, the bytes of the rules last; NULL: none. */
static struct dfb_location *
allocate(size_t places, size_t rules, bool hashes, size_t bytes, uint8_t **copy)
{
	size_t at_rules = sizeof(struct dfb_location) + places * sizeof(struct dfb_place);
	size_t at_buckets = at_rules + rules * sizeof(struct dfb_placerule);
	size_t at_bytes = at_buckets + (hashes ? DFB_RULE_BUCKETS * sizeof(uint32_t) : 0);
	struct dfb_location *l = calloc(1, at_bytes + bytes);
	char *p = (char *)l;

	if (l == NULL)
		return NULL;
	l->refs = 1;
	l->places = (struct dfb_place *)(l + 1);
	l->rules = (struct dfb_placerule *)(void *)(p + at_rules);
	l->buckets = hashes ? (uint32_t *)(void *)(p + at_buckets) : NULL;
	*copy = (uint8_t *)p + at_bytes;
	return l;
}

int
dfb_location_read(const struct dfb_m_located *m, struct dfb_location **out)
{
	bool hashes = false;
	long places = count_places(m->places), rules = count_rules(m->rules, &hashes);
	struct dfb_location *l;
	uint8_t *copy;

	if (places == -1 || rules == -1) {
		errno = EPROTO;
		return -1;
	}
	if ((l = allocate((size_t)places, (size_t)rules, hashes, m->rules.len, &copy)) == NULL)
		return -1;
	l->version = m->version;
	l->known = m->known != 0;
	l->age_ms = m->age_ms;
	dfb_str_copy(m->reason, l->reason, sizeof l->reason);
	if (m->rules.len != 0)
		memcpy(copy, m->rules.p, m->rules.len);
	if (!read_places(m->places, l) ||
	    !read_rules((struct dfb_blob){ copy, m->rules.len }, l)) {
		free(l);
		errno = EPROTO;
		return -1;
	}
	*out = l;
	return 0;
}

struct dfb_location *
dfb_location_ref(struct dfb_location *l)
{
	l->refs++;
	return l;
}

void
dfb_location_unref(struct dfb_location *l)
{
	if (l != NULL && --l->refs == 0)
		free(l);
}

/* ---- comparing ---- */

static bool
same_rules(const struct dfb_location *a, const struct dfb_location *b)
{
	if (a->nrules != b->nrules || (a->buckets == NULL) != (b->buckets == NULL) ||
	    (a->buckets != NULL && memcmp(a->buckets, b->buckets,
	    DFB_RULE_BUCKETS * sizeof *a->buckets) != 0))
		return false;
	for (size_t i = 0; i < a->nrules; i++)
		if (a->rules[i].region != b->rules[i].region || compare(&a->rules[i],
		    b->rules[i].kind, b->rules[i].match, b->rules[i].len) != 0)
			return false;
	return true;
}

bool
dfb_location_same(const struct dfb_location *a, const struct dfb_location *b)
{
	if (a->known != b->known || a->n != b->n || strcmp(a->reason, b->reason) != 0)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct dfb_place *p = &a->places[i], *q = &b->places[i];
		if (p->tier != q->tier || p->weight != q->weight ||
		    strcmp(p->topic, q->topic) != 0 || strcmp(p->region, q->region) != 0)
			return false;
	}
	return same_rules(a, b);
}

int
dfb_location_find(const struct dfb_location *l, const char *topic)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->places[i].topic, topic) == 0)
			return (int)i;
	return -1;
}

/* ---- choosing ---- */

/* The region that the first rule gives to exactly this; 0: there is no rule. */
static uint32_t
search(const struct dfb_location *l, uint8_t kind, const void *match, size_t len)
{
	size_t low = kind == DFB_RULE_KEY ? 0 : l->nkeys;
	size_t end = kind == DFB_RULE_KEY ? l->nkeys : l->nrules, high = end;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (compare(&l->rules[mid], kind, match, len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < end && compare(&l->rules[low], kind, match, len) == 0 ?
	    l->rules[low].region : 0;
}

static uint32_t
by_rule(const struct dfb_location *l, const void *key, size_t len, uint64_t hash)
{
	uint32_t region = 0;

	if (len > KEY_MAX)
		return 0;
	if (l->nkeys != 0 && (region = search(l, DFB_RULE_KEY, key, len)) != 0)
		return region;
	for (size_t n = len + 1; l->nrules > l->nkeys && n-- > 0;)
		if ((l->lengths[n / 8] >> n % 8 & 1) != 0 &&
		    (region = search(l, DFB_RULE_PREFIX, key, n)) != 0)
			return region;
	return l->buckets != NULL ? l->buckets[hash % DFB_RULE_BUCKETS] : 0;
}

struct dfb_wish
dfb_wish_key(const struct dfb_location *l, const void *key, size_t len)
{
	uint64_t hash = dfb_hash(key, len);

	return (struct dfb_wish){ .hash = hash, .region = by_rule(l, key, len, hash) };
}

struct dfb_wish
dfb_wish_spread(uint64_t number)
{
	return (struct dfb_wish){ .hash = dfb_hash(&number, sizeof number) };
}

struct dfb_stand
dfb_place_stand(const struct dfb_place *p, const struct dfb_wish *w)
{
	uint64_t score = dfb_hash_score(w->hash, p->hash);
	/* Exact, and neither 0 nor 1, so that the logarithm is neither infinite nor 0. */
	double x = ((double)(score >> 12) + 0.5) / 0x1p52;
	bool first = w->region != 0 && region_number(p->region) == w->region;

	/* What has no weight is below 0, and those that have some are above. */
	return (struct dfb_stand){ .tier = first ? 0 : p->tier + 1,
		.want = p->weight != 0 ? p->weight / -log(x) : x - 1 };
}

struct ordering {
	const struct dfb_location *location;
	const struct dfb_wish *wish;
};

static int
order_places(const void *a, const void *b, void *arg)
{
	const struct ordering *o = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	struct dfb_stand s = dfb_place_stand(&o->location->places[x], o->wish);
	struct dfb_stand t = dfb_place_stand(&o->location->places[y], o->wish);

	return dfb_stand_before(s, t) ? -1 : dfb_stand_before(t, s) ? 1 : (x > y) - (x < y);
}

void
dfb_location_order(const struct dfb_location *l, const struct dfb_wish *w, uint32_t order[])
{
	struct ordering o = { l, w };

	for (uint32_t i = 0; i < l->n; i++)
		order[i] = i;
	if (l->n > 1)
		qsort_r(order, l->n, sizeof *order, order_places, &o);
}
