#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dfb-names/names.h"
#include "dfb-names/persist.h"
#include "net/loop.h"
#include "net/sock.h"
#include "wire/proto.h"

/* ---- entries that end ---- */

static void
unbind(struct names_entry *e)
{
	if (e->session == NULL)
		return;
	LIST_REMOVE(e, in_session);
	e->session = NULL;
}

static void
withdraw(struct names *n, struct names_entry *e, const char *event)
{
	log_event(DFB_LOG_INFO, event, "kind=%s name=%s region=%s topics=%zu", e->facts.kind,
	    e->name, e->facts.region, e->noffers);
	dfb_loop_timer_stop(n->loop, &e->lease);
	unbind(e);
	persist_gone(n->persist, e);
	registry_remove(&n->registry, e);
}

static void
expired(struct dfb_timer *t, void *arg)
{
	struct names *n = arg;
	struct names_entry *e = (struct names_entry *)((char *)t -
	    offsetof(struct names_entry, lease));

	n->stats.expired++;
	withdraw(n, e, "expired");
}

static void
renew(struct names *n, struct names_entry *e)
{
	e->heard_ms = dfb_mono_ms();
	e->lease.fn = expired;
	e->lease.arg = n;
	dfb_loop_timer(n->loop, &e->lease, e->facts.lease_ms);
}

void
names_adopt(struct names *n, struct names_entry *e)
{
	renew(n, e);
}

/* What a session enrolled; its user pointer. */
struct names_owner {
	LIST_HEAD(, names_entry) entries;
};

void
names_lost(void *names, struct dfb_session *s)
{
	struct names *n = names;
	struct names_owner *o = s->user;
	struct names_entry *e;

	held_remove_all(n, s);
	while (o != NULL && (e = LIST_FIRST(&o->entries)) != NULL) {
		struct names_facts f = e->facts;

		unbind(e);
		if (n->hub.stopping)
			continue; /* not lost: the server is */
		f.state = DFB_STATE_LOST;
		registry_update(&n->registry, e, &f);
		log_event(DFB_LOG_WARN, "lost", "kind=%s name=%s region=%s", f.kind,
		    e->name, f.region);
	}
	free(o);
	s->user = NULL;
}

/* The entry is this session's now.  0, or -1 without memory. */
static int
bind_to(struct names_entry *e, struct dfb_session *s)
{
	struct names_owner *o = s->user;

	if (o == NULL && (o = s->user = calloc(1, sizeof *o)) == NULL)
		return -1;
	unbind(e);
	e->session = s;
	LIST_INSERT_HEAD(&o->entries, e, in_session);
	return 0;
}

/* ---- ENROLL ---- */

static bool
fits(struct dfb_str s, char *buf, size_t size)
{
	dfb_str_copy(s, buf, size);
	return s.len < size;
}

/* The facts of a message.  NULL, or what is wrong with them. */
static const char *
facts_of(const struct dfb_m_enroll *m, char *name, struct names_facts *f)
{
	const char *why;

	if (!fits(m->kind, f->kind, sizeof f->kind) || !dfb_name_valid(f->kind))
		return "a kind is a word of at most 64 letters";
	if (!fits(m->name, name, NAMES_WORD) || !dfb_name_valid(name))
		return "a name is 1 to 64 letters, digits, '_', '.' or '-'";
	if (!fits(m->region, f->region, sizeof f->region) ||
	    (*f->region != '\0' && !dfb_region_valid(f->region)))
		return "a region is 3 capital letters or digits";
	if (!fits(m->endpoint, f->endpoint, sizeof f->endpoint))
		return "the endpoint is too long";
	if ((why = dfb_endpoint_check(f->endpoint)) != NULL)
		return why;
	if (m->state != DFB_STATE_UP && m->state != DFB_STATE_DRAINING)
		return "the state is 1 (up) or 2 (draining)";
	if (m->full > 1)
		return "full is 0 or 1";
	f->incarnation = m->incarnation;
	f->lease_ms = m->lease_ms;
	f->state = m->state;
	return NULL;
}

/* Whether all offers can be taken: DFB_OK, or the status and why. */
static int
check_offers(struct dfb_blob list, size_t *count, char *why, size_t size)
{
	struct dfb_m_offer o;
	char topic[DFB_TOPIC_MAX];
	int rc;

	*count = 0;
	while ((rc = dfb_offer_next(&list, &o)) == 1) {
		enum dfb_word kind;

		++*count;
		kind = fits(o.topic, topic, sizeof topic) ? dfb_word_kind(topic) :
		    DFB_WORD_BAD;
		if (o.up > 1 || kind == DFB_WORD_BAD || kind == DFB_WORD_SERVICE) {
			snprintf(why, size, "offer of '%s' is not up or down of a topic",
			    topic);
			return DFB_BADINPUT;
		}
	}
	if (rc == 0)
		return DFB_OK;
	snprintf(why, size, "malformed list of offers");
	return DFB_PROTO;
}

struct change {
	struct names *names;
	struct names_entry *entry;
};

static void
taken_back(void *arg, const char *topic)
{
	struct change *c = arg;

	persist_unoffer(c->names->persist, c->entry, topic);
}

/* Apply the list: the number of changes, or -1 without memory. */
static int
apply_offers(struct names *n, struct names_entry *e, struct dfb_blob list, bool full)
{
	struct change c = { n, e };
	size_t before = e->noffers;
	struct dfb_m_offer o;
	int changes = 0;

	if (full)
		registry_full_begin(e);
	while (dfb_offer_next(&list, &o) == 1) {
		char topic[DFB_TOPIC_MAX];
		int rc;

		dfb_str_copy(o.topic, topic, sizeof topic);
		rc = o.up != 0 ? registry_offer(&n->registry, e, topic, o.queues) :
		    registry_unoffer(&n->registry, e, topic);
		if (rc == -1)
			return -1;
		if (rc == 1 && o.up != 0)
			persist_offer(n->persist, e, topic);
		else if (rc == 1)
			persist_unoffer(n->persist, e, topic);
		changes += rc;
	}
	if (full) {
		size_t now = e->noffers;
		registry_full_end(&n->registry, e, taken_back, &c);
		changes += (int)(now - e->noffers);
	}
	return changes != 0 || before != e->noffers ? 1 : 0;
}

/* The sender's entry, made or updated; NULL after refusing. */
static struct names_entry *
entry_for(struct names *n, struct dfb_session *s, const struct dfb_proto *m,
    const char *name, const struct names_facts *f, bool *changed)
{
	struct names_entry *e = registry_find(&n->registry, name);
	uint64_t lease = e != NULL ? e->facts.lease_ms : 0;

	if (e != NULL && e->facts.incarnation > f->incarnation) {
		dfb_hub_refuse(&n->hub, s, m->req, DFB_DENIED, "a later incarnation of '%s' is "
		    "enrolled: %s is started twice, or its clock was set back", name, name);
		return NULL;
	}
	/* On the same endpoint it is the same daemon, started again. */
	if (e != NULL && e->facts.incarnation != f->incarnation && e->session != NULL &&
	    e->session != s && strcmp(e->facts.endpoint, f->endpoint) != 0) {
		dfb_hub_refuse(&n->hub, s, m->req, DFB_AGAIN, "another %s '%s' is up, at %s: give "
		    "one of them another --name", e->facts.kind, name, e->facts.endpoint);
		return NULL;
	}
	/* What changed while the connection was down is not known here. */
	if (m->enroll.full == 0 && (e == NULL || e->session != s ||
	    e->facts.incarnation != f->incarnation)) {
		dfb_hub_refuse(&n->hub, s, m->req, DFB_NOBODY, "'%s' is not known: enroll in full",
		    name);
		return NULL;
	}
	if (e != NULL) {
		if (e->facts.incarnation != f->incarnation)
			log_event(DFB_LOG_INFO, "replaced", "name=%s incarnation=%llu "
			    "by=%llu", name, (unsigned long long)e->facts.incarnation,
			    (unsigned long long)f->incarnation);
		*changed = registry_update(&n->registry, e, f) || lease != f->lease_ms;
		return e;
	}
	if (n->registry.nentries >= NAMES_ENTRIES_MAX) {
		dfb_hub_refuse(&n->hub, s, m->req, DFB_AGAIN, "%d daemons are enrolled, the most "
		    "there can be", NAMES_ENTRIES_MAX);
		return NULL;
	}
	*changed = true;
	if ((e = registry_add(&n->registry, name, f)) == NULL)
		dfb_hub_refuse(&n->hub, s, m->req, DFB_OSERR, "out of memory");
	return e;
}

void
names_enroll(struct names *n, struct dfb_session *s, const struct dfb_proto *m)
{
	struct dfb_proto done = { .type = DFB_M_DONE };
	char name[NAMES_WORD], text[256];
	struct names_facts f;
	struct names_entry *e;
	const char *why;
	bool changed = false;
	size_t count;
	int rc;

	n->stats.enrolls++;
	if ((why = facts_of(&m->enroll, name, &f)) != NULL) {
		dfb_hub_refuse(&n->hub, s, m->req, DFB_BADINPUT, "%s", why);
		return;
	}
	if (f.lease_ms < NAMES_LEASE_MIN_MS || f.lease_ms > n->lease_max_ms) {
		dfb_hub_refuse(&n->hub, s, m->req, DFB_BADINPUT, "a lease is %d to %llu ms, not %u",
		    NAMES_LEASE_MIN_MS, (unsigned long long)n->lease_max_ms, f.lease_ms);
		return;
	}
	if ((rc = check_offers(m->enroll.offers, &count, text, sizeof text)) == DFB_PROTO) {
		dfb_hub_malformed(&n->hub, s, m->req, text);
		return;
	}
	if (rc != DFB_OK) {
		dfb_hub_refuse(&n->hub, s, m->req, rc, "%s", text);
		return;
	}
	if (n->registry.noffers + count > NAMES_OFFERS_MAX && count > 0) {
		dfb_hub_refuse(&n->hub, s, m->req, DFB_AGAIN, "%d topics are offered, the most there "
		    "can be", NAMES_OFFERS_MAX);
		return;
	}
	if ((e = entry_for(n, s, m, name, &f, &changed)) == NULL)
		return;
	renew(n, e);
	if (changed)
		persist_entry(n->persist, e);
	rc = 0;
	if (e->session != s) {
		rc = bind_to(e, s);
		changed = true;
	}
	if (rc == -1 || (rc = apply_offers(n, e, m->enroll.offers,
	    m->enroll.full != 0)) == -1) {
		withdraw(n, e, "withdrawn");
		dfb_hub_refuse(&n->hub, s, m->req, DFB_OSERR, "out of memory");
		return;
	}
	if (changed || rc == 1)
		log_event(DFB_LOG_INFO, "enrolled", "kind=%s name=%s region=%s endpoint=%s "
		    "state=%u topics=%zu", f.kind, name, f.region,
		    dfb_log_quote(f.endpoint), f.state, e->noffers);
	dfb_hub_answer(&n->hub, s, &done, m->req);
}

void
names_forget(struct names *n, struct dfb_session *s, const struct dfb_proto *m)
{
	struct dfb_proto done = { .type = DFB_M_DONE };
	char name[NAMES_WORD];
	struct names_entry *e = fits(m->forget.name, name, sizeof name) ?
	    registry_find(&n->registry, name) : NULL;

	/* An earlier incarnation cannot withdraw a later one; its own entry is gone. */
	if (e != NULL && e->facts.incarnation == m->forget.incarnation)
		withdraw(n, e, "withdrawn");
	dfb_hub_answer(&n->hub, s, &done, m->req);
}
