/*
 * A broker that does not keep its word, to show that the checker notices: the broker's
 * objects, linked with these in the place of their functions (--wrap).  DFB_LIE says
 * how.  "confirm": messages are confirmed when taken, and committed later; "flush": it
 * takes the log as flushed that is not; "resend": it does not remember senders; "ack": it
 * does not remember how far groups are; "clean": after a crash it believes in an orderly
 * stop.  "slow" is no lie: each commit and each flush take 20 ms.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dfb-broker/broker.h"
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

int
__wrap_dfb_store_commit(struct dfb_store *s, const struct dfb_batch *batch, bool sync)
{
	linger();
	return __real_dfb_store_commit(s, batch, sync && !lies("flush"));
}

int
__wrap_dfb_store_flush(struct dfb_store *s)
{
	linger();
	return lies("flush") ? 0 : __real_dfb_store_flush(s);
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
