#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/conn.h"
#include "client/internal.h"
#include "client/routes.h"
#include "net/loop.h"
#include "net/sock.h"
#include "wire/proto.h"

#define MAX 8
/* How long a name server may take to answer before the next one is asked. */
#define ANSWER_MS 1000
/* Pause before the first one is tried again after all have failed. */
#define ROUND_MS 100

struct dfb_names {
	struct dfb *dfb;
	char *list;            /* as configured, for messages */
	char *copy;            /* cut into: */
	const char *endpoints[MAX];
	size_t n, at;
	unsigned failures;     /* in a row */
	struct dfb_conn *conn; /* NULL: pausing */
	bool welcomed, ever, lost;
	uint32_t last_req;
	struct dfb_timer timer; /* answers overdue, or the pause is over */
};

static void start(struct dfb_names *);

/* On to the next one. */
static void
rotate(struct dfb_names *s)
{
	if (s->n == 1) /* the connection itself tries again */
		return;
	dfb_conn_free(s->conn, 0);
	s->conn = NULL;
	s->at = (s->at + 1) % s->n;
	dfb_loop_timer(s->dfb->loop, &s->timer,
	    ++s->failures % s->n == 0 ? ROUND_MS : 0);
}

static void
on_timer(struct dfb_timer *t, void *arg)
{
	struct dfb_names *s = arg;

	(void)t;
	if (s->conn == NULL)
		start(s);
	else if (!s->welcomed || dfb_dests_waiting(s->dfb)) {
		if (s->n == 1)
			dfb_conn_drop(s->conn, "no answer", 0);
		else
			rotate(s);
	}
	/* Each session is watched anew. */
	if (s->conn != NULL && !s->welcomed)
		dfb_loop_timer(s->dfb->loop, &s->timer, ANSWER_MS);
}

static void
on_up(void *arg)
{
	struct dfb_names *s = arg;

	s->welcomed = false;
	dfb_dests_lookup(s->dfb);
	dfb_loop_timer(s->dfb->loop, &s->timer, ANSWER_MS);
}

static void
on_down(void *arg, const char *why)
{
	struct dfb_names *s = arg;

	if (s->welcomed && !s->lost) {
		s->lost = true;
		dfb_notice(s->dfb, "name server %s went away (%s); going on with what "
		    "is known", s->endpoints[s->at], why);
	}
	s->welcomed = false;
	rotate(s);
}

static void
on_refused(void *arg)
{
	rotate(arg);
}

static void
on_frame(void *arg, const struct dfb_proto *m)
{
	struct dfb_names *s = arg;

	switch (m->type) {
	case DFB_M_WELCOME:
		s->welcomed = s->ever = true;
		s->failures = 0;
		if (s->lost)
			dfb_notice(s->dfb, "name server %s answers",
			    s->endpoints[s->at]);
		s->lost = false;
		break;
	case DFB_M_ROUTES:
	case DFB_M_ERROR:
		if (!dfb_dests_answer(s->dfb, m))
			dfb_conn_drop(s->conn, "it sent a malformed answer", ANSWER_MS);
		break;
	}
}

static void
start(struct dfb_names *s)
{
	s->welcomed = false;
	s->conn = dfb_conn_new(&(struct dfb_conn_config){
	    .net = s->dfb->net, .loop = s->dfb->loop, .endpoint = s->endpoints[s->at],
	    .role = "client", .who = s->dfb->who, .region = s->dfb->region,
	    .up = on_up, .down = on_down, .refused = on_refused, .frame = on_frame,
	    .arg = s });
	/* No memory or descriptors now: try again. */
	dfb_loop_timer(s->dfb->loop, &s->timer, s->conn != NULL ? ANSWER_MS : ROUND_MS);
}

static enum dfb_status
cut(struct dfb_names *s)
{
	char *rest = s->copy, *e;
	const char *wrong;

	while ((e = strsep(&rest, ",")) != NULL) {
		if (s->n == MAX)
			return dfb_fail(s->dfb, DFB_USAGE, "at most %d name servers", MAX);
		if ((wrong = dfb_endpoint_check(e)) != NULL)
			return dfb_fail(s->dfb, DFB_USAGE, "name server '%s': %s", e, wrong);
		s->endpoints[s->n++] = e;
	}
	return DFB_OK;
}

enum dfb_status
dfb_names_new(struct dfb *d, const char *endpoints, struct dfb_names **out)
{
	struct dfb_names *s = calloc(1, sizeof *s);
	enum dfb_status st;

	if (s == NULL)
		return dfb_fail(d, DFB_OSERR, "out of memory");
	s->dfb = d;
	s->timer = (struct dfb_timer){ .fn = on_timer, .arg = s };
	if ((s->list = strdup(endpoints)) == NULL || (s->copy = strdup(endpoints)) == NULL)
		st = dfb_fail(d, DFB_OSERR, "out of memory");
	else
		st = cut(s);
	if (st != DFB_OK) {
		dfb_names_free(s);
		return st;
	}
	*out = s;
	return DFB_OK;
}

void
dfb_names_free(struct dfb_names *s)
{
	if (s == NULL)
		return;
	dfb_loop_timer_stop(s->dfb->loop, &s->timer);
	dfb_conn_free(s->conn, 0);
	free(s->list);
	free(s->copy);
	free(s);
}

int
dfb_names_send(struct dfb_names *s, const struct dfb_proto *m)
{
	/* The first to ask starts it. */
	if (s->conn == NULL && !dfb_timer_is_set(&s->timer))
		start(s);
	if (s->conn == NULL || dfb_conn_send(s->conn, m) == -1)
		return -1;
	if (!dfb_timer_is_set(&s->timer))
		dfb_loop_timer(s->dfb->loop, &s->timer, ANSWER_MS);
	return 0;
}

uint32_t
dfb_names_number(struct dfb_names *s)
{
	if (++s->last_req == 0)
		s->last_req = 1;
	return s->last_req;
}

bool
dfb_names_ever(const struct dfb_names *s)
{
	return s->ever;
}

const char *
dfb_names_list(const struct dfb_names *s)
{
	return s->list;
}

const char *
dfb_names_endpoint(const struct dfb_names *s, size_t i)
{
	return i < s->n ? s->endpoints[(s->at + i) % s->n] : NULL;
}
