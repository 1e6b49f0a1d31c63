#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 45000
#define ALL_MAX 64

static struct proc *all[ALL_MAX];
static size_t nall;
static uint64_t stop_began;

void
proc_name(struct proc *p)
{
	snprintf(p->name, sizeof p->name, "%.20s.%u", p->base, ++p->lives);
}

static void
remember(struct proc *p)
{
	for (size_t i = 0; i < nall; i++)
		if (all[i] == p)
			return;
	if (nall == ALL_MAX)
		fail("too many processes");
	all[nall++] = p;
}

static _Noreturn void
child(struct proc *p, int ready)
{
	char log[NAME_SIZE + 8], number[16];
	size_t n = 0;
	int fd;

	/* The driver's end must not leave anything behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(log, sizeof log, "%s.log", p->daemon ? p->base : p->name);
	if ((fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644)) == -1 ||
	    dup2(fd, 1) == -1 || dup2(fd, 2) == -1)
		_exit(126);
	close(fd);
	if (p->daemon) {
		while (p->argv[n] != NULL)
			n++;
		snprintf(number, sizeof number, "%d", ready);
		p->argv[n] = "--ready-fd";
		p->argv[n + 1] = number;
		p->argv[n + 2] = NULL;
	}
	execv(p->argv[0], (char *const *)(uintptr_t)p->argv);
	_exit(127);
}

void
proc_start(struct proc *p)
{
	int fd[2] = { -1, -1 };
	sigset_t term;

	remember(p);
	/* Clients unblock it when they can take it. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	if (p->daemon && pipe(fd) == -1)
		fail("no pipe: %s", strerror(errno));
	if (p->daemon)
		fcntl(fd[0], F_SETFD, FD_CLOEXEC);
	if ((p->pid = fork()) == -1)
		fail("cannot fork: %s", strerror(errno));
	if (p->pid != 0 || p->daemon)
		sigprocmask(SIG_UNBLOCK, &term, NULL);
	if (p->pid == 0)
		child(p, fd[1]);
	if (p->daemon)
		close(fd[1]);
	p->ready_fd = fd[0];
}

static void
drop_fd(struct proc *p)
{
	if (p->ready_fd != -1)
		close(p->ready_fd);
	p->ready_fd = -1;
}

void
proc_ready(struct proc *p)
{
	struct pollfd pfd = { .fd = p->ready_fd, .events = POLLIN };
	char line[8];

	if (p->ready_fd == -1)
		return;
	if (poll(&pfd, 1, PATIENCE_MS) != 1)
		fail("%s is not ready after %d s", p->name, PATIENCE_MS / 1000);
	if (read(p->ready_fd, line, sizeof line) < 6)
		fail("%s ended before it was ready", p->name);
	drop_fd(p);
}

static void
ended_well(struct proc *p, int status)
{
	if (WIFSIGNALED(status))
		fail("%s was ended by signal %d", p->name, WTERMSIG(status));
	if (WEXITSTATUS(status) != 0 && (p->daemon || WEXITSTATUS(status) != 69))
		fail("%s ended with status %d", p->name, WEXITSTATUS(status));
}

static int
end_of(struct proc *p)
{
	uint64_t until = now_ns() + UINT64_C(1000000) * PATIENCE_MS;
	int status;

	while (waitpid(p->pid, &status, WNOHANG) == 0) {
		if (now_ns() > until)
			fail("%s does not end", p->name);
		usleep(1000);
	}
	p->pid = 0;
	drop_fd(p);
	return status;
}

void
proc_wait(struct proc *p)
{
	if (p->pid != 0)
		ended_well(p, end_of(p));
}

void
proc_end(struct proc *p)
{
	end_of(p);
}

bool
proc_check(struct proc *p)
{
	int status;

	if (p->pid == 0 || waitpid(p->pid, &status, WNOHANG) == 0)
		return true;
	p->pid = 0;
	ended_well(p, status);
	if (WEXITSTATUS(status) == 0)
		fail("%s ended by itself", p->name);
	return false;
}

void
proc_kill(struct proc *p)
{
	uint64_t t = now_ns();
	int status;

	if (p->pid == 0)
		return;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, &status, 0);
	p->pid = 0;
	drop_fd(p);
	ledger_line("k %llu %llu %s", (unsigned long long)t, (unsigned long long)now_ns(),
	    p->name);
	/* It had ended before: that is no end by us. */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return;
	ended_well(p, status);
	if (WEXITSTATUS(status) == 0)
		fail("%s had ended by itself", p->name);
}

void
proc_stop(struct proc *p)
{
	stop_began = now_ns();
	if (p->pid > 0)
		kill(p->pid, SIGTERM);
}

void
proc_wait_stopped(struct proc *p)
{
	uint64_t t = stop_began;

	proc_wait(p);
	ledger_line("t %llu %llu %s", (unsigned long long)t, (unsigned long long)now_ns(),
	    p->name);
}

void
procs_end(void)
{
	for (size_t i = 0; i < nall; i++)
		if (all[i]->pid > 0) {
			kill(all[i]->pid, SIGKILL);
			waitpid(all[i]->pid, NULL, 0);
			all[i]->pid = 0;
		}
}
