/*
 * What other brokers have of a topic, as name servers say: for assignment, which deals the
 * queues of all of them.  A topic is looked up when somebody first subscribes here.
 */
#include <string.h>

#include "base/log.h"
#include "broker.h"
#include "lane.h"
#include "client/conn.h"

static int
lookup(struct dfb_conn *c, const struct topic *t)
{
	return dfb_conn_send(c, &(struct dfb_proto){ .type = DFB_M_LOOKUP,
	    .lookup = { .dest = dfb_str(t->name), .watch = 1 } });
}

void
region_watch(struct broker *b, struct topic *t)
{
	if (t->watched || t->name[0] == '%')
		return;
	t->watched = true;
	for (unsigned i = 0; i < b->nnames; i++)
		if (dfb_conn_is_up(enroll_conn(b, i)) && lookup(enroll_conn(b, i), t) == -1)
			t->watched = false; /* the next subscription asks again */
}

void
region_lookup(struct broker *b, struct dfb_conn *c)
{
	struct topic *t;

	RB_FOREACH(t, topic_tree, &b->topics)
		if (t->watched)
			lookup(c, t);
}

void
region_forget(struct broker *b, struct topic *t)
{
	if (!t->watched)
		return;
	t->watched = false;
	for (unsigned i = 0; i < b->nnames; i++)
		if (dfb_conn_is_up(enroll_conn(b, i)))
			dfb_conn_send(enroll_conn(b, i), &(struct dfb_proto){
			    .type = DFB_M_UNWATCH, .unwatch = { .dest = dfb_str(t->name) } });
}

void
region_routes(struct broker *b, const struct dfb_m_routes *m)
{
	struct topic *t = topic_find(b, m->dest);
	struct dfb_blob list = m->routes;
	struct dfb_m_route r;
	uint32_t before = 0;
	struct group *g;
	char name[DFB_GROUP_MAX];

	if (t == NULL || !t->watched)
		return;
	while (dfb_route_next(&list, &r) == 1)
		if (r.state != DFB_STATE_LOST &&
		    strcmp(dfb_str_copy(r.broker, name, sizeof name), b->cf.name) < 0)
			before += r.queues != 0 ? r.queues : 1;
	if (before == t->before)
		return;
	t->before = before;
	log_event(DFB_LOG_DEBUG, "region-changed", "topic=%s before=%u", t->name, before);
	TAILQ_FOREACH(g, &t->groups, link)
		group_balance(b, g);
}
