#include "dfb-up/up.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "dfb.h"
#include "net/loop.h"

#define DELAY_MIN_MS 100
#define DELAY_MAX_MS 5000
#define STABLE_MS 5000     /* who lived so long did not die at once */
#define STOP_MS 10000      /* then it is killed */
#define START_NOTE_MS 10000 /* who is not ready by then is named */

/* ---- down ---- */

static void
set_deadline(struct up *u, void (*fn)(struct dfb_timer *, void *), uint64_t ms)
{
	u->deadline.fn = fn;
	u->deadline.arg = u;
	dfb_loop_timer(u->loop, &u->deadline, ms);
}

static bool
running(const struct up *u, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (u->children[i].pid != 0)
			return true;
	return false;
}

static void
signal_all(struct up *u, size_t from, size_t to, int signo)
{
	for (size_t i = from; i < to; i++)
		if (u->children[i].pid != 0)
			kill(u->children[i].pid, signo);
}

static void
signal_phase(struct up *u, int signo)
{
	if (u->phase == STOPPING_OTHERS)
		signal_all(u, 1, u->nchildren, signo);
	else
		signal_all(u, 0, 1, signo);
}

static void
on_deadline(struct dfb_timer *t, void *arg)
{
	struct up *u = arg;

	(void)t;
	log_warnx("daemons do not stop within %d s: killed", STOP_MS / 1000);
	signal_phase(u, SIGKILL);
}

/* Go on with stopping as far as it goes: the name server is the last. */
static void
stopping(struct up *u)
{
	if (u->phase == STOPPING_OTHERS && !running(u, 1, u->nchildren)) {
		u->phase = STOPPING_NAMES;
		signal_phase(u, SIGTERM);
		set_deadline(u, on_deadline, STOP_MS);
	}
	if (u->phase == STOPPING_NAMES && !running(u, 0, 1)) {
		dfb_loop_timer_stop(u->loop, &u->deadline);
		dfb_loop_stop(u->loop);
	}
}

static void
stop(struct up *u, int status)
{
	if (u->phase >= STOPPING_OTHERS)
		return;
	u->status = status;
	u->phase = STOPPING_OTHERS;
	for (size_t i = 0; i < u->nchildren; i++)
		dfb_loop_timer_stop(u->loop, &u->children[i].restart);
	signal_phase(u, SIGTERM);
	set_deadline(u, on_deadline, STOP_MS);
	stopping(u);
}

/* ---- up ---- */

/* A recovery may take its time, but not in silence. */
static void
still_starting(struct dfb_timer *t, void *arg)
{
	struct up *u = arg;

	(void)t;
	for (size_t i = 0; i < u->nchildren; i++)
		if (u->children[i].pid != 0 && !u->children[i].ready)
			log_warnx("%s is not ready yet, see %s/log/%s.log",
			    u->children[i].name, u->path, u->children[i].name);
}

static int
tell(struct up *u)
{
	static const char line[] = "ready\n";

	if (u->command == NULL && command_exports(u) == -1)
		return DFB_IOERR;
	if (u->ready_fd != -1) {
		ssize_t n = write(u->ready_fd, line, sizeof line - 1);

		close(u->ready_fd);
		u->ready_fd = -1;
		if (n != sizeof line - 1) {
			log_err("cannot say ready");
			return DFB_IOERR;
		}
	}
	return u->command != NULL && command_start(u) == -1 ? DFB_OSERR : DFB_OK;
}

void
up_ready(struct child *c)
{
	struct up *u = c->up;
	int status;

	if (u->phase == STARTING_NAMES) {
		u->phase = STARTING_OTHERS;
		for (size_t i = 1; i < u->nchildren; i++)
			if (child_start(&u->children[i]) == -1) {
				stop(u, DFB_OSERR);
				return;
			}
	} else if (u->phase == UP)
		log_debug("%s is ready again", c->name);
	for (size_t i = 0; i < u->nchildren; i++)
		if (!u->children[i].ready)
			return;
	if (u->phase != STARTING_OTHERS)
		return;
	u->phase = UP;
	dfb_loop_timer_stop(u->loop, &u->deadline);
	if ((status = tell(u)) != DFB_OK)
		stop(u, status);
}

static void
restart(struct dfb_timer *t, void *arg)
{
	struct child *c = arg;

	if (child_start(c) == -1)
		dfb_loop_timer(c->up->loop, t, DELAY_MAX_MS);
}

static void
died(struct child *c, int wstatus)
{
	struct up *u = c->up;
	bool at_once = dfb_mono_ms() - c->started_ms < STABLE_MS;
	char text[16];

	if (u->phase < UP) {
		log_errx("%s did not start: %s", c->name, child_how(wstatus));
		if (!u->verbose)
			child_show_log(c);
		stop(u, WIFEXITED(wstatus) && WEXITSTATUS(wstatus) >= DFB_USAGE &&
		    WEXITSTATUS(wstatus) <= DFB_DENIED ? WEXITSTATUS(wstatus) : DFB_OSERR);
		return;
	}
	c->delay_ms = at_once && c->delay_ms != 0 ? c->delay_ms * 2 : DELAY_MIN_MS;
	if (c->delay_ms > DELAY_MAX_MS)
		c->delay_ms = DELAY_MAX_MS;
	log_warnx("%s died (%s), starting it again in %s", c->name, child_how(wstatus),
	    dfb_format_duration(c->delay_ms, text));
	c->restart.fn = restart;
	c->restart.arg = c;
	dfb_loop_timer(u->loop, &c->restart, c->delay_ms);
}

/* ---- signals ---- */

static void
ended(struct up *u, pid_t pid, int wstatus)
{
	if (pid == u->command_pid) {
		u->command_pid = 0;
		stop(u, WIFSIGNALED(wstatus) ? 128 + WTERMSIG(wstatus) :
		    WEXITSTATUS(wstatus));
		return;
	}
	for (size_t i = 0; i < u->nchildren; i++) {
		struct child *c = &u->children[i];

		if (c->pid != pid)
			continue;
		child_ended(c);
		if (u->phase < STOPPING_OTHERS)
			died(c, wstatus);
		else
			stopping(u);
		return;
	}
}

static void
told(struct up *u, const struct signalfd_siginfo *info)
{
	int signo = (int)info->ssi_signo;

	if (u->phase >= STOPPING_OTHERS) {
		signal_phase(u, SIGTERM); /* again: now */
		return;
	}
	if (u->command_pid == 0) {
		stop(u, u->command == NULL ? DFB_OK : 128 + signo);
		return;
	}
	/* What comes from the terminal has reached the command already. */
	if (info->ssi_code != SI_KERNEL)
		kill(u->command_pid, signo);
}

static void
on_signal(struct up *u, const struct signalfd_siginfo *info)
{
	pid_t pid;
	int wstatus;

	if (info->ssi_signo != SIGCHLD) {
		told(u, info);
		return;
	}
	/* Several ends may be one signal. */
	while ((pid = waitpid(-1, &wstatus, WNOHANG)) > 0)
		ended(u, pid, wstatus);
}

struct signals {
	struct up *up;
	int fd;
};

static void
on_signal_fd(void *arg, uint32_t ready)
{
	struct signals *s = arg;
	struct signalfd_siginfo info;

	(void)ready;
	while (read(s->fd, &info, sizeof info) == sizeof info)
		on_signal(s->up, &info);
}

/* Not dfb_loop_signals(): who sent a signal matters here. */
static int
watch_signals(struct signals *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGCHLD, SIG_DFL) == SIG_ERR ||
	    sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
	    (s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) == -1)
		return -1;
	return dfb_loop_add_fd(s->up->loop, s->fd, EPOLLIN, on_signal_fd, s);
}

int
up_run(struct up *u)
{
	struct signals signals = { .up = u, .fd = -1 };

	u->status = DFB_OSERR;
	if ((u->loop = dfb_loop_new()) == NULL || watch_signals(&signals) == -1)
		log_err("cannot start");
	else if (child_start(&u->children[0]) == 0) {
		set_deadline(u, still_starting, START_NOTE_MS);
		if (dfb_loop_run(u->loop) == -1) {
			log_err("cannot wait for events");
			u->status = DFB_OSERR;
		}
	}
	if (signals.fd != -1)
		close(signals.fd);
	dfb_loop_free(u->loop);
	return u->status;
}
