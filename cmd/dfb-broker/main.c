/* dfb-broker: stores topics and queues, delivers to consumers, switches calls. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/worker.h"
#include "broker.h"
#include "disk.h"
#include "daemon/daemon.h"
#include "net/loop.h"
#include "store/store.h"

enum {
	OPT_ADVERTISE = 2000, OPT_LEASE, OPT_SEGMENT, OPT_CACHE, OPT_MIN_FREE, OPT_DEDUP,
	OPT_KEEP, OPT_UNLISTENED, OPT_GROW, OPT_SHRINK,
};

static const struct dfb_opt options[] = {
	{ 'N', "name", "NAME", "the broker's name (default b1)" },
	{ 'R', "region", "REGION", "the region it is in (default $DFB_REGION)" },
	DFB_DAEMON_OPTIONS,
	DFB_DAEMON_OPTION_NAMES,
	{ OPT_ADVERTISE, "advertise", "ENDPOINT", "tell clients this endpoint" },
	{ OPT_LEASE, "lease", "TIME", "be listed so long without renewal (10s)" },
	{ OPT_SEGMENT, "segment", "SIZE", "start a new segment above this (256M)" },
	{ OPT_CACHE, "cache", "SIZE", "memory for the database's pages (32M)" },
	{ OPT_MIN_FREE, "min-free", "SIZE", "refuse messages below this disk space (256M)" },
	{ OPT_DEDUP, "dedup", "TIME", "remember senders so long (24h)" },
	{ OPT_GROW, "grow-delay", "TIME", "when new queues take messages (10s)" },
	{ OPT_SHRINK, "shrink-delay", "TIME", "when queues without an instance go (5m)" },
	{ OPT_KEEP, "keep", "TIME", "how often upkeep runs (1s)" },
	{ OPT_UNLISTENED, "unlistened-after", "TIME", "warn of messages without a consumer (10s)" },
	{ 0, NULL, NULL, NULL },
};

static const char *const tables[] = { "meta", "topics", "queues", "groups", "offsets",
	"producers", "letters", "timers", "timer_ids", "timer_counts", "ids", "calls", NULL };

/* Static: its tables live as long as the process. */
static struct broker broker;

static void
parse(struct dfb_opts *o, struct dfb_daemon *d, struct config *cf, int argc, char **argv)
{
	int c;

	while ((c = dfb_opts_next(o, argc, argv)) != -1) {
		if (dfb_daemon_option(d, o, c))
			continue;
		switch (c) {
		case 'N': cf->name = o->arg; break;
		case 'R': cf->region = o->arg; break;
		case OPT_ADVERTISE: cf->advertise = o->arg; break;
		case OPT_LEASE: cf->lease_ms = dfb_opt_duration(o); break;
		case OPT_SEGMENT: cf->segment_bytes = dfb_opt_size(o, 1 << 20, UINT64_C(1) << 40); break;
		case OPT_CACHE: cf->cache_bytes = dfb_opt_size(o, 1 << 20, UINT64_C(1) << 40); break;
		case OPT_MIN_FREE: cf->min_free = dfb_opt_size(o, 0, UINT64_MAX); break;
		case OPT_DEDUP: cf->dedup_ms = dfb_opt_duration(o); break;
		case OPT_UNLISTENED: cf->unlistened_ms = dfb_opt_duration(o); break;
		case OPT_KEEP: cf->keep_ms = dfb_opt_duration(o); break;
		case OPT_GROW: cf->grow_ms = dfb_opt_duration(o); break;
		case OPT_SHRINK: cf->shrink_ms = dfb_opt_duration(o); break;
		}
	}
	if (optind != argc)
		dfb_usage(o, "unexpected argument '%s'", argv[optind]);
	if (!dfb_name_valid(cf->name))
		dfb_usage(o, "--name: '%s' is not a name: 1 to 64 letters, digits, '_', "
		    "'.' or '-'", cf->name);
	if (cf->region == NULL)
		cf->region = getenv("DFB_REGION");
	if (cf->region == NULL)
		dfb_usage(o, "no region: say --region A10 or set DFB_REGION");
	if (!dfb_region_valid(cf->region))
		dfb_usage(o, "--region: '%s' is not a region: 3 capital letters or digits",
		    cf->region);
	if (cf->lease_ms < 300 || cf->lease_ms > 3600000)
		dfb_usage(o, "--lease takes from 300ms to 1h");
	if (cf->keep_ms < 1)
		cf->keep_ms = 1;
	if (cf->advertise != NULL && dfb_endpoint_check(cf->advertise) != NULL)
		dfb_usage(o, "--advertise '%s': %s", cf->advertise,
		    dfb_endpoint_check(cf->advertise));
}

static void
on_stop(void *arg, bool now)
{
	struct broker *b = arg;

	dfb_daemon_stopping();
	if (now)
		dfb_loop_stop(b->loop);
	else
		switch_stop(b);
}

/* A descriptor for each session and for each segment of the store. */
static void
raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static void
init(struct broker *b)
{
	raise_limits();
	broker_init(b);
	b->free_bytes = UINT64_MAX; /* until the keeper has looked */
	b->incarnation = dfb_wall_ms();
	b->wall = b->incarnation;
	b->now = dfb_mono_ms();
	/* Replies to calls of an earlier run must not match. */
	b->call_generation = arc4random();
}

static int ready_fd;

static void
ready(struct broker *b)
{
	log_event(DFB_LOG_INFO, "ready", "name=%s region=%s endpoint=%s data=%s",
	    b->cf.name, b->cf.region, b->endpoint, dfb_log_quote(b->cf.data));
	if (dfb_daemon_ready(ready_fd) == -1)
		dfb_loop_stop(b->loop);
}

static int
serve(struct broker *b, struct dfb_daemon *d)
{
	struct dfb_sock_config sc = { .max_frame = DFB_FRAME_MAX, .queue = 10000 };
	int status;

	if ((b->loop = dfb_loop_new()) == NULL ||
	    dfb_daemon_signals(d, b->loop, on_stop, b) == -1 ||
	    (b->net = dfb_net_new()) == NULL ||
	    (b->sock = dfb_sock_listen(b->net, &sc)) == NULL) {
		log_err("cannot start");
		return DFB_OSERR;
	}
	if ((status = load_all(b)) != DFB_OK)
		return status;
	if ((status = dfb_daemon_bind(d, b->sock)) != DFB_OK)
		return status;
	strlcpy(b->endpoint, b->cf.advertise != NULL ? b->cf.advertise : d->endpoints[0],
	    sizeof b->endpoint);
	ready_fd = d->ready_fd;
	b->say_ready = ready;
	if (switch_run(b) == -1 || enroll_start(b) == -1)
		return DFB_OSERR;
	if (dfb_loop_run(b->loop) == -1) {
		log_err("cannot wait for events");
		return DFB_OSERR;
	}
	return DFB_OK;
}

/* Give everything back: the exit status, which was to be status. */
static int
release(struct broker *b, struct dfb_daemon *d, int status)
{
	struct topic *t, *tn;
	struct session *s;
	struct producer *p, *pn;

	b->stopping = true;
	enroll_stop(b);
	dfb_worker_free(b->keeper);
	dfb_worker_free(b->reader);
	b->keeper = b->reader = NULL;
	while ((s = RB_ROOT(&b->sessions)) != NULL)
		session_free(b, s, "the broker stops");
	if (b->committer != NULL) {
		commit_final(b);
		if (status == DFB_OK && mark_clean(b, true) != 0) {
			log_errx("the store could not be marked as cleanly closed");
			status = DFB_IOERR;
		}
	}
	timers_free(b);
	RB_FOREACH_SAFE(p, producer_tree, &b->producers, pn)
		producer_free(b, p);
	RB_FOREACH_SAFE(t, topic_tree, &b->topics, tn) {
		RB_REMOVE(topic_tree, &b->topics, t);
		topic_free(b, t);
	}
	topic_bury(b);
	recent_free(b);
	dfb_sock_close(b->sock, 500);
	dfb_net_free(b->net);
	if (dfb_store_close(b->store) == -1 && status == DFB_OK)
		status = DFB_IOERR;
	dfb_loop_free(b->loop);
	dfb_daemon_release(d);
	return status;
}

int
main(int argc, char **argv)
{
	struct dfb_opts o = { .prog = "dfb-broker", .synopsis = "[options]",
		.purpose = "Store and deliver messages, and switch calls.",
		.table = options };
	struct dfb_daemon d;
	struct broker *b = &broker;
	int status;

	b->cf = (struct config){ .name = "b1", .lease_ms = 10000,
		.min_free = UINT64_C(256) << 20, .dedup_ms = 86400000, .keep_ms = 1000,
		.unlistened_ms = 10000, .grow_ms = 10000, .shrink_ms = 300000 };
	dfb_daemon_init(&d);
	parse(&o, &d, &b->cf, argc, argv);
	if ((status = dfb_daemon_finish(&d, &o, b->cf.name)) != DFB_OK)
		return status;
	if (d.check)
		return dfb_daemon_check(&d);
	b->cf.data = d.data;
	b->cf.names = d.names;
	init(b);
	if (dfb_store_open(&(struct dfb_store_config){ .dir = d.data, .tables = tables,
	    .segments = true, .cache_bytes = b->cf.cache_bytes,
	    .segment_bytes = b->cf.segment_bytes, .owner = "dfb-broker" }, &b->store,
	    &status) == -1)
		return status;
	status = release(b, &d, serve(b, &d));
	if (status == DFB_OK)
		log_event(DFB_LOG_INFO, "stopped", "name=%s", b->cf.name);
	return status;
}
