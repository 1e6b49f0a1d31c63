#include "dfb-recv/entry.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

void
entries_init(struct entries *s)
{
	memset(s->bucket, 0, sizeof s->bucket);
	TAILQ_INIT(&s->list);
	TAILQ_INIT(&s->spare);
	s->n = 0;
}

static void
free_all(struct entry_list *l)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(l)) != NULL) {
		TAILQ_REMOVE(l, e, link);
		free(e);
	}
}

void
entries_release(struct entries *s)
{
	free_all(&s->list);
	free_all(&s->spare);
	entries_init(s);
}

static struct entry **
bucket(struct entries *s, const struct dfb_id *id)
{
	return &s->bucket[dfb_hash(id->b, sizeof id->b) % ENTRY_BUCKETS];
}

struct entry *
entries_add(struct entries *s, const struct dfb_id *id)
{
	struct entry *e = TAILQ_FIRST(&s->spare), **at = bucket(s, id);

	if (e != NULL)
		TAILQ_REMOVE(&s->spare, e, link);
	else if ((e = malloc(sizeof *e)) == NULL)
		return NULL;
	*e = (struct entry){ .id = *id };
	/* At the end of its chain: the oldest of an id is found first. */
	while (*at != NULL)
		at = &(*at)->chain;
	*at = e;
	TAILQ_INSERT_TAIL(&s->list, e, link);
	s->n++;
	return e;
}

struct entry *
entries_find(struct entries *s, const struct dfb_id *id)
{
	struct entry *e = *bucket(s, id);

	while (e != NULL && memcmp(e->id.b, id->b, sizeof id->b) != 0)
		e = e->chain;
	return e;
}

void
entries_remove(struct entries *s, struct entry *e)
{
	struct entry **at = bucket(s, &e->id);

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	TAILQ_REMOVE(&s->list, e, link);
	TAILQ_INSERT_HEAD(&s->spare, e, link);
	s->n--;
}
