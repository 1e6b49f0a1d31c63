#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/endian.h>

#include <jansson.h>

#include "base/log.h"
#include "asked.h"
#include "broker.h"
#include "disk.h"
#include "gray.h"
#include "lane.h"
#include "limits.h"
#include "net/loop.h"
#include "store/store.h"

int
topic_cmp(struct topic *a, struct topic *b)
{
	return strcmp(a->name, b->name);
}

RB_GENERATE(topic_tree, topic, node, topic_cmp)

struct topic *
topic_by_name(struct broker *b, const char *name)
{
	struct topic want;

	snprintf(want.name, sizeof want.name, "%s", name);
	return RB_FIND(topic_tree, &b->topics, &want);
}

struct topic *
topic_find(struct broker *b, struct dfb_str name)
{
	char text[DFB_TOPIC_MAX];

	if (name.len >= sizeof text)
		return NULL;
	return topic_by_name(b, dfb_str_copy(name, text, sizeof text));
}

bool
topic_is_near(const struct topic *t, const char *region)
{
	return region[0] == '\0' || t->name[0] == '%' || strncmp(t->name, region, 3) == 0;
}

struct topic *
topic_by_id(struct broker *b, uint32_t id)
{
	return id < b->nids ? b->by_id[id] : NULL;
}

static int
remember_id(struct broker *b, struct topic *t)
{
	if (t->id >= b->nids) {
		size_t n = b->nids != 0 ? b->nids : 64;
		struct topic **p;
		while (n <= t->id)
			n *= 2;
		if ((p = reallocarray(b->by_id, n, sizeof(struct topic *))) == NULL)
			return -1;
		memset(p + b->nids, 0, (n - b->nids) * sizeof(struct topic *));
		b->by_id = p;
		b->nids = n;
	}
	b->by_id[t->id] = t;
	return 0;
}

struct topic *
topic_new(struct broker *b, const char *name, uint32_t id, const struct settings *set,
    uint32_t queues)
{
	struct topic *t = calloc(1, sizeof *t);
	struct lane *l;

	if (t == NULL)
		return NULL;
	snprintf(t->name, sizeof t->name, "%s", name);
	t->id = id;
	t->set = *set;
	flow_settings(t);
	RB_INIT(&t->clients);
	TAILQ_INIT(&t->groups);
	TAILQ_INIT(&t->lanes);
	TAILQ_INIT(&t->moves);
	TAILQ_INIT(&t->gray);
	ids_init(&t->sent, T_IDS, id);
	ids_init(&t->called, T_CALLS, id);
	if ((l = lane_new(t, 0, "")) == NULL || lane_add(b, t, l, queues) == -1 ||
	    remember_id(b, t) == -1) {
		topic_free(b, t);
		return NULL;
	}
	l->writable = l->readable;
	RB_INSERT(topic_tree, &b->topics, t);
	b->ntopics++;
	if (id > b->last_topic_id)
		b->last_topic_id = id;
	return t;
}

int
topic_store(struct broker *b, struct topic *t)
{
	struct dfb_batch *batch = commit_batch(b, true);
	json_t *j = settings_to_json(&t->set);
	char *text = NULL;
	uint8_t id[4];
	int rc = -1;

	be32enc(id, b->last_topic_id); /* also after the topic is deleted */

	if (batch != NULL && j != NULL &&
	    json_object_set_new(j, "id", json_integer(t->id)) == 0 &&
	    lanes_to_json(t, j) == 0 &&
	    (text = json_dumps(j, JSON_COMPACT)) != NULL)
		rc = dfb_batch_put(batch, T_TOPICS, t->name, strlen(t->name), text,
		    strlen(text));
	if (rc == 0)
		rc = dfb_batch_put(batch, T_META, "topic_id", 8, id, sizeof id);
	for (uint32_t i = 0; rc == 0 && t->set.durability == DFB_MEMORY &&
	    i < t->nqueues; i++)
		if (t->queues[i]->floor == 0) {
			t->queues[i]->floor = t->queues[i]->next + MEMORY_FLOOR;
			rc = queue_floor_row(batch, t->queues[i], t->queues[i]->floor);
		}
	free(text);
	json_decref(j);
	return rc;
}

struct topic *
topic_make_system(struct broker *b, const char *name)
{
	struct topic *t = topic_by_name(b, name);
	struct settings set;

	if (t != NULL)
		return t;
	settings_default(&set);
	set.max_body = DFB_BODY_MAX_LIMIT;
	set.queues_max = 1;
	if ((t = topic_new(b, name, b->last_topic_id + 1, &set, 1)) == NULL)
		return NULL;
	if (topic_store(b, t) == -1)
		fail_stop(b, "no memory for a topic");
	log_event(DFB_LOG_INFO, "topic-created", "topic=%s", name);
	enroll_topic(b, t, true);
	return t;
}

static void
delete_rows(struct broker *b, struct topic *t)
{
	struct dfb_batch *batch = commit_batch(b, true);
	struct group *g;

	if (batch == NULL ||
	    dfb_batch_del(batch, T_TOPICS, t->name, strlen(t->name)) == -1)
		fail_stop(b, "no memory to delete a topic");
	TAILQ_FOREACH(g, &t->groups, link)
		group_delete_rows(b, g);
}

void
topic_delete(struct broker *b, struct topic *t)
{
	struct producer *p, *next;
	struct group *g, *gnext;
	struct call *c;

	/* Senders and receivers are told; then rows, then memory. */
	RB_FOREACH_SAFE(p, producer_tree, &b->producers, next)
		if (p->topic == t) {
			if (p->stream != NULL)
				stream_refuse(b, p->stream, 0, DFB_REFUSE_STREAM,
				    DFB_NOBODY, 0, "topic '%s' was deleted", t->name);
			p->finished = true;
			commit_dirty_producer(b, p);
			if (p->stream != NULL)
				stream_free(b, p->stream);
		}
	TAILQ_FOREACH_SAFE(g, &t->groups, link, gnext) /* an unkept one goes with it */
		while (g->nsubs != 0) {
			bool last = g->nsubs == 1;
			sub_drop(b, TAILQ_FIRST(&g->subs), DFB_NOBODY,
			    "the topic was deleted");
			if (last)
				break;
		}
	for (uint32_t i = 0; i < t->nqueues; i++)
		while ((c = RB_MIN(call_tree, &t->queues[i]->calls)) != NULL)
			call_end(b, c, DFB_NOBODY, "the topic was deleted");
	asked_end_all(b, t);
	delete_rows(b, t);
	ids_remove_all(b, t);
	timers_forget_topic(b, t);
	RB_REMOVE(topic_tree, &b->topics, t);
	b->ntopics--;
	b->by_id[t->id] = NULL;
	t->dead = true;
	TAILQ_INSERT_TAIL(&b->graves, t, grave);
	enroll_topic(b, t, false);
	region_forget(b, t);
	log_event(DFB_LOG_INFO, "topic-deleted", "topic=%s", t->name);
}

static bool
is_needed(const struct topic *t)
{
	for (uint32_t i = 0; i < t->nqueues; i++)
		if (t->queues[i]->busy != 0 || t->queues[i]->dirty)
			return true;
	return false;
}

void
topic_bury(struct broker *b)
{
	struct topic *t, *next;
	struct producer *p;

	TAILQ_FOREACH_SAFE(t, &b->graves, grave, next) {
		bool named = is_needed(t);
		RB_FOREACH(p, producer_tree, &b->producers)
			named |= p->topic == t;
		if (named)
			continue;
		TAILQ_REMOVE(&b->graves, t, grave);
		topic_free(b, t);
	}
}

void
topic_free(struct broker *b, struct topic *t)
{
	while (!TAILQ_EMPTY(&t->groups))
		group_free(b, TAILQ_FIRST(&t->groups));
	for (uint32_t i = 0; i < t->nqueues; i++)
		queue_free(b, t->queues[i]);
	dfb_loop_timer_stop(b->loop, &t->follow);
	moves_free(t, NULL);
	while (!TAILQ_EMPTY(&t->gray))
		gray_free(t, TAILQ_FIRST(&t->gray));
	while (!TAILQ_EMPTY(&t->lanes))
		lane_free(t, TAILQ_FIRST(&t->lanes));
	ids_free(b, &t->sent);
	ids_free(b, &t->called);
	flow_release(t);
	free(t->queues);
	free(t->floors);
	free(t);
}
