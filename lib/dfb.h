/*
 * dfb.h: the public interface of libdfb, the client library of the dfb bus.
 *
 * One struct dfb is one client of a bus: it holds the sessions to the name
 * server and to the brokers, and an event loop.  It is used by one thread at a
 * time.  Nothing happens behind the caller's back: sessions are served and
 * callbacks run only inside dfb_wait(), the _flush() functions, dfb_call() and
 * the _close() functions.  Callbacks may call any function on the same client
 * except dfb_wait(), _flush(), dfb_call() and _close().
 *
 * Link with -ldfb (pkg-config libdfb).
 */
#ifndef DFB_H
#define DFB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One table of outcomes for functions, wire frames and exit statuses; dfb(7)
 * explains each.  The numbers are those of sysexits(3) where it has one.
 */
enum dfb_status {
	DFB_OK = 0,        /* done */
	DFB_NO = 1,        /* a negative answer: no message, the handler failed */
	DFB_USAGE = 64,    /* the command line is wrong */
	DFB_BADINPUT = 65, /* a message or an argument's content is wrong */
	DFB_NOBODY = 69,   /* no broker, no route, no consumer */
	DFB_BUG = 70,      /* a bug in dfb */
	DFB_OSERR = 71,    /* the system refused: memory, processes, descriptors */
	DFB_IOERR = 74,    /* reading or writing failed */
	DFB_AGAIN = 75,    /* try again later: flow control, storage full */
	DFB_PROTO = 76,    /* the other side speaks another language */
	DFB_DENIED = 77,   /* not allowed */
	DFB_TIMEOUT = 124, /* time ran out */
};

/* The status in words ("try again later"); never NULL. */
const char *dfb_status_text(enum dfb_status);

/* A message id: a UUID, version 7 unless the sender chose it. */
struct dfb_id {
	uint8_t b[16];
};

/*
 * A message, as a view: every pointer belongs to whoever filled the struct and
 * is valid for the duration of the call or callback that passes it.
 */
struct dfb_msg {
	struct dfb_id id;     /* all zero: sending makes one */
	uint64_t born_ms;     /* when it was made, Unix time; 0: now */
	uint64_t expires_ms;  /* not delivered after this Unix time; 0: never */
	uint64_t due_ms;      /* not delivered before this Unix time; 0: at once */
	const void *key;      /* at most 255 bytes; messages with the same key */
	size_t key_len;       /*   keep their order */
	const void *headers;  /* as dfb_headers_add() builds them */
	size_t headers_len;
	const void *body;
	size_t body_len;
	/* Filled on delivery only; ignored on sending. */
	const char *topic;
	uint32_t queue;
	uint32_t tries;       /* 1 the first time */
	uint64_t offset;
	bool possible_duplicate; /* its sender gave it to another broker before,
	                         and does not know what became of it there */
	bool is_call;         /* somebody waits for dfb_consumer_reply() */
};

/*
 * Headers are kept packed.  _add appends one to buf, which has room for cap
 * bytes and holds *len; name is 1 to 64 of [A-Za-z0-9_.-], value valid UTF-8
 * without NUL.  DFB_BADINPUT when either is not, DFB_OSERR when there is no
 * room (a message holds DFB_HEADERS_MAX bytes of headers at most).
 * _next walks: start with *at = 0; false at the end.  The name and value are
 * not NUL-terminated.
 */
#define DFB_HEADERS_MAX 32768
enum dfb_status dfb_headers_add(void *buf, size_t cap, size_t *len,
    const char *name, const char *value);
bool dfb_headers_next(const void *headers, size_t len, size_t *at,
    const char **name, size_t *name_len, const char **value, size_t *value_len);

/* Text form of an id: 36 characters and NUL.  _parse: 0, or -1 if text is none. */
#define DFB_ID_TEXT 37
#define DFB_ID_NAME_MAX 64
void dfb_id_format(const struct dfb_id *, char text[DFB_ID_TEXT]);
int dfb_id_parse(const char *text, struct dfb_id *);

/* The id that a name of 1 to 64 bytes stands for: of the text form of an id that id, else a
 * version 8 UUID made from a hash of the name, always the same.  0, or -1: too long, empty. */
int dfb_id_of(const char *name, struct dfb_id *);

/* ---- a client ---------------------------------------------------------- */

struct dfb;

struct dfb_config {
	const char *names;     /* comma list of name servers; NULL: $DFB_NAMES,
	                          else ipc:///run/dfb/names.sock */
	const char *region;    /* from which services are near or far; NULL:
	                          $DFB_REGION, else none */
	const char *who;       /* what the broker's logs call this client;
	                          NULL: the program's name */
	uint64_t first_wait_ms; /* how long to look for a bus; 0: 5 s */
	uint64_t wait_ms;      /* how long to wait for one that went away while
	                          in use; 0: 60 s */
	const char *avoid;     /* "60s,3s,30s": how long a broker that failed or
	                          refused is avoided, when it is probed first,
	                          how often then; NULL: $DFB_AVOID, else these */
	bool direct;           /* without threads of its own, faster: the program is to
	                          be in dfb_wait() at least every 2 s.  One that is
	                          elsewhere for 6 s loses its sessions: what was
	                          delivered to it comes again, and so on */
	void (*notice)(void *arg, const char *text); /* may be NULL: "broker b1
	                          went away, reconnecting", for a human */
	void *arg;
};

/*
 * Make a client.  Nothing is contacted yet.  DFB_USAGE when names or region is
 * malformed, DFB_OSERR.  dfb_close frees it with all producers, consumers and
 * callers that are still open (unconfirmed messages are forgotten; NULL is fine).
 */
enum dfb_status dfb_open(const struct dfb_config *, struct dfb **);
void dfb_close(struct dfb *);

/*
 * Serve sessions and run callbacks until something happened or timeout_ms went
 * by (-1: no limit, 0: only what is ready).  DFB_OK when something happened,
 * DFB_TIMEOUT, DFB_OSERR.
 */
enum dfb_status dfb_wait(struct dfb *, int timeout_ms);

/* A descriptor that is readable when dfb_wait(.., 0) has work, for an outer
 * poll(2).  Call dfb_wait(.., 0) once before each such poll; timers need it
 * at least every 100 ms. */
int dfb_fd(struct dfb *);

/* Why the last function on this client failed, in words; never NULL. */
const char *dfb_error(const struct dfb *);

/* ---- sending ----------------------------------------------------------- */

struct dfb_producer;

struct dfb_producer_config {
	const char *dest;      /* topic or service */
	uint32_t window;       /* messages in flight; 0: 16384 */
	size_t window_bytes;   /* bytes in flight; 0: 8 MiB */
	bool no_wait;          /* fail with DFB_AGAIN rather than wait */
	uint64_t failover_ms;  /* how long unconfirmed messages, and those with a
	                          key, wait for a broker that is gone before
	                          they go to another one; 0: 5 s; UINT64_MAX:
	                          for ever */
	bool atomic;           /* all messages up to a flush are stored or none;
	                          they must fit in one frame (dfb(7), LIMITS) */
	bool once;             /* a message whose id the topic knows (dfb(7), IDS) is
	                          confirmed and not stored again */
	/* Message n (once): it was stored before, there; or (queue UINT32_MAX) it was
	 * scheduled, for `offset`, Unix ms.  May be NULL. */
	void (*known)(void *arg, uint64_t n, uint32_t queue, uint64_t offset);
	/* Message n (1 for the first put) will not be stored. */
	void (*failed)(void *arg, uint64_t n, enum dfb_status, const char *why);
	void *arg;
};

/*
 * Open a stream of messages to dest.  Resolves nothing yet: a destination
 * without a route shows as failed messages.  DFB_USAGE for a malformed dest.
 * Close forgets what is not confirmed; flush first.  NULL is fine.
 */
enum dfb_status dfb_producer_open(struct dfb *,
    const struct dfb_producer_config *, struct dfb_producer **);
void dfb_producer_close(struct dfb_producer *);

/*
 * Take a message (it is copied).  DFB_OK: it has the next number, and will be
 * confirmed or reported to failed().  DFB_AGAIN: the window is full, dfb_wait()
 * and put again.  DFB_BADINPUT: the message breaks a rule (dfb_error() says
 * which); it got no number.  Nothing is sent before dfb_wait() or flush.
 */
enum dfb_status dfb_producer_put(struct dfb_producer *, const struct dfb_msg *);

/* Numbers: messages taken, messages not decided yet, messages that failed. */
uint64_t dfb_producer_taken(const struct dfb_producer *);
uint64_t dfb_producer_pending(const struct dfb_producer *);
uint64_t dfb_producer_failures(const struct dfb_producer *);

/*
 * Send what is waiting and serve the client until every message is decided.
 * DFB_OK: all that were put since the opening were confirmed; otherwise the
 * status of the first failure; DFB_TIMEOUT (some are still undecided).
 */
enum dfb_status dfb_producer_flush(struct dfb_producer *, int timeout_ms);

/* ---- receiving --------------------------------------------------------- */

struct dfb_consumer;

/* Where a group that is new on a topic starts. */
enum dfb_start { DFB_BEGINNING, DFB_END, DFB_OFFSET, DFB_TIME };

/* What to do with a message that was not handled. */
enum dfb_nack {
	DFB_RETRY,       /* deliver again after the topic's back-off; after the
	                    last try, dead letters.  A call: tried again at once
	                    by nobody: the caller is told (status DFB_NO). */
	DFB_LATER,       /* as DFB_RETRY; a call is retried until its deadline */
	DFB_DEAD,        /* to the dead letters now */
	DFB_RELEASE      /* deliver again at once, as if it had not been taken */
};

/* Names one delivery; copy it as you like. */
struct dfb_delivery {
	uint64_t session;
	uint64_t offset;
	uint64_t call;
	uint32_t sub, queue, epoch;
};

struct dfb_consumer_config {
	const char *dest;      /* topic or service */
	const char *group;     /* NULL only with broadcast */
	const char *instance;  /* NULL: anonymous */
	const char *label;     /* take the messages of this gray label only; NULL:
	                          those without one */
	bool broadcast;        /* every instance gets everything; a named one
	                          keeps its position, an anonymous one starts at
	                          the end and keeps none */
	bool stop_at_end;      /* call end() when all is delivered */
	uint32_t credit;       /* messages delivered and not acknowledged;
	                          0: 1000 */
	enum dfb_start start;
	uint64_t start_value;  /* offset, or Unix ms */
	void (*message)(void *arg, struct dfb_consumer *,
	    const struct dfb_msg *, const struct dfb_delivery *);
	void (*end)(void *arg);   /* may be NULL */
	/* The consumer is over: refused, or nobody to receive from. */
	void (*failed)(void *arg, enum dfb_status, const char *why);
	void *arg;
};

/*
 * Subscribe to dest on every broker that serves it, now and later.  DFB_USAGE
 * for a malformed dest, group or instance.
 */
enum dfb_status dfb_consumer_open(struct dfb *,
    const struct dfb_consumer_config *, struct dfb_consumer **);

/*
 * Settle a delivery.  The frame leaves with the next dfb_wait().  A delivery of
 * a session that is gone since is ignored: the broker delivers it again.
 * _reply answers a call (it does not acknowledge: do that too); status is
 * DFB_OK, or DFB_NO with why (may be NULL).
 */
void dfb_consumer_ack(struct dfb_consumer *, const struct dfb_delivery *);
void dfb_consumer_nack(struct dfb_consumer *, const struct dfb_delivery *,
    enum dfb_nack, const char *why);
void dfb_consumer_reply(struct dfb_consumer *, const struct dfb_delivery *,
    enum dfb_status, const char *why, const struct dfb_msg *reply);

/*
 * Stop deliveries, send what is acknowledged and wait until the brokers have
 * stored it; then free.  DFB_OK, or DFB_TIMEOUT, DFB_NOBODY: some
 * acknowledgements may not have arrived and those messages come again.
 */
enum dfb_status dfb_consumer_close(struct dfb_consumer *, int timeout_ms);

/* ---- calling ----------------------------------------------------------- */

struct dfb_caller;

/* The answer: status DFB_OK and the reply, or why there is none. */
typedef void dfb_answer_fn(void *arg, enum dfb_status, const char *why,
    const struct dfb_msg *reply);

/* Open and close a way to call dest.  Close abandons calls (fn is not run). */
enum dfb_status dfb_caller_open(struct dfb *, const char *dest,
    struct dfb_caller **);
void dfb_caller_close(struct dfb_caller *);

/*
 * Start a call; fn runs exactly once, unless the caller is closed before: with
 * the reply, or with DFB_NOBODY (nobody can answer, told at once), DFB_NO (the
 * handler failed), DFB_AGAIN, DFB_TIMEOUT (timeout_ms went by).  DFB_BADINPUT as for
 * dfb_producer_put(): fn will not run.
 */
enum dfb_status dfb_caller_start(struct dfb_caller *, const struct dfb_msg *,
    uint64_t timeout_ms, dfb_answer_fn *fn, void *arg);

/*
 * The same for a call that is handled once for its id (not zero; dfb(7), IDS), however
 * often and by whomever it is made: each caller has the one answer.
 */
enum dfb_status dfb_caller_start_once(struct dfb_caller *, const struct dfb_msg *,
    uint64_t timeout_ms, dfb_answer_fn *fn, void *arg);

/* Ask for the answer of such a call that was made before: waits for its end; DFB_NOBODY:
 * no broker of the destination knows the id. */
enum dfb_status dfb_caller_collect(struct dfb_caller *, const struct dfb_id *,
    uint64_t timeout_ms, dfb_answer_fn *fn, void *arg);

/*
 * Call and wait.  On DFB_OK *reply and *reply_len are the body, to be freed
 * with free(3); otherwise dfb_error() says why.
 */
enum dfb_status dfb_call(struct dfb *, const char *dest, const struct dfb_msg *,
    uint64_t timeout_ms, void **reply, size_t *reply_len);

#ifdef __cplusplus
}
#endif
#endif
