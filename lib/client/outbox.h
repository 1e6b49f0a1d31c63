/*
 * Outbox: the messages of a producer that are not decided yet, encoded as the frames
 * they travel in.  Messages have two numbers: n, which the user counts (1 for
 * the first put), and the sequence number on the wire; a message that is refused for good
 * gives its sequence number to the next.  A frame's memory is shared with the socket
 * and never modified while the socket may refer to it.
 */
#ifndef CLIENT_OUTBOX_H
#define CLIENT_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct dfb_conn;
struct dfb_record;
struct dfb_outframe;
TAILQ_HEAD(dfb_outframes, dfb_outframe);

/* What several outboxes hold together. */
struct dfb_outtotal {
	uint64_t messages; /* undecided */
	size_t bytes;      /* of the frames */
};

/* Fields are read-only for users.  Undecided are the sequence numbers base to next - 1;
 * below sent_end (base <= sent_end) they may have reached the broker. */
struct dfb_outbox {
	struct dfb_outframes frames;
	struct dfb_outframe *open;  /* the last, if messages can be added to it */
	struct dfb_outframe *unsent; /* the first to send; NULL: none */
	uint64_t base, next;
	uint64_t sent_end;
	struct dfb_outtotal *total;
	size_t hint;                /* how large the last frame became */
	bool atomic;                /* a frame is closed by _cut_frame only */
	bool once;                  /* to be set by the user: frames say so */
	bool stopped;               /* to be set by the user: nothing new is sent, only again */
};

void dfb_outbox_init(struct dfb_outbox *, struct dfb_outtotal *, bool atomic);
void dfb_outbox_release(struct dfb_outbox *);

/* Add message n, of size (encoded) bytes.  0, or -1 with errno. */
int dfb_outbox_put(struct dfb_outbox *, uint64_t n, const struct dfb_record *, size_t size);

/* Whether a message of this size still fits into an atomic outbox's open frame. */
bool dfb_outbox_fits(const struct dfb_outbox *, size_t size);

/* Close the open frame, if any: further messages go into another. */
void dfb_outbox_cut_frame(struct dfb_outbox *);

/* Send what is not sent, as frames of this stream (an atomic outbox: closed frames).
 * 0; -1: the connection takes no more now (errno). */
int dfb_outbox_send(struct dfb_outbox *, struct dfb_conn *, uint32_t stream);

/* The number that the user has for number seq on the wire (undecided); 0: none. */
uint64_t dfb_outbox_number(const struct dfb_outbox *, uint64_t seq);

/* The record of message seq (base <= seq < next). */
const uint8_t *dfb_outbox_record(const struct dfb_outbox *, uint64_t seq);

/* All up to seq are decided (base <= seq < sent_end). */
void dfb_outbox_confirm(struct dfb_outbox *, uint64_t seq);

/* What has number seq and above has not reached the broker: it is sent again. */
void dfb_outbox_unsend(struct dfb_outbox *, uint64_t seq);
/* All is sent again; but it may have reached the broker. */
void dfb_outbox_rewind(struct dfb_outbox *);
/* What is undecided can go to another broker (sent_end == base). */
void dfb_outbox_forget_sent(struct dfb_outbox *);

/* Take the message seq out (an atomic outbox: its frame) and renumber what follows, which is
 * sent again.  The first n of what was taken out goes to *n.  The number of messages; 0: out of
 * memory, unchanged. */
uint32_t dfb_outbox_drop(struct dfb_outbox *, uint64_t seq, uint64_t *n);

/*
 * Take out all from number seq (>= base) on.  reuse: seq is the next number then (none
 * of them reached the broker); else numbers go on.  0 and gone lists what was
 * taken out; -1: out of memory, unchanged.
 */
int dfb_outbox_truncate(struct dfb_outbox *, uint64_t seq, bool reuse,
    struct dfb_outframes *gone);

/* A message that was taken out. */
struct dfb_outmsg {
	uint64_t n, seq;
	const uint8_t *record; /* encoded; valid until the next one is asked for */
	size_t size;
	bool first;            /* of its frame */
	bool last;             /* of its frame, and that was closed */
};

/* The next of gone, which is freed as one goes: false when there is none. */
bool dfb_outbox_gone(struct dfb_outframes *gone, struct dfb_outmsg *);

/* Add a message that was taken out of some outbox, with these record flags besides its own.
 * 0, or -1 with errno. */
int dfb_outbox_add(struct dfb_outbox *, const struct dfb_outmsg *, uint8_t flags);

#endif
