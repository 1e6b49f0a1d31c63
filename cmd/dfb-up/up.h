/* dfb-up: what its files share. */
#ifndef UP_UP_H
#define UP_UP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/timer.h"

#define UP_PATH 4096
#define UP_CHILDREN 256

struct dfb_loop;
struct up;

/* A daemon under supervision. */
struct child {
	struct up *up;
	char name[32];
	char **argv;            /* of the heap, NULL at the end */
	pid_t pid;              /* 0: not running */
	bool ready, ever_ready;
	int ready_fd, err_fd;   /* read ends; -1: none */
	int log_fd;
	off_t log_start;        /* where the log of this start begins */
	uint64_t started_ms, delay_ms;
	struct dfb_timer restart;
};

enum phase { STARTING_NAMES, STARTING_OTHERS, UP, STOPPING_OTHERS, STOPPING_NAMES };

struct up {
	/* What is asked for. */
	const char *dir;        /* NULL: a temporary one */
	const char *regions;
	unsigned brokers;       /* per region */
	bool services;          /* a dfb-sgs, and a dfb-gsl per region */
	const char **broker_args;
	size_t nbroker_args;
	bool verbose;
	int ready_fd;           /* -1: none */
	char **command;         /* NULL: none */
	/* How it goes. */
	char path[UP_PATH];     /* of the directory, absolute */
	bool temporary;
	int lock_fd;
	struct dfb_loop *loop;
	struct child children[UP_CHILDREN]; /* the name server is the first */
	size_t nchildren;
	enum phase phase;
	struct dfb_timer deadline;
	pid_t command_pid;      /* 0: not running */
	int status;             /* what dfb-up will exit with */
};

/* ---- dir.c: the directory ---- */

/* Make or take the directory and what is in it, and lock it.  DFB_OK or the exit
 * status, logged. */
int dir_open(struct up *);
void dir_close(struct up *); /* and remove a temporary one */

/* ---- plan.c: which daemons, with which arguments ---- */

/* DFB_OK or the exit status, logged. */
int plan_make(struct up *);
void plan_release(struct up *);

/* ---- child.c: one daemon ---- */

/* Start it.  0, or -1 logged. */
int child_start(struct child *);

/* It ended: release what belonged to the process. */
void child_ended(struct child *);

/* Copy what is left of its stderr. */
void child_drain(struct child *);

/* The last lines of its log since it was started, to stderr. */
void child_show_log(const struct child *);

/* Called by child.c: it says that it is ready. */
void up_ready(struct child *);

/* "exit status 3", "signal 9 (KILL)"; points to a static buffer. */
const char *child_how(int wstatus);

/* ---- command.c: the user's command, and what it is told ---- */

int command_start(struct up *);   /* 0, or -1 logged */
int command_exports(struct up *); /* to stdout, which is then closed: 0, or -1 logged */

/* What a process that was started here needs undone; dies with dfb-up, whose pid is
 * parent.  Between fork and exec. */
void child_prepare(pid_t parent);

/* ---- up.c: the supervisor ---- */

/* Bring all up, keep it up, take it down.  The exit status. */
int up_run(struct up *);

#endif
