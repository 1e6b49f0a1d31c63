/*
 * Redis Streams beside dfb: peer_redis send|recv|both [options] KEY.
 *   send  XADD, pipelined; confirmed by its reply
 *   recv  XREADGROUP up to a window and one XACK for it, until the stream is empty
 *   both  a process that sends at a rate and one that receives; latency end to end
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "meter.h"

struct peer {
	redisContext *c;
	const char *key;
};

static redisContext *
connect_to(const struct meter *m)
{
	redisContext *c = redisConnect("127.0.0.1", m->port);

	meter_check(c != NULL && c->err == 0, "connect");
	return c;
}

static redisReply *
reply(redisContext *c)
{
	void *r = NULL;

	meter_check(redisGetReply(c, &r) == REDIS_OK && r != NULL, "read");
	if (((redisReply *)r)->type == REDIS_REPLY_ERROR) {
		fprintf(stderr, "peer_redis: %s\n", ((redisReply *)r)->str);
		exit(1);
	}
	return r;
}

static void
put(void *arg, const char *body, size_t size)
{
	struct peer *p = arg;
	const char *argv[] = { "XADD", p->key, "*", "b", body };
	size_t len[] = { 4, strlen(p->key), 1, 1, size };

	meter_check(redisAppendCommandArgv(p->c, 5, argv, len) == REDIS_OK, "memory");
}

static void
flush(void *arg)
{
	struct peer *p = arg;
	int all = 0;

	while (!all)
		meter_check(redisBufferWrite(p->c, &all) == REDIS_OK, "write");
}

static unsigned
done(void *arg)
{
	struct peer *p = arg;
	unsigned n = 0;
	void *r = reply(p->c);

	while (r != NULL) {
		n++;
		freeReplyObject(r);
		r = NULL;
		meter_check(redisGetReplyFromReader(p->c, &r) == REDIS_OK, "read");
	}
	return n;
}

static void
send_all(struct meter *m)
{
	struct peer p = { connect_to(m), m->topic };

	meter_run(m, &(struct meter_flow){ .arg = &p, .fd = p.c->fd, .put = put,
	    .flush = flush, .done = done });
	redisFree(p.c);
}

/* Acknowledge the entries of an answer to XREADGROUP, and take a latency for each: since
 * its stamp, or since the read began.  How many. */
static size_t
acknowledge(struct meter *m, redisContext *c, const redisReply *answer, uint64_t since)
{
	static const char *argv[4096 + 3];
	static size_t len[4096 + 3];
	const redisReply *list;
	size_t n;

	if (answer->type != REDIS_REPLY_ARRAY || answer->elements == 0)
		return 0;
	list = answer->element[0]->element[1];
	n = list->elements;
	argv[0] = "XACK", argv[1] = m->topic, argv[2] = "group";
	for (size_t i = 0; i < 3; i++)
		len[i] = strlen(argv[i]);
	for (size_t i = 0; i < n; i++) {
		const redisReply *id = list->element[i]->element[0];
		const redisReply *body = list->element[i]->element[1]->element[1];

		argv[i + 3] = id->str;
		len[i + 3] = id->len;
		meter_took(m, since != 0 ? since : meter_stamp(body->str));
	}
	meter_check(redisAppendCommandArgv(c, (int)n + 3, argv, len) == REDIS_OK, "memory");
	return n;
}

/* Receive until there is no more, or (wait) that many.  The acknowledgement of one
 * answer travels with the next request. */
static void
receive(struct meter *m, redisContext *c, bool wait, uint64_t total)
{
	char ask[256];
	size_t n = 0;

	snprintf(ask, sizeof ask, "XREADGROUP GROUP group me COUNT %u %s STREAMS %s >",
	    m->window < 4096 ? m->window : 4096, wait ? "BLOCK 0" : "", m->topic);
	do {
		uint64_t since = wait ? 0 : m->end;
		redisReply *r;

		redisAppendCommand(c, ask);
		if (n > 0)
			freeReplyObject(reply(c)); /* to XACK */
		r = reply(c);
		n = acknowledge(m, c, r, since);
		freeReplyObject(r);
	} while (n > 0 && m->done < total);
	if (n > 0)
		freeReplyObject(reply(c));
}

static void
make_group(const struct meter *m, redisContext *c)
{
	freeReplyObject(redisCommand(c, "XGROUP CREATE %s group 0 MKSTREAM", m->topic));
}

static void
send_and_receive(struct meter *m)
{
	redisContext *c = connect_to(m);
	int pid;

	make_group(m, c);
	if ((pid = meter_fork()) == 0) {
		send_all(m);
		_Exit(0);
	}
	meter_start(m);
	receive(m, c, true, meter_total(m));
	waitpid(pid, NULL, 0);
}

int
main(int argc, char **argv)
{
	struct meter m;

	meter_options(&m, argc, argv);
	if (strcmp(m.mode, "send") == 0)
		send_all(&m);
	else if (strcmp(m.mode, "both") == 0)
		send_and_receive(&m);
	else if (strcmp(m.mode, "recv") == 0) {
		redisContext *c = connect_to(&m);

		make_group(&m, c);
		meter_start(&m);
		receive(&m, c, false, UINT64_MAX);
	} else
		return 64;
	meter_print(&m);
	return 0;
}
