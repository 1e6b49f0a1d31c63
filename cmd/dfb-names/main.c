#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/opt.h"
#include "daemon/daemon.h"
#include "dfb-names/names.h"
#include "dfb-names/persist.h"
#include "net/loop.h"
#include "net/sock.h"
#include "wire/proto.h"

#define QUEUE 1000       /* frames per peer and direction */
#define LINGER_MS 200
#define LEASE_MAX_MS (10 * 60 * 1000)

static const struct dfb_opt table[] = {
	{ 'N', "name", "NAME", "what it is called (names)" },
	DFB_DAEMON_OPTIONS,
	{ 256, "lease-max", "TIME", "the longest lease that is granted (10m)" },
	{ 0, NULL, NULL, NULL },
};

void
names_fail(struct names *n, int status)
{
	if (n->status == DFB_OK)
		n->status = status;
	dfb_loop_stop(n->loop);
}

static void
fail(void *arg, int status)
{
	names_fail(arg, status);
}

static void
on_changed(void *arg, const char *dest)
{
	struct names *n = arg;

	dfb_watch_mark(&n->hub.watches, dest);
}

static void
frame(void *arg, struct dfb_session *s, const struct dfb_proto *m)
{
	struct names *n = arg;

	switch (m->type) {
	case DFB_M_ADMIN:
		names_admin(n, s, m);
		break;
	case DFB_M_ENROLL:
		names_enroll(n, s, m);
		break;
	case DFB_M_FORGET:
		names_forget(n, s, m);
		break;
	case DFB_M_LOOKUP:
		names_lookup(n, s, m);
		break;
	case DFB_M_UNWATCH:
		names_unwatch(n, s, m);
		break;
	case DFB_M_DAEMONS:
		names_listing(n, s, m);
		break;
	default:
		dfb_hub_unknown(&n->hub, s, m);
	}
}

static void
before_sleep(void *arg)
{
	struct names *n = arg;

	held_answer(n);
	dfb_hub_push(&n->hub);
}

static void
on_stop(void *arg, bool now)
{
	struct names *n = arg;

	(void)now; /* there is nothing to wait for */
	dfb_daemon_stopping();
	dfb_loop_stop(n->loop);
}

static int
load(struct names *n, const struct dfb_daemon *d)
{
	uint64_t version;
	bool again;
	int status;

	if ((n->persist = persist_open(d->data, &status)) == NULL)
		return status;
	version = persist_version(n->persist, &again, &status);
	if (status != DFB_OK)
		return status;
	if (again)
		held_begin(n);
	registry_init(&n->registry, version, on_changed, n);
	return persist_load(n->persist, &n->registry);
}

static void
hub(struct names *n)
{
	dfb_hub_init(&n->hub, &(struct dfb_hub_config){ .loop = n->loop, .sock = n->sock,
	    .name = n->name, .region = "", .software = "dfb-names " DFB_VERSION,
	    .what = "a name server", .incarnation = n->incarnation, .frame = frame,
	    .deaf = held_remove_all, .ended = names_lost, .news = names_news, .fail = fail,
	    .arg = n });
}

static int
serve(struct names *n, struct dfb_daemon *d)
{
	if (persist_start(n->persist, n->loop, fail, n) == -1 ||
	    dfb_hub_start(&n->hub) == -1) {
		log_err("cannot start");
		return DFB_OSERR;
	}
	dfb_loop_before_sleep(n->loop, before_sleep, n);
	for (struct names_entry *e = NULL; (e = registry_next(&n->registry, e)) != NULL;)
		names_adopt(n, e);
	log_event(DFB_LOG_INFO, "ready", "name=%s enrolled=%zu topics=%zu version=%llu",
	    n->name, n->registry.nentries, n->registry.ntopics,
	    (unsigned long long)n->registry.version);
	if (dfb_daemon_ready(d->ready_fd) == -1)
		return DFB_IOERR;
	if (dfb_loop_run(n->loop) == -1) {
		log_err("cannot wait for events");
		return DFB_OSERR;
	}
	return n->status;
}

static int
run(struct names *n, struct dfb_daemon *d)
{
	struct dfb_sock_config cf = { .max_frame = DFB_FRAME_MAX, .queue = QUEUE };
	struct dfb_net *net = NULL;
	int status = DFB_OSERR, closed;

	registry_init(&n->registry, 0, on_changed, n);
	held_init(n);
	if ((n->loop = dfb_loop_new()) == NULL ||
	    dfb_daemon_signals(d, n->loop, on_stop, n) == -1 ||
	    (net = dfb_net_new()) == NULL || (n->sock = dfb_sock_listen(net, &cf)) == NULL)
		log_err("cannot start");
	else if ((status = dfb_daemon_bind(d, n->sock)) == DFB_OK) {
		hub(n);
		if ((status = load(n, d)) == DFB_OK)
			status = serve(n, d);
	}
	held_end(n);
	closed = persist_close(n->persist);
	dfb_hub_stop(&n->hub);
	registry_release(&n->registry);
	dfb_sock_close(n->sock, LINGER_MS);
	dfb_net_free(net);
	dfb_loop_free(n->loop);
	dfb_daemon_release(d);
	return status != DFB_OK ? status : closed;
}

int
main(int argc, char **argv)
{
	struct dfb_opts o = { .prog = "dfb-names", .synopsis = "[options]",
		.purpose = "Tells clients which brokers serve a topic, and when that changes.",
		.table = table };
	struct names n = { .name = "names", .lease_max_ms = LEASE_MAX_MS };
	struct dfb_daemon d;
	int c, status;

	dfb_daemon_init(&d);
	d.names = ""; /* it needs no other */
	while ((c = dfb_opts_next(&o, argc, argv)) != -1)
		if (c == 'N') {
			if (!dfb_name_valid(o.arg))
				dfb_usage(&o, "--name '%s': a name is 1 to 64 letters, digits, "
				    "'_', '.' or '-'", o.arg);
			n.name = o.arg;
		} else if (c == 256) {
			n.lease_max_ms = dfb_opt_duration(&o);
			if (n.lease_max_ms < NAMES_LEASE_MIN_MS || n.lease_max_ms > UINT32_MAX)
				dfb_usage(&o, "--lease-max is 100ms to 49d");
		} else
			dfb_daemon_option(&d, &o, c);
	if (optind < argc)
		dfb_usage(&o, "what is '%s'? dfb-names takes options only", argv[optind]);
	if ((status = dfb_daemon_finish(&d, &o, n.name)) != DFB_OK)
		return status;
	if (d.check)
		return dfb_daemon_check(&d);
	n.incarnation = dfb_wall_ms();
	n.started_ms = dfb_mono_ms();
	status = run(&n, &d);
	log_event(status == DFB_OK ? DFB_LOG_INFO : DFB_LOG_ERR, "stopped", "status=%d",
	    status);
	return status;
}
