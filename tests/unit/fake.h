/*
 * For tests of lib/client: name servers and brokers that do as they are told.  They live
 * in the client's own loop, so that everything happens in one thread, in order, and
 * nothing has to be slept for.
 */
#ifndef FAKE_H
#define FAKE_H

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "client/client.h"
#include "dfb.h"
#include "net/loop.h"
#include "net/sock.h"
#include "wire/proto.h"
#include "wire/record.h"

#define FAKE_LOG 200

/* Not every test uses every function. */
#define FAKE __attribute__((unused)) static

struct fake {
	struct dfb *client;
	struct dfb_sock *sock;
	char endpoint[128], name[16];
	struct dfb_peer peer;      /* who spoke last */
	unsigned sessions;         /* HELLOs */
	char *log[FAKE_LOG];       /* all frames but HELLO, as text */
	unsigned nlog;
	struct dfb_buf last_put;   /* the last PUT, byte for byte */
	/* true: dealt with; false: the usual answer. */
	bool (*script)(struct fake *, const struct dfb_proto *);
	unsigned step;             /* for scripts */
	/* A name server's: */
	struct dfb_buf routes;     /* for every topic and service */
	struct dfb_buf gsls;       /* for %GSL */
	/* A broker's: */
	uint64_t next;
	char *bodies[FAKE_LOG];    /* stored */
	unsigned nbodies;
};

static char fake_dir[64];
static bool fake_direct; /* the client's sockets are direct: dfb_net_direct() */

static void
fake_say(struct fake *f, const struct dfb_proto *m)
{
	struct dfb_buf b = { 0 };

	assert_int_equal(dfb_proto_encode(m, &b), 0);
	assert_int_equal(dfb_sock_send(f->sock, &f->peer, b.data, b.len), 0);
	dfb_buf_release(&b);
}

static void
fake_confirm(struct fake *f, uint32_t stream, uint64_t seq)
{
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_CONFIRM,
	    .confirm = { .stream = stream, .seq = seq } });
}

FAKE void
fake_refuse(struct fake *f, uint32_t stream, uint64_t seq, uint8_t scope,
    enum dfb_status st, const char *reason)
{
	fake_say(f, &(struct dfb_proto){ .type = DFB_M_REFUSE, .status = (uint16_t)st,
	    .refuse = { .stream = stream, .seq = seq, .scope = scope, .wait_ms = 1,
	    .reason = dfb_str(reason) } });
}

/* Store what is new in a PUT, up to and without number stop; the next number. */
static uint64_t
fake_store(struct fake *f, const struct dfb_m_put *m, uint64_t stop)
{
	const uint8_t *p = m->records.p, *end = p + m->records.len;
	struct dfb_record r;

	for (uint64_t seq = m->seq; dfb_record_next(&p, end, &r) == 1; seq++) {
		if (seq != f->next || seq >= stop)
			continue;
		assert_true(f->nbodies < FAKE_LOG);
		f->bodies[f->nbodies++] = strndup((const char *)r.body, r.body_len);
		f->next++;
	}
	return f->next;
}

static void
fake_usual(struct fake *f, const struct dfb_proto *m)
{
	struct dfb_proto a = { .req = m->req };

	switch (m->type) {
	case DFB_M_HELLO:
		a.type = DFB_M_WELCOME;
		a.welcome.name = dfb_str(f->name);
		break;
	case DFB_M_LOOKUP:
		a.type = DFB_M_ROUTES;
		a.routes.dest = m->lookup.dest;
		a.routes.routes = dfb_str_is(m->lookup.dest, "%GSL") ?
		    (struct dfb_blob){ f->gsls.data, f->gsls.len } :
		    (struct dfb_blob){ f->routes.data, f->routes.len };
		break;
	case DFB_M_PRODUCE:
		if (f->next < m->produce.next || m->produce.epoch == 1) /* a new producer */
			f->next = m->produce.next;
		a.type = DFB_M_PRODUCING;
		a.producing = (struct dfb_m_producing){ .stream = m->produce.stream,
			.committed = f->next - 1, .max_body = 1000000 };
		break;
	case DFB_M_PUT:
		if (m->put.seq > f->next)
			return;
		fake_store(f, &m->put, UINT64_MAX);
		fake_confirm(f, m->put.stream, f->next - 1);
		return;
	case DFB_M_SUBSCRIBE:
		a.type = DFB_M_SUBSCRIBED;
		a.subscribed.sub = m->subscribe.sub;
		break;
	case DFB_M_LEAVE:
		a.type = DFB_M_DONE;
		break;
	default:
		return;
	}
	fake_say(f, &a);
}

static void
fake_frames(void *arg)
{
	struct fake *f = arg;
	struct dfb_frame frame;
	struct dfb_proto m;
	struct dfb_buf text = { 0 };
	const char *why;

	if (dfb_sock_recv(f->sock, &frame) != 1)
		return;
	f->peer = frame.peer;
	assert_non_null(frame.data);
	if (dfb_proto_decode(frame.data, frame.len, &m, &why) == -1)
		fail_msg("the client sent a bad frame: %s", why);
	if (m.type == DFB_M_HELLO)
		f->sessions++;
	else {
		assert_true(f->nlog < FAKE_LOG);
		dfb_proto_dump(&m, &text);
		dfb_buf_add(&text, "", 1);
		f->log[f->nlog++] = (char *)text.data;
	}
	if (m.type == DFB_M_PUT) {
		f->last_put.len = 0;
		dfb_buf_add(&f->last_put, frame.data, frame.len);
	}
	if (f->script == NULL || !f->script(f, &m))
		fake_usual(f, &m);
	dfb_frame_release(&frame);
}

static void
fake_events(void *arg)
{
	struct fake *f = arg;
	int fd;

	while (dfb_sock_event(f->sock, &fd) != DFB_NET_NONE)
		;
}

/* Listen (again). */
static void
fake_start(struct fake *f, struct dfb *client, const char *name)
{
	const struct dfb_sock_config cf = { .max_frame = DFB_FRAME_MAX, .queue = 1000 };
	char path[120], actual[160];

	f->client = client;
	snprintf(f->name, sizeof f->name, "%s", name);
	snprintf(path, sizeof path, "%s/%s", fake_dir, name);
	unlink(path);
	snprintf(f->endpoint, sizeof f->endpoint, "ipc://%s", path);
	if (f->next == 0)
		f->next = 1;
	f->sock = dfb_sock_listen(dfb_client_net(client), &cf);
	assert_non_null(f->sock);
	assert_int_equal(dfb_sock_bind(f->sock, f->endpoint, actual, sizeof actual), 0);
	assert_int_equal(dfb_loop_add_sock(dfb_client_loop(client), f->sock, fake_frames,
	    fake_events, f), 0);
}

static bool
fake_listens(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), rc;

	assert_true(fd >= 0);
	snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
	rc = connect(fd, (struct sockaddr *)&to, sizeof to);
	close(fd);
	return rc == 0;
}

/* Go away, as if killed. */
static void
fake_stop(struct fake *f)
{
	if (f->sock == NULL)
		return;
	dfb_loop_del_sock(dfb_client_loop(f->client), f->sock);
	dfb_sock_close(f->sock, 0);
	f->sock = NULL;
	/* It is closed in another thread: until then connections are taken. */
	while (fake_listens(f->endpoint + strlen("ipc://")))
		sched_yield();
}

static void
fake_release(struct fake *f)
{
	fake_stop(f);
	for (unsigned i = 0; i < f->nlog; i++)
		free(f->log[i]);
	for (unsigned i = 0; i < f->nbodies; i++)
		free(f->bodies[i]);
	dfb_buf_release(&f->routes);
	dfb_buf_release(&f->gsls);
	dfb_buf_release(&f->last_put);
	unlink(f->endpoint + strlen("ipc://"));
	*f = (struct fake){ 0 };
}

static void
fake_route(struct fake *names, const char *topic, const struct fake *broker,
    const char *region, uint8_t state)
{
	struct dfb_m_route r = { .topic = dfb_str(topic), .broker = dfb_str(broker->name),
		.region = dfb_str(region), .endpoint = dfb_str(broker->endpoint),
		.incarnation = 1, .state = state };

	assert_int_equal(dfb_route_add(&names->routes, &r), 0);
}

/* Tell the client that the routes changed. */
FAKE void
fake_push(struct fake *names, const char *dest)
{
	fake_say(names, &(struct dfb_proto){ .type = DFB_M_ROUTES, .routes = {
	    .dest = dfb_str(dest), .version = 2,
	    .routes = { names->routes.data, names->routes.len } } });
}

/* How many logged frames start with text. */
FAKE unsigned
fake_count(const struct fake *f, const char *text)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->nlog; i++)
		n += strncmp(f->log[i], text, strlen(text)) == 0;
	return n;
}

/* Where the first logged frame is that starts with text; -1: none. */
FAKE int
fake_find(const struct fake *f, const char *text)
{
	for (unsigned i = 0; i < f->nlog; i++)
		if (strncmp(f->log[i], text, strlen(text)) == 0)
			return (int)i;
	return -1;
}

/* Serve the client until cond holds; a test that hangs is broken. */
#define WAIT_UNTIL(client, cond) do { \
	uint64_t wait_end_ = dfb_test_ms() + 60000; \
	while (!(cond)) { \
		if (dfb_test_ms() > wait_end_) \
			fail_msg("waited in vain for %s", #cond); \
		dfb_wait(client, 1000); \
	} \
} while (0)

#include "base/clock.h"

static inline uint64_t
dfb_test_ms(void)
{
	return dfb_mono_ns() / 1000000;
}

/* ---- a bus of one name server and two brokers in region A10 ---- */

struct bus {
	struct dfb *client;
	struct fake names, b1, b2;
	char notice[600]; /* the last */
};

static void
bus_notice(void *arg, const char *text)
{
	struct bus *b = arg;

	snprintf(b->notice, sizeof b->notice, "%s", text);
}

static void
bus_open(struct bus *b, uint64_t first_wait_ms, uint64_t wait_ms)
{
	char names[128];

	*b = (struct bus){ 0 };
	snprintf(fake_dir, sizeof fake_dir, "/tmp/dfb-test-XXXXXX");
	assert_non_null(mkdtemp(fake_dir));
	snprintf(names, sizeof names, "ipc://%s/names", fake_dir);
	assert_int_equal(dfb_open(&(struct dfb_config){ .names = names, .region = "A10",
	    .who = "test", .first_wait_ms = first_wait_ms, .wait_ms = wait_ms,
	    .notice = bus_notice, .arg = b }, &b->client), DFB_OK);
	if (fake_direct)
		dfb_net_direct(dfb_client_net(b->client));
	fake_start(&b->names, b->client, "names");
	fake_start(&b->b1, b->client, "b1");
	fake_start(&b->b2, b->client, "b2");
}

static void
bus_close(struct bus *b)
{
	fake_release(&b->names);
	fake_release(&b->b1);
	fake_release(&b->b2);
	dfb_close(b->client);
	rmdir(fake_dir);
}

FAKE struct dfb_msg
text_msg(const char *text)
{
	return (struct dfb_msg){ .body = text, .body_len = strlen(text) };
}

/* A test over ZeroMQ, and once more with direct sockets; setup() tells by *state. */
#define FAKE_TWICE(fn) { #fn, fn, setup, teardown, NULL }, \
	{ #fn " (direct)", fn, setup, teardown, &fake_direct }

#endif
