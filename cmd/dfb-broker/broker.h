/*
 * The broker's state, all of it owned by the switch thread.  The commit, flush, reader
 * and keeper threads get jobs (base/worker.h) and give them back; a block handed to the
 * commit thread is sealed and not changed any more.
 *
 * topic -> queues -> blocks in memory; topic -> groups -> one cursor per queue ->
 * the subscription that owns it; session -> streams, subscriptions, calls.
 */
#ifndef BROKER_H
#define BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "base/buf.h"
#include "base/timer.h"
#include "common/grayrule.h"
#include "common/settings.h"
#include "dfb-broker/ids.h"
#include "timer.h"
#include "net/sock.h"
#include "store/block.h"
#include "wire/proto.h"
#include "wire/words.h"

struct batch_job;
struct held_put;
struct sweep;
struct dfb_conn;
struct dfb_loop;
struct dfb_record;
struct dfb_store;
struct dfb_worker;
struct json_t;

/* ---- topics and queues ---- */

/* A block in memory: open (the newest, growing), sealed, then stored. */
struct held {
	struct dfb_block *b;
	bool sealed, submitted, stored;
	bool others;             /* messages in it that are not calls */
	bool past;               /* submitted, but not stored: all its calls have ended */
	RB_ENTRY(held) node;     /* in its queue, by base */
	TAILQ_ENTRY(held) lru;   /* stored ones: in the broker's cache, oldest first */
	struct queue *q;
};
RB_HEAD(held_tree, held);

struct call;
RB_HEAD(call_tree, call);

struct queue {
	struct topic *topic;
	struct lane *lane;
	uint32_t index;          /* its number, on the wire and in the store */
	uint32_t slot;           /* its place in topic->queues and group->cursors */
	uint64_t id;             /* topic id << 16 | index */
	uint64_t first;          /* oldest offset that may still be there */
	uint64_t next;           /* the next message's offset */
	uint64_t committed;      /* everything below is in the store */
	uint64_t gap_from, gap_to; /* offsets that were skipped at the start */
	uint64_t floor;          /* stored: next is never below, after a restart */
	struct held_tree blocks;
	struct held *open;
	size_t bytes;            /* of blocks */
	unsigned busy;           /* jobs that refer to it */
	struct call_tree calls;  /* not ended, by offset */
	uint64_t open_until;     /* below it the breaker need not look at its depth */
	uint64_t shut_ms;        /* wall: the breaker opened; 0: it is closed */
	uint32_t shut_wait;      /* what the last refused sender was told */
	bool filling;            /* was warned of */
	bool dirty;              /* in the broker's dirty list: blocks to commit */
	STAILQ_ENTRY(queue) dirty_link;
};

struct group;
TAILQ_HEAD(group_list, group);

/*
 * Queues that take the same messages: those without a label, or those of one label.  The
 * first `writable` of them take new ones; the readable ones each have an owner in each group;
 * what is kept beyond them holds messages for groups that begin earlier.
 */
#define LANE_SHIFT 10 /* numbers of a lane's queues: lane number << LANE_SHIFT, and up */
#define LANES_MAX 64
#define LANE_QUEUES_MAX ((1u << LANE_SHIFT) - 1)
struct lane {
	char label[DFB_GROUP_MAX]; /* "": the first lane */
	bool fallback;           /* without an instance of the label others have it */
	bool ending;             /* its rule is gone: it goes when it is empty */
	uint32_t number;
	uint32_t kept, readable, writable;
	struct queue **queues;   /* those kept, by number; the readable ones come first */
	uint64_t grow_at, shrink_at; /* mono ms; 0: not */
	uint32_t turn;           /* for messages without a key */
	TAILQ_ENTRY(lane) link;
};
TAILQ_HEAD(lane_list, lane);

/* Messages that nobody can get (watch.c): since when, and when it was last logged; wall. */
struct deaf {
	uint64_t since_ms, said_ms;
};

struct meter {
	uint64_t count, bytes;   /* flow.c: marks on the monotonic clock, ns */
};
RB_HEAD(client_tree, client);
struct move;

struct floor {               /* where a queue ends that was removed */
	uint32_t index;
	uint64_t at;
};

struct topic {
	char name[DFB_TOPIC_MAX];
	uint32_t id;
	struct settings set;
	struct lane_list lanes;  /* at least one */
	struct queue **queues;   /* of all lanes, in no order */
	uint32_t nqueues;
	struct floor *floors;    /* also of lanes that are gone */
	size_t nfloors;
	unsigned serving;        /* subscriptions of groups, broadcast apart */
	struct group_list groups;
	bool limited;            /* it has rates */
	struct meter meter;
	struct client_tree clients; /* those that send, when they have rates */
	size_t nclients;
	struct deaf deaf;        /* it has no group */
	uint64_t limited_ms;     /* wall: a rate refused a message last */
	struct gray_list gray;   /* rules (gray.h) */
	TAILQ_HEAD(, move) moves; /* changes of what is writable, not over yet */
	unsigned nmoves;
	struct dfb_timer follow;
	uint64_t settled_at;     /* mono ms; queues do not change before */
	uint32_t before;         /* queues of it at brokers before this one, by name */
	bool watched;            /* looked up at the name servers */
	struct ids sent, called; /* ids of messages, of calls */
	bool dead;               /* deleted; freed when no job refers to it */
	uint64_t in, out, expired, orphaned, dead_letters;
	uint64_t scheduled;        /* messages that are not due yet */
	bool scheduled_dirty;      /* in the list of those whose count is to be stored */
	uint64_t expired_told;     /* what the log knows of expired */
	RB_ENTRY(topic) node;
	TAILQ_ENTRY(topic) grave;
	STAILQ_ENTRY(topic) scheduled_link;
};
RB_HEAD(topic_tree, topic);
TAILQ_HEAD(topic_list, topic);

/* ---- receiving ---- */

struct range {
	uint64_t from, to;
};

/* A message that failed and is to be delivered again, or is on its way to the dead letters. */
struct retry {
	uint64_t offset, due; /* wall ms */
	uint32_t tries;       /* deliveries so far */
	bool out, dying;
};

struct cursor {
	struct group *group;
	struct queue *q;
	struct sub *owner, *heir;  /* heir: gets it when nothing is out */
	uint32_t epoch;
	uint64_t low;              /* lowest offset not settled: what is stored */
	uint64_t pos;              /* next to deliver */
	uint64_t high;             /* everything below was delivered once */
	uint64_t out;              /* delivered to the owner, not settled */
	struct range *done;        /* settled above low, sorted */
	size_t ndone, done_cap;
	struct retry *retries;     /* sorted by offset */
	size_t nretries, retries_cap;
	struct dfb_timer timer;    /* the next retry */
	struct dfb_block *cur;     /* where pos is, and the place in it */
	uint64_t cur_offset;
	size_t cur_at;
	uint64_t fetch_offset, fetch_limit; /* the read under way: for pos, and what was
	                                       committed then */
	struct deaf deaf;          /* it has no owner, though its group has subscriptions */
	uint64_t again_offset;     /* the retry that is being read */
	unsigned jobs;             /* reads and seeks under way */
	bool stays;                /* assign.c, while it counts */
	bool reading, seeking, ready, dirty, restarted;
	TAILQ_ENTRY(cursor) ready_link;
	STAILQ_ENTRY(cursor) dirty_link;
};
TAILQ_HEAD(cursor_list, cursor);

struct sub {
	struct session *session;
	uint32_t handle;
	struct group *group;
	uint32_t credit;
	uint64_t out;              /* delivered, not settled ... */
	uint64_t bytes;            /* ... and how large that is, about */
	uint64_t moved_ms;         /* mono: settled something, or was given the first */
	unsigned queues;           /* cursors that it owns or is the heir of */
	unsigned want, have;       /* assign.c, while it counts */
	bool near;                 /* of the topic's region, or as good as that */
	char label[DFB_GROUP_MAX]; /* gray: takes messages of this label; "": others */
	bool stop_at_end, drained;
	char instance[DFB_GROUP_MAX];
	TAILQ_ENTRY(sub) in_group, in_session;
};
TAILQ_HEAD(sub_list, sub);

struct group {
	char name[DFB_GROUP_MAX];
	struct topic *topic;
	bool broadcast, kept;      /* kept: its offsets are stored */
	bool fleeting;             /* of one anonymous subscription, gone with it */
	char labels[256];          /* that its instances had, with a comma after each */
	bool fresh;                /* not on the disk yet: nothing is delivered before */
	bool halted;               /* it, or its topic, is paused */
	uint64_t paused_ms;        /* wall: since when; 0: it is not, itself */
	struct deaf deaf;          /* it has no subscription */
	char last_why[128];        /* why a message failed last */
	struct sub_list subs;
	unsigned nsubs;
	struct cursor **cursors;   /* one per queue, at the queue's slot */
	uint64_t settled, redelivered, retried, dead_letters, expired, expired_told;
	TAILQ_ENTRY(group) link;
};

/* ---- sending ---- */

struct producer {
	struct dfb_id id;
	struct topic *topic;
	uint32_t epoch;
	uint64_t taken;            /* highest number taken */
	uint64_t committed;        /* highest confirmed */
	uint64_t scheduled;        /* highest of a scheduled message: never confirmed when taken */
	uint64_t used_ms;          /* wall, for forgetting it */
	struct stream *stream;     /* of the current session */
	bool dirty, stored, finished;
	unsigned busy;             /* commits under way that name it */
	RB_ENTRY(producer) node;
	STAILQ_ENTRY(producer) dirty_link;
};
RB_HEAD(producer_tree, producer);

struct stream {
	struct session *session;
	uint32_t handle;
	struct producer *producer;
	uint64_t confirmed;        /* last number told */
	bool refused;              /* told; until the next number comes */
	struct look *look;         /* for ids of its first frame that waits */
	STAILQ_HEAD(, held_put) waiting; /* frames */
	size_t waiting_bytes;
	bool crowded;              /* they wait for room in a batch */
	bool confirm;              /* in the broker's list of streams to confirm */
	TAILQ_ENTRY(stream) in_session;
	STAILQ_ENTRY(stream) confirm_link;
	TAILQ_ENTRY(stream) crowded_link;
};
TAILQ_HEAD(stream_list, stream);

/* ---- calls (call.h) ---- */

TAILQ_HEAD(call_list, call);

/* ---- sessions ---- */

struct out_frame {
	struct dfb_buf buf;
	STAILQ_ENTRY(out_frame) link;
};

struct session {
	struct dfb_peer peer;
	uint64_t serial;           /* never used again */
	bool hello, dead, unreachable;
	bool ending;               /* in the broker's list of those that are over ... */
	bool going;                /* ... wholly: its connection ended */
	char who[DFB_GROUP_MAX], role[16], region[8];
	struct dfb_id client;      /* the same in all sessions of one client */
	struct stream_list streams;
	struct sub_list subs;
	struct call_list calls;
	struct dfb_buf answers;    /* outcomes for the next ANSWER */
	bool answering;
	STAILQ_ENTRY(session) answer_link;
	STAILQ_HEAD(, out_frame) backlog; /* its queue in ZeroMQ was full */
	size_t backlog_bytes;
	TAILQ_ENTRY(session) blocked_link, going_link;
	RB_ENTRY(session) node;
};
RB_HEAD(session_tree, session);

/* What the socket monitor said of a descriptor. */
struct connection {
	struct session *session;
	bool connected;
};

/* ---- the broker ---- */

struct config {
	const char *name, *region, *data, *names, *advertise;
	uint64_t lease_ms, segment_bytes, cache_bytes, min_free;
	uint64_t dedup_ms;         /* how long an idle producer is remembered */
	uint64_t keep_ms;          /* how often the keeper runs */
	uint64_t unlistened_ms;    /* until messages without a consumer are told */
	uint64_t grow_ms, shrink_ms; /* queues that follow consumers */
};

struct counters {
	uint64_t sessions, frames, malformed, puts, duplicates, refused, confirms,
	    deliveries, acks, nacks, stale_acks, calls, answers, late_replies,
	    expired, orphaned, commits, committed_blocks, committed_bytes,
	    dead_letters, dropped_segments, breaker_refused, breaker_opened,
	    flow_refused, known, lookups, ids_removed, scheduled, fired, cancelled;
};

struct broker {
	struct config cf;
	char endpoint[300];        /* advertised */
	uint64_t incarnation;
	uint64_t now, wall;        /* mono and wall ms, of this turn */
	struct dfb_loop *loop;
	struct dfb_sock *sock;
	struct dfb_net *net;
	struct dfb_store *store;
	struct dfb_worker *committer, *flusher, *reader, *keeper;
	bool draining, stopping, failed;
	uint64_t free_bytes, total_bytes;
	bool full;
	uint64_t spent;            /* bytes taken since free_bytes was read */

	struct session_tree sessions;
	struct connection *by_fd;
	size_t nfds, nsessions;
	uint64_t serial;
	TAILQ_HEAD(, session) blocked, gone;
	STAILQ_HEAD(, session) answering;
	struct dfb_timer unblock, again, bury;
	unsigned bury_waits;

	struct topic_tree topics;
	struct topic_list graves;
	struct topic **by_id;      /* NULL where a topic was deleted */
	size_t nids;
	uint32_t last_topic_id;
	size_t ntopics;
	TAILQ_HEAD(, held) cache;
	size_t cache_used, memory_used;

	struct cursor_list ready;
	STAILQ_HEAD(, cursor) dirty_cursors;
	STAILQ_HEAD(, queue) dirty_queues;
	STAILQ_HEAD(, producer) dirty_producers;
	STAILQ_HEAD(, stream) confirms;
	struct stream_list crowded;
	struct producer_tree producers;
	size_t nproducers;

	struct call **calls;
	uint32_t ncalls, free_call, call_generation;
	size_t live_calls;

	size_t filling, shut;      /* queues: warned of, and refusing */
	size_t unlistened;         /* queues and groups that were logged so */
	struct timers timers;
	uint64_t expired_told, expired_look; /* what the log knows, and since when (mono ms) */

	struct batch_job *pending; /* what goes with the next commit */
	bool committing, urgent;
	size_t pending_bytes;      /* in blocks not stored yet ... */
	size_t flying_bytes;       /* ... and of these, in a batch that is under way */
	unsigned batches;          /* under way */
	uint64_t last_batch, done_batch; /* that was begun, that is stored */
	size_t batch_ids;          /* rows of ids in the pending one */
	struct dfb_timer flush;

	struct recent recent;
	struct look_list looks;
	RB_HEAD(asked_tree, asked) asked;
	TAILQ_HEAD(, asked) asked_over;
	size_t asked_bytes;        /* requests and replies of them */
	STAILQ_HEAD(, sweep) sweeps; /* buckets to remove */
	bool sweeping;
	size_t filter_bytes, held_put_bytes;

	struct dfb_timer keep, renew;
	bool keeping, dropping;
	bool announced;            /* ready was said */
	struct dfb_timer announce;
	void (*say_ready)(struct broker *);
	struct dfb_conn *names[8];
	struct enroll *enroll[8];
	unsigned nnames;
	struct counters n;
};

/* state.c: trees and lists, empty, of a broker that is all zero */
void broker_init(struct broker *);

/* session.c */
int session_cmp(struct session *, struct session *);
RB_PROTOTYPE(session_tree, session, node, session_cmp)
struct session *session_find(struct broker *, const struct dfb_peer *);
struct session *session_by_serial(struct broker *, const struct dfb_peer *, uint64_t serial);
struct session *session_new(struct broker *, const struct dfb_peer *);
void session_free(struct broker *, struct session *, const char *why);
void session_connected(struct broker *, int fd);
void session_gone(struct broker *, int fd);
void session_place(struct broker *, struct session *); /* after its first answer */
void session_bury(struct broker *); /* those that are gone */
/* It broke the rules: what it has ends, and what it sends is ignored. */
void session_kill(struct broker *, struct session *);
void session_send(struct broker *, struct session *, const struct dfb_proto *);
void session_send_buf(struct broker *, struct session *, struct dfb_buf *);
void session_error(struct broker *, struct session *, uint32_t req, enum dfb_status,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void session_unblock(struct broker *);
bool session_is_blocked(const struct session *);

/* topic.c */
RB_PROTOTYPE(topic_tree, topic, node, topic_cmp)
int topic_cmp(struct topic *, struct topic *);
struct topic *topic_find(struct broker *, struct dfb_str name);
struct topic *topic_by_name(struct broker *, const char *name);
struct topic *topic_new(struct broker *, const char *name, uint32_t id,
    const struct settings *, uint32_t queues);
int topic_store(struct broker *, struct topic *); /* its row, into the pending batch */
/* Whether a client of this region ("": of none) is near: the topic's own, or none. */
bool topic_is_near(const struct topic *, const char *region);
struct topic *topic_make_system(struct broker *, const char *name);
void topic_delete(struct broker *, struct topic *);
void topic_bury(struct broker *); /* free deleted topics that no job needs */
void topic_free(struct broker *, struct topic *);

/* queue.c */
int held_cmp(struct held *, struct held *);
RB_PROTOTYPE(held_tree, held, node, held_cmp)
struct queue *queue_new(struct topic *, struct lane *, uint32_t index);
void queue_free(struct broker *, struct queue *);
/* Append one encoded record; its offset.  UINT64_MAX when there is no memory. */
enum append { APPEND_PLAIN, APPEND_EXPIRES, APPEND_CALL, APPEND_AGAIN };
uint64_t queue_append(struct broker *, struct queue *, const uint8_t *rec, size_t len,
    enum append, uint8_t **where);
/* Whether a block needs no place on the disk: an async topic's, all of calls that ended.
 * queue_passed: its batch is done, it goes. */
bool queue_is_past(const struct held *);
void queue_passed(struct broker *, struct held *);
/* Whether a group has somebody for it: a call may be handed out. */
bool queue_is_served(const struct queue *);
uint64_t queue_limit(const struct queue *); /* what may be delivered ends here */
uint64_t queue_count(const struct queue *, uint64_t from, uint64_t to); /* messages */
struct dfb_block *queue_find(struct queue *, uint64_t offset);
void queue_seal(struct queue *);
void queue_stored(struct broker *, struct held *);
void queue_trim(struct broker *, struct queue *); /* memory topics: what all have */
void queue_wake(struct broker *, struct queue *); /* its cursors may deliver */
#define BLOCK_SPECIAL 1 /* block flag: expiry or calls in it, or as below */
#define BLOCK_AGAIN 2   /* all of it were dead letters, each for one group: letter_is_for() */

/* producer.c */
RB_PROTOTYPE(producer_tree, producer, node, producer_cmp)
int producer_cmp(struct producer *, struct producer *);
struct producer *producer_new(struct broker *, const struct dfb_id *, struct topic *);
void producer_free(struct broker *, struct producer *);
void handle_produce(struct broker *, struct session *, const struct dfb_proto *);
void handle_finish(struct broker *, struct session *, const struct dfb_proto *);
struct stream *stream_find(struct session *, uint32_t handle);
void stream_free(struct broker *, struct stream *);
void stream_refuse(struct broker *, struct stream *, uint64_t seq, int scope,
    enum dfb_status, uint32_t wait_ms, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
void stream_confirm_later(struct broker *, struct stream *);
void stream_confirm_all(struct broker *);
void producer_settled(struct broker *, struct producer *, uint64_t seq);

/* group.c */
struct group *group_find(struct topic *, const char *name);
struct group *group_new(struct broker *, struct topic *, const char *name,
    bool broadcast, bool kept);
void group_free(struct broker *, struct group *);
int group_store(struct broker *, struct group *);
bool group_reap(struct broker *, struct group *); /* free a fleeting one that is over */
bool group_is_over(const struct group *);
/* Whether an instance of it had this label, ever. */
bool group_had_label(const struct group *, const char *label);
void group_delete_rows(struct broker *, struct group *);
void handle_subscribe(struct broker *, struct session *, const struct dfb_proto *);
struct sub *sub_find(struct session *, uint32_t handle);
void sub_free(struct broker *, struct sub *, bool planned);
void sub_settled(struct sub *, uint64_t n); /* credit comes back */
void sub_drop(struct broker *, struct sub *, enum dfb_status, const char *why);
void handle_leave(struct broker *, struct session *, const struct dfb_proto *);

/* cursor.c */
struct cursor *cursor_new(struct broker *, struct group *, struct queue *);
void cursor_free(struct broker *, struct cursor *);
void cursor_place(struct broker *, struct cursor *, uint64_t offset);
uint64_t cursor_settle(struct broker *, struct cursor *, uint64_t from, uint64_t to);
uint64_t cursor_waiting(const struct cursor *); /* messages not settled */
bool cursor_is_out(const struct cursor *, uint64_t offset);
struct retry *cursor_retry(struct cursor *, uint64_t offset);
struct retry *cursor_retry_add(struct cursor *, uint64_t offset);
void cursor_arm(struct broker *, struct cursor *);
void cursor_forget_block(struct cursor *);
void cursor_forget_below(struct cursor *); /* ranges and retries below low: it was raised */
/* Settle many offsets, rising and none of them settled, of a cursor without an owner: in the
 * time that it takes to copy its ranges. */
void cursor_settle_list(struct broker *, struct cursor *, const uint64_t *offsets, size_t n);
/* Whether an offset is settled; _mark: it is, without more ado, while loading. */
bool cursor_is_settled(const struct cursor *, uint64_t offset);
void cursor_mark(struct broker *, struct cursor *, uint64_t from, uint64_t to);
bool cursor_skip(struct cursor *, uint64_t *run); /* pos past what is not to deliver */
void cursor_take_back(struct broker *, struct cursor *); /* its owner is gone */

/* cursor_row.c */
int cursor_row(const struct cursor *, struct dfb_buf *key, struct dfb_buf *val);
int cursor_load(struct broker *, struct cursor *, const uint8_t *val, size_t len);
void cursor_row_key(const struct cursor *, struct dfb_buf *key);

/* deliver.c */
void deliver_ready(struct broker *, struct cursor *); /* look at it before sleeping */
void deliver_all(struct broker *);
void deliver_sub(struct broker *, struct sub *); /* all its cursors are ready */

/* settle.c */
void handle_ack(struct broker *, struct session *, const struct dfb_proto *);
void handle_nack(struct broker *, struct session *, const struct dfb_proto *);
void retry_or_bury(struct broker *, struct cursor *, uint64_t offset, const char *why);

/* dead.c */
void dead_letter(struct broker *, struct cursor *, uint64_t offset, const char *why);

/* peek.c */
void handle_peek(struct broker *, struct session *, const struct dfb_proto *);

/* load.c: before and after the threads run */
enum dfb_status load_all(struct broker *); /* says why not */
int mark_clean(struct broker *, bool clean);
int queue_floor_row(struct dfb_batch *, const struct queue *, uint64_t floor);
#define MEMORY_FLOOR (UINT64_C(1) << 32) /* offsets of a memory queue that one run may use */

/* upkeep.c */
void upkeep_start(struct broker *);

/* enroll.c */
int enroll_start(struct broker *);
/* What name servers know of a topic changed: that it is there, or its queues. */
void enroll_topic(struct broker *, const struct topic *, bool up);
void enroll_state(struct broker *);
void enroll_stop(struct broker *);
struct dfb_conn *enroll_conn(struct broker *, unsigned i); /* to the i-th name server */

struct topic *topic_by_id(struct broker *, uint32_t id); /* topic.c */

/* switch.c */
int switch_run(struct broker *);
void switch_stop(struct broker *);

#endif
