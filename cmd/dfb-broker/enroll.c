/* The broker's entry at every name server: all of it when a session begins, changes as they
 * come, and renewals in between. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker.h"
#include "lane.h"
#include "client/conn.h"
#include "net/loop.h"

struct enroll {
	struct broker *b;
	struct dfb_conn *conn;
	char endpoint[300];
	bool known; /* the name server has all of it */
};

#define REQ_FULL 1
#define REQ_PART 2
#define LINGER_MS 500
#define ANNOUNCE_MS 1000
#define AGAIN_MS 200

/* 0, or -1. */
static int
send(struct enroll *e, bool full, struct dfb_blob offers)
{
	struct broker *b = e->b;

	return dfb_conn_send(e->conn, &(struct dfb_proto){ .type = DFB_M_ENROLL,
	    .req = full ? REQ_FULL : REQ_PART, .enroll = { .kind = dfb_str("broker"),
	    .name = dfb_str(b->cf.name), .region = dfb_str(b->cf.region),
	    .endpoint = dfb_str(b->endpoint), .incarnation = b->incarnation,
	    .lease_ms = (uint32_t)b->cf.lease_ms,
	    .state = b->draining ? DFB_STATE_DRAINING : DFB_STATE_UP, .full = full,
	    .offers = offers } });
}

/* Something could not be said, for want of memory or room: all of it is, soon. */
static void
behind(struct enroll *e)
{
	struct broker *b = e->b;

	e->known = false;
	if (!dfb_timer_is_set(&b->renew) || b->renew.due > dfb_mono_ms() + AGAIN_MS)
		dfb_loop_timer(b->loop, &b->renew, AGAIN_MS);
}

static void
send_all(struct enroll *e)
{
	struct dfb_buf buf = { 0 };
	struct topic *t;

	RB_FOREACH(t, topic_tree, &e->b->topics)
		if (dfb_offer_add(&buf, &(struct dfb_m_offer){ .up = 1,
		    .topic = dfb_str(t->name), .queues = lane_first(t)->readable }) == -1)
			break;
	e->known = t == NULL && send(e, true, (struct dfb_blob){ buf.data, buf.len }) == 0;
	dfb_buf_release(&buf);
	if (!e->known)
		behind(e);
}

/* Ready means that clients can find it; when no name server is there, it is ready all the
 * same, a moment later. */
static void
announce(struct dfb_timer *t, void *arg)
{
	struct broker *b = arg;

	dfb_loop_timer_stop(b->loop, t);
	if (!b->announced) {
		b->announced = true;
		b->say_ready(b);
	}
}

static void
up(void *arg)
{
	struct enroll *e = arg;

	send_all(e);
	region_lookup(e->b, e->conn);
}

static void
down(void *arg, const char *why)
{
	struct enroll *e = arg;

	e->known = false;
	log_event(DFB_LOG_WARN, "names-lost", "endpoint=%s why=%s", e->endpoint,
	    dfb_log_quote(why));
}

/* Of several name servers the first that is there is believed. */
static bool
is_first(const struct enroll *e)
{
	const struct broker *b = e->b;

	for (unsigned i = 0; i < b->nnames && b->enroll[i] != e; i++)
		if (dfb_conn_is_up(b->enroll[i]->conn))
			return false;
	return true;
}

struct dfb_conn *
enroll_conn(struct broker *b, unsigned i)
{
	return b->enroll[i]->conn;
}

static void
frame(void *arg, const struct dfb_proto *m)
{
	struct enroll *e = arg;
	char why[200];

	if (m->type == DFB_M_WELCOME)
		log_event(DFB_LOG_INFO, "enrolled", "endpoint=%s", e->endpoint);
	if (m->type == DFB_M_DONE && m->req == REQ_FULL)
		announce(&e->b->announce, e->b);
	if (m->type == DFB_M_ROUTES && is_first(e))
		region_routes(e->b, &m->routes);
	if (m->type != DFB_M_ERROR || m->req == 0) /* LOOKUP has none: no queues are known */
		return;
	if (m->status == DFB_NOBODY) {
		send_all(e);
		return;
	}
	log_event(DFB_LOG_ERR, "enroll-refused", "endpoint=%s status=%u why=%s", e->endpoint,
	    m->status, dfb_log_quote(dfb_str_copy(m->error.reason, why, sizeof why)));
}

static void
renew(struct dfb_timer *t, void *arg)
{
	struct broker *b = arg;

	dfb_loop_timer(b->loop, t, b->cf.lease_ms / 3);
	for (unsigned i = 0; i < b->nnames; i++)
		if (dfb_conn_is_up(b->enroll[i]->conn)) {
			if (b->enroll[i]->known)
				send(b->enroll[i], false, (struct dfb_blob){ NULL, 0 });
			else
				send_all(b->enroll[i]);
		}
}

int
enroll_start(struct broker *b)
{
	char list[2048], *rest = list, *one;

	if (strlen(b->cf.names) >= sizeof list) {
		log_errx("--names: the list is too long");
		return -1;
	}
	strcpy(list, b->cf.names);
	while ((one = strsep(&rest, ",")) != NULL) {
		struct enroll *e;
		if (*one == '\0')
			continue;
		if (b->nnames == 8) {
			log_errx("--names: at most 8 name servers");
			return -1;
		}
		if ((e = calloc(1, sizeof *e)) == NULL)
			return -1;
		e->b = b;
		snprintf(e->endpoint, sizeof e->endpoint, "%s", one);
		e->conn = dfb_conn_new(&(struct dfb_conn_config){ .net = b->net,
		    .loop = b->loop, .endpoint = e->endpoint, .role = "broker",
		    .who = b->cf.name, .region = b->cf.region, .up = up, .down = down,
		    .frame = frame, .arg = e });
		if (e->conn == NULL) {
			log_err("cannot connect to '%s'", one);
			free(e);
			return -1;
		}
		b->enroll[b->nnames++] = e;
	}
	b->announce = (struct dfb_timer){ .fn = announce, .arg = b };
	dfb_loop_timer(b->loop, &b->announce, ANNOUNCE_MS);
	b->renew = (struct dfb_timer){ .fn = renew, .arg = b };
	dfb_loop_timer(b->loop, &b->renew, b->cf.lease_ms / 3);
	return 0;
}

void
enroll_topic(struct broker *b, const struct topic *t, bool is_up)
{
	struct dfb_buf buf = { 0 };
	int rc = dfb_offer_add(&buf, &(struct dfb_m_offer){ .up = is_up,
	    .topic = dfb_str(t->name), .queues = lane_first(t)->readable });

	for (unsigned i = 0; i < b->nnames; i++)
		if (b->enroll[i]->known && (rc == -1 || send(b->enroll[i], false,
		    (struct dfb_blob){ buf.data, buf.len }) == -1))
			behind(b->enroll[i]);
	dfb_buf_release(&buf);
}

void
enroll_state(struct broker *b)
{
	for (unsigned i = 0; i < b->nnames; i++)
		if (b->enroll[i]->known &&
		    send(b->enroll[i], false, (struct dfb_blob){ NULL, 0 }) == -1)
			behind(b->enroll[i]);
}

void
enroll_stop(struct broker *b)
{
	for (unsigned i = 0; i < b->nnames; i++) {
		struct enroll *e = b->enroll[i];
		if (dfb_conn_is_up(e->conn))
			dfb_conn_send(e->conn, &(struct dfb_proto){ .type = DFB_M_FORGET,
			    .forget = { .name = dfb_str(b->cf.name),
			    .incarnation = b->incarnation } });
		dfb_conn_free(e->conn, LINGER_MS);
		free(e);
	}
	b->nnames = 0;
}
