#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/opt.h"
#include "daemon/daemon.h"
#include "daemon/enroll.h"
#include "daemon/keep.h"
#include "dfb-gsl/gsl.h"
#include "net/loop.h"
#include "net/sock.h"
#include "wire/proto.h"

#define QUEUE 1000       /* frames per peer and direction */
#define LINGER_MS 200
#define SGS "%SGS"
#define GSL "%GSL"

enum { OPT_ADVERTISE = 256, OPT_LEASE };

static const struct dfb_opt table[] = {
	{ 'N', "name", "NAME", "what it is called (gsl)" },
	{ 'R', "region", "REGION", "the region it is in (default $DFB_REGION)" },
	DFB_DAEMON_OPTIONS,
	DFB_DAEMON_OPTION_NAMES,
	{ OPT_ADVERTISE, "advertise", "ENDPOINT", "tell clients this endpoint" },
	{ OPT_LEASE, "lease", "TIME", "be listed so long without renewal (10s)" },
	{ 0, NULL, NULL, NULL },
};

void
gsl_fail(void *arg, int status)
{
	struct gsl *g = arg;

	if (g->status == DFB_OK)
		g->status = status;
	dfb_loop_stop(g->loop);
}

static void
on_frame(void *arg, struct dfb_session *s, const struct dfb_proto *m)
{
	struct gsl *g = arg;

	switch (m->type) {
	case DFB_M_LOCATE:
		locate(g, s, m);
		break;
	case DFB_M_UNLOCATE:
		unlocate(g, s, m);
		break;
	case DFB_M_ADMIN:
		admin(g, s, m);
		break;
	default:
		dfb_hub_unknown(&g->hub, s, m);
	}
}

static void
before_sleep(void *arg)
{
	struct gsl *g = arg;

	dfb_hub_push(&g->hub);
	follow_tell(g);
}

static void
on_stop(void *arg, bool now)
{
	struct gsl *g = arg;

	(void)now; /* there is nothing to wait for */
	dfb_daemon_stopping();
	dfb_loop_stop(g->loop);
}

/* ---- name servers ---- */

static void
names_up(void *arg, unsigned i)
{
	struct gsl *g = arg;

	dfb_enroll_send(g->enroll, i, &(struct dfb_proto){ .type = DFB_M_LOOKUP,
	    .req = DFB_ENROLL_REQ, .lookup = { .dest = dfb_str(SGS), .watch = 1 } });
}

static void
names_frame(void *arg, unsigned i, const struct dfb_proto *m)
{
	struct gsl *g = arg;

	if (m->type == DFB_M_ROUTES && dfb_str_is(m->routes.dest, SGS) &&
	    dfb_enroll_is_first(g->enroll, i))
		follow_routes(g, m->routes.routes);
}

static void
ready(void *arg)
{
	struct gsl *g = arg;

	log_event(DFB_LOG_INFO, "ready", "name=%s region=%s endpoint=%s services=%zu "
	    "version=%llu", g->name, g->region, g->endpoint, g->catalog.nservices,
	    (unsigned long long)g->catalog.version);
	if (dfb_daemon_ready(g->ready_fd) == -1)
		gsl_fail(g, DFB_IOERR);
}

static int
enroll(struct gsl *g, const struct dfb_daemon *d)
{
	g->enroll = dfb_enroll_new(&(struct dfb_enroll_config){ .net = g->net,
	    .loop = g->loop, .names = d->names, .kind = "gsl", .name = g->name,
	    .region = g->region, .endpoint = g->endpoint, .offer = GSL,
	    .incarnation = g->incarnation, .lease_ms = (uint32_t)g->lease_ms, .ready = ready,
	    .up = names_up, .frame = names_frame, .arg = g });
	return g->enroll != NULL ? DFB_OK : DFB_OSERR;
}

/* ---- life ---- */

static int
serve(struct gsl *g, struct dfb_daemon *d)
{
	int status;

	dfb_hub_init(&g->hub, &(struct dfb_hub_config){ .loop = g->loop, .sock = g->sock,
	    .name = g->name, .region = g->region, .software = "dfb-gsl " DFB_VERSION,
	    .what = "a gsl", .incarnation = g->incarnation, .frame = on_frame,
	    .news = locate_news, .fail = gsl_fail, .arg = g });
	if (dfb_keep_start(g->keep, g->loop, gsl_fail, g) == -1 ||
	    dfb_hub_start(&g->hub) == -1) {
		log_err("cannot start");
		return DFB_OSERR;
	}
	dfb_loop_before_sleep(g->loop, before_sleep, g);
	if ((status = enroll(g, d)) != DFB_OK)
		return status;
	if (dfb_loop_run(g->loop) == -1) {
		log_err("cannot wait for events");
		return DFB_OSERR;
	}
	return g->status;
}

static int
run(struct gsl *g, struct dfb_daemon *d, const char *advertise)
{
	struct dfb_sock_config cf = { .max_frame = DFB_FRAME_MAX, .queue = QUEUE };
	int status = DFB_OSERR, closed;

	catalog_init(&g->catalog);
	follow_init(g);
	if ((g->loop = dfb_loop_new()) == NULL ||
	    dfb_daemon_signals(d, g->loop, on_stop, g) == -1 ||
	    (g->net = dfb_net_new()) == NULL ||
	    (g->sock = dfb_sock_listen(g->net, &cf)) == NULL)
		log_err("cannot start");
	else if ((status = dfb_daemon_bind(d, g->sock)) == DFB_OK &&
	    (status = store_open(g, d->data)) == DFB_OK) {
		strlcpy(g->endpoint, advertise != NULL ? advertise : d->endpoints[0],
		    sizeof g->endpoint);
		status = serve(g, d);
	}
	dfb_enroll_free(g->enroll);
	follow_release(g);
	closed = dfb_keep_close(g->keep);
	dfb_hub_stop(&g->hub);
	catalog_release(&g->catalog);
	dfb_buf_release(&g->places);
	dfb_sock_close(g->sock, LINGER_MS);
	dfb_net_free(g->net);
	dfb_loop_free(g->loop);
	dfb_daemon_release(d);
	return status != DFB_OK ? status : closed;
}

static void
check(struct gsl *g, const struct dfb_opts *o, const char *advertise)
{
	if (!dfb_name_valid(g->name))
		dfb_usage(o, "--name '%s': a name is 1 to 64 letters, digits, '_', '.' or "
		    "'-'", g->name);
	if (g->region == NULL)
		g->region = getenv("DFB_REGION");
	if (g->region == NULL)
		dfb_usage(o, "no region: say --region A10 or set DFB_REGION");
	if (!dfb_region_valid(g->region))
		dfb_usage(o, "--region: '%s' is not a region: 3 capital letters or digits",
		    g->region);
	if (g->lease_ms < 300 || g->lease_ms > 3600000)
		dfb_usage(o, "--lease takes from 300ms to 1h");
	if (advertise != NULL && dfb_endpoint_check(advertise) != NULL)
		dfb_usage(o, "--advertise '%s': %s", advertise,
		    dfb_endpoint_check(advertise));
}

int
main(int argc, char **argv)
{
	struct dfb_opts o = { .prog = "dfb-gsl", .synopsis = "[options]",
		.purpose = "Tells clients in which regions a service is, and in which order.",
		.table = table };
	struct gsl g = { .name = "gsl", .lease_ms = DFB_ENROLL_LEASE_MS };
	const char *advertise = NULL;
	struct dfb_daemon d;
	int c, status;

	dfb_daemon_init(&d);
	while ((c = dfb_opts_next(&o, argc, argv)) != -1)
		switch (c) {
		case 'N': g.name = o.arg; break;
		case 'R': g.region = o.arg; break;
		case OPT_ADVERTISE: advertise = o.arg; break;
		case OPT_LEASE: g.lease_ms = dfb_opt_duration(&o); break;
		default: dfb_daemon_option(&d, &o, c);
		}
	if (optind < argc)
		dfb_usage(&o, "what is '%s'? dfb-gsl takes options only", argv[optind]);
	check(&g, &o, advertise);
	if ((status = dfb_daemon_finish(&d, &o, g.name)) != DFB_OK)
		return status;
	if (d.check)
		return dfb_daemon_check(&d);
	g.ready_fd = d.ready_fd;
	g.incarnation = dfb_wall_ms();
	g.started_ms = dfb_mono_ms();
	status = run(&g, &d, advertise);
	log_event(status == DFB_OK ? DFB_LOG_INFO : DFB_LOG_ERR, "stopped", "status=%d",
	    status);
	return status;
}
