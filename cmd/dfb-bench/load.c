/* When which message starts: as others end, or at a fixed rate. */
#include <stdio.h>

#include "base/clock.h"
#include "dfb-bench/bench.h"

#define NS 1000000000ull
#define TURN 1000 /* started, then the client has its turn even when there is room */
#define STALL_MS 30000 /* nothing ended for so long: give up */

/* A client's part of what is measured, or of the warm-up. */
struct phase {
	struct client *client;
	const struct load *load;
	void *state;
	uint64_t n, started;     /* messages: all, and so far */
	uint64_t start_ns, end_ns; /* end_ns: none starts from then on */
	uint64_t ended;          /* messages, when it was looked at last */
	uint64_t progress_ns;    /* when that changed, or winding up began */
	bool winding_up;
};

/* Messages of all clients take turns in one schedule. */
static uint64_t
intended(const struct phase *p)
{
	const struct options *o = p->client->bench->opt;
	uint64_t i = p->started * o->clients + p->client->index;

	return p->start_ns + i / o->rate * NS + i % o->rate * NS / o->rate;
}

/* When the next one starts; UINT64_MAX: none does any more. */
static uint64_t
next(struct phase *p, uint64_t now)
{
	const struct bench *b = p->client->bench;
	uint64_t at = b->opt->rate != 0 ? intended(p) : now;

	if (p->started >= p->n || at >= p->end_ns || b->stop || b->broken) {
		p->n = p->started;
		return UINT64_MAX;
	}
	return at;
}

/* Start what is due.  When the next one is due: 0 when it is and waits for room, UINT64_MAX
 * when there is none. */
static uint64_t
start_due(struct phase *p)
{
	const struct bench *b = p->client->bench;
	uint64_t now = dfb_mono_ns(), at;
	unsigned turn = 0;

	while ((at = next(p, now)) != UINT64_MAX) {
		if (at > now && at > (now = dfb_mono_ns()))
			return at;
		switch (p->load->start(p->state, at)) {
		case LOAD_STARTED:
			p->started++;
			break;
		case LOAD_FULL:
			return 0;
		case LOAD_BROKEN:
			return p->n = p->started, UINT64_MAX;
		}
		if (b->opt->rate == 0)
			now = dfb_mono_ns();
		if (++turn % TURN == 0)
			client_wait(p->client, 0);
	}
	return at;
}

static void
give_up(struct phase *p, uint64_t open)
{
	if (!p->winding_up)
		meter_fail(&p->client->meter, open, DFB_TIMEOUT, "nothing was confirmed or "
		    "answered for 30s");
}

/* How long to wait for what is under way; false: no longer. */
static bool
patience(struct phase *p, uint64_t open, int *ms)
{
	const struct bench *b = p->client->bench;
	uint64_t now = dfb_mono_ns(), waited;
	uint64_t most = b->stop || b->broken ? BENCH_WIND_UP_MS : STALL_MS;

	if (!p->winding_up && (b->stop || b->broken)) {
		p->winding_up = true;
		p->progress_ns = now;
	} else if (!p->winding_up && (open == 0 || p->started - open != p->ended)) {
		p->ended = p->started - open;
		p->progress_ns = now;
	}
	waited = (now - p->progress_ns) / 1000000;
	*ms = (int)(waited < most ? most - waited : 0);
	return waited < most;
}

static void
run(struct phase *p)
{
	uint64_t at, open;
	int ms;

	p->progress_ns = dfb_mono_ns();
	for (;;) {
		at = start_due(p);
		if ((open = p->load->collect(p->state)) == 0 && at == UINT64_MAX)
			return;
		if (!patience(p, open, &ms)) {
			give_up(p, open);
			return;
		}
		if (at != 0 && at != UINT64_MAX)
			client_timer(p->client, at);
		client_wait(p->client, ms);
		p->load->collect(p->state);
	}
}

static uint64_t
share(const struct client *c, uint64_t all)
{
	uint32_t n = c->bench->opt->clients;

	if (all == UINT64_MAX)
		return all;
	return all / n + (c->index < all % n);
}

/* Until all are here; one of them sets the beginning for all. */
static void
meet(struct client *c)
{
	struct bench *b = c->bench;

	if (pthread_barrier_wait(&b->warm) == PTHREAD_BARRIER_SERIAL_THREAD)
		b->start_ns = dfb_mono_ns();
	pthread_barrier_wait(&b->warm);
}

void
load_run(struct client *c, const struct load *load)
{
	const struct options *o = c->bench->opt;
	struct phase warm = { .client = c, .load = load, .end_ns = UINT64_MAX,
		.start_ns = dfb_mono_ns(), .n = share(c, o->warmup) };
	struct phase p = warm;

	if ((warm.state = p.state = load->open(c)) != NULL)
		run(&warm);
	/* What does not work need not be measured. */
	if (c->meter.status != DFB_OK && !atomic_exchange(&c->bench->broken, true))
		bench_wake(c->bench);
	meet(c);
	c->measured = true;
	p.start_ns = c->bench->start_ns;
	p.n = share(c, o->count);
	if (o->duration_ns != 0)
		p.end_ns = p.start_ns + o->duration_ns;
	if (p.state != NULL && !c->bench->broken)
		run(&p);
	load->close(p.state);
}
