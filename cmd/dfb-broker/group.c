/* Groups: who receives, and which subscription owns which queue. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/endian.h>

#include "base/log.h"
#include "asked.h"
#include "broker.h"
#include "disk.h"
#include "lane.h"
#include "letters.h"
#include "limits.h"
#include "store/store.h"
#include "wire/cursor.h"

#define CREDIT_MAX 100000
#define SUBS_MAX 1024 /* of one session */

struct group *
group_find(struct topic *t, const char *name)
{
	struct group *g;

	TAILQ_FOREACH(g, &t->groups, link)
		if (strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

struct group *
group_new(struct broker *b, struct topic *t, const char *name, bool broadcast, bool kept)
{
	struct group *g = calloc(1, sizeof *g);

	if (g == NULL ||
	    (g->cursors = calloc(t->nqueues, sizeof(struct cursor *))) == NULL) {
		free(g);
		return NULL;
	}
	snprintf(g->name, sizeof g->name, "%s", name);
	g->topic = t;
	g->broadcast = broadcast;
	g->halted = t->set.paused_ms != 0;
	g->kept = kept;
	TAILQ_INIT(&g->subs);
	for (uint32_t i = 0; i < t->nqueues; i++)
		if ((g->cursors[i] = cursor_new(b, g, t->queues[i])) == NULL)
			fail_stop(b, "no memory for a group");
	TAILQ_INSERT_TAIL(&t->groups, g, link);
	return g;
}

void
group_free(struct broker *b, struct group *g)
{
	for (uint32_t i = 0; i < g->topic->nqueues; i++)
		cursor_free(b, g->cursors[i]);
	TAILQ_REMOVE(&g->topic->groups, g, link);
	moves_forget_group(g->topic, g);
	free(g->cursors);
	free(g);
}

bool
group_is_over(const struct group *g)
{
	return g->fleeting && g->nsubs == 0;
}

bool
group_reap(struct broker *b, struct group *g)
{
	if (!group_is_over(g) || g->topic->dead)
		return false;
	for (uint32_t i = 0; i < g->topic->nqueues; i++)
		if (g->cursors[i]->jobs != 0)
			return true;
	group_free(b, g);
	return true;
}

bool
group_had_label(const struct group *g, const char *label)
{
	size_t len = strlen(label);

	for (const char *p = g->labels; *p != '\0'; p += strcspn(p, ",") + 1)
		if (strncmp(p, label, len) == 0 && p[len] == ',')
			return true;
	return false;
}

/* Remember it; what does not fit is forgotten when the broker stops. */
static void
note_label(struct broker *b, struct group *g, const char *label)
{
	size_t len = strlen(g->labels);

	if (*label == '\0' || group_had_label(g, label) ||
	    len + strlen(label) + 2 > sizeof g->labels)
		return;
	snprintf(g->labels + len, sizeof g->labels - len, "%s,", label);
	if (g->kept && group_store(b, g) == -1)
		fail_stop(b, "no memory for a group");
}

static size_t
row_key(const struct group *g, uint8_t key[4 + DFB_GROUP_MAX])
{
	be32enc(key, g->topic->id);
	memcpy(key + 4, g->name, strlen(g->name));
	return 4 + strlen(g->name);
}

int
group_store(struct broker *b, struct group *g)
{
	struct dfb_batch *batch = commit_batch(b, true);
	uint8_t key[4 + DFB_GROUP_MAX], val[10 + sizeof g->labels] = { 1, g->broadcast };
	size_t len = strlen(g->labels);

	be64enc(val + 2, g->paused_ms);
	memcpy(val + 10, g->labels, len);
	return batch == NULL ? -1 :
	    dfb_batch_put(batch, T_GROUPS, key, row_key(g, key), val, 10 + len);
}

void
group_delete_rows(struct broker *b, struct group *g)
{
	struct dfb_batch *batch = commit_batch(b, true);
	uint8_t key[4 + DFB_GROUP_MAX];

	if (g->kept && dfb_batch_del(batch, T_GROUPS, key, row_key(g, key)) == -1)
		fail_stop(b, "no memory to delete a group");
	for (uint32_t i = 0; g->kept && i < g->topic->nqueues; i++) {
		struct cursor *c = g->cursors[i];
		struct dfb_buf k = { 0 };
		if (c->dirty) {
			STAILQ_REMOVE(&b->dirty_cursors, c, cursor, dirty_link);
			c->dirty = false;
		}
		cursor_row_key(c, &k);
		if (k.data == NULL || dfb_batch_del(batch, T_OFFSETS, k.data, k.len) == -1)
			fail_stop(b, "no memory to delete a group");
		dfb_buf_release(&k);
		if (group_is_internal(g))
			letters_forget(b, c);
	}
}

/* ---- subscriptions ---- */

struct sub *
sub_find(struct session *s, uint32_t handle)
{
	struct sub *u;

	TAILQ_FOREACH(u, &s->subs, in_session)
		if (u->handle == handle)
			return u;
	return NULL;
}

static void
found_start(struct broker *b, void *arg, uint64_t offset)
{
	struct cursor *c = arg;

	c->jobs--;
	c->seeking = false;
	if (c->group->topic->dead || group_reap(b, c->group))
		return;
	cursor_place(b, c, offset);
	deliver_ready(b, c);
}

/* Where a new group begins. */
static void
start_at(struct broker *b, struct group *g, uint8_t start, uint64_t value)
{
	for (uint32_t i = 0; i < g->topic->nqueues; i++) {
		struct cursor *c = g->cursors[i];
		struct queue *q = c->q;
		switch (start) {
		case DFB_BEGINNING:
			cursor_place(b, c, q->first);
			break;
		case DFB_OFFSET:
			cursor_place(b, c, value < q->first ? q->first :
			    value > q->next ? q->next : value);
			break;
		case DFB_TIME:
			cursor_place(b, c, q->next);
			c->seeking = true;
			c->jobs++;
			reader_seek(b, q, value, found_start, c);
			break;
		default:
			cursor_place(b, c, q->next);
		}
	}
}

/* A group that was given a message exists, also after a crash: else it would begin anew, where
 * it may not find what it has not had yet. */
struct fresh {
	uint32_t topic;
	char group[DFB_GROUP_MAX];
};

static void
group_stored(struct broker *b, void *arg)
{
	struct fresh *f = arg;
	struct topic *t = topic_by_id(b, f->topic);
	struct group *g = t != NULL ? group_find(t, f->group) : NULL;
	struct sub *u;

	free(f);
	if (g == NULL)
		return;
	g->fresh = false;
	TAILQ_FOREACH(u, &g->subs, in_group)
		deliver_sub(b, u);
}

static int
deliver_when_stored(struct broker *b, struct group *g)
{
	struct fresh *f = malloc(sizeof *f);

	if (f == NULL)
		return -1;
	f->topic = g->topic->id;
	strlcpy(f->group, g->name, sizeof f->group);
	g->fresh = true;
	return commit_then(b, group_stored, f);
}

/* The group a subscription belongs to, by its name on the wire; makes it. */
static struct group *
join(struct broker *b, struct topic *t, const struct dfb_m_subscribe *r)
{
	bool broadcast = (r->flags & DFB_SUB_BROADCAST) != 0, kept = true, fleeting;
	char name[DFB_GROUP_MAX], instance[80];
	uint8_t start = r->start;
	struct group *g;

	dfb_str_copy(r->group, name, 66);
	if (broadcast && r->instance.len == 0) {
		snprintf(name, sizeof name, "%.64s@#%llu",
		    r->group.len != 0 ? name : "broadcast", (unsigned long long)++b->serial);
		kept = false;
		if (start == DFB_BEGINNING)
			start = DFB_END;
	} else if (broadcast) {
		size_t n = strlen(name);
		snprintf(name + n, sizeof name - n, "@%s",
		    dfb_str_copy(r->instance, instance, 65));
	}
	if ((g = group_find(t, name)) != NULL)
		return g;
	fleeting = !kept;
	kept = kept && t->set.durability != DFB_MEMORY;
	if ((g = group_new(b, t, name, broadcast, kept)) == NULL)
		return NULL;
	start_at(b, g, start, r->value);
	g->fleeting = fleeting; /* not before: without subscriptions it would be over */
	if (kept && (group_store(b, g) == -1 || deliver_when_stored(b, g) == -1))
		fail_stop(b, "no memory for a group");
	for (uint32_t i = 0; i < t->nqueues; i++)
		commit_dirty_cursor(b, g->cursors[i]);
	log_event(DFB_LOG_INFO, "group-new", "topic=%s group=%s", t->name,
	    dfb_log_quote(g->name));
	return g;
}

static const char *
check(struct session *s, const struct dfb_m_subscribe *r)
{
	bool broadcast = (r->flags & DFB_SUB_BROADCAST) != 0;
	char text[DFB_GROUP_MAX];
	struct sub *u;
	unsigned n = 0;

	TAILQ_FOREACH(u, &s->subs, in_session)
		n++;
	if (n >= SUBS_MAX || sub_find(s, r->sub) != NULL)
		return "subscription number in use, or too many subscriptions";
	if (r->group.len >= sizeof text || r->instance.len >= sizeof text ||
	    (!(broadcast && r->group.len == 0) &&
	    !dfb_group_valid(dfb_str_copy(r->group, text, sizeof text))))
		return "malformed group";
	if (r->instance.len != 0 &&
	    !dfb_name_valid(dfb_str_copy(r->instance, text, sizeof text)))
		return "malformed instance";
	if (r->label.len >= sizeof text || (r->label.len != 0 &&
	    !dfb_name_valid(dfb_str_copy(r->label, text, sizeof text))))
		return "malformed label";
	if (broadcast && r->instance.len != 0 && r->group.len == 0)
		return "a named broadcast instance needs a group";
	if (r->credit == 0 || r->credit > CREDIT_MAX || r->start > DFB_TIME)
		return "credit or start out of range";
	return NULL;
}

void
handle_subscribe(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	const struct dfb_m_subscribe *r = &m->subscribe;
	struct topic *t = topic_find(b, r->topic);
	const char *wrong = check(s, r);
	struct group *g;
	struct sub *u;

	if (wrong != NULL) {
		session_error(b, s, m->req, DFB_BADINPUT, "%s", wrong);
		return;
	}
	if (t == NULL) {
		session_error(b, s, m->req, DFB_NOBODY, "no topic '%.*s' on broker %s",
		    (int)r->topic.len, r->topic.p, b->cf.name);
		return;
	}
	if (b->stopping) {
		session_error(b, s, m->req, DFB_AGAIN, "the broker is stopping");
		return;
	}
	if ((u = calloc(1, sizeof *u)) == NULL || (g = join(b, t, r)) == NULL) {
		free(u);
		session_error(b, s, m->req, DFB_AGAIN, "the broker is out of memory");
		return;
	}
	u->session = s;
	u->handle = r->sub;
	u->group = g;
	u->credit = r->credit;
	u->stop_at_end = (r->flags & DFB_SUB_STOP_AT_END) != 0;
	dfb_str_copy(r->instance, u->instance, sizeof u->instance);
	dfb_str_copy(r->label, u->label, sizeof u->label);
	u->near = (r->flags & DFB_SUB_ANY_REGION) != 0 || topic_is_near(t, s->region);
	TAILQ_INSERT_TAIL(&g->subs, u, in_group);
	TAILQ_INSERT_TAIL(&s->subs, u, in_session);
	g->nsubs++;
	note_label(b, g, u->label);
	region_watch(b, t);
	if (!g->broadcast)
		t->serving++;
	breaker_forget(t);
	session_send(b, s, &(struct dfb_proto){ .type = DFB_M_SUBSCRIBED, .req = m->req,
	    .subscribed = { .sub = r->sub } });
	group_balance(b, g);
	deliver_sub(b, u);
	follow_look(b, t);
}

/* Sizes of single messages are not kept: the share of what is out. */
void
sub_settled(struct sub *u, uint64_t n)
{
	u->bytes = n < u->out ? u->bytes - u->bytes / u->out * n : 0;
	u->out -= n;
}

/* What was out counts as never delivered, where that can be told. */
static void
forget_tries(struct cursor *c)
{
	if (c->ndone == 0 && c->nretries == 0)
		c->high = c->low;
}

/* What it had out goes to the next owner: as redelivered if it died, as if it had
 * never been out if it left. */
void
sub_free(struct broker *b, struct sub *u, bool planned)
{
	struct group *g = u->group;
	struct topic *t = g->topic;

	for (uint32_t i = 0; i < t->nqueues; i++) {
		struct cursor *c = g->cursors[i];
		if (c->heir == u)
			c->heir = NULL;
		if (c->owner != u)
			continue;
		if (planned) {
			forget_tries(c);
			asked_given_back(c->q, c->low, c->pos);
		}
		else
			g->redelivered += c->out;
		cursor_take_back(b, c);
		c->owner = c->heir;
		c->heir = NULL;
	}
	TAILQ_REMOVE(&g->subs, u, in_group);
	TAILQ_REMOVE(&u->session->subs, u, in_session);
	g->nsubs--;
	breaker_forget(t);
	if (!g->broadcast)
		t->serving--;
	free(u);
	if (g->nsubs != 0)
		group_balance(b, g);
	else
		group_reap(b, g); /* or when the read that is under way ends */
	call_abandon(b, t);
	pause_calls(b, t);
	follow_look(b, t);
}

void
sub_drop(struct broker *b, struct sub *u, enum dfb_status status, const char *why)
{
	session_send(b, u->session, &(struct dfb_proto){ .type = DFB_M_DROPPED,
	    .status = (uint16_t)status,
	    .dropped = { .sub = u->handle, .reason = dfb_str(why) } });
	sub_free(b, u, true);
}

/* ---- leaving: answered when what was acknowledged is on the disk ---- */

struct leaver {
	struct dfb_peer peer;
	uint64_t serial;
	uint32_t req;
};

static void
left(struct broker *b, void *arg)
{
	struct leaver *l = arg;
	struct session *s = session_by_serial(b, &l->peer, l->serial);

	if (s != NULL)
		session_send(b, s, &(struct dfb_proto){ .type = DFB_M_DONE, .req = l->req });
	free(l);
}

void
handle_leave(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	struct sub *u = sub_find(s, m->leave.sub);
	struct leaver *l;
	bool kept;

	if (u == NULL) {
		session_error(b, s, m->req, DFB_NOBODY, "no such subscription");
		return;
	}
	kept = u->group->kept;
	sub_free(b, u, true);
	if ((l = calloc(1, sizeof *l)) == NULL)
		fail_stop(b, "no memory to leave");
	*l = (struct leaver){ s->peer, s->serial, m->req };
	if (kept)
		commit_then(b, left, l);
	else
		left(b, l);
}
