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

struct json_t *gray_to_json(const struct gray *);
/* A rule from "label", "header", "value", "percent", "keys", "else"; NULL: why (256 bytes). */
struct gray *gray_from_json(const struct json_t *, char *why);
void gray_release(struct gray *); /* one that is no topic's */

#endif
