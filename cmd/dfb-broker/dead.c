/* Dead letters: what failed for good goes to the topic %DLQ-GROUP, with the reason, in the
 * transaction that settles it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "broker.h"
#include "wire/record.h"

struct dying {
	struct cursor *c;
	uint64_t offset;
	char why[1024];
};

/* Cut at a character, so that it stays UTF-8. */
static void
cut(char *text, size_t max)
{
	size_t n = strlen(text);

	if (n <= max)
		return;
	n = max;
	while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	text[n] = '\0';
}

static size_t
add_headers(const struct dfb_record *r, const struct dying *d, uint32_t tries,
    uint8_t headers[DFB_HEADERS_MAX])
{
	struct cursor *c = d->c;
	size_t n = 0;
	char text[32], when[25], why[1024];

	/* The record's own first, unless they leave no room. */
	if (r->headers_len <= DFB_HEADERS_MAX - 2048) {
		memcpy(headers, r->headers, r->headers_len);
		n = r->headers_len;
	}
	snprintf(why, sizeof why, "%s", d->why);
	cut(why, 1000);
	dfb_headers_add(headers, DFB_HEADERS_MAX, &n, "dfb-dead-topic", c->q->topic->name);
	dfb_headers_add(headers, DFB_HEADERS_MAX, &n, "dfb-dead-group", c->group->name);
	snprintf(text, sizeof text, "%u", c->q->index);
	dfb_headers_add(headers, DFB_HEADERS_MAX, &n, "dfb-dead-queue", text);
	snprintf(text, sizeof text, "%llu", (unsigned long long)d->offset);
	dfb_headers_add(headers, DFB_HEADERS_MAX, &n, "dfb-dead-offset", text);
	snprintf(text, sizeof text, "%u", tries);
	dfb_headers_add(headers, DFB_HEADERS_MAX, &n, "dfb-dead-tries", text);
	dfb_headers_add(headers, DFB_HEADERS_MAX, &n, "dfb-dead-time",
	    dfb_format_when(dfb_wall_ms(), when));
	dfb_headers_add(headers, DFB_HEADERS_MAX, &n, "dfb-dead-reason", why);
	return n;
}

static void
bury(struct broker *b, const struct dying *d, struct dfb_record *r)
{
	struct retry *retry = cursor_retry(d->c, d->offset);
	char name[DFB_TOPIC_MAX], group[80];
	struct dfb_buf buf = { 0 };
	struct topic *t;
	uint8_t *headers = malloc(DFB_HEADERS_MAX);

	/* A broadcast instance's letters go with its group's. */
	snprintf(group, sizeof group, "%.*s", (int)strcspn(d->c->group->name, "@"),
	    d->c->group->name);
	snprintf(name, sizeof name, "%%DLQ-%s", group);
	if (headers == NULL || (t = topic_make_system(b, name)) == NULL)
		fail_stop(b, "no memory for a dead letter");
	r->headers_len = add_headers(r, d, retry != NULL ? retry->tries : 0, headers);
	r->headers = headers;
	r->flags = (uint8_t)((r->flags & (DFB_R_BORN | DFB_R_KEY)) | DFB_R_HEADERS);
	if (dfb_buf_reserve(&buf, dfb_record_size(r)) == -1)
		fail_stop(b, "no memory for a dead letter");
	buf.len = (size_t)(dfb_record_write(r, buf.data) - buf.data);
	if (queue_append(b, t->queues[0], buf.data, buf.len, APPEND_PLAIN, NULL) == UINT64_MAX)
		fail_stop(b, "no memory for a dead letter");
	dfb_buf_release(&buf);
	free(headers);
	d->c->group->dead_letters++;
	d->c->q->topic->dead_letters++;
	b->n.dead_letters++;
	log_event(DFB_LOG_WARN, "dead-letter", "topic=%s group=%s queue=%u offset=%llu "
	    "why=%s", d->c->q->topic->name, dfb_log_quote(d->c->group->name),
	    d->c->q->index, (unsigned long long)d->offset, dfb_log_quote(d->why));
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
	cut(d->why, 1000);
	c->jobs++;
	reader_fetch(b, c->q, offset, have_letter, d);
}
