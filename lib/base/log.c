#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"

#define LINE_MAX_LEN 2048

static struct {
	const char *prog;
	bool daemon, journal;
	int verbose;
} state = { "dfb", false, false, 0 };

void
dfb_log_init(const char *prog, bool daemon, int verbose)
{
	state.prog = prog;
	state.daemon = daemon;
	state.journal = getenv("JOURNAL_STREAM") != NULL;
	state.verbose = verbose;
}

const char *
dfb_log_quote(const char *text)
{
	static _Thread_local char ring[4][512];
	static _Thread_local unsigned turn;
	char *out = ring[turn++ % 4], *o = out, *end = out + sizeof ring[0] - 3;
	bool plain = *text != '\0';

	for (const char *p = text; *p != '\0'; p++)
		if (*p <= ' ' || *p == '"' || *p == '=' || *p == '\\' || *p == 127)
			plain = false;
	if (plain && strlen(text) < sizeof ring[0])
		return strcpy(out, text);
	*o++ = '"';
	for (const char *p = text; *p != '\0' && o < end - 1; p++) {
		unsigned char c = (unsigned char)*p;
		if (c == '"' || c == '\\')
			*o++ = '\\';
		*o++ = c < ' ' || c == 127 ? ' ' : *p;
	}
	*o++ = '"';
	*o = '\0';
	return out;
}

/* One write per line, so that lines of several processes do not mix. */
static void
emit(enum dfb_log_level level, const char *event, const char *text)
{
	char line[LINE_MAX_LEN + 128];
	const char *names[8] = { [DFB_LOG_ERR] = "error", [DFB_LOG_WARN] = "warn",
	    [DFB_LOG_INFO] = "info", [DFB_LOG_DEBUG] = "debug" };
	int n;

	if (!state.daemon)
		n = snprintf(line, sizeof line, "%s: %s\n", state.prog, text);
	else {
		char pri[40] = "", when[25];
		/* The journal knows the time itself. */
		if (state.journal)
			snprintf(pri, sizeof pri, "<%d>", (int)level);
		else
			snprintf(pri, sizeof pri, "ts=%s ",
			    dfb_format_when(dfb_wall_ms(), when));
		n = snprintf(line, sizeof line, "%slevel=%s event=%s %s\n", pri,
		    names[level], event, text);
	}
	if (n < 0)
		return;
	if ((size_t)n >= sizeof line) {
		n = (int)sizeof line - 1;
		line[n - 1] = '\n';
	}
	for (ssize_t w, at = 0; at < n; at += w)
		if ((w = write(STDERR_FILENO, line + at, (size_t)(n - at))) <= 0)
			break;
}

static bool
wanted(enum dfb_log_level level)
{
	if (level == DFB_LOG_DEBUG)
		return state.verbose > 0;
	return level == DFB_LOG_ERR || state.verbose >= 0;
}

static void
say(enum dfb_log_level level, int err, const char *fmt, va_list ap)
{
	char text[LINE_MAX_LEN];
	int n;

	if (!wanted(level))
		return;
	n = vsnprintf(text, sizeof text, fmt, ap);
	if (err != 0 && n >= 0 && (size_t)n < sizeof text)
		snprintf(text + n, sizeof text - (size_t)n, ": %s", strerror(err));
	if (state.daemon) {
		char msg[600];
		snprintf(msg, sizeof msg, "msg=%s", dfb_log_quote(text));
		emit(level, level == DFB_LOG_ERR ? "error" : "note", msg);
	} else
		emit(level, "", text);
}

void
log_err(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	say(DFB_LOG_ERR, saved, fmt, ap);
	va_end(ap);
	errno = saved;
}

void
log_errx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(DFB_LOG_ERR, 0, fmt, ap);
	va_end(ap);
}

void
log_warnx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(DFB_LOG_WARN, 0, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(DFB_LOG_DEBUG, 0, fmt, ap);
	va_end(ap);
}

void
log_event(enum dfb_log_level level, const char *event, const char *fmt, ...)
{
	char text[LINE_MAX_LEN];
	va_list ap;

	if (!wanted(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (state.daemon)
		emit(level, event, text);
	else {
		char line[LINE_MAX_LEN + 64];
		snprintf(line, sizeof line, "%s: %s", event, text);
		emit(level, event, line);
	}
}
