/* What expires is counted, and told once a second. */
#include "base/log.h"
#include "broker.h"
#include "expiry.h"

#define TELL_MS 1000

void
expiry_note(struct broker *b, struct topic *t, struct group *g)
{
	t->expired++;
	b->n.expired++;
	if (g != NULL)
		g->expired++;
}

static void
tell(const struct topic *t, const char *group, uint64_t n)
{
	log_event(DFB_LOG_INFO, "expired", "topic=%s group=%s count=%llu", t->name,
	    dfb_log_quote(group), (unsigned long long)n);
}

static void
tell_topic(struct topic *t)
{
	uint64_t rest = t->expired - t->expired_told;
	struct group *g;

	t->expired_told = t->expired;
	TAILQ_FOREACH(g, &t->groups, link) {
		uint64_t n = g->expired - g->expired_told;
		g->expired_told = g->expired;
		if (n != 0)
			tell(t, g->name, n);
		rest -= n < rest ? n : rest;
	}
	if (rest != 0) /* when they were due, or of a group that is gone */
		tell(t, "", rest);
}

void
expiry_log(struct broker *b)
{
	struct topic *t;

	if (b->n.expired == b->expired_told || b->now - b->expired_look < TELL_MS)
		return;
	b->expired_told = b->n.expired;
	b->expired_look = b->now;
	RB_FOREACH(t, topic_tree, &b->topics)
		if (t->expired != t->expired_told)
			tell_topic(t);
}
