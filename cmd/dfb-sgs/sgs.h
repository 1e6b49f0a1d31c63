/* The service governance daemon: what its files share. */
#ifndef SGS_SGS_H
#define SGS_SGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "base/timer.h"
#include "daemon/daemon.h"
#include "daemon/hub.h"
#include "dfb-sgs/book.h"
#include "dfb-sgs/states.h"
#include "wire/words.h"

struct dfb_conn;
struct dfb_enroll;
struct dfb_net;
struct json_t;
struct look;

#define SGS_AWAITS_MAX 1000
#define SGS_ENDPOINT 256

/* ---- brokers ---- */

/* What a broker has of a topic, as far as this session with it knows. */
struct topic {
	char name[DFB_TOPIC_MAX];
	bool governed;             /* it is there, and ours */
	uint64_t applied;          /* hash of what it confirmed; 0: nothing yet */
	uint64_t sent;             /* hash of what was asked for last */
	uint32_t req;              /* of the request on its way; 0: none */
	bool retiring;             /* it is topic.retire */
	uint64_t sent_ms, retry_ms; /* monotonic */
	unsigned status;           /* the last refusal's; 0: none */
	char why[256];             /* ... and its reason */
	struct json_t *left;       /* what topic.retire still found; NULL: nothing */
	uint64_t scheduled;
	RB_ENTRY(topic) node;
	TAILQ_ENTRY(topic) waits;  /* while req is not 0, oldest first */
};
RB_HEAD(topics, topic);

struct broker {
	struct sgs *g;
	char name[65], region[4], endpoint[SGS_ENDPOINT];
	uint64_t incarnation;
	uint8_t state;             /* enum dfb_daemon_state, as name servers say */
	bool listed;
	struct dfb_conn *conn;
	bool known;                /* it told which topics are ours */
	uint32_t req;              /* the last request's */
	uint64_t asked_ms;         /* when it was asked for them; 0: not */
	char why[256];             /* it refused to tell: why */
	struct topics topics;
	TAILQ_HEAD(, topic) waiting;
	RB_ENTRY(broker) node;
};
RB_HEAD(brokers, broker);

/* ---- others ---- */

/* A gsl that follows; the user of its session. */
struct gsl {
	struct dfb_session *session;
	uint64_t sent, followed;   /* versions: what it was sent, what its clients know */
	TAILQ_ENTRY(gsl) link;
};

/* A deployment that sgs has begun to drain: whom it has told. */
struct drain {
	char topic[DFB_TOPIC_MAX];
	uint64_t version;          /* gsls must know this one */
	uint64_t begun_ms, told_ms; /* monotonic; told_ms 0: not all yet */
	bool seen;                 /* in this sweep */
	TAILQ_ENTRY(drain) link;
};

/* An answer that waits for a deployment. */
struct await {
	struct sgs *g;
	struct dfb_session *session;
	uint32_t req;
	char service[DFB_TOPIC_MAX], region[4];
	unsigned states;           /* bits */
	struct dfb_timer timer;
	TAILQ_ENTRY(await) link;
};

struct sgs {
	const char *name;
	struct dfb_daemon *daemon;
	uint64_t incarnation, started_ms; /* wall; monotonic */
	uint64_t lease_ms, grace_ms;
	struct dfb_loop *loop;
	struct dfb_net *net;
	struct dfb_sock *sock;
	struct dfb_hub hub;
	struct look *look;
	struct dfb_enroll *enroll;
	struct book book;
	struct brokers brokers;
	unsigned nbrokers;
	uint64_t listed_ms;        /* when brokers were listed last, monotonic; 0: never */
	char (*listed_gsls)[65];   /* those that are up */
	size_t nlisted_gsls;
	struct dfb_timer poll;
	TAILQ_HEAD(, gsl) gsls;
	uint64_t pushed;           /* the version that they were sent last */
	TAILQ_HEAD(, drain) drains;
	TAILQ_HEAD(, await) awaits;
	size_t nawaits;
	struct json_t *dirty;      /* services to be looked at before the next sleep */
	bool all_dirty;
	int status;                /* what the process will exit with */
};

/* End the process, because something broke or must not be (logged already). */
void sgs_fail(struct sgs *, int status);

/* The endpoint that clients use. */
const char *sgs_endpoint(const struct sgs *);

/* ---- look.c: before anything else: is another sgs up? ---- */

/* Ask all name servers; then done(sgs), unless another one is up: that ends the process.  0 or -1,
 * logged. */
int look_begin(struct sgs *, void (*done)(struct sgs *));
void look_end(struct sgs *);

/* Whether this entry is another sgs, and up. */
struct dfb_m_daemon;
bool look_is_other(const struct sgs *, const struct dfb_m_daemon *);
void look_say_other(const struct dfb_m_daemon *);

/* ---- fleet.c: who is enrolled ---- */

int fleet_begin(struct sgs *, void (*ready)(void *arg)); /* 0 or -1, logged */
void fleet_end(struct sgs *);
void fleet_ask(struct sgs *); /* list the daemons now */
/* Whether the list is of now: a name server answered lately. */
bool fleet_is_fresh(const struct sgs *);

RB_PROTOTYPE(brokers, broker, node, broker_cmp)
int broker_cmp(struct broker *, struct broker *);

/* ---- broker.c: the session with one ---- */

RB_PROTOTYPE(topics, topic, node, topic_cmp)
int topic_cmp(struct topic *, struct topic *);
int broker_connect(struct broker *);
void broker_disconnect(struct broker *); /* and forget its topics */
struct topic *broker_topic(struct broker *, const char *name); /* NULL: never heard of it */

/* Have the topic as args say (taken over), whose hash this is; delete it, once it is closed.
 * Nothing when it is so, or a request is on its way, or it is too early to try again. */
void broker_apply(struct broker *, const char *topic, struct json_t *args, uint64_t hash);
void broker_retire(struct broker *, struct topic *);

/* ---- govern.c: what is to be, and the steps towards it ---- */

/* What brokers of a region should have of a service. */
enum wanted { WANTED_NOT, WANTED_OPEN, WANTED_KEPT, WANTED_CLOSED };

void govern_mark(struct sgs *, const char *service); /* look at it before the next sleep */
void govern_mark_topic(struct sgs *, const char *topic);
void govern_mark_all(struct sgs *);
void govern_run(struct sgs *);
/* A change was committed: tell and act. */
void govern_changed(struct sgs *, const char *service);

/* The service as it is; what its deployment in region is to have at brokers, as topic.apply takes
 * it (NULL: no memory). */
enum wanted govern_wanted(struct sgs *, const struct json_t *service, const char *region);
struct json_t *govern_args(const struct json_t *service, const char *region, enum wanted,
    uint64_t *hash);

/* ---- drain.c ---- */

/* Whether gsls, and then their clients, had time to hear that the topic drains; if not, why (size
 * bytes) says whom it waits for. */
bool drain_is_told(struct sgs *, const char *topic, char *why, size_t size);
void drain_forget(struct sgs *, const char *topic);
void drain_end(struct sgs *);

/* ---- progress.c: how far deployments are ---- */

enum had { HAD_HAS, HAD_WAITING, HAD_CLOSED, HAD_GONE, HAD_CONFLICT };
/* How far a broker is, and why (BOOK_WHY bytes) it is not further. */
enum had progress_of(struct broker *, const char *topic, enum wanted, uint64_t hash, char *why);
/* All brokers of the region: whether they have what is wanted (how many there are goes to *n), and
 * what is waited for (BOOK_WHY bytes). */
bool progress_region(struct sgs *, const struct json_t *service, const char *region,
    unsigned *n, char *why);
/* The service with "progress". */
struct json_t *progress_show(struct sgs *, const char *service);

/* ---- gsls.c ---- */

void gsls_follow(struct sgs *, struct dfb_session *, const struct dfb_proto *);
void gsls_followed(struct sgs *, struct dfb_session *, const struct dfb_proto *);
void gsls_forget(struct sgs *, struct dfb_session *);
void gsls_push(struct sgs *);

/* ---- await.c ---- */

void await_begin(struct sgs *, struct dfb_session *, uint32_t req, struct json_t *args);
void await_check(struct sgs *, const char *service);
void await_forget(struct sgs *, struct dfb_session *); /* NULL: all */

/* ---- admin.c ---- */

void admin_frame(struct sgs *, struct dfb_session *, const struct dfb_proto *);

#endif
