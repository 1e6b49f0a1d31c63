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
names_answer_routes(struct names *n, struct dfb_session *s, const char *dest,
    uint32_t req)
{
	struct dfb_buf buf = { 0 };

	if (routes(n, dest, req, &buf) == 0)
		dfb_hub_send(&n->hub, s, &buf);
	dfb_buf_release(&buf);
}

void
names_lookup(struct names *n, struct dfb_session *s, const struct dfb_proto *m)
{
	char dest[DFB_TOPIC_MAX];

	n->stats.lookups++;
	dfb_str_copy(m->lookup.dest, dest, sizeof dest);
	if (m->lookup.dest.len >= sizeof dest || dfb_word_kind(dest) == DFB_WORD_BAD) {
		dfb_hub_refuse(&n->hub, s, m->req, DFB_BADINPUT, "'%s': %s", dest, dfb_word_help);
		return;
	}
	if (m->lookup.watch != 0) {
		if (s->nwatches >= DFB_WATCHES_MAX) {
			dfb_hub_refuse(&n->hub, s, m->req, DFB_AGAIN, "a session can watch %d "
			    "destinations", DFB_WATCHES_MAX);
			return;
		}
		if (dfb_watch_add(&n->hub.watches, s, dest, 0) == -1) {
			dfb_hub_refuse(&n->hub, s, m->req, DFB_AGAIN, "out of memory");
			return;
		}
	}
	if (!held_add(n, s, dest, m->req))
		names_answer_routes(n, s, dest, m->req);
}

void
names_unwatch(struct names *n, struct dfb_session *s, const struct dfb_proto *m)
{
	char dest[DFB_TOPIC_MAX];

	if (m->unwatch.dest.len < sizeof dest)
		dfb_watch_remove(&n->hub.watches, s,
		    dfb_str_copy(m->unwatch.dest, dest, sizeof dest));
}

int
names_news(void *names, const char *dest, uint32_t tag, struct dfb_buf *out)
{
	(void)tag;
	return routes(names, dest, 0, out);
}

void
names_listing(struct names *n, struct dfb_session *s, const struct dfb_proto *m)
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
		dfb_hub_refuse(&n->hub, s, m->req, DFB_AGAIN, "out of memory");
	else
		dfb_hub_answer(&n->hub, s, &out, m->req);
	dfb_buf_release(&list);
}
