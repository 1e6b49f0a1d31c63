#include "dfb-gsl/catalog.h"

#include <stdlib.h>
#include <string.h>

/* A tree has more functions than are used here. */
#define STATIC __attribute__((unused)) static

const char *const catalog_states[] = { "deploying", "online", "suspended", "draining",
	"offline", "elsewhere" };

static int
cmp(struct entry *a, struct entry *b)
{
	return a->kind != b->kind ? a->kind - b->kind : strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(entry_tree, entry, link, cmp, STATIC)

void
catalog_init(struct catalog *c)
{
	*c = (struct catalog){ 0 };
	RB_INIT(&c->entries);
}

static void
take_out(struct catalog *c, struct entry *e)
{
	RB_REMOVE(entry_tree, &c->entries, e);
	if (e->kind == CATALOG_SERVICE)
		c->nservices--;
	entry_free(e);
}

void
catalog_release(struct catalog *c)
{
	struct entry *e;

	while ((e = RB_ROOT(&c->entries)) != NULL)
		take_out(c, e);
}

void
catalog_put(struct catalog *c, struct entry *e)
{
	struct entry *old = RB_FIND(entry_tree, &c->entries, e);

	if (old != NULL)
		take_out(c, old);
	if (e->gone) {
		entry_free(e);
		return;
	}
	RB_INSERT(entry_tree, &c->entries, e);
	if (e->kind == CATALOG_SERVICE)
		c->nservices++;
}

/* The functions of a tree take it as if they changed it. */
static struct entry_tree *
tree(const struct catalog *c)
{
	return (struct entry_tree *)(uintptr_t)&c->entries;
}

struct entry *
catalog_find(const struct catalog *c, enum catalog_kind kind, const char *name)
{
	struct entry key = { .kind = (uint8_t)kind, .name = name };

	return RB_FIND(entry_tree, tree(c), &key);
}

struct entry *
catalog_from(const struct catalog *c, enum catalog_kind kind, const char *name)
{
	struct entry key = { .kind = (uint8_t)kind, .name = name };

	return RB_NFIND(entry_tree, tree(c), &key);
}

struct entry *
catalog_next(struct entry *e)
{
	return RB_NEXT(entry_tree, NULL, e);
}

const struct entry *
catalog_keys(const struct catalog *c, const char *service)
{
	const struct entry *e = catalog_find(c, CATALOG_KEYS, service);

	return e != NULL ? e : catalog_find(c, CATALOG_KEYS, CATALOG_ALL);
}

uint32_t
region_number(const char *text)
{
	return *text == '\0' ? 0 : (uint32_t)text[0] << 16 | (uint32_t)text[1] << 8 |
	    (uint32_t)text[2];
}

void
region_text(uint32_t number, char text[4])
{
	text[0] = (char)(number >> 16);
	text[1] = (char)(number >> 8);
	text[2] = (char)number;
	text[3] = '\0';
}

/* The first of the n that is not before from and to. */
static size_t
search(const struct distance *d, size_t n, uint32_t from, uint32_t to)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (d[mid].from < from || (d[mid].from == from && d[mid].to < to))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct distances
catalog_distances(const struct catalog *c, uint32_t from)
{
	/* There is one, whatever its name. */
	const struct entry *e = catalog_from(c, CATALOG_DISTANCES, "");
	size_t first, end;

	if (e == NULL || from == 0)
		return (struct distances){ .from = from };
	first = search(e->distances, e->n, from, 0);
	end = search(e->distances, e->n, from + 1, 0);
	return (struct distances){ e->distances + first, end - first, from };
}

uint32_t
distance_to(const struct distances *d, uint32_t to)
{
	size_t i = search(d->first, d->n, d->from, to);

	if (to == d->from)
		return 0;
	return i < d->n && d->first[i].to == to ? d->first[i].distance : CATALOG_FAR;
}
