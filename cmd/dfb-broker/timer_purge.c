/* The scheduled messages of a topic that was deleted go some at a time, each after the
 * commit of those before, and after a restart. */
#include <stdlib.h>
#include <sys/endian.h>

#include "broker.h"
#include "disk.h"
#include "store/store.h"

#define STEP 1000

struct purge {
	struct timer_read read;
	uint32_t topic;
	size_t n;
	struct purged {
		struct timer_key key;
		struct dfb_id id;
	} rows[STEP];
};

static int
row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct purge *p = arg;
	struct purged *r = &p->rows[p->n];
	uint32_t topic;

	if (p->n == STEP)
		return 1;
	if (timer_id_key_read(key, klen, &topic, &r->id, &r->key.number) == -1 ||
	    timer_id_row_read(val, vlen, &r->key.due) == -1)
		return -1;
	if (topic != p->topic)
		return 1;
	p->n++;
	return 0;
}

static void
begin(struct broker *b, void *arg)
{
	struct purge *p = arg;

	p->n = 0;
	timer_read(b, &p->read);
}

static void
got(struct broker *b, struct timer_read *r)
{
	struct purge *p = (struct purge *)r;
	struct dfb_batch *batch = commit_batch(b, false);
	uint8_t key[4];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->n; i++)
		rc = timer_rows_delete(b, p->topic, &p->rows[i].key, &p->rows[i].id, false);
	be32enc(key, p->topic);
	if (rc == 0 && p->n == 0)
		rc = dfb_batch_del(batch, T_TIMER_COUNTS, key, sizeof key);
	if (rc == -1)
		fail_stop(b, "no memory to delete a topic");
	if (p->n != 0)
		commit_then(b, begin, p);
	else
		free(p);
}

void
timer_purge(struct broker *b, uint32_t topic)
{
	struct dfb_batch *batch = commit_batch(b, true);
	struct purge *p = calloc(1, sizeof *p);
	uint8_t key[4], val[9] = { 1 };

	be32enc(key, topic);
	if (p == NULL || dfb_batch_put(batch, T_TIMER_COUNTS, key, sizeof key, val,
	    sizeof val) == -1)
		fail_stop(b, "no memory to delete a topic");
	p->topic = topic;
	p->read = (struct timer_read){ .b = b, .table = T_TIMER_IDS, .row = row, .got = got,
		.from_len = sizeof key };
	be32enc(p->read.from, topic);
	commit_then(b, begin, p); /* what is being scheduled is there then */
}
