#include <stdlib.h>
#include <string.h>

#include "dfb-names/names.h"
#include "net/loop.h"

/* Longer than a client of ZeroMQ waits before it connects again (net/sock.c). */
#define YOUNG_MS 1000

#define HELD_MAX 100000

struct names_held {
	struct dfb_session *session;
	uint32_t req;
	char dest[DFB_TOPIC_MAX];
	TAILQ_ENTRY(names_held) link;
};

static void
grown_up(struct dfb_timer *t, void *arg)
{
	(void)t;
	held_end(arg);
}

void
held_init(struct names *n)
{
	TAILQ_INIT(&n->held);
	n->young = (struct dfb_timer){ .fn = grown_up, .arg = n };
}

void
held_begin(struct names *n)
{
	dfb_loop_timer(n->loop, &n->young, YOUNG_MS);
	n->nheld = 0;
}

static void
answer(struct names *n, struct names_held *h)
{
	struct names_held copy = *h;

	TAILQ_REMOVE(&n->held, h, link);
	n->nheld--;
	free(h);
	names_answer_routes(n, copy.session, copy.dest, copy.req);
}

void
held_end(struct names *n)
{
	struct names_held *h;

	if (dfb_timer_is_set(&n->young))
		dfb_loop_timer_stop(n->loop, &n->young);
	while ((h = TAILQ_FIRST(&n->held)) != NULL)
		answer(n, h);
}

bool
held_add(struct names *n, struct dfb_session *s, const char *dest, uint32_t req)
{
	struct names_held *h;

	/* Where no gsl is, nobody shall wait for one. */
	if (!dfb_timer_is_set(&n->young) || dfb_word_kind(dest) == DFB_WORD_DAEMONS ||
	    n->nheld >= HELD_MAX || registry_has(&n->registry, dest) ||
	    (h = calloc(1, sizeof *h)) == NULL)
		return false;
	h->session = s;
	h->req = req;
	strcpy(h->dest, dest);
	TAILQ_INSERT_TAIL(&n->held, h, link);
	n->nheld++;
	return true;
}

void
held_answer(struct names *n)
{
	struct names_held *h, *next;

	TAILQ_FOREACH_SAFE(h, &n->held, link, next)
		if (registry_has(&n->registry, h->dest))
			answer(n, h);
}

void
held_remove_all(void *names, struct dfb_session *s)
{
	struct names *n = names;
	struct names_held *h, *next;

	TAILQ_FOREACH_SAFE(h, &n->held, link, next)
		if (h->session == s) {
			TAILQ_REMOVE(&n->held, h, link);
			n->nheld--;
			free(h);
		}
}
