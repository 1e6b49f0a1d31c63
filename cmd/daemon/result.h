/* Verbs of ADMIN at daemons with a hub: JSON in and out. */
#ifndef DAEMON_RESULT_H
#define DAEMON_RESULT_H

#include <jansson.h>
#include <stdint.h>

struct dfb_hub;
struct dfb_proto;
struct dfb_session;

/* The arguments of an ADMIN: an object, which the caller releases; NULL when it was refused. */
json_t *dfb_hub_args(struct dfb_hub *, struct dfb_session *, const struct dfb_proto *);

/* Answer with RESULT.  Releases the value; NULL (no memory) is refused. */
void dfb_hub_result(struct dfb_hub *, struct dfb_session *, uint32_t req, json_t *);

#endif
