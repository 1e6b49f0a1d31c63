/* Rows of the broker's and the name server's tables: what is accepted makes sense, and is
 * written back as the same bytes. */
#include "dfb-broker/broker.h"
#include "dfb-names/registry.h"
#include "dfb-names/rows.h"
#include "fuzz.h"
#include "net/loop.h"

static struct broker broker;

/* What the rest of the broker relies on. */
static void
makes_sense(const struct cursor *c)
{
	uint64_t low = c->low;

	need(c->low >= c->q->first && c->pos == c->low && c->high >= c->low);
	for (size_t i = 0; i < c->ndone; i++) {
		need(c->done[i].from >= low + (i == 0) && c->done[i].from < c->done[i].to);
		low = c->done[i].to;
	}
	need(c->high >= low);
	for (size_t i = 0; i < c->nretries; i++)
		need(c->retries[i].offset >= c->low && c->retries[i].offset < c->high &&
		    (i == 0 || c->retries[i].offset > c->retries[i - 1].offset));
}

/* Load a row into a cursor and write it; false when it is refused. */
static bool
again(const uint8_t *data, size_t len, uint64_t first, struct dfb_buf *val)
{
	struct topic t = { .id = 5 };
	struct group g = { .name = "g", .topic = &t };
	struct queue q = { .topic = &t, .index = 3, .first = first };
	struct cursor *c = cursor_new(&broker, &g, &q);
	struct dfb_buf key = { 0 };
	bool ok;

	need(c != NULL);
	if ((ok = cursor_load(&broker, c, data, len) == 0)) {
		makes_sense(c);
		need(cursor_row(c, &key, val) == 0);
		need(same(key.data, key.len, "\0\0\0\5\0\0\0\3g", 9));
	}
	dfb_buf_release(&key);
	cursor_free(&broker, c);
	return ok;
}

static void
cursor_rows(const uint8_t *data, size_t len, uint64_t first)
{
	struct dfb_buf once = { 0 }, twice = { 0 };

	if (again(data, len, first, &once)) {
		need(again(once.data, once.len, first, &twice));
		need(same(once.data, once.len, twice.data, twice.len));
		need(once.len <= len);
	}
	dfb_buf_release(&once);
	dfb_buf_release(&twice);
}

static void
names_rows(const uint8_t *data, size_t len)
{
	char name[NAMES_WORD], topic[DFB_TOPIC_MAX], key[ROWS_OFFER_MAX];
	uint8_t row[ROWS_ENTRY_MAX];
	struct names_facts f;
	uint64_t version;

	if (rows_version_read(data, len, &version) == 0) {
		rows_version_write(row, version);
		need(same(row, ROWS_VERSION, data, len));
	}
	if (rows_entry_read("b1", 2, data, len, name, &f) == 0)
		need(strcmp(name, "b1") == 0 && same(row, rows_entry_write(row, &f), data, len));
	if (rows_offer_read(data, len, name, topic) == 0)
		need(same(key, rows_offer_write(key, name, topic), data, len));
	if (rows_entry_read(data, len, "\1\0\0\0", 4, name, &f) == 0)
		need(dfb_name_valid(name));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (broker.loop == NULL)
		need((broker.loop = dfb_loop_new()) != NULL);
	TAILQ_INIT(&broker.ready);
	STAILQ_INIT(&broker.dirty_cursors);
	cursor_rows(data, len, 0);
	cursor_rows(data, len, 10);
	cursor_rows(data, len, 1000);
	names_rows(data, len);
	return 0;
}
