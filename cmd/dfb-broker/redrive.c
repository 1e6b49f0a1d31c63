/*
 * dlq.redrive: dead letters go back where they came from.  A letter is read, appended to its
 * topic and settled in one turn, and so in one transaction.  Only the group that failed it gets
 * it again.  Answered when all is on the disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "admin.h"
#include "base/log.h"
#include "broker.h"
#include "disk.h"
#include "gray.h"
#include "lane.h"
#include "letters.h"
#include "limits.h"
#include "wire/record.h"

#define WHY_SIZE 256
#define BYTES_MAX ((size_t)4 << 20) /* taken before the disk has its turn */

struct redrive {
	struct asker from;
	uint32_t topic;          /* the letters' */
	uint64_t *offsets;
	size_t n, at;            /* at: the next one */
	size_t bytes;
	uint64_t done, gone;
	bool now, busy;          /* a read came back at once; step() is at work */
	json_t *failed;
};

static void
fail(struct redrive *j, uint64_t offset, enum dfb_status status, const char *why)
{
	json_array_append_new(j->failed, json_pack("{s:I, s:i, s:s}", "offset",
	    (json_int_t)offset, "status", (int)status, "reason", why));
}

/* ---- one letter ---- */

/* Where it goes back to; NULL: why not. */
static struct topic *
origin(struct broker *b, const struct dfb_record *r, char group[DFB_GROUP_MAX],
    enum dfb_status *status, char *why)
{
	char name[DFB_TOPIC_MAX];
	const struct gray *rule;
	const char *busy;
	struct topic *t;
	uint32_t wait_ms;

	*status = DFB_BADINPUT;
	if (!letter_header(r, "dfb-dead-topic", name, sizeof name) ||
	    !letter_header(r, "dfb-dead-group", group, DFB_GROUP_MAX)) {
		snprintf(why, WHY_SIZE, "it does not say where it comes from");
		return NULL;
	}
	*status = DFB_NOBODY;
	if ((t = topic_by_name(b, name)) == NULL) {
		snprintf(why, WHY_SIZE, "topic '%s' is not on broker %s any more", name,
		    b->cf.name);
		return NULL;
	}
	if (group_find(t, group) == NULL) {
		snprintf(why, WHY_SIZE, "topic '%.80s' has no group '%.80s' any more", name,
		    group);
		return NULL;
	}
	*status = DFB_AGAIN;
	if ((busy = broker_refuses(b, t, &wait_ms)) != NULL) {
		snprintf(why, WHY_SIZE, "%s", busy);
		return NULL;
	}
	if (!TAILQ_EMPTY(&t->gray) && (rule = gray_refuses(t, r)) != NULL) {
		snprintf(why, WHY_SIZE, GRAY_NOBODY, rule->label);
		return NULL;
	}
	return t;
}

static void
append(struct broker *b, struct topic *t, const char *group, struct dfb_record *r)
{
	struct queue *q = queue_choose(t, r);
	uint8_t *headers = malloc(DFB_HEADERS_MAX);
	struct dfb_buf buf = { 0 };
	struct cursor *letters;
	uint64_t offset;

	if (headers == NULL)
		fail_stop(b, "no memory to send dead letters again");
	r->headers_len = letter_again(r, group, headers);
	r->headers = headers;
	r->flags |= DFB_R_HEADERS;
	if (dfb_buf_reserve(&buf, dfb_record_size(r)) == -1)
		fail_stop(b, "no memory to send dead letters again");
	buf.len = (size_t)(dfb_record_write(r, buf.data) - buf.data);
	offset = queue_append(b, q, buf.data, buf.len, APPEND_AGAIN, NULL);
	if (offset == UINT64_MAX)
		fail_stop(b, "no memory to send dead letters again");
	dfb_buf_release(&buf);
	free(headers);
	if (t->set.durability != DFB_COMMIT)
		queue_wake(b, q);
	/* A reader of dead letters failed: what it gets again is no new letter. */
	if ((letters = letters_of(t)) != NULL && letters->q == q)
		letters_settle(b, letters, &offset, 1);
}

/* Whether it went. */
static bool
send_again(struct broker *b, struct redrive *j, uint64_t offset, struct dfb_record *r)
{
	char group[DFB_GROUP_MAX], why[WHY_SIZE];
	enum dfb_status status;
	struct topic *t = origin(b, r, group, &status, why);

	if (t == NULL) {
		fail(j, offset, status, why);
		return false;
	}
	append(b, t, group, r);
	j->bytes += r->size;
	j->done++;
	return true;
}

/* ---- all of them ---- */

/* Those of a block (NULL: what is asked for is not there). */
static void
take(struct broker *b, struct redrive *j, struct cursor *c, struct dfb_block *blk)
{
	const uint8_t *p = blk != NULL ? blk->data + DFB_BLOCK_HEADER : NULL;
	const uint8_t *end = blk != NULL ? blk->data + blk->len : NULL;
	uint64_t o = blk != NULL ? blk->base : 0;
	uint64_t *sent = j->offsets + j->at; /* in the place of those that are behind */
	size_t n = 0;
	struct dfb_record r;

	for (; p != end && j->at < j->n && dfb_record_next(&p, end, &r) == 1; o++)
		for (; j->at < j->n && j->offsets[j->at] <= o; j->at++)
			if (j->offsets[j->at] != o || !letters_has(c, o))
				j->gone++;
			else if (send_again(b, j, o, &r))
				sent[n++] = o;
	if (blk == NULL) {
		j->gone++;
		j->at++;
	}
	letters_settle(b, c, sent, n);
}

static void
finish(struct broker *b, struct redrive *j, const struct topic *t)
{
	if (t == NULL)
		admin_fail(b, &j->from, DFB_NOBODY, "the dead letters were deleted");
	else
		admin_answer(b, &j->from, json_pack("{s:s, s:s, s:I, s:I, s:O}",
		    "topic", t->name, "broker", b->cf.name, "done", (json_int_t)j->done,
		    "gone", (json_int_t)j->gone, "failed", j->failed));
	json_decref(j->failed);
	free(j->offsets);
	free(j);
}

static void step(struct broker *b, void *arg);

static void
have_block(struct broker *b, void *arg, struct dfb_block *blk)
{
	struct redrive *j = arg;
	struct topic *t = topic_by_id(b, j->topic);

	if (t != NULL)
		take(b, j, letters_of(t), blk);
	j->now = true;
	if (!j->busy)
		step(b, j);
}

static void
step(struct broker *b, void *arg)
{
	struct redrive *j = arg;
	struct topic *t;

	j->busy = true;
	while ((t = topic_by_id(b, j->topic)) != NULL && j->at < j->n) {
		struct cursor *c = letters_of(t);
		if (b->stopping) {
			fail(j, j->offsets[j->at++], DFB_AGAIN, "the broker is stopping");
			continue;
		}
		if (!letters_has(c, j->offsets[j->at])) {
			j->at++;
			j->gone++;
			continue;
		}
		if (j->bytes > BYTES_MAX) {
			j->bytes = 0;
			j->busy = false;
			commit_then(b, step, j);
			return;
		}
		j->now = false;
		reader_fetch(b, c->q, j->offsets[j->at], have_block, j);
		if (!j->now) {
			j->busy = false;
			return;
		}
	}
	finish(b, j, t);
}

void
admin_dlq_redrive(struct broker *b, const struct asker *from, json_t *args)
{
	enum dfb_status status = DFB_AGAIN;
	char why[WHY_SIZE] = "the broker is out of memory";
	struct cursor *c = admin_letters(b, args, &status, why);
	struct redrive *j;
	uint64_t *offsets;
	size_t n;

	if (c == NULL || (offsets = admin_offsets(args, &n, &status, why)) == NULL) {
		admin_fail(b, from, status, why);
		return;
	}
	if ((j = calloc(1, sizeof *j)) == NULL || (j->failed = json_array()) == NULL) {
		free(offsets);
		free(j);
		admin_fail(b, from, DFB_AGAIN, "the broker is out of memory");
		return;
	}
	j->from = *from;
	j->topic = c->q->topic->id;
	j->offsets = offsets;
	j->n = n;
	step(b, j);
}
