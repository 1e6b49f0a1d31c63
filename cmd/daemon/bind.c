#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/internal.h"
#include "dfb.h"
#include "net/sock.h"

static int
sys_status(int e)
{
	return e == EACCES || e == EPERM || e == EROFS ? DFB_DENIED :
	    e == EADDRINUSE ? DFB_AGAIN :
	    e == ENOENT || e == ENOTDIR || e == ENOSPC || e == EIO ? DFB_IOERR : DFB_OSERR;
}

/* The directory that path is in. */
static void
directory(const char *path, char *dir, size_t size)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		snprintf(dir, size, ".");
	else if (slash == path)
		snprintf(dir, size, "/");
	else
		snprintf(dir, size, "%.*s", (int)(slash - path), path);
}

int
daemon_socket_check(const char *path)
{
	char dir[DFB_DAEMON_ENDPOINT];
	struct stat st;

	directory(path, dir, sizeof dir);
	if (stat(dir, &st) == -1) {
		log_err("cannot listen at '%s': directory '%s' is not there; make it, or "
		    "give another --bind", path, dir);
		return sys_status(errno);
	}
	if (!S_ISDIR(st.st_mode)) {
		log_errx("cannot listen at '%s': '%s' is not a directory", path, dir);
		return DFB_IOERR;
	}
	if (access(dir, W_OK | X_OK) == -1) {
		log_err("cannot listen at '%s': directory '%s'", path, dir);
		return sys_status(errno);
	}
	/* Binding would remove whatever is there. */
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		log_errx("cannot listen at '%s': a file that is not a socket is there", path);
		return DFB_IOERR;
	}
	return DFB_OK;
}

/* Who holds the lock, from its file. */
static void
in_use(int fd, const char *path)
{
	char who[64] = "";

	if (pread(fd, who, sizeof who - 1, 0) <= 0)
		snprintf(who, sizeof who, "?");
	who[strcspn(who, "\n")] = '\0';
	log_errx("cannot listen at '%s': in use by process %s; stop it, or give another "
	    "--bind", path, who);
}

static int
lock(const char *path, int *out)
{
	char name[DFB_DAEMON_ENDPOINT];
	int fd, status;

	snprintf(name, sizeof name, "%s.lock", path);
	if ((fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) == -1) {
		log_err("cannot open '%s'", name);
		return sys_status(errno);
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		status = errno == EWOULDBLOCK ? DFB_AGAIN : DFB_OSERR;
		if (status == DFB_AGAIN)
			in_use(fd, path);
		else
			log_err("cannot lock '%s'", name);
		close(fd);
		return status;
	}
	/* Only for the message above. */
	if (ftruncate(fd, 0) == -1 || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		log_err("cannot write '%s'", name);
		close(fd);
		return sys_status(errno);
	}
	*out = fd;
	return DFB_OK;
}

/* ZeroMQ writes 127.0.0.1 as [::ffff:127.0.0.1], which nobody wants to type. */
static void
plain_ipv4(char *endpoint)
{
	static const char mapped[] = "tcp://[::ffff:";
	size_t n = sizeof mapped - 1;
	char *end = strchr(endpoint, ']');

	if (strncmp(endpoint, mapped, n) != 0 || end == NULL ||
	    strspn(endpoint + n, "0123456789.") != (size_t)(end - endpoint) - n)
		return;
	memmove(end, end + 1, strlen(end));
	memmove(endpoint + 6, endpoint + n, strlen(endpoint + n) + 1);
}

int
dfb_daemon_bind(struct dfb_daemon *d, struct dfb_sock *sock)
{
	if (daemon_accept_init() == -1) {
		log_err("cannot start");
		return DFB_OSERR;
	}
	for (size_t i = 0; i < d->nbinds; i++) {
		const char *e = d->binds[i], *path = e + 6;
		bool ipc = strncmp(e, "ipc://", 6) == 0;
		int status;

		if (ipc && ((status = daemon_socket_check(path)) != DFB_OK ||
		    (status = lock(path, &d->locks[i])) != DFB_OK))
			return status;
		if (dfb_sock_bind(sock, e, d->endpoints[i], sizeof d->endpoints[i]) == -1) {
			log_err("cannot listen at '%s'", e);
			return sys_status(errno);
		}
		plain_ipv4(d->endpoints[i]);
		log_event(DFB_LOG_INFO, "bound", "endpoint=%s",
		    dfb_log_quote(d->endpoints[i]));
	}
	return DFB_OK;
}

void
dfb_daemon_release(struct dfb_daemon *d)
{
	/* ZeroMQ leaves the sockets.  The lock files stay: removing one would race with
	 * the next to lock it. */
	for (size_t i = 0; i < DFB_DAEMON_BINDS; i++)
		if (d->locks[i] != -1) {
			if (*d->endpoints[i] != '\0')
				unlink(d->binds[i] + 6);
			close(d->locks[i]);
			d->locks[i] = -1;
		}
	daemon_accept_release();
}
