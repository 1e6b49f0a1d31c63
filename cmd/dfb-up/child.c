#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "dfb-up/up.h"
#include "net/loop.h"

#define SHOW_BYTES 4096
#define SHOW_LINES 10
#define CHILD_READY_FD 3

const char *
child_how(int w)
{
	static char text[64];

	if (WIFSIGNALED(w))
		snprintf(text, sizeof text, "signal %d (%s)", WTERMSIG(w),
		    sigabbrev_np(WTERMSIG(w)) != NULL ? sigabbrev_np(WTERMSIG(w)) : "?");
	else
		snprintf(text, sizeof text, "exit status %d", WEXITSTATUS(w));
	return text;
}

void
child_prepare(pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* A shell ignores it for what runs in the background; we pass it on. */
	signal(SIGINT, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) /* it died before it could be noticed */
		_exit(0);
}

/* In the child: becomes the daemon.  Its own process group, so that a ^C on the
 * terminal does not stop it out of turn. */
static _Noreturn void
become(const struct child *c, pid_t parent, int ready, int err)
{
	int null = open("/dev/null", O_RDWR);

	child_prepare(parent);
	setpgid(0, 0);
	if (null == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(err, STDERR_FILENO) == -1 || dup2(null, STDOUT_FILENO) == -1)
		_exit(127);
	if (ready == CHILD_READY_FD)
		fcntl(ready, F_SETFD, 0);
	else if (dup2(ready, CHILD_READY_FD) == -1)
		_exit(127);
	close_range(CHILD_READY_FD + 1, ~0u, 0);
	execvp(c->argv[0], c->argv);
	log_err("cannot run '%s'", c->argv[0]);
	_exit(127);
}

static void
on_ready(void *arg, uint32_t events)
{
	struct child *c = arg;
	char text[16];
	ssize_t n = read(c->ready_fd, text, sizeof text);

	(void)events;
	dfb_loop_del_fd(c->up->loop, c->ready_fd);
	close(c->ready_fd);
	c->ready_fd = -1;
	if (n <= 0) /* it ended, as SIGCHLD tells */
		return;
	c->ready = c->ever_ready = true;
	up_ready(c);
}

static void
write_all(int fd, const char *p, size_t n)
{
	ssize_t w;

	for (; n > 0; p += w, n -= (size_t)w)
		if ((w = write(fd, p, n)) <= 0)
			return; /* a full disk must not stop the bus */
}

/* With --verbose: one part of its stderr goes to the log and to ours.  The bytes. */
static ssize_t
copy(struct child *c)
{
	char text[4096];
	ssize_t n = read(c->err_fd, text, sizeof text);

	if (n > 0) {
		write_all(c->log_fd, text, (size_t)n);
		write_all(STDERR_FILENO, text, (size_t)n);
	}
	return n;
}

static void
close_err(struct child *c)
{
	dfb_loop_del_fd(c->up->loop, c->err_fd);
	close(c->err_fd);
	c->err_fd = -1;
}

static void
on_err(void *arg, uint32_t events)
{
	struct child *c = arg;
	ssize_t n = copy(c);

	(void)events;
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		close_err(c);
}

void
child_drain(struct child *c)
{
	while (c->err_fd != -1 && copy(c) > 0)
		;
}

void
child_ended(struct child *c)
{
	c->pid = 0;
	c->ready = false;
	if (c->ready_fd != -1) {
		dfb_loop_del_fd(c->up->loop, c->ready_fd);
		close(c->ready_fd);
		c->ready_fd = -1;
	}
	if (c->err_fd != -1) {
		child_drain(c);
		close_err(c);
	}
	if (c->log_fd != -1) {
		close(c->log_fd);
		c->log_fd = -1;
	}
}

static void
log_name(const struct child *c, char *name, size_t size)
{
	snprintf(name, size, "%s/log/%s.log", c->up->path, c->name);
}

static int
open_log(struct child *c)
{
	char name[UP_PATH + 64];

	log_name(c, name, sizeof name);
	if ((c->log_fd = open(name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) == -1) {
		log_err("cannot open '%s'", name);
		return -1;
	}
	c->log_start = lseek(c->log_fd, 0, SEEK_END);
	return 0;
}

int
child_start(struct child *c)
{
	int ready[2] = { -1, -1 }, err[2] = { -1, -1 };
	struct dfb_loop *loop = c->up->loop;
	pid_t parent = getpid();

	if (open_log(c) == -1)
		return -1;
	if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) == -1 ||
	    (c->up->verbose && pipe2(err, O_CLOEXEC) == -1))
		goto failed;
	c->started_ms = dfb_mono_ms();
	if ((c->pid = fork()) == -1)
		goto failed;
	if (c->pid == 0)
		become(c, parent, ready[1], err[1] != -1 ? err[1] : c->log_fd);
	close(ready[1]);
	ready[1] = -1;
	c->ready_fd = ready[0];
	ready[0] = -1;
	if (err[1] != -1) {
		close(err[1]);
		err[1] = -1;
		fcntl(err[0], F_SETFL, O_NONBLOCK);
		c->err_fd = err[0];
		err[0] = -1;
	}
	if (dfb_loop_add_fd(loop, c->ready_fd, EPOLLIN, on_ready, c) == -1 ||
	    (c->err_fd != -1 && dfb_loop_add_fd(loop, c->err_fd, EPOLLIN, on_err, c) == -1)) {
		log_err("cannot watch '%s'", c->name);
		return -1;
	}
	return 0;
failed:
	log_err("cannot start '%s'", c->name);
	c->pid = 0;
	for (int i = 0; i < 2; i++) {
		if (ready[i] != -1)
			close(ready[i]);
		if (err[i] != -1)
			close(err[i]);
	}
	close(c->log_fd);
	c->log_fd = -1;
	return -1;
}

void
child_show_log(const struct child *c)
{
	char name[UP_PATH + 64], text[SHOW_BYTES + 1];
	off_t end, from;
	ssize_t n;
	char *p;
	int fd, lines = 0;

	log_name(c, name, sizeof name);
	if ((fd = open(name, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	end = lseek(fd, 0, SEEK_END);
	from = end - SHOW_BYTES > c->log_start ? end - SHOW_BYTES : c->log_start;
	n = pread(fd, text, SHOW_BYTES, from);
	close(fd);
	if (n <= 0)
		return;
	for (p = text + n - 1; p > text; p--)
		if (p[-1] == '\n' && ++lines == SHOW_LINES)
			break;
	log_errx("the end of %s:", name);
	write_all(STDERR_FILENO, p, (size_t)(text + n - p));
}
