/* Dead letters, one broker after the other: those that are left, by looking into the topic
 * that holds them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "client/admin.h"
#include "dfb-ctl/ctl.h"

#define PEEK_MAX 100000

struct place {
	struct ctl_walk *w;
	const struct ctl_broker *b;
	const json_t *ranges;    /* of letters that are left: [from, to) */
	size_t at;               /* the first range that is not behind */
	bool over;
};

/* ---- a letter ---- */

static void
text_of(const char *value, size_t n, char *text, size_t size)
{
	snprintf(text, size, "%.*s", (int)n, value);
}

static void
take_header(struct ctl_letter *l, const char *name, size_t n, const char *value, size_t len)
{
	char text[32];

#define IS(word) (n == sizeof word - 1 && memcmp(name, word, n) == 0)
	if (IS("dfb-dead-topic"))
		text_of(value, len, l->topic, sizeof l->topic);
	else if (IS("dfb-dead-group"))
		text_of(value, len, l->group, sizeof l->group);
	else if (IS("dfb-dead-reason")) {
		free(l->reason);
		l->reason = ctl_must(strndup(value, len));
	} else {
		text_of(value, len, text, sizeof text);
		if (IS("dfb-dead-queue"))
			l->queue = (uint32_t)strtoul(text, NULL, 10);
		else if (IS("dfb-dead-offset"))
			l->offset = strtoull(text, NULL, 10);
		else if (IS("dfb-dead-tries"))
			l->tries = (uint32_t)strtoul(text, NULL, 10);
		else if (IS("dfb-redriven"))
			l->redriven = (uint32_t)strtoul(text, NULL, 10);
		else if (IS("dfb-dead-time"))
			dfb_parse_when(text, &l->time_ms);
	}
#undef IS
}

static bool
is_left(struct place *p, uint64_t offset)
{
	const json_t *r;

	while ((r = json_array_get(p->ranges, p->at)) != NULL &&
	    (uint64_t)json_integer_value(json_array_get(r, 1)) <= offset)
		p->at++;
	return r != NULL && (uint64_t)json_integer_value(json_array_get(r, 0)) <= offset;
}

static void
on_letter(void *arg, const struct dfb_msg *m)
{
	struct place *p = arg;
	struct ctl_walk *w = p->w;
	struct ctl_letter l = { .broker = p->b, .msg = m };
	const char *name, *value;
	size_t at = 0, n, len;

	if (p->over || !is_left(p, m->offset))
		return;
	while (dfb_headers_next(m->headers, m->headers_len, &at, &name, &n, &value, &len))
		take_header(&l, name, n, value, len);
	if (l.reason == NULL)
		l.reason = ctl_must(strdup(""));
	if (ctl_where_met(w->c, &l)) {
		w->seen++;
		p->over = !w->letter(w, &l) || (w->c->counted && w->seen >= w->c->count);
	}
	free(l.reason);
}

/* ---- a broker ---- */

/* All letters in p->ranges.  false: over, or failed, which is reported. */
static bool
look(struct place *p, const char *topic)
{
	struct ctl *c = p->w->c;
	const json_t *last = json_array_get(p->ranges, json_array_size(p->ranges) - 1);
	const json_t *first = json_array_get(p->ranges, 0);
	uint64_t at = (uint64_t)json_integer_value(json_array_get(first, 0));
	uint64_t end = (uint64_t)json_integer_value(json_array_get(last, 1));

	while (at < end && !p->over) {
		struct dfb_admin_peek k = { .endpoint = p->b->endpoint, .topic = topic,
			.start = DFB_OFFSET, .start_value = at,
			.max_count = end - at < PEEK_MAX ? (uint32_t)(end - at) : PEEK_MAX };
		enum dfb_status st = dfb_admin_peek(c->dfb, &k, c->timeout_ms, on_letter, p);

		if (st != DFB_OK) {
			ctl_fail(c, st, "broker '%s': %s", p->b->name, dfb_error(c->dfb));
			return false;
		}
		if (!p->w->page(p->w, p->b, topic))
			p->over = true;
		if (k.count == 0)
			break;
		at = k.offset + k.count;
		if (!is_left(p, at) && p->at < json_array_size(p->ranges))
			at = (uint64_t)json_integer_value(json_array_get(
			    json_array_get(p->ranges, p->at), 0));
	}
	return !p->over;
}

/* Up to what is the end now: what dies meanwhile is not looked at. */
static bool
walk_topic(struct ctl_walk *w, const struct ctl_broker *b, const json_t *about)
{
	const char *topic = ctl_str(about, "topic");
	json_int_t at = ctl_int(about, "first"), end = ctl_int(about, "end");
	struct place p = { .w = w, .b = b };
	bool on = true;

	while (on && at < end) {
		json_t *args = ctl_must(json_pack("{s:s, s:I, s:I}", "topic", topic, "from", at,
		    "end", end));
		json_t *left = ctl_ask(w->c, b, "dlq.left", args);

		json_decref(args);
		if (left == NULL)
			break;
		p.ranges = json_object_get(left, "ranges");
		p.at = 0;
		if (json_array_size(p.ranges) == 0)
			at = end;
		else {
			on = look(&p, topic);
			at = ctl_int(left, "next");
		}
		json_decref(left);
	}
	w->last = true;
	on = w->page(w, b, topic) && !p.over;
	w->last = false;
	return on;
}

void
ctl_walk(struct ctl_walk *w)
{
	struct ctl *c = w->c;
	struct ctl_brokers b;
	json_t *args = ctl_must(json_object()), *list, *e;
	bool on = true;
	size_t k;

	if (w->group != NULL)
		json_object_set_new(args, "group", json_string(w->group));
	if (ctl_brokers_known(c, &b, NULL, c->broker) == 0) {
		for (size_t i = 0; i < b.n && on; i++) {
			if ((list = ctl_ask(c, &b.list[i], "dlq.list", args)) == NULL)
				continue;
			json_array_foreach(list, k, e)
				on = on && walk_topic(w, &b.list[i], e);
			json_decref(list);
		}
		ctl_brokers_release(&b);
	}
	json_decref(args);
}
