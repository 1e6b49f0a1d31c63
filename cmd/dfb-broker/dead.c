/* Dead letters: what failed for good goes to the topic %DLQ-GROUP, with the reason, in the
 * transaction that settles it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker.h"
#include "disk.h"
#include "lane.h"
#include "letters.h"
#include "wire/record.h"

struct dying {
	struct cursor *c;
	uint64_t offset;
	char why[1024];
};

/* The topic of a group's letters; a broadcast instance's go with its group's. */
static struct topic *
letters_topic(struct broker *b, const struct group *g)
{
	char name[DFB_TOPIC_MAX];
	struct topic *t;

	snprintf(name, sizeof name, "%%DLQ-%.*s", (int)strcspn(g->name, "@"), g->name);
	if ((t = topic_make_system(b, name)) == NULL || letters_begin(b, t) == -1)
		fail_stop(b, "no memory for a dead letter");
	return t;
}

static void
bury(struct broker *b, const struct dying *d, struct dfb_record *r)
{
	struct cursor *c = d->c;
	struct retry *retry = cursor_retry(c, d->offset);
	struct death death = { .topic = c->q->topic->name, .group = c->group->name,
		.why = d->why, .queue = c->q->index, .offset = d->offset,
		.tries = retry != NULL ? retry->tries : 0, .wall_ms = dfb_wall_ms() };
	struct topic *t = letters_topic(b, c->group);
	uint8_t *headers = malloc(DFB_HEADERS_MAX);
	struct dfb_buf buf = { 0 };

	if (headers == NULL)
		fail_stop(b, "no memory for a dead letter");
	r->headers_len = letter_headers(r, &death, headers);
	r->headers = headers;
	r->flags = (uint8_t)((r->flags & (DFB_R_BORN | DFB_R_KEY | DFB_R_MAYBE)) | DFB_R_HEADERS);
	if (dfb_buf_reserve(&buf, dfb_record_size(r)) == -1)
		fail_stop(b, "no memory for a dead letter");
	buf.len = (size_t)(dfb_record_write(r, buf.data) - buf.data);
	if (queue_append(b, topic_queue(t, 0), buf.data, buf.len, APPEND_PLAIN, NULL) == UINT64_MAX)
		fail_stop(b, "no memory for a dead letter");
	dfb_buf_release(&buf);
	free(headers);
	c->group->dead_letters++;
	c->q->topic->dead_letters++;
	b->n.dead_letters++;
	log_event(DFB_LOG_WARN, "dead-letter", "topic=%s group=%s queue=%u offset=%llu "
	    "why=%s", c->q->topic->name, dfb_log_quote(c->group->name), c->q->index,
	    (unsigned long long)d->offset, dfb_log_quote(d->why));
}

static void
have_letter(struct broker *b, void *arg, struct dfb_block *blk)
{
	struct dying *d = arg;
	struct cursor *c = d->c;
	struct dfb_record r;

	c->jobs--;
	if (!c->group->topic->dead && !group_reap(b, c->group) && d->offset >= c->low) {
		if (blk != NULL) {
			const uint8_t *p = blk->data + DFB_BLOCK_HEADER;
			const uint8_t *end = blk->data + blk->len;
			for (uint64_t o = blk->base; dfb_record_next(&p, end, &r) == 1; o++)
				if (o == d->offset) {
					bury(b, d, &r);
					break;
				}
		}
		cursor_settle(b, c, d->offset, d->offset + 1);
		deliver_ready(b, c);
	}
	free(d);
}

void
dead_letter(struct broker *b, struct cursor *c, uint64_t offset, const char *why)
{
	struct retry *r = cursor_retry(c, offset);
	struct dying *d = calloc(1, sizeof *d);

	if (d == NULL)
		fail_stop(b, "no memory for a dead letter");
	if (r != NULL)
		r->dying = true;
	d->c = c;
	d->offset = offset;
	snprintf(d->why, sizeof d->why, "%s", why);
	c->jobs++;
	reader_fetch(b, c->q, offset, have_letter, d);
}
