/*
 * What the benches and the clients of peers share: options, a window of messages in
 * flight, latencies, and a line of JSON like that of dfb-bench --json.  Whatever fails ends the
 * program: a bench has nothing to save.
 */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct meter {
	/* Options.  -p port, -s size of a body, -w window, -N count or -d seconds,
	 * --rate a second (0: as fast as it goes). */
	const char *mode, *topic;
	uint16_t port;
	size_t size;
	uint32_t window;
	uint64_t count;
	double duration;
	uint64_t rate;
	/* Measured. */
	uint64_t begin, end; /* ns */
	uint64_t started, done, failed;
	uint64_t *ns;        /* a latency for each that is done */
	size_t cap;
	char *body;          /* of size bytes */
};

/* Read "MODE [options] TOPIC" into *m; exits 64 when it is none. */
void meter_options(struct meter *m, int argc, char **argv);

/* How a client sends.  put: queue a message; flush: write what is queued; done: wait
 * until something ended and say how many did, in order; fd is readable then. */
struct meter_flow {
	void *arg;
	int fd;
	void (*put)(void *arg, const char *body, size_t size);
	void (*flush)(void *arg);
	unsigned (*done)(void *arg);
};

/* Send the messages that the options ask for, at most a window of them in flight,
 * at their rate.  A latency is from the time when the message was due.  Each body
 * starts with that time, if it has room. */
void meter_run(struct meter *m, const struct meter_flow *flow);

/* The time in a body that meter_run() sent. */
uint64_t meter_stamp(const char *body);

/* Begin, when not by meter_run(). */
void meter_start(struct meter *m);

/* One more is done, which was begun at `since` (ns). */
void meter_took(struct meter *m, uint64_t since);

/* How many messages the options ask for, when that is fixed: -N, or rate x duration. */
uint64_t meter_total(const struct meter *m);

/* Print the line. */
void meter_print(struct meter *m);

/* End the program when ok is false, with errno's text if there is one. */
void meter_check(bool ok, const char *what);

/* Fork: 0 in the child, which dies with its parent. */
int meter_fork(void);

#endif
