#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/opt.h"
#include "daemon/enroll.h"
#include "dfb-sgs/sgs.h"
#include "net/loop.h"
#include "net/sock.h"
#include "wire/proto.h"

#define QUEUE 1000       /* frames per peer and direction */
#define LINGER_MS 200
#define GRACE_MS 1000
#define GRACE_MAX_MS 3600000

enum { OPT_LEASE = 256, OPT_GRACE };

static const struct dfb_opt table[] = {
	{ 'N', "name", "NAME", "what it is called (sgs)" },
	DFB_DAEMON_OPTIONS,
	DFB_DAEMON_OPTION_NAMES,
	{ OPT_LEASE, "lease", "TIME", "name servers forget it after so long (10s)" },
	{ OPT_GRACE, "grace", "TIME", "how long clients have to leave a place (1s)" },
	{ 0, NULL, NULL, NULL },
};

void
sgs_fail(struct sgs *g, int status)
{
	if (g->status == DFB_OK)
		g->status = status;
	dfb_loop_stop(g->loop);
}

const char *
sgs_endpoint(const struct sgs *g)
{
	return g->daemon->endpoints[0];
}

static void
fail(void *arg, int status)
{
	sgs_fail(arg, status);
}

static void
frame(void *arg, struct dfb_session *s, const struct dfb_proto *m)
{
	struct sgs *g = arg;

	switch (m->type) {
	case DFB_M_ADMIN:
		admin_frame(g, s, m);
		break;
	case DFB_M_FOLLOW:
		gsls_follow(g, s, m);
		break;
	case DFB_M_FOLLOWED:
		gsls_followed(g, s, m);
		break;
	default:
		dfb_hub_unknown(&g->hub, s, m);
	}
}

static void
deaf(void *arg, struct dfb_session *s)
{
	await_forget(arg, s);
	gsls_forget(arg, s);
}

static void
before_sleep(void *arg)
{
	govern_run(arg);
	gsls_push(arg); /* also of the steps that were just taken */
}

static void
on_stop(void *arg, bool now)
{
	struct sgs *g = arg;

	(void)now; /* there is nothing to wait for: it goes on from the book */
	dfb_daemon_stopping();
	dfb_loop_stop(g->loop);
}

static void
ready(void *arg)
{
	struct sgs *g = arg;

	log_event(DFB_LOG_INFO, "ready", "name=%s services=%zu version=%llu", g->name,
	    json_object_size(g->book.services), (unsigned long long)g->book.version);
	if (dfb_daemon_ready(g->daemon->ready_fd) == -1)
		sgs_fail(g, DFB_IOERR);
}

/* No other one is up. */
static void
alone(struct sgs *g)
{
	if (dfb_hub_start(&g->hub) == -1) {
		log_err("cannot start");
		sgs_fail(g, DFB_OSERR);
	} else if (fleet_begin(g, ready) == -1)
		sgs_fail(g, DFB_OSERR);
}

static void
hub(struct sgs *g)
{
	dfb_hub_init(&g->hub, &(struct dfb_hub_config){ .loop = g->loop, .sock = g->sock,
	    .name = g->name, .region = "", .software = "dfb-sgs " DFB_VERSION,
	    .what = "sgs", .incarnation = g->incarnation, .frame = frame, .deaf = deaf,
	    .ended = deaf, .fail = fail, .arg = g });
}

static int
serve(struct sgs *g)
{
	dfb_loop_before_sleep(g->loop, before_sleep, g);
	if (look_begin(g, alone) == -1)
		return DFB_OSERR;
	if (dfb_loop_run(g->loop) == -1) {
		log_err("cannot wait for events");
		return DFB_OSERR;
	}
	return g->status;
}

static int
run(struct sgs *g, struct dfb_daemon *d)
{
	struct dfb_sock_config cf = { .max_frame = DFB_FRAME_MAX, .queue = QUEUE };
	int status = DFB_OSERR, closed;

	if ((g->loop = dfb_loop_new()) == NULL || (g->dirty = json_object()) == NULL ||
	    dfb_daemon_signals(d, g->loop, on_stop, g) == -1 ||
	    (g->net = dfb_net_new()) == NULL ||
	    (g->sock = dfb_sock_listen(g->net, &cf)) == NULL)
		log_err("cannot start");
	else if ((status = dfb_daemon_bind(d, g->sock)) == DFB_OK &&
	    (status = book_open(&g->book, d->data)) == DFB_OK) {
		hub(g);
		status = serve(g);
	}
	await_forget(g, NULL);
	look_end(g);
	fleet_end(g);
	dfb_hub_stop(&g->hub);
	drain_end(g);
	json_decref(g->dirty);
	closed = book_close(&g->book);
	dfb_sock_close(g->sock, LINGER_MS);
	dfb_net_free(g->net);
	dfb_loop_free(g->loop);
	dfb_daemon_release(d);
	return status != DFB_OK ? status : closed;
}

static void
own_option(struct sgs *g, const struct dfb_opts *o, int c)
{
	if (c == 'N') {
		if (!dfb_name_valid(o->arg))
			dfb_usage(o, "--name '%s': a name is 1 to 64 letters, digits, '_', '.' "
			    "or '-'", o->arg);
		g->name = o->arg;
	} else if (c == OPT_LEASE) {
		g->lease_ms = dfb_opt_duration(o);
		if (g->lease_ms < 300 || g->lease_ms > 600000)
			dfb_usage(o, "--lease is 300ms to 10m");
	} else {
		g->grace_ms = dfb_opt_duration(o);
		if (g->grace_ms > GRACE_MAX_MS)
			dfb_usage(o, "--grace is at most 1h");
	}
}

int
main(int argc, char **argv)
{
	struct dfb_opts o = { .prog = "dfb-sgs", .synopsis = "[options]",
		.purpose = "Governs services: where each is deployed, and the way there.",
		.table = table };
	struct sgs g = { .name = "sgs", .lease_ms = DFB_ENROLL_LEASE_MS,
		.grace_ms = GRACE_MS };
	struct dfb_daemon d;
	int c, status;

	dfb_daemon_init(&d);
	TAILQ_INIT(&g.gsls);
	TAILQ_INIT(&g.drains);
	TAILQ_INIT(&g.awaits);
	RB_INIT(&g.brokers);
	g.daemon = &d;
	while ((c = dfb_opts_next(&o, argc, argv)) != -1)
		if (!dfb_daemon_option(&d, &o, c))
			own_option(&g, &o, c);
	if (optind < argc)
		dfb_usage(&o, "what is '%s'? dfb-sgs takes options only", argv[optind]);
	if ((status = dfb_daemon_finish(&d, &o, g.name)) != DFB_OK)
		return status;
	if (d.check)
		return dfb_daemon_check(&d);
	g.incarnation = dfb_wall_ms();
	g.started_ms = dfb_mono_ms();
	status = run(&g, &d);
	log_event(status == DFB_OK ? DFB_LOG_INFO : DFB_LOG_ERR, "stopped", "status=%d",
	    status);
	return status;
}
