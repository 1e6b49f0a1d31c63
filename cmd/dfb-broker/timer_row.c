/*
 * Rows of scheduled messages.  timers: due u64, number u64 -> version u8 = 1, topic id u32,
 * the record.  timer_ids: topic id u32, message id, number u64 -> version, due u64.
 * timer_counts: topic id u32 -> version, count u64; it is there as long as the topic has
 * rows in the other two.
 */
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "disk.h"
#include "store/store.h"
#include "wire/cursor.h"
#include "wire/record.h"

#define VERSION 1
#define HEAD 5    /* before the record */
#define AT_ID 5   /* of the id in a record */

void
timer_key_write(uint8_t key[TIMER_KEY], const struct timer_key *k)
{
	dfb_write_u64(dfb_write_u64(key, k->due), k->number);
}

static void
id_key(uint8_t key[TIMER_ID_KEY], uint32_t topic, const void *id, uint64_t number)
{
	uint8_t *p = dfb_write_u32(key, topic);

	dfb_write_u64(dfb_write_bytes(p, id, 16), number);
}

/* ---- writing ---- */

int
timer_rows_put(struct broker *b, const struct timer *t)
{
	struct dfb_batch *batch = commit_batch(b, true);
	uint8_t key[TIMER_KEY], ids[TIMER_ID_KEY], due[9] = { VERSION };
	uint8_t *val = malloc(HEAD + t->len);
	int rc = -1;

	timer_key_write(key, &t->key);
	id_key(ids, t->topic, t->rec + AT_ID, t->key.number);
	be64enc(due + 1, t->key.due);
	if (val != NULL) {
		dfb_write_bytes(dfb_write_u32(dfb_write_u8(val, VERSION), t->topic), t->rec,
		    t->len);
		rc = dfb_batch_put(batch, T_TIMERS, key, sizeof key, val, HEAD + t->len);
	}
	free(val);
	return rc == -1 ? -1 : dfb_batch_put(batch, T_TIMER_IDS, ids, sizeof ids, due,
	    sizeof due);
}

int
timer_rows_delete(struct broker *b, uint32_t topic, const struct timer_key *k,
    const struct dfb_id *id, bool urgent)
{
	struct dfb_batch *batch = commit_batch(b, urgent);
	uint8_t key[TIMER_KEY], ids[TIMER_ID_KEY];

	timer_key_write(key, k);
	id_key(ids, topic, id->b, k->number);
	return dfb_batch_del(batch, T_TIMERS, key, sizeof key) == -1 ? -1 :
	    dfb_batch_del(batch, T_TIMER_IDS, ids, sizeof ids);
}

void
timer_counted(struct broker *b, struct topic *t, int change)
{
	t->scheduled += (uint64_t)(int64_t)change;
	b->timers.count += (uint64_t)(int64_t)change;
	if (t->scheduled_dirty)
		return;
	t->scheduled_dirty = true;
	STAILQ_INSERT_TAIL(&b->timers.dirty, t, scheduled_link);
}

uint64_t
timers_gather(struct broker *b, struct dfb_batch *batch)
{
	uint8_t key[4], val[9] = { VERSION };
	struct topic *t;

	while ((t = STAILQ_FIRST(&b->timers.dirty)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->timers.dirty, scheduled_link);
		t->scheduled_dirty = false;
		be32enc(key, t->id);
		be64enc(val + 1, t->scheduled);
		if (dfb_batch_put(batch, T_TIMER_COUNTS, key, sizeof key, val,
		    sizeof val) == -1)
			fail_stop(b, "no memory for a commit");
	}
	return b->timers.marks;
}

/* ---- reading ---- */

int
timer_key_read(const void *key, size_t klen, struct timer_key *out)
{
	if (klen != TIMER_KEY)
		return -1;
	out->due = be64dec(key);
	out->number = be64dec((const uint8_t *)key + 8);
	return 0;
}

struct timer *
timer_from_row(const struct timer_key *key, const void *val, size_t vlen)
{
	const uint8_t *v = val, *p = v + HEAD;
	struct dfb_record r;
	struct timer *t;

	if (vlen < HEAD || v[0] != VERSION || dfb_record_next(&p, v + vlen, &r) != 1 ||
	    p != v + vlen || (t = malloc(sizeof *t + r.size)) == NULL)
		return NULL;
	*t = (struct timer){ .key = *key, .topic = be32dec(v + 1), .len = r.size };
	memcpy(t->rec, v + HEAD, r.size);
	return t;
}

int
timer_id_key_read(const void *key, size_t klen, uint32_t *topic, struct dfb_id *id,
    uint64_t *number)
{
	const uint8_t *k = key;

	if (klen != TIMER_ID_KEY)
		return -1;
	*topic = be32dec(k);
	memcpy(id->b, k + 4, sizeof id->b);
	*number = be64dec(k + 20);
	return 0;
}

int
timer_id_row_read(const void *val, size_t vlen, uint64_t *due)
{
	const uint8_t *v = val;

	if (vlen != 9 || v[0] != VERSION)
		return -1;
	*due = be64dec(v + 1);
	return 0;
}
