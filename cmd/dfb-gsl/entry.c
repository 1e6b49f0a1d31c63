/* An entry of the catalogue: from the JSON that sgs sent to what locating needs.  A full copy is
 * tens of megabytes, so it is scanned, not built: four times as fast as with jansson. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "common/json.h"
#include "dfb-gsl/catalog.h"
#include "wire/place.h"
#include "wire/proto.h"
#include "wire/words.h"

#define WEIGHT 100 /* when none is given */
#define WEIGHT_MAX 1000000
#define DISTANCE_MAX 1000000000

struct reading {
	struct dfb_json json;
	const struct dfb_m_entry *m;
	char name[DFB_TOPIC_MAX], state[32];
	bool found;          /* what an entry of its kind must have */
	struct dfb_buf list; /* deployments, rules, distances */
	char *why;
	size_t size;
};

/* Malformed: -1. */
static int __attribute__((format(printf, 2, 3)))
bad(struct reading *r, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(r->why, r->size, "entry %u of '%s': ", r->m->kind, r->name);

	if (n > 0 && (size_t)n < r->size) {
		va_start(ap, fmt);
		vsnprintf(r->why + n, r->size - (size_t)n, fmt, ap);
		va_end(ap);
	}
	errno = EPROTO;
	return -1;
}

static int
no_json(struct reading *r)
{
	return bad(r, "no JSON at byte %zu: %s", (size_t)(r->json.p - r->json.start) + 1,
	    r->json.error);
}

/* ---- JSON ---- */

/* Take an object; field() takes the value of each of its names. */
static int
object(struct reading *r, int (*field)(struct reading *, const char *name, void *arg),
    void *arg)
{
	const char *name;
	size_t len;
	int more;

	if (dfb_json_take(&r->json, '{') == -1)
		return no_json(r);
	if (dfb_json_peek(&r->json) == '}') {
		r->json.p++;
		return 0;
	}
	do {
		if (dfb_json_string(&r->json, &name, &len) == -1 ||
		    dfb_json_take(&r->json, ':') == -1)
			return no_json(r);
		if (field(r, name, arg) == -1)
			return -1;
	} while ((more = dfb_json_more(&r->json, '}')) == 1);
	return more == -1 ? no_json(r) : 0;
}

static int
skip(struct reading *r)
{
	return dfb_json_skip(&r->json) == -1 ? no_json(r) : 0;
}

static int
string(struct reading *r, const char *name, const char **text, size_t *len)
{
	if (dfb_json_peek(&r->json) != '"')
		return bad(r, "%s is no text", name);
	return dfb_json_string(&r->json, text, len) == -1 ? no_json(r) : 0;
}

static int
number(struct reading *r, const char *name, uint64_t max, uint32_t *n)
{
	uint64_t value;
	int rc = dfb_json_number(&r->json, &value);

	if (rc == -1)
		return no_json(r);
	if (rc == 1 || value > max)
		return bad(r, "%s is no number from 0 to %llu", name,
		    (unsigned long long)max);
	*n = (uint32_t)value;
	return 0;
}

static int
region(struct reading *r, const char *text)
{
	return dfb_region_valid(text) ? 0 : bad(r, "'%s' is no region", text);
}

/* ---- a service ---- */

static enum catalog_state
state_of(const char *text)
{
	int i;

	for (i = 0; i < CATALOG_OTHER && strcmp(text, catalog_states[i]) != 0; i++)
		;
	return (enum catalog_state)i;
}

static int
deployment_field(struct reading *r, const char *name, void *arg)
{
	struct deployment *d = arg;
	const char *text;
	size_t len;

	if (strcmp(name, "weight") == 0)
		return number(r, name, WEIGHT_MAX, &d->weight);
	if (strcmp(name, "state") != 0)
		return skip(r);
	if (string(r, name, &text, &len) == -1)
		return -1;
	d->state = (uint8_t)state_of(text);
	r->found = true;
	return 0;
}

static int
deployment(struct reading *r, const char *where, void *arg)
{
	struct deployment d = { .weight = WEIGHT };

	(void)arg;
	if (region(r, where) == -1)
		return -1;
	strcpy(d.region, where);
	r->found = false;
	if (object(r, deployment_field, &d) == -1)
		return -1;
	return r->found ? dfb_buf_add(&r->list, &d, sizeof d) : bad(r, "no state in %s", where);
}

static int
by_region(const void *a, const void *b)
{
	return strcmp(((const struct deployment *)a)->region,
	    ((const struct deployment *)b)->region);
}

static int
service_field(struct reading *r, const char *name, void *arg)
{
	const char *text;
	size_t len;

	(void)arg;
	if (strcmp(name, "regions") == 0)
		return object(r, deployment, NULL);
	if (strcmp(name, "state") != 0)
		return skip(r);
	if (string(r, name, &text, &len) == -1)
		return -1;
	snprintf(r->state, sizeof r->state, "%s", text);
	return 0;
}

static int
read_service(struct reading *r)
{
	if (dfb_word_kind(r->name) != DFB_WORD_SERVICE)
		return bad(r, "it is no service");
	if (object(r, service_field, NULL) == -1)
		return -1;
	return *r->state != '\0' ? 0 : bad(r, "it has no state");
}

/* ---- keys ---- */

struct rule {
	char region[4];
	struct dfb_m_rule m;
	bool from, to;
};

static int
rule_field(struct reading *r, const char *name, void *arg)
{
	struct rule *u = arg;
	const char *text;
	size_t len;
	uint8_t kind = strcmp(name, "key") == 0 ? DFB_RULE_KEY :
	    strcmp(name, "prefix") == 0 ? DFB_RULE_PREFIX : 0;

	if (kind != 0 || strcmp(name, "region") == 0) {
		if (string(r, name, &text, &len) == -1)
			return -1;
		if (kind == 0)
			return region(r, text) == 0 ? (strcpy(u->region, text), 0) : -1;
		u->m.kind = kind;
		u->m.match = (struct dfb_blob){ (const uint8_t *)text, len };
		return 0;
	}
	if (strcmp(name, "from") == 0) {
		u->from = true;
		return number(r, name, DFB_RULE_BUCKETS - 1, &u->m.from);
	}
	if (strcmp(name, "to") == 0) {
		u->to = true;
		return number(r, name, DFB_RULE_BUCKETS - 1, &u->m.to);
	}
	return skip(r);
}

static int
rule(struct reading *r)
{
	struct rule u = { .m = { .kind = 0 } };

	if (object(r, rule_field, &u) == -1)
		return -1;
	if (*u.region == '\0')
		return bad(r, "a rule without a region");
	if (u.m.kind == 0) {
		if (!u.from || !u.to || u.m.from > u.m.to)
			return bad(r, "a rule has key, prefix, or from and to");
		u.m.kind = DFB_RULE_HASH;
	}
	u.m.region = dfb_str(u.region);
	return dfb_rule_add(&r->list, &u.m);
}

static int
keys_field(struct reading *r, const char *name, void *arg)
{
	int more;

	(void)arg;
	if (strcmp(name, "rules") != 0)
		return skip(r);
	r->found = true;
	if (dfb_json_take(&r->json, '[') == -1)
		return no_json(r);
	if (dfb_json_peek(&r->json) == ']') {
		r->json.p++;
		return 0;
	}
	do {
		if (rule(r) == -1)
			return -1;
	} while ((more = dfb_json_more(&r->json, ']')) == 1);
	return more == -1 ? no_json(r) : 0;
}

static int
read_keys(struct reading *r)
{
	if (strcmp(r->name, CATALOG_ALL) != 0 && dfb_word_kind(r->name) != DFB_WORD_SERVICE)
		return bad(r, "it is no service");
	if (object(r, keys_field, NULL) == -1)
		return -1;
	return r->found ? 0 : bad(r, "it has no rules");
}

/* ---- distances ---- */

static int
by_regions(const void *a, const void *b)
{
	const struct distance *x = a, *y = b;

	return x->from != y->from ? (x->from < y->from ? -1 : 1) :
	    (x->to > y->to) - (x->to < y->to);
}

static int
distance(struct reading *r, const char *to, void *arg)
{
	struct distance d = { .from = region_number(arg) };

	if (region(r, to) == -1 || number(r, to, DISTANCE_MAX, &d.distance) == -1)
		return -1;
	d.to = region_number(to);
	return dfb_buf_add(&r->list, &d, sizeof d);
}

static int
distances_from(struct reading *r, const char *from, void *arg)
{
	char copy[4];

	(void)arg;
	return region(r, from) == -1 ? -1 : object(r, distance, strcpy(copy, from));
}

static int
distances_field(struct reading *r, const char *name, void *arg)
{
	(void)arg;
	if (strcmp(name, "distances") != 0)
		return skip(r);
	r->found = true;
	return object(r, distances_from, NULL);
}

static int
read_distances(struct reading *r)
{
	if (object(r, distances_field, NULL) == -1)
		return -1;
	return r->found ? 0 : bad(r, "it has no distances");
}

/* ---- all of them ---- */

/* One entry of memory: what the list has, then the name and the state. */
static int
make(struct reading *r, struct entry **out)
{
	size_t name = strlen(r->name) + 1, size = r->list.len;
	struct entry *e = calloc(1, sizeof *e + size + name + strlen(r->state) + 1);
	char *p = (char *)(e + 1);

	if (e == NULL)
		return -1;
	if (size != 0)
		memcpy(p, r->list.data, size);
	e->rules = (const uint8_t *)p;
	e->name = memcpy(p + size, r->name, name);
	e->state = strcpy(p + size + name, r->state);
	e->kind = r->m->kind;
	e->version = r->m->version;
	e->gone = r->m->json.len == 0;
	e->retired = strcmp(r->state, "retired") == 0;
	e->n = (uint32_t)size;
	*out = e;
	return 0;
}

void
entry_free(struct entry *e)
{
	free(e);
}

/* In order, each once. */
static int
sort(struct reading *r, size_t size, int (*cmp)(const void *, const void *))
{
	size_t n = r->list.len / size;

	if (n > 1)
		qsort(r->list.data, n, size, cmp);
	for (size_t i = 1; i < n; i++)
		if (cmp(r->list.data + (i - 1) * size, r->list.data + i * size) == 0)
			return bad(r, "a region is there twice");
	return 0;
}

static int
read_json(struct reading *r, struct entry **out)
{
	size_t size = 1;
	int rc;

	if (r->m->kind == CATALOG_SERVICE) {
		size = sizeof(struct deployment);
		rc = read_service(r) == 0 ? sort(r, size, by_region) : -1;
	} else if (r->m->kind == CATALOG_DISTANCES) {
		size = sizeof(struct distance);
		rc = read_distances(r) == 0 ? sort(r, size, by_regions) : -1;
	} else
		rc = read_keys(r);
	if (rc == 0 && dfb_json_end(&r->json) == -1)
		rc = no_json(r);
	if (rc == 0 && (rc = make(r, out)) == 0)
		(*out)->n = (uint32_t)(r->list.len / size);
	return rc;
}

int
entry_read(const struct dfb_m_entry *m, struct entry **out, char *why, size_t size)
{
	struct reading r = { .m = m, .why = why, .size = size };
	uint8_t *strings;
	int rc;

	*out = NULL;
	snprintf(why, size, "out of memory");
	dfb_str_copy(m->name, r.name, sizeof r.name);
	if (m->kind < CATALOG_SERVICE || m->kind > CATALOG_DISTANCES)
		return 0;
	if (m->name.len >= sizeof r.name)
		return bad(&r, "the name is too long");
	if (m->json.len == 0)
		return make(&r, out);
	if ((strings = malloc(m->json.len)) == NULL)
		return -1;
	r.json = (struct dfb_json){ .start = m->json.p, .p = m->json.p,
		.end = m->json.p + m->json.len, .out = strings };
	rc = read_json(&r, out);
	dfb_buf_release(&r.list);
	free(strings);
	return rc;
}
