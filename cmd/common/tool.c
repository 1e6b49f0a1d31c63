#include "common/tool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/opt.h"
#include "client/avoid.h"
#include "dfb.h"
#include "wire/words.h"

bool
dfb_tool_option(struct dfb_tool *t, const struct dfb_opts *o, int letter)
{
	switch (letter) {
	case 'n':
		t->names = o->arg;
		return true;
	case 'R':
		t->region = o->arg;
		return true;
	case DFB_TOOL_LETTER_WAIT:
		t->wait_ms = dfb_opt_duration(o);
		/* 0 means the default to the library. */
		if (t->wait_ms == 0)
			t->wait_ms = 1;
		return true;
	default:
		return false;
	}
}

static void
notice(void *arg, const char *text)
{
	(void)arg;
	log_warnx("%s", text);
}

struct dfb *
dfb_tool_open(const struct dfb_tool *t, const struct dfb_opts *o)
{
	struct dfb_config config = { .names = t->names, .region = t->region,
		.who = o->prog, .first_wait_ms = t->wait_ms, .wait_ms = t->wait_ms,
		.direct = t->direct, .notice = notice };
	const char *names = t->names != NULL ? t->names : getenv("DFB_NAMES");
	const char *region = t->region != NULL ? t->region : getenv("DFB_REGION");
	const char *avoid = getenv("DFB_AVOID");
	struct dfb *d;

	signal(SIGPIPE, SIG_IGN);
	switch (dfb_open(&config, &d)) {
	case DFB_OK:
		return d;
	case DFB_USAGE:
		if (region != NULL && *region != '\0' && !dfb_region_valid(region))
			dfb_usage(o, "'%s' is no region: 3 capital letters or digits, "
			    "like A10 (-R, $DFB_REGION)", region);
		if (avoid != NULL && dfb_avoids_init(&(struct dfb_avoids){ 0 }, avoid) == -1)
			dfb_usage(o, "'%s' is none of 60s or 60s,3s or 60s,3s,30s "
			    "($DFB_AVOID)", avoid);
		dfb_usage(o, "'%s' is no list of name servers, like "
		    "ipc:///run/dfb/names.sock or tcp://host:port,tcp://host2:port "
		    "(-n, $DFB_NAMES)", names != NULL ? names : "");
	default:
		log_err("cannot start");
		exit(DFB_OSERR);
	}
}

void
dfb_tool_check_dest(const struct dfb_opts *o, const char *dest)
{
	if (dfb_word_kind(dest) == DFB_WORD_BAD ||
	    dfb_word_kind(dest) == DFB_WORD_DAEMONS)
		dfb_usage(o, "'%s' is no destination: %s", dest, dfb_word_help);
}

int
dfb_tool_write(int fd, struct dfb_buf *b)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t at = 0;

	while (at < b->len) {
		ssize_t n = write(fd, b->data + at, b->len - at);
		if (n >= 0)
			at += (size_t)n;
		else if (errno == EAGAIN)
			poll(&p, 1, -1);
		else if (errno != EINTR)
			break;
	}
	if (at < b->len) {
		int saved = errno;
		dfb_buf_consume(b, at);
		errno = saved;
		return -1;
	}
	b->len = 0;
	return 0;
}

const char *
dfb_tool_rate(char *buf, size_t size, uint64_t messages, uint64_t ns)
{
	double s = (double)ns / 1e9;

	snprintf(buf, size, "%llu message%s in %.2fs, %.0f/s",
	    (unsigned long long)messages, messages == 1 ? "" : "s", s,
	    s > 0 ? (double)messages / s : 0.0);
	return buf;
}
