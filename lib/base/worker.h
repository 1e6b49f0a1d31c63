/*
 * A worker thread: jobs go in, done jobs come out, and a descriptor tells the
 * owner's loop.  A job belongs to the worker from submit to collect; nothing else
 * is shared.
 */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

struct dfb_worker;

/* Embed as the first member of a job. */
struct dfb_job {
	void (*run)(struct dfb_job *); /* in the worker's thread */
	void (*done)(struct dfb_job *); /* in the owner's, by collect; may free it */
	struct dfb_job *next;          /* private */
};

/* Start a thread; name (at most 15 characters) shows in ps(1) and gdb.  NULL with errno. */
struct dfb_worker *dfb_worker_new(const char *name);

/* Finish the jobs submitted, stop the thread, and run done() of all.  NULL is fine. */
void dfb_worker_free(struct dfb_worker *);

/* Queue a job. */
void dfb_worker_submit(struct dfb_worker *, struct dfb_job *);

/* Readable when collect has something to do. */
int dfb_worker_fd(const struct dfb_worker *);

/* Run done() of each finished job, in the order they were finished.  The number. */
unsigned dfb_worker_collect(struct dfb_worker *);

#endif
