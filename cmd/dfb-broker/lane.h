/*
 * Queues of a topic: which there are, which takes a message, and which subscription has
 * which (broker.h has the structs).
 */
#ifndef LANE_H
#define LANE_H

#include "broker.h"

/* lane.c */
struct lane *lane_new(struct topic *, uint32_t number, const char *label);
void lane_free(struct topic *, struct lane *); /* without its queues */
struct lane *lane_first(const struct topic *);
struct lane *lane_find(const struct topic *, uint32_t number);
/* More readable queues, up to n, and owners for them; -1: no memory for all of them. */
int lane_add(struct broker *, struct topic *, struct lane *, uint32_t n);
void lane_remove_last(struct broker *, struct topic *, struct lane *);
struct queue *topic_queue(const struct topic *, uint32_t index); /* by number; NULL */
/* Queues counted through, over all lanes: the n-th (also by number; NULL), and which one it is. */
struct queue *topic_nth_queue(const struct topic *, uint32_t n);
uint32_t queue_ordinal(const struct queue *);
/* The queue that a message goes to. */
struct queue *queue_choose(struct topic *, const struct dfb_record *);

/* gray.c: where a message goes when its topic has rules, and which rule has it refused now */
struct lane *gray_lane(const struct topic *, const struct dfb_record *);
const struct gray *gray_refuses(const struct topic *, const struct dfb_record *);

/* lane_row.c: lanes and moves, in the topic's row.  -1: no memory, or malformed. */
int lanes_to_json(const struct topic *, struct json_t *row);
int lanes_from_json(struct broker *, struct topic *, const struct json_t *row);
int topic_floor(struct topic *, uint32_t index, uint64_t floor); /* the row of a queue not there */

/* follow.c: after consumers changed; after settings did, with or without the delays */
void follow_look(struct broker *, struct topic *);
void follow_anew(struct broker *, struct topic *, bool now);

/* move.c: before n queues of a lane are writable, instead of what it says now; false: too
 * many moves are under way.  _limit: what a cursor may deliver.  _advance: it got on. */
bool move_begin(struct topic *, struct lane *, uint32_t n);
uint64_t moves_limit(const struct cursor *, uint64_t limit);
void moves_advance(struct broker *, const struct cursor *);
void moves_forget_group(struct topic *, const struct group *);
void moves_free(struct topic *, const struct lane *); /* NULL: of all lanes */
int moves_to_json(const struct topic *, struct json_t *list);
int moves_from_json(struct topic *, const struct json_t *list);

/* assign.c: which subscription has which queue; after a change of either */
void group_balance(struct broker *, struct group *);

/* region.c: other brokers of a topic.  _watch: from now on; _lookup: those watched, at a new
 * session; _routes: an answer */
void region_watch(struct broker *, struct topic *);
void region_forget(struct broker *, struct topic *);
void region_lookup(struct broker *, struct dfb_conn *);
void region_routes(struct broker *, const struct dfb_m_routes *);

#endif
