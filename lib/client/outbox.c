#include "client/outbox.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "client/conn.h"
#include "wire/proto.h"
#include "wire/record.h"

/* Bytes that the head of a PUT takes: frame header, stream, seq, count, flags. */
#define HEAD (DFB_FRAME_HEADER + 4 + 8 + 4 + 1)
#define FRAME_BYTES (64u << 10)
#define FRAME_MIN 1024
#define ATOMIC_BYTES (31u << 20)
/* Up to here the socket's copy is cheaper than sharing. */
#define COPY_MAX 1024

/* Memory that a socket may hold a reference to. */
struct block {
	atomic_uint refs;
	uint8_t data[];
};

struct dfb_outframe {
	TAILQ_ENTRY(dfb_outframe) entry;
	struct block *block;
	size_t len, cap;       /* of data */
	size_t start;          /* of the records: HEAD, unless it was taken out */
	uint64_t seq, n;       /* of the first message */
	uint64_t *ns;          /* n of each, when some went elsewhere between them */
	uint32_t count, ns_cap;
	uint32_t at;           /* taken out: how many are gone from it, too */
	bool closed;           /* taken out: it was not open */
	/* What the head says; it is written again when it is to say something else. */
	uint64_t head_seq;
	uint32_t head_stream, head_count;
};

static void
unref(void *data, void *hint)
{
	struct block *b = hint;

	(void)data;
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		free(b);
}

static struct block *
block_new(size_t cap)
{
	struct block *b = malloc(sizeof *b + cap);

	if (b != NULL)
		atomic_init(&b->refs, 1);
	return b;
}

static struct dfb_outframe *
frame_new(size_t cap)
{
	struct dfb_outframe *f = calloc(1, sizeof *f);

	if (f == NULL)
		return NULL;
	if ((f->block = block_new(cap)) == NULL) {
		free(f);
		return NULL;
	}
	f->cap = cap;
	f->len = f->start = HEAD;
	return f;
}

static void
frame_free(struct dfb_outframe *f)
{
	if (f->block != NULL)
		unref(NULL, f->block);
	free(f->ns);
	free(f);
}

static uint64_t
number_of(const struct dfb_outframe *f, uint32_t i)
{
	return f->ns != NULL ? f->ns[i] : f->n + i;
}

static void
take_out(struct dfb_outbox *o, struct dfb_outframe *f)
{
	if (o->unsent == f)
		o->unsent = TAILQ_NEXT(f, entry);
	if (o->open == f)
		o->open = NULL;
	TAILQ_REMOVE(&o->frames, f, entry);
	o->total->bytes -= f->len;
}

void
dfb_outbox_init(struct dfb_outbox *o, struct dfb_outtotal *total, bool atomic)
{
	*o = (struct dfb_outbox){ .base = 1, .next = 1, .sent_end = 1, .total = total,
		.atomic = atomic };
	TAILQ_INIT(&o->frames);
}

void
dfb_outbox_release(struct dfb_outbox *o)
{
	struct dfb_outframe *f;

	while ((f = TAILQ_FIRST(&o->frames)) != NULL) {
		take_out(o, f);
		frame_free(f);
	}
	o->total->messages -= o->next - o->base;
	o->base = o->next;
}

/* ---- adding ---- */

bool
dfb_outbox_fits(const struct dfb_outbox *o, size_t size)
{
	return (o->open != NULL ? o->open->len : HEAD) + size <= ATOMIC_BYTES;
}

void
dfb_outbox_cut_frame(struct dfb_outbox *o)
{
	if (o->open != NULL)
		o->hint = o->open->len;
	o->open = NULL;
}

static int
open_frame(struct dfb_outbox *o, uint64_t n, size_t size)
{
	size_t cap = o->hint < FRAME_MIN ? FRAME_MIN : o->hint;
	struct dfb_outframe *f;

	if (cap > FRAME_BYTES)
		cap = FRAME_BYTES;
	if (cap < HEAD + size)
		cap = HEAD + size;
	if ((f = frame_new(cap)) == NULL)
		return -1;
	f->seq = o->next;
	f->n = n;
	TAILQ_INSERT_TAIL(&o->frames, f, entry);
	o->total->bytes += f->len;
	o->open = f;
	if (o->unsent == NULL)
		o->unsent = f;
	return 0;
}

/* The open frame is nobody else's. */
static int
grow(struct dfb_outframe *f, size_t size)
{
	size_t cap = f->cap * 2 > f->len + size ? f->cap * 2 : f->len + size;
	struct block *b = realloc(f->block, sizeof *b + cap);

	if (b == NULL)
		return -1;
	f->block = b;
	f->cap = cap;
	return 0;
}

/* The next message of the frame is n, which does not follow the one before. */
static int
note_number(struct dfb_outframe *f, uint64_t n)
{
	if (f->ns == NULL || f->count == f->ns_cap) {
		uint32_t cap = f->count < 32 ? 64 : f->count * 2;
		uint64_t *p = reallocarray(f->ns, cap, sizeof *p);
		if (p == NULL)
			return -1;
		for (uint32_t i = 0; f->ns == NULL && i < f->count; i++)
			p[i] = f->n + i;
		f->ns = p;
		f->ns_cap = cap;
	}
	f->ns[f->count] = n;
	return 0;
}

/* Room for a message in the open frame; where to write it, or NULL. */
static uint8_t *
make_room(struct dfb_outbox *o, uint64_t n, size_t size)
{
	struct dfb_outframe *f;

	if (o->open != NULL && !o->atomic && o->open->len + size > FRAME_BYTES)
		dfb_outbox_cut_frame(o);
	if (o->open == NULL && open_frame(o, n, size) == -1)
		return NULL;
	f = o->open;
	if ((f->len + size > f->cap && grow(f, size) == -1) ||
	    ((f->ns != NULL || f->n + f->count != n) && note_number(f, n) == -1))
		return NULL;
	return f->block->data + f->len;
}

static void
added(struct dfb_outbox *o, size_t size)
{
	o->open->len += size;
	o->open->count++;
	o->next++;
	o->total->bytes += size;
	o->total->messages++;
}

int
dfb_outbox_put(struct dfb_outbox *o, uint64_t n, const struct dfb_record *r, size_t size)
{
	uint8_t *to = make_room(o, n, size);

	if (to == NULL)
		return -1;
	dfb_record_write(r, to);
	added(o, size);
	return 0;
}

int
dfb_outbox_add(struct dfb_outbox *o, const struct dfb_outmsg *m, uint8_t flags)
{
	uint8_t *to = make_room(o, m->n, m->size);

	if (to == NULL)
		return -1;
	memcpy(to, m->record, m->size);
	dfb_record_mark(to, flags);
	added(o, m->size);
	return 0;
}

/* ---- sending ---- */

/* Have the head say what the frame is now, in memory of its own if need be. */
static int
write_head(struct dfb_outbox *o, struct dfb_outframe *f, uint32_t stream)
{
	struct dfb_proto m = { .type = DFB_M_PUT, .put = { .stream = stream,
		.seq = f->seq, .count = f->count,
		.flags = (uint8_t)((o->atomic ? DFB_PUT_ATOMIC : 0) |
		(o->once ? DFB_PUT_ONCE : 0)) } };

	if (f->head_stream == stream && f->head_seq == f->seq &&
	    f->head_count == f->count)
		return 0;
	if (atomic_load_explicit(&f->block->refs, memory_order_acquire) != 1) {
		struct block *b = block_new(f->len);
		if (b == NULL)
			return -1;
		memcpy(b->data + HEAD, f->block->data + HEAD, f->len - HEAD);
		unref(NULL, f->block);
		f->block = b;
		f->cap = f->len;
	}
	dfb_proto_write_head(&m, f->block->data);
	f->head_stream = stream;
	f->head_seq = f->seq;
	f->head_count = f->count;
	return 0;
}

static int
send_frame(struct dfb_outframe *f, struct dfb_conn *c)
{
	if (f->len <= COPY_MAX)
		return dfb_conn_send_bytes(c, f->block->data, f->len);
	atomic_fetch_add_explicit(&f->block->refs, 1, memory_order_relaxed);
	return dfb_conn_send_shared(c, f->block->data, f->len, unref, f->block);
}

int
dfb_outbox_send(struct dfb_outbox *o, struct dfb_conn *c, uint32_t stream)
{
	struct dfb_outframe *f;

	if (!o->atomic)
		dfb_outbox_cut_frame(o);
	while ((f = o->unsent) != NULL && f != o->open &&
	    !(o->stopped && f->seq >= o->sent_end)) {
		if (write_head(o, f, stream) == -1 || send_frame(f, c) == -1)
			return -1;
		o->unsent = TAILQ_NEXT(f, entry);
		if (o->sent_end < f->seq + f->count)
			o->sent_end = f->seq + f->count;
	}
	return 0;
}

uint64_t
dfb_outbox_number(const struct dfb_outbox *o, uint64_t seq)
{
	const struct dfb_outframe *f;

	TAILQ_FOREACH(f, &o->frames, entry)
		if (seq >= f->seq && seq < f->seq + f->count)
			return number_of(f, (uint32_t)(seq - f->seq));
	return 0;
}

void
dfb_outbox_confirm(struct dfb_outbox *o, uint64_t seq)
{
	struct dfb_outframe *f;

	o->total->messages -= seq + 1 - o->base;
	o->base = seq + 1;
	while ((f = TAILQ_FIRST(&o->frames)) != NULL && f->seq + f->count <= o->base &&
	    f != o->open) {
		take_out(o, f);
		frame_free(f);
	}
}

void
dfb_outbox_rewind(struct dfb_outbox *o)
{
	o->unsent = TAILQ_FIRST(&o->frames);
}

void
dfb_outbox_unsend(struct dfb_outbox *o, uint64_t seq)
{
	struct dfb_outframe *f;

	TAILQ_FOREACH(f, &o->frames, entry)
		if (f == o->unsent || f->seq + f->count > seq)
			break;
	o->unsent = f;
	if (o->sent_end > seq)
		o->sent_end = seq > o->base ? seq : o->base;
}

void
dfb_outbox_forget_sent(struct dfb_outbox *o)
{
	o->sent_end = o->base;
	dfb_outbox_rewind(o);
}

/* ---- taking out ---- */

/* Where record i of the frame starts. */
static size_t
place(const struct dfb_outframe *f, uint32_t i)
{
	size_t at = f->start;

	while (i-- > 0)
		at += dfb_record_peek_size(f->block->data + at);
	return at;
}

const uint8_t *
dfb_outbox_record(const struct dfb_outbox *o, uint64_t seq)
{
	struct dfb_outframe *f;

	TAILQ_FOREACH(f, &o->frames, entry)
		if (f->seq + f->count > seq)
			break;
	return f->block->data + place(f, (uint32_t)(seq - f->seq));
}

/* Keep the first i records.  Their bytes stay where they are. */
static void
shorten(struct dfb_outbox *o, struct dfb_outframe *f, uint32_t i)
{
	size_t len = place(f, i);

	o->total->bytes -= f->len - len;
	f->len = len;
	f->count = i;
}

/* What tail is of f, from i on, but for its records.  0, or -1: no memory. */
static int
number_tail(const struct dfb_outframe *f, uint32_t i, struct dfb_outframe *tail)
{
	tail->seq = f->seq + i;
	tail->n = number_of(f, i);
	tail->count = tail->ns_cap = f->count - i;
	if (f->ns == NULL)
		return 0;
	if ((tail->ns = reallocarray(NULL, tail->count, sizeof *tail->ns)) == NULL)
		return -1;
	memcpy(tail->ns, f->ns + i, tail->count * sizeof *tail->ns);
	return 0;
}

/* A frame of the records from i on; NULL when out of memory, or none are left (then
 * *none). */
static struct dfb_outframe *
copy_tail(const struct dfb_outframe *f, uint32_t i, bool *none)
{
	size_t at = place(f, i), n = f->len - at;
	struct dfb_outframe *tail;

	if ((*none = i == f->count) || (tail = frame_new(HEAD + n)) == NULL)
		return NULL;
	memcpy(tail->block->data + HEAD, f->block->data + at, n);
	tail->len += n;
	if (number_tail(f, i, tail) == -1) {
		frame_free(tail);
		return NULL;
	}
	return tail;
}

/* The same for one that is taken out: it shares the records. */
static struct dfb_outframe *
share_tail(const struct dfb_outframe *f, uint32_t i)
{
	struct dfb_outframe *tail = calloc(1, sizeof *tail);

	if (tail == NULL)
		return NULL;
	if (number_tail(f, i, tail) == -1) {
		free(tail);
		return NULL;
	}
	tail->block = f->block;
	atomic_fetch_add_explicit(&f->block->refs, 1, memory_order_relaxed);
	tail->start = place(f, i);
	tail->len = f->len;
	return tail;
}

uint32_t
dfb_outbox_drop(struct dfb_outbox *o, uint64_t seq, uint64_t *n)
{
	struct dfb_outframe *f, *tail = NULL, *next;
	uint32_t i, gone = 1;
	bool none;

	TAILQ_FOREACH(f, &o->frames, entry)
		if (f->seq + f->count > seq)
			break;
	i = (uint32_t)(seq - f->seq);
	if (o->atomic) {
		seq = f->seq;
		gone = f->count;
		i = 0;
	} else if ((tail = copy_tail(f, i + 1, &none)) == NULL && !none)
		return 0;
	*n = number_of(f, i);
	if (tail != NULL) {
		TAILQ_INSERT_AFTER(&o->frames, f, tail, entry);
		o->total->bytes += tail->len;
	}
	next = TAILQ_NEXT(f, entry);
	if (f->seq + i > o->base)
		shorten(o, f, i);
	else { /* what was before is confirmed */
		take_out(o, f);
		frame_free(f);
	}
	o->unsent = next;
	o->next -= gone;
	o->total->messages -= gone;
	for (; next != NULL; next = TAILQ_NEXT(next, entry))
		next->seq -= gone;
	seq = seq > o->base ? seq : o->base;
	o->sent_end = o->sent_end < seq ? o->sent_end : seq;
	return gone;
}

int
dfb_outbox_truncate(struct dfb_outbox *o, uint64_t seq, bool reuse,
    struct dfb_outframes *gone)
{
	struct dfb_outframe *f, *next, *stub, *open = o->open;

	TAILQ_INIT(gone);
	TAILQ_FOREACH(f, &o->frames, entry)
		if (f->seq + f->count > seq)
			break;
	if (f != NULL && f->seq < seq) {
		uint32_t i = (uint32_t)(seq - f->seq);
		if ((stub = share_tail(f, i)) == NULL)
			return -1;
		stub->closed = f != open;
		TAILQ_INSERT_TAIL(gone, stub, entry);
		next = TAILQ_NEXT(f, entry);
		if (seq > o->base)
			shorten(o, f, i);
		else { /* what was before is confirmed */
			take_out(o, f);
			frame_free(f);
		}
		if (o->open == f)
			o->open = NULL;
		f = next;
	}
	for (; f != NULL; f = next) {
		next = TAILQ_NEXT(f, entry);
		take_out(o, f);
		f->closed = f != open;
		TAILQ_INSERT_TAIL(gone, f, entry);
	}
	o->total->messages -= o->next - seq;
	if (reuse)
		o->next = seq;
	else
		o->base = o->next;
	if (o->sent_end > seq || !reuse)
		o->sent_end = reuse ? seq : o->base;
	return 0;
}

bool
dfb_outbox_gone(struct dfb_outframes *gone, struct dfb_outmsg *m)
{
	struct dfb_outframe *f;

	while ((f = TAILQ_FIRST(gone)) != NULL && f->count == f->at) {
		TAILQ_REMOVE(gone, f, entry);
		frame_free(f);
	}
	if (f == NULL)
		return false;
	m->n = number_of(f, f->at);
	m->seq = f->seq + f->at;
	m->record = f->block->data + f->start;
	m->size = dfb_record_peek_size(m->record);
	m->first = f->at++ == 0;
	m->last = f->at == f->count && f->closed;
	f->start += m->size;
	return true;
}
