/* The driver's processes: started, waited for, killed at a moment, and noted in its ledger. */
#ifndef CRASH_LIFE_H
#define CRASH_LIFE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ledger.h"

#define ARGS_MAX 32
#define TEXT 512

struct proc {
	char base[NAME_SIZE];   /* "p1" */
	char name[NAME_SIZE];   /* "p1.3", its third life */
	unsigned lives;
	bool daemon;            /* says when it is ready */
	pid_t pid;              /* 0: does not run */
	int ready_fd;           /* -1: it is ready, or will not say so */
	/* Arguments for its next life; the text belongs to whoever set it. */
	const char *argv[ARGS_MAX];
};

/* All: the life is over with a message when something is not as it must be; fail() says
 * so and ends the process. */
_Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Its next name, before its arguments are made. */
void proc_name(struct proc *);
/* Start it with argv; its output goes to NAME.log (a daemon's to BASE.log). */
void proc_start(struct proc *);
/* Wait until a daemon is ready, or for the end of another, which must be good. */
void proc_ready(struct proc *);
void proc_wait(struct proc *);
/* Wait for an end of whatever kind. */
void proc_end(struct proc *);
/* It must still run; false for a client that found no broker and ended with 69. */
bool proc_check(struct proc *);
/* kill -9, noted. */
void proc_kill(struct proc *);
/* SIGTERM; it must end well by proc_wait_stopped. */
void proc_stop(struct proc *);
void proc_wait_stopped(struct proc *);
/* Whatever still runs, at the end of a life that failed. */
void procs_end(void);

#endif
