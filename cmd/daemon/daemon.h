/*
 * What all daemons have in common: options, binding, readiness, signals.  The order in
 * main: _init, options (_option for each letter), _finish, dfb_daemon_check when
 * d.check, store, loop, dfb_daemon_signals (before any thread), socket,
 * dfb_daemon_bind, dfb_daemon_ready, run, dfb_daemon_stopping, _release.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

struct dfb_loop;
struct dfb_opts;
struct dfb_sock;

#define DFB_DAEMON_BINDS 8
#define DFB_DAEMON_ENDPOINT 256

/* Letters of the common options, as dfb_opts_next() returns them. */
enum {
	DFB_DAEMON_BIND = 'b', DFB_DAEMON_DATA = 'd', DFB_DAEMON_NAMES = 'n',
	DFB_DAEMON_CHECK = 'c', DFB_DAEMON_READY_FD = 1000, DFB_DAEMON_INSECURE,
};

/* Rows for the table of struct dfb_opt. */
#define DFB_DAEMON_OPTIONS \
	{ DFB_DAEMON_BIND, "bind", "ENDPOINT", "listen there (may be repeated)" }, \
	{ DFB_DAEMON_DATA, "data", "DIR", "keep the data there" }, \
	{ DFB_DAEMON_CHECK, "check", NULL, "check options and directories, and exit" }, \
	{ DFB_DAEMON_READY_FD, "ready-fd", "N", "say \"ready\" on descriptor N" }, \
	{ DFB_DAEMON_INSECURE, "insecure", NULL, "allow tcp without keys" }
#define DFB_DAEMON_OPTION_NAMES \
	{ DFB_DAEMON_NAMES, "names", "LIST", "name servers, comma between them" }

struct dfb_daemon {
	const char *binds[DFB_DAEMON_BINDS]; /* as asked for */
	size_t nbinds;
	const char *data;
	const char *names;
	bool check, insecure;
	int ready_fd;                        /* -1: stderr */
	/* As clients must write them; set by dfb_daemon_bind. */
	char endpoints[DFB_DAEMON_BINDS][DFB_DAEMON_ENDPOINT];
	/* Private. */
	char default_data[DFB_DAEMON_ENDPOINT], default_bind[DFB_DAEMON_ENDPOINT];
	int locks[DFB_DAEMON_BINDS];
	unsigned signals;
	void (*stop)(void *arg, bool now);
	void *stop_arg;
};

void dfb_daemon_init(struct dfb_daemon *);

/* Take an option: true; false when the letter is none of the common ones.  Does not
 * return when its argument is malformed (exit DFB_USAGE). */
bool dfb_daemon_option(struct dfb_daemon *, const struct dfb_opts *, int letter);

/*
 * After the options: make the log a daemon's, fill in defaults and refuse what
 * cannot be.  name ("names", "b1") makes the defaults: data $STATE_DIRECTORY when
 * systemd set it, else /var/lib/dfb/NAME; bind ipc:///run/dfb/NAME.sock; names
 * $DFB_NAMES, else ipc:///run/dfb/names.sock ("": none).  Raises the limit of open
 * descriptors to the hard one.  Malformed endpoints do not return
 * (DFB_USAGE).  DFB_OK; DFB_DENIED, logged, for tcp without --insecure.
 */
int dfb_daemon_finish(struct dfb_daemon *, const struct dfb_opts *, const char *name);

/* For --check: whether the sockets' directories and the data directory could be used.
 * Changes nothing, and may be asked while the daemon runs.  DFB_OK or the exit status,
 * logged. */
int dfb_daemon_check(const struct dfb_daemon *);

/*
 * Bind all endpoints and log event=bound for each.  An ipc path is guarded by a lock
 * on PATH.lock, held until _release: a second daemon is refused (DFB_AGAIN), a
 * socket that a dead one left is replaced, a file that is no socket is left alone.
 * From here on a connection that would take the last descriptors is closed (it comes
 * again), and event=descriptors-full logged; descriptors-ok when one is taken again.
 * DFB_OK or the exit status, logged.
 */
int dfb_daemon_bind(struct dfb_daemon *, struct dfb_sock *);

/* Run stop(arg, false) at the first SIGTERM or SIGINT (drain, then end), stop(arg, true) at
 * each later one (end now); ignore SIGPIPE.  Before any thread is started.  0, or -1
 * with errno. */
int dfb_daemon_signals(struct dfb_daemon *, struct dfb_loop *,
    void (*stop)(void *arg, bool now), void *arg);

/* Ready: a line "ready" on stderr or, when ready_fd is not -1, on that descriptor, which is
 * then closed; and READY=1 to systemd.  0, or -1 logged. */
int dfb_daemon_ready(int ready_fd);

/* Tell systemd that it is stopping. */
void dfb_daemon_stopping(void);

/* Remove the ipc sockets and give up the locks; after the socket is closed. */
void dfb_daemon_release(struct dfb_daemon *);

#endif
