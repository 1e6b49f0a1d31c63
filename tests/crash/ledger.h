/*
 * What the programs of the crash harness share: ledgers, random choices that a seed
 * repeats, and messages that say who they are.
 *
 * A ledger is a text file of one process, a line per event, appended by write(2) before
 * the thing is done: what a process knew is not lost by kill -9.  A last line without a newline
 * is one that was cut off.  T is the monotonic clock in ns, ID is SENDER:NUMBER.  TOPIC is
 * a topic's name, of those that a service has in regions the service: one topic on many
 * brokers.  PLACE is a queue at a broker, BROKER/QUEUE, or QUEUE when it is the only one.
 *
 *   producer   P NAME [hasty]    its name; hasty: it soon fails over to another broker
 *              s T TOPIC A B     is about to send its numbers A to B
 *              c T TOPIC N       all numbers up to N are confirmed
 *              f T TOPIC N       number N failed (it may be stored or not)
 *   consumer   C NAME GROUP [LABEL]
 *              g T TOPIC PLACE OFFSET TRIES SESSION ID [maybe]    was delivered; maybe: as a
 *                                possible duplicate
 *              a T TOPIC PLACE OFFSET    is about to acknowledge
 *              n T TOPIC PLACE OFFSET    is about to give back
 *              l T TOPIC         is about to leave
 *              x T TOPIC STATUS  has left; 0: its acknowledgements are stored
 *              d T TOPIC         was told that nothing is left
 *              b T TOPIC ID      a message that is not what was sent
 *              y T TOPIC ID MS   a scheduled message, MS before its time
 *   caller     K NAME TOPIC
 *              q T N             is about to start call N
 *              w T N STATUS TAKEN BODY   answer; TAKEN 0: nobody ever got it; BODY 1: the reply
 *                                is this call's
 *              e T               every call was waited for
 *   driver     D SEED
 *              o TOPIC DURABILITY [RULES]    what is so of the topic, a letter each: b, it is on
 *                                several brokers; q, its queues follow consumers; x, messages
 *                                have no order; g, of keys only those whose digits follow are
 *                                ever a label's
 *              k T T2 NAME       killed NAME by kill -9, between T and T2; brokers are
 *                                broker-BROKER.LIFE, or broker.LIFE for the only one
 *              t T T2 NAME       stopped NAME in order
 */
#ifndef CRASH_LEDGER_H
#define CRASH_LEDGER_H

#include <stddef.h>
#include <stdint.h>

/* Open the process's one ledger; ends the process when it cannot. */
void ledger_open(const char *path);
/* Append a line (without its newline) in one write(2). */
void ledger_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

uint64_t now_ns(void);

/* Set by SIGTERM and SIGINT once catch_stop() was called. */
extern volatile int stop_asked;
void catch_stop(void);

/* A client that looks for a topic while its only broker is stopped in order is told so at once;
 * it ends with DFB_NOBODY, and is started again. */
int unknown_topic(int status, const char *why);

struct rng {
	uint64_t state;
};
uint64_t rng_next(struct rng *);
uint64_t rng_below(struct rng *, uint64_t n); /* 0 to n - 1 */

/* A body of size bytes (at least BODY_MIN; less is made that) for a message; returns its size.
 * It says who, which number, where to, when and how long, and the rest follows from that. */
#define BODY_MIN 160
#define BODY_MAX 65536
#define NAME_SIZE 40
#define KEYS 7 /* message N has key N % KEYS */
struct letter {
	const char *sender, *topic; /* of body_read: valid until the next */
	uint64_t number, due_ms;    /* due: not before; 0: at once */
};
size_t body_make(char *buf, size_t size, const struct letter *);
/* The topic that ledgers and bodies name: without its region, "commit" for "A10-commit". */
const char *plain(const char *dest);
/* From a body; 0, or -1 when it is not as it was made. */
int body_read(const void *body, size_t len, const char *topic, struct letter *);

_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
