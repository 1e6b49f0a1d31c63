/* What operands and options of the verbs mean. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "dfb-ctl/ctl.h"

void
ctl_topic(struct ctl *c, const char *word, char topic[DFB_TOPIC_MAX])
{
	const char *region = c->tool.region != NULL ? c->tool.region :
	    getenv("DFB_REGION");

	dfb_tool_check_dest(&c->opts, word);
	if (dfb_word_kind(word) != DFB_WORD_SERVICE) {
		snprintf(topic, DFB_TOPIC_MAX, "%s", word);
		return;
	}
	if (region == NULL || *region == '\0')
		dfb_usage(&c->opts, "'%s' is a service: say its region with -R or "
		    "$DFB_REGION, or name a topic like A10-%s", word, word);
	snprintf(topic, DFB_TOPIC_MAX, "%s-%s", region, word);
}

void
ctl_need_terminal(struct ctl *c)
{
	if (!c->yes && !isatty(STDIN_FILENO))
		dfb_usage(&c->opts, "there is no terminal to ask at: give --yes");
}

bool
ctl_confirm(struct ctl *c, const char *fmt, ...)
{
	char text[512], line[16];
	va_list ap;

	if (c->yes)
		return true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s [y/N] ", text);
	if (fgets(line, sizeof line, stdin) != NULL && (*line == 'y' || *line == 'Y'))
		return true;
	ctl_fail(c, DFB_NO, "nothing was done");
	return false;
}

static bool
is_number(const char *text)
{
	return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static void
set_start(struct ctl *c, enum dfb_start start, uint64_t value)
{
	if (c->placed)
		dfb_usage(&c->opts, "give one place only");
	c->placed = true;
	c->start = start;
	c->start_value = value;
}

void
ctl_offset(struct ctl *c, const char *option, const char *text)
{
	uint64_t n;

	errno = 0;
	n = strtoull(text, NULL, 10);
	if (!is_number(text) || errno != 0 || n > INT64_MAX)
		dfb_usage(&c->opts, "%s takes an offset, not '%s'", option, text);
	set_start(c, DFB_OFFSET, n);
}

void
ctl_time(struct ctl *c, const char *option, const char *text)
{
	const char *when = *text == '@' && !is_number(text + 1) ? text + 1 : text;
	uint64_t ms;

	if (dfb_parse_when(when, &ms) == -1)
		dfb_usage(&c->opts, "%s takes a time like @2026-01-31T12:00:00Z, @1767225600 "
		    "or @-5m, not '%s'", option, text);
	set_start(c, DFB_TIME, ms);
}

void
ctl_place(struct ctl *c, const char *option, const char *text)
{
	if (strcmp(text, "beginning") == 0)
		set_start(c, DFB_BEGINNING, 0);
	else if (strcmp(text, "end") == 0)
		set_start(c, DFB_END, 0);
	else if (*text == '@')
		ctl_time(c, option, text);
	else if (is_number(text))
		ctl_offset(c, option, text);
	else
		dfb_usage(&c->opts, "%s takes beginning, end, an offset or @TIME, not '%s'",
		    option, text);
}

void
ctl_lines(struct ctl *c, void (*take)(struct ctl *, const char *line, size_t len))
{
	FILE *f = strcmp(c->opts.arg, "-") == 0 ? stdin : fopen(c->opts.arg, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (f == NULL) {
		log_err("cannot open '%s'", c->opts.arg);
		exit(DFB_IOERR);
	}
	while ((n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			n--;
		take(c, line, (size_t)n);
	}
	if (ferror(f)) {
		log_err("cannot read '%s'", c->opts.arg);
		exit(DFB_IOERR);
	}
	free(line);
	if (f != stdin)
		fclose(f);
}

uint64_t
ctl_number(struct ctl *c, const char *what, const char *text, uint64_t max)
{
	uint64_t n;

	errno = 0;
	n = strtoull(text, NULL, 10);
	if (!is_number(text) || errno != 0 || n > max)
		dfb_usage(&c->opts, "%s is a number from 0 to %llu, not '%s'", what,
		    (unsigned long long)max, text);
	return n;
}
