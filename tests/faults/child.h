/* The processes of a life: the daemon with the fault, other daemons, a client at a time. */
#ifndef FAULTS_CHILD_H
#define FAULTS_CHILD_H

#include <stdbool.h>

/* How the daemon with the fault ended (a shell's status; -1: it runs) and in which stage that
 * was noticed; how the one ended that was started after it. */
struct fate {
	int ended, again;
	int stage, died; /* died: 0, or a stage */
};

extern struct fate fate;

/* All of these end the life with bad() when something is not as it must be, and when the time
 * is over. */

/* BAD and why: ends everything.  Written by whoever has a main(). */
_Noreturn void bad(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The time that all has, in seconds; SIGTERM ends it, too. */
void child_limit(unsigned secs);
/* Start the daemon under test: with the hooks and this fault (NULL: without one) on files whose
 * path contains DIR, its log in victim.log.  When it ends before it is stopped it is started
 * again without hooks, its log in again.log; that one must not end.  argv without program's
 * directory and without --ready-fd, NULL at the end; it stays the caller's and as it is. */
void victim_start(const char *const *argv, const char *fault, const char *dir);
/* Start it without hooks. */
void victim_plain(const char *const *argv);
/* The one that runs says that it is ready. */
void victim_ready(void);
/* Another stage begins: whoever ended did so in the one before. */
void stage_begin(int);
/* SIGTERM, and its end; or kill -9. */
void victim_stop(void);
void victim_kill(void);
/* Another daemon, its log in NAME.log; it must not end, but by kill -9 here. */
void other_start(const char *name, const char *const *argv);
void other_kill(const char *name);
/* Run a program to its end: its status.  in: descriptor of its input, or -1; out: the file for
 * its output; its messages go to clients.log. */
int client_run(const char *const *argv, int in, const char *out);
/* Kill whatever runs. */
void children_end(void);

#endif
