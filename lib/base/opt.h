/*
 * Command line options from one table: getopt_long(3) parses, and -h prints what
 * the table says.  Every program has -h, -V and -v, -q besides its table.
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DFB_VERSION "0.1.0"

/* Letters above 255 are long-only.  arg NULL: takes none.  A row of zeros ends. */
struct dfb_opt {
	int letter;
	const char *name;
	const char *arg;
	const char *help;
};

struct dfb_opts {
	const char *prog;
	const char *synopsis;       /* what follows the name: "[options] TOPIC" */
	const char *purpose;        /* one line for -h */
	const struct dfb_opt *table;
	bool stop_at_first;         /* options end at the first operand: a
	                               command with options of its own follows */
	/* Filled while parsing. */
	const char *arg;
	const char *name;           /* the option as the user knows it: "--bind" */
	int verbose;                /* -1 after -q, 1 after -v */
	/* Private. */
	void *state;
	int last;
};

/* The next option's letter, or -1 when all are read (operands then start at
 * argv[optind]).  Does not return on -h, -V (exit 0) and on an unknown option or
 * a missing argument (exit DFB_USAGE, with a message). */
int dfb_opts_next(struct dfb_opts *, int argc, char **argv);

/* Say what is wrong with the command line and where help is; exit DFB_USAGE. */
_Noreturn void dfb_usage(const struct dfb_opts *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The current option's argument as a count, a size or a duration (ms), as
 * base/parse.h reads them; does not return when it is none. */
uint64_t dfb_opt_count(const struct dfb_opts *, uint64_t min, uint64_t max);
uint64_t dfb_opt_size(const struct dfb_opts *, uint64_t min, uint64_t max);
uint64_t dfb_opt_duration(const struct dfb_opts *);

#endif
