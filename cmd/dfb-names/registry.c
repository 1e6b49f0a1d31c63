#include "dfb-names/registry.h"

#include <stdlib.h>
#include <string.h>

#include "wire/proto.h"

/* A tree has more functions than are used here. */
#define STATIC __attribute__((unused)) static

struct names_offer {
	struct names_entry *entry;
	struct names_topic *topic;
	RB_ENTRY(names_offer) in_entry, in_topic;
	uint32_t mark, queues;
};

RB_HEAD(topic_offers, names_offer);
RB_HEAD(service_topics, names_topic);

struct names_topic {
	char name[DFB_TOPIC_MAX];
	struct names_service *service; /* NULL: a system topic */
	struct topic_offers offers;    /* never empty */
	RB_ENTRY(names_topic) by_name, in_service;
};

struct names_service {
	char name[DFB_TOPIC_MAX];
	struct service_topics topics;  /* never empty */
	RB_ENTRY(names_service) by_name;
};

static int
entry_cmp(struct names_entry *a, struct names_entry *b)
{
	return strcmp(a->name, b->name);
}

static int
topic_cmp(struct names_topic *a, struct names_topic *b)
{
	return strcmp(a->name, b->name);
}

static int
service_cmp(struct names_service *a, struct names_service *b)
{
	return strcmp(a->name, b->name);
}

static int
offer_topic_cmp(struct names_offer *a, struct names_offer *b)
{
	return strcmp(a->topic->name, b->topic->name);
}

static int
offer_entry_cmp(struct names_offer *a, struct names_offer *b)
{
	return strcmp(a->entry->name, b->entry->name);
}

RB_GENERATE_INTERNAL(names_entries, names_entry, by_name, entry_cmp, STATIC)
RB_GENERATE_INTERNAL(names_topics, names_topic, by_name, topic_cmp, STATIC)
RB_GENERATE_INTERNAL(names_services, names_service, by_name, service_cmp, STATIC)
RB_GENERATE_INTERNAL(service_topics, names_topic, in_service, topic_cmp, STATIC)
RB_GENERATE_INTERNAL(names_entry_offers, names_offer, in_entry, offer_topic_cmp, STATIC)
RB_GENERATE_INTERNAL(topic_offers, names_offer, in_topic, offer_entry_cmp, STATIC)

void
registry_init(struct names_registry *r, uint64_t version,
    void (*changed)(void *, const char *), void *arg)
{
	*r = (struct names_registry){ .version = version, .changed = changed, .arg = arg };
	RB_INIT(&r->entries);
	RB_INIT(&r->topics);
	RB_INIT(&r->services);
}

static void
no_change(void *arg, const char *dest)
{
	(void)arg;
	(void)dest;
}

void
registry_release(struct names_registry *r)
{
	struct names_entry *e;

	r->changed = no_change;
	while ((e = RB_ROOT(&r->entries)) != NULL)
		registry_remove(r, e);
}

/* ---- topics and services: there as long as somebody offers them ---- */

static const char *
service_of(const char *topic)
{
	const char *hyphen = strchr(topic, '-');

	return dfb_word_kind(topic) == DFB_WORD_TOPIC ? hyphen + 1 : NULL;
}

static void
touch(struct names_registry *r, const struct names_topic *t)
{
	r->version++;
	r->changed(r->arg, t->name);
	if (t->service != NULL)
		r->changed(r->arg, t->service->name);
}

static struct names_topic *
topic_find(struct names_registry *r, const char *name)
{
	struct names_topic key;

	if (strlen(name) >= sizeof key.name)
		return NULL;
	strcpy(key.name, name);
	return RB_FIND(names_topics, &r->topics, &key);
}

static struct names_service *
service_find(struct names_registry *r, const char *name)
{
	struct names_service key;

	if (strlen(name) >= sizeof key.name)
		return NULL;
	strcpy(key.name, name);
	return RB_FIND(names_services, &r->services, &key);
}

static struct names_service *
service_make(struct names_registry *r, const char *name)
{
	struct names_service *s = service_find(r, name);

	if (s != NULL || (s = calloc(1, sizeof *s)) == NULL)
		return s;
	strcpy(s->name, name);
	RB_INIT(&s->topics);
	RB_INSERT(names_services, &r->services, s);
	r->nservices++;
	return s;
}

static struct names_topic *
topic_make(struct names_registry *r, const char *name)
{
	struct names_topic *t = topic_find(r, name);
	const char *service = service_of(name);

	if (t != NULL || (t = calloc(1, sizeof *t)) == NULL)
		return t;
	if (service != NULL && (t->service = service_make(r, service)) == NULL) {
		free(t);
		return NULL;
	}
	strcpy(t->name, name);
	RB_INIT(&t->offers);
	RB_INSERT(names_topics, &r->topics, t);
	if (t->service != NULL)
		RB_INSERT(service_topics, &t->service->topics, t);
	r->ntopics++;
	return t;
}

static void
topic_unused(struct names_registry *r, struct names_topic *t)
{
	struct names_service *s = t->service;

	if (!RB_EMPTY(&t->offers))
		return;
	RB_REMOVE(names_topics, &r->topics, t);
	if (s != NULL) {
		RB_REMOVE(service_topics, &s->topics, t);
		if (RB_EMPTY(&s->topics)) {
			RB_REMOVE(names_services, &r->services, s);
			free(s);
			r->nservices--;
		}
	}
	free(t);
	r->ntopics--;
}

/* ---- offers ---- */

static struct names_offer *
offer_find(struct names_entry *e, struct names_topic *t)
{
	struct names_offer key = { .topic = t };

	return RB_FIND(names_entry_offers, &e->offers, &key);
}

static void
offer_remove(struct names_registry *r, struct names_offer *o)
{
	struct names_topic *t = o->topic;

	RB_REMOVE(names_entry_offers, &o->entry->offers, o);
	RB_REMOVE(topic_offers, &t->offers, o);
	o->entry->noffers--;
	r->noffers--;
	free(o);
	touch(r, t);
	topic_unused(r, t);
}

int
registry_offer(struct names_registry *r, struct names_entry *e, const char *topic,
    uint32_t queues)
{
	struct names_topic *t = topic_make(r, topic);
	struct names_offer *o;

	if (t == NULL)
		return -1;
	if ((o = offer_find(e, t)) != NULL) {
		o->mark = e->mark;
		if (o->queues == queues)
			return 0;
		o->queues = queues;
		touch(r, t);
		return 1;
	}
	if ((o = calloc(1, sizeof *o)) == NULL) {
		topic_unused(r, t);
		return -1;
	}
	*o = (struct names_offer){ .entry = e, .topic = t, .mark = e->mark,
		.queues = queues };
	RB_INSERT(names_entry_offers, &e->offers, o);
	RB_INSERT(topic_offers, &t->offers, o);
	e->noffers++;
	r->noffers++;
	touch(r, t);
	return 1;
}

int
registry_unoffer(struct names_registry *r, struct names_entry *e, const char *topic)
{
	struct names_topic *t = topic_find(r, topic);
	struct names_offer *o = t != NULL ? offer_find(e, t) : NULL;

	if (o == NULL)
		return 0;
	offer_remove(r, o);
	return 1;
}

void
registry_full_begin(struct names_entry *e)
{
	e->mark++;
}

void
registry_full_end(struct names_registry *r, struct names_entry *e,
    void (*taken_back)(void *, const char *), void *arg)
{
	struct names_offer *o, *next;

	RB_FOREACH_SAFE(o, names_entry_offers, &e->offers, next)
		if (o->mark != e->mark) {
			taken_back(arg, o->topic->name);
			offer_remove(r, o);
		}
}

void
registry_offers(const struct names_entry *e, void (*fn)(void *, const char *), void *arg)
{
	struct names_entry_offers head = e->offers;
	struct names_offer *o;

	RB_FOREACH(o, names_entry_offers, &head)
		fn(arg, o->topic->name);
}

/* ---- entries ---- */

struct names_entry *
registry_find(struct names_registry *r, const char *name)
{
	struct names_entry key;

	if (strlen(name) >= sizeof key.name)
		return NULL;
	strcpy(key.name, name);
	return RB_FIND(names_entries, &r->entries, &key);
}

struct names_entry *
registry_add(struct names_registry *r, const char *name, const struct names_facts *f)
{
	struct names_entry *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	strcpy(e->name, name);
	e->facts = *f;
	RB_INIT(&e->offers);
	RB_INSERT(names_entries, &r->entries, e);
	r->nentries++;
	return e;
}

void
registry_remove(struct names_registry *r, struct names_entry *e)
{
	struct names_offer *o;

	while ((o = RB_ROOT(&e->offers)) != NULL)
		offer_remove(r, o);
	RB_REMOVE(names_entries, &r->entries, e);
	r->nentries--;
	free(e);
}

struct names_entry *
registry_next(struct names_registry *r, struct names_entry *e)
{
	return e != NULL ? RB_NEXT(names_entries, &r->entries, e) :
	    RB_MIN(names_entries, &r->entries);
}

bool
registry_update(struct names_registry *r, struct names_entry *e,
    const struct names_facts *f)
{
	const struct names_facts *old = &e->facts;
	struct names_offer *o;
	bool same = strcmp(old->kind, f->kind) == 0 &&
	    strcmp(old->region, f->region) == 0 &&
	    strcmp(old->endpoint, f->endpoint) == 0 &&
	    old->incarnation == f->incarnation && old->state == f->state;

	e->facts = *f;
	if (same)
		return false;
	RB_FOREACH(o, names_entry_offers, &e->offers)
		touch(r, o->topic);
	return true;
}

/* ---- lookups ---- */

static int
topic_routes(struct names_topic *t, struct dfb_buf *buf)
{
	struct names_offer *o;

	RB_FOREACH(o, topic_offers, &t->offers) {
		const struct names_facts *f = &o->entry->facts;
		struct dfb_m_route m = { .topic = dfb_str(t->name),
			.broker = dfb_str(o->entry->name), .region = dfb_str(f->region),
			.endpoint = dfb_str(f->endpoint), .incarnation = f->incarnation,
			.state = f->state, .queues = o->queues };
		if (dfb_route_add(buf, &m) == -1)
			return -1;
	}
	return 0;
}

bool
registry_has(struct names_registry *r, const char *dest)
{
	return dfb_word_kind(dest) != DFB_WORD_SERVICE ? topic_find(r, dest) != NULL :
	    service_find(r, dest) != NULL;
}

int
registry_routes(struct names_registry *r, const char *dest, struct dfb_buf *buf)
{
	struct names_topic *t;
	struct names_service *s;

	if (dfb_word_kind(dest) != DFB_WORD_SERVICE)
		return (t = topic_find(r, dest)) != NULL ? topic_routes(t, buf) : 0;
	if ((s = service_find(r, dest)) == NULL)
		return 0;
	RB_FOREACH(t, service_topics, &s->topics)
		if (topic_routes(t, buf) == -1)
			return -1;
	return 0;
}
