/* Rules of gray release (gray.c) and how they are written down (gray_row.c). */
#ifndef GRAY_H
#define GRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "wire/words.h"

struct broker;
struct gray_list;
struct json_t;
struct lane;
struct topic;

#define GRAY_KEYS_MAX 10000

struct gray {
	char label[DFB_GROUP_MAX];
	struct lane *lane;
	char header[65], value[256]; /* header "": by no header */
	char **keys;                 /* sorted by bytes */
	size_t nkeys;
	uint32_t share;              /* of keys, in 1/10000 */
	bool fallback;               /* with no instance alive: others; else refused */
	TAILQ_ENTRY(gray) link;
};

/* Live subscriptions with a label, over all groups. */
unsigned gray_instances(const struct topic *, const char *label);

#define GRAY_NOBODY "a gray rule sends it to label '%s', and no instance of that is alive"

struct gray *gray_find(const struct topic *, const char *label);
void gray_free(struct topic *, struct gray *);

/* Have a rule, in place of the label's old one; it becomes the topic's.  -1: no memory or too
 * many lanes, -2: shares above the whole (then it is still the caller's). */
int gray_put(struct broker *, struct topic *, struct gray *);

/* Without it; what is in its lane goes to all instances. */
void gray_drop(struct broker *, struct topic *, struct gray *);

/* ---- gray_row.c ---- */

struct json_t *gray_to_json(const struct gray *);
/* A rule from "label", "header", "value", "percent", "keys", "else"; NULL: why (256 bytes). */
struct gray *gray_from_json(const struct json_t *, char *why);
void gray_release(struct gray *); /* one that is no topic's */

/* ---- gray_list.c: all rules of a topic at once ---- */

/* Rules from an object, by label (NULL: none); -1: why (256 bytes).  l, empty before, is to be
 * freed in either case. */
int gray_list_from_json(struct gray_list *l, const struct json_t *, char *why);
void gray_list_free(struct gray_list *);

/* Have exactly these rules, in this order; they become the topic's.  0: it has them, 1: changed,
 * -1: some are not there, there is no memory or too many lanes. */
int gray_replace(struct broker *, struct topic *, struct gray_list *l);

#endif
