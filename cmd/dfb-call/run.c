#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "common/msgjson.h"
#include "common/tool.h"
#include "dfb-call/call.h"

#define OUT_ENOUGH (64u << 10) /* bytes that are written at once */
#define KEEP_MAX (64u << 10)   /* a slot's buffer that is kept for the next reply */

struct slot {
	struct call *call;
	bool done;
	size_t file;
	uint64_t number;         /* where the request stands in the input */
	enum dfb_status status;
	struct dfb_buf out;      /* the reply, framed; or the reason */
};

/* ---- answers ---- */

static void
settle(struct slot *s, enum dfb_status st, const char *why)
{
	s->done = true;
	s->status = st;
	s->out.len = 0;
	if (why == NULL || *why == '\0')
		why = dfb_status_text(st);
	if (st != DFB_OK && dfb_buf_add(&s->out, why, strlen(why) + 1) == -1)
		s->status = DFB_OSERR;
}

static void
on_answer(void *arg, enum dfb_status st, const char *why, const struct dfb_msg *reply)
{
	struct slot *s = arg;

	settle(s, st, why);
	if (st == DFB_OK && dfb_framing_write(&s->out, s->call->framing, reply) == -1)
		settle(s, DFB_OSERR, strerror(errno));
}

/* In place of a reply there is an empty one, so that the n-th reply belongs to the
 * n-th request; JSON has words for it. */
static int
write_failure(const struct call *c, struct dfb_buf *out, enum dfb_status st,
    const char *why)
{
	struct dfb_msg none = {0};
	json_t *j;
	char *text;
	int rc;

	if (c->framing != DFB_FRAMING_JSON)
		return dfb_framing_write(out, c->framing, &none);
	if ((j = json_pack("{s:i,s:s}", "status", (int)st, "reason", why)) == NULL)
		j = json_pack("{s:i,s:s}", "status", (int)st, "reason",
		    dfb_status_text(st));
	if ((text = json_dumps(j, JSON_COMPACT)) == NULL)
		return -1;
	rc = dfb_buf_addf(out, "%s\n", text);
	free(text);
	json_decref(j);
	return rc;
}

/* Move what is answered, up to the first call that is not, to the output. */
static int
collect(struct call *c, struct dfb_buf *out)
{
	int rc = 0;

	for (; rc == 0 && c->head != c->tail; c->head++) {
		struct slot *s = &c->slots[c->head % c->window];
		if (!s->done)
			break;
		if (s->status == DFB_OK)
			rc = dfb_buf_add(out, s->out.data, s->out.len);
		else {
			const char *why = s->out.len != 0 ? (char *)s->out.data : "";
			dfb_report_at(&c->report, s->file, s->number, s->status, why);
			rc = write_failure(c, out, s->status, why);
		}
		if (s->out.cap > KEEP_MAX)
			dfb_buf_release(&s->out);
	}
	return rc;
}

/* ---- requests ---- */

static struct slot *
next_slot(struct call *c)
{
	struct slot *s = &c->slots[c->tail++ % c->window];

	s->call = c;
	s->done = false;
	s->file = c->in.file;
	s->number = c->framing == DFB_FRAMING_RAW ? DFB_REPORT_WHOLE :
	    c->in.frames.number;
	return s;
}

static void
start(struct call *c, struct dfb_msg *m)
{
	struct slot *s = next_slot(c);
	enum dfb_status st;

	if (c->one && c->tail > 1)
		settle(s, DFB_BADINPUT, "a second request, but -i is the id of one");
	else if (dfb_msgopt_complete(&c->options, m) == -1)
		settle(s, errno == E2BIG ? DFB_BADINPUT : DFB_OSERR,
		    errno == E2BIG ? "too many headers" : strerror(errno));
	else if ((st = (c->one ? dfb_caller_start_once : dfb_caller_start)(c->caller, m,
	    c->timeout_ms, on_answer, s)) != DFB_OK)
		settle(s, st, dfb_error(c->dfb));
}

/* In place of a request. */
static void
fetch(struct call *c)
{
	struct slot *s = next_slot(c);
	enum dfb_status st;

	s->number = DFB_REPORT_WHOLE;
	if ((st = dfb_caller_collect(c->caller, &c->collect, c->timeout_ms, on_answer, s)) !=
	    DFB_OK)
		settle(s, st, dfb_error(c->dfb));
}

static void
take(struct call *c, const uint8_t *p, size_t len)
{
	struct dfb_msg m = { .body = p, .body_len = len };
	struct dfb_msgjson *j;
	char why[256];

	if (c->framing != DFB_FRAMING_JSON)
		start(c, &m);
	else if (dfb_msgjson_read((const char *)p, len, &j, why, sizeof why) == -1)
		settle(next_slot(c), DFB_BADINPUT, why);
	else {
		m = *dfb_msgjson_msg(j);
		start(c, &m);
		dfb_msgjson_free(j);
	}
}

/* ---- both ---- */

static int
print(struct dfb_buf *out, enum dfb_status *st)
{
	if (dfb_tool_write(STDOUT_FILENO, out) == 0)
		return 0;
	log_err("cannot write to stdout");
	*st = DFB_IOERR;
	return -1;
}

static int
sleep_on(struct call *c, struct dfb_buf *out, int timeout_ms, enum dfb_status *st)
{
	if (print(out, st) == -1)
		return -1;
	if (dfb_wait(c->dfb, timeout_ms) != DFB_OSERR)
		return 0;
	log_errx("%s", dfb_error(c->dfb));
	*st = DFB_OSERR;
	return -1;
}

static int
loop(struct call *c, struct dfb_buf *out, enum dfb_status *st)
{
	bool ended = false;
	const uint8_t *p;
	size_t len;

	for (;;) {
		if (collect(c, out) == -1) {
			log_err("cannot print a reply");
			*st = DFB_OSERR;
			return -1;
		}
		if (out->len >= OUT_ENOUGH && print(out, st) == -1)
			return -1;
		if (ended && c->head == c->tail)
			return print(out, st);
		if (ended || c->tail - c->head == c->window) {
			if (sleep_on(c, out, -1, st) == -1)
				return -1;
			continue;
		}
		switch (dfb_input_next(&c->in, &p, &len)) {
		case DFB_INPUT_ONE:
			take(c, p, len);
			break;
		case DFB_INPUT_WAIT:
			if (sleep_on(c, out, dfb_input_timeout(&c->in), st) == -1)
				return -1;
			break;
		case DFB_INPUT_WRONG:
			settle(next_slot(c), DFB_BADINPUT, c->in.frames.why);
			break;
		case DFB_INPUT_FAIL:
			dfb_report_file(&c->report, DFB_IOERR, strerror(errno));
			break;
		case DFB_INPUT_END:
			ended = true;
			break;
		}
	}
}

int
call_run(struct call *c, enum dfb_status *st)
{
	struct dfb_buf out = {0};
	int rc;

	if ((c->slots = calloc(c->window, sizeof *c->slots)) == NULL) {
		log_err("cannot start");
		*st = DFB_OSERR;
		return -1;
	}
	if (c->collects)
		fetch(c);
	rc = loop(c, &out, st);
	dfb_report_end(&c->report);
	dfb_buf_release(&out);
	return rc;
}

void
call_release(struct call *c)
{
	for (uint32_t i = 0; c->slots != NULL && i < c->window; i++)
		dfb_buf_release(&c->slots[i].out);
	free(c->slots);
	dfb_input_release(&c->in);
	dfb_msgopt_release(&c->options);
	dfb_report_release(&c->report);
}
