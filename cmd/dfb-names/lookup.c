#include <errno.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "dfb-names/names.h"
#include "wire/proto.h"

/* A ROUTES frame for dest into out.  0, or -1 after ending the server. */
static int
routes(struct names *n, const char *dest, uint32_t req, struct dfb_buf *out)
{
	struct dfb_buf list = { 0 };
	struct dfb_proto m = { .type = DFB_M_ROUTES, .req = req };
	int rc = registry_routes(&n->registry, dest, &list);

	m.routes.dest = dfb_str(dest);
	m.routes.version = n->registry.version;
	m.routes.routes = (struct dfb_blob){ list.data, list.len };
	if (rc == -1 || dfb_proto_encode(&m, out) == -1) {
		log_err("cannot list the routes of '%s'", dest);
		names_fail(n, DFB_OSERR);
		rc = -1;
	}
	dfb_buf_release(&list);
	return rc;
}

void
names_answer_routes(struct names *n, struct names_session *s, const char *dest,
    uint32_t req)
{
	struct dfb_buf buf = { 0 };

	if (routes(n, dest, req, &buf) == 0)
		session_send(n, s, &buf);
	dfb_buf_release(&buf);
}

void
names_lookup(struct names *n, struct names_session *s, const struct dfb_proto *m)
{
	char dest[DFB_TOPIC_MAX];

	n->stats.lookups++;
	dfb_str_copy(m->lookup.dest, dest, sizeof dest);
	if (m->lookup.dest.len >= sizeof dest || dfb_word_kind(dest) == DFB_WORD_BAD) {
		names_refuse(n, s, m->req, DFB_BADINPUT, "'%s': %s", dest, dfb_word_help);
		return;
	}
	if (m->lookup.watch != 0) {
		if (s->nwatches >= NAMES_WATCHES_MAX) {
			names_refuse(n, s, m->req, DFB_AGAIN, "a session can watch %d "
			    "destinations", NAMES_WATCHES_MAX);
			return;
		}
		if (watch_add(&n->watches, s, dest) == -1) {
			names_refuse(n, s, m->req, DFB_AGAIN, "out of memory");
			return;
		}
	}
	if (!held_add(n, s, dest, m->req))
		names_answer_routes(n, s, dest, m->req);
}

void
names_unwatch(struct names *n, struct names_session *s, const struct dfb_proto *m)
{
	char dest[DFB_TOPIC_MAX];

	if (m->unwatch.dest.len < sizeof dest)
		watch_remove(&n->watches, s, dfb_str_copy(m->unwatch.dest, dest, sizeof dest));
}

/* Tell one watcher, now or later. */
static void
tell(struct names *n, struct names_watch *w, const struct dfb_buf *frame)
{
	struct names_session *s = w->session;

	if (session_is_slow(s)) {
		watch_set_stale(w);
		return;
	}
	n->stats.pushes++;
	if (dfb_sock_send(n->sock, &s->peer, frame->data, frame->len) == -1 &&
	    errno == EAGAIN) {
		watch_set_stale(w);
		session_set_slow(n, s);
	}
}

void
names_push(struct names *n)
{
	struct dfb_buf buf = { 0 };
	struct names_dest *d;

	while ((d = watch_take(&n->watches)) != NULL) {
		struct names_watch *w, *next;

		buf.len = 0;
		if (routes(n, d->name, 0, &buf) == -1)
			break;
		LIST_FOREACH_SAFE(w, &d->watches, in_dest, next)
			tell(n, w, &buf);
	}
	dfb_buf_release(&buf);
}

void
names_push_stale(struct names *n, struct names_session *s)
{
	struct dfb_buf buf = { 0 };
	struct names_watch *w;

	while (!session_is_slow(s) && (w = watch_take_stale(s)) != NULL) {
		buf.len = 0;
		if (routes(n, w->dest->name, 0, &buf) == -1)
			break;
		tell(n, w, &buf);
	}
	dfb_buf_release(&buf);
}

void
names_listing(struct names *n, struct names_session *s, const struct dfb_proto *m)
{
	struct dfb_proto out = { .type = DFB_M_LISTING };
	struct dfb_buf list = { 0 };
	uint64_t now = dfb_mono_ms();
	int rc = 0;

	for (struct names_entry *e = NULL; rc == 0 &&
	    (e = registry_next(&n->registry, e)) != NULL;) {
		const struct names_facts *f = &e->facts;
		struct dfb_m_daemon d = { .kind = dfb_str(f->kind),
			.name = dfb_str(e->name), .region = dfb_str(f->region),
			.endpoint = dfb_str(f->endpoint), .incarnation = f->incarnation,
			.state = f->state, .topics = (uint32_t)e->noffers,
			.age_ms = now - e->heard_ms };
		rc = dfb_daemon_add(&list, &d);
	}
	out.listing.daemons = (struct dfb_blob){ list.data, list.len };
	if (rc == -1)
		names_refuse(n, s, m->req, DFB_AGAIN, "out of memory");
	else
		names_answer(n, s, &out, m->req);
	dfb_buf_release(&list);
}
