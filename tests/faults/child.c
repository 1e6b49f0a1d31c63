#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 32
#define OTHERS_MAX 4

struct fate fate = { .ended = -1, .again = -1 };

static struct {
	const char *const *argv;
	pid_t pid;      /* 0: does not run */
	int ready;      /* descriptor, or -1: it said so, or does not run */
	bool hooks;     /* it is the first */
	bool stopping;
} victim = { .ready = -1 };

static struct {
	const char *name;
	pid_t pid;
} others[OTHERS_MAX];
static size_t nothers;
static pid_t client;
static int client_status;
static volatile sig_atomic_t overdue;

static void
too_late(int signo)
{
	(void)signo;
	overdue = 1;
}

void
child_limit(unsigned secs)
{
	/* Again and again: the first may come just before a call that waits. */
	struct itimerval t = { { .tv_sec = 1 }, { .tv_sec = secs } };
	struct sigaction sa = { .sa_handler = too_late };

	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

static void
in_time(void)
{
	if (overdue)
		bad("it hangs in stage %d", fate.stage);
}

/* ---- starting ---- */

static void
open_as(int fd, const char *file, int flags)
{
	int f = open(file, flags, 0644);

	if (f == -1 || dup2(f, fd) == -1)
		_exit(126);
	close(f);
}

/* dir: of the program, NULL: to be looked for.  ready: descriptor, or -1. */
static pid_t
start(const char *dir, const char *const *argv, int in, const char *out, const char *err,
    int ready)
{
	const char *args[ARGS_MAX + 3];
	char path[4096], number[16];
	sigset_t term, before;
	size_t n = 0;
	pid_t pid;

	/* SIGTERM ends the child also before it is the program: our handler is not for it. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	if ((pid = fork()) == 0)
		signal(SIGTERM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid == -1)
		bad("cannot fork: %s", strerror(errno));
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (in == -1)
		open_as(0, "/dev/null", O_RDONLY);
	else if (dup2(in, 0) == -1)
		_exit(126);
	open_as(1, out, O_WRONLY | O_CREAT | (strcmp(out, err) == 0 ? O_APPEND : O_TRUNC));
	open_as(2, err, O_WRONLY | O_CREAT | O_APPEND);
	for (; argv[n] != NULL && n < ARGS_MAX; n++)
		args[n] = argv[n];
	if (ready != -1) {
		snprintf(number, sizeof number, "%d", ready);
		fcntl(ready, F_SETFD, 0);
		args[n++] = "--ready-fd";
		args[n++] = number;
	}
	args[n] = NULL;
	snprintf(path, sizeof path, "%s%s%s", dir == NULL ? "" : dir, dir == NULL ? "" : "/",
	    argv[0]);
	execvp(path, (char *const *)(uintptr_t)args);
	_exit(127);
}

static const char *
setting(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
		bad("%s is not set", name);
	return value;
}

static void
victim_go(const char *dir, const char *log)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) == -1)
		bad("no pipe: %s", strerror(errno));
	victim.pid = start(dir, victim.argv, -1, log, log, fd[1]);
	close(fd[1]);
	victim.ready = fd[0];
}

void
victim_plain(const char *const *argv)
{
	victim.argv = argv;
	victim.hooks = victim.stopping = false;
	fate.again = -1;
	victim_go(setting("BIN"), "again.log");
}

void
victim_start(const char *const *argv, const char *fault, const char *dir)
{
	victim.argv = argv;
	victim.hooks = true;
	setenv("DFB_FAULT_DIR", dir, 1);
	if (fault != NULL)
		setenv("DFB_FAULT", fault, 1);
	victim_go(setting("FAULTY"), "victim.log");
	unsetenv("DFB_FAULT");
}

void
other_start(const char *name, const char *const *argv)
{
	char log[64];

	if (nothers == OTHERS_MAX)
		bad("too many daemons");
	snprintf(log, sizeof log, "%s.log", name);
	others[nothers].name = name;
	others[nothers++].pid = start(setting("BIN"), argv, -1, log, log, -1);
}

void
other_kill(const char *name)
{
	for (size_t i = 0; i < nothers; i++)
		if (strcmp(others[i].name, name) == 0) {
			kill(others[i].pid, SIGKILL);
			waitpid(others[i].pid, NULL, 0);
			others[i].pid = 0;
		}
}

/* ---- ends ---- */

static void
victim_ended(int status)
{
	victim.pid = 0;
	if (victim.ready != -1)
		close(victim.ready);
	victim.ready = -1;
	if (victim.hooks) {
		fate.ended = status;
		fate.died = fate.stage;
		if (!victim.stopping)
			victim_plain(victim.argv);
	} else {
		fate.again = status;
		if (!victim.stopping)
			bad("started again, it ended with status %d", status);
	}
}

/* Take in one end; flags as of waitpid.  Whether there was one. */
static bool
reap(int flags)
{
	int status;
	pid_t pid = waitpid(-1, &status, flags);

	in_time();
	if (pid <= 0)
		return false;
	status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	if (pid == victim.pid)
		victim_ended(status);
	else if (pid == client) {
		client = 0;
		client_status = status;
	}
	for (size_t i = 0; i < nothers; i++)
		if (pid == others[i].pid)
			bad("%s ended with status %d", others[i].name, status);
	return true;
}

void
stage_begin(int stage)
{
	while (reap(WNOHANG))
		;
	fate.stage = stage;
}

void
victim_ready(void)
{
	struct pollfd pfd = { .events = POLLIN };
	char line[8];

	while (victim.ready != -1) {
		pfd.fd = victim.ready;
		if (poll(&pfd, 1, -1) == -1) {
			in_time();
			continue;
		}
		if (read(victim.ready, line, sizeof line) > 0) {
			close(victim.ready);
			victim.ready = -1;
		} else
			reap(0);
	}
}

static void
victim_end(int signo)
{
	while (reap(WNOHANG))
		;
	victim.stopping = true;
	kill(victim.pid, signo);
	while (victim.pid != 0)
		reap(0);
}

void
victim_stop(void)
{
	victim_end(SIGTERM);
}

void
victim_kill(void)
{
	victim_end(SIGKILL);
}

int
client_run(const char *const *argv, int in, const char *out)
{
	const char *dir = strncmp(argv[0], "dfb-", 4) == 0 ? setting("BIN") : NULL;

	while (reap(WNOHANG))
		;
	client = start(dir, argv, in, out, "clients.log", -1);
	while (client != 0)
		reap(0);
	return client_status;
}

static void
end_one(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		;
}

void
children_end(void)
{
	end_one(client);
	end_one(victim.pid);
	for (size_t i = 0; i < nothers; i++)
		end_one(others[i].pid);
}
