/* Conditions on dead letters: --where FIELD=VALUE, ~ (contains), < and >. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "dfb-ctl/ctl.h"

enum field { F_TOPIC, F_GROUP, F_KEY, F_ID, F_REASON, F_HEADER, /* numbers: */ F_QUEUE,
	F_OFFSET, F_TRIES, F_REDRIVEN, F_TIME };

static const struct {
	const char *name;
	enum field field;
} fields[] = {
	{ "topic", F_TOPIC }, { "group", F_GROUP }, { "queue", F_QUEUE },
	{ "offset", F_OFFSET }, { "key", F_KEY }, { "id", F_ID }, { "reason", F_REASON },
	{ "tries", F_TRIES }, { "redriven", F_REDRIVEN }, { "time", F_TIME },
};

struct ctl_term {
	enum field field;
	char op;
	const char *header;      /* not NUL-terminated */
	size_t header_len;
	const char *value;
	uint64_t number;
};

static void
bad_field(struct ctl *c, const char *text, size_t n)
{
	dfb_usage(&c->opts, "--where knows no '%.*s': topic, group, queue, offset, key, id, "
	    "reason, header.NAME, tries, redriven or time, then one of = ~ < > and a value",
	    (int)n, text);
}

static void
number(struct ctl *c, struct ctl_term *t, const char *name)
{
	if (t->op == '~')
		dfb_usage(&c->opts, "--where: '%s' takes =, < or >", name);
	if (t->field == F_TIME) {
		if (t->op == '=')
			dfb_usage(&c->opts, "--where: 'time' takes < or >");
		if (dfb_parse_when(t->value, &t->number) == -1)
			dfb_usage(&c->opts, "--where: '%s' is no time like "
			    "2026-01-31T12:00:00Z, @1767225600 or -5m", t->value);
	} else if (dfb_parse_count(t->value, 0, INT64_MAX, &t->number) == -1)
		dfb_usage(&c->opts, "--where: '%s' is no number", t->value);
}

void
ctl_where(struct ctl *c, const char *text)
{
	size_t n = strcspn(text, "=~<>"), i = 0;
	struct ctl_term *t;

	if (n == 0 || text[n] == '\0')
		bad_field(c, text, n);
	c->where = ctl_must(reallocarray(c->where, c->nwhere + 1, sizeof *c->where));
	t = &c->where[c->nwhere++];
	*t = (struct ctl_term){ .op = text[n], .value = text + n + 1 };
	if (n > 7 && strncmp(text, "header.", 7) == 0) {
		t->field = F_HEADER;
		t->header = text + 7;
		t->header_len = n - 7;
	} else {
		while (i < sizeof fields / sizeof *fields && (strlen(fields[i].name) != n ||
		    strncmp(fields[i].name, text, n) != 0))
			i++;
		if (i == sizeof fields / sizeof *fields)
			bad_field(c, text, n);
		t->field = fields[i].field;
	}
	if (t->field >= F_QUEUE)
		number(c, t, fields[i].name);
	else if (t->op == '<' || t->op == '>')
		dfb_usage(&c->opts, "--where: '%.*s' takes = or ~", (int)n, text);
}

/* ---- is it met ---- */

static bool
text_met(const struct ctl_term *t, const void *p, size_t n)
{
	size_t len = strlen(t->value);

	if (t->op == '=')
		return n == len && (n == 0 || memcmp(p, t->value, n) == 0);
	return len == 0 || (n != 0 && memmem(p, n, t->value, len) != NULL);
}

static bool
number_met(const struct ctl_term *t, uint64_t n)
{
	return t->op == '<' ? n < t->number : t->op == '>' ? n > t->number : n == t->number;
}

/* Of several with the same name one must meet it. */
static bool
header_met(const struct ctl_term *t, const struct dfb_msg *m)
{
	const char *name, *value;
	size_t at = 0, n, len;

	while (dfb_headers_next(m->headers, m->headers_len, &at, &name, &n, &value, &len))
		if (n == t->header_len && memcmp(name, t->header, n) == 0 &&
		    text_met(t, value, len))
			return true;
	return false;
}

static bool
met(const struct ctl_term *t, const struct ctl_letter *l)
{
	char id[DFB_ID_TEXT];

	switch (t->field) {
	case F_TOPIC: return text_met(t, l->topic, strlen(l->topic));
	case F_GROUP: return text_met(t, l->group, strlen(l->group));
	case F_REASON: return text_met(t, l->reason, strlen(l->reason));
	case F_KEY: return text_met(t, l->msg->key, l->msg->key_len);
	case F_HEADER: return header_met(t, l->msg);
	case F_QUEUE: return number_met(t, l->queue);
	case F_OFFSET: return number_met(t, l->offset);
	case F_TRIES: return number_met(t, l->tries);
	case F_REDRIVEN: return number_met(t, l->redriven);
	case F_TIME: return number_met(t, l->time_ms);
	case F_ID:
		dfb_id_format(&l->msg->id, id);
		return text_met(t, id, strlen(id));
	}
	return false;
}

bool
ctl_where_met(const struct ctl *c, const struct ctl_letter *l)
{
	for (unsigned i = 0; i < c->nwhere; i++)
		if (!met(&c->where[i], l))
			return false;
	return true;
}
