#include "daemon/enroll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/timer.h"
#include "client/conn.h"
#include "net/loop.h"
#include "wire/proto.h"

#define REQ_FULL 1
#define REQ_PART 2
#define LINGER_MS 500
#define ANNOUNCE_MS 1000

struct place {
	struct dfb_enroll *enroll;
	unsigned i;
	struct dfb_conn *conn;
};

struct dfb_enroll {
	struct dfb_enroll_config cf;
	struct place at[DFB_ENROLL_NAMES];
	unsigned n;
	struct dfb_buf offer;
	struct dfb_timer renew, announce;
	bool draining, announced;
};

static void
send(struct place *p, bool full)
{
	struct dfb_enroll *e = p->enroll;
	const struct dfb_enroll_config *cf = &e->cf;
	struct dfb_blob offers = { e->offer.data, full ? e->offer.len : 0 };

	dfb_conn_send(p->conn, &(struct dfb_proto){ .type = DFB_M_ENROLL,
	    .req = full ? REQ_FULL : REQ_PART, .enroll = { .kind = dfb_str(cf->kind),
	    .name = dfb_str(cf->name), .region = dfb_str(cf->region),
	    .endpoint = dfb_str(cf->endpoint), .incarnation = cf->incarnation,
	    .lease_ms = cf->lease_ms,
	    .state = e->draining ? DFB_STATE_DRAINING : DFB_STATE_UP, .full = full,
	    .offers = offers } });
}

/* Ready means that clients can find it; when no name server is there, it is ready all the
 * same, a moment later. */
static void
announce(struct dfb_timer *t, void *arg)
{
	struct dfb_enroll *e = arg;

	dfb_loop_timer_stop(e->cf.loop, t);
	if (e->announced)
		return;
	e->announced = true;
	if (e->cf.ready != NULL)
		e->cf.ready(e->cf.arg);
}

static void
up(void *arg)
{
	struct place *p = arg;
	const struct dfb_enroll_config *cf = &p->enroll->cf;

	send(p, true);
	if (cf->up != NULL)
		cf->up(cf->arg, p->i);
}

static void
down(void *arg, const char *why)
{
	struct place *p = arg;
	const struct dfb_enroll_config *cf = &p->enroll->cf;

	log_event(DFB_LOG_WARN, "names-lost", "endpoint=%s why=%s",
	    dfb_conn_endpoint(p->conn), dfb_log_quote(why));
	if (cf->down != NULL)
		cf->down(cf->arg, p->i);
}

static void
refused(struct place *p, const struct dfb_proto *m)
{
	char why[200];

	if (m->status == DFB_NOBODY)
		send(p, true);
	else
		log_event(DFB_LOG_ERR, "enroll-refused", "endpoint=%s status=%u why=%s",
		    dfb_conn_endpoint(p->conn), m->status,
		    dfb_log_quote(dfb_str_copy(m->error.reason, why, sizeof why)));
}

static void
frame(void *arg, const struct dfb_proto *m)
{
	struct place *p = arg;
	const struct dfb_enroll_config *cf = &p->enroll->cf;
	bool ours = m->req == REQ_FULL || m->req == REQ_PART;

	if (m->type == DFB_M_WELCOME)
		log_event(DFB_LOG_INFO, "enrolled", "endpoint=%s",
		    dfb_conn_endpoint(p->conn));
	else if (ours && m->type == DFB_M_DONE)
		announce(&p->enroll->announce, p->enroll);
	else if (ours && m->type == DFB_M_ERROR)
		refused(p, m);
	else if (cf->frame != NULL)
		cf->frame(cf->arg, p->i, m);
}

static void
renew(struct dfb_timer *t, void *arg)
{
	struct dfb_enroll *e = arg;

	for (unsigned i = 0; i < e->n; i++)
		if (dfb_conn_is_up(e->at[i].conn))
			send(&e->at[i], false);
	dfb_loop_timer(e->cf.loop, t, e->cf.lease_ms / 3);
}

static int
connect_to(struct dfb_enroll *e, const char *endpoint)
{
	struct place *p = &e->at[e->n];

	if (e->n == DFB_ENROLL_NAMES) {
		log_errx("--names: at most %d name servers", DFB_ENROLL_NAMES);
		return -1;
	}
	*p = (struct place){ .enroll = e, .i = e->n };
	p->conn = dfb_conn_new(&(struct dfb_conn_config){ .net = e->cf.net,
	    .loop = e->cf.loop, .endpoint = endpoint, .role = e->cf.kind,
	    .who = e->cf.name, .region = e->cf.region, .up = up, .down = down,
	    .frame = frame, .arg = p });
	if (p->conn == NULL) {
		log_err("cannot connect to '%s'", endpoint);
		return -1;
	}
	e->n++;
	return 0;
}

static int
connect_all(struct dfb_enroll *e)
{
	char *list = strdup(e->cf.names), *rest = list, *one;
	int rc = list != NULL ? 0 : -1;

	if (list == NULL)
		log_err("cannot enroll");
	while (rc == 0 && (one = strsep(&rest, ",")) != NULL)
		if (*one != '\0')
			rc = connect_to(e, one);
	free(list);
	return rc;
}

struct dfb_enroll *
dfb_enroll_new(const struct dfb_enroll_config *cf)
{
	struct dfb_enroll *e = calloc(1, sizeof *e);

	if (e == NULL || (cf->offer != NULL && dfb_offer_add(&e->offer,
	    &(struct dfb_m_offer){ .up = 1, .topic = dfb_str(cf->offer) }) == -1)) {
		log_err("cannot enroll");
		free(e);
		return NULL;
	}
	e->cf = *cf;
	e->announce = (struct dfb_timer){ .fn = announce, .arg = e };
	e->renew = (struct dfb_timer){ .fn = renew, .arg = e };
	if (connect_all(e) == -1) {
		dfb_enroll_free(e);
		return NULL;
	}
	dfb_loop_timer(cf->loop, &e->announce, e->n != 0 ? ANNOUNCE_MS : 0);
	dfb_loop_timer(cf->loop, &e->renew, cf->lease_ms / 3);
	return e;
}

void
dfb_enroll_free(struct dfb_enroll *e)
{
	if (e == NULL)
		return;
	for (unsigned i = 0; i < e->n; i++) {
		dfb_conn_send(e->at[i].conn, &(struct dfb_proto){ .type = DFB_M_FORGET,
		    .forget = { .name = dfb_str(e->cf.name),
		    .incarnation = e->cf.incarnation } });
		dfb_conn_free(e->at[i].conn, LINGER_MS);
	}
	dfb_loop_timer_stop(e->cf.loop, &e->announce);
	dfb_loop_timer_stop(e->cf.loop, &e->renew);
	dfb_buf_release(&e->offer);
	free(e);
}

bool
dfb_enroll_is_first(const struct dfb_enroll *e, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (dfb_conn_is_up(e->at[k].conn))
			return false;
	return dfb_conn_is_up(e->at[i].conn);
}

int
dfb_enroll_send(struct dfb_enroll *e, unsigned i, const struct dfb_proto *m)
{
	return dfb_conn_send(e->at[i].conn, m);
}

int
dfb_enroll_ask(struct dfb_enroll *e, const struct dfb_proto *m)
{
	for (unsigned i = 0; i < e->n; i++)
		if (dfb_conn_is_up(e->at[i].conn))
			return dfb_conn_send(e->at[i].conn, m);
	return -1;
}

void
dfb_enroll_draining(struct dfb_enroll *e)
{
	e->draining = true;
	for (unsigned i = 0; i < e->n; i++)
		if (dfb_conn_is_up(e->at[i].conn))
			send(&e->at[i], false);
}
