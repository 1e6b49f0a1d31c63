/*
 * The reactor: sockets, descriptors, signals and timers of one thread, and hooks
 * that run before each sleep (where answers that were gathered leave).
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct dfb_loop;
struct dfb_sock;
struct dfb_timer;

struct dfb_loop *dfb_loop_new(void); /* NULL with errno */
void dfb_loop_free(struct dfb_loop *); /* NULL is fine */

/* Watch a socket: frames() while frames wait (it takes some of them, at least one),
 * events() while events wait.  0, or -1 with errno.  Both may remove it. */
int dfb_loop_add_sock(struct dfb_loop *, struct dfb_sock *, void (*frames)(void *arg),
    void (*events)(void *arg), void *arg);
void dfb_loop_del_sock(struct dfb_loop *, struct dfb_sock *); /* before its close */

/* Watch a descriptor for EPOLLIN, EPOLLOUT (sys/epoll.h), level-triggered; set
 * changes the interest.  fn gets what is ready.  0, or -1 with errno. */
int dfb_loop_add_fd(struct dfb_loop *, int fd, uint32_t interest,
    void (*fn)(void *arg, uint32_t ready), void *arg);
int dfb_loop_set_fd(struct dfb_loop *, int fd, uint32_t interest);
void dfb_loop_del_fd(struct dfb_loop *, int fd); /* before its close */

/* Block the signals (0 at the end of the list) and pass them to fn from the loop.  Once per loop; before
 * any thread is started.  0, or -1 with errno. */
int dfb_loop_signals(struct dfb_loop *, const int *signals,
    void (*fn)(void *arg, int signo), void *arg);

/* Run t->fn (set by the caller) in ms milliseconds; moves one that is set. */
void dfb_loop_timer(struct dfb_loop *, struct dfb_timer *t, uint64_t ms);
void dfb_loop_timer_stop(struct dfb_loop *, struct dfb_timer *t);

/* Run fn before each sleep, in the order added; at most 8. */
void dfb_loop_before_sleep(struct dfb_loop *, void (*fn)(void *arg), void *arg);

/* One turn: serve what is ready, waiting for it at most timeout_ms (-1: no limit).
 * The number of callbacks run; -1 with errno. */
int dfb_loop_once(struct dfb_loop *, int timeout_ms);

/* Turns until dfb_loop_stop.  0, or -1 with errno. */
int dfb_loop_run(struct dfb_loop *);
void dfb_loop_stop(struct dfb_loop *);

/* The descriptor that is readable when a turn has work (but not for timers). */
int dfb_loop_fd(const struct dfb_loop *);

#endif
