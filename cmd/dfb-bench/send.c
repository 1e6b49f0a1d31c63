/* Senders.  Confirms are cumulative: how many came tells which messages are confirmed. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dfb-bench/bench.h"

#define FAILED 0 /* in place of a time */

struct sender {
	struct client *client;
	struct dfb_producer *producer;
	/* When messages started, by number: head to tail are not decided, or not looked at. */
	uint64_t *at;
	uint64_t mask, head, tail;
	uint64_t confirmed;
	uint8_t *body;
};

size_t
bench_key(const struct options *o, uint64_t n, char buf[BENCH_KEY])
{
	if (o->keys == 0)
		return 0;
	n %= o->keys;
	for (int i = BENCH_KEY - 1; i >= 0; i--, n >>= 4)
		buf[i] = "0123456789abcdef"[n & 15];
	return BENCH_KEY;
}

static void
on_failed(void *arg, uint64_t n, enum dfb_status st, const char *why)
{
	struct sender *s = arg;

	s->at[n & s->mask] = FAILED;
	meter_fail(&s->client->meter, 1, st, why);
}

static void
send_close(void *arg)
{
	struct sender *s = arg;

	if (s == NULL)
		return;
	dfb_producer_close(s->producer);
	free(s->at);
	free(s->body);
	free(s);
}

static void *
send_open(struct client *c)
{
	const struct options *o = c->bench->opt;
	struct dfb_producer_config config = { .dest = o->topic, .window = o->window,
		.window_bytes = (size_t)o->window * (o->size + 256), .once = o->once,
		.failed = on_failed };
	struct sender *s = calloc(1, sizeof *s);
	uint64_t cap = 1;

	while (cap <= o->window)
		cap *= 2;
	if (s == NULL || (s->at = calloc(cap, sizeof *s->at)) == NULL ||
	    (s->body = calloc(1, o->size + 1)) == NULL) {
		send_close(s);
		client_break(c, DFB_OSERR, "out of memory");
		return NULL;
	}
	memset(s->body, 'x', o->size);
	s->client = c;
	s->mask = cap - 1;
	s->head = s->tail = 1;
	config.arg = s;
	if (dfb_producer_open(c->dfb, &config, &s->producer) != DFB_OK) {
		client_break(c, DFB_USAGE, dfb_error(c->dfb));
		send_close(s);
		return NULL;
	}
	return s;
}

static enum load_result
send_start(void *arg, uint64_t at_ns)
{
	struct sender *s = arg;
	struct client *c = s->client;
	const struct options *o = c->bench->opt;
	struct stamp stamp = { at_ns, c->bench->run, c->measured };
	char key[BENCH_KEY];
	struct dfb_msg m = { .body = s->body, .body_len = o->size, .key = key,
		.key_len = bench_key(o, s->tail, key), .headers = o->headers,
		.headers_len = o->headers_len };
	enum dfb_status st;

	if (s->tail - s->head > s->mask)
		return LOAD_FULL;
	if (o->mode == BENCH_BOTH)
		memcpy(s->body, &stamp, sizeof stamp);
	if ((st = dfb_producer_put(s->producer, &m)) == DFB_AGAIN)
		return LOAD_FULL;
	if (st != DFB_OK) {
		client_break(c, st, dfb_error(c->dfb));
		return LOAD_BROKEN;
	}
	s->at[s->tail++ & s->mask] = at_ns;
	return LOAD_STARTED;
}

static uint64_t
send_collect(void *arg)
{
	struct sender *s = arg;
	struct client *c = s->client;
	const struct dfb_producer *p = s->producer;
	uint64_t all = dfb_producer_taken(p) - dfb_producer_pending(p) -
	    dfb_producer_failures(p);
	uint64_t now = all != s->confirmed ? dfb_mono_ns() : 0;

	for (; s->head != s->tail; s->head++) {
		uint64_t at = s->at[s->head & s->mask];
		if (at == FAILED)
			continue;
		if (s->confirmed == all)
			break;
		s->confirmed++;
		if (c->measured)
			meter_add(&c->meter, at, now, c->bench->opt->size);
	}
	return s->tail - s->head;
}

void
send_run(struct client *c)
{
	static const struct load load = { send_open, send_close, send_start, send_collect };

	load_run(c, &load);
}
