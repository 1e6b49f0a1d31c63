#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/parse.h"
#include "client/client.h"
#include "common/tool.h"
#include "dfb-send/send.h"
#include "net/loop.h"

#define LETTER_NO_WAIT 901
#define LETTER_AT 902
#define LETTER_DELAY 903
#define LETTER_ONCE 904
#define LETTER_FAILOVER 910
#define WINDOW_MAX 10000000
#define TIME_MAX (UINT64_C(36500) * 86400000)

static const struct dfb_opt table[] = {
	DFB_MSGOPT_OPTIONS,
	{ 't', "ttl", "TIME", "not delivered after this time" },
	{ LETTER_AT, "at", "TIME", "deliver then, like 2026-01-31T12:00:00Z" },
	{ LETTER_DELAY, "delay", "TIME", "deliver so long after sending" },
	{ 'w', "window", "N", "messages in flight at most (16384)" },
	{ 'A', "all-or-nothing", NULL, "all messages are stored, or none" },
	DFB_FRAMING_OPTIONS,
	{ 'm', "message", "TEXT", "send TEXT, one message" },
	{ LETTER_ONCE, "once", NULL, "with -J: what has an id that is known is not stored again" },
	{ LETTER_NO_WAIT, "no-wait", NULL, "fail with 75 rather than wait for the broker" },
	{ LETTER_FAILOVER, "failover-after", "TIME",
	    "leave a broker that is gone so long (5s; 0: never)" },
	DFB_TOOL_OPTIONS,
	{ 0, NULL, NULL, NULL },
};

/* What the command line asks for. */
struct args {
	struct dfb_tool tool;
	struct dfb_producer_config producer;
	int framing;             /* -1: none was given */
	const char *text;
	char *const *files;
	size_t nfiles;
};

static void
set_framing(struct args *a, const struct dfb_opts *o, int framing)
{
	if (a->framing != -1 && a->framing != framing)
		dfb_usage(o, "give one of -0, -L, -r and -J");
	a->framing = framing;
}

static void
set_due(struct send *s, const struct dfb_opts *o)
{
	if (dfb_parse_when(o->arg, &s->due_ms) == -1)
		dfb_usage(o, "--at takes a time like 2026-01-31T12:00:00Z or @1767225600, "
		    "not '%s'", o->arg);
	if (s->delay_ms != 0)
		dfb_usage(o, "give --at or --delay, not both");
}

static void
set_delay(struct send *s, const struct dfb_opts *o)
{
	s->delay_ms = dfb_opt_duration(o);
	if (s->delay_ms > TIME_MAX)
		dfb_usage(o, "--delay takes at most 36500d");
	if (s->due_ms != 0)
		dfb_usage(o, "give --at or --delay, not both");
}

static void
options(struct args *a, struct send *s, struct dfb_opts *o, int argc, char **argv)
{
	int c;

	while ((c = dfb_opts_next(o, argc, argv)) != -1) {
		if (dfb_tool_option(&a->tool, o, c) ||
		    dfb_msgopt_option(&s->options, o, c))
			continue;
		switch (c) {
		case 't':
			if ((s->ttl_ms = dfb_opt_duration(o)) == 0)
				dfb_usage(o, "-t takes a time above 0");
			break;
		case 'w':
			a->producer.window = (uint32_t)dfb_opt_count(o, 1, WINDOW_MAX);
			break;
		case 'A':
			a->producer.atomic = s->atomic = true;
			break;
		case 'm':
			if (a->text != NULL)
				dfb_usage(o, "-m more than once");
			a->text = o->arg;
			break;
		case LETTER_ONCE:
			s->once = true;
			break;
		case LETTER_NO_WAIT:
			a->producer.no_wait = true;
			break;
		case LETTER_FAILOVER:
			if ((a->producer.failover_ms = dfb_opt_duration(o)) == 0)
				a->producer.failover_ms = UINT64_MAX;
			break;
		case LETTER_AT:
			set_due(s, o);
			break;
		case LETTER_DELAY:
			set_delay(s, o);
			break;
		default:
			set_framing(a, o, dfb_framing_of_letter(c));
		}
	}
	s->one = s->options.has_id;
	if (s->once && !s->one && a->framing != DFB_FRAMING_JSON)
		dfb_usage(o, "--once goes by ids: give -J, with an id in each line, or -i");
	a->producer.once = s->once = s->once || s->one;
	if (optind == argc)
		dfb_usage(o, "no destination: a topic like A10-payments, or a service");
	a->producer.dest = argv[optind++];
	dfb_tool_check_dest(o, a->producer.dest);
	a->files = argv + optind;
	a->nfiles = (size_t)(argc - optind);
	if (a->text == NULL)
		return;
	if (a->nfiles != 0)
		dfb_usage(o, "give -m or files, not both");
	if (a->framing == -1)
		a->framing = DFB_FRAMING_RAW;
	else if (a->framing != DFB_FRAMING_JSON)
		dfb_usage(o, "-m is one message: of the framings only -J goes with it");
}

static void
on_failed(void *arg, uint64_t n, enum dfb_status st, const char *why)
{
	struct send *s = arg;

	if (!s->atomic)
		dfb_report_message(&s->report, n, st, why);
	else if (s->report.status == DFB_OK) /* of all; once is enough */
		dfb_report_at(&s->report, 0, DFB_REPORT_WHOLE, st, why);
}

static void
on_known(void *arg, uint64_t n, uint32_t queue, uint64_t offset)
{
	struct send *s = arg;

	s->known++;
	if (queue == UINT32_MAX)
		log_debug("message %llu: already scheduled for %llu", (unsigned long long)n,
		    (unsigned long long)offset);
	else
		log_debug("message %llu: already stored, queue %u offset %llu",
		    (unsigned long long)n, queue, (unsigned long long)offset);
}

/* The first signal winds up, the second ends. */
static void
on_signal(void *arg, int signo)
{
	struct send *s = arg;

	if (s->interrupted)
		_exit(DFB_AGAIN);
	(void)signo;
	s->interrupted = true;
}

static void
open_input(struct send *s, const struct args *a, struct dfb_loop *loop)
{
	enum dfb_framing framing = a->framing == -1 ? DFB_FRAMING_LINES :
	    (enum dfb_framing)a->framing;

	if (a->text == NULL)
		/* Nothing is to leave early: then reading may block. */
		dfb_input_init(&s->in, framing, a->files, a->nfiles,
		    s->one || s->atomic ? NULL : loop);
	else if (dfb_input_init_text(&s->in, framing, a->text) == -1) {
		log_err("cannot start");
		exit(DFB_OSERR);
	}
}

/* Say how it went. */
static enum dfb_status
conclude(struct send *s, uint64_t since)
{
	uint64_t taken = dfb_producer_taken(s->producer);
	uint64_t pending = dfb_producer_pending(s->producer);
	uint64_t confirmed = taken - pending - dfb_producer_failures(s->producer);
	char rate[96], place[512];

	dfb_report_end(&s->report);
	if ((s->one || s->atomic) && s->report.status != DFB_OK && pending != 0) {
		log_errx("nothing was sent");
		return s->report.status;
	}
	if (s->interrupted) {
		dfb_input_place(&s->in, s->in.file, s->in.frames.number, place,
		    sizeof place);
		log_errx("interrupted after %s: %llu messages confirmed, %llu not",
		    place, (unsigned long long)confirmed,
		    (unsigned long long)(taken - confirmed));
	} else
		log_debug("confirmed %s", dfb_tool_rate(rate, sizeof rate, confirmed,
		    dfb_mono_ns() - since));
	if (s->report.status == DFB_OK && (pending != 0 ||
	    (s->interrupted && dfb_frames_rest(&s->in.frames) != 0)))
		return DFB_AGAIN;
	return s->report.status;
}

int
main(int argc, char **argv)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, 0 };
	struct dfb_opts o = { .prog = "dfb-send",
		.synopsis = "[options] DEST [FILE...]",
		.purpose = "Send lines, or other messages, of FILEs or stdin to a topic or "
		    "service.\nAfter SIGINT or SIGTERM what is under way gets 2s to be "
		    "confirmed: then 0 if all\nthat was read is stored, else 75.",
		.table = table };
	struct args a = { .framing = -1 };
	struct send s = { .report = { .in = &s.in } };
	uint64_t since = dfb_mono_ns();
	enum dfb_status st;
	const char *name;

	options(&a, &s, &o, argc, argv);
	if (a.text == NULL && (name = dfb_input_unreadable(a.files, a.nfiles)) != NULL) {
		log_err("nothing was sent: cannot read '%s'", name);
		return DFB_IOERR;
	}
	a.tool.direct = true;
	s.dfb = dfb_tool_open(&a.tool, &o);
	a.producer.failed = on_failed;
	a.producer.known = on_known;
	a.producer.arg = &s;
	if ((st = dfb_producer_open(s.dfb, &a.producer, &s.producer)) != DFB_OK) {
		log_errx("%s", dfb_error(s.dfb));
		return (int)st;
	}
	open_input(&s, &a, dfb_client_loop(s.dfb));
	/* While nothing was sent yet, a signal may just end the program. */
	if ((s.one || s.atomic) && a.text == NULL)
		send_pump(&s);
	if (dfb_loop_signals(dfb_client_loop(s.dfb), signals, on_signal, &s) == -1) {
		log_err("cannot start");
		return DFB_OSERR;
	}
	send_pump(&s);
	send_flush(&s);
	st = conclude(&s, since);
	dfb_input_release(&s.in); /* the loop is the client's */
	dfb_close(s.dfb);
	dfb_msgopt_release(&s.options);
	dfb_report_release(&s.report);
	return (int)st;
}
