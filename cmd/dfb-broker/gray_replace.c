/* All rules of a topic at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "broker.h"
#include "gray.h"

static bool
same(const struct gray *a, const struct gray *b)
{
	json_t *x = gray_to_json(a), *y = gray_to_json(b);
	bool same = json_equal(x, y) == 1;

	json_decref(x);
	json_decref(y);
	return same;
}

static struct gray *
with_label(const struct gray_list *l, const char *label)
{
	struct gray *r;

	TAILQ_FOREACH(r, l, link)
		if (strcmp(r->label, label) == 0)
			return r;
	return NULL;
}

/* Whether the topic's rules are these, in this order: it says which keys a share is. */
static bool
has_all(const struct topic *t, const struct gray_list *l)
{
	const struct gray *a = TAILQ_FIRST(&t->gray), *b = TAILQ_FIRST(l);

	for (; a != NULL && b != NULL; a = TAILQ_NEXT(a, link), b = TAILQ_NEXT(b, link))
		if (!same(a, b))
			return false;
	return a == NULL && b == NULL;
}

int
gray_replace(struct broker *b, struct topic *t, struct gray_list *l)
{
	char (*order)[DFB_GROUP_MAX];
	struct gray *r, *next;
	size_t n = 0;

	if (has_all(t, l))
		return 0;
	if ((order = calloc(GRAY_LABELS_MAX, sizeof *order)) == NULL)
		return -1;
	TAILQ_FOREACH(r, l, link)
		snprintf(order[n++], sizeof order[0], "%s", r->label);
	TAILQ_FOREACH_SAFE(r, &t->gray, link, next)
		if (with_label(l, r->label) == NULL)
			gray_drop(b, t, r);
		else
			r->share = 0; /* all will be put anew: together they are no more than the whole */
	/* Those that have queues first: only another's may fail. */
	for (int fresh = 0; fresh < 2; fresh++)
		TAILQ_FOREACH_SAFE(r, l, link, next) {
			if (!fresh && gray_find(t, r->label) == NULL)
				continue;
			TAILQ_REMOVE(l, r, link);
			if (gray_put(b, t, r) != 0) {
				gray_release(r);
				free(order);
				return -1;
			}
		}
	for (size_t i = 0; i < n; i++) {
		r = gray_find(t, order[i]);
		TAILQ_REMOVE(&t->gray, r, link);
		TAILQ_INSERT_TAIL(&t->gray, r, link);
	}
	free(order);
	return 1;
}
