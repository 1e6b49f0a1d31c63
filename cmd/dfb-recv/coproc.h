/* One --coproc process: proc.c runs it, answer.c reads what it says. */
#ifndef RECV_COPROC_H
#define RECV_COPROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/timer.h"
#include "dfb-recv/child.h"
#include "dfb-recv/entry.h"

#define COPROC_WINDOW 256 /* messages that a process holds */

struct recv;

struct proc {
	struct recv *recv;
	struct child child;
	struct entries entries;
	struct dfb_timer watch;  /* the first of its messages runs out of time */
	uint64_t watch_ms;       /* when (monotonic); 0: not set */
	struct dfb_timer life;   /* to start it again, or to end it by force */
	uint64_t queued;         /* bytes of the stream to it, so far */
	size_t scanned;          /* of child.out */
	unsigned failures;       /* deaths in a row without an answer */
	unsigned spawn_failures; /* likewise: there was no process at all */
	char why[256];           /* why we kill it; "": we do not */
	bool terminating;        /* SIGTERM was sent */
	bool closing;            /* its input ends; no other is started */
	bool killed;             /* what it holds is not settled any more */
	bool over;
};

/* 0, or -1 after a message: it could not be started at all. */
int proc_open(struct proc *, struct recv *);
void proc_close(struct proc *);

/* Pass a message to it.  0, or -1 with errno ENOMEM. */
int proc_take(struct proc *, struct dfb_consumer *, const struct dfb_msg *,
    const struct dfb_delivery *);
/* Write what was taken. */
void proc_flush(struct proc *);

/* No more messages come: let it answer what it holds, and end.  `over` tells when. */
void proc_finish(struct proc *);
/* Likewise, but take back what it has not got yet. */
void proc_drop(struct proc *);
void proc_kill(struct proc *);

/* It broke the rules (why, in words), or ran past a deadline: end it.  What it holds will be
 * retried, by the next one. */
void proc_condemn(struct proc *, int signo, const char *why);

/* Settle what the lines in child.out answer; last: so does the rest without newline. */
void proc_answers(struct proc *, bool last);

#endif
