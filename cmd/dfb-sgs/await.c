/* Answers that wait until a deployment is where the asker wants it. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "daemon/result.h"
#include "dfb-sgs/command.h"
#include "dfb-sgs/sgs.h"
#include "net/loop.h"

#define WAIT_MS 10000
#define WAIT_MAX_MS 3600000

static void
drop(struct await *a)
{
	struct sgs *g = a->g;

	dfb_loop_timer_stop(g->loop, &a->timer);
	TAILQ_REMOVE(&g->awaits, a, link);
	g->nawaits--;
	free(a);
}

/* Whether it is so, or never will be; then it is answered. */
static bool
answer(struct sgs *g, struct dfb_session *s, uint32_t req, const char *service,
    const char *region, unsigned states)
{
	json_t *row = book_row(&g->book, BOOK_SERVICE, service);
	struct place at = command_place(row, region);

	if (row == NULL)
		dfb_hub_refuse(&g->hub, s, req, DFB_NOBODY, "no service '%s'", service);
	else if (at.deployment == DEPLOYMENT_NONE)
		dfb_hub_refuse(&g->hub, s, req, DFB_NOBODY, "service '%s' is not deployed in %s",
		    service, region);
	else if ((states & 1u << at.deployment) != 0)
		dfb_hub_result(&g->hub, s, req, progress_show(g, service));
	else
		return false;
	return true;
}

static void
time_out(struct dfb_timer *t, void *arg)
{
	struct await *a = arg;
	struct sgs *g = a->g;
	json_t *row = book_row(&g->book, BOOK_SERVICE, a->service);
	char why[BOOK_WHY];
	unsigned n;

	(void)t;
	progress_region(g, row, a->region, &n, why);
	dfb_hub_refuse(&g->hub, a->session, a->req, DFB_TIMEOUT, "service '%s' is %s in %s%s%s",
	    a->service, deployment_state_text(command_place(row, a->region).deployment),
	    a->region, *why != '\0' ? ": " : "", why);
	drop(a);
}

static bool
read_states(json_t *list, unsigned *states)
{
	json_t *e;
	size_t i;

	*states = 0;
	json_array_foreach(list, i, e) {
		enum deployment_state d;
		if (!json_is_string(e) || !deployment_state_of(json_string_value(e), &d))
			return false;
		*states |= 1u << d;
	}
	return *states != 0;
}

void
await_begin(struct sgs *g, struct dfb_session *s, uint32_t req, json_t *args)
{
	const char *service = json_string_value(json_object_get(args, "service")),
	    *region = json_string_value(json_object_get(args, "region"));
	json_t *timeout = json_object_get(args, "timeout_ms");
	json_int_t ms = timeout != NULL ? json_integer_value(timeout) : WAIT_MS;
	struct await *a;
	unsigned states;

	if (service == NULL || dfb_word_kind(service) != DFB_WORD_SERVICE || region == NULL ||
	    !dfb_region_valid(region))
		dfb_hub_refuse(&g->hub, s, req, DFB_BADINPUT, "'service' and 'region' must name a "
		    "deployment");
	else if (!read_states(json_object_get(args, "states"), &states))
		dfb_hub_refuse(&g->hub, s, req, DFB_BADINPUT, "'states' must be a list of states: "
		    "offline, deploying, online, suspended, draining");
	else if ((timeout != NULL && !json_is_integer(timeout)) || ms < 0 || ms > WAIT_MAX_MS)
		dfb_hub_refuse(&g->hub, s, req, DFB_BADINPUT, "'timeout_ms' must be a number from "
		    "0 to %d", WAIT_MAX_MS);
	else if (answer(g, s, req, service, region, states))
		return;
	else if (g->nawaits >= SGS_AWAITS_MAX || (a = calloc(1, sizeof *a)) == NULL)
		dfb_hub_refuse(&g->hub, s, req, DFB_AGAIN, "too many wait here");
	else {
		a->g = g;
		a->session = s;
		a->req = req;
		strcpy(a->service, service);
		strcpy(a->region, region);
		a->states = states;
		a->timer = (struct dfb_timer){ .fn = time_out, .arg = a };
		dfb_loop_timer(g->loop, &a->timer, (uint64_t)ms);
		TAILQ_INSERT_TAIL(&g->awaits, a, link);
		g->nawaits++;
	}
}

void
await_check(struct sgs *g, const char *service)
{
	struct await *a, *next;

	TAILQ_FOREACH_SAFE(a, &g->awaits, link, next)
		if (strcmp(a->service, service) == 0 &&
		    answer(g, a->session, a->req, a->service, a->region, a->states))
			drop(a);
}

void
await_forget(struct sgs *g, struct dfb_session *s)
{
	struct await *a, *next;

	TAILQ_FOREACH_SAFE(a, &g->awaits, link, next)
		if (s == NULL || a->session == s)
			drop(a);
}
