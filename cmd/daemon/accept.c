/*
 * Connections when descriptors run out.  ZeroMQ 4.3.4 aborts when it cannot accept one on
 * an ipc socket, and with TCP asks again without end.  So its accept4(2) is this one: it
 * closes a connection that would leave the program too few descriptors for its files.
 * The client tries again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/internal.h"

/* What connections leave for segments, logs and threads: this many, or a quarter. */
#define KEPT 64

/* Taken from when not even a connection to be closed could be accepted. */
static int reserve = -1;
static atomic_bool full;

static int
limit(void)
{
	struct rlimit r = { .rlim_cur = 1024 };

	(void)getrlimit(RLIMIT_NOFILE, &r);
	return r.rlim_cur / 4 < KEPT ? (int)(r.rlim_cur - r.rlim_cur / 4) :
	    r.rlim_cur < 1 << 30 ? (int)r.rlim_cur - KEPT : 1 << 30;
}

int
daemon_accept_init(void)
{
	return reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void
daemon_accept_release(void)
{
	if (reserve != -1)
		close(reserve);
	reserve = -1;
}

static int
sys_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return (int)syscall(SYS_accept4, fd, addr, len, flags);
}

int
accept4(int fd, __SOCKADDR_ARG to, socklen_t *restrict len, int flags)
{
	struct sockaddr *addr = to.__sockaddr__;
	int got = sys_accept(fd, addr, len, flags), max = limit();

	if (got == -1 && errno == EMFILE && reserve != -1) {
		close(reserve);
		got = sys_accept(fd, addr, len, flags);
		if (got != -1)
			close(got);
		reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
		got = max;
	} else if (got >= max)
		close(got);
	if (got < max) {
		if (got != -1 && atomic_exchange(&full, false))
			log_event(DFB_LOG_INFO, "descriptors-ok", "limit=%d", max);
		return got;
	}
	if (!atomic_exchange(&full, true))
		log_event(DFB_LOG_WARN, "descriptors-full", "limit=%d why=\"connections are "
		    "refused: raise the limit of open files\"", max);
	errno = ECONNABORTED; /* what ZeroMQ takes for an answer */
	return -1;
}
