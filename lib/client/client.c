#include "client/client.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/utf8.h"
#include "client/calls.h"
#include "client/internal.h"
#include "client/link.h"
#include "client/routes.h"
#include "net/loop.h"
#include "net/sock.h"
#include "wire/proto.h"
#include "wire/record.h"
#include "wire/words.h"

#define NAMES_DEFAULT "ipc:///run/dfb/names.sock"
#define FIRST_WAIT_MS 5000
#define WAIT_MS 60000
#define LINGER_MS 1000
#define REASON_MAX 1024

static void
run_works(void *arg)
{
	struct dfb *d = arg;
	struct dfb_works now = TAILQ_HEAD_INITIALIZER(now);
	struct dfb_work *w;

	/* What is added meanwhile is done in the next turn, which comes at once. */
	TAILQ_CONCAT(&now, &d->works, entry);
	while ((w = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, w, entry);
		w->queued = false;
		w->fn(w->arg);
	}
	if (!TAILQ_EMPTY(&d->works))
		dfb_client_kick(d);
}

void
dfb_work_add(struct dfb *d, struct dfb_work *w)
{
	if (w->queued)
		return;
	w->queued = true;
	TAILQ_INSERT_TAIL(&d->works, w, entry);
}

void
dfb_work_del(struct dfb *d, struct dfb_work *w)
{
	if (!w->queued)
		return;
	w->queued = false;
	TAILQ_REMOVE(&d->works, w, entry);
}

static void
on_kick(struct dfb_timer *t, void *arg)
{
	(void)t;
	(void)arg;
}

void
dfb_client_kick(struct dfb *d)
{
	dfb_loop_timer(d->loop, &d->kick, 0);
}

uint64_t
dfb_client_now(void)
{
	return dfb_mono_ns() / 1000000;
}

/* ---- words for humans ---- */

enum dfb_status
dfb_fail(struct dfb *d, enum dfb_status st, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->error, sizeof d->error, fmt, ap);
	va_end(ap);
	return st;
}

void
dfb_notice(struct dfb *d, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (d->notice == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	d->notice(d->notice_arg, text);
}

const char *
dfb_error(const struct dfb *d)
{
	return d->error;
}

/* ---- life cycle ---- */

static void
set_who(struct dfb *d, const char *who)
{
	if (who == NULL)
		who = program_invocation_short_name;
	snprintf(d->who, sizeof d->who, "%s", who);
	if (!dfb_utf8_valid(d->who, strlen(d->who)))
		snprintf(d->who, sizeof d->who, "?");
}

static enum dfb_status
set_up(struct dfb *d, const struct dfb_config *cf)
{
	const char *region = cf->region != NULL ? cf->region : getenv("DFB_REGION");
	const char *names = cf->names != NULL ? cf->names : getenv("DFB_NAMES");
	const char *avoid = cf->avoid != NULL ? cf->avoid : getenv("DFB_AVOID");

	if (dfb_avoids_init(&d->avoids, avoid) == -1)
		return DFB_USAGE;
	if (names == NULL || names[0] == '\0')
		names = NAMES_DEFAULT;
	if (region != NULL && region[0] != '\0') {
		if (!dfb_region_valid(region))
			return DFB_USAGE;
		snprintf(d->region, sizeof d->region, "%s", region);
	}
	set_who(d, cf->who);
	d->first_wait_ms = cf->first_wait_ms != 0 ? cf->first_wait_ms : FIRST_WAIT_MS;
	d->wait_ms = cf->wait_ms != 0 ? cf->wait_ms : WAIT_MS;
	d->notice = cf->notice;
	d->notice_arg = cf->arg;
	if ((d->net = dfb_net_new()) == NULL || (d->loop = dfb_loop_new()) == NULL ||
	    (d->calls = dfb_calls_new()) == NULL)
		return DFB_OSERR;
	if (cf->direct)
		dfb_net_direct(d->net);
	dfb_loop_before_sleep(d->loop, run_works, d);
	return dfb_names_new(d, names, &d->names);
}

enum dfb_status
dfb_open(const struct dfb_config *cf, struct dfb **out)
{
	struct dfb *d = calloc(1, sizeof *d);
	enum dfb_status st;

	if (d == NULL)
		return DFB_OSERR;
	dfb_id_random(&d->id);
	TAILQ_INIT(&d->dests);
	LIST_INIT(&d->links);
	LIST_INIT(&d->producers);
	LIST_INIT(&d->consumers);
	LIST_INIT(&d->callers);
	TAILQ_INIT(&d->works);
	d->kick.fn = on_kick;
	if ((st = set_up(d, cf)) != DFB_OK) {
		dfb_close(d);
		return st;
	}
	*out = d;
	return DFB_OK;
}

void
dfb_close(struct dfb *d)
{
	if (d == NULL)
		return;
	while (!LIST_EMPTY(&d->producers))
		dfb_producer_free(LIST_FIRST(&d->producers));
	while (!LIST_EMPTY(&d->consumers))
		dfb_consumer_free(LIST_FIRST(&d->consumers));
	while (!LIST_EMPTY(&d->callers))
		dfb_caller_close(LIST_FIRST(&d->callers));
	dfb_avoids_release(d);
	dfb_links_free(d, LINGER_MS);
	dfb_locate_free(d);
	dfb_names_free(d->names);
	dfb_calls_free(d->calls);
	dfb_loop_free(d->loop);
	dfb_net_free(d->net);
	free(d);
}

struct dfb_loop *
dfb_client_loop(struct dfb *d)
{
	return d->loop;
}

struct dfb_net *
dfb_client_net(struct dfb *d)
{
	return d->net;
}

/* ---- serving ---- */

int
dfb_fd(struct dfb *d)
{
	return dfb_loop_fd(d->loop);
}

/* What is left until `until` (UINT64_MAX: for ever), for the loop. */
static int
left(uint64_t until)
{
	uint64_t now;

	if (until == UINT64_MAX)
		return -1;
	now = dfb_client_now();
	return until <= now ? 0 : until - now > INT_MAX ? INT_MAX : (int)(until - now);
}

static uint64_t
from_now(int timeout_ms)
{
	return timeout_ms < 0 ? UINT64_MAX : dfb_client_now() + (uint64_t)timeout_ms;
}

enum dfb_status
dfb_wait(struct dfb *d, int timeout_ms)
{
	uint64_t until = timeout_ms != 0 ? from_now(timeout_ms) : 0;
	int n, rest = timeout_ms;

	for (;;) {
		if ((n = dfb_loop_once(d->loop, rest)) == -1)
			return dfb_fail(d, DFB_OSERR, "cannot wait: %s", strerror(errno));
		if (n > 0)
			return DFB_OK;
		if (rest == 0 || (rest = left(until)) == 0)
			return DFB_TIMEOUT;
	}
}

enum dfb_status
dfb_client_wait_for(struct dfb *d, const bool *done, int timeout_ms)
{
	uint64_t until = from_now(timeout_ms);
	int rest = timeout_ms < 0 ? -1 : timeout_ms;
	bool last = false;

	while (!*done) {
		enum dfb_status st = dfb_wait(d, rest);
		if (st == DFB_OSERR)
			return st;
		if (*done)
			break;
		if (last)
			return DFB_TIMEOUT;
		/* At the end, what is ready is served once more. */
		last = (rest = left(until)) == 0;
	}
	return DFB_OK;
}

/* ---- messages ---- */

enum dfb_status
dfb_msg_check(struct dfb *d, const struct dfb_msg *m, size_t max_body)
{
	if (m->body_len > max_body)
		return dfb_fail(d, DFB_BADINPUT, "the body has %zu bytes, the limit is %zu",
		    m->body_len, max_body);
	if (m->key_len > 255)
		return dfb_fail(d, DFB_BADINPUT, "the key has %zu bytes, the limit is 255",
		    m->key_len);
	if (m->headers_len == 0)
		return DFB_OK;
	if (m->headers_len > DFB_HEADERS_MAX)
		return dfb_fail(d, DFB_BADINPUT, "the headers have %zu bytes, the limit "
		    "is %d", m->headers_len, DFB_HEADERS_MAX);
	if (!dfb_headers_valid(m->headers, m->headers_len))
		return dfb_fail(d, DFB_BADINPUT, "the headers are malformed");
	return DFB_OK;
}

struct dfb_str
dfb_reason(const char *why)
{
	struct dfb_str s = dfb_str(why);

	if (s.len > REASON_MAX) {
		s.len = REASON_MAX;
		/* Not in the middle of a character. */
		while (s.len > 0 && ((unsigned char)s.p[s.len] & 0xc0) == 0x80)
			s.len--;
	}
	if (!dfb_utf8_valid(s.p, s.len))
		s = dfb_str("(the reason is not UTF-8)");
	return s;
}
