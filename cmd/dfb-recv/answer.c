#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/log.h"
#include "common/msgjson.h"
#include "dfb-recv/coproc.h"
#include "dfb-recv/recv.h"

#define LINE_LIMIT (64 << 20)

static void
settle(struct entry *e, const struct dfb_msgjson *answer)
{
	const char *why = dfb_msgjson_reason(answer);
	int status = dfb_msgjson_status(answer);
	char what[32], reason[REASON_MAX];
	enum dfb_nack action;

	if (e->settled)
		return;
	if (reason_action(status, &action)) {
		snprintf(what, sizeof what, "status %d", status);
		reason_of(reason, what, why != NULL ? why : "",
		    why != NULL ? strlen(why) : 0);
		dfb_consumer_nack(e->consumer, &e->delivery, action, reason);
		return;
	}
	if (e->is_call)
		dfb_consumer_reply(e->consumer, &e->delivery, DFB_OK, NULL,
		    dfb_msgjson_msg(answer));
	dfb_consumer_ack(e->consumer, &e->delivery);
}

/* 0, or -1: it is no answer to anything, why. */
static int
take_line(struct proc *p, const char *line, size_t len, char *why, size_t size)
{
	struct dfb_msgjson *answer;
	const struct dfb_id *id;
	struct entry *e;
	char text[DFB_ID_TEXT];

	if (dfb_msgjson_read(line, len, &answer, why, size) == -1)
		return -1;
	id = &dfb_msgjson_msg(answer)->id;
	if ((e = entries_find(&p->entries, id)) == NULL) {
		dfb_id_format(id, text);
		snprintf(why, size, dfb_id_is_zero(id) ? "there is no \"id\"" :
		    "\"id\" is %s, which it does not hold", text);
		dfb_msgjson_free(answer);
		return -1;
	}
	settle(e, answer);
	entries_remove(&p->entries, e);
	dfb_msgjson_free(answer);
	p->failures = 0;
	return 0;
}

void
proc_answers(struct proc *p, bool last)
{
	struct dfb_buf *out = &p->child.out;
	size_t at = 0;
	char why[160], text[240];

	if (last)
		p->scanned = 0;
	while (p->why[0] == '\0') {
		const char *line = (char *)out->data + at, *end;
		if (p->scanned == out->len)
			break;
		end = memchr(out->data + p->scanned, '\n', out->len - p->scanned);
		if (end == NULL && !last) {
			p->scanned = out->len;
			break;
		}
		if (end == NULL)
			end = (char *)out->data + out->len;
		if (take_line(p, line, (size_t)(end - line), why, sizeof why) == -1) {
			snprintf(text, sizeof text, "wrote a line that is no answer: %s",
			    why);
			proc_condemn(p, SIGKILL, text);
		}
		at = (size_t)(end - (char *)out->data);
		at += at < out->len;
		p->scanned = at;
	}
	if (out->len - at > LINE_LIMIT)
		proc_condemn(p, SIGKILL, "wrote a line longer than 64 MiB");
	if (p->why[0] != '\0')
		at = out->len;
	dfb_buf_consume(out, at);
	p->scanned = p->scanned > at ? p->scanned - at : 0;
}
