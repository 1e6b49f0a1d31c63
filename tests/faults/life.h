/* What the scenarios of a life share. */
#ifndef FAULTS_LIFE_H
#define FAULTS_LIFE_H

#include <stddef.h>

#include "child.h"

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

extern const char *dir, *fault; /* absolute; NULL: none */

/* The content of a file of the life, at most size - 1; "" when there is none.  Gives text. */
char *content(const char *name, char *text, size_t size);
/* Run a client until it works, as the daemon may have just come again; or bad(why). */
void until_good(const char *why, const char *const *argv);
/* The one with the fault ended in a documented way, its log says why, and the one that came
 * after it ended well, too. */
void check_end(void);
/* The last one ends, and well. */
void end_well(void);
/* Their arguments; they last. */
const char *const *broker(void);
const char *const *name_server(void);

/* Scenarios that are elsewhere. */
void sgs(void);
void gsl(void);

#endif
