/* PUT: the hot path in. */
#include <stdio.h>

#include "broker.h"
#include "disk.h"
#include "gray.h"
#include "lane.h"
#include "limits.h"
#include "wire/record.h"

/* Bytes waiting for the disk, over all senders.  Each sender's own window is smaller. */
#define PENDING_MAX ((size_t)64 << 20)
/* What a byte taken may need on the disk, at worst: in the log, in a page, and in the log
 * again when a page is split. */
#define SPACE_PER_BYTE 3
#define PENDING_SOFT ((size_t)16 << 20)
#define MEMORY_MAX ((size_t)256 << 20)

const char *
broker_refuses(struct broker *b, const struct topic *t, uint32_t *wait_ms)
{
	*wait_ms = 1000;
	if (t->set.sends_paused_ms != 0)
		return PAUSED;
	if (t->set.closed)
		return CLOSED;
	if (b->draining || b->stopping)
		return "the broker is draining";
	return broker_lacks_room(b, t, wait_ms);
}

const char *
broker_lacks_room(struct broker *b, const struct topic *t, uint32_t *wait_ms)
{
	static char why[128];

	*wait_ms = 1000;
	if (t->set.durability == DFB_MEMORY) {
		if (b->memory_used <= MEMORY_MAX)
			return NULL;
		return "storage full: memory topics hold their limit";
	}
	if (b->full || b->free_bytes < b->cf.min_free + b->spent * SPACE_PER_BYTE) {
		snprintf(why, sizeof why, "storage full: %llu MiB free, %llu MiB are kept free",
		    (unsigned long long)b->free_bytes >> 20,
		    (unsigned long long)b->cf.min_free >> 20);
		return why;
	}
	*wait_ms = 5;
	if (b->pending_bytes > PENDING_MAX)
		return "the disk is behind";
	return NULL;
}

/* What is wrong with a record for this topic: DFB_OK, or a status and why. */
static enum dfb_status
check(const struct topic *t, const struct dfb_record *r, bool once, char *why, size_t size)
{
	if (r->body_len > t->set.max_body) {
		snprintf(why, size, "a body of %zu bytes is too large: topic '%s' takes "
		    "%u", r->body_len, t->name, t->set.max_body);
		return DFB_BADINPUT;
	}
	if ((r->flags & DFB_R_CALL) != 0) {
		snprintf(why, size, "calls cannot be put");
		return DFB_BADINPUT;
	}
	if ((r->flags & DFB_R_DUE) != 0 && t->set.durability == DFB_MEMORY) {
		snprintf(why, size, "topic '%s' is in memory, which does not schedule: "
		    "send to a durable one", t->name);
		return DFB_BADINPUT;
	}
	if ((r->flags & DFB_R_DUE) != 0 && r->expires != 0 && r->expires <= r->due) {
		snprintf(why, size, "it expires before it is due");
		return DFB_BADINPUT;
	}
	if (r->headers_len != 0 && !dfb_headers_valid(r->headers, r->headers_len)) {
		snprintf(why, size, "malformed headers");
		return DFB_BADINPUT;
	}
	if (once && t->set.dedup_ms == 0) {
		snprintf(why, size, "topic '%s' does not remember ids (dedup_ms is 0)",
		    t->name);
		return DFB_BADINPUT;
	}
	return DFB_OK;
}

/* Count records of a frame, each well-formed; how many, or -1. */
static int
well_formed(const struct dfb_m_put *r)
{
	const uint8_t *p = r->records.p, *end = p + r->records.len;
	struct dfb_record rec;
	int n = 0, rc;

	while ((rc = dfb_record_next(&p, end, &rec)) == 1)
		n++;
	return rc == 0 && (uint32_t)n == r->count ? n : -1;
}

/* Refused now by a gray rule, and told. */
static bool
gray_says_no(struct broker *b, struct stream *st, uint64_t seq, const struct dfb_record *rec,
    bool once)
{
	struct topic *t = st->producer->topic;
	const struct gray *r = TAILQ_EMPTY(&t->gray) || rec->due > b->wall || /* when it is due */
	    (once && once_find(b, t, &rec->id) != NULL) ? NULL : gray_refuses(t, rec);

	if (r != NULL)
		stream_refuse(b, st, seq, DFB_REFUSE_STREAM, DFB_AGAIN, 200, GRAY_NOBODY,
		    r->label);
	return r != NULL;
}

static bool
all_acceptable(struct broker *b, struct stream *st, const struct dfb_m_put *r)
{
	const uint8_t *p = r->records.p, *end = p + r->records.len;
	struct dfb_record rec;
	bool once = (r->flags & DFB_PUT_ONCE) != 0;
	uint64_t seq = r->seq;
	enum dfb_status status;
	unsigned scheduled = 0;
	char why[256];

	for (; dfb_record_next(&p, end, &rec) == 1; seq++) {
		if (gray_says_no(b, st, seq, &rec, once))
			return false;
		status = check(st->producer->topic, &rec, once, why, sizeof why);
		if (status == DFB_OK && rec.due > b->wall && ++scheduled > TIMERS_ATOMIC_MAX) {
			status = DFB_BADINPUT;
			snprintf(why, sizeof why, "at most %u scheduled messages can be "
			    "stored as one", TIMERS_ATOMIC_MAX);
		}
		if (status != DFB_OK) {
			stream_refuse(b, st, seq, DFB_REFUSE_MESSAGE, status, 0, "%s", why);
			return false;
		}
	}
	if (scheduled != 0 && !timers_may_change(b)) {
		stream_refuse(b, st, st->producer->taken + 1, DFB_REFUSE_STREAM, DFB_AGAIN,
		    5, "the disk is behind");
		return false;
	}
	return true;
}

struct queue *
put_place(struct broker *b, const struct session *s, struct queue *q,
    const struct dfb_record *r, struct refusal *no)
{
	if ((q = breaker_choose(b, q, r, no)) != NULL && q->topic->limited &&
	    !flow_take(b, s, q->topic, 1, r->size, no))
		return NULL;
	return q;
}

bool
put_refuses(struct broker *b, struct topic *t, struct refusal *no)
{
	const char *busy = broker_refuses(b, t, &no->wait_ms);

	if (busy != NULL)
		snprintf(no->why, sizeof no->why, "%s", busy);
	return busy != NULL || breaker_is_shut(b, t, no);
}

/* Whether all of a frame that is taken as one may come in. */
static bool
all_admitted(struct broker *b, struct session *s, struct stream *st,
    const struct dfb_m_put *r)
{
	const uint8_t *p = r->records.p, *end = p + r->records.len;
	struct topic *t = st->producer->topic;
	struct dfb_record rec;
	struct refusal no;
	bool may = true;

	while (may && dfb_record_next(&p, end, &rec) == 1)
		may = rec.due > b->wall ||
		    breaker_choose(b, queue_choose(t, &rec), &rec, &no) != NULL;
	if (may && t->limited)
		may = flow_take(b, s, t, r->count, r->records.len, &no);
	if (!may)
		stream_refuse(b, st, r->seq, DFB_REFUSE_STREAM, DFB_AGAIN, no.wait_ms, "%s",
		    no.why);
	return may;
}

/* Where a record of such a frame goes: it may fill a queue up in its midst. */
static struct queue *
admitted(struct broker *b, struct queue *q, const struct dfb_record *r)
{
	struct refusal no;
	struct queue *other = breaker_choose(b, q, r, &no);

	return other != NULL ? other : q;
}

static void
taken(struct broker *b, struct stream *st)
{
	struct producer *p = st->producer;
	struct topic *t = p->topic;

	st->refused = false;
	p->used_ms = b->wall;
	if (t->set.durability != DFB_COMMIT) {
		/* Taken is confirmed, unless the disk falls behind: then storing is
		 * what slows the sender down. */
		if ((t->set.durability == DFB_MEMORY || b->pending_bytes < PENDING_SOFT) &&
		    p->scheduled <= p->committed) {
			p->committed = p->taken;
			stream_confirm_later(b, st);
		}
		for (uint32_t i = 0; i < t->nqueues; i++)
			queue_wake(b, t->queues[i]);
	}
	if (t->set.durability != DFB_MEMORY)
		commit_dirty_producer(b, p);
}

/* A record whose id is known is not stored again. */
static void
tell_known(struct broker *b, struct stream *st, uint64_t seq, const struct known *k)
{
	b->n.known++;
	session_send(b, st->session, &(struct dfb_proto){ .type = DFB_M_KNOWN,
	    .known = { .stream = st->handle, .seq = seq, .queue = k->queue,
	    .offset = k->offset } });
	/* Confirmed behind the first one, if that is on its way. */
	if (k->queue == KNOWN_SCHEDULED)
		st->producer->scheduled = seq;
	if (k->queue == KNOWN_SCHEDULED || st->producer->topic->set.durability == DFB_COMMIT)
		commit_batch(b, true);
}

/* Where a record goes: *q, or NULL: it waits until it is due.  false: refused, and told. */
static bool
place(struct broker *b, struct stream *st, uint64_t seq, const struct dfb_record *r,
    bool atomic, struct queue **q)
{
	struct topic *t = st->producer->topic;
	struct refusal no = { .wait_ms = 5, .why = "the disk is behind" };

	*q = NULL;
	if (r->due > b->wall) {
		if (atomic || (timers_may_change(b) && (!t->limited ||
		    flow_take(b, st->session, t, 1, r->size, &no))))
			return true;
	} else {
		*q = queue_choose(t, r);
		if (put_is_plain(*q) || (*q = atomic ? admitted(b, *q, r) :
		    put_place(b, st->session, *q, r, &no)) != NULL)
			return true;
	}
	stream_refuse(b, st, seq, DFB_REFUSE_STREAM, DFB_AGAIN, no.wait_ms, "%s", no.why);
	return false;
}

/* One record, into a queue (its offset there) or until it is due.  -1: no memory. */
static int
store(struct broker *b, struct producer *pr, uint64_t seq, struct queue *q,
    const struct dfb_record *r, const uint8_t *rec, uint64_t *offset)
{
	if (q == NULL) {
		pr->scheduled = seq;
		return timer_put(b, pr->topic, r, rec);
	}
	*offset = queue_append(b, q, rec, r->size,
	    (r->flags & DFB_R_EXPIRES) != 0 ? APPEND_EXPIRES : APPEND_PLAIN, NULL);
	return *offset == UINT64_MAX ? -1 : 0;
}

/* Append a record, or schedule it; false: not now, and that was told. */
static bool
append(struct broker *b, struct stream *st, uint64_t seq, const struct dfb_record *rec,
    const uint8_t *bytes, uint8_t flags)
{
	struct topic *t = st->producer->topic;
	bool atomic = (flags & DFB_PUT_ATOMIC) != 0;
	uint64_t offset = rec->due;
	struct queue *q;

	if (!place(b, st, seq, rec, atomic, &q))
		return false;
	if (store(b, st->producer, seq, q, rec, bytes, &offset) == -1) {
		/* A frame that must be all or nothing cannot stop half-way. */
		if (atomic)
			fail_stop(b, "no memory for messages");
		stream_refuse(b, st, seq, DFB_REFUSE_STREAM, DFB_AGAIN, 1000,
		    "the broker is out of memory");
		return false;
	}
	if ((flags & DFB_PUT_ONCE) != 0)
		once_add(b, t, &rec->id, q != NULL ? q->index : KNOWN_SCHEDULED, offset);
	b->n.puts++;
	return true;
}

/* Take the records of a frame that may be taken. */
static void
take(struct broker *b, struct stream *st, const struct dfb_m_put *r)
{
	const uint8_t *p = r->records.p, *end = p + r->records.len;
	bool any = false, once = (r->flags & DFB_PUT_ONCE) != 0;
	struct producer *pr = st->producer;
	enum dfb_status status = DFB_OK;
	const struct known *k;
	struct dfb_record rec;
	uint64_t seq = r->seq;
	char why[256];

	for (; dfb_record_next(&p, end, &rec) == 1; seq++) {
		if (seq <= pr->taken) {
			b->n.duplicates++;
			continue;
		}
		if ((status = check(pr->topic, &rec, once, why, sizeof why)) != DFB_OK)
			break;
		if ((k = once ? once_find(b, pr->topic, &rec.id) : NULL) != NULL)
			tell_known(b, st, seq, k);
		else if (gray_says_no(b, st, seq, &rec, false) ||
		    !append(b, st, seq, &rec, p - rec.size, r->flags))
			break;
		pr->taken = seq;
		any = true;
	}
	if (status != DFB_OK)
		stream_refuse(b, st, seq, DFB_REFUSE_MESSAGE, status, 0, "%s", why);
	if (any)
		taken(b, st);
}

bool
put_take(struct broker *b, struct stream *st, const struct dfb_m_put *r, bool looked)
{
	bool once = (r->flags & DFB_PUT_ONCE) != 0, atomic = (r->flags & DFB_PUT_ATOMIC) != 0;
	struct producer *pr = st->producer;
	const char *busy;
	uint32_t wait_ms;

	if (r->seq > pr->taken + 1)
		return true; /* something before it was refused, and told */
	if (r->seq + r->count <= pr->taken + 1) {
		/* All were taken: a resend. */
		b->n.duplicates += r->count;
		if (pr->committed >= r->seq)
			stream_confirm_later(b, st);
		return true;
	}
	if ((busy = broker_refuses(b, pr->topic, &wait_ms)) != NULL) {
		stream_refuse(b, st, pr->taken + 1, DFB_REFUSE_STREAM, DFB_AGAIN,
		    wait_ms, "%s", busy);
		return true;
	}
	if (atomic && !all_acceptable(b, st, r))
		return true;
	if (once && r->count > ONCE_FRAME_MAX) {
		stream_refuse(b, st, r->seq, DFB_REFUSE_MESSAGE, DFB_BADINPUT, 0,
		    "more than %d messages with ids in a frame", ONCE_FRAME_MAX);
		return true;
	}
	if (once && !once_ready(b, st, r, looked))
		return false;
	if (!atomic || all_admitted(b, st->session, st, r))
		take(b, st, r);
	return true;
}

void
handle_put(struct broker *b, struct session *s, const struct dfb_proto *m)
{
	const struct dfb_m_put *r = &m->put;
	struct stream *st = stream_find(s, r->stream);

	if (st == NULL)
		return; /* refused before, or gone with its topic: it was told */
	if (well_formed(r) == -1 || r->seq == 0) {
		session_error(b, s, m->req, DFB_PROTO, "malformed records");
		session_kill(b, s);
		b->n.malformed++;
		return;
	}
	/* What waits keeps its order. */
	if (!STAILQ_EMPTY(&st->waiting) || !put_take(b, st, r, false))
		once_hold(b, st, r);
}
