/*
 * What programs say on stderr.  A tool prints "dfb-send: text"; a daemon prints
 * logfmt lines with a stable event name, with a <priority> in front when stderr
 * is the journal.  Errors are reported once, where they are detected.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum dfb_log_level { DFB_LOG_ERR = 3, DFB_LOG_WARN = 4, DFB_LOG_INFO = 6, DFB_LOG_DEBUG = 7 };

/* Name the program and choose the form.  Before it, messages are a tool's.
 * verbose: -1 errors only, 0 normal, 1 with debug lines. */
void dfb_log_init(const char *prog, bool daemon, int verbose);

/* An error, with and without ": " and the text of errno; errno is kept. */
void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_errx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A warning, a remark and a debug line of a tool (not printed with -q; debug: -v). */
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A daemon's line: event=NAME and fmt, which is logfmt itself (name=value,
 * values with blanks in %s must be quoted with dfb_log_quote). */
void log_event(enum dfb_log_level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* text as a logfmt value: quoted when it needs to be.  Points to one of four
 * static buffers of this thread, used in turn. */
const char *dfb_log_quote(const char *text);

#endif
