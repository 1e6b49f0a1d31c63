/*
 * NATS beside dfb: peer_nats send|recv|both|call [options] SUBJECT.
 *   send  publish to a stream (JetStream, on files), pipelined; confirmed by its reply
 *   recv  fetch from a pull consumer and acknowledge each, until there is no more
 *   both  a process that sends at a rate and one that receives; latency end to end
 *   call  request and reply, without a stream; the service is a process of its own
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "meter.h"
#include "text.h"

#define FETCH 500 /* messages per request; two requests are under way */

struct msg {
	char reply[256]; /* where to answer; empty: nowhere */
	char *data;      /* valid until the next one */
	size_t size;
	bool status;     /* of a request: headers with an error, no message */
};

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "peer_nats: %s\n", what);
	exit(1);
}

/* The next message; false when there is none and it shall not wait. */
static bool
next(struct text *t, struct msg *m, bool wait)
{
	char *line, *word[6], *save;
	int n;

	for (;;) {
		if ((line = text_line(t, wait)) == NULL)
			return false;
		if (strncmp(line, "MSG ", 4) == 0 || strncmp(line, "HMSG ", 5) == 0)
			break;
		if (*line == '-')
			die(line);
		if (strcmp(line, "PING") == 0) {
			text_addf(t, "PONG\r\n");
			text_flush(t);
		}
	}
	/* MSG subject sid [reply] size; HMSG has two sizes. */
	m->status = *line == 'H';
	for (n = 0; n < 6 && (word[n] = strtok_r(n == 0 ? line : NULL, " ", &save)) != NULL;)
		n++;
	m->size = strtoul(word[n - 1], NULL, 10);
	snprintf(m->reply, sizeof m->reply, "%s", n - m->status == 5 ? word[3] : "");
	m->data = text_bytes(t, m->size);
	m->data[m->size] = '\0';
	return true;
}

/* Wait until the server has dealt with all that was written. */
static void
sync_with(struct text *t)
{
	char *line;

	text_addf(t, "PING\r\n");
	text_flush(t);
	while (strcmp(line = text_line(t, true), "PONG") != 0)
		if (*line == '-')
			die(line);
}

/* Connect, with an inbox of this name. */
static void
login(struct text *t, const struct meter *m, const char *inbox)
{
	text_open(t, m->port);
	text_line(t, true); /* INFO */
	text_addf(t, "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,"
	    "\"no_responders\":true}\r\nSUB _INBOX.%s.> 1\r\n", inbox);
	sync_with(t);
}

/* A request to JetStream's interface. */
static void
api(struct text *t, const char *subject, const char *json)
{
	struct msg m;

	text_addf(t, "PUB $JS.API.%s _INBOX.api.1 %zu\r\n%s\r\n", subject, strlen(json), json);
	text_flush(t);
	next(t, &m, true);
	if (m.status || memmem(m.data, m.size, "\"error\"", 7) != NULL)
		die(m.data);
}

static void
make_stream(const struct meter *m)
{
	char subject[256], json[512];
	struct text t;

	login(&t, m, "api");
	snprintf(subject, sizeof subject, "STREAM.CREATE.%s", m->topic);
	snprintf(json, sizeof json, "{\"name\":\"%s\",\"subjects\":[\"%s\"],"
	    "\"storage\":\"file\",\"retention\":\"limits\",\"num_replicas\":1}",
	    m->topic, m->topic);
	api(&t, subject, json);
}

static void
make_consumer(const struct meter *m)
{
	char subject[256], json[512];
	struct text t;

	login(&t, m, "api");
	snprintf(subject, sizeof subject, "CONSUMER.DURABLE.CREATE.%s.group", m->topic);
	snprintf(json, sizeof json, "{\"stream_name\":\"%s\",\"config\":{"
	    "\"durable_name\":\"group\",\"ack_policy\":\"explicit\","
	    "\"deliver_policy\":\"all\",\"max_ack_pending\":100000}}", m->topic);
	api(&t, subject, json);
}

/* ---- sending and calling ---- */

struct sender {
	struct text t;
	const char *subject;
};

static void
put(void *arg, const char *body, size_t size)
{
	struct sender *s = arg;

	text_addf(&s->t, "PUB %s _INBOX.me.1 %zu\r\n", s->subject, size);
	text_add(&s->t, body, size);
	text_add(&s->t, "\r\n", 2);
}

static void
flush(void *arg)
{
	text_flush(&((struct sender *)arg)->t);
}

static unsigned
done(void *arg)
{
	struct sender *s = arg;
	unsigned n = 0;
	struct msg m;

	for (bool wait = true; next(&s->t, &m, wait); wait = false) {
		if (m.status || (m.size < 512 && memmem(m.data, m.size, "\"error\"", 7)))
			die(m.data);
		n++;
	}
	return n;
}

static void
send_all(struct meter *m)
{
	struct sender s = { .subject = m->topic };

	login(&s.t, m, "me");
	meter_run(m, &(struct meter_flow){ .arg = &s, .fd = s.t.fd, .put = put,
	    .flush = flush, .done = done });
}

/* ---- receiving ---- */

static void
fetch(struct text *t, const struct meter *m, bool wait)
{
	char json[128];

	snprintf(json, sizeof json, "{\"batch\":%d,%s}", FETCH,
	    wait ? "\"expires\":60000000000" : "\"no_wait\":true");
	text_addf(t, "PUB $JS.API.CONSUMER.MSG.NEXT.%s.group _INBOX.in.1 %zu\r\n%s\r\n",
	    m->topic, strlen(json), json);
}

/* Receive until there is no more, or (wait) that many. */
static void
receive(struct meter *m, bool wait, uint64_t total)
{
	struct text t;
	struct msg g;

	login(&t, m, "in");
	meter_start(m);
	fetch(&t, m, wait);
	fetch(&t, m, wait);
	while (m->done < total) {
		uint64_t since = m->end;

		if (!next(&t, &g, false)) {
			text_flush(&t);
			next(&t, &g, true);
		}
		if (g.status && !wait)
			break;
		if (g.status)
			continue;
		meter_took(m, wait ? meter_stamp(g.data) : since);
		text_addf(&t, "PUB %s 0\r\n\r\n", g.reply);
		if (m->done % FETCH == 0)
			fetch(&t, m, wait);
	}
	sync_with(&t);
	m->end = dfb_mono_ns();
}

static void
send_and_receive(struct meter *m)
{
	int pid;

	make_stream(m);
	make_consumer(m);
	if ((pid = meter_fork()) == 0) {
		send_all(m);
		_Exit(0);
	}
	receive(m, true, meter_total(m));
	waitpid(pid, NULL, 0);
}

/* Answer every request with its own body. */
static void
serve(const struct meter *m, int ready)
{
	struct text t;
	struct msg g;

	login(&t, m, "service");
	text_addf(&t, "SUB %s 2\r\n", m->topic);
	sync_with(&t);
	meter_check(write(ready, "", 1) == 1, "pipe");
	for (;;) {
		if (!next(&t, &g, false)) {
			text_flush(&t);
			next(&t, &g, true);
		}
		text_addf(&t, "PUB %s %zu\r\n", g.reply, g.size);
		text_add(&t, g.data, g.size);
		text_add(&t, "\r\n", 2);
	}
}

static void
call(struct meter *m)
{
	int fd[2];
	char c;

	meter_check(pipe(fd) == 0, "pipe");
	if (meter_fork() == 0)
		serve(m, fd[1]);
	meter_check(read(fd[0], &c, 1) == 1, "service");
	send_all(m);
}

int
main(int argc, char **argv)
{
	struct meter m;

	meter_options(&m, argc, argv);
	if (strcmp(m.mode, "send") == 0) {
		make_stream(&m);
		send_all(&m);
	} else if (strcmp(m.mode, "both") == 0)
		send_and_receive(&m);
	else if (strcmp(m.mode, "recv") == 0) {
		make_consumer(&m);
		receive(&m, false, UINT64_MAX);
	} else if (strcmp(m.mode, "call") == 0)
		call(&m);
	else
		return 64;
	meter_print(&m);
	return 0;
}
