/* ADMIN verbs about scheduled messages.  They read the store, and answer later. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/endian.h>

#include <jansson.h>

#include "base/parse.h"
#include "base/utf8.h"
#include "admin.h"
#include "broker.h"
#include "wire/record.h"

#define LIST_MAX 1000
#define EXAMINE_MAX 50000 /* rows of other topics are passed over, but not for ever */
#define KEY_TEXT (2 * TIMER_KEY + 1)
#define SAME_MAX 1000     /* messages with one id */

static struct topic *
named(struct broker *b, const struct asker *q, json_t *args)
{
	const char *name = json_string_value(json_object_get(args, "topic"));
	struct topic *t = name != NULL && strlen(name) < DFB_TOPIC_MAX ?
	    topic_by_name(b, name) : NULL;
	char why[256];

	if (t == NULL) {
		snprintf(why, sizeof why, "no topic '%.130s' on broker %s",
		    name != NULL ? name : "", b->cf.name);
		admin_fail(b, q, DFB_NOBODY, why);
	}
	return t;
}

/* ---- list ---- */

struct list {
	struct timer_read read;
	struct asker asked;
	uint32_t topic;
	size_t n, max, examined;
	struct timer_key last; /* that was examined */
	struct timer_list found;
};

static int
list_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct list *l = arg;
	struct timer_key k;
	struct timer *t;

	if (l->n == l->max || l->examined++ == EXAMINE_MAX)
		return 1;
	if (timer_key_read(key, klen, &k) == -1 || vlen < 5)
		return -1;
	l->last = k;
	if (be32dec((const uint8_t *)val + 1) != l->topic)
		return 0;
	if ((t = timer_from_row(&k, val, vlen)) == NULL)
		return -1;
	STAILQ_INSERT_TAIL(&l->found, t, fresh_link);
	l->n++;
	return 0;
}

static json_t *
describe(struct broker *b, const struct topic *topic, const struct timer *t)
{
	const uint8_t *p = t->rec;
	char id[DFB_ID_TEXT];
	struct dfb_record r;
	json_t *j;

	(void)dfb_record_next(&p, t->rec + t->len, &r);
	dfb_id_format(&r.id, id);
	j = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "topic", topic->name, "broker",
	    b->cf.name, "id", id, "due", (json_int_t)t->key.due, "born",
	    (json_int_t)r.born, "bytes", (json_int_t)r.body_len);
	if (r.expires != 0)
		json_object_set_new(j, "expires", json_integer((json_int_t)r.expires));
	if (r.key_len != 0 && dfb_utf8_valid(r.key, r.key_len))
		json_object_set_new(j, "key", json_stringn((const char *)r.key, r.key_len));
	return j;
}

static bool
is_gone(struct broker *b, struct timer *t)
{
	return RB_FIND(timer_tree, &b->timers.gone, t) != NULL;
}

static void
listed(struct broker *b, struct timer_read *r)
{
	struct list *l = (struct list *)r;
	struct topic *topic = topic_by_id(b, l->topic);
	json_t *rows = json_array(), *result;
	uint8_t key[TIMER_KEY];
	char next[KEY_TEXT] = "";
	struct timer *t;

	while ((t = STAILQ_FIRST(&l->found)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->found, fresh_link);
		if (topic != NULL && !is_gone(b, t))
			json_array_append_new(rows, describe(b, topic, t));
		free(t);
	}
	timer_key_write(key, &l->last);
	for (size_t i = 0; r->rc != 0 && i < sizeof key; i++)
		snprintf(next + 2 * i, 3, "%02x", key[i]);
	result = json_pack("{s:s, s:I, s:o, s:s}", "broker", b->cf.name, "scheduled",
	    (json_int_t)(topic != NULL ? topic->scheduled : 0), "timers", rows, "next", next);
	admin_answer_now(b, &l->asked, result);
	free(l);
}

/* Where the last answer ended; behind it.  0, or -1. */
static int
from_text(struct timer_read *r, const char *text)
{
	r->from_len = 0;
	if (text == NULL || *text == '\0')
		return 0;
	if (strlen(text) != KEY_TEXT - 1 || strspn(text, "0123456789abcdef") != KEY_TEXT - 1)
		return -1;
	for (; r->from_len < TIMER_KEY; text += 2) {
		unsigned byte = 0;
		sscanf(text, "%2x", &byte);
		r->from[r->from_len++] = (uint8_t)byte;
	}
	r->from[r->from_len++] = 0;
	return 0;
}

void
admin_timer_list(struct broker *b, const struct asker *q, json_t *args)
{
	struct topic *t = named(b, q, args);
	json_int_t limit = json_integer_value(json_object_get(args, "limit"));
	const char *from = json_string_value(json_object_get(args, "from"));
	struct list *l;

	if (t == NULL)
		return;
	if ((l = calloc(1, sizeof *l)) == NULL) {
		admin_fail(b, q, DFB_AGAIN, "the broker is out of memory");
		return;
	}
	l->read = (struct timer_read){ .table = T_TIMERS, .row = list_row, .got = listed };
	l->asked = *q;
	l->topic = t->id;
	l->max = limit > 0 && limit < LIST_MAX ? (size_t)limit : LIST_MAX;
	STAILQ_INIT(&l->found);
	if (from_text(&l->read, from) == -1) {
		admin_fail(b, q, DFB_BADINPUT, "'from' is no place of a list");
		free(l);
		return;
	}
	timer_read(b, &l->read);
}

/* ---- cancel ---- */

struct cancel {
	struct timer_read read;
	struct asker asked;
	uint32_t topic;
	struct dfb_id id;
	size_t n;
	struct timer_key keys[SAME_MAX];
};

static int
cancel_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct cancel *c = arg;
	struct timer_key k;
	struct dfb_id id;
	uint32_t topic;

	if (timer_id_key_read(key, klen, &topic, &id, &k.number) == -1 ||
	    timer_id_row_read(val, vlen, &k.due) == -1)
		return -1;
	if (topic != c->topic || memcmp(&id, &c->id, sizeof id) != 0 || c->n == SAME_MAX)
		return 1;
	c->keys[c->n++] = k;
	return 0;
}

/* What became of it, as far as is known. */
static void
explain(struct broker *b, const struct cancel *c, char *why, size_t size)
{
	struct timers *ts = &b->timers;
	char id[DFB_ID_TEXT], when[25];

	dfb_id_format(&c->id, id);
	for (unsigned i = 1; i <= FIRED_MAX && i <= ts->next_fired; i++) {
		const struct fired *f = &ts->fired[(ts->next_fired - i) % FIRED_MAX];
		if (f->topic != c->topic || memcmp(&f->id, &c->id, sizeof c->id) != 0)
			continue;
		dfb_format_when(f->wall, when);
		if (f->expired)
			snprintf(why, size, "message '%s' expired at %s", id, when);
		else
			snprintf(why, size, "message '%s' was delivered at %s: queue %u "
			    "offset %llu", id, when, f->queue,
			    (unsigned long long)f->offset);
		return;
	}
	snprintf(why, size, "message '%s' is not scheduled: it was delivered or cancelled "
	    "before, or never there", id);
}

/* Those that a read which began earlier has not seen. */
static unsigned
cancel_fresh(struct broker *b, struct topic *topic, const struct dfb_id *id)
{
	struct timer *t;
	unsigned n = 0;

	STAILQ_FOREACH(t, &b->timers.fresh, fresh_link)
		if (!t->gone && t->topic == topic->id &&
		    memcmp(t->rec + 5, id->b, sizeof id->b) == 0)
			n += timer_cancel(b, topic, &t->key, id);
	return n;
}

static void
found(struct broker *b, struct timer_read *r)
{
	struct cancel *c = (struct cancel *)r;
	struct topic *topic = topic_by_id(b, c->topic);
	char why[256] = "the topic was deleted", id[DFB_ID_TEXT];
	unsigned n = 0;

	for (size_t i = 0; topic != NULL && i < c->n; i++)
		n += timer_cancel(b, topic, &c->keys[i], &c->id);
	if (topic != NULL)
		n += cancel_fresh(b, topic, &c->id);
	if (topic != NULL && n == 0)
		explain(b, c, why, sizeof why);
	dfb_id_format(&c->id, id);
	if (n == 0)
		admin_fail(b, &c->asked, topic != NULL ? DFB_NO : DFB_NOBODY, why);
	else
		admin_answer(b, &c->asked, json_pack("{s:s, s:s, s:s, s:i}", "topic",
		    topic->name, "broker", b->cf.name, "id", id, "cancelled", (int)n));
	free(c);
}

void
admin_timer_cancel(struct broker *b, const struct asker *q, json_t *args)
{
	const char *text = json_string_value(json_object_get(args, "id"));
	struct topic *t = named(b, q, args);
	struct cancel *c;

	if (t == NULL)
		return;
	if ((c = calloc(1, sizeof *c)) == NULL) {
		admin_fail(b, q, DFB_AGAIN, "the broker is out of memory");
		return;
	}
	if (text == NULL || dfb_id_parse(text, &c->id) == -1) {
		admin_fail(b, q, DFB_BADINPUT, "'id' is no message's id");
		free(c);
		return;
	}
	c->asked = *q;
	c->topic = t->id;
	c->read = (struct timer_read){ .table = T_TIMER_IDS, .row = cancel_row, .got = found,
		.from_len = 20 };
	be32enc(c->read.from, t->id);
	memcpy(c->read.from + 4, c->id.b, sizeof c->id.b);
	timer_read(b, &c->read);
}
