/* Commands to sgs: any JSON, on a catalogue in memory.  What is refused changes nothing and says why;
 * what is accepted gives the next version, and a service that is in a state. */
#include <jansson.h>

#include "base/log.h"
#include "dfb-sgs/book.h"
#include "dfb-sgs/command.h"
#include "fuzz.h"
#include "store/store.h"

/* The disk of this test. */
int __wrap_dfb_store_commit(struct dfb_store *, const struct dfb_batch *, bool);
int __wrap_dfb_store_checkpoint(struct dfb_store *, uint32_t);
int __wrap_dfb_store_get(struct dfb_store *, int, const void *, size_t, struct dfb_buf *);

int
__wrap_dfb_store_commit(struct dfb_store *s, const struct dfb_batch *b, bool sync)
{
	(void)s;
	need(!dfb_batch_is_empty(b) && sync);
	return 0;
}

int
__wrap_dfb_store_checkpoint(struct dfb_store *s, uint32_t kbytes)
{
	(void)s;
	(void)kbytes;
	return 0;
}

int
__wrap_dfb_store_get(struct dfb_store *s, int table, const void *key, size_t klen,
    struct dfb_buf *val)
{
	(void)s;
	(void)table;
	(void)key;
	(void)val;
	need(klen <= BOOK_REQUEST_MAX);
	return 0;
}

static json_t *
run(struct book *b, unsigned verb, const struct asked *a, enum dfb_status *status, char *why)
{
	static const char *const others[] = { "affinity.set", "affinity.add", "affinity.delete",
		"distance.set", "distance.delete" };

	verb %= COMMAND_GRAY_DELETE + 6;
	if (verb <= COMMAND_GRAY_DELETE)
		return command_run(b, (enum command)verb, a, status, why);
	verb -= COMMAND_GRAY_DELETE + 1;
	return (verb < 3 ? command_affinity : command_distance)(b, others[verb], a, status, why);
}

static void
check(const struct book *b)
{
	const char *name, *region;
	json_t *row, *d;

	json_object_foreach(b->services, name, row) {
		struct place at = command_place(row, NULL);
		need(at.service != SERVICE_NONE && book_row_version(row) <= b->version);
		json_object_foreach(json_object_get(row, "regions"), region, d)
			need(command_place(row, region).deployment != DEPLOYMENT_NONE);
	}
}

/* Lines: a letter for the verb, and the arguments. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct book b = { .id = 1, .services = json_object(), .affinity = json_object(),
		.distances = json_pack("{s:i, s:{}}", "version", 0, "distances"),
		.batch = dfb_batch_new() };
	char *text = text_of(data, size), *rest = text, *line, why[BOOK_WHY];

	dfb_log_init("fuzz", false, -1);
	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
		struct asked a = { .args = json_loads(line + 1, 0, NULL), .who = "w" };
		enum dfb_status status = DFB_BUG;
		uint64_t version = b.version;
		json_t *answer = NULL;
		if (json_is_object(a.args)) {
			answer = run(&b, (uint8_t)*line - 'a', &a, &status, why);
			need((answer != NULL) == (status == DFB_OK));
			need(b.version == version + (answer != NULL));
			need(answer != NULL || *why != '\0');
			need(status != DFB_BUG && status != DFB_IOERR);
			check(&b);
		}
		json_decref(answer);
		json_decref(a.args);
	}
	free(text);
	dfb_batch_free(b.batch);
	json_decref(b.services);
	json_decref(b.affinity);
	json_decref(b.distances);
	return 0;
}
