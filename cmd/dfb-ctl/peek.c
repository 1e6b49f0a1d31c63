/* Messages as they lie in the queues, without a group. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "client/admin.h"
#include "common/format.h"
#include "common/framing.h"
#include "dfb-ctl/ctl.h"

#define ASK_MAX 100000
/* Clocks differ, and a message may be older than when it was stored. */
#define MARGIN_MS 60000

enum { OPT_QUEUE = CTL_LETTER_OWN, OPT_OFFSET, OPT_TIME, OPT_ID, OPT_BROKER };

static const struct dfb_opt table[] = {
	{ OPT_QUEUE, "queue", "N", "only this queue" },
	{ OPT_OFFSET, "offset", "N", "from this offset" },
	{ OPT_TIME, "time", "TIME", "from what was stored then, like -5m" },
	{ OPT_ID, "id", "UUID", "the message with this id" },
	{ 'c', "count", "N", "messages at most (10)" },
	{ 'f', "format", "FORMAT", "print so: %t %q %o %k %s %h %T %i %p, as dfb-recv does" },
	{ 'r', "raw", NULL, "print bodies, and nothing else" },
	{ OPT_BROKER, "broker", "NAME", "only on this broker" },
	CTL_OPTIONS,
};

struct look {
	struct ctl *c;
	const char *broker;
	struct dfb_buf buf;
	uint64_t left, printed;
};

static void
option(struct ctl *c, int letter)
{
	const struct dfb_opts *o = &c->opts;
	const char *arg = o->arg;
	char why[160];

	switch (letter) {
	case OPT_QUEUE: c->queue = (int)dfb_opt_count(o, 0, 1022); break;
	case OPT_OFFSET: ctl_offset(c, "--offset", arg); break;
	case OPT_TIME: ctl_time(c, "--time", arg); break;
	case OPT_BROKER: c->broker = arg; break;
	case 'c': c->count = dfb_opt_count(o, 1, UINT64_MAX); break;
	case 'r': c->raw = true; break;
	case OPT_ID:
		if (dfb_id_of(arg, &c->id) == -1)
			dfb_usage(o, "--id takes a UUID, or a name of 1 to %d bytes",
			    DFB_ID_NAME_MAX);
		c->by_id = true;
		break;
	case 'f':
		if (c->format == NULL &&
		    (c->format = dfb_format_new(arg, why, sizeof why)) == NULL)
			dfb_usage(o, "-f: %s", why);
		break;
	}
}

/* ---- one message ---- */

static bool
readable(const uint8_t *p, size_t n)
{
	if (!dfb_utf8_valid(p, n))
		return false;
	for (; n != 0; n--, p++)
		if ((*p < ' ' && *p != '\n' && *p != '\t' && *p != '\r') || *p == 0x7f)
			return false;
	return true;
}

static int
add_name(struct dfb_buf *b, const char *label, const void *p, size_t n)
{
	return readable(p, n) ? dfb_buf_addf(b, "  %s=%.*s", label, (int)n,
	    (const char *)p) : dfb_buf_addf(b, "  %s=(%zu bytes)", label, n);
}

/* A line about it, then the body. */
static int
view(struct look *l, const struct dfb_msg *m)
{
	char id[DFB_ID_TEXT], when[25];
	const char *name, *value;
	size_t at = 0, name_len, value_len;
	struct dfb_buf *b = &l->buf;
	int rc;

	dfb_id_format(&m->id, id);
	rc = dfb_buf_addf(b, "%s  %s %u:%llu  %s  %s", m->topic, l->broker, m->queue,
	    (unsigned long long)m->offset, dfb_format_when(m->born_ms, when), id);
	if (rc == 0 && m->expires_ms != 0)
		rc = dfb_buf_addf(b, "  expires=%s", dfb_format_when(m->expires_ms, when));
	if (rc == 0 && m->due_ms != 0)
		rc = dfb_buf_addf(b, "  due=%s", dfb_format_when(m->due_ms, when));
	if (rc == 0 && m->is_call)
		rc = dfb_buf_addf(b, "  call");
	if (rc == 0 && m->possible_duplicate)
		rc = dfb_buf_addf(b, "  possible duplicate");
	if (rc == 0 && m->key_len != 0)
		rc = add_name(b, "key", m->key, m->key_len);
	while (rc == 0 && dfb_headers_next(m->headers, m->headers_len, &at, &name, &name_len,
	    &value, &value_len)) {
		char label[80];
		snprintf(label, sizeof label, "%.*s", (int)name_len, name);
		rc = add_name(b, label, value, value_len);
	}
	if (rc == 0)
		rc = dfb_buf_add(b, "\n", 1);
	if (rc == 0 && !readable(m->body, m->body_len))
		return dfb_buf_addf(b, "(%zu bytes that are no text: -r or -J shows them)\n",
		    m->body_len);
	return rc == 0 ? dfb_framing_write(b, DFB_FRAMING_LINES, m) : rc;
}

static void
on_message(void *arg, const struct dfb_msg *m)
{
	struct look *l = arg;
	struct ctl *c = l->c;
	int rc;

	if (l->left == 0 || (c->by_id && memcmp(&m->id, &c->id, sizeof m->id) != 0))
		return;
	if (c->json)
		rc = dfb_framing_write(&l->buf, DFB_FRAMING_JSON, m);
	else if (c->format != NULL)
		rc = dfb_format_write(c->format, &l->buf, m);
	else if (c->raw)
		rc = dfb_framing_write(&l->buf, DFB_FRAMING_RAW, m);
	else
		rc = view(l, m);
	if (rc == -1)
		ctl_must(NULL);
	l->printed++;
	l->left--;
}

/* ---- queues ---- */

/* From the start to what was the end at the first look.  The number of queues; 0 when it
 * failed, reported. */
static uint32_t
look_into(struct look *l, const struct ctl_broker *b, const char *topic, uint32_t queue)
{
	struct ctl *c = l->c;
	struct dfb_admin_peek p = { .endpoint = b->endpoint, .topic = topic, .queue = queue,
		.start = c->start, .start_value = c->start_value };
	uint64_t end = UINT64_MAX;
	enum dfb_status st;

	do {
		p.max_count = !c->by_id && l->left < ASK_MAX ? (uint32_t)l->left : ASK_MAX;
		st = dfb_admin_peek(c->dfb, &p, c->timeout_ms, on_message, l);
		if (st != DFB_OK) {
			ctl_fail(c, st, "broker '%s': %s", b->name, dfb_error(c->dfb));
			return 0;
		}
		if (dfb_tool_write(STDOUT_FILENO, &l->buf) == -1) {
			log_err("cannot write");
			exit(DFB_IOERR);
		}
		if (end == UINT64_MAX)
			end = p.end;
		p.start = DFB_OFFSET;
		p.start_value = p.offset + p.count;
	} while (p.count != 0 && p.start_value < end && l->left != 0);
	return p.queues;
}

static void
look_at(struct look *l, const struct ctl_brokers *b, const char *topic)
{
	struct ctl *c = l->c;

	for (size_t i = 0; i < b->n && l->left != 0; i++) {
		uint32_t q = c->queue >= 0 ? (uint32_t)c->queue : 0, n;
		l->broker = b->list[i].name;
		do
			n = look_into(l, &b->list[i], topic, q++);
		while (c->queue < 0 && q < n && l->left != 0);
	}
}

static void
peek(struct ctl *c)
{
	struct look l = { .c = c, .left = c->by_id ? 1 : c->count };
	uint64_t made = dfb_id_time(&c->id);
	char topic[DFB_TOPIC_MAX], id[DFB_ID_TEXT];
	struct ctl_brokers b;

	if (c->json + c->raw + (c->format != NULL) > 1)
		dfb_usage(&c->opts, "give one of -f, -J and -r");
	if (c->by_id && c->placed)
		dfb_usage(&c->opts, "give --id, or where to start");
	ctl_topic(c, c->args[0], topic);
	if (ctl_brokers_of(c, &b, topic) == -1)
		return;
	if (c->by_id && made > MARGIN_MS) {
		c->start = DFB_TIME;
		c->start_value = made - MARGIN_MS;
	}
	look_at(&l, &b, topic);
	if (l.printed == 0 && c->start == DFB_TIME && c->by_id) {
		/* Its clock may have been ahead. */
		c->start = DFB_BEGINNING;
		look_at(&l, &b, topic);
	}
	if (l.printed == 0 && c->by_id)
		ctl_fail(c, DFB_NO, "no message '%s' in '%s'", (dfb_id_format(&c->id, id), id),
		    topic);
	else if (l.printed == 0 && c->status == DFB_OK)
		ctl_fail(c, DFB_NO, "no message there in '%s'", topic);
	dfb_buf_release(&l.buf);
	ctl_brokers_release(&b);
}

const struct ctl_verb ctl_peek_verbs[] = {
	{ "peek", NULL, "peek [options] TOPIC",
	    "Print messages that lie in a topic's queues, one queue after the other, and take\n"
	    "none.  --json prints a line of JSON for each.", table, option, 1, 1, peek },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
