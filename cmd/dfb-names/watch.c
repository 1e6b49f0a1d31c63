#include "dfb-names/watch.h"

#include <stdlib.h>
#include <string.h>

#include "dfb-names/session.h"

/* A tree has more functions than are used here. */
#define STATIC __attribute__((unused)) static

static int
dest_cmp(struct names_dest *a, struct names_dest *b)
{
	return strcmp(a->name, b->name);
}

static int
watch_cmp(struct names_watch *a, struct names_watch *b)
{
	return strcmp(a->dest->name, b->dest->name);
}

RB_GENERATE_INTERNAL(names_dests, names_dest, by_name, dest_cmp, STATIC)
RB_GENERATE_INTERNAL(names_session_watches, names_watch, in_session, watch_cmp, STATIC)

void
watches_init(struct names_watches *w)
{
	*w = (struct names_watches){ .n = 0 };
	RB_INIT(&w->dests);
	TAILQ_INIT(&w->dirty);
}

static struct names_dest *
dest_find(struct names_watches *w, const char *name)
{
	struct names_dest key;

	if (strlen(name) >= sizeof key.name)
		return NULL;
	strcpy(key.name, name);
	return RB_FIND(names_dests, &w->dests, &key);
}

static struct names_dest *
dest_make(struct names_watches *w, const char *name)
{
	struct names_dest *d = dest_find(w, name);

	if (d != NULL || (d = calloc(1, sizeof *d)) == NULL)
		return d;
	strcpy(d->name, name);
	LIST_INIT(&d->watches);
	RB_INSERT(names_dests, &w->dests, d);
	return d;
}

static void
dest_unused(struct names_watches *w, struct names_dest *d)
{
	if (!LIST_EMPTY(&d->watches))
		return;
	if (d->dirty)
		TAILQ_REMOVE(&w->dirty, d, in_dirty);
	RB_REMOVE(names_dests, &w->dests, d);
	free(d);
}

static struct names_watch *
watch_find(struct names_session *s, struct names_dest *d)
{
	struct names_watch key = { .dest = d };

	return RB_FIND(names_session_watches, &s->watches, &key);
}

int
watch_add(struct names_watches *w, struct names_session *s, const char *dest)
{
	struct names_dest *d = dest_make(w, dest);
	struct names_watch *x;

	if (d == NULL)
		return -1;
	if (watch_find(s, d) != NULL)
		return 0;
	if ((x = calloc(1, sizeof *x)) == NULL) {
		dest_unused(w, d);
		return -1;
	}
	x->dest = d;
	x->session = s;
	LIST_INSERT_HEAD(&d->watches, x, in_dest);
	RB_INSERT(names_session_watches, &s->watches, x);
	s->nwatches++;
	w->n++;
	return 0;
}

static void
end(struct names_watches *w, struct names_watch *x)
{
	struct names_dest *d = x->dest;

	if (x->stale)
		TAILQ_REMOVE(&x->session->stale, x, in_stale);
	LIST_REMOVE(x, in_dest);
	RB_REMOVE(names_session_watches, &x->session->watches, x);
	x->session->nwatches--;
	w->n--;
	free(x);
	dest_unused(w, d);
}

void
watch_remove(struct names_watches *w, struct names_session *s, const char *dest)
{
	struct names_dest *d = dest_find(w, dest);
	struct names_watch *x = d != NULL ? watch_find(s, d) : NULL;

	if (x != NULL)
		end(w, x);
}

void
watch_remove_all(struct names_watches *w, struct names_session *s)
{
	struct names_watch *x;

	while ((x = RB_ROOT(&s->watches)) != NULL)
		end(w, x);
}

void
watch_mark(struct names_watches *w, const char *dest)
{
	struct names_dest *d = dest_find(w, dest);

	if (d == NULL || d->dirty)
		return;
	d->dirty = true;
	TAILQ_INSERT_TAIL(&w->dirty, d, in_dirty);
}

struct names_dest *
watch_take(struct names_watches *w)
{
	struct names_dest *d = TAILQ_FIRST(&w->dirty);

	if (d != NULL) {
		TAILQ_REMOVE(&w->dirty, d, in_dirty);
		d->dirty = false;
	}
	return d;
}

void
watch_set_stale(struct names_watch *x)
{
	if (x->stale)
		return;
	x->stale = true;
	TAILQ_INSERT_TAIL(&x->session->stale, x, in_stale);
}

struct names_watch *
watch_take_stale(struct names_session *s)
{
	struct names_watch *x = TAILQ_FIRST(&s->stale);

	if (x != NULL) {
		TAILQ_REMOVE(&s->stale, x, in_stale);
		x->stale = false;
	}
	return x;
}
