/* Rules of gray release of a topic. */
#ifndef GRAY_H
#define GRAY_H

#include "common/grayrule.h"

struct broker;
struct lane;
struct topic;

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

/* gray_replace.c: have exactly these rules, in this order; they become the topic's.  0: it has them, 1: changed,
 * -1: some are not there, there is no memory or too many lanes. */
int gray_replace(struct broker *, struct topic *, struct gray_list *l);

#endif
