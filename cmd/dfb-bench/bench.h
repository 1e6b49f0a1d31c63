/*
 * dfb-bench: load, and how long it takes.
 *
 * The main thread starts a thread for each client, waits for them or for a signal, and
 * reports.  Load clients (senders, callers) follow the schedule of load.c; servers
 * (receivers, the echo) are ready before the load starts and leave after it.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/tool.h"
#include "dfb-bench/meter.h"
#include "dfb.h"

#define BENCH_WIND_UP_MS 2000   /* for what is under way, after a signal */
#define BENCH_CLOSE_MS 10000    /* for brokers to store the last acknowledgements */
#define BENCH_CREDIT 1000       /* the library's default */

enum bench_mode { BENCH_SEND, BENCH_RECV, BENCH_BOTH, BENCH_CALL };

/* What the command line asks for. */
struct options {
	struct dfb_tool tool;
	enum bench_mode mode;
	const char *topic;
	const char *group;       /* NULL: a fresh one */
	const char *durability;  /* NULL: the topic is there */
	uint32_t clients, window, keys, credit, queues; /* 0: the default, or none */
	size_t size;             /* of a body */
	uint8_t headers[512];    /* packed, of each message */
	size_t headers_len;
	uint64_t count;          /* messages that are measured; UINT64_MAX: no limit */
	uint64_t warmup;         /* and before them */
	uint64_t duration_ns;    /* 0: no limit */
	uint64_t rate;           /* per second; 0: as fast as confirms come */
	bool json, delete, no_server, once;
};

/* Begins the body of each message of `both`. */
struct stamp {
	uint64_t at_ns;          /* dfb_mono_ns(), which all processes share */
	uint32_t run;            /* which dfb-bench */
	uint32_t measured;       /* 0: warms up */
};

struct bench;

/* One client: a thread, and what belongs to it. */
struct client {
	struct bench *bench;
	uint32_t index;          /* among its kind */
	pthread_t thread;
	void (*run)(struct client *);
	_Atomic uint32_t *over;  /* counts threads of its kind that have ended */
	struct dfb *dfb;
	int wake_fd, timer_fd;   /* in the client's loop; the timer is absolute */
	bool timed;              /* the timer went off */
	bool measured;           /* not warming up */
	struct meter meter;
};

struct bench {
	const struct options *opt;
	char group[65];          /* that of the receivers */
	uint32_t run;
	struct client *load, *servers;
	uint32_t nload, nservers;
	pthread_barrier_t warm;  /* of the load clients */
	int news_fd;             /* eventfd: something below changed, for the main thread */
	int signal_fd;
	/* When measuring began: set by one load client between two barriers, or by the
	 * receiver of the first message. */
	_Atomic uint64_t start_ns;
	_Atomic uint32_t ready;    /* servers that are ready, or gave up */
	_Atomic uint32_t load_over, servers_over; /* threads that have ended */
	_Atomic bool stop;       /* a signal came: wind up */
	_Atomic bool broken;     /* measuring makes no sense */
	_Atomic bool load_ended;
	_Atomic uint64_t received;
	_Atomic uint64_t expected; /* when so many are received it is over */
	_Atomic uint32_t idle;     /* receivers that have nothing more to receive */
};

/* ---- bench.c ---- */

/* Run all clients to their end.  The caller has set opt, group and run, and opened the
 * clients. */
void bench_run(struct bench *);

/* ---- client.c ---- */

/* Start the threads of n clients, each of which adds to *over at its end.  Exits
 * DFB_OSERR when that fails. */
void clients_start(struct client *, uint32_t n, void (*run)(struct client *),
    _Atomic uint32_t *over);
void clients_join(struct client *, uint32_t n);

/* n clients of a kind, each with a library client.  Exits when that fails.  NULL when n
 * is 0; _close takes that. */
struct client *clients_open(struct bench *, const struct dfb_opts *, uint32_t n);
void clients_close(struct client *, uint32_t n);

/* Serve the client for at most timeout_ms (-1: until something happens).  A failure is
 * counted, and breaks the bench. */
void client_wait(struct client *, int timeout_ms);

/* Have the timer end client_wait() at a time of dfb_mono_ns(), and set timed. */
void client_timer(struct client *, uint64_t at_ns);

/* Count a failure, after which nothing makes sense. */
void client_break(struct client *, enum dfb_status, const char *why);

/* Have every thread but the main one look at the flags of the bench again. */
void bench_wake(struct bench *);

/* ---- load.c ---- */

enum load_result { LOAD_STARTED, LOAD_FULL, LOAD_BROKEN };

/* A kind of load.  All are called by the client's thread. */
struct load {
	void *(*open)(struct client *);          /* NULL: client_break() was called */
	void (*close)(void *);                   /* NULL is fine */
	/* One more, which counts from at_ns on.  FULL: when others have ended. */
	enum load_result (*start)(void *, uint64_t at_ns);
	/* Look what has ended.  How many have not. */
	uint64_t (*collect)(void *);
};

/* Warm up, wait for the other clients, and measure. */
void load_run(struct client *, const struct load *);

/* ---- send.c, call.c, recv.c: what threads do ---- */

void send_run(struct client *);
void call_run(struct client *);
void echo_run(struct client *);
void recv_run(struct client *);  /* takes what is in the topic */
void both_run(struct client *);  /* takes what the senders of this process send */

/* The key of message n as text into buf; its length. */
#define BENCH_KEY 8
size_t bench_key(const struct options *, uint64_t n, char buf[BENCH_KEY]);

/* ---- server.c ---- */

/* Open a consumer and serve until it is subscribed everywhere and has nothing left to
 * receive.  NULL: broken, or stopped. */
struct dfb_consumer *server_open(struct client *, struct dfb_consumer_config *);

/* The client is ready, or never will be. */
void server_ready(struct client *);

/* ---- topic.c ---- */

/* Create the topic that the options ask for and wait until it is found; delete it; delete
 * the group.  Failures are reported; topic_create's are for exit. */
enum dfb_status topic_create(const struct options *, struct dfb *);
enum dfb_status topic_delete(const struct options *, struct dfb *);
enum dfb_status group_delete(const struct bench *, struct dfb *);

/* ---- report.c ---- */

/* Print the result; sent: that of the senders of `both`, or NULL.  0, or -1 with errno. */
int report(const struct bench *, const struct meter *, const struct meter *sent);

extern const char *const bench_modes[]; /* by enum bench_mode; NULL ends */

#endif
