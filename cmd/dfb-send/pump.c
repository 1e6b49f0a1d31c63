#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "common/msgjson.h"
#include "dfb-send/send.h"

#define WIND_UP_MS 2000 /* for what is under way, after a signal */

/* Whether something is wrong and none may be sent. */
static bool
spoilt(const struct send *s)
{
	return (s->one || s->atomic) && s->report.status != DFB_OK;
}

/* Lifetimes begin when a message may be delivered. */
static void
set_times(const struct send *s, struct dfb_msg *m)
{
	uint64_t now;

	if (s->ttl_ms == 0 && s->delay_ms == 0 && s->due_ms == 0)
		return;
	now = dfb_wall_ms();
	if (m->due_ms == 0)
		m->due_ms = s->delay_ms != 0 ? now + s->delay_ms : s->due_ms;
	if (s->ttl_ms != 0 && m->expires_ms == 0)
		m->expires_ms = (m->due_ms > now ? m->due_ms : now) + s->ttl_ms;
}

static void
put(struct send *s, struct dfb_msg *m)
{
	enum dfb_status st;

	if (s->one && dfb_producer_taken(s->producer) != 0) {
		dfb_report_current(&s->report, DFB_BADINPUT,
		    "a second message, but -i is the id of one");
		return;
	}
	if (dfb_msgopt_complete(&s->options, m) == -1) {
		if (errno == E2BIG)
			dfb_report_current(&s->report, DFB_BADINPUT, "too many headers");
		else
			dfb_report_current(&s->report, DFB_OSERR, strerror(errno));
		return;
	}
	if (s->once && dfb_id_is_zero(&m->id)) {
		dfb_report_current(&s->report, DFB_BADINPUT, "no id, but --once goes by it");
		return;
	}
	set_times(s, m);
	if (dfb_report_taken(&s->report, dfb_producer_taken(s->producer) + 1) == -1) {
		dfb_report_current(&s->report, DFB_OSERR, strerror(errno));
		return;
	}
	while ((st = dfb_producer_put(s->producer, m)) == DFB_AGAIN && !s->interrupted)
		if ((st = dfb_wait(s->dfb, -1)) == DFB_OSERR)
			break;
	if (st == DFB_OK)
		return;
	dfb_report_current(&s->report, st, st == DFB_AGAIN ? "not sent: interrupted" :
	    dfb_error(s->dfb));
	s->interrupted = s->interrupted || st == DFB_OSERR;
}

static void
take(struct send *s, const uint8_t *p, size_t len)
{
	struct dfb_msg m = { .body = p, .body_len = len };
	struct dfb_msgjson *j;
	char why[256];

	if (s->in.frames.framing != DFB_FRAMING_JSON)
		put(s, &m);
	else if (dfb_msgjson_read((const char *)p, len, &j, why, sizeof why) == -1)
		dfb_report_current(&s->report, DFB_BADINPUT, why);
	else {
		m = *dfb_msgjson_msg(j);
		put(s, &m);
		dfb_msgjson_free(j);
	}
}

void
send_pump(struct send *s)
{
	const uint8_t *p;
	size_t len;

	while (!s->interrupted && !spoilt(s)) {
		switch (dfb_input_next(&s->in, &p, &len)) {
		case DFB_INPUT_ONE:
			take(s, p, len);
			break;
		case DFB_INPUT_WAIT:
			if (dfb_wait(s->dfb, dfb_input_timeout(&s->in)) == DFB_OSERR) {
				dfb_report_current(&s->report, DFB_OSERR,
				    dfb_error(s->dfb));
				return;
			}
			break;
		case DFB_INPUT_WRONG:
			dfb_report_current(&s->report, DFB_BADINPUT, s->in.frames.why);
			break;
		case DFB_INPUT_FAIL:
			dfb_report_file(&s->report, DFB_IOERR, strerror(errno));
			break;
		case DFB_INPUT_END:
			return;
		}
	}
}

void
send_flush(struct send *s)
{
	uint64_t now, until = 0;
	int rest = -1;

	if (spoilt(s))
		return;
	/* What is atomic leaves now; the signals have to be looked at meanwhile. */
	dfb_producer_flush(s->producer, 0);
	while (dfb_producer_pending(s->producer) != 0) {
		if (s->interrupted) {
			now = dfb_mono_ns() / 1000000;
			if (until == 0)
				until = now + WIND_UP_MS;
			if (now >= until)
				return;
			rest = (int)(until - now);
		}
		if (dfb_wait(s->dfb, rest) == DFB_OSERR)
			return;
	}
}
