/*
 * Flow control: so many messages and bytes per second, of a topic and of each client.  A
 * limit is a mark on the clock: up to there what was taken has used up the rate.  A mark may
 * be a second ahead: what came in less than a second at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "broker.h"
#include "limits.h"

#define SECOND UINT64_C(1000000000)
#define WAIT_MIN_MS 10 /* so that it is worth sending again */
#define CLIENTS_MAX 100000

/* What one client used of a topic's limits. */
struct client {
	struct dfb_id id;
	struct meter meter;
	RB_ENTRY(client) node;
};

static int
client_cmp(struct client *a, struct client *b)
{
	return memcmp(a->id.b, b->id.b, sizeof a->id.b);
}

RB_PROTOTYPE(client_tree, client, node, client_cmp)
RB_GENERATE(client_tree, client, node, client_cmp)

/* ---- marks ---- */

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* What n of rate per second take, in ns. */
static uint64_t
cost(uint64_t n, uint64_t rate)
{
	return rate != 0 ? n * SECOND / rate : 0;
}

/* How long, in ns, until so much may be taken.  What is more than a second's may be taken when
 * nothing is used up. */
static uint64_t
wait_for(uint64_t mark, uint64_t now, uint64_t need)
{
	uint64_t end = later(mark, now) + (need < SECOND ? need : SECOND);

	return end > now + SECOND ? end - now - SECOND : 0;
}

/* ---- clients ---- */

/* A session that did not say whose it is counts for itself. */
static struct dfb_id
client_id(const struct session *s)
{
	static const struct dfb_id none;
	struct dfb_id id = s->client;

	if (memcmp(&id, &none, sizeof id) == 0)
		memcpy(id.b, &s->serial, sizeof s->serial);
	return id;
}

static struct client *
client_of(struct topic *t, const struct session *s)
{
	struct client want = { .id = client_id(s) }, *c;

	if ((c = RB_FIND(client_tree, &t->clients, &want)) != NULL)
		return c;
	if (t->nclients >= CLIENTS_MAX || (c = calloc(1, sizeof *c)) == NULL)
		return NULL;
	c->id = want.id;
	RB_INSERT(client_tree, &t->clients, c);
	t->nclients++;
	return c;
}

static void
forget(struct topic *t, struct client *c)
{
	RB_REMOVE(client_tree, &t->clients, c);
	t->nclients--;
	free(c);
}

void
flow_release(struct topic *t)
{
	struct client *c;

	while ((c = RB_ROOT(&t->clients)) != NULL)
		forget(t, c);
}

void
flow_keep(struct broker *b)
{
	uint64_t now = b->now * 1000000;
	struct client *c, *next;
	struct topic *t;

	RB_FOREACH(t, topic_tree, &b->topics)
		RB_FOREACH_SAFE(c, client_tree, &t->clients, next)
			if (c->meter.count <= now && c->meter.bytes <= now)
				forget(t, c);
}

/* ---- limits ---- */

void
flow_settings(struct topic *t)
{
	const struct settings *s = &t->set;

	t->limited = s->rate != 0 || s->rate_bytes != 0 || s->client_rate != 0 ||
	    s->client_rate_bytes != 0;
}

struct limit {
	uint64_t *mark;
	uint64_t rate, cost; /* rate 0: no limit */
	bool bytes, client;  /* what it counts; whose it is */
};
#define LIMITS 4

/* c may be NULL when clients have no limits. */
static void
limits_of(struct topic *t, struct client *c, uint64_t n, uint64_t bytes, struct limit *l)
{
	const struct settings *s = &t->set;

	l[0] = (struct limit){ &t->meter.count, s->rate, cost(n, s->rate), false, false };
	l[1] = (struct limit){ &t->meter.bytes, s->rate_bytes, cost(bytes, s->rate_bytes),
		true, false };
	l[2] = l[3] = (struct limit){ 0 };
	if (c == NULL)
		return;
	l[2] = (struct limit){ &c->meter.count, s->client_rate, cost(n, s->client_rate),
		false, true };
	l[3] = (struct limit){ &c->meter.bytes, s->client_rate_bytes,
		cost(bytes, s->client_rate_bytes), true, true };
}

static void
refuse(struct broker *b, struct topic *t, uint64_t ns, struct refusal *no)
{
	uint64_t ms = (ns + 999999) / 1000000;

	no->wait_ms = (uint32_t)(ms < WAIT_MIN_MS ? WAIT_MIN_MS : ms);
	t->limited_ms = b->wall;
	b->n.flow_refused++;
}

static void
explain(const struct topic *t, const struct limit *l, struct refusal *no)
{
	char rate[24], time[16];

	if (l->bytes)
		dfb_format_size(l->rate, rate);
	else
		snprintf(rate, sizeof rate, "%llu", (unsigned long long)l->rate);
	snprintf(no->why, sizeof no->why, "flow control: '%s' takes %s %s a second%s; try "
	    "again in %s", t->name, rate, l->bytes ? "bytes" : "messages",
	    l->client ? " from one client" : "", dfb_format_duration(no->wait_ms, time));
}

bool
flow_take(struct broker *b, const struct session *s, struct topic *t, uint64_t n,
    uint64_t bytes, struct refusal *no)
{
	bool each = t->set.client_rate != 0 || t->set.client_rate_bytes != 0;
	struct client *c = each ? client_of(t, s) : NULL;
	uint64_t now = b->now * 1000000, ns = 0, wait;
	struct limit l[LIMITS], *worst = l;

	if (each && c == NULL) {
		refuse(b, t, SECOND, no);
		snprintf(no->why, sizeof no->why, "flow control: too many clients");
		return false;
	}
	limits_of(t, c, n, bytes, l);
	for (unsigned i = 0; i < LIMITS; i++)
		if (l[i].rate != 0 && (wait = wait_for(*l[i].mark, now, l[i].cost)) > ns) {
			ns = wait;
			worst = &l[i];
		}
	if (ns != 0) {
		refuse(b, t, ns, no);
		explain(t, worst, no);
		return false;
	}
	for (unsigned i = 0; i < LIMITS; i++)
		if (l[i].rate != 0)
			*l[i].mark = later(*l[i].mark, now) + l[i].cost;
	return true;
}
