#include "dfb-recv/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "net/loop.h"

#define READ_SIZE 65536
#define READ_MORE 262144 /* of those who write a lot */

enum { IN, OUT, ERR };

static LIST_HEAD(, child) running = LIST_HEAD_INITIALIZER(running);
static sigset_t first_mask;

void
child_setup(void)
{
	int fd;

	/* A pipe must never become one of the three. */
	while ((fd = open("/dev/null", O_RDWR)) != -1 && fd <= STDERR_FILENO)
		;
	if (fd != -1)
		close(fd);
	sigprocmask(SIG_BLOCK, NULL, &first_mask);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
}

void
child_init(struct child *c, struct dfb_loop *loop)
{
	*c = (struct child){ .loop = loop, .fd = { -1, -1, -1 } };
}

static void
close_fd(struct child *c, int which)
{
	if (c->fd[which] == -1)
		return;
	if (which == IN ? c->in_waits : which == ERR || !c->paused)
		dfb_loop_del_fd(c->loop, c->fd[which]);
	if (which == IN)
		c->in_waits = false;
	if (which == OUT)
		c->paused = false;
	close(c->fd[which]);
	c->fd[which] = -1;
}

void
child_release(struct child *c)
{
	if (c->pid != 0) {
		child_signal(c, SIGKILL);
		LIST_REMOVE(c, link);
		for (int i = IN; i <= ERR; i++)
			close_fd(c, i);
		while (waitpid(c->pid, NULL, 0) == -1 && errno == EINTR)
			;
		c->pid = 0;
	}
	dfb_buf_release(&c->in);
	dfb_buf_release(&c->out);
}

/* ---- its streams ---- */

static void
on_writable(void *arg, uint32_t ready)
{
	(void)ready;
	child_flush(arg);
}

void
child_flush(struct child *c)
{
	while (c->fd[IN] != -1 && c->in_at < c->in.len) {
		ssize_t n = write(c->fd[IN], c->in.data + c->in_at,
		    c->in.len - c->in_at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			/* A process that cannot be watched cannot be fed. */
			if (!c->in_waits && dfb_loop_add_fd(c->loop, c->fd[IN],
			    EPOLLOUT, on_writable, c) == -1)
				close_fd(c, IN);
			else
				c->in_waits = true;
			if (c->in_at > c->in.len / 2) {
				dfb_buf_consume(&c->in, c->in_at);
				c->in_at = 0;
			}
			return;
		}
		if (n == -1) {
			/* It does not want to read: its exit status tells more. */
			close_fd(c, IN);
			return;
		}
		c->in_at += (size_t)n;
		c->written += (size_t)n;
	}
	if (c->fd[IN] == -1)
		return;
	c->in.len = c->in_at = 0;
	if (c->in_eof)
		close_fd(c, IN);
	else if (c->in_waits) {
		dfb_loop_del_fd(c->loop, c->fd[IN]);
		c->in_waits = false;
	}
}

/* Read once, at most max bytes: how many; 0: the end, -1: nothing there. */
static ssize_t
read_out(struct child *c, size_t max)
{
	ssize_t n;

	if (dfb_buf_reserve(&c->out, max) == -1) {
		log_err("cannot keep the output of a handler");
		return 0;
	}
	n = read(c->fd[OUT], c->out.data + c->out.len, max);
	if (n > 0)
		c->out.len += (size_t)n;
	return n;
}

static ssize_t
read_err(struct child *c, size_t max)
{
	static char text[READ_SIZE];
	size_t keep, old;
	ssize_t n = read(c->fd[ERR], text, max < sizeof text ? max : sizeof text);

	if (n <= 0)
		return n;
	for (ssize_t at = 0, w; at < n; at += w)
		if ((w = write(STDERR_FILENO, text + at, (size_t)(n - at))) <= 0)
			break;
	keep = (size_t)n < CHILD_TAIL ? (size_t)n : CHILD_TAIL;
	old = c->tail_len < CHILD_TAIL - keep ? c->tail_len : CHILD_TAIL - keep;
	memmove(c->tail, c->tail + c->tail_len - old, old);
	memcpy(c->tail + old, text + n - keep, keep);
	c->tail_len = old + keep;
	return n;
}

static void
on_output(void *arg, uint32_t ready)
{
	struct child *c = arg;
	ssize_t n = read_out(c, c->out.cap < READ_MORE ? READ_SIZE : READ_MORE);

	(void)ready;
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		close_fd(c, OUT);
	if (n > 0)
		c->output(c);
}

static void
on_error(void *arg, uint32_t ready)
{
	struct child *c = arg;
	ssize_t n = read_err(c, READ_SIZE);

	(void)ready;
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		close_fd(c, ERR);
}

void
child_pause(struct child *c)
{
	if (c->fd[OUT] == -1 || c->paused)
		return;
	dfb_loop_del_fd(c->loop, c->fd[OUT]);
	c->paused = true;
}

void
child_resume(struct child *c)
{
	if (c->fd[OUT] == -1 || !c->paused)
		return;
	if (dfb_loop_add_fd(c->loop, c->fd[OUT], EPOLLIN, on_output, c) == 0)
		c->paused = false;
}

/* ---- its life ---- */

static int
spawn(pid_t *pid, const int theirs[3], const char *path, char *const *argv,
    char *const *env)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t defaults;
	int err = 0;

	if ((err = posix_spawn_file_actions_init(&fa)) != 0)
		return err;
	if ((err = posix_spawnattr_init(&at)) != 0) {
		posix_spawn_file_actions_destroy(&fa);
		return err;
	}
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	for (int i = IN; i <= ERR && err == 0; i++)
		err = posix_spawn_file_actions_adddup2(&fa, theirs[i], i);
	if (err == 0 &&
	    (err = posix_spawn_file_actions_addclosefrom_np(&fa, 3)) == 0 &&
	    (err = posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP |
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) == 0 &&
	    (err = posix_spawnattr_setsigmask(&at, &first_mask)) == 0 &&
	    (err = posix_spawnattr_setsigdefault(&at, &defaults)) == 0)
		err = posix_spawn(pid, path, &fa, &at, argv, env);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	return err;
}

static int
make_pipes(int ours[3], int theirs[3])
{
	int p[2];

	for (int i = IN; i <= ERR; i++) {
		if (pipe2(p, O_CLOEXEC) == -1)
			return -1;
		ours[i] = p[i == IN ? 1 : 0];
		theirs[i] = p[i == IN ? 0 : 1];
		if (fcntl(ours[i], F_SETFL, O_NONBLOCK) == -1)
			return -1;
	}
	return 0;
}

static void
close_pipes(int fds[3])
{
	for (int i = IN; i <= ERR; i++) {
		if (fds[i] != -1)
			close(fds[i]);
		fds[i] = -1;
	}
}

int
child_start(struct child *c, const char *path, char *const *argv, char *const *env)
{
	int theirs[3] = { -1, -1, -1 }, err;
	ssize_t n = 0;

	c->tail_len = c->out.len = 0;
	c->in_at = c->written = 0;
	c->in_waits = c->paused = c->doomed = false;
	if (make_pipes(c->fd, theirs) == -1)
		goto fail;
	/* Most bodies fit into the pipe, and are there before the process is. */
	if (c->in.len != 0 && (n = write(c->fd[IN], c->in.data, c->in.len)) == -1)
		n = 0;
	if (n == (ssize_t)c->in.len && c->in_eof) {
		close(c->fd[IN]);
		c->fd[IN] = -1;
	}
	if ((err = spawn(&c->pid, theirs, path, argv, env)) != 0) {
		c->pid = 0;
		errno = err;
		goto fail;
	}
	close_pipes(theirs);
	LIST_INSERT_HEAD(&running, c, link);
	c->in_at = c->written = (size_t)n;
	if (dfb_loop_add_fd(c->loop, c->fd[OUT], EPOLLIN, on_output, c) == -1)
		c->paused = true; /* read when it is gone, or at child_resume */
	if (dfb_loop_add_fd(c->loop, c->fd[ERR], EPOLLIN, on_error, c) == -1) {
		close(c->fd[ERR]);
		c->fd[ERR] = -1;
	}
	child_flush(c);
	return 0;
fail:
	err = errno;
	close_pipes(theirs);
	close_pipes(c->fd);
	errno = err;
	return -1;
}

void
child_signal(const struct child *c, int signo)
{
	/* It may have left its group. */
	if (c->pid != 0 && (kill(-c->pid, signo) == -1 || signo == SIGKILL))
		kill(c->pid, signo);
}

/* What is in a pipe now, and no more: somebody else may go on writing. */
static void
drain(struct child *c, int which)
{
	int left = 0;
	ssize_t n;

	if (c->fd[which] == -1)
		return;
	if (ioctl(c->fd[which], FIONREAD, &left) == -1)
		left = 0;
	for (; left > 0; left -= (int)n) {
		n = which == OUT ? read_out(c, (size_t)left) : read_err(c, (size_t)left);
		if (n <= 0)
			break;
	}
	close_fd(c, which);
}

void
children_reap(void)
{
	struct child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		LIST_FOREACH(c, &running, link)
			if (c->pid == pid)
				break;
		if (c == NULL)
			continue;
		LIST_REMOVE(c, link);
		c->pid = 0;
		if (c->doomed)
			kill(-pid, SIGKILL);
		close_fd(c, IN);
		drain(c, OUT);
		drain(c, ERR);
		c->gone(c, status);
	}
}
