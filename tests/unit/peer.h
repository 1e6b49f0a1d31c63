/*
 * For tests that speak in frames to a daemon, as its peers do: the program itself is
 * started, in a directory of its own.
 */
#ifndef PEER_H
#define PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/sock.h"
#include "wire/proto.h"

#define PATIENCE_MS 20000

/* Not every test uses every function. */
#define PEER __attribute__((unused)) static

static char dir[] = "/tmp/dfb-test-peer.XXXXXX";
static struct dfb_net *net;
static int open_peers;

/* ---- programs ---- */

/* Start a daemon with these arguments (NULL at the end); it is ready on return. */
PEER pid_t
program(const char *name, const char *const *args)
{
	const char *b = getenv("B");
	char prog[512], text[16];
	const char *argv[32] = { prog, "-q", "--ready-fd", "9" };
	int ready[2], n = 4;
	pid_t pid;

	snprintf(prog, sizeof prog, "%s/bin/%s", b != NULL ? b : "build", name);
	while (*args != NULL)
		argv[n++] = *args++;
	assert_int_equal(pipe(ready), 0);
	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (dup2(ready[1], 9) == -1)
			_exit(99);
		close_range(10, ~0u, 0);
		execv(prog, (char *const *)(uintptr_t)argv);
		_exit(99);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], text, sizeof text), 6);
	assert_memory_equal(text, "ready\n", 6);
	close(ready[0]);
	return pid;
}

/* End it with a signal: how it ended, as wait(2) says. */
PEER int
program_end(pid_t pid, int signo)
{
	int w;

	kill(pid, signo);
	assert_int_equal(waitpid(pid, &w, 0), pid);
	return w;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Remove a directory in dir, or dir itself (""). */
PEER void
remove_dir(const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

PEER int
group_setup(void **state)
{
	(void)state;
	net = dfb_net_new();
	return net != NULL && mkdtemp(dir) != NULL ? 0 : -1;
}

PEER int
group_teardown(void **state)
{
	(void)state;
	if (open_peers == 0) /* a test that failed leaves some, which would be waited for */
		dfb_net_free(net);
	remove_dir("");
	return 0;
}

/* ---- a peer ---- */

struct peer {
	struct dfb_sock *sock;
	struct dfb_peer *to; /* of a listening socket: who spoke last */
	struct dfb_frame frame;
	bool held;
	struct dfb_proto m; /* the last received */
	uint32_t req;
};

PEER void
send_frame(struct peer *p, const void *data, size_t len)
{
	struct pollfd fd = { .fd = dfb_sock_fd(p->sock), .events = POLLIN };
	int rc;

	/* In a queue of 1, ZeroMQ may count the frame before for a while after its answer. */
	do {
		(void)dfb_sock_readable(p->sock); /* takes such news, too */
		rc = dfb_sock_send(p->sock, p->to, data, len);
	} while (rc == -1 && errno == EAGAIN && poll(&fd, 1, PATIENCE_MS) > 0);
	assert_int_equal(rc, 0);
}

PEER void
say(struct peer *p, struct dfb_proto m)
{
	struct dfb_buf buf = { 0 };

	m.req = ++p->req;
	assert_int_equal(dfb_proto_encode(&m, &buf), 0);
	send_frame(p, buf.data, buf.len);
	dfb_buf_release(&buf);
}

/* The next frame's type; 0: none came. */
PEER int
next(struct peer *p, int timeout_ms)
{
	const char *why;
	int rc;

	if (p->held)
		dfb_frame_release(&p->frame);
	p->held = false;
	while ((rc = dfb_sock_recv(p->sock, &p->frame)) == 0) {
		struct pollfd fd = { .fd = dfb_sock_fd(p->sock), .events = POLLIN };

		if (dfb_sock_readable(p->sock))
			continue;
		if (poll(&fd, 1, timeout_ms) == 0)
			return 0;
	}
	assert_int_equal(rc, 1);
	p->held = true;
	if (p->to != NULL)
		*p->to = p->frame.peer;
	assert_int_equal(dfb_proto_decode(p->frame.data, p->frame.len, &p->m, &why), 0);
	return p->m.type;
}

PEER void
expect(struct peer *p, int type)
{
	int got = next(p, PATIENCE_MS);

	assert_string_equal(got != 0 ? dfb_proto_name((uint16_t)got) : "nothing",
	    dfb_proto_name((uint16_t)type));
}

PEER void
expect_error(struct peer *p, int status)
{
	expect(p, DFB_M_ERROR);
	assert_int_equal(p->m.status, status);
	assert_true(p->m.error.reason.len > 0);
}

PEER void
connect_to(struct peer *p, const char *endpoint, int queue)
{
	struct dfb_sock_config cf = { .max_frame = DFB_FRAME_MAX, .queue = queue };

	*p = (struct peer){ .sock = dfb_sock_connect(net, &cf, endpoint) };
	assert_non_null(p->sock);
	open_peers++;
}

/* A session begins. */
PEER void
enter_at(struct peer *p, const char *endpoint)
{
	connect_to(p, endpoint, 1000);
	say(p, (struct dfb_proto){ .type = DFB_M_HELLO, .hello = {
	    .proto = DFB_PROTO_VERSION, .role = dfb_str("client"),
	    .who = dfb_str("test") } });
	expect(p, DFB_M_WELCOME);
}

PEER void
leave(struct peer *p)
{
	if (p->held)
		dfb_frame_release(&p->frame);
	dfb_sock_close(p->sock, 1000);
	open_peers--;
}

PEER void
admin(struct peer *p, const char *verb, const char *args)
{
	say(p, (struct dfb_proto){ .type = DFB_M_ADMIN, .admin = { .verb = dfb_str(verb),
	    .args = { (const uint8_t *)args, strlen(args) } } });
}

PEER bool
json_has(const struct peer *p, const char *part)
{
	struct dfb_blob json = p->m.result.json;

	return memmem(json.p, json.len, part, strlen(part)) != NULL;
}

PEER void
expect_json(struct peer *p, const char *part)
{
	expect(p, DFB_M_RESULT);
	if (!json_has(p, part))
		fail_msg("'%s' is not in %.*s", part, (int)p->m.result.json.len,
		    (const char *)p->m.result.json.p);
}

#endif
