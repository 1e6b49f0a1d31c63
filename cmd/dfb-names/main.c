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
#define FRAMES_A_TURN 256
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
on_store_failed(void *arg, int status)
{
	names_fail(arg, status);
}

static void
on_changed(void *arg, const char *dest)
{
	struct names *n = arg;

	watch_mark(&n->watches, dest);
}

/* There are too many: say so without keeping anything of it. */
static void
refuse_session(struct names *n, const struct dfb_peer *peer)
{
	static const char why[] = "too many sessions";
	struct dfb_proto m = { .type = DFB_M_ERROR, .status = DFB_AGAIN,
		.error = { .wait_ms = 1000, .reason = { why, sizeof why - 1 } } };
	uint8_t frame[128], *end = dfb_proto_write_head(&m, frame);

	if (!n->sessions.full)
		log_event(DFB_LOG_WARN, "full", "sessions=%zu msg=%s", n->sessions.n,
		    dfb_log_quote(why));
	n->sessions.full = true;
	dfb_sock_send(n->sock, peer, frame, (size_t)(end - frame));
}

static void
on_frames(void *arg)
{
	struct names *n = arg;
	struct dfb_frame f;

	for (int i = 0; i < FRAMES_A_TURN; i++) {
		struct names_session *s;
		int rc = dfb_sock_recv(n->sock, &f);

		if (rc == 0) {
			sessions_drained(n);
			return;
		}
		if (rc == -1) {
			log_err("cannot receive");
			names_fail(n, DFB_OSERR);
			return;
		}
		if ((s = session_get(n, &f.peer)) != NULL) {
			names_handle(n, s, f.data, f.len);
			session_answered(n, s);
		} else
			refuse_session(n, &f.peer);
		dfb_frame_release(&f);
	}
}

static void
on_events(void *arg)
{
	sessions_events(arg);
	/* Also when no frames are left, it must be noticed that there are none. */
	on_frames(arg);
}

static void
before_sleep(void *arg)
{
	held_answer(arg);
	names_push(arg);
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

static int
serve(struct names *n, struct dfb_daemon *d)
{
	if (persist_start(n->persist, n->loop, on_store_failed, n) == -1 ||
	    dfb_loop_add_sock(n->loop, n->sock, on_frames, on_events, n) == -1) {
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
	watches_init(&n->watches);
	held_init(n);
	sessions_init(n);
	if ((n->loop = dfb_loop_new()) == NULL ||
	    dfb_daemon_signals(d, n->loop, on_stop, n) == -1 ||
	    (net = dfb_net_new()) == NULL || (n->sock = dfb_sock_listen(net, &cf)) == NULL)
		log_err("cannot start");
	else if ((status = dfb_daemon_bind(d, n->sock)) == DFB_OK &&
	    (status = load(n, d)) == DFB_OK)
		status = serve(n, d);
	held_end(n);
	closed = persist_close(n->persist);
	sessions_release(n);
	registry_release(&n->registry);
	if (n->sock != NULL)
		dfb_loop_del_sock(n->loop, n->sock);
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
