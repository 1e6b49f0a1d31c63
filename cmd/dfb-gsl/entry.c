/* An entry of the catalogue: from the JSON that sgs sent to what locating needs. */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "dfb-gsl/catalog.h"
#include "wire/proto.h"
#include "wire/words.h"

#define WEIGHT_MAX 1000000
#define DISTANCE_MAX 1000000000
#define BUCKETS 10000

struct reading {
	const struct dfb_m_entry *m;
	char name[DFB_TOPIC_MAX];
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

/* Memory for an entry with this behind it, then its name and a state.  NULL. */
static struct entry *
entry_new(const struct reading *r, const void *what, size_t size, const char *state)
{
	size_t name = strlen(r->name) + 1;
	struct entry *e = calloc(1, sizeof *e + size + name + strlen(state) + 1);
	char *p = (char *)(e + 1);

	if (e == NULL)
		return NULL;
	if (size != 0)
		memcpy(p, what, size);
	e->rules = (const uint8_t *)p;
	e->name = memcpy(p + size, r->name, name);
	e->state = strcpy(p + size + name, state);
	e->kind = r->m->kind;
	e->version = r->m->version;
	return e;
}

void
entry_free(struct entry *e)
{
	free(e);
}

/* A whole number of an object, from 0 to max: 0; 1: there is none; -1. */
static int
number(struct reading *r, const json_t *o, const char *key, json_int_t max, uint32_t *n)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL)
		return 1;
	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
		return bad(r, "%s is no number from 0 to %lld", key, (long long)max);
	*n = (uint32_t)json_integer_value(v);
	return 0;
}

static int
region(struct reading *r, const char *text)
{
	return text != NULL && dfb_region_valid(text) ? 0 : bad(r, "'%s' is no region",
	    text != NULL ? text : "");
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
by_region(const void *a, const void *b)
{
	return strcmp(((const struct deployment *)a)->region,
	    ((const struct deployment *)b)->region);
}

static int
deployments(struct reading *r, json_t *regions, struct deployment *d)
{
	const char *where, *state;
	json_t *v;

	json_object_foreach(regions, where, v) {
		if (region(r, where) == -1)
			return -1;
		if ((state = json_string_value(json_object_get(v, "state"))) == NULL)
			return bad(r, "no state in %s", where);
		*d = (struct deployment){ .weight = 100, .state = (uint8_t)state_of(state) };
		strcpy(d->region, where);
		if (number(r, v, "weight", WEIGHT_MAX, &d->weight) == -1)
			return -1;
		d++;
	}
	return 0;
}

static int
read_service(struct reading *r, const json_t *o, struct entry **out)
{
	const char *state = json_string_value(json_object_get(o, "state"));
	json_t *regions = json_object_get(o, "regions");
	size_t n = json_object_size(regions);
	struct deployment *d;
	int rc;

	if (dfb_word_kind(r->name) != DFB_WORD_SERVICE)
		return bad(r, "it is no service");
	if (state == NULL || (regions != NULL && !json_is_object(regions)))
		return bad(r, "no state, or regions that are no object");
	if ((d = calloc(n + 1, sizeof *d)) == NULL)
		return -1;
	if ((rc = deployments(r, regions, d)) == 0) {
		qsort(d, n, sizeof *d, by_region);
		if ((*out = entry_new(r, d, n * sizeof *d, state)) != NULL) {
			(*out)->n = (uint32_t)n;
			(*out)->retired = strcmp(state, "retired") == 0;
		} else
			rc = -1;
	}
	free(d);
	return rc;
}

/* ---- keys ---- */

static int
read_rule(struct reading *r, const json_t *o, struct dfb_buf *list)
{
	const char *where = json_string_value(json_object_get(o, "region"));
	const json_t *key = json_object_get(o, "key"), *prefix = json_object_get(o, "prefix");
	const json_t *match = key != NULL ? key : prefix;
	struct dfb_m_rule m = { .region = dfb_str(where) };

	if (region(r, where) == -1)
		return -1;
	if (match != NULL) {
		if (!json_is_string(match))
			return bad(r, "a key or prefix is text");
		m.kind = key != NULL ? 1 : 2;
		m.match = (struct dfb_blob){ (const uint8_t *)json_string_value(match),
			json_string_length(match) };
	} else {
		m.kind = 3;
		if (number(r, o, "from", BUCKETS - 1, &m.from) != 0 ||
		    number(r, o, "to", BUCKETS - 1, &m.to) != 0 || m.from > m.to)
			return bad(r, "a rule has key, prefix, or from and to");
	}
	return dfb_rule_add(list, &m);
}

static int
read_keys(struct reading *r, const json_t *o, struct entry **out)
{
	json_t *rules = json_object_get(o, "rules"), *v;
	struct dfb_buf list = { 0 };
	size_t i;
	int rc = 0;

	if (strcmp(r->name, CATALOG_ALL) != 0 && dfb_word_kind(r->name) != DFB_WORD_SERVICE)
		return bad(r, "it is no service");
	if (!json_is_array(rules))
		return bad(r, "no list of rules");
	json_array_foreach(rules, i, v)
		if ((rc = read_rule(r, v, &list)) == -1)
			break;
	if (rc == 0) {
		*out = entry_new(r, list.data, list.len, "");
		rc = *out != NULL ? 0 : -1;
		if (rc == 0)
			(*out)->n = (uint32_t)list.len;
	}
	dfb_buf_release(&list);
	return rc;
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
read_from(struct reading *r, const char *from, json_t *row, struct dfb_buf *list)
{
	const char *to;
	json_t *v;

	if (region(r, from) == -1)
		return -1;
	if (!json_is_object(row))
		return bad(r, "the distances from %s are no object", from);
	json_object_foreach(row, to, v) {
		struct distance d = { .from = region_number(from) };
		if (region(r, to) == -1)
			return -1;
		d.to = region_number(to);
		if (number(r, row, to, DISTANCE_MAX, &d.distance) != 0 ||
		    dfb_buf_add(list, &d, sizeof d) == -1)
			return -1;
	}
	return 0;
}

static int
read_distances(struct reading *r, const json_t *o, struct entry **out)
{
	json_t *all = json_object_get(o, "distances"), *row;
	struct dfb_buf list = { 0 };
	const char *from;
	int rc = 0;

	if (!json_is_object(all))
		return bad(r, "no distances");
	json_object_foreach(all, from, row)
		if ((rc = read_from(r, from, row, &list)) == -1)
			break;
	if (rc == 0) {
		size_t n = list.len / sizeof(struct distance);
		if (n != 0)
			qsort(list.data, n, sizeof(struct distance), by_regions);
		*out = entry_new(r, list.data, list.len, "");
		rc = *out != NULL ? 0 : -1;
		if (rc == 0)
			(*out)->n = (uint32_t)n;
	}
	dfb_buf_release(&list);
	return rc;
}

int
entry_read(const struct dfb_m_entry *m, struct entry **out, char *why, size_t size)
{
	struct reading r = { .m = m, .why = why, .size = size };
	json_error_t error;
	json_t *o;
	int rc;

	*out = NULL;
	snprintf(why, size, "out of memory");
	dfb_str_copy(m->name, r.name, sizeof r.name);
	if (m->kind < CATALOG_SERVICE || m->kind > CATALOG_DISTANCES)
		return 0;
	if (m->name.len >= sizeof r.name)
		return bad(&r, "the name is too long");
	if (m->json.len == 0) {
		if ((*out = entry_new(&r, NULL, 0, "")) == NULL)
			return -1;
		(*out)->gone = true;
		return 0;
	}
	o = json_loadb((const char *)m->json.p, m->json.len, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(o)) {
		json_decref(o);
		return bad(&r, "it is no JSON object");
	}
	rc = m->kind == CATALOG_SERVICE ? read_service(&r, o, out) :
	    m->kind == CATALOG_KEYS ? read_keys(&r, o, out) : read_distances(&r, o, out);
	json_decref(o);
	return rc;
}
