/*
 * A broker without sockets, threads and disk: four sessions send frames, jobs of the threads
 * end and the clock moves when the input says so.  What the broker sends is a frame, its books
 * are in order, and when all is gone nothing is left.
 *
 * Input: steps.  A byte below 0xc0: a frame of session (byte % 4), then the number of its type
 * in the table (the last: the bytes are the whole frame), a length, and so many bytes.
 * 0xc0: jobs end; 0xc8: the session's connection ends; 0xd0: time goes by, as the next byte
 * says; 0xd8: the session does not read any more, or again.
 */
#include <errno.h>

#include "base/log.h"
#include "base/worker.h"
#include "dfb-broker/asked.h"
#include "dfb-broker/broker.h"
#include "dfb-broker/lane.h"
#include "fuzz.h"
#include "net/loop.h"
#include "store/store.h"
#include "wire/record.h"

#define SESSIONS 4

static const uint16_t types[] = { DFB_M_HELLO, DFB_M_PRODUCE, DFB_M_PUT, DFB_M_FINISH,
	DFB_M_SUBSCRIBE, DFB_M_ACK, DFB_M_NACK, DFB_M_REPLY, DFB_M_LEAVE, DFB_M_PEEK,
	DFB_M_CALL, DFB_M_ADMIN, DFB_M_PING, DFB_M_COLLECT };
#define TYPES (sizeof types / sizeof *types)

static struct broker broker;
static struct dfb_timers timers;
static uint64_t clock_ms;
static struct dfb_job *jobs, **jobs_end = &jobs;
static void (*frames)(void *), (*sleep_next)(void *);
static struct dfb_frame arriving;
static bool arrived, stuck[SESSIONS];

/* ---- what is below the broker ---- */

#define WRAP(type, name, ...) \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAP(uint64_t, dfb_mono_ms, void) { return clock_ms; }
WRAP(uint64_t, dfb_wall_ms, void) { return clock_ms; }

WRAP(_Noreturn void, fail_stop, struct broker *b, const char *what)
{
	fprintf(stderr, "fail_stop: %s (%zu sessions)\n", what, b->nsessions);
	abort();
}

WRAP(void, dfb_loop_timer, struct dfb_loop *l, struct dfb_timer *t, uint64_t ms)
{
	need(l == NULL && t->fn != NULL);
	dfb_timer_set(&timers, t, clock_ms + ms);
}

WRAP(void, dfb_loop_timer_stop, struct dfb_loop *l, struct dfb_timer *t)
{
	need(l == NULL);
	dfb_timer_stop(&timers, t);
}

WRAP(int, dfb_loop_add_sock, struct dfb_loop *l, struct dfb_sock *s, void (*fn)(void *),
    void (*events)(void *), void *arg)
{
	need(l == NULL && s == NULL && events != NULL && arg == &broker);
	frames = fn;
	return 0;
}

WRAP(void, dfb_loop_before_sleep, struct dfb_loop *l, void (*fn)(void *), void *arg)
{
	need(l == NULL && arg == &broker);
	sleep_next = fn;
}

WRAP(int, dfb_loop_add_fd, void) { return 0; }
WRAP(int, dfb_worker_fd, void) { return 0; }
WRAP(struct dfb_worker *, dfb_worker_new, const char *name)
{
	return (struct dfb_worker *)(uintptr_t)name;
}

WRAP(void, dfb_worker_submit, struct dfb_worker *w, struct dfb_job *job)
{
	need(w != NULL);
	job->next = NULL;
	*jobs_end = job;
	jobs_end = &job->next;
}

WRAP(int, dfb_store_commit, void) { return 0; }
WRAP(int, dfb_store_flush, void) { return 0; }
WRAP(int, dfb_store_read, void) { return 0; }
WRAP(int, dfb_store_extent, void) { return 0; }
WRAP(int, dfb_store_seek, void) { return 0; }
WRAP(int, dfb_store_get, void) { return 0; }
WRAP(int, dfb_store_keys, void) { return 0; }
WRAP(int, dfb_store_rows, void) { return 0; }
WRAP(size_t, dfb_store_segments, void) { return 0; }
WRAP(int, dfb_store_checkpoint, void) { return 0; }
WRAP(int, dfb_store_space, const struct dfb_store *s, uint64_t *left, uint64_t *total)
{
	need(s == NULL);
	*left = *total = UINT64_C(1) << 40;
	return 0;
}

WRAP(enum dfb_net_event, dfb_sock_event, void) { return DFB_NET_NONE; }
WRAP(bool, dfb_sock_readable, void) { return false; }
WRAP(void, dfb_frame_release, struct dfb_frame *f) { need(f->data != NULL); }

WRAP(int, dfb_sock_recv, struct dfb_sock *s, struct dfb_frame *f)
{
	need(s == NULL);
	*f = arriving;
	return arrived ? (arrived = false, 1) : 0;
}

/* What clients get. */
WRAP(int, dfb_sock_send, struct dfb_sock *s, const struct dfb_peer *to, const void *data,
    size_t len)
{
	struct dfb_proto m;
	struct dfb_record r;
	const uint8_t *p;
	const char *why;
	uint32_t n = 0;

	if (stuck[to->id[0]]) {
		errno = EAGAIN;
		return -1;
	}
	need(s == NULL && dfb_proto_decode(data, len, &m, &why) == 0);
	if (m.type == DFB_M_DELIVER) {
		p = m.deliver.records.p;
		while (dfb_record_next(&p, m.deliver.records.p + m.deliver.records.len, &r) == 1)
			n++;
		need(n == m.deliver.count && n != 0 && m.deliver.tries != 0);
	}
	return 0;
}

WRAP(int, dfb_sock_send_buf, struct dfb_sock *s, const struct dfb_peer *to,
    struct dfb_buf *buf)
{
	if (__wrap_dfb_sock_send(s, to, buf->data, buf->len) == -1)
		return -1;
	dfb_buf_release(buf);
	return 0;
}

/* ---- the books ---- */

static void
check_cursor(const struct cursor *c)
{
	uint64_t at = c->low;

	need(c->low <= c->pos && c->ndone <= c->done_cap && c->nretries <= c->retries_cap);
	for (size_t i = 0; i < c->ndone; at = c->done[i++].to)
		need(c->done[i].from > at && c->done[i].to > c->done[i].from);
	for (size_t i = 0; i < c->nretries; i++)
		need(c->retries[i].offset >= c->low &&
		    (i == 0 || c->retries[i].offset > c->retries[i - 1].offset));
	need(c->owner != NULL || (c->out == 0 && c->heir == NULL));
}

/* Queues are where they say they are, in all lists. */
static void
check_places(const struct topic *t)
{
	struct lane *l;
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->nqueues; i++)
		need(t->queues[i]->slot == i && topic_queue(t, t->queues[i]->index) ==
		    t->queues[i]);
	TAILQ_FOREACH(l, &t->lanes, link) {
		need((l->writable >= 1 || l->ending) && l->writable <= l->readable && l->readable <= l->kept);
		n += l->kept;
	}
	need(n == t->nqueues);
}

static void
check_group(const struct group *g)
{
	uint64_t out = 0, owed = 0;
	unsigned n = 0;
	struct sub *u;

	for (uint32_t i = 0; i < g->topic->nqueues; i++) {
		check_cursor(g->cursors[i]);
		need(g->cursors[i]->q == g->topic->queues[i]);
		out += g->cursors[i]->out;
	}
	TAILQ_FOREACH(u, &g->subs, in_group) {
		n++;
		owed += u->out;
		need(u->out <= u->credit);
	}
	need(n == g->nsubs && out == owed);
}

static size_t
check_session(struct session *s)
{
	struct stream *st;
	struct call *c;
	struct sub *u;
	size_t calls = 0;

	TAILQ_FOREACH(u, &s->subs, in_session)
		need(u->session == s && sub_find(s, u->handle) == u);
	TAILQ_FOREACH(st, &s->streams, in_session)
		need(st->session == s && stream_find(s, st->handle) == st);
	TAILQ_FOREACH(c, &s->calls, in_session) {
		need(c->caller == s && c->handle != 0);
		calls++;
	}
	return calls;
}

/* Calls in queues that have no caller. */
static size_t
check_asked(struct broker *b)
{
	struct asked *a;
	struct call *c;
	size_t runs = 0;

	RB_FOREACH(a, asked_tree, &b->asked) {
		need((a->run != NULL) == (a->state == ASKED_RUNS));
		need(!a->over || TAILQ_EMPTY(&a->waiters));
		need(a->run == NULL || (a->run->asked == a && a->run->caller == NULL));
		TAILQ_FOREACH(c, &a->waiters, in_asked)
			need(c->asked == a && c->caller != NULL && c->q == NULL);
		runs += a->run != NULL;
	}
	return runs;
}

static void
check_timers(struct timers *ts)
{
	size_t n = 0, bytes = 0;
	struct timer *t;

	RB_FOREACH(t, timer_tree, &ts->near) {
		need(t->near && !t->gone && !timer_key_after(&t->key, &ts->horizon));
		n++;
		bytes += t->len;
	}
	need(n == ts->nnear && bytes == ts->near_bytes);
	RB_FOREACH(t, timer_tree, &ts->gone)
		need(t->gone && !t->near);
}

static void
check(struct broker *b)
{
	struct session *s;
	struct topic *t;
	struct group *g;
	size_t calls = 0, unused = 0;

	RB_FOREACH(t, topic_tree, &b->topics) {
		check_places(t);
		TAILQ_FOREACH(g, &t->groups, link)
			check_group(g);
	}
	RB_FOREACH(s, session_tree, &b->sessions)
		calls += check_session(s);
	calls += check_asked(b);
	need(calls == b->live_calls);
	for (uint32_t i = b->free_call; b->ncalls != 0 && i != UINT32_MAX; unused++)
		i = b->calls[i]->next_free;
	need(unused + calls == b->ncalls);
	check_timers(&b->timers);
}

/* ---- a life ---- */

static void
end_jobs(void)
{
	struct dfb_job *j;

	while ((j = jobs) != NULL) {
		if ((jobs = j->next) == NULL)
			jobs_end = &jobs;
		j->run(j);
		j->done(j);
	}
}

static void
turn(struct broker *b)
{
	sleep_next(b);
	check(b);
}

static void
quiet(struct broker *b)
{
	for (int i = 0; i < 8 || jobs != NULL || !TAILQ_EMPTY(&b->ready); i++) {
		need(i < 10000);
		b->urgent = true;
		turn(b);
		end_jobs();
	}
	need(b->pending_bytes == 0);
}

static void
frame(struct broker *b, unsigned session, unsigned type, const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(DFB_FRAME_HEADER + len), *at = copy;
	static const uint8_t head[] = { DFB_MAGIC >> 8, DFB_MAGIC & 255, DFB_PROTO_VERSION,
		0, 0, 0, 0, 0, 0, 0, 0, 7 };

	need(copy != NULL);
	if (type < TYPES) {
		memcpy(copy, head, sizeof head);
		copy[4] = (uint8_t)(types[type] >> 8);
		copy[5] = (uint8_t)types[type];
		at += DFB_FRAME_HEADER;
	}
	if (len != 0)
		memcpy(at, p, len);
	arriving = (struct dfb_frame){ .peer = { .len = 1, .id = { (uint8_t)session },
		.fd = (int)session }, .data = copy, .len = (size_t)(at - copy) + len };
	arrived = true;
	session_connected(b, (int)session);
	frames(b);
	free(copy);
	turn(b);
}

static void
begin(struct broker *b)
{
	static const char *const names[] = { "A10-c", "A10-a", "A10-m" };
	static const uint8_t hello[8 + 16] = { 0, 1 };
	struct settings set;

	clock_ms = 1000000;
	if (frames == NULL) {
		dfb_log_init("fuzz", false, -1);
		b->cf = (struct config){ .name = "b1", .region = "A10", .dedup_ms = 100000,
			.keep_ms = 1000, .grow_ms = 100, .shrink_ms = 1000 };
		broker_init(b);
		need(switch_run(b) == 0);
	}
	b->free_bytes = UINT64_MAX;
	b->draining = false;
	/* Handles of calls are the same in each life. */
	b->call_generation = 0;
	b->free_call = 0;
	for (uint32_t i = 0; i < b->ncalls; i++)
		b->calls[i]->next_free = i + 1 < b->ncalls ? i + 1 : UINT32_MAX;
	b->serial = 0;
	for (uint32_t i = 0; i < 3; i++) {
		settings_default(&set);
		set.durability = (enum dfb_durability)i;
		set.queues_min = i + 1;
		set.queues_max = i == 0 ? 4 : i + 1;
		set.retries = 3;
		need(topic_new(b, names[i], i + 1, &set, i + 1) != NULL);
		b->last_topic_id = i + 1;
	}
	for (unsigned i = 0; i < 3; i++)
		frame(b, i, 0, hello, sizeof hello);
	need(b->nsessions == 3);
}

/* All go, and nothing may be left. */
static void
end(struct broker *b)
{
	struct session *s;
	struct topic *t;

	memset(stuck, 0, sizeof stuck);
	quiet(b);
	while ((s = RB_ROOT(&b->sessions)) != NULL)
		session_free(b, s, "the end");
	quiet(b);
	while ((t = RB_ROOT(&b->topics)) != NULL)
		topic_delete(b, t);
	quiet(b);
	topic_bury(b);
	ids_upkeep(b);
	quiet(b);
	recent_free(b);
	need(RB_EMPTY(&b->asked) && TAILQ_EMPTY(&b->asked_over) && b->asked_bytes == 0);
	need(STAILQ_EMPTY(&b->sweeps) && TAILQ_EMPTY(&b->looks) && b->filter_bytes == 0 &&
	    b->held_put_bytes == 0 && TAILQ_EMPTY(&b->crowded));
	need(TAILQ_EMPTY(&b->graves) && TAILQ_EMPTY(&b->cache) && b->nproducers == 0);
	need(b->live_calls == 0 && b->cache_used == 0 && b->memory_used == 0);
	need(b->timers.count == 0 && b->timers.nnear == 0 && b->timers.nfresh == 0);
	need(STAILQ_EMPTY(&b->timers.going) && STAILQ_EMPTY(&b->timers.reads));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *past = data + size;
	struct broker *b = &broker;

	begin(b);
	while (past - p >= 3) {
		unsigned step = *p++, session = step % SESSIONS, type = *p % (TYPES + 1);
		size_t len;

		if (step < 0xc0) {
			len = p[1];
			p += 2;
			if (len > (size_t)(past - p))
				len = (size_t)(past - p);
			frame(b, session, type, p, len);
			p += len;
		} else if (step < 0xc8)
			end_jobs();
		else if (step < 0xd0)
			session_gone(b, (int)session);
		else if (step < 0xd8) {
			clock_ms += *p++ * UINT64_C(50);
			dfb_timers_run(&timers, clock_ms);
		} else
			stuck[session] = !stuck[session];
		turn(b);
	}
	end(b);
	return 0;
}
