/* There is one sgs on a bus: one that finds another goes away, before anybody finds it. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "client/conn.h"
#include "daemon/enroll.h"
#include "dfb-sgs/sgs.h"
#include "net/loop.h"
#include "wire/proto.h"

#define LOOK_MS 1000

struct looking {
	struct look *look;
	struct dfb_conn *conn;
	bool answered;
};

struct look {
	struct sgs *g;
	void (*done)(struct sgs *);
	struct looking at[DFB_ENROLL_NAMES];
	unsigned n;
	struct dfb_timer timer;
};

bool
look_is_other(const struct sgs *g, const struct dfb_m_daemon *d)
{
	/* One that was at our endpoint is no more: the endpoint is ours. */
	return dfb_str_is(d->kind, "sgs") && d->state != DFB_STATE_LOST &&
	    !dfb_str_is(d->endpoint, sgs_endpoint(g));
}

void
look_say_other(const struct dfb_m_daemon *d)
{
	log_errx("another dfb-sgs, '%.*s', is up at %.*s: a bus has one; stop it first",
	    (int)d->name.len, d->name.p, (int)d->endpoint.len, d->endpoint.p);
}

static void
up(void *arg)
{
	struct looking *l = arg;

	dfb_conn_send(l->conn, &(struct dfb_proto){ .type = DFB_M_DAEMONS, .req = 1 });
}

static void
down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static void
over(struct dfb_timer *t, void *arg)
{
	struct look *l = arg;
	struct sgs *g = l->g;
	void (*done)(struct sgs *) = l->done;

	(void)t;
	look_end(g);
	done(g);
}

static void
frame(void *arg, const struct dfb_proto *m)
{
	struct looking *l = arg;
	struct look *look = l->look;
	struct dfb_blob list = m->listing.daemons;
	struct dfb_m_daemon d;

	if (m->type != DFB_M_LISTING)
		return;
	while (dfb_daemon_next(&list, &d) == 1)
		if (look_is_other(look->g, &d)) {
			look_say_other(&d);
			sgs_fail(look->g, DFB_AGAIN);
			dfb_loop_timer_stop(look->g->loop, &look->timer);
			return;
		}
	l->answered = true;
	for (unsigned i = 0; i < look->n; i++)
		if (!look->at[i].answered)
			return;
	if (look->g->status == DFB_OK) /* not from within its own session */
		dfb_loop_timer(look->g->loop, &look->timer, 0);
}

static int
ask(struct look *look, const char *endpoint)
{
	struct looking *l = &look->at[look->n];

	*l = (struct looking){ .look = look };
	l->conn = dfb_conn_new(&(struct dfb_conn_config){ .net = look->g->net,
	    .loop = look->g->loop, .endpoint = endpoint, .role = "sgs",
	    .who = look->g->name, .up = up, .down = down, .frame = frame, .arg = l });
	if (l->conn == NULL) {
		log_err("cannot connect to '%s'", endpoint);
		return -1;
	}
	look->n++;
	return 0;
}

int
look_begin(struct sgs *g, void (*done)(struct sgs *))
{
	char *list = strdup(g->daemon->names), *rest = list, *one;
	struct look *l = calloc(1, sizeof *l);
	int rc = 0;

	if (list == NULL || l == NULL) {
		log_err("cannot start");
		free(list);
		free(l);
		return -1;
	}
	*l = (struct look){ .g = g, .done = done, .timer = { .fn = over, .arg = l } };
	g->look = l;
	while (rc == 0 && (one = strsep(&rest, ",")) != NULL)
		if (*one != '\0' && l->n < DFB_ENROLL_NAMES)
			rc = ask(l, one);
	free(list);
	dfb_loop_timer(g->loop, &l->timer, l->n != 0 ? LOOK_MS : 0);
	return rc;
}

void
look_end(struct sgs *g)
{
	struct look *l = g->look;

	if (l == NULL)
		return;
	dfb_loop_timer_stop(g->loop, &l->timer);
	for (unsigned i = 0; i < l->n; i++)
		dfb_conn_free(l->at[i].conn, 0);
	free(l);
	g->look = NULL;
}
