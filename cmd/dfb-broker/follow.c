/*
 * Queues follow consumers: a lane has as many queues as the largest group has instances of the
 * topic's region (and the label), within the topic's bounds.  More: readable at once, so that
 * each has an owner, writable after a while.  Fewer: not writable from now on, gone after a
 * longer while, once every group has had all that is in them.
 */
#include <string.h>

#include "base/log.h"
#include "broker.h"
#include "disk.h"
#include "lane.h"
#include "net/loop.h"
#include "store/store.h"

#define AGAIN_MS 200 /* until a queue is asked again whether it may go */

static uint64_t
grow_ms(const struct broker *b, const struct topic *t)
{
	return t->set.grow_ms != 0 ? t->set.grow_ms : b->cf.grow_ms;
}

static uint64_t
shrink_ms(const struct broker *b, const struct topic *t)
{
	return t->set.shrink_ms != 0 ? t->set.shrink_ms : b->cf.shrink_ms;
}

static uint32_t
wanted(const struct topic *t, const struct lane *l)
{
	uint32_t most = 0, n;
	struct group *g;
	struct sub *u;

	TAILQ_FOREACH(g, &t->groups, link) {
		if (g->broadcast)
			continue;
		n = 0;
		TAILQ_FOREACH(u, &g->subs, in_group)
			n += u->near && strcmp(u->label, l->label) == 0;
		if (n > most)
			most = n;
	}
	if (l->number != 0) /* a label's share: the topic's least is for all */
		return most < 1 ? 1 : most > t->set.queues_max ? t->set.queues_max : most;
	return most < t->set.queues_min ? t->set.queues_min :
	    most > t->set.queues_max ? t->set.queues_max : most;
}

static void
changed(struct broker *b, struct topic *t, const struct lane *l)
{
	if (topic_store(b, t) == -1)
		fail_stop(b, "no memory for a topic");
	enroll_topic(b, t, true);
	log_event(DFB_LOG_INFO, "queues-changed", "topic=%s label=%s readable=%u writable=%u",
	    t->name, dfb_log_quote(l->label), l->readable, l->writable);
}

/* Whether every group has had all that is in a queue. */
static bool
is_drained(const struct queue *q)
{
	const struct group *g;

	if (q->busy != 0 || q->dirty || !RB_EMPTY(&q->calls) ||
	    (q->topic->set.durability != DFB_MEMORY && q->committed != q->next))
		return false;
	TAILQ_FOREACH(g, &q->topic->groups, link) {
		const struct cursor *c = g->cursors[q->slot];
		if (c->low < q->next || c->out != 0 || c->jobs != 0)
			return false;
	}
	return true;
}

/* What was kept for groups that begin earlier is gone with its time. */
static void
trim(struct broker *b, struct topic *t, struct lane *l)
{
	while (l->kept > l->readable) {
		const struct queue *q = l->queues[l->kept - 1];
		if (q->first != q->next || !is_drained(q))
			return;
		lane_remove_last(b, t, l);
	}
}

static void
write_to(struct broker *b, struct topic *t, struct lane *l, uint32_t n)
{
	if (n != l->writable && move_begin(t, l, n))
		l->writable = n;
	if (l->readable > l->writable) {
		if (l->shrink_at == 0)
			l->shrink_at = b->now + shrink_ms(b, t);
	} else
		l->shrink_at = 0;
}

/* A lane without a rule: nothing comes to it any more. */
static void
end(struct broker *b, struct topic *t, struct lane *l)
{
	uint32_t readable = l->readable;
	struct group *g;

	while (l->readable > 0 && is_drained(l->queues[l->readable - 1]))
		l->readable--;
	if (l->writable > l->readable)
		l->writable = l->readable;
	trim(b, t, l);
	l->grow_at = 0;
	l->shrink_at = l->readable != 0 ? b->now + AGAIN_MS : 0;
	if (readable != l->readable) {
		TAILQ_FOREACH(g, &t->groups, link)
			group_balance(b, g);
		changed(b, t, l);
	}
	if (l->kept != 0)
		return;
	moves_free(t, l);
	lane_free(t, l);
	if (topic_store(b, t) == -1)
		fail_stop(b, "no memory for a topic");
}

static void
look(struct broker *b, struct topic *t, struct lane *l)
{
	uint32_t want = wanted(t, l), readable = l->readable, writable = l->writable;
	uint32_t kept = l->kept;

	if (want > l->readable && lane_add(b, t, l, want) == -1)
		log_event(DFB_LOG_WARN, "no-memory", "topic=%s", t->name);
	if (want > l->writable) {
		if (l->grow_at == 0)
			l->grow_at = b->now + grow_ms(b, t);
		l->shrink_at = 0;
	} else {
		l->grow_at = 0;
		write_to(b, t, l, want);
	}
	trim(b, t, l);
	if (readable != l->readable || writable != l->writable || kept != l->kept)
		changed(b, t, l);
}

static void
due(struct broker *b, struct topic *t, struct lane *l)
{
	uint32_t want = wanted(t, l), readable = l->readable, writable = l->writable;

	if (l->grow_at != 0 && l->grow_at <= b->now) {
		l->grow_at = 0;
		write_to(b, t, l, want < l->readable ? want : l->readable);
	}
	if (l->shrink_at != 0 && l->shrink_at <= b->now) {
		while (l->readable > l->writable && is_drained(l->queues[l->readable - 1]))
			l->readable--;
		l->shrink_at = l->readable > l->writable ? b->now + AGAIN_MS : 0;
	}
	if (readable != l->readable) {
		struct group *g;
		TAILQ_FOREACH(g, &t->groups, link)
			group_balance(b, g);
	}
	if (readable != l->readable || writable != l->writable)
		changed(b, t, l);
}

static void
arm(struct broker *b, struct topic *t)
{
	uint64_t next = UINT64_MAX;
	struct lane *l;

	TAILQ_FOREACH(l, &t->lanes, link) {
		if (l->grow_at != 0 && l->grow_at < next)
			next = l->grow_at;
		if (l->shrink_at != 0 && l->shrink_at < next)
			next = l->shrink_at;
	}
	if (next == UINT64_MAX)
		dfb_loop_timer_stop(b->loop, &t->follow);
	else
		dfb_loop_timer(b->loop, &t->follow, next > b->now ? next - b->now : 0);
}

static void
on_time(struct dfb_timer *timer, void *arg)
{
	struct topic *t = (struct topic *)((char *)timer - offsetof(struct topic, follow));
	struct broker *b = arg;
	struct lane *l, *next;

	if (b->stopping)
		return;
	if (b->now < t->settled_at) { /* the broker's start: who was there comes back first */
		follow_look(b, t);
		return;
	}
	TAILQ_FOREACH_SAFE(l, &t->lanes, link, next)
		if (l->ending)
			end(b, t, l);
		else {
			due(b, t, l);
			look(b, t, l);
		}
	arm(b, t);
}

void
follow_look(struct broker *b, struct topic *t)
{
	struct lane *l, *next;

	t->follow.fn = on_time;
	t->follow.arg = b;
	if (b->stopping || t->dead)
		return;
	if (b->now < t->settled_at) {
		dfb_loop_timer(b->loop, &t->follow, t->settled_at - b->now);
		return;
	}
	TAILQ_FOREACH_SAFE(l, &t->lanes, link, next)
		if (l->ending)
			end(b, t, l);
		else
			look(b, t, l);
	arm(b, t);
}

void
follow_anew(struct broker *b, struct topic *t, bool now)
{
	struct lane *l;

	TAILQ_FOREACH(l, &t->lanes, link) {
		uint32_t want = wanted(t, l);
		l->grow_at = l->shrink_at = 0;
		if (now && !l->ending && (want <= l->readable ||
		    lane_add(b, t, l, want) == 0))
			write_to(b, t, l, want);
	}
	follow_look(b, t);
}
