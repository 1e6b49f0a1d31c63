#include "daemon/daemon.h"

#include <signal.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "net/loop.h"

static void
on_signal(void *arg, int signo)
{
	struct dfb_daemon *d = arg;
	bool now = d->signals++ > 0;

	log_event(DFB_LOG_INFO, "stopping", "signal=%s now=%d", sigabbrev_np(signo), now);
	d->stop(d->stop_arg, now);
}

int
dfb_daemon_signals(struct dfb_daemon *d, struct dfb_loop *loop,
    void (*stop)(void *, bool), void *arg)
{
	static const int set[] = { SIGTERM, SIGINT, 0 };

	d->stop = stop;
	d->stop_arg = arg;
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -1;
	return dfb_loop_signals(loop, set, on_signal, d);
}

int
dfb_daemon_ready(int ready_fd)
{
	static const char line[] = "ready\n";
	int fd = ready_fd != -1 ? ready_fd : STDERR_FILENO;
	ssize_t n = write(fd, line, sizeof line - 1);

	if (ready_fd != -1)
		if (ready_fd > 2) /* never what the log or a library may write to */
			close(ready_fd);
	if (n != sizeof line - 1) {
		log_err("cannot say ready on descriptor %d", fd);
		return -1;
	}
	sd_notify(0, "READY=1");
	return 0;
}

void
dfb_daemon_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}
