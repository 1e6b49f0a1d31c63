/* The name server's registry, watches and rows: memory only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "daemon/hub.h"
#include "dfb-names/registry.h"
#include "dfb-names/rows.h"
#include "wire/proto.h"

struct fixture {
	struct names_registry registry;
	char changes[1024]; /* the destinations that changed, a blank after each */
	unsigned count;
};

static void
on_change(void *arg, const char *dest)
{
	struct fixture *f = arg;
	size_t n = strlen(f->changes);

	f->count++;
	if (n + strlen(dest) + 2 < sizeof f->changes)
		snprintf(f->changes + n, sizeof f->changes - n, "%s ", dest);
}

static int
setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof f);
	registry_init(&f.registry, 100, on_change, &f);
	*state = &f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	registry_release(&f->registry);
	assert_int_equal(f->registry.nentries, 0);
	assert_int_equal(f->registry.ntopics, 0);
	assert_int_equal(f->registry.nservices, 0);
	assert_int_equal(f->registry.noffers, 0);
	return 0;
}

static const struct names_facts facts = { .kind = "broker", .region = "A10",
	.endpoint = "ipc:///b1", .incarnation = 7, .lease_ms = 1000, .state = 1 };

/* The routes of dest as "topic@broker/state " each. */
static const char *
routes(struct fixture *f, const char *dest)
{
	static char text[1024];
	struct dfb_buf buf = { 0 };
	struct dfb_m_route r;
	struct dfb_blob list;
	size_t n = 0;

	assert_int_equal(registry_routes(&f->registry, dest, &buf), 0);
	list = (struct dfb_blob){ buf.data, buf.len };
	text[0] = '\0';
	while (dfb_route_next(&list, &r) == 1)
		n += (size_t)snprintf(text + n, sizeof text - n, "%.*s@%.*s/%u ",
		    (int)r.topic.len, r.topic.p, (int)r.broker.len, r.broker.p, r.state);
	dfb_buf_release(&buf);
	return text;
}

static const char *
changes(struct fixture *f)
{
	static char text[sizeof f->changes];

	strcpy(text, f->changes);
	f->changes[0] = '\0';
	return text;
}

static void
test_offers(void **state)
{
	struct fixture *f = *state;
	struct names_registry *r = &f->registry;
	struct names_entry *b1 = registry_add(r, "b1", &facts);
	struct names_entry *b2 = registry_add(r, "b2", &facts);

	assert_ptr_equal(registry_find(r, "b1"), b1);
	assert_null(registry_find(r, "b3"));
	assert_string_equal(routes(f, "A10-x"), "");
	assert_int_equal(registry_offer(r, b2, "A10-x", 1), 1);
	assert_string_equal(changes(f), "A10-x x ");
	assert_int_equal(registry_offer(r, b2, "A10-x", 1), 0);
	assert_string_equal(changes(f), "");
	assert_int_equal(registry_offer(r, b1, "A10-x", 1), 1);
	assert_int_equal(registry_offer(r, b1, "B20-x", 1), 1);
	assert_int_equal(registry_offer(r, b1, "B20-xy", 1), 1);
	changes(f);
	assert_string_equal(routes(f, "A10-x"), "A10-x@b1/1 A10-x@b2/1 ");
	assert_string_equal(routes(f, "x"), "A10-x@b1/1 A10-x@b2/1 B20-x@b1/1 ");
	assert_string_equal(routes(f, "y"), "");
	assert_int_equal(r->ntopics, 3);
	assert_int_equal(r->nservices, 2);
	assert_int_equal(registry_unoffer(r, b1, "A10-none"), 0);
	assert_int_equal(registry_unoffer(r, b2, "B20-x"), 0);
	assert_int_equal(registry_unoffer(r, b1, "B20-x"), 1);
	assert_string_equal(changes(f), "B20-x x ");
	assert_string_equal(routes(f, "x"), "A10-x@b1/1 A10-x@b2/1 ");
	registry_remove(r, b1);
	assert_string_equal(routes(f, "x"), "A10-x@b2/1 ");
	assert_int_equal(r->nservices, 1);
}

static void
test_system_topic(void **state)
{
	struct fixture *f = *state;
	struct names_entry *b1 = registry_add(&f->registry, "b1", &facts);

	assert_int_equal(registry_offer(&f->registry, b1, "%DLQ-a-b", 1), 1);
	assert_string_equal(changes(f), "%DLQ-a-b ");
	assert_string_equal(routes(f, "%DLQ-a-b"), "%DLQ-a-b@b1/1 ");
	assert_int_equal(f->registry.nservices, 0);
}

static void
test_update(void **state)
{
	struct fixture *f = *state;
	struct names_entry *b1 = registry_add(&f->registry, "b1", &facts);
	struct names_facts now = facts;
	uint64_t version;

	registry_offer(&f->registry, b1, "A10-x", 1);
	changes(f);
	version = f->registry.version;
	now.lease_ms = 5;
	assert_false(registry_update(&f->registry, b1, &now));
	assert_string_equal(changes(f), "");
	assert_int_equal(f->registry.version, version);
	now.state = DFB_STATE_LOST;
	assert_true(registry_update(&f->registry, b1, &now));
	assert_string_equal(changes(f), "A10-x x ");
	assert_true(f->registry.version > version);
	assert_string_equal(routes(f, "x"), "A10-x@b1/3 ");
}

static void
append(void *arg, const char *topic)
{
	strcat(strcat(arg, topic), " ");
}

static void
test_full(void **state)
{
	struct fixture *f = *state;
	struct names_entry *b1 = registry_add(&f->registry, "b1", &facts);
	char back[64] = "", all[64] = "";

	registry_offer(&f->registry, b1, "A10-a", 1);
	registry_offer(&f->registry, b1, "A10-b", 1);
	changes(f);
	registry_full_begin(b1);
	assert_int_equal(registry_offer(&f->registry, b1, "A10-b", 1), 0);
	assert_int_equal(registry_offer(&f->registry, b1, "A10-c", 1), 1);
	registry_full_end(&f->registry, b1, append, back);
	assert_string_equal(back, "A10-a ");
	assert_string_equal(changes(f), "A10-c c A10-a a ");
	registry_offers(b1, append, all);
	assert_string_equal(all, "A10-b A10-c ");
}

static void
test_iteration(void **state)
{
	struct fixture *f = *state;
	struct names_entry *e = NULL;

	assert_null(registry_next(&f->registry, NULL));
	registry_add(&f->registry, "b2", &facts);
	registry_add(&f->registry, "b1", &facts);
	assert_string_equal((e = registry_next(&f->registry, e))->name, "b1");
	assert_string_equal((e = registry_next(&f->registry, e))->name, "b2");
	assert_null(registry_next(&f->registry, e));
}

/* 10,000 topics on 10 brokers: each change touches its own topic only, and soon. */
static void
test_many(void **state)
{
	struct fixture *f = *state;
	struct names_entry *b[10];
	char topic[32];
	uint64_t start = dfb_mono_ms();

	for (unsigned i = 0; i < 10; i++) {
		char name[8];
		snprintf(name, sizeof name, "b%u", i);
		b[i] = registry_add(&f->registry, name, &facts);
		for (unsigned t = 0; t < 10000; t++) {
			snprintf(topic, sizeof topic, "A10-t%u", t);
			assert_int_equal(registry_offer(&f->registry, b[i], topic, 1), 1);
		}
	}
	assert_int_equal(f->registry.ntopics, 10000);
	assert_int_equal(f->registry.noffers, 100000);
	f->count = 0;
	registry_unoffer(&f->registry, b[5], "A10-t77");
	assert_int_equal(f->count, 2);
	assert_true(dfb_mono_ms() - start < 20000);
}

static void
session_init(struct dfb_session *s)
{
	memset(s, 0, sizeof *s);
	RB_INIT(&s->watches);
	TAILQ_INIT(&s->stale);
}

static void
test_watches(void **state)
{
	struct dfb_watches w;
	struct dfb_session a, b;
	struct dfb_watched *d;
	struct dfb_watcher *x;

	(void)state;
	dfb_watches_init(&w);
	session_init(&a);
	session_init(&b);
	assert_int_equal(dfb_watch_add(&w, &a, "x", 0), 0);
	assert_int_equal(dfb_watch_add(&w, &a, "x", 0), 0);
	assert_int_equal(dfb_watch_add(&w, &a, "y", 0), 0);
	assert_int_equal(dfb_watch_add(&w, &b, "x", 0), 0);
	assert_int_equal(w.n, 3);
	dfb_watch_mark(&w, "x");
	dfb_watch_mark(&w, "x");
	dfb_watch_mark(&w, "unwatched");
	assert_non_null(d = dfb_watch_take(&w));
	assert_string_equal(d->name, "x");
	assert_null(dfb_watch_take(&w));

	assert_null(dfb_watch_take_stale(&w, &a));
	LIST_FOREACH(x, &d->watches, in_dest)
		dfb_watch_set_stale(&w, x);
	assert_non_null(x = dfb_watch_take_stale(&w, &a));
	assert_ptr_equal(x->dest, d);
	assert_null(dfb_watch_take_stale(&w, &a));
	dfb_watch_set_stale(&w, x);
	dfb_watch_mark(&w, "x"); /* ends marked and stale: nothing may point to it */
	dfb_watch_remove(&w, &a, "x");
	dfb_watch_remove(&w, &a, "x");
	dfb_watch_remove(&w, &a, "never");
	assert_null(dfb_watch_take_stale(&w, &a));
	assert_int_equal(w.nstale, 1); /* of b */
	/* One name, two tags: both are marked, and ended, with the name. */
	assert_int_equal(dfb_watch_add(&w, &a, "t", 1), 0);
	assert_int_equal(dfb_watch_add(&w, &a, "t", 2), 0);
	assert_int_equal(dfb_watch_add(&w, &b, "t", 2), 0);
	assert_int_equal(dfb_watch_add(&w, &b, "tt", 1), 0);
	assert_non_null(d = dfb_watch_take(&w));
	assert_string_equal(d->name, "x");
	dfb_watch_mark(&w, "t");
	for (uint32_t tag = 1; tag <= 2; tag++) {
		assert_non_null(d = dfb_watch_take(&w));
		assert_string_equal(d->name, "t");
		assert_int_equal(d->tag, tag);
	}
	assert_null(dfb_watch_take(&w));
	dfb_watch_remove(&w, &a, "t");
	assert_int_equal(w.n, 4);
	dfb_watch_mark_all(&w);
	assert_non_null(dfb_watch_take(&w));
	dfb_watch_remove_all(&w, &a);
	dfb_watch_remove_all(&w, &b);
	assert_int_equal(w.n, 0);
	assert_int_equal(w.nstale, 0);
	assert_null(dfb_watch_take(&w));
	assert_true(RB_EMPTY(&w.dests));
}

static void
test_rows(void **state)
{
	uint8_t row[ROWS_ENTRY_MAX], v[ROWS_VERSION];
	char key[ROWS_OFFER_MAX], name[NAMES_WORD], topic[DFB_TOPIC_MAX];
	struct names_facts out;
	uint64_t version;
	size_t n;

	(void)state;
	n = rows_entry_write(row, &facts);
	assert_int_equal(rows_entry_read("b1", 2, row, n, name, &out), 0);
	assert_string_equal(name, "b1");
	assert_string_equal(out.kind, facts.kind);
	assert_string_equal(out.region, facts.region);
	assert_string_equal(out.endpoint, facts.endpoint);
	assert_int_equal(out.incarnation, 7);
	assert_int_equal(out.lease_ms, 1000);
	assert_int_equal(out.state, 1);
	for (size_t i = 0; i < n; i++) /* cut anywhere */
		assert_int_equal(rows_entry_read("b1", 2, row, i, name, &out), -1);
	assert_int_equal(rows_entry_read("b1", 2, row, n + 1, name, &out), -1);
	assert_int_equal(rows_entry_read("b 1", 3, row, n, name, &out), -1);
	row[0]++;
	assert_int_equal(rows_entry_read("b1", 2, row, n, name, &out), -1);

	n = rows_offer_write(key, "b1", "A10-x");
	assert_int_equal(rows_offer_read(key, n, name, topic), 0);
	assert_string_equal(name, "b1");
	assert_string_equal(topic, "A10-x");
	assert_int_equal(rows_offer_read(key, 2, name, topic), -1);
	assert_int_equal(rows_offer_read(key, 3, name, topic), -1);
	assert_int_equal(rows_offer_read("b1\0A10-x\0", 9, name, topic), -1);

	rows_version_write(v, UINT64_C(1) << 50);
	assert_int_equal(rows_version_read(v, sizeof v, &version), 0);
	assert_true(version == UINT64_C(1) << 50);
	assert_int_equal(rows_version_read(v, 8, &version), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_offers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_system_topic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_update, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_iteration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test(test_watches),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
