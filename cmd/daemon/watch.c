#include "daemon/watch.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/hub.h"

/* A tree has more functions than are used here. */
#define STATIC __attribute__((unused)) static

static int
dest_cmp(struct dfb_watched *a, struct dfb_watched *b)
{
	int d = strcmp(a->name, b->name);

	return d != 0 ? d : (a->tag > b->tag) - (a->tag < b->tag);
}

static int
watch_cmp(struct dfb_watcher *a, struct dfb_watcher *b)
{
	return dest_cmp(a->dest, b->dest);
}

RB_GENERATE_INTERNAL(dfb_watched_tree, dfb_watched, by_name, dest_cmp, STATIC)
RB_GENERATE_INTERNAL(dfb_session_watches, dfb_watcher, in_session, watch_cmp, STATIC)

void
dfb_watches_init(struct dfb_watches *w)
{
	*w = (struct dfb_watches){ .n = 0 };
	RB_INIT(&w->dests);
	TAILQ_INIT(&w->dirty);
}

static bool
key_for(struct dfb_watched *key, const char *name, uint32_t tag)
{
	if (strlen(name) >= sizeof key->name)
		return false;
	strcpy(key->name, name);
	key->tag = tag;
	return true;
}

static struct dfb_watched *
dest_make(struct dfb_watches *w, const char *name, uint32_t tag)
{
	struct dfb_watched key, *d;

	if (!key_for(&key, name, tag))
		return NULL;
	if ((d = RB_FIND(dfb_watched_tree, &w->dests, &key)) != NULL ||
	    (d = calloc(1, sizeof *d)) == NULL)
		return d;
	strcpy(d->name, name);
	d->tag = tag;
	LIST_INIT(&d->watches);
	RB_INSERT(dfb_watched_tree, &w->dests, d);
	return d;
}

static void
dest_unused(struct dfb_watches *w, struct dfb_watched *d)
{
	if (!LIST_EMPTY(&d->watches))
		return;
	if (d->dirty)
		TAILQ_REMOVE(&w->dirty, d, in_dirty);
	RB_REMOVE(dfb_watched_tree, &w->dests, d);
	free(d);
}

static struct dfb_watcher *
watch_find(struct dfb_session *s, struct dfb_watched *d)
{
	struct dfb_watcher key = { .dest = d };

	return RB_FIND(dfb_session_watches, &s->watches, &key);
}

int
dfb_watch_add(struct dfb_watches *w, struct dfb_session *s, const char *name,
    uint32_t tag)
{
	struct dfb_watched *d = dest_make(w, name, tag);
	struct dfb_watcher *x;

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
	RB_INSERT(dfb_session_watches, &s->watches, x);
	s->nwatches++;
	w->n++;
	return 0;
}

static void
told(struct dfb_watches *w, struct dfb_watcher *x)
{
	if (!x->stale)
		return;
	TAILQ_REMOVE(&x->session->stale, x, in_stale);
	x->stale = false;
	w->nstale--;
}

static void
end(struct dfb_watches *w, struct dfb_watcher *x)
{
	struct dfb_watched *d = x->dest;

	told(w, x);
	LIST_REMOVE(x, in_dest);
	RB_REMOVE(dfb_session_watches, &x->session->watches, x);
	x->session->nwatches--;
	w->n--;
	free(x);
	dest_unused(w, d);
}

void
dfb_watch_remove(struct dfb_watches *w, struct dfb_session *s, const char *name)
{
	struct dfb_watched d;
	struct dfb_watcher key = { .dest = &d }, *x, *next;

	if (!key_for(&d, name, 0))
		return;
	for (x = RB_NFIND(dfb_session_watches, &s->watches, &key);
	    x != NULL && strcmp(x->dest->name, name) == 0; x = next) {
		next = RB_NEXT(dfb_session_watches, &s->watches, x);
		end(w, x);
	}
}

void
dfb_watch_remove_all(struct dfb_watches *w, struct dfb_session *s)
{
	struct dfb_watcher *x;

	while ((x = RB_ROOT(&s->watches)) != NULL)
		end(w, x);
}

static void
mark(struct dfb_watches *w, struct dfb_watched *d)
{
	if (d->dirty)
		return;
	d->dirty = true;
	TAILQ_INSERT_TAIL(&w->dirty, d, in_dirty);
}

void
dfb_watch_mark(struct dfb_watches *w, const char *name)
{
	struct dfb_watched key, *d;

	if (!key_for(&key, name, 0))
		return;
	for (d = RB_NFIND(dfb_watched_tree, &w->dests, &key);
	    d != NULL && strcmp(d->name, name) == 0;
	    d = RB_NEXT(dfb_watched_tree, &w->dests, d))
		mark(w, d);
}

void
dfb_watch_mark_all(struct dfb_watches *w)
{
	struct dfb_watched *d;

	RB_FOREACH(d, dfb_watched_tree, &w->dests)
		mark(w, d);
}

struct dfb_watched *
dfb_watch_take(struct dfb_watches *w)
{
	struct dfb_watched *d = TAILQ_FIRST(&w->dirty);

	if (d != NULL) {
		TAILQ_REMOVE(&w->dirty, d, in_dirty);
		d->dirty = false;
	}
	return d;
}

void
dfb_watch_set_stale(struct dfb_watches *w, struct dfb_watcher *x)
{
	if (x->stale)
		return;
	x->stale = true;
	TAILQ_INSERT_TAIL(&x->session->stale, x, in_stale);
	w->nstale++;
}

struct dfb_watcher *
dfb_watch_take_stale(struct dfb_watches *w, struct dfb_session *s)
{
	struct dfb_watcher *x = TAILQ_FIRST(&s->stale);

	if (x != NULL)
		told(w, x);
	return x;
}
