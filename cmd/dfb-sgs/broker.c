/* The session with a broker: what it has, what it is asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/log.h"
#include "client/conn.h"
#include "dfb-sgs/sgs.h"
#include "wire/proto.h"

#define RETRY_MS 500
#define STRANGER_MS 1000
#define REQ_GOVERNED 1 /* others are above */

int
topic_cmp(struct topic *a, struct topic *b)
{
	return strcmp(a->name, b->name);
}

RB_GENERATE(topics, topic, node, topic_cmp)

/* ---- topics ---- */

struct topic *
broker_topic(struct broker *b, const char *name)
{
	struct topic key;

	snprintf(key.name, sizeof key.name, "%s", name);
	return RB_FIND(topics, &b->topics, &key);
}

static struct topic *
make(struct broker *b, const char *name)
{
	struct topic *t = broker_topic(b, name);

	if (t == NULL && (t = calloc(1, sizeof *t)) != NULL) {
		snprintf(t->name, sizeof t->name, "%s", name);
		RB_INSERT(topics, &b->topics, t);
	}
	return t;
}

static void
forget(struct broker *b)
{
	struct topic *t;

	while ((t = RB_MIN(topics, &b->topics)) != NULL) {
		RB_REMOVE(topics, &b->topics, t);
		json_decref(t->left);
		free(t);
	}
	TAILQ_INIT(&b->waiting);
	b->known = false;
	b->asked_ms = 0;
}

static struct topic *
answered(struct broker *b, uint32_t req)
{
	struct topic *t;

	TAILQ_FOREACH(t, &b->waiting, waits)
		if (t->req == req) {
			TAILQ_REMOVE(&b->waiting, t, waits);
			t->req = 0;
			return t;
		}
	return NULL;
}

/* ---- requests ---- */

static int
ask(struct broker *b, const char *verb, const json_t *args, uint32_t req)
{
	char *text = json_dumps(args, JSON_COMPACT);
	int rc;

	if (text == NULL)
		return -1;
	rc = dfb_conn_send(b->conn, &(struct dfb_proto){ .type = DFB_M_ADMIN, .req = req,
	    .admin = { .verb = dfb_str(verb), .args = { (uint8_t *)text, strlen(text) } } });
	free(text);
	return rc;
}

/* Ask for a change of a topic; what cannot be sent now is tried again. */
static void
ask_topic(struct broker *b, struct topic *t, const char *verb, const json_t *args)
{
	if (++b->req <= REQ_GOVERNED)
		b->req = REQ_GOVERNED + 1;
	if (ask(b, verb, args, b->req) == -1)
		return;
	t->req = b->req;
	t->sent_ms = dfb_mono_ms();
	TAILQ_INSERT_TAIL(&b->waiting, t, waits);
}

static bool
can_ask(struct broker *b, const struct topic *t)
{
	return b->known && dfb_conn_is_up(b->conn) && t->req == 0;
}

void
broker_apply(struct broker *b, const char *name, json_t *args, uint64_t hash)
{
	struct topic *t = make(b, name);

	if (t != NULL && can_ask(b, t) && (t->applied != hash || !t->governed) &&
	    (t->sent != hash || dfb_mono_ms() >= t->retry_ms)) {
		t->sent = hash;
		t->retiring = false;
		ask_topic(b, t, "topic.apply", args);
	}
}

void
broker_retire(struct broker *b, struct topic *t)
{
	json_t *args;

	if (!can_ask(b, t) || (t->retiring && dfb_mono_ms() < t->retry_ms))
		return;
	t->retiring = true;
	if ((args = json_pack("{s:s}", "topic", t->name)) != NULL)
		ask_topic(b, t, "topic.retire", args);
	json_decref(args);
}

/* ---- answers ---- */

static void
applied(struct topic *t)
{
	t->governed = true;
	t->applied = t->sent;
	t->status = 0;
	t->why[0] = '\0';
	json_decref(t->left);
	t->left = NULL;
}

static void
gone(struct topic *t)
{
	t->governed = t->retiring = false;
	t->applied = t->sent = t->scheduled = 0;
	t->status = 0;
	t->why[0] = '\0';
	json_decref(t->left);
	t->left = NULL;
}

static void
retired(struct topic *t, json_t *answer)
{
	if (json_is_true(json_object_get(answer, "gone"))) {
		gone(t);
		return;
	}
	json_decref(t->left);
	t->left = json_incref(json_object_get(answer, "left"));
	t->scheduled = (uint64_t)json_integer_value(json_object_get(answer, "scheduled"));
	t->status = 0;
	t->retry_ms = dfb_mono_ms() + RETRY_MS;
}

static void
governed(struct broker *b, json_t *list)
{
	json_t *e;
	size_t i;

	json_array_foreach(list, i, e) {
		const char *name = json_string_value(json_object_get(e, "topic"));
		struct topic *t = name != NULL && dfb_word_kind(name) == DFB_WORD_TOPIC &&
		    strlen(name) < DFB_TOPIC_MAX ? make(b, name) : NULL;
		if (t == NULL)
			continue;
		t->governed = true;
		if (book_row(&b->g->book, BOOK_SERVICE, t->name + 4) == NULL)
			log_event(DFB_LOG_WARN, "stray", "broker=%s topic=%s msg=%s", b->name,
			    t->name, dfb_log_quote("a governed topic of no service that is known "
			    "here: it is left alone"));
	}
	b->known = true;
	b->why[0] = '\0';
	govern_mark_all(b->g);
}

static void
result(struct broker *b, const struct dfb_proto *m)
{
	json_t *j = json_loadb((const char *)m->result.json.p, m->result.json.len, 0, NULL);
	struct topic *t;

	if (m->req == REQ_GOVERNED)
		governed(b, j);
	else if ((t = answered(b, m->req)) != NULL) {
		if (t->retiring)
			retired(t, j);
		else
			applied(t);
		govern_mark_topic(b->g, t->name);
	}
	json_decref(j);
}

static void
refused(struct broker *b, const struct dfb_proto *m)
{
	struct topic *t;

	if (m->req == REQ_GOVERNED) {
		dfb_str_copy(m->error.reason, b->why, sizeof b->why);
		return;
	}
	if ((t = answered(b, m->req)) == NULL)
		return;
	if (t->retiring && m->status == DFB_NOBODY)
		gone(t);
	else {
		dfb_str_copy(m->error.reason, t->why, sizeof t->why);
		if (t->status != m->status)
			log_event(DFB_LOG_WARN, "broker-refused", "broker=%s topic=%s status=%u "
			    "why=%s", b->name, t->name, m->status, dfb_log_quote(t->why));
		t->status = m->status;
		t->retry_ms = dfb_mono_ms() + RETRY_MS;
		/* It may be closed no more. */
		if (t->retiring)
			t->applied = 0;
	}
	govern_mark_topic(b->g, t->name);
}

static void
frame(void *arg, const struct dfb_proto *m)
{
	struct broker *b = arg;

	if (m->type == DFB_M_WELCOME && !dfb_str_is(m->welcome.name, b->name))
		dfb_conn_drop(b->conn, "another daemon is at its endpoint", STRANGER_MS);
	else if (m->type == DFB_M_RESULT)
		result(b, m);
	else if (m->type == DFB_M_ERROR)
		refused(b, m);
}

/* ---- begin and end ---- */

static void
up(void *arg)
{
	struct broker *b = arg;
	json_t *none = json_object();

	forget(b);
	b->asked_ms = dfb_mono_ms();
	ask(b, "topic.governed", none, REQ_GOVERNED);
	json_decref(none);
}

static void
down(void *arg, const char *why)
{
	struct broker *b = arg;

	log_event(DFB_LOG_WARN, "broker-lost", "broker=%s region=%s why=%s", b->name, b->region,
	    dfb_log_quote(why));
	forget(b);
	govern_mark_all(b->g);
}

int
broker_connect(struct broker *b)
{
	b->conn = dfb_conn_new(&(struct dfb_conn_config){ .net = b->g->net,
	    .loop = b->g->loop, .endpoint = b->endpoint, .role = "sgs",
	    .who = b->g->name, .up = up, .down = down, .frame = frame, .arg = b });
	if (b->conn == NULL)
		log_err("cannot connect to broker '%s' at '%s'", b->name, b->endpoint);
	return b->conn != NULL ? 0 : -1;
}

void
broker_disconnect(struct broker *b)
{
	dfb_conn_free(b->conn, 0);
	b->conn = NULL;
	forget(b);
}
