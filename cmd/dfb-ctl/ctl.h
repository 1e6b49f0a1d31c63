/* dfb-ctl: verbs that ask daemons and print what they answer. */
#ifndef CTL_H
#define CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/opt.h"
#include "common/tool.h"
#include "dfb.h"
#include "wire/words.h"

struct ctl_broker;
struct ctl_brokers;
struct ctl_term;
struct dfb_buf;
struct dfb_format;

struct ctl {
	struct dfb_opts opts;
	struct dfb_tool tool;
	struct dfb *dfb;
	int timeout_ms;          /* for each answer */
	bool json, timed;        /* timed: --timeout was given */
	enum dfb_status status;  /* of the first failure */
	char **args;             /* operands */
	int nargs;

	/* Options of the verbs. */
	const char *broker;
	json_t *settings;        /* of a topic; an object */
	bool yes, if_missing, dry_run, undo, wait, sends;
	const char *to;
	struct dfb_format *format;
	struct dfb_id id;
	enum dfb_start start;
	uint64_t start_value, count;
	uint64_t stuck_ms;       /* UINT64_MAX: not given */
	int queue;               /* -1: all */
	bool by_id, raw, placed, counted;
	struct ctl_term *where;  /* a letter must meet all */
	unsigned nwhere;
	double rate;             /* a second; 0: no limit */
	json_t *change;          /* at sgs (sgs.h): arguments; an object */
	uint64_t await_ms;       /* until a deployment is where it is to be; 0: do not wait */
	const char *key, *description, *state;
	bool prune, usual;
	struct ctl_broker *sgs;  /* when it was found */
};

/* One thing that dfb-ctl can do. */
struct ctl_verb {
	const char *noun;
	const char *verb;        /* NULL: the noun says it all */
	const char *synopsis;    /* what follows "dfb-ctl" */
	const char *purpose;
	const struct dfb_opt *table;
	void (*option)(struct ctl *, int letter);  /* one of its own */
	int min, max;            /* operands */
	void (*run)(struct ctl *);
};

/* Each ends with a row of zeros. */
extern const struct ctl_verb ctl_topic_verbs[], ctl_group_verbs[], ctl_broker_verbs[],
    ctl_net_verbs[], ctl_peek_verbs[], ctl_gray_verbs[], ctl_dlq_verbs[], ctl_why_verbs[],
    ctl_timer_verbs[], ctl_admin_verbs[], ctl_service_verbs[], ctl_affinity_verbs[],
    ctl_distance_verbs[];

/* Verbs with a file of their own. */
void ctl_service_import(struct ctl *);
void ctl_service_export(struct ctl *);
void ctl_service_history(struct ctl *);
void ctl_service_list(struct ctl *);
void ctl_service_show(struct ctl *);
void ctl_service_locate(struct ctl *);
void ctl_topic_create(struct ctl *);
void ctl_topic_pause(struct ctl *);
void ctl_topic_resume(struct ctl *);
void ctl_group_pause(struct ctl *);
void ctl_group_resume(struct ctl *);
void ctl_group_reset(struct ctl *);
void ctl_group_delete(struct ctl *);

/* What the brokers know of the groups that the operands name ([TOPIC [GROUP]]), an array of
 * one object for each group and broker; b: those that were asked.  NULL: reported. */
json_t *ctl_groups(struct ctl *, struct ctl_brokers *b);

#define CTL_LETTER_TIMEOUT 900
#define CTL_LETTER_OWN 910  /* and up: a verb's own long options */
#define CTL_OPTIONS \
	{ 'J', "json", NULL, "print JSON" }, \
	{ 'n', "names", "ENDPOINTS", "name servers, comma list; also $DFB_NAMES" }, \
	{ 'R', "region", "REGION", "region of services, and to prefer; also $DFB_REGION" }, \
	{ CTL_LETTER_TIMEOUT, "timeout", "TIME", "how long to wait for an answer (10s)" }, \
	{ 0, NULL, NULL, NULL }

/* ---- main.c ---- */

/* Say what failed; the first failure's status becomes the program's. */
void ctl_fail(struct ctl *, enum dfb_status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* p, when it is not NULL; else memory is short: does not return. */
void *ctl_must(void *p);

/* ---- arg.c ---- */

/* Does not return when word is no topic, and no service of the region that is known. */
void ctl_topic(struct ctl *, const char *word, char topic[DFB_TOPIC_MAX]);

/* Does not return when neither --yes nor a terminal is there to _confirm. */
void ctl_need_terminal(struct ctl *);

/* --yes, or a yes at the terminal to the question.  false: no, which is said. */
bool ctl_confirm(struct ctl *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Where to start: an offset; a time, with or without '@' in front; either of them (the time
 * with '@'), beginning or end.  Do not return when text is none, or a place is given twice. */
void ctl_offset(struct ctl *, const char *option, const char *text);
void ctl_time(struct ctl *, const char *option, const char *text);
void ctl_place(struct ctl *, const char *option, const char *text);

/* Have all lines of the file that the current option names ("-": stdin), without their newlines.
 * Does not return when it cannot be read. */
void ctl_lines(struct ctl *, void (*take)(struct ctl *, const char *line, size_t len));

/* An operand that is a number up to max; does not return when it is none. */
uint64_t ctl_number(struct ctl *, const char *what, const char *text, uint64_t max);

/* ---- ask.c ---- */

struct ctl_broker {
	char name[65], region[4], endpoint[256];
};

/* Some brokers to ask; all-zero is none. */
struct ctl_brokers {
	struct ctl_broker *list;
	size_t n;
};

void ctl_brokers_release(struct ctl_brokers *);

/* The brokers that the name server knows: of a region (NULL: any), or the one that
 * is named (NULL: any).  none is reported, with what to do.  0, or -1: reported. */
int ctl_brokers_known(struct ctl *, struct ctl_brokers *, const char *region,
    const char *name);

/* Those that serve a topic, or with --broker that one.  As above. */
int ctl_brokers_of(struct ctl *, struct ctl_brokers *, const char *topic);

/* Ask one; args is an object, or NULL.  The result, or NULL with *why valid until
 * the next question. */
json_t *ctl_ask_quietly(struct ctl *, const struct ctl_broker *, const char *verb,
    const json_t *args, enum dfb_status *, const char **why);

/* The same; a failure is reported. */
json_t *ctl_ask(struct ctl *, const struct ctl_broker *, const char *verb,
    const json_t *args);

/* Ask all; an array of what they answered, arrays joined.  Failures are reported. */
json_t *ctl_ask_all(struct ctl *, const struct ctl_brokers *, const char *verb,
    const json_t *args);

/* For how long a name server is looked for; a daemon's state in a word. */
int ctl_bus_wait(const struct ctl *);
const char *ctl_state(uint8_t state);

/* So much time goes by; the client is served. */
void ctl_pause(struct ctl *, uint64_t ms);

/* ---- merge.c ---- */

/* Fields of an answer; 0 and "" when absent. */
json_int_t ctl_int(const json_t *, const char *name);
const char *ctl_str(const json_t *, const char *name);

/* The state of a service in a region: "none" when it is not deployed there. */
const char *ctl_deployment(const json_t *service, const char *region);

/*
 * Fold per-broker objects into one for each value of `key` and `topic`: numbers are
 * added, those named in `max` (ended by NULL) are the greatest, "broker" becomes the list
 * "brokers", other fields are the first's.  Fields named in `drop` are left out.
 */
json_t *ctl_merge(const json_t *list, const char *key, const char *const *max,
    const char *const *drop);

/* Sort objects by two of their text fields. */
void ctl_sort(json_t *list, const char *first, const char *second);

/* ---- dlq*.c: dead letters ---- */

/* A letter, while it is looked at: msg and what points into its headers are not kept. */
struct ctl_letter {
	const struct ctl_broker *broker;
	const struct dfb_msg *msg; /* msg->offset: the letter's own */
	char topic[DFB_TOPIC_MAX], group[DFB_GROUP_MAX];
	char *reason;              /* "" when there is none */
	uint64_t offset, time_ms;  /* of the message that failed; when it was given up */
	uint32_t queue, tries, redriven;
};

/* dlq_where.c: a condition, --where FIELD=VALUE; does not return when text is none. */
void ctl_where(struct ctl *, const char *text);
bool ctl_where_met(const struct ctl *, const struct ctl_letter *);

/*
 * dlq_walk.c: look at the letters of all brokers that --where selects, oldest first on each, and
 * as many as --count says.  letter() is run for each of them; page() now and then, when the
 * bus may be asked again, and once more when a broker has no more (last).  group NULL: of
 * all.  topic is where a broker has the letters.  false ends it.
 */
struct ctl_walk {
	struct ctl *c;
	const char *group;
	bool (*letter)(struct ctl_walk *, const struct ctl_letter *);
	bool (*page)(struct ctl_walk *, const struct ctl_broker *, const char *topic);
	void *arg;
	uint64_t seen;             /* filled: how many were */
	bool last;                 /* as above */
};
void ctl_walk(struct ctl_walk *);

/* dlq_do.c */
void ctl_dlq_redrive(struct ctl *);
void ctl_dlq_drop(struct ctl *);

/* dlq.c: append a line about a letter, or a line of JSON.  0, or -1 with errno ENOMEM. */
int ctl_letter_line(struct dfb_buf *, const struct ctl_letter *);
int ctl_letter_json(struct dfb_buf *, const struct ctl_letter *);

/* gray.c: which messages a rule is for, in a few characters; text. */
const char *ctl_gray_rule(const json_t *rule, char *text, size_t size);

/* ---- table.c ---- */

/* Columns of text; all-zero and heads set.  heads: blank-separated, a '>' in front of those
 * that are right-aligned. */
struct ctl_table {
	const char *heads;
	char **cells;
	size_t n, cap;
};

/* Add the next cell. */
void ctl_cell(struct ctl_table *, const char *text);
void ctl_cell_int(struct ctl_table *, json_int_t);
void ctl_cell_list(struct ctl_table *, const json_t *); /* of strings: a,b,c */

/* Print all rows and release; without rows only the heads. */
void ctl_table_print(struct ctl_table *);

/* Print a result, and release it. */
void ctl_print_json(json_t *);

#endif
