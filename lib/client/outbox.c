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
	size_t len, cap;       /* of data; records start at HEAD */
	uint64_t seq, n;       /* of the first message */
	uint32_t count;
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
	f->len = HEAD;
	return f;
}

static void
frame_free(struct dfb_outframe *f)
{
	if (f->block != NULL)
		unref(NULL, f->block);
	free(f);
}

static void
take_out(struct dfb_outbox *o, struct dfb_outframe *f)
{
	if (o->unsent == f)
		o->unsent = TAILQ_NEXT(f, entry);
	if (o->open == f)
		o->open = NULL;
	TAILQ_REMOVE(&o->frames, f, entry);
	o->bytes -= f->len;
}

void
dfb_outbox_init(struct dfb_outbox *o, bool atomic)
{
	*o = (struct dfb_outbox){ .base = 1, .next = 1, .next_n = 1, .sent_end = 1,
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
open_frame(struct dfb_outbox *o, size_t size)
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
	f->n = o->next_n;
	TAILQ_INSERT_TAIL(&o->frames, f, entry);
	o->bytes += f->len;
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

int
dfb_outbox_put(struct dfb_outbox *o, const struct dfb_record *r, size_t size)
{
	if (o->open != NULL && !o->atomic && o->open->len + size > FRAME_BYTES)
		dfb_outbox_cut_frame(o);
	if (o->open == NULL && open_frame(o, size) == -1)
		return -1;
	if (o->open->len + size > o->open->cap && grow(o->open, size) == -1)
		return -1;
	dfb_record_write(r, o->open->block->data + o->open->len);
	o->open->len += size;
	o->open->count++;
	o->bytes += size;
	o->next++;
	o->next_n++;
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
	while ((f = o->unsent) != NULL && f != o->open) {
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
			return f->n + (seq - f->seq);
	return 0;
}

void
dfb_outbox_confirm(struct dfb_outbox *o, uint64_t seq)
{
	struct dfb_outframe *f;

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
	size_t at = HEAD;

	while (i-- > 0)
		at += dfb_record_peek_size(f->block->data + at);
	return at;
}

/* Keep the first i records.  Their bytes stay where they are. */
static void
shorten(struct dfb_outbox *o, struct dfb_outframe *f, uint32_t i)
{
	size_t len = place(f, i);

	o->bytes -= f->len - len;
	f->len = len;
	f->count = i;
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
	tail->seq = f->seq + i;
	tail->n = f->n + i;
	tail->count = f->count - i;
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
	*n = f->n + i;
	if (tail != NULL) {
		TAILQ_INSERT_AFTER(&o->frames, f, tail, entry);
		o->bytes += tail->len;
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
	struct dfb_outframe *f, *next, *stub;

	TAILQ_INIT(gone);
	TAILQ_FOREACH(f, &o->frames, entry)
		if (f->seq + f->count > seq)
			break;
	if (f != NULL && f->seq < seq) {
		uint32_t i = (uint32_t)(seq - f->seq);
		if ((stub = calloc(1, sizeof *stub)) == NULL)
			return -1;
		stub->n = f->n + i;
		stub->count = f->count - i;
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
		TAILQ_INSERT_TAIL(gone, f, entry);
	}
	if (reuse)
		o->next = seq;
	else
		o->base = o->next;
	if (o->sent_end > seq || !reuse)
		o->sent_end = reuse ? seq : o->base;
	return 0;
}

bool
dfb_outbox_gone(struct dfb_outframes *gone, uint64_t *n, uint32_t *count)
{
	struct dfb_outframe *f = TAILQ_FIRST(gone);

	if (f == NULL)
		return false;
	*n = f->n;
	*count = f->count;
	TAILQ_REMOVE(gone, f, entry);
	frame_free(f);
	return true;
}
