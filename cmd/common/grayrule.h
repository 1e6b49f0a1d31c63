/* A rule of gray release and how it is written down: in a topic's row, at sgs, in ADMIN. */
#ifndef COMMON_GRAYRULE_H
#define COMMON_GRAYRULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "wire/words.h"

struct json_t;
struct lane;

#define GRAY_KEYS_MAX 10000
#define GRAY_LABELS_MAX 63 /* of a topic */

struct gray {
	char label[DFB_GROUP_MAX];
	struct lane *lane;           /* at a broker */
	char header[65], value[256]; /* header "": by no header */
	char **keys;                 /* sorted by bytes */
	size_t nkeys;
	uint32_t share;              /* of keys, in 1/10000 */
	bool fallback;               /* with no instance alive: others; else refused */
	TAILQ_ENTRY(gray) link;
};
TAILQ_HEAD(gray_list, gray);

struct json_t *gray_to_json(const struct gray *);
/* A rule from "label", "header", "value", "percent", "keys", "else"; NULL: why (256 bytes). */
struct gray *gray_from_json(const struct json_t *, char *why);
void gray_release(struct gray *); /* one that is no topic's */

/* graylist.c: all rules of a topic, from an object by label (NULL: none), in its order.  -1: why
 * (256 bytes).  l, empty before, is to be freed in either case. */
int gray_list_from_json(struct gray_list *l, const struct json_t *, char *why);
void gray_list_free(struct gray_list *);

#endif
