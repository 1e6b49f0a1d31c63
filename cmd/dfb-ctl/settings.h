/* Settings of topics and services as options. */
#ifndef CTL_SETTINGS_H
#define CTL_SETTINGS_H

#include <stdbool.h>

struct ctl;
struct dfb_buf;
struct json_t;

enum { CTL_SET_QUEUES = 950, CTL_SET_GROW, CTL_SET_SHRINK, CTL_SET_MAX_BODY,
	CTL_SET_RETENTION, CTL_SET_DEDUP, CTL_SET_RETRIES, CTL_SET_BACKOFF, CTL_SET_MAX_DEPTH,
	CTL_SET_RATE, CTL_SET_RATE_BYTES, CTL_SET_CLIENT_RATE, CTL_SET_CLIENT_RATE_BYTES,
	CTL_SET_DURABILITY };

#define CTL_SETTINGS_OPTIONS \
	{ CTL_SET_QUEUES, "queues", "N", "queues on each broker: a number, MIN-MAX or auto" }, \
	{ CTL_SET_GROW, "grow-delay", "TIME", "when new queues take messages" }, \
	{ CTL_SET_SHRINK, "shrink-delay", "TIME", "when queues without an instance go" }, \
	{ CTL_SET_MAX_BODY, "max-body", "SIZE", "the longest message" }, \
	{ CTL_SET_RETENTION, "retention", "TIME", "keep what is consumed so long" }, \
	{ CTL_SET_DEDUP, "dedup", "TIME", "know ids of messages and calls so long" }, \
	{ CTL_SET_RETRIES, "retries", "N", "deliveries before the dead letters" }, \
	{ CTL_SET_BACKOFF, "backoff", "T1,T2,...", "the time before each further delivery" }, \
	{ CTL_SET_MAX_DEPTH, "max-depth", "N", "undelivered messages of a queue; 0: any" }, \
	{ CTL_SET_RATE, "rate", "N", "take so many messages a second; 0: any" }, \
	{ CTL_SET_RATE_BYTES, "rate-bytes", "SIZE", "and so many bytes" }, \
	{ CTL_SET_CLIENT_RATE, "client-rate", "N", "so many messages a second of one client" }, \
	{ CTL_SET_CLIENT_RATE_BYTES, "client-rate-bytes", "SIZE", "and so many bytes" }
#define CTL_DURABILITY_OPTION \
	{ CTL_SET_DURABILITY, "durability", "HOW", "commit, async or memory" }

/* Take the option with this letter into c->settings, if it is one of these.  Does not return when
 * its argument is malformed. */
bool ctl_setting(struct ctl *, int letter);

/* Append the options that make these settings, each after a blank. */
void ctl_settings_write(struct dfb_buf *, const struct json_t *settings);

#endif
