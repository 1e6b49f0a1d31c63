/* What expired: counted for its topic and group, and told in the log. */
#ifndef EXPIRY_H
#define EXPIRY_H

#include "broker.h"

void expiry_note(struct broker *, struct topic *, struct group *); /* group: or NULL */
void expiry_log(struct broker *); /* at most once a second */

#endif
