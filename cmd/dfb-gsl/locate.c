#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dfb-gsl/gsl.h"
#include "wire/place.h"
#include "wire/proto.h"

/* ---- places ---- */

/* What orders places, the first criterion in the highest bits: those with weight 0 are last,
 * the caller's own region is first, then the distance counts.  Which places share a tier
 * these say, too.  The last bits are the place's number. */
#define NUMBER_BITS 16
#define NUMBER(order) ((order) & ((1u << NUMBER_BITS) - 1))
#define TIER(order) ((order) >> NUMBER_BITS)

static uint64_t
order_of(const struct deployment *d, const struct distances *from, size_t number)
{
	uint32_t to = region_number(d->region);
	bool own = to == from->from;

	return (uint64_t)(d->weight == 0) << 63 | (uint64_t)!own << 62 |
	    (uint64_t)distance_to(from, to) << NUMBER_BITS | number;
}

static int
by_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Why places are left out: "A10 suspended, B20 draining". */
static void
add_reason(char reason[256], size_t *n, const struct deployment *d)
{
	int rc;

	if (*n >= 200) { /* one more, and what it says in full */
		if (*n < 252)
			*n += (size_t)snprintf(reason + *n, 256 - *n, ", ...");
		*n = 256;
		return;
	}
	rc = snprintf(reason + *n, 256 - *n, "%s%s %s", *n != 0 ? ", " : "", d->region,
	    catalog_states[d->state]);
	*n += rc > 0 ? (size_t)rc : 0;
}

/* The places of a service, in order; how many.  -1 without memory. */
static long
places(struct gsl *g, const struct entry *e, uint32_t region, char reason[256])
{
	struct distances from = catalog_distances(&g->catalog, region);
	uint64_t order[DFB_PLACES_MAX], last = 0;
	uint32_t tier = 0;
	size_t n = 0, said = 0;

	for (size_t i = 0; i < e->n; i++)
		if (e->deployments[i].state != CATALOG_ONLINE)
			add_reason(reason, &said, &e->deployments[i]);
		else if (n < DFB_PLACES_MAX)
			order[n++] = order_of(&e->deployments[i], &from, i);
	qsort(order, n, sizeof *order, by_order);
	g->places.len = 0;
	for (size_t i = 0; i < n; i++) {
		const struct deployment *d = &e->deployments[NUMBER(order[i])];
		char topic[DFB_TOPIC_MAX];

		if (i != 0 && TIER(order[i]) != last)
			tier++;
		last = TIER(order[i]);
		snprintf(topic, sizeof topic, "%s-%s", d->region, e->name);
		if (dfb_place_add(&g->places, &(struct dfb_m_place){
		    .topic = dfb_str(topic), .region = dfb_str(d->region), .tier = tier,
		    .weight = d->weight }) == -1)
			return -1;
	}
	return (long)n;
}

/* Put the places in the order for a key, each in a tier of its own. */
static int
for_key(struct gsl *g, struct dfb_blob key, struct dfb_m_located *out)
{
	struct dfb_location *l;
	uint32_t order[DFB_PLACES_MAX];
	struct dfb_wish w;
	int rc = 0;

	if (dfb_location_read(out, &l) == -1)
		return -1;
	w = dfb_wish_key(l, key.p, key.len);
	dfb_location_order(l, &w, order);
	g->places.len = 0;
	for (uint32_t i = 0; rc == 0 && i < l->n; i++) {
		const struct dfb_place *p = &l->places[order[i]];
		rc = dfb_place_add(&g->places, &(struct dfb_m_place){
		    .topic = dfb_str(p->topic), .region = dfb_str(p->region), .tier = i,
		    .weight = p->weight });
	}
	dfb_location_unref(l);
	out->places = (struct dfb_blob){ g->places.data, g->places.len };
	out->rules = (struct dfb_blob){ NULL, 0 };
	return rc;
}

int
locate_answer(struct gsl *g, const char *service, uint32_t region, struct dfb_blob key,
    char reason[256], struct dfb_m_located *out)
{
	const struct entry *e = catalog_find(&g->catalog, CATALOG_SERVICE, service), *keys;
	long n = 0;

	*out = (struct dfb_m_located){ .service = dfb_str(service),
		.version = g->catalog.version, .age_ms = follow_age(g) };
	*reason = '\0';
	if (e == NULL)
		snprintf(reason, 256, "the catalogue has no service '%s'", service);
	else if (e->retired || e->n == 0) /* its topics, if it has any, are not governed */
		snprintf(reason, 256, "service '%s' is %s, and deployed nowhere", service,
		    e->state);
	else {
		out->known = 1;
		if ((n = places(g, e, region, reason)) == -1)
			return -1;
		out->places = (struct dfb_blob){ g->places.data, g->places.len };
		if (n > 0 && (keys = catalog_keys(&g->catalog, e->name)) != NULL)
			out->rules = (struct dfb_blob){ keys->rules, keys->n };
	}
	out->reason = dfb_str(reason);
	return key.len == 0 || n == 0 ? 0 : for_key(g, key, out);
}

/* ---- frames ---- */

/* The whole frame.  0, or -1 after ending the program. */
static int
located(struct gsl *g, const char *service, uint32_t region, struct dfb_blob key,
    uint32_t req, struct dfb_buf *out)
{
	struct dfb_proto m = { .type = DFB_M_LOCATED, .req = req };
	char reason[256];

	if (locate_answer(g, service, region, key, reason, &m.located) == 0 &&
	    dfb_proto_encode(&m, out) == 0)
		return 0;
	log_err("cannot locate '%s'", service);
	gsl_fail(g, DFB_OSERR);
	return -1;
}

int
locate_news(void *gsl, const char *service, uint32_t region, struct dfb_buf *out)
{
	return located(gsl, service, region, (struct dfb_blob){ NULL, 0 }, 0, out);
}

/* The region of a caller, as a number: 0; -1: it is none. */
static int
region_of(const struct dfb_session *s, struct dfb_str given, uint32_t *region)
{
	char text[4];

	dfb_str_copy(given, text, sizeof text);
	if (given.len == 0)
		strcpy(text, s->region);
	*region = dfb_region_valid(text) ? region_number(text) : 0;
	return given.len >= sizeof text || (*text != '\0' && *region == 0) ? -1 : 0;
}

static bool
watch(struct gsl *g, struct dfb_session *s, const struct dfb_proto *m, const char *service,
    uint32_t region)
{
	if (m->locate.key.len != 0)
		dfb_hub_refuse(&g->hub, s, m->req, DFB_BADINPUT, "a key cannot be watched: "
		    "without one LOCATED has the rules");
	else if (s->nwatches >= DFB_WATCHES_MAX)
		dfb_hub_refuse(&g->hub, s, m->req, DFB_AGAIN, "a session can watch %d "
		    "services", DFB_WATCHES_MAX);
	else if (dfb_watch_add(&g->hub.watches, s, service, region) == -1)
		dfb_hub_refuse(&g->hub, s, m->req, DFB_AGAIN, "out of memory");
	else
		return true;
	return false;
}

void
locate(struct gsl *g, struct dfb_session *s, const struct dfb_proto *m)
{
	char service[DFB_TOPIC_MAX];
	struct dfb_buf buf = { 0 };
	uint32_t region;

	g->stats.locates++;
	dfb_str_copy(m->locate.service, service, sizeof service);
	if (m->locate.service.len >= sizeof service ||
	    dfb_word_kind(service) != DFB_WORD_SERVICE)
		dfb_hub_refuse(&g->hub, s, m->req, DFB_BADINPUT, "'%s' is no service: %s",
		    service, dfb_word_help);
	else if (region_of(s, m->locate.region, &region) == -1)
		dfb_hub_refuse(&g->hub, s, m->req, DFB_BADINPUT,
		    "a region is 3 capital letters or digits");
	else if (g->catalog.id == 0)
		dfb_hub_refuse(&g->hub, s, m->req, DFB_AGAIN, "%s has no catalogue yet: it has "
		    "found no sgs", g->name);
	else if (m->locate.watch == 0 || watch(g, s, m, service, region)) {
		if (located(g, service, region, m->locate.key, m->req, &buf) == 0)
			dfb_hub_send(&g->hub, s, &buf);
		dfb_buf_release(&buf);
	}
}

void
unlocate(struct gsl *g, struct dfb_session *s, const struct dfb_proto *m)
{
	char service[DFB_TOPIC_MAX];

	if (m->unlocate.service.len < sizeof service)
		dfb_watch_remove(&g->hub.watches, s,
		    dfb_str_copy(m->unlocate.service, service, sizeof service));
}
