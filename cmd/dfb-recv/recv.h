/*
 * dfb-recv: consumers take messages and pass each to one of three ways of handling
 * it: print.c writes it to stdout, handler.c runs a process for it, coproc.c passes
 * it to a process that stays.  serve.c decides when it is over.  peek.c is apart: it
 * reads without a group.
 */
#ifndef RECV_RECV_H
#define RECV_RECV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/timer.h"
#include "dfb.h"

struct dfb_buf;
struct dfb_format;
struct dfb_loop;
struct recv;

/* What the command line asked for. */
struct options {
	char **dests;
	size_t ndests;
	const char *group, *instance, *label;
	const char *names, *region; /* as given, or NULL */
	bool broadcast, at_end, peek, coproc;
	uint64_t count;             /* messages wanted; UINT64_MAX: no limit */
	uint64_t idle_ms;           /* 0: no limit */
	uint64_t max_ms;            /* a handler's time for a message */
	uint64_t wait_ms;           /* for the bus */
	uint32_t jobs, credit;
	enum dfb_start start;
	uint64_t start_value;
	int framing;                /* enum dfb_framing */
	struct dfb_format *format;  /* instead of framing, or NULL */
	char **handler;             /* program and arguments, or NULL */
	char path[4096];            /* where the program is */
};

/* ---- out.c: stdout ---- */

struct out_mark;

struct out {
	struct recv *recv;
	struct dfb_buf buf;
	size_t at;               /* of it, written */
	uint64_t written;        /* in all */
	struct out_mark *marks;  /* deliveries that wait for their bytes, a ring */
	size_t first, nmarks, cap;
	int fd;
	bool once;               /* may block: ask before each small write */
	bool watched, waits;     /* by the loop; for room */
	bool failed;             /* closed or full: nothing is written any more */
};

void out_open(struct recv *);
void out_close(struct recv *);
/* To append to; then out_mark or nothing, and out_flush at the end of the turn. */
static inline struct dfb_buf *out_buf(struct out *o) { return &o->buf; }
/* Acknowledge the delivery when what is in the buffer now was written. */
void out_mark(struct recv *, struct dfb_consumer *, const struct dfb_delivery *);
/* Write what can be written without waiting, and acknowledge. */
void out_flush(struct recv *);
/* Bytes not written yet. */
size_t out_waiting(const struct recv *);

/* ---- ways of handling messages ---- */

struct sink {
	int (*open)(struct recv *);        /* 0, or -1 after a message */
	void (*take)(struct recv *, struct dfb_consumer *, const struct dfb_msg *,
	    const struct dfb_delivery *);
	void (*turn)(struct recv *);       /* at the end of each turn of the loop */
	bool (*busy)(const struct recv *); /* messages taken are not settled */
	void (*finish)(struct recv *);     /* no more are taken; complete what was taken */
	void (*drop)(struct recv *);       /* forget what was taken and not begun */
	void (*kill)(struct recv *);       /* and what was begun */
	void (*close)(struct recv *);
};

extern const struct sink sink_print, sink_handler, sink_coproc;

/* ---- serve.c ---- */

struct source {
	struct recv *recv;
	struct dfb_consumer *consumer;
	const char *dest;
	bool ended;
};

struct recv {
	const struct options *opt;
	struct dfb *client;
	struct dfb_loop *loop;
	const struct sink *sink;
	void *state;               /* the sink's */
	struct out out;
	struct source *sources;
	size_t nended;
	uint64_t taken;
	uint64_t last_ms;          /* when the last came */
	struct dfb_timer idle, patience;
	unsigned signals;
	bool stopping;             /* no more messages are taken */
	bool dropped;              /* nor begun */
	bool killed;
	enum dfb_status status;    /* why it stops, when not DFB_OK */
};

/* Receive until it is over; the exit status. */
enum dfb_status serve(const struct options *, struct dfb *);

/* Stop taking messages, with this exit status (the first failure counts).  now: forget
 * those that were not begun. */
void serve_stop(struct recv *, enum dfb_status, bool now);

/* ---- env.c: what a handler finds in its environment ---- */

/* Once. 0, or -1 with errno. */
int env_init(const struct options *);
/* For a message; deadline in Unix ms.  Valid until the next call.  msg NULL: none, for
 * a process that stays.  NULL with errno. */
char **env_make(const struct dfb_msg *msg, uint64_t deadline_ms);
void env_release(void);

/* ---- reason.c ---- */

#define REASON_MAX 1001 /* with NUL: what a dead letter keeps */

/* Say into reason how a process ended, and how it explained it: "exit status 3: no such
 * account".  text is its stderr; what is not UTF-8 in it is replaced. */
void reason_of_exit(char reason[REASON_MAX], int wait_status, const char *text,
    size_t len);
void reason_of(char reason[REASON_MAX], const char *what, const char *text, size_t len);

/* What an exit status, or a status of a --coproc's answer, asks for: true, and action,
 * for anything but 0. */
bool reason_action(int status, enum dfb_nack *action);

/* ---- peek.c ---- */

enum dfb_status peek(const struct options *, struct dfb *);

/* ---- print.c ---- */

/* Append the message as the options want it.  0, or -1 with errno ENOMEM. */
int print_message(const struct options *, struct dfb_buf *, const struct dfb_msg *);

#endif
