/* What the command line tools share: options every one has, the client, output. */
#ifndef COMMON_TOOL_H
#define COMMON_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dfb;
struct dfb_buf;
struct dfb_opts;

/* Rows for a tool's option table, and where what they say is kept. */
#define DFB_TOOL_LETTER_WAIT 900
#define DFB_TOOL_OPTIONS \
	{ 'n', "names", "ENDPOINTS", "name servers, comma list; also $DFB_NAMES" }, \
	{ 'R', "region", "REGION", "region to prefer; also $DFB_REGION" }, \
	{ DFB_TOOL_LETTER_WAIT, "wait", "TIME", "how long to look for the bus (5s)" }

struct dfb_tool {
	const char *names;  /* NULL: the environment's, or the default */
	const char *region; /* NULL: the environment's, or none */
	uint64_t wait_ms;   /* for the bus to appear, and to come back; 0: defaults */
	bool direct;        /* as in struct dfb_config; no option sets it */
};

/* Take the option with this letter, if it is one of the rows above: true.  Does not
 * return when its argument is malformed. */
bool dfb_tool_option(struct dfb_tool *, const struct dfb_opts *, int letter);

/*
 * Open a client, with what the library notices printed on stderr (not with -q), and
 * SIGPIPE ignored.  Nothing is contacted yet.  Does not return on failure: exits
 * DFB_USAGE for malformed names or region, DFB_OSERR, with a message.
 */
struct dfb *dfb_tool_open(const struct dfb_tool *, const struct dfb_opts *);

/* Whether the one operand, or this operand, is a topic or service; does not
 * return when it is not (exit DFB_USAGE). */
void dfb_tool_check_dest(const struct dfb_opts *, const char *dest);

/*
 * Write all of buf to a descriptor, blocking or not, and empty it.  0, or -1 with
 * errno (EPIPE when the reader is gone); buf then holds what was not written.
 */
int dfb_tool_write(int fd, struct dfb_buf *);

/* Seconds and rate for a summary: "1000 messages in 0.52s, 1923/s" into buf. */
const char *dfb_tool_rate(char *buf, size_t size, uint64_t messages, uint64_t ns);

#endif
