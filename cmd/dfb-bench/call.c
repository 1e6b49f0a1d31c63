/* Callers, and the service that answers them. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dfb-bench/bench.h"

#define TIMEOUT_MS 20000 /* less than load.c waits */

/* ---- callers ---- */

struct slot {
	struct caller *caller;
	uint64_t at_ns;
	bool measured;
};

struct caller {
	struct client *client;
	struct dfb_caller *caller;
	struct slot *slots;
	uint32_t *free, nfree;   /* slots that are free */
	uint64_t started;
	uint8_t *body;
};

static void
on_answer(void *arg, enum dfb_status st, const char *why, const struct dfb_msg *reply)
{
	struct slot *s = arg;
	struct caller *k = s->caller;
	struct client *c = k->client;
	size_t size = c->bench->opt->size;

	if (st == DFB_OK && reply->body_len != size)
		meter_fail(&c->meter, 1, DFB_BADINPUT, "the reply is not what was sent: "
		    "another group answers, too");
	else if (st != DFB_OK)
		meter_fail(&c->meter, 1, st, why);
	else if (s->measured)
		meter_add(&c->meter, s->at_ns, dfb_mono_ns(), size);
	k->free[k->nfree++] = (uint32_t)(s - k->slots);
}

static void
call_close(void *arg)
{
	struct caller *k = arg;

	if (k == NULL)
		return;
	dfb_caller_close(k->caller);
	free(k->slots);
	free(k->free);
	free(k->body);
	free(k);
}

static void *
call_open(struct client *c)
{
	const struct options *o = c->bench->opt;
	struct caller *k = calloc(1, sizeof *k);

	if (k == NULL || (k->slots = calloc(o->window, sizeof *k->slots)) == NULL ||
	    (k->free = calloc(o->window, sizeof *k->free)) == NULL ||
	    (k->body = calloc(1, o->size + 1)) == NULL) {
		call_close(k);
		client_break(c, DFB_OSERR, "out of memory");
		return NULL;
	}
	memset(k->body, 'x', o->size);
	k->client = c;
	while (k->nfree < o->window)
		k->free[k->nfree] = k->nfree, k->nfree++;
	if (dfb_caller_open(c->dfb, o->topic, &k->caller) != DFB_OK) {
		client_break(c, DFB_USAGE, dfb_error(c->dfb));
		call_close(k);
		return NULL;
	}
	return k;
}

static enum load_result
call_start(void *arg, uint64_t at_ns)
{
	struct caller *k = arg;
	struct client *c = k->client;
	const struct options *o = c->bench->opt;
	char key[BENCH_KEY];
	struct dfb_msg m = { .body = k->body, .body_len = o->size, .key = key,
		.key_len = bench_key(o, k->started, key), .headers = o->headers,
		.headers_len = o->headers_len };
	struct slot *s;
	enum dfb_status st;

	if (k->nfree == 0)
		return LOAD_FULL;
	s = &k->slots[k->free[k->nfree - 1]];
	*s = (struct slot){ k, at_ns, c->measured };
	if ((st = dfb_caller_start(k->caller, &m, TIMEOUT_MS, on_answer, s)) != DFB_OK) {
		client_break(c, st, dfb_error(c->dfb));
		return LOAD_BROKEN;
	}
	k->nfree--;
	k->started++;
	return LOAD_STARTED;
}

static uint64_t
call_collect(void *arg)
{
	const struct caller *k = arg;

	return k->client->bench->opt->window - k->nfree;
}

void
call_run(struct client *c)
{
	static const struct load load = { call_open, call_close, call_start, call_collect };

	load_run(c, &load);
}

/* ---- the service ---- */

static void
on_request(void *arg, struct dfb_consumer *consumer, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct dfb_msg reply = { .body = m->body, .body_len = m->body_len };

	(void)arg;
	if (m->is_call)
		dfb_consumer_reply(consumer, d, DFB_OK, NULL, &reply);
	dfb_consumer_ack(consumer, d);
}

void
echo_run(struct client *c)
{
	struct bench *b = c->bench;
	struct dfb_consumer_config config = { .message = on_request };
	struct dfb_consumer *consumer = server_open(c, &config);

	server_ready(c);
	while (consumer != NULL && !b->load_ended && !b->broken)
		client_wait(c, -1);
	dfb_consumer_close(consumer, b->broken ? 0 : BENCH_CLOSE_MS);
}
