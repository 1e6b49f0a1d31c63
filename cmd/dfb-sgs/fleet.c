/* Who is enrolled: brokers, to each of which there is a session, and gsls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/enroll.h"
#include "dfb-sgs/sgs.h"
#include "net/loop.h"
#include "wire/proto.h"

#define POLL_MS 500
#define FRESH_MS 2000
#define REQ_LIST DFB_ENROLL_REQ

int
broker_cmp(struct broker *a, struct broker *b)
{
	return strcmp(a->name, b->name);
}

RB_GENERATE(brokers, broker, node, broker_cmp)

void
fleet_ask(struct sgs *g)
{
	dfb_enroll_ask(g->enroll, &(struct dfb_proto){ .type = DFB_M_DAEMONS,
	    .req = REQ_LIST });
}

bool
fleet_is_fresh(const struct sgs *g)
{
	return g->listed_ms != 0 && dfb_mono_ms() - g->listed_ms < FRESH_MS;
}

static void
poll(struct dfb_timer *t, void *arg)
{
	struct sgs *g = arg;

	fleet_ask(g);
	govern_mark_all(g); /* what is to be tried again */
	dfb_loop_timer(g->loop, t, POLL_MS);
}

/* ---- the list ---- */

static void
remove_broker(struct sgs *g, struct broker *b)
{
	RB_REMOVE(brokers, &g->brokers, b);
	g->nbrokers--;
	broker_disconnect(b);
	free(b);
}

static struct broker *
add_broker(struct sgs *g, const char *name)
{
	struct broker *b = calloc(1, sizeof *b);

	if (b == NULL)
		return NULL;
	b->g = g;
	snprintf(b->name, sizeof b->name, "%s", name);
	RB_INIT(&b->topics);
	TAILQ_INIT(&b->waiting);
	RB_INSERT(brokers, &g->brokers, b);
	g->nbrokers++;
	return b;
}

/* A broker is listed: be in session with it.  Whether anything is new. */
static bool
see_broker(struct sgs *g, const struct dfb_m_daemon *d)
{
	struct broker key, *b;
	char region[4], endpoint[SGS_ENDPOINT];
	bool moved;

	dfb_str_copy(d->name, key.name, sizeof key.name);
	dfb_str_copy(d->region, region, sizeof region);
	dfb_str_copy(d->endpoint, endpoint, sizeof endpoint);
	if ((b = RB_FIND(brokers, &g->brokers, &key)) == NULL &&
	    (b = add_broker(g, key.name)) == NULL)
		return false; /* the next list has it, too */
	moved = strcmp(b->region, region) != 0 || strcmp(b->endpoint, endpoint) != 0;
	b->listed = true;
	if (!moved && b->conn != NULL && b->incarnation == d->incarnation) {
		bool same = b->state == d->state;
		b->state = d->state;
		return !same;
	}
	if (moved)
		broker_disconnect(b);
	b->incarnation = d->incarnation;
	b->state = d->state;
	snprintf(b->region, sizeof b->region, "%s", region);
	snprintf(b->endpoint, sizeof b->endpoint, "%s", endpoint);
	if (b->conn == NULL)
		broker_connect(b);
	return true;
}

static void
see_gsl(struct sgs *g, const struct dfb_m_daemon *d)
{
	void *p = reallocarray(g->listed_gsls, g->nlisted_gsls + 1, sizeof *g->listed_gsls);

	if (p == NULL)
		return; /* it is not waited for, then */
	g->listed_gsls = p;
	dfb_str_copy(d->name, g->listed_gsls[g->nlisted_gsls++],
	    sizeof *g->listed_gsls);
}

/* Of two that started at the same time the earlier stays. */
static void
see_sgs(struct sgs *g, const struct dfb_m_daemon *d)
{
	char name[65];

	if (!look_is_other(g, d) || d->incarnation > g->incarnation ||
	    (d->incarnation == g->incarnation &&
	    strcmp(dfb_str_copy(d->name, name, sizeof name), g->name) > 0))
		return;
	look_say_other(d);
	sgs_fail(g, DFB_AGAIN);
}

static void
listing(struct sgs *g, struct dfb_blob list)
{
	struct broker *b, *next;
	struct dfb_m_daemon d;
	bool news = g->listed_ms == 0;

	RB_FOREACH(b, brokers, &g->brokers)
		b->listed = false;
	g->nlisted_gsls = 0;
	while (dfb_daemon_next(&list, &d) == 1)
		if (dfb_str_is(d.kind, "broker"))
			news = see_broker(g, &d) || news;
		else if (dfb_str_is(d.kind, "gsl") && d.state != DFB_STATE_LOST)
			see_gsl(g, &d);
		else if (dfb_str_is(d.kind, "sgs"))
			see_sgs(g, &d);
	RB_FOREACH_SAFE(b, brokers, &g->brokers, next)
		if (!b->listed) {
			remove_broker(g, b);
			news = true;
		}
	g->listed_ms = dfb_mono_ms();
	if (news)
		govern_mark_all(g);
}

static void
frame(void *arg, unsigned i, const struct dfb_proto *m)
{
	struct sgs *g = arg;

	if (m->type == DFB_M_LISTING && dfb_enroll_is_first(g->enroll, i))
		listing(g, m->listing.daemons);
}

static void
up(void *arg, unsigned i)
{
	struct sgs *g = arg;

	dfb_enroll_send(g->enroll, i, &(struct dfb_proto){ .type = DFB_M_DAEMONS,
	    .req = REQ_LIST });
}

/* ---- begin and end ---- */

int
fleet_begin(struct sgs *g, void (*ready)(void *arg))
{
	g->enroll = dfb_enroll_new(&(struct dfb_enroll_config){ .net = g->net,
	    .loop = g->loop, .names = g->daemon->names, .kind = "sgs", .name = g->name,
	    .region = "", .endpoint = sgs_endpoint(g), .offer = "%SGS",
	    .incarnation = g->incarnation, .lease_ms = (uint32_t)g->lease_ms,
	    .ready = ready, .up = up, .frame = frame, .arg = g });
	if (g->enroll == NULL)
		return -1;
	g->poll = (struct dfb_timer){ .fn = poll, .arg = g };
	dfb_loop_timer(g->loop, &g->poll, POLL_MS);
	return 0;
}

void
fleet_end(struct sgs *g)
{
	struct broker *b;

	if (g->enroll != NULL)
		dfb_loop_timer_stop(g->loop, &g->poll);
	while ((b = RB_MIN(brokers, &g->brokers)) != NULL)
		remove_broker(g, b);
	dfb_enroll_free(g->enroll);
	g->enroll = NULL;
	free(g->listed_gsls);
	g->listed_gsls = NULL;
}
