/*
 * The session to the sgs.  FOLLOW says what the gsl has; CATALOG brings what is new, in one
 * or several frames, and counts when it is complete.  FOLLOW is said again when nothing came for
 * a while: an sgs that hangs, or that does not hear this session any more, is noticed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "client/conn.h"
#include "dfb-gsl/gsl.h"
#include "net/loop.h"
#include "wire/proto.h"

#define REQ 1
#define BEAT_MS 2000
#define SILENT_MS 6000
#define PAUSE_MS 1000
#define PATIENCE_MS 2000        /* for watchers whose queues are full */
#define REMEMBER_MS 60000
#define RAW_MAX (1u << 30)
#define LINGER_MS 200

static void
unstage(struct follow *f)
{
	struct entry *e;

	while ((e = STAILQ_FIRST(&f->staged)) != NULL) {
		STAILQ_REMOVE_HEAD(&f->staged, staged);
		entry_free(e);
	}
	dfb_buf_release(&f->raw);
	f->full = false;
}

static void
follow(struct gsl *g)
{
	struct follow *f = &g->follow;

	dfb_conn_send(f->conn, &(struct dfb_proto){ .type = DFB_M_FOLLOW, .req = REQ,
	    .follow = { .catalog = f->anew ? 0 : g->catalog.id,
	    .version = f->anew ? 0 : g->catalog.version } });
}

static void
drop(struct gsl *g, const char *why)
{
	dfb_conn_drop(g->follow.conn, why, PAUSE_MS);
}

/* ---- the end of a session ---- */

static void
remember(struct gsl *g)
{
	if (g->follow.heard)
		g->follow.heard_ms = dfb_wall_ms();
	store_state(g);
}

static void
ended(struct gsl *g)
{
	struct follow *f = &g->follow;

	if (f->heard)
		remember(g);
	unstage(f);
	f->up = f->heard = f->owes = false;
	dfb_loop_timer_stop(g->loop, &f->beat);
	dfb_loop_timer_stop(g->loop, &f->patience);
	dfb_loop_timer_stop(g->loop, &f->remember);
}

static void
down(void *arg, const char *why)
{
	struct gsl *g = arg;

	log_event(DFB_LOG_WARN, "sgs-lost", "endpoint=%s why=%s",
	    dfb_conn_endpoint(g->follow.conn), dfb_log_quote(why));
	ended(g);
}

/* ---- what came ---- */

static void
mark(struct gsl *g, const struct entry *e)
{
	if (e->kind == CATALOG_DISTANCES || strcmp(e->name, CATALOG_ALL) == 0)
		dfb_watch_mark_all(&g->hub.watches);
	else
		dfb_watch_mark(&g->hub.watches, e->name);
}

static void
store_all(struct gsl *g)
{
	struct dfb_blob list = { g->follow.raw.data, g->follow.raw.len };
	struct dfb_m_entry m;

	while (dfb_entry_next(&list, &m) == 1)
		if (m.kind >= CATALOG_SERVICE && m.kind <= CATALOG_DISTANCES)
			store_entry(g, &m);
}

/* What the copy does not have is gone from the disk, too. */
static void
replace(struct gsl *g, struct catalog *next)
{
	for (struct entry *e = catalog_from(&g->catalog, CATALOG_SERVICE, ""); e != NULL;
	    e = catalog_next(e))
		if (catalog_find(next, e->kind, e->name) == NULL)
			store_gone(g, e);
	next->id = g->catalog.id;
	catalog_release(&g->catalog);
	g->catalog = *next;
	dfb_watch_mark_all(&g->hub.watches);
	g->stats.copies++;
}

/* All of it is there: it counts now, and is written together. */
static void
complete(struct gsl *g, const struct dfb_m_catalog *m)
{
	struct follow *f = &g->follow;
	struct catalog next;
	struct entry *e;
	bool new = f->full || !STAILQ_EMPTY(&f->staged);

	catalog_init(&next);
	while ((e = STAILQ_FIRST(&f->staged)) != NULL) {
		STAILQ_REMOVE_HEAD(&f->staged, staged);
		if (!f->full)
			mark(g, e);
		catalog_put(f->full ? &next : &g->catalog, e);
	}
	if (f->full)
		replace(g, &next);
	if (f->full || m->version != g->catalog.version)
		log_event(DFB_LOG_INFO, "followed", "version=%llu services=%zu full=%d",
		    (unsigned long long)m->version, g->catalog.nservices, f->full);
	store_all(g);
	new |= g->catalog.version != m->version || !f->heard;
	g->catalog.id = m->catalog;
	g->catalog.version = m->version;
	f->heard = f->owes = true;
	f->anew = false;
	unstage(f);
	if (new)
		remember(g);
}

/* Keep the entries of a frame until it is complete.  NULL, or what is wrong. */
static const char *
stage(struct gsl *g, const struct dfb_m_catalog *m, char *why, size_t size)
{
	struct follow *f = &g->follow;
	struct dfb_blob list = m->entries;
	struct dfb_m_entry item;
	struct entry *e;
	int rc;

	while ((rc = dfb_entry_next(&list, &item)) == 1) {
		if (entry_read(&item, &e, why, size) == -1)
			return why;
		if (e == NULL)
			continue; /* of a later version */
		STAILQ_INSERT_TAIL(&f->staged, e, staged);
		g->stats.changes++;
	}
	if (rc == -1)
		return "a malformed list of entries";
	if (f->raw.len + m->entries.len > RAW_MAX)
		return "the catalogue is larger than 1 GiB";
	if (dfb_buf_add(&f->raw, m->entries.p, m->entries.len) == -1)
		return "out of memory";
	return NULL;
}

static void
on_catalog(struct gsl *g, const struct dfb_m_catalog *m)
{
	struct follow *f = &g->follow;
	const char *wrong;
	char why[256];

	if (m->flags & DFB_CATALOG_FULL) {
		unstage(f);
		f->full = true;
	} else if (!f->full && (f->anew || m->catalog != g->catalog.id ||
	    m->version < g->catalog.version)) {
		/* What it says does not follow on what is here.  (Once asked, twice is no
		 * better: on_beat() asks again.) */
		if (!f->anew) {
			log_event(DFB_LOG_WARN, "catalogue-differs", "version=%llu theirs=%llu",
			    (unsigned long long)g->catalog.version,
			    (unsigned long long)m->version);
			f->anew = true;
			follow(g);
		}
		return;
	}
	if (m->catalog == 0)
		drop(g, "a catalogue without a name");
	else if ((wrong = stage(g, m, why, sizeof why)) != NULL) {
		log_event(DFB_LOG_ERR, "malformed", "who=sgs msg=%s", dfb_log_quote(wrong));
		drop(g, wrong);
	} else if (m->flags & DFB_CATALOG_COMPLETE)
		complete(g, m);
}

static void
frame(void *arg, const struct dfb_proto *m)
{
	struct gsl *g = arg;
	char why[200];

	g->follow.last_ms = dfb_mono_ms();
	switch (m->type) {
	case DFB_M_WELCOME:
		log_event(DFB_LOG_INFO, "following", "sgs=%.*s endpoint=%s",
		    (int)m->welcome.name.len, m->welcome.name.p,
		    dfb_conn_endpoint(g->follow.conn));
		break;
	case DFB_M_CATALOG:
		on_catalog(g, &m->catalog);
		break;
	case DFB_M_ERROR:
		log_event(DFB_LOG_WARN, "follow-refused", "status=%u why=%s", m->status,
		    dfb_log_quote(dfb_str_copy(m->error.reason, why, sizeof why)));
		break;
	}
}

/* ---- a session ---- */

static void
up(void *arg)
{
	struct gsl *g = arg;

	g->follow.up = true;
	g->follow.last_ms = dfb_mono_ms();
	follow(g);
	dfb_loop_timer(g->loop, &g->follow.beat, BEAT_MS);
	dfb_loop_timer(g->loop, &g->follow.remember, REMEMBER_MS);
}

static void
on_beat(struct dfb_timer *t, void *arg)
{
	struct gsl *g = arg;
	uint64_t silent = dfb_mono_ms() - g->follow.last_ms;

	if (silent >= SILENT_MS) {
		drop(g, "it does not answer");
		return;
	}
	if (silent >= BEAT_MS)
		follow(g);
	dfb_loop_timer(g->loop, t, BEAT_MS);
}

static void
on_remember(struct dfb_timer *t, void *arg)
{
	struct gsl *g = arg;

	remember(g);
	dfb_loop_timer(g->loop, t, REMEMBER_MS);
}

/* ---- FOLLOWED ---- */

static void
told(struct gsl *g)
{
	struct follow *f = &g->follow;

	if (dfb_conn_send(f->conn, &(struct dfb_proto){ .type = DFB_M_FOLLOWED,
	    .followed = { .version = g->catalog.version } }) == 0)
		f->owes = false;
	dfb_loop_timer_stop(g->loop, &f->patience);
}

/* Those that do not read are not waited for without end. */
static void
on_patience(struct dfb_timer *t, void *arg)
{
	struct gsl *g = arg;

	(void)t;
	log_event(DFB_LOG_WARN, "slow-watchers", "n=%zu", g->hub.watches.nstale);
	told(g);
}

void
follow_tell(struct gsl *g)
{
	struct follow *f = &g->follow;

	if (!f->owes)
		return;
	if (g->hub.watches.nstale == 0)
		told(g);
	else if (!dfb_timer_is_set(&f->patience))
		dfb_loop_timer(g->loop, &f->patience, PATIENCE_MS);
}

/* ---- where it is ---- */

/* Without memory or descriptors there is no session now; there may be one later. */
static void
join(struct gsl *g)
{
	struct follow *f = &g->follow;

	f->conn = dfb_conn_new(&(struct dfb_conn_config){ .net = g->net, .loop = g->loop,
	    .endpoint = f->endpoint, .role = "gsl", .who = g->name, .region = g->region,
	    .up = up, .down = down, .frame = frame, .arg = g });
	if (f->conn != NULL)
		return;
	log_err("cannot connect to '%s'", f->endpoint);
	dfb_loop_timer(g->loop, &f->again, PAUSE_MS);
}

static void
on_again(struct dfb_timer *t, void *arg)
{
	(void)t;
	join(arg);
}

void
follow_init(struct gsl *g)
{
	struct follow *f = &g->follow;

	STAILQ_INIT(&f->staged);
	f->beat = (struct dfb_timer){ .fn = on_beat, .arg = g };
	f->patience = (struct dfb_timer){ .fn = on_patience, .arg = g };
	f->remember = (struct dfb_timer){ .fn = on_remember, .arg = g };
	f->again = (struct dfb_timer){ .fn = on_again, .arg = g };
}

static void
leave(struct gsl *g)
{
	struct dfb_conn *conn = g->follow.conn;

	dfb_loop_timer_stop(g->loop, &g->follow.again);
	if (conn == NULL)
		return;
	ended(g);
	g->follow.conn = NULL;
	dfb_conn_free(conn, LINGER_MS);
}

void
follow_release(struct gsl *g)
{
	leave(g);
}

void
follow_routes(struct gsl *g, struct dfb_blob routes)
{
	struct follow *f = &g->follow;
	struct dfb_m_route r;
	char endpoint[GSL_ENDPOINT] = "", one[GSL_ENDPOINT];
	uint8_t state = 0;

	while (dfb_route_next(&routes, &r) == 1) {
		if (r.endpoint.len >= sizeof one)
			continue;
		dfb_str_copy(r.endpoint, one, sizeof one);
		/* One that is up is better than one that is lost; the one we have than another. */
		if (*endpoint == '\0' || (state != DFB_STATE_UP && r.state == DFB_STATE_UP) ||
		    (state == r.state && f->conn != NULL &&
		    strcmp(one, dfb_conn_endpoint(f->conn)) == 0)) {
			strcpy(endpoint, one);
			state = r.state;
		}
	}
	if (*endpoint == '\0') {
		if (!f->up)
			leave(g); /* it is away, and where it will be is not known */
		return;
	}
	if (f->conn != NULL && strcmp(endpoint, dfb_conn_endpoint(f->conn)) == 0)
		return;
	leave(g);
	strcpy(f->endpoint, endpoint);
	join(g);
}

uint64_t
follow_age(const struct gsl *g)
{
	uint64_t now;

	if (g->follow.heard)
		return 0;
	now = dfb_wall_ms();
	/* A clock that was set back says nothing. */
	return g->follow.heard_ms < now ? now - g->follow.heard_ms : 1;
}
