/* What gsls are told: the catalogue as a whole when they come, then what is new. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/log.h"
#include "dfb-sgs/sgs.h"
#include "wire/proto.h"

#define FRAME_BYTES (1u << 20) /* a full copy is sent in parts of about this size */
#define FLAG_BEGIN 1
#define FLAG_END 2

struct sending {
	struct sgs *g;
	struct gsl *to;
	uint32_t req;
	bool full, begun;
	uint64_t from;             /* what is newer */
	struct dfb_buf entries;
	bool failed;
};

/* A service counts for clients from its first deployment; while it only tries to adopt topics
 * they are used as before. */
static bool
is_told(const json_t *service)
{
	json_t *regions = json_object_get(service, "regions"), *d;
	const char *region;

	json_object_foreach(regions, region, d) {
		const char *state = json_string_value(json_object_get(d, "state"));
		if (strcmp(state != NULL ? state : "", "deploying") != 0 ||
		    !json_is_true(json_object_get(d, "adopt")))
			return true;
	}
	return false;
}

/* What gsls need of a row; NULL: no memory. */
static json_t *
form(enum book_kind kind, const json_t *row)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)row);

	if (kind != BOOK_SERVICE)
		return copy;
	json_object_del(copy, "settings");
	json_object_del(copy, "proposed");
	json_object_del(copy, "gray");
	return copy;
}

static bool
is_gone(enum book_kind kind, const json_t *row)
{
	if (kind == BOOK_SERVICE)
		return !is_told(row);
	return kind == BOOK_AFFINITY && json_array_size(json_object_get(row, "rules")) == 0;
}

static void
send(struct sending *s, bool end)
{
	struct dfb_proto m = { .type = DFB_M_CATALOG, .catalog = {
		.catalog = s->g->book.id, .version = s->g->book.version,
		.flags = (uint8_t)((s->full && !s->begun ? FLAG_BEGIN : 0) |
		    (end ? FLAG_END : 0)),
		.entries = { s->entries.data, s->entries.len } } };

	dfb_hub_answer(&s->g->hub, s->to->session, &m, s->req);
	s->begun = true;
	s->req = 0;
	s->entries.len = 0;
}

static void
entry(struct sending *s, enum book_kind kind, const char *name, const json_t *row)
{
	struct dfb_m_entry e = { .kind = (uint8_t)kind, .name = dfb_str(name),
		.version = book_row_version(row) };
	bool gone = is_gone(kind, row);
	json_t *told;
	char *text = NULL;

	if (e.version <= s->from || (gone && s->full))
		return;
	if (!gone) {
		told = form(kind, row);
		text = told != NULL ? json_dumps(told, JSON_COMPACT) : NULL;
		json_decref(told);
		if (text == NULL) {
			s->failed = true;
			return;
		}
		e.json = (struct dfb_blob){ (uint8_t *)text, strlen(text) };
	}
	if (dfb_entry_add(&s->entries, &e) == -1)
		s->failed = true;
	free(text);
	if (s->entries.len > FRAME_BYTES)
		send(s, false);
}

/* Bring a gsl up to date; full: with a copy of all. */
static void
tell(struct sgs *g, struct gsl *to, uint32_t req, bool full)
{
	struct sending s = { .g = g, .to = to, .req = req, .full = full,
		.from = full ? 0 : to->sent };
	const char *name;
	json_t *row;

	json_object_foreach(g->book.services, name, row)
		entry(&s, BOOK_SERVICE, name, row);
	json_object_foreach(g->book.affinity, name, row)
		entry(&s, BOOK_AFFINITY, name, row);
	entry(&s, BOOK_DISTANCES, BOOK_ALL, g->book.distances);
	if (s.failed) { /* half a catalogue is none */
		log_errx("cannot tell the catalogue: out of memory");
		sgs_fail(g, DFB_OSERR);
	} else
		send(&s, true);
	to->sent = g->book.version;
	dfb_buf_release(&s.entries);
}

void
gsls_push(struct sgs *g)
{
	struct gsl *l;

	if (g->pushed == g->book.version)
		return;
	g->pushed = g->book.version;
	TAILQ_FOREACH(l, &g->gsls, link)
		if (!l->session->dead)
			tell(g, l, 0, false);
}

void
gsls_follow(struct sgs *g, struct dfb_session *s, const struct dfb_proto *m)
{
	struct gsl *l = s->user;
	bool full = m->follow.catalog != g->book.id || m->follow.version > g->book.version;

	if (m->follow.catalog == g->book.id && m->follow.version > g->book.version)
		log_event(DFB_LOG_WARN, "gsl-ahead", "name=%s version=%llu here=%llu msg=%s",
		    dfb_log_quote(s->who), (unsigned long long)m->follow.version,
		    (unsigned long long)g->book.version, dfb_log_quote("changes are missing "
		    "here: was the directory restored from an old copy?"));
	if (l == NULL) {
		if ((l = calloc(1, sizeof *l)) == NULL) {
			dfb_hub_refuse(&g->hub, s, m->req, DFB_OSERR, "out of memory");
			return;
		}
		l->session = s;
		s->user = l;
		TAILQ_INSERT_TAIL(&g->gsls, l, link);
		log_event(DFB_LOG_INFO, "gsl", "name=%s version=%llu full=%s",
		    dfb_log_quote(s->who), (unsigned long long)m->follow.version,
		    full ? "yes" : "no");
	}
	l->sent = m->follow.version;
	if (full)
		l->followed = 0;
	tell(g, l, m->req, full);
}

void
gsls_followed(struct sgs *g, struct dfb_session *s, const struct dfb_proto *m)
{
	struct gsl *l = s->user;

	if (l == NULL) {
		dfb_hub_malformed(&g->hub, s, m->req, "FOLLOWED without FOLLOW");
		return;
	}
	if (m->followed.version > l->followed && m->followed.version <= l->sent) {
		l->followed = m->followed.version;
		govern_mark_all(g);
	}
}

void
gsls_forget(struct sgs *g, struct dfb_session *s)
{
	struct gsl *l = s->user;

	if (l == NULL)
		return;
	TAILQ_REMOVE(&g->gsls, l, link);
	s->user = NULL;
	free(l);
	govern_mark_all(g);
}
