/*
 * What the programs of the crash harness share: ledgers, random choices that a seed
 * repeats, and messages that say who they are.
 *
 * A ledger is a text file of one process, a line per event, appended by write(2) before
 * the thing is done: what a process knew is not lost by kill -9.  A last line without a newline
 * is one that was cut off.  T is the monotonic clock in ns, ID is SENDER:NUMBER, TOPIC a
 * topic's name.
 *
 *   producer   P NAME            its name
 *              s T TOPIC A B     is about to send its numbers A to B
 *              c T TOPIC N       all numbers up to N are confirmed
 *              f T TOPIC N       number N failed (it may be stored or not)
 *   consumer   C NAME GROUP
 *              g T TOPIC QUEUE OFFSET TRIES SESSION ID    was delivered
 *              a T TOPIC QUEUE OFFSET    is about to acknowledge
 *              n T TOPIC QUEUE OFFSET    is about to give back
 *              l T TOPIC         is about to leave
 *              x T TOPIC STATUS  has left; 0: its acknowledgements are stored
 *              d T TOPIC         was told that nothing is left
 *              b T TOPIC ID      a message that is not what was sent
 *   caller     K NAME TOPIC
 *              q T N             is about to start call N
 *              w T N STATUS TAKEN BODY   answer; TAKEN 0: nobody ever got it; BODY 1: the reply
 *                                is this call's
 *              e T               every call was waited for
 *   driver     D SEED
 *              o TOPIC DURABILITY
 *              k T T2 NAME       killed NAME by kill -9, between T and T2
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
 * It says who, which number, where to and how long, and the rest follows from that. */
#define BODY_MIN 160
#define BODY_MAX 65536
#define NAME_SIZE 40
#define KEYS 7 /* message N has key N % KEYS */
size_t body_make(char *buf, size_t size, const char *sender, const char *topic, uint64_t number);
/* Who and which number, from a body; 0, or -1 when it is not as it was made. */
int body_read(const void *body, size_t len, const char *topic, char sender[NAME_SIZE],
    uint64_t *number);

_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
