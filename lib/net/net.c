#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zmq.h>

#include "net/internal.h"
#include "net/sock.h"

#define SOCKETS_MAX 4095

/* ZeroMQ aborts when it has no descriptor for its inside (5), and connects for ever when it
 * has none for a connection (4 with the socket): so one asks first.  A program that starts
 * has enough for its loop and connections to a name server and a broker. */
#define START_FDS 16
#define INSIDE_FDS 9 /* with a socket */

/* The lowest free one being far below the limit answers it for all but strange programs. */
#define FAR 1024

bool
dfb_net_fds(int n)
{
	int fds[START_FDS], got = 0, e;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && (fds[0] = eventfd(0, EFD_CLOEXEC)) != -1) {
		close(fds[0]);
		if ((rlim_t)fds[0] + FAR <= r.rlim_cur)
			return true;
	}
	while (got < n && (fds[got] = eventfd(0, EFD_CLOEXEC)) != -1)
		got++;
	e = errno;
	for (int i = 0; i < got; i++)
		close(fds[i]);
	errno = e;
	return got == n;
}

/* ZeroMQ aborts, too, when it cannot start its two threads: where memory is limited, one
 * tries first. */
static void *
wait_for_lock(void *lock)
{
	pthread_mutex_lock(lock);
	pthread_mutex_unlock(lock);
	return NULL;
}

static bool
can_start_threads(void)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct rlimit r;
	pthread_t t[2];
	int n = 0, e = 0;

	if (getrlimit(RLIMIT_AS, &r) == -1 || r.rlim_cur == RLIM_INFINITY)
		return true;
	pthread_mutex_lock(&lock);
	while (n < 2 && (e = pthread_create(&t[n], NULL, wait_for_lock, &lock)) == 0)
		n++;
	pthread_mutex_unlock(&lock);
	while (n > 0)
		pthread_join(t[--n], NULL);
	errno = ENOMEM;
	return e == 0;
}

struct dfb_net *
dfb_net_new(void)
{
	if (!dfb_net_fds(START_FDS) || !can_start_threads())
		return NULL;
	return calloc(1, sizeof(struct dfb_net));
}

int
dfb_net_start(struct dfb_net *n)
{
	if (n->ctx != NULL)
		return 0;
	if (!dfb_net_fds(INSIDE_FDS) || !can_start_threads() ||
	    (n->ctx = zmq_ctx_new()) == NULL)
		return -1;
	/* Two a connection that we make, and two a socket that listens.  Memory for all is taken
	 * at once. */
	zmq_ctx_set(n->ctx, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
	return 0;
}

void
dfb_net_free(struct dfb_net *n)
{
	if (n == NULL)
		return;
	while (n->ctx != NULL && zmq_ctx_term(n->ctx) == -1 && errno == EINTR)
		;
	free(n);
}

void
dfb_net_direct(struct dfb_net *n)
{
	n->direct = true;
}
