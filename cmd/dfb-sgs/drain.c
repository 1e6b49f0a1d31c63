/* Taking a deployment out of service begins with telling those who would send to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dfb-sgs/sgs.h"

/* A gsl that is enrolled and not here (it is on its way, or cannot reach us) is waited for so long:
 * its clients are refused by the closed topics, and go on to the next place. */
#define GSL_MS 3000

static struct drain *
find(struct sgs *g, const char *topic)
{
	struct drain *d;

	TAILQ_FOREACH(d, &g->drains, link)
		if (strcmp(d->topic, topic) == 0)
			return d;
	return NULL;
}

static struct drain *
begin(struct sgs *g, const char *topic)
{
	struct drain *d = calloc(1, sizeof *d);

	if (d == NULL)
		return NULL;
	snprintf(d->topic, sizeof d->topic, "%s", topic);
	d->version = g->book.version; /* at least that of the change */
	d->begun_ms = dfb_mono_ms();
	TAILQ_INSERT_TAIL(&g->drains, d, link);
	return d;
}

static bool
is_here(struct sgs *g, const char *name)
{
	struct gsl *l;

	TAILQ_FOREACH(l, &g->gsls, link)
		if (strcmp(l->session->who, name) == 0)
			return true;
	return false;
}

static bool
all_know(struct sgs *g, const struct drain *d, char *why, size_t size)
{
	struct gsl *l;

	TAILQ_FOREACH(l, &g->gsls, link)
		if (l->followed < d->version) {
			snprintf(why, size, "gsl %s has not confirmed version %llu yet: look "
			    "whether it runs", l->session->who,
			    (unsigned long long)d->version);
			return false;
		}
	if (dfb_mono_ms() - d->begun_ms >= GSL_MS)
		return true;
	if (g->listed_ms == 0) {
		snprintf(why, size, "no name server has answered yet");
		return false;
	}
	for (size_t i = 0; i < g->nlisted_gsls; i++)
		if (!is_here(g, g->listed_gsls[i])) {
			snprintf(why, size, "gsl %s is enrolled and not connected yet",
			    g->listed_gsls[i]);
			return false;
		}
	return true;
}

bool
drain_is_told(struct sgs *g, const char *topic, char *why, size_t size)
{
	struct drain *d = find(g, topic);
	uint64_t now = dfb_mono_ms();

	snprintf(why, size, "out of memory");
	if (d == NULL && (d = begin(g, topic)) == NULL)
		return false;
	if (d->told_ms == 0) {
		if (!all_know(g, d, why, size))
			return false;
		d->told_ms = now;
		log_event(DFB_LOG_INFO, "gsls-told", "topic=%s version=%llu", topic,
		    (unsigned long long)d->version);
	}
	why[0] = '\0';
	if (now - d->told_ms >= g->grace_ms)
		return true;
	snprintf(why, size, "clients are given %llu ms to hear of it",
	    (unsigned long long)g->grace_ms);
	return false;
}

void
drain_forget(struct sgs *g, const char *topic)
{
	struct drain *d = find(g, topic);

	if (d == NULL)
		return;
	TAILQ_REMOVE(&g->drains, d, link);
	free(d);
}

void
drain_end(struct sgs *g)
{
	struct drain *d;

	while ((d = TAILQ_FIRST(&g->drains)) != NULL)
		drain_forget(g, d->topic);
}
