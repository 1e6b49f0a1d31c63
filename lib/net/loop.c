#include "net/loop.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "net/sock.h"

#define HOOKS 8
#define EVENTS 64

/* What epoll returns: a descriptor of the user's, or one (fn NULL) by which a socket says
 * that it has to be asked. */
struct watch {
	int fd;
	void (*fn)(void *arg, uint32_t ready);
	void *arg;
	bool dead;
	bool ask; /* the socket, at the next opportunity */
	struct watch *next;
};

struct sock_watch {
	struct dfb_sock *sock; /* NULL: removed */
	struct watch *on_frames, *on_events;
	void (*frames)(void *arg);
	void (*events)(void *arg);
	void *arg;
};

struct dfb_loop {
	int epoll;
	struct watch *watches;
	struct sock_watch *socks;
	size_t nsocks, cap;
	struct dfb_timers timers;
	struct {
		void (*fn)(void *arg);
		void *arg;
	} hooks[HOOKS];
	unsigned nhooks;
	int signal_fd;
	void (*signal_fn)(void *arg, int signo);
	void *signal_arg;
	bool stop, sweep;
};

struct dfb_loop *
dfb_loop_new(void)
{
	struct dfb_loop *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	l->signal_fd = -1;
	if ((l->epoll = epoll_create1(EPOLL_CLOEXEC)) == -1) {
		free(l);
		return NULL;
	}
	return l;
}

void
dfb_loop_free(struct dfb_loop *l)
{
	if (l == NULL)
		return;
	for (struct watch *w = l->watches, *next; w != NULL; w = next) {
		next = w->next;
		free(w);
	}
	if (l->signal_fd != -1)
		close(l->signal_fd);
	close(l->epoll);
	free(l->socks);
	free(l);
}

/* ---- descriptors ---- */

static struct watch *
add(struct dfb_loop *l, int fd, uint32_t interest, void (*fn)(void *, uint32_t), void *arg)
{
	struct watch *w = calloc(1, sizeof *w);
	struct epoll_event ev = { .events = interest, .data.ptr = w };

	if (w == NULL)
		return NULL;
	*w = (struct watch){ .fd = fd, .fn = fn, .arg = arg, .ask = true, .next = l->watches };
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) == -1) {
		free(w);
		return NULL;
	}
	return l->watches = w;
}

int
dfb_loop_add_fd(struct dfb_loop *l, int fd, uint32_t interest,
    void (*fn)(void *, uint32_t), void *arg)
{
	return add(l, fd, interest, fn, arg) != NULL ? 0 : -1;
}

static struct watch *
find(struct dfb_loop *l, int fd)
{
	for (struct watch *w = l->watches; w != NULL; w = w->next)
		if (w->fd == fd && !w->dead)
			return w;
	return NULL;
}

int
dfb_loop_set_fd(struct dfb_loop *l, int fd, uint32_t interest)
{
	struct epoll_event ev = { .events = interest, .data.ptr = find(l, fd) };

	return epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &ev);
}

/* Freed at the end of the turn: epoll_wait may already have returned it. */
void
dfb_loop_del_fd(struct dfb_loop *l, int fd)
{
	struct watch *w = find(l, fd);

	if (w == NULL)
		return;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
	w->dead = true;
	l->sweep = true;
}

static void
sweep(struct dfb_loop *l)
{
	size_t n = 0;

	if (!l->sweep)
		return;
	l->sweep = false;
	for (struct watch **at = &l->watches, *w; (w = *at) != NULL;) {
		if (!w->dead)
			at = &w->next;
		else {
			*at = w->next;
			free(w);
		}
	}
	for (size_t i = 0; i < l->nsocks; i++)
		if (l->socks[i].sock != NULL)
			l->socks[n++] = l->socks[i];
	l->nsocks = n;
}

/* ---- sockets ---- */

int
dfb_loop_add_sock(struct dfb_loop *l, struct dfb_sock *s, void (*frames)(void *),
    void (*events)(void *), void *arg)
{
	struct watch *on_frames, *on_events;
	uint32_t interest = dfb_sock_is_direct(s) ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN;

	if (l->nsocks == l->cap) {
		size_t cap = l->cap != 0 ? l->cap * 2 : 8;
		struct sock_watch *p = reallocarray(l->socks, cap, sizeof *p);
		if (p == NULL)
			return -1;
		l->socks = p;
		l->cap = cap;
	}
	if ((on_frames = add(l, dfb_sock_fd(s), interest, NULL, NULL)) == NULL)
		return -1;
	if ((on_events = add(l, dfb_sock_event_fd(s), EPOLLIN, NULL, NULL)) == NULL) {
		dfb_loop_del_fd(l, dfb_sock_fd(s));
		return -1;
	}
	l->socks[l->nsocks++] = (struct sock_watch){ s, on_frames, on_events, frames, events,
		arg };
	return 0;
}

void
dfb_loop_del_sock(struct dfb_loop *l, struct dfb_sock *s)
{
	for (size_t i = 0; i < l->nsocks; i++)
		if (l->socks[i].sock == s) {
			dfb_loop_del_fd(l, dfb_sock_fd(s));
			dfb_loop_del_fd(l, dfb_sock_event_fd(s));
			l->socks[i].sock = NULL;
			l->sweep = true;
		}
}

/* The watches outlive the turn, also of a socket that is removed meanwhile. */
static int
serve_socks(struct dfb_loop *l, bool before_sleep)
{
	int n = 0;

	/* Callbacks may add sockets, which moves the array. */
	for (size_t i = 0; i < l->nsocks; i++) {
		struct sock_watch w = l->socks[i];
		if (w.sock == NULL)
			continue;
		if (dfb_sock_is_direct(w.sock) && (w.on_frames->ask || w.on_events->ask ||
		    dfb_sock_touched(w.sock))) {
			dfb_sock_pump(w.sock, before_sleep);
			w.on_frames->ask = w.on_events->ask = true;
		}
		if (w.on_events->ask &&
		    (w.on_events->ask = dfb_sock_has_event(w.sock))) {
			w.events(w.arg);
			n++;
		}
		if (l->socks[i].sock == NULL ||
		    !(w.on_frames->ask || dfb_sock_touched(w.sock)))
			continue;
		if ((w.on_frames->ask = dfb_sock_readable(w.sock))) {
			w.frames(w.arg);
			n++;
			/* It may have been told that there is nothing more. */
			if (l->socks[i].sock != NULL)
				w.on_frames->ask = dfb_sock_touched(w.sock);
		}
	}
	return n;
}

/* ---- signals ---- */

static void
on_signal(void *arg, uint32_t ready)
{
	struct dfb_loop *l = arg;
	struct signalfd_siginfo info;

	(void)ready;
	while (read(l->signal_fd, &info, sizeof info) == sizeof info)
		l->signal_fn(l->signal_arg, (int)info.ssi_signo);
}

int
dfb_loop_signals(struct dfb_loop *l, const int *signals, void (*fn)(void *, int),
    void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	for (; *signals != 0; signals++)
		sigaddset(&set, *signals);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
	    (l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) == -1)
		return -1;
	l->signal_fn = fn;
	l->signal_arg = arg;
	return dfb_loop_add_fd(l, l->signal_fd, EPOLLIN, on_signal, l);
}

/* ---- timers ---- */

void
dfb_loop_timer(struct dfb_loop *l, struct dfb_timer *t, uint64_t ms)
{
	dfb_timer_set(&l->timers, t, dfb_mono_ns() / 1000000 + ms);
}

void
dfb_loop_timer_stop(struct dfb_loop *l, struct dfb_timer *t)
{
	dfb_timer_stop(&l->timers, t);
}

static int
until_timer(const struct dfb_loop *l, int timeout_ms)
{
	uint64_t due = dfb_timers_next(&l->timers), now, ms;

	if (due == UINT64_MAX || timeout_ms == 0)
		return timeout_ms;
	now = dfb_mono_ns() / 1000000;
	ms = due > now ? due - now : 0;
	if (timeout_ms >= 0 && ms > (uint64_t)timeout_ms)
		return timeout_ms;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* ---- turns ---- */

void
dfb_loop_before_sleep(struct dfb_loop *l, void (*fn)(void *), void *arg)
{
	if (l->nhooks == HOOKS)
		abort();
	l->hooks[l->nhooks].fn = fn;
	l->hooks[l->nhooks++].arg = arg;
}

int
dfb_loop_once(struct dfb_loop *l, int timeout_ms)
{
	struct epoll_event ev[EVENTS];
	int n, ready;

	for (unsigned i = 0; i < l->nhooks; i++)
		l->hooks[i].fn(l->hooks[i].arg);
	n = serve_socks(l, true);
	ready = epoll_wait(l->epoll, ev, EVENTS,
	    n != 0 || l->stop ? 0 : until_timer(l, timeout_ms));
	if (ready == -1 && errno != EINTR)
		return -1;
	for (int i = 0; i < ready; i++) {
		struct watch *w = ev[i].data.ptr;
		if (w->fn == NULL)
			w->ask = true;
		else if (!w->dead) {
			w->fn(w->arg, ev[i].events);
			n++;
		}
	}
	/* Sockets that woke us are served in this turn, not after the next hook. */
	if (ready > 0)
		n += serve_socks(l, false);
	if (l->timers.first != NULL)
		n += (int)dfb_timers_run(&l->timers, dfb_mono_ns() / 1000000);
	sweep(l);
	return n;
}

int
dfb_loop_run(struct dfb_loop *l)
{
	l->stop = false;
	while (!l->stop)
		if (dfb_loop_once(l, -1) == -1)
			return -1;
	/* What the last turn gathered still leaves. */
	for (unsigned i = 0; i < l->nhooks; i++)
		l->hooks[i].fn(l->hooks[i].arg);
	return 0;
}

void
dfb_loop_stop(struct dfb_loop *l)
{
	l->stop = true;
}

int
dfb_loop_fd(const struct dfb_loop *l)
{
	return l->epoll;
}
