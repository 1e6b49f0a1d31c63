/*
 * Scheduled messages against a model: the store, the threads and the clock are here, and what
 * runs when follows from a seed.  Each message is fired once or cancelled, whoever cancels is
 * told which, nothing is fired early, and what is due at once is in order.
 */
#include "dfb-broker/broker.h"
#include "dfb-broker/disk.h"
#include "dfb-broker/expiry.h"
#include "dfb-broker/lane.h"
#include "dfb-broker/limits.h"
#include "net/loop.h"
#include "store/store.h"
#include "wire/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/endian.h>

#include <cmocka.h>

#define MESSAGES 30000
#define TOPIC 7

enum state { WAITING, FIRED, CANCELLED };

static struct message {
	struct timer_key key;
	enum state state;
} messages[MESSAGES + 1]; /* by number, which begins with 1 */
static uint64_t nmessages;

/* A change of the table of timers; rows are a bit for each message. */
struct op {
	uint64_t number;
	bool put;
};
struct batch {
	struct op ops[MESSAGES];
	size_t n;
	uint64_t mark;
};

static struct broker broker;
static struct topic topic = { .id = TOPIC, .set.durability = DFB_COMMIT };
static struct queue queue = { .topic = &topic };
static struct batch batches[2], *pending, *flying; /* flying: being committed */
static bool stored[MESSAGES + 1];
static struct dfb_job *job;   /* of the reader, not run yet */
static struct dfb_job *done;  /* run, and not told yet */
static uint64_t last_fired, fired;
static struct timer_key last_key;

/* ---- what is below ---- */

_Noreturn void
fail_stop(struct broker *b, const char *what)
{
	(void)b;
	fail_msg("%s", what);
	abort();
}

struct dfb_batch *
commit_batch(struct broker *b, bool urgent)
{
	(void)b, (void)urgent;
	return (struct dfb_batch *)pending;
}

static void
note(int table, const void *key, bool put)
{
	struct timer_key k;

	if (table != T_TIMERS)
		return;
	assert_int_equal(timer_key_read(key, TIMER_KEY, &k), 0);
	k.number &= UINT32_MAX;
	assert_in_range(k.number, 1, MESSAGES);
	messages[k.number].key.due = k.due;
	pending->ops[pending->n++] = (struct op){ k.number, put };
}

int
dfb_batch_put(struct dfb_batch *b, int table, const void *key, size_t klen, const void *val,
    size_t vlen)
{
	(void)b, (void)klen, (void)val, (void)vlen;
	note(table, key, true);
	return 0;
}

int
dfb_batch_del(struct dfb_batch *b, int table, const void *key, size_t klen)
{
	(void)b, (void)klen;
	note(table, key, false);
	return 0;
}

void
dfb_worker_submit(struct dfb_worker *w, struct dfb_job *j)
{
	(void)w;
	assert_null(job);
	assert_null(done);
	job = j;
}

void
dfb_loop_timer(struct dfb_loop *l, struct dfb_timer *t, uint64_t ms)
{
	(void)l, (void)ms;
	t->turn = 1;
}

void
dfb_loop_timer_stop(struct dfb_loop *l, struct dfb_timer *t)
{
	(void)l;
	t->turn = 0;
}

struct topic *
topic_by_id(struct broker *b, uint32_t id)
{
	(void)b;
	assert_int_equal(id, TOPIC);
	return &topic;
}

const char *
broker_lacks_room(struct broker *b, const struct topic *t, uint32_t *wait_ms)
{
	(void)b, (void)t, (void)wait_ms;
	return NULL;
}

struct queue *
queue_choose(struct topic *t, const struct dfb_record *r)
{
	(void)t, (void)r;
	return &queue;
}

void queue_wake(struct broker *b, struct queue *q) { (void)b, (void)q; }
void timer_purge(struct broker *b, uint32_t t) { (void)b, (void)t; }
void expiry_note(struct broker *b, struct topic *t, struct group *g)
{
	(void)b, (void)t, (void)g;
}

/* A record whose key is its number. */
static size_t
make_record(uint64_t number, uint64_t due, uint8_t *to)
{
	struct dfb_record r = { .flags = DFB_R_DUE, .due = due,
		.body = (const uint8_t *)&number, .body_len = sizeof number };

	memcpy(r.id.b, &number, sizeof number);
	return (size_t)(dfb_record_write(&r, to) - to);
}

uint64_t
queue_append(struct broker *b, struct queue *q, const uint8_t *rec, size_t len,
    enum append kind, uint8_t **where)
{
	const uint8_t *p = rec;
	struct dfb_record r;
	struct message *m;
	uint64_t number;

	(void)q, (void)kind, (void)where;
	assert_int_equal(dfb_record_next(&p, rec + len, &r), 1);
	memcpy(&number, r.body, sizeof number);
	m = &messages[number];
	assert_int_equal(m->state, WAITING);
	assert_true(r.due <= b->wall);
	m->state = FIRED;
	last_fired = number;
	return fired++;
}

/* ---- the store ---- */

static int
by_key(const void *a, const void *b)
{
	const struct timer_key *x = &messages[*(const uint64_t *)a].key;
	const struct timer_key *y = &messages[*(const uint64_t *)b].key;

	if (x->due != y->due)
		return x->due < y->due ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static void
apply(bool *rows, const struct batch *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rows[b->ops[i].number] = b->ops[i].put;
}

/* Rows from a key on; of what is being committed, some. */
int
dfb_store_rows(struct dfb_store *s, int table, const void *key, size_t klen,
    int (*fn)(void *arg, const void *key, size_t klen, const void *val, size_t vlen), void *arg)
{
	static uint64_t order[MESSAGES];
	static bool seen[MESSAGES + 1];
	uint8_t k[TIMER_KEY], val[100] = { 1 };
	size_t n = 0;
	int rc = 0;

	(void)s;
	assert_int_equal(table, T_TIMERS);
	memcpy(seen, stored, sizeof seen);
	if (flying != NULL)
		apply(seen, flying, (size_t)rand() % (flying->n + 1));
	for (uint64_t i = 1; i <= nmessages; i++)
		if (seen[i])
			order[n++] = i;
	qsort(order, n, sizeof *order, by_key);
	be32enc(val + 1, TOPIC);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct message *m = &messages[order[i]];
		timer_key_write(k, &m->key);
		if (memcmp(k, key, TIMER_KEY) < 0 ||
		    (memcmp(k, key, TIMER_KEY) == 0 && klen > TIMER_KEY))
			continue;
		rc = fn(arg, k, sizeof k, val, 5 + make_record(order[i], m->key.due, val + 5));
	}
	return rc;
}

static void
begin_commit(void)
{
	if (flying != NULL)
		return;
	flying = pending;
	flying->mark = broker.timers.marks;
	pending = flying == batches ? batches + 1 : batches;
	pending->n = 0;
}

static void
end_commit(void)
{
	struct batch *b = flying;

	if (b == NULL)
		return;
	apply(stored, b, b->n);
	flying = NULL;
	timers_stored(&broker, b->mark);
}

static void
run_job(void)
{
	if (job == NULL)
		return;
	job->run(job);
	done = job;
	job = NULL;
}

static void
end_job(void)
{
	struct dfb_job *j = done;

	done = NULL;
	if (j != NULL)
		j->done(j);
}

/* ---- what is done ---- */

static void
put(uint64_t due)
{
	uint8_t rec[100], *p = rec;
	struct message *m = &messages[++nmessages];
	struct dfb_record r;
	size_t len = make_record(nmessages, due, rec);

	assert_int_equal(dfb_record_next((const uint8_t **)&p, rec + len, &r), 1);
	*m = (struct message){ .key = { due, (UINT64_C(1) << 40) + nmessages } };
	assert_int_equal(timer_put(&broker, &topic, &r, rec), 0);
}

struct looking {
	struct timer_read read;
	struct timer_key keys[3];
	size_t n;
};

static int
look_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct looking *l = arg;

	(void)val, (void)vlen;
	if (l->n == 3)
		return 1;
	return timer_key_read(key, klen, &l->keys[l->n++]);
}

static void
cancel_found(struct broker *b, struct timer_read *r)
{
	struct looking *l = (struct looking *)r;

	for (size_t i = 0; i < l->n; i++) {
		struct message *m = &messages[l->keys[i].number & UINT32_MAX];
		struct dfb_id id = { { 0 } };
		bool was = timer_cancel(b, &topic, &l->keys[i], &id);
		assert_int_equal(was, m->state == WAITING);
		if (was)
			m->state = CANCELLED;
	}
	free(l);
}

static void
cancel_some(uint64_t due)
{
	struct looking *l = calloc(1, sizeof *l);

	assert_non_null(l);
	l->read = (struct timer_read){ .table = T_TIMERS, .row = look_row,
		.got = cancel_found, .from_len = TIMER_KEY };
	timer_key_write(l->read.from, &(struct timer_key){ due, 0 });
	timer_read(&broker, &l->read);
}

static void
step(void)
{
	struct broker *b = &broker;
	unsigned n = (unsigned)rand() % (rand() % 20 == 0 ? 3000 : 300);

	switch (rand() % 9) {
	case 0:
	case 1:
		for (; n > 0 && nmessages < MESSAGES && timers_may_change(b); n--)
			put(b->wall + 1 + (uint64_t)rand() % (n > 300 || n % 4 == 0 ? 20 : 3000));
		break;
	case 2: begin_commit(); break;
	case 3: end_commit(); break;
	case 4: run_job(); break;
	case 5: end_job(); break;
	case 6:
		b->wall += (uint64_t)rand() % 20;
		b->timers.wake = true;
		break;
	case 7:
		cancel_some(b->wall + (uint64_t)rand() % 3000);
		break;
	case 8:
		timers_turn(b);
		assert_true(b->timers.nnear <= 2000);
		break;
	}
}

static void
start(unsigned seed)
{
	srand(seed);
	memset(stored, 0, sizeof stored);
	nmessages = fired = 0;
	topic.scheduled = 0;
	topic.scheduled_dirty = false;
	memset(&broker, 0, sizeof broker);
	broker_init(&broker);
	broker.wall = 1000000;
	broker.timers.run = 1;
	broker.reader = (struct dfb_worker *)&broker;
	pending = batches;
	pending->n = 0;
	flying = NULL;
	timers_load(&broker);
}

static void
end(void)
{
	for (int i = 0; i < 1000 && broker.timers.count != 0; i++) {
		broker.wall += 100;
		begin_commit();
		run_job();
		end_job();
		end_commit();
		timers_turn(&broker);
	}
	for (int i = 0; i < 2000 && (job != NULL || broker.timers.reading != NULL); i++) {
		run_job();
		end_job();
	}
	for (int i = 0; i < 2; i++) {
		begin_commit();
		end_commit();
	}
	assert_int_equal(broker.timers.count, 0);
	for (uint64_t i = 1; i <= nmessages; i++) {
		assert_int_not_equal(messages[i].state, WAITING);
		assert_false(stored[i]);
	}
	assert_true(STAILQ_EMPTY(&broker.timers.fresh));
	assert_true(STAILQ_EMPTY(&broker.timers.going));
	assert_int_equal(broker.timers.nnear, 0);
	timers_free(&broker);
}

static void
each_is_fired_once_or_cancelled(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 6; seed++) {
		start(seed);
		while (nmessages < MESSAGES)
			step();
		for (int i = 0; i < 3000; i++)
			step();
		end();
	}
}

static void
in_the_order_of_time_and_of_sending(void **state)
{
	(void)state;
	start(1);
	run_job();
	end_job();
	for (uint64_t i = 0; i < 4000; i++)
		put(broker.wall + 10 + i % 2);
	begin_commit();
	end_commit();
	broker.wall += 100;
	last_key = (struct timer_key){ 0, 0 };
	/* Each message is seen by itself, as firing is watched in steps of one. */
	while (broker.timers.count != 0) {
		struct timer *t = RB_MIN(timer_tree, &broker.timers.near);
		if (t != NULL) {
			assert_true(timer_key_after(&t->key, &last_key));
			last_key = t->key;
		}
		timers_turn(&broker);
		begin_commit();
		end_commit();
		run_job();
		end_job();
	}
	assert_int_equal(last_fired, 4000); /* the last of those that are due last */
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_fired_once_or_cancelled),
		cmocka_unit_test(in_the_order_of_time_and_of_sending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
