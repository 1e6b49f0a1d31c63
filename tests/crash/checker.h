/*
 * The checker's view of all ledgers of a bus.  Each rule is a function that prints what
 * breaks it, a line each that begins with "RED" and the rule's name.
 */
#ifndef CRASH_CHECKER_H
#define CRASH_CHECKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Clients notice late, and the broker writes acknowledgements and async messages late:
 * what may happen within so long of a kill. */
#define SLACK_NS (UINT64_C(3) * 1000000000)

enum durability { COMMIT, ASYNC, MEMORY };

struct end {                /* of a process by the driver */
	uint64_t from, to;
	bool killed;
	const char *name;
};

struct topic {
	const char *name;
	enum durability durability;
	bool brokers;       /* on several: the order of sending is one of a key */
	bool follow;        /* queues change, and with them the queue of a key */
	bool loose;         /* no order at all */
	const char *labelled; /* digits of keys that may have a label; NULL: no rules */
};

struct group {
	const char *name;
	bool fresh;         /* reads everything once, at the end */
};

/* Where a message is: a broker (ANY: it is not known which) and a queue there. */
#define PLACE_BROKER(place) ((int)((place) >> 16))
#define PLACE_QUEUE(place) ((place) & 0xffff)
#define LANE_OF(place) (PLACE_QUEUE(place) >> 10) /* as numbers on the wire are */
#define BROKERS_MAX 16
#define ANY (-1)

struct proc {               /* a client */
	char kind;          /* P, C, K; 0: only known as a sender's name */
	const char *name;
	int group;          /* of a consumer */
	int topic;          /* of a caller */
	const char *label;  /* of a consumer; NULL: none */
	bool all_answered;
	const struct end *end; /* killed, NULL: not */
};

/* One line of a ledger. */
struct line {
	char kind;
	int proc, topic;
	uint64_t t;
	uint64_t a, b;      /* numbers: from, to; call, status */
	uint32_t place, tries;
	uint64_t offset, session;
	int sender;         /* the message's id: this and a */
	bool taken, same, maybe;
};

struct list {
	struct line *v;
	size_t n, cap;
};

struct world {
	const char *brokers[BROKERS_MAX]; /* 0: without a name */
	struct topic *topics;
	struct group *groups;
	struct proc *procs;
	struct end *ends;
	size_t ntopics, ngroups, nprocs, nends;
	struct list sends;      /* s c f */
	struct list deliveries; /* g a n, later sorted by group, topic, place, offset, time */
	struct list leaves;     /* l x d */
	struct list calls;      /* q w */
	unsigned red;           /* what broke rules */
};

/* Read a ledger into the world; ends the process when it is none. */
void load_ledger(struct world *, const char *path);
/* After the last: kills get to their processes, lists are sorted. */
void load_done(struct world *);

void red(struct world *, const char *rule, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether a broker ended, by kill -9 or (any) in order, between the two times. */
bool broker_ended(const struct world *, int broker, uint64_t from, uint64_t to, bool any);

/* "A10-x a1:0/12": topic, place and offset; valid until the second next. */
const char *where(const struct world *, const struct line *);

/* missing, gap, twice, unsent: is what was sent there, once, and nothing else? */
void check_messages(struct world *);
/* key-order, label: queues that follow consumers, and lanes. */
void check_keys(struct world *);
/* reused, order, key: offsets, and what they say about order. */
void check_offsets(struct world *);
/* redelivered, backwards, passed: groups. */
void check_groups(struct world *);
/* unanswered, answered-twice, not-run, ran: calls. */
void check_calls(struct world *);

#define ULL(x) ((unsigned long long)(x))

#endif
