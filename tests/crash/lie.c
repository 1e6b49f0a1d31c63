/*
 * A broker that does not keep its word, to show that the checker notices: the broker's
 * objects, linked with these in the place of their functions (--wrap).  DFB_LIE says how.
 * "confirm": messages are confirmed when taken, and committed later; "flush": it takes the
 * log as flushed that is not; "resend": it does not remember senders; "ack": it does not
 * remember how far groups are; "clean": after a crash it believes in an orderly stop;
 * "fences": a new queue is delivered before the old ones of its keys are settled; "owners": a
 * queue is given to the next while its last owner still has messages of it; "label": now and
 * then any message is the label's.  "slow" is no lie: each commit and each flush take 20 ms.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dfb-broker/broker.h"
#include "dfb-broker/lane.h"
#include "store/store.h"

int __real_dfb_store_commit(struct dfb_store *, const struct dfb_batch *, bool);
int __wrap_dfb_store_commit(struct dfb_store *, const struct dfb_batch *, bool);
int __real_dfb_store_flush(struct dfb_store *);
int __wrap_dfb_store_flush(struct dfb_store *);
void __real_commit_dirty_producer(struct broker *, struct producer *);
void __wrap_commit_dirty_producer(struct broker *, struct producer *);
int __real_dfb_batch_put(struct dfb_batch *, int, const void *, size_t, const void *, size_t);
int __wrap_dfb_batch_put(struct dfb_batch *, int, const void *, size_t, const void *, size_t);
int __real_dfb_store_scan(struct dfb_store *, int, int (*)(void *, const void *, size_t,
    const void *, size_t), void *);
int __wrap_dfb_store_scan(struct dfb_store *, int, int (*)(void *, const void *, size_t,
    const void *, size_t), void *);
uint64_t __real_moves_limit(const struct cursor *, uint64_t);
uint64_t __wrap_moves_limit(const struct cursor *, uint64_t);
void __real_group_balance(struct broker *, struct group *);
void __wrap_group_balance(struct broker *, struct group *);
struct lane *__real_gray_lane(const struct topic *, const struct dfb_record *);
struct lane *__wrap_gray_lane(const struct topic *, const struct dfb_record *);

static bool
lies(const char *how)
{
	const char *lie = getenv("DFB_LIE");

	return lie != NULL && strcmp(lie, how) == 0;
}

static void
linger(void)
{
	if (lies("confirm") || lies("slow"))
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

/* Not yet at the first: a bus without its topics ends before there is anything to check. */
static bool
flush_is_a_lie(void)
{
	static unsigned flushes;

	return lies("flush") && ++flushes > 100;
}

int
__wrap_dfb_store_commit(struct dfb_store *s, const struct dfb_batch *batch, bool sync)
{
	linger();
	return __real_dfb_store_commit(s, batch, sync && !flush_is_a_lie());
}

int
__wrap_dfb_store_flush(struct dfb_store *s)
{
	linger();
	return flush_is_a_lie() ? 0 : __real_dfb_store_flush(s);
}

void
__wrap_commit_dirty_producer(struct broker *b, struct producer *p)
{
	__real_commit_dirty_producer(b, p);
	if (!lies("confirm") || p->stream == NULL || p->taken <= p->committed)
		return;
	p->committed = p->taken;
	stream_confirm_later(b, p->stream);
}

int
__wrap_dfb_batch_put(struct dfb_batch *batch, int table, const void *key, size_t klen,
    const void *val, size_t vlen)
{
	if ((table == T_PRODUCERS && lies("resend")) || (table == T_OFFSETS && lies("ack")))
		return 0;
	return __real_dfb_batch_put(batch, table, key, klen, val, vlen);
}

int
__wrap_dfb_store_scan(struct dfb_store *s, int table, int (*fn)(void *, const void *, size_t,
    const void *, size_t), void *arg)
{
	if (table == T_META && lies("clean"))
		fn(arg, "clean", 5, "1", 1);
	return __real_dfb_store_scan(s, table, fn, arg);
}

/* ---- queues that follow consumers, labels ---- */

uint64_t
__wrap_moves_limit(const struct cursor *c, uint64_t limit)
{
	return lies("fences") ? limit : __real_moves_limit(c, limit);
}

void
__wrap_group_balance(struct broker *b, struct group *g)
{
	__real_group_balance(b, g);
	for (uint32_t i = 0; i < g->topic->nqueues && lies("owners"); i++) {
		struct cursor *c = g->cursors[i];
		struct sub *heir = c->heir;
		if (heir == NULL)
			continue;
		cursor_take_back(b, c);
		c->owner = heir;
		c->heir = NULL;
		deliver_ready(b, c);
	}
}

struct lane *
__wrap_gray_lane(const struct topic *t, const struct dfb_record *r)
{
	static unsigned turn;
	const struct gray *g = TAILQ_FIRST(&t->gray);

	if (lies("label") && ++turn % 50 == 0 && g != NULL)
		return __real_gray_lane(t, r) == lane_first(t) ? lane_find(t, 1) : lane_first(t);
	return __real_gray_lane(t, r);
}
