/*
 * The headers of dead letters, and of what is sent again.  A letter has the message's own
 * headers, how it died (dfb-dead-topic, -group, -queue, -offset, -tries, -time, -reason), and
 * a line for each death before that (dfb-dead-before-N, the N-th one; DEATHS in all).  Sent
 * again it has dfb-redriven, how often that was, and dfb-only-group, who is to get it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "broker.h"
#include "letters.h"
#include "wire/record.h"

#define DEATHS 5
#define REASON_MAX 1000
/* What a letter leaves free: for dfb-redriven and dfb-only-group. */
#define ROOM 192
#define LETTER_MAX (DFB_HEADERS_MAX - ROOM)

#define BEFORE "dfb-dead-before-"
#define ONLY "dfb-only-group"
#define REDRIVEN "dfb-redriven"

/* One header; raw is all of it, as it is packed. */
struct header {
	const char *name, *value;
	size_t name_len, value_len;
	const uint8_t *raw;
	size_t raw_len;
};

struct headers {
	uint8_t *p;
	size_t len, max;
};

static bool
next(const struct dfb_record *r, size_t *at, struct header *h)
{
	size_t from = *at;

	if (!dfb_headers_next(r->headers, r->headers_len, at, &h->name, &h->name_len,
	    &h->value, &h->value_len))
		return false;
	h->raw = r->headers + from;
	h->raw_len = *at - from;
	return true;
}

static bool
is(const struct header *h, const char *name)
{
	return h->name_len == strlen(name) && memcmp(h->name, name, h->name_len) == 0;
}

static bool
begins(const struct header *h, const char *with)
{
	return h->name_len > strlen(with) && memcmp(h->name, with, strlen(with)) == 0;
}

static bool
find(const struct dfb_record *r, const char *name, struct header *h)
{
	size_t at = 0;

	while (next(r, &at, h))
		if (is(h, name))
			return true;
	return false;
}

bool
letter_header(const struct dfb_record *r, const char *name, char *text, size_t size)
{
	struct header h;

	if (!find(r, name, &h) || h.value_len >= size)
		return false;
	memcpy(text, h.value, h.value_len);
	text[h.value_len] = '\0';
	return true;
}

/* ---- writing ---- */

static bool
copy(struct headers *out, const struct header *h)
{
	if (h->raw_len > out->max - out->len)
		return false;
	memcpy(out->p + out->len, h->raw, h->raw_len);
	out->len += h->raw_len;
	return true;
}

static void
add(struct headers *out, const char *name, const char *value)
{
	dfb_headers_add(out->p, out->max, &out->len, name, value);
}

static void
add_number(struct headers *out, const char *name, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	add(out, name, text);
}

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

/* The message's own headers. */
static void
add_own(struct headers *out, const struct dfb_record *r)
{
	struct header h;
	size_t at = 0;

	while (next(r, &at, &h))
		if (!begins(&h, "dfb-dead-") && !is(&h, ONLY) && !is(&h, REDRIVEN) &&
		    !copy(out, &h)) {
			out->len = 0; /* all, or none */
			return;
		}
}

static void
add_death(struct headers *out, const struct death *d)
{
	char why[REASON_MAX + 4], when[25];
	size_t overhead = 3 + strlen("dfb-dead-reason");

	add(out, "dfb-dead-topic", d->topic);
	add(out, "dfb-dead-group", d->group);
	add_number(out, "dfb-dead-queue", d->queue);
	add_number(out, "dfb-dead-offset", d->offset);
	add_number(out, "dfb-dead-tries", d->tries);
	add(out, "dfb-dead-time", dfb_format_when(d->wall_ms, when));
	snprintf(why, sizeof why, "%s", d->why);
	cut(why, REASON_MAX);
	if (out->max - out->len < overhead + REASON_MAX)
		cut(why, out->max - out->len > overhead ? out->max - out->len - overhead : 0);
	add(out, "dfb-dead-reason", why);
}

/* The death that a message came back from, as one of those before; none when it has none. */
static void
add_last(struct headers *out, const struct dfb_record *r, unsigned number)
{
	char name[40], text[REASON_MAX + 300], reason[REASON_MAX + 4] = "", when[32];
	char topic[DFB_TOPIC_MAX] = "?", queue[24] = "?", offset[24] = "?", tries[24] = "?";

	if (!letter_header(r, "dfb-dead-time", when, sizeof when))
		return;
	letter_header(r, "dfb-dead-topic", topic, sizeof topic);
	letter_header(r, "dfb-dead-queue", queue, sizeof queue);
	letter_header(r, "dfb-dead-offset", offset, sizeof offset);
	letter_header(r, "dfb-dead-tries", tries, sizeof tries);
	letter_header(r, "dfb-dead-reason", reason, sizeof reason);
	snprintf(name, sizeof name, BEFORE "%u", number);
	snprintf(text, sizeof text, "%s %s %s:%s tries=%s: %s", when, topic, queue, offset,
	    tries, reason);
	add(out, name, text);
}

static unsigned
number_of(const struct header *h)
{
	char text[12];

	snprintf(text, sizeof text, "%.*s", (int)(h->name_len - strlen(BEFORE)),
	    h->name + strlen(BEFORE));
	return (unsigned)strtoul(text, NULL, 10);
}

/* Deaths before this one, the latest first, as far as they fit. */
static void
add_history(struct headers *out, const struct dfb_record *r)
{
	struct header h;
	unsigned latest = 0;
	size_t at = 0;

	while (next(r, &at, &h))
		if (begins(&h, BEFORE) && number_of(&h) > latest)
			latest = number_of(&h);
	add_last(out, r, latest + 1);
	for (at = 0; next(r, &at, &h);)
		if (begins(&h, BEFORE) && latest - number_of(&h) < DEATHS - 2)
			copy(out, &h);
}

size_t
letter_headers(const struct dfb_record *r, const struct death *d, uint8_t *headers)
{
	/* Its own first, unless they leave no room for how it died. */
	struct headers out = { headers, 0, LETTER_MAX - 700 };
	struct header h;

	add_own(&out, r);
	out.max = LETTER_MAX;
	if (find(r, REDRIVEN, &h) && h.value_len <= 10)
		copy(&out, &h);
	add_death(&out, d);
	add_history(&out, r);
	return out.len;
}

size_t
letter_again(const struct dfb_record *r, const char *group, uint8_t *headers)
{
	struct headers out = { headers, 0, LETTER_MAX };
	char text[16] = "0";
	struct header h;
	size_t at = 0;

	letter_header(r, REDRIVEN, text, sizeof text);
	while (next(r, &at, &h))
		if (!is(&h, ONLY) && !is(&h, REDRIVEN))
			copy(&out, &h);
	out.max = DFB_HEADERS_MAX;
	add_number(&out, REDRIVEN, strtoul(text, NULL, 10) + 1);
	add(&out, ONLY, group);
	return out.len;
}

bool
letter_is_for(const struct dfb_record *r, const char *group)
{
	struct header h;

	return !find(r, ONLY, &h) || (h.value_len == strlen(group) &&
	    memcmp(h.value, group, h.value_len) == 0);
}
