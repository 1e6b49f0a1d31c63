/*
 * Processes with their three standard streams on pipes, served by the loop.  Each is
 * the leader of its own process group; it inherits no other descriptor, and has the
 * signal mask that dfb-recv was started with.
 */
#ifndef RECV_CHILD_H
#define RECV_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/buf.h"

#define CHILD_TAIL 1000 /* bytes of stderr that are kept as the reason */

struct dfb_loop;

/* Embedded; child_init fills it, then it may run again and again. */
struct child {
	/* Input: what is to be written; the caller appends, then calls child_flush. */
	struct dfb_buf in;
	size_t in_at;            /* of it, written already */
	uint64_t written;        /* in all, since the start */
	bool in_eof;             /* close its stdin once all is written */
	/* Output: what was read; the owner takes it out. */
	struct dfb_buf out;
	char tail[CHILD_TAIL];   /* the end of stderr */
	size_t tail_len;
	pid_t pid;               /* 0: not running */
	bool doomed;             /* whatever it leaves behind in its group is killed, too */
	/* Set by the owner: more output came; the process is gone (out is complete). */
	void (*output)(struct child *);
	void (*gone)(struct child *, int wait_status);
	void *arg;
	/* Private. */
	struct dfb_loop *loop;
	int fd[3];
	bool in_waits, paused;
	LIST_ENTRY(child) link;
};

/* Once, before dfb_loop_signals: remember the signal mask, ignore SIGPIPE, make sure that
 * SIGCHLD comes, and see that descriptors 0 to 2 are open. */
void child_setup(void);

void child_init(struct child *, struct dfb_loop *);
/* Kills it if it runs, and frees all. */
void child_release(struct child *);

/*
 * Find program as execvp(3) would, along $PATH, and see that it is an executable file.
 * 0 and path; -1 with errno.
 */
int child_find(const char *program, char *path, size_t size);

/* Start path with argv and env; what is in c->in is its first input.  0; -1 with errno:
 * no process was made or it could not be executed (c->in is as before). */
int child_start(struct child *, const char *path, char *const *argv, char *const *env);

/* Write what is in c->in, as far as the pipe takes it; the rest follows by itself. */
void child_flush(struct child *);

/* Read no more output for now; and again. */
void child_pause(struct child *);
void child_resume(struct child *);

/* Send a signal to its process group. */
void child_signal(const struct child *, int signo);

/* At SIGCHLD: run gone() for each process that ended.  What it left in its pipes was
 * read; a grandchild that still holds them is not waited for. */
void children_reap(void);

#endif
