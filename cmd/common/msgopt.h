/* The options that say what is in a message besides its body: of dfb-send and
 * dfb-call. */
#ifndef COMMON_MSGOPT_H
#define COMMON_MSGOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dfb.h"

struct dfb_opts;

#define DFB_MSGOPT_OPTIONS \
	{ 'k', "key", "KEY", "messages with the same key keep their order" }, \
	{ 'H', "header", "NAME=VALUE", "add a header; can be repeated" }, \
	{ 'i', "id", "ID", "the id of the one message: a second one with it is none" }

struct dfb_msgopt {
	struct dfb_msg base;  /* key, headers, id */
	bool has_id;
	/* Private. */
	uint8_t *headers, *merged;
};

/* Embedded: all-zero is empty. */
void dfb_msgopt_release(struct dfb_msgopt *);

/* Take the option with this letter, if it is one of the rows above: true.  Does not
 * return when its argument is malformed. */
bool dfb_msgopt_option(struct dfb_msgopt *, const struct dfb_opts *, int letter);

/* Fill in what *m leaves open: key, id, headers (one in *m hides those of its name).
 * *m is valid until the next call.  0, or -1 with errno: ENOMEM, or E2BIG: more headers
 * than a message holds. */
int dfb_msgopt_complete(struct dfb_msgopt *, struct dfb_msg *m);

#endif
