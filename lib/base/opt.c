#include "base/opt.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "dfb.h"

static const struct dfb_opt common[] = {
	{ 'q', "quiet", NULL, "errors only" },
	{ 'v', "verbose", NULL, "say more" },
	{ 'V', "version", NULL, "print the version" },
	{ 'h', "help", NULL, "print this help" },
	{ 0, NULL, NULL, NULL },
};

struct parser {
	struct option *longs;
	char shorts[128];
};

static void
add_table(struct parser *p, size_t *n, const struct dfb_opt *t)
{
	for (; t->letter != 0; t++) {
		p->longs[(*n)++] = (struct option){ .name = t->name,
			.has_arg = t->arg != NULL ? required_argument : no_argument,
			.val = t->letter };
		if (t->letter < 256) {
			size_t len = strlen(p->shorts);
			snprintf(p->shorts + len, sizeof p->shorts - len, "%c%s",
			    t->letter, t->arg != NULL ? ":" : "");
		}
	}
}

static struct parser *
parser_new(const struct dfb_opts *o)
{
	struct parser *p = calloc(1, sizeof *p);
	size_t n = 0;

	for (const struct dfb_opt *t = o->table; t->letter != 0; t++)
		n++;
	if (p == NULL || (p->longs = calloc(n + 8, sizeof *p->longs)) == NULL) {
		log_err("cannot start");
		exit(DFB_OSERR);
	}
	/* The first character makes getopt report a missing argument as ':'. */
	snprintf(p->shorts, sizeof p->shorts, "%s:", o->stop_at_first ? "+" : "");
	n = 0;
	add_table(p, &n, o->table);
	add_table(p, &n, common);
	return p;
}

static void
print_table(const struct dfb_opt *t)
{
	for (; t->letter != 0; t++) {
		char left[64];
		int n = 0;

		if (t->letter < 256)
			n = snprintf(left, sizeof left, "-%c, ", t->letter);
		else
			n = snprintf(left, sizeof left, "    ");
		snprintf(left + n, sizeof left - (size_t)n, "--%s%s%s", t->name,
		    t->arg != NULL ? " " : "", t->arg != NULL ? t->arg : "");
		printf("  %-28s %s\n", left, t->help);
	}
}

static _Noreturn void
help(const struct dfb_opts *o)
{
	printf("usage: %s %s\n%s\n\n", o->prog, o->synopsis, o->purpose);
	print_table(o->table);
	print_table(common);
	printf("\nThe manual page %s(%s) says more.\n", o->prog,
	    strstr("dfb-names dfb-broker dfb-gsl dfb-sgs dfb-proxy", o->prog) != NULL ?
	    "8" : "1");
	exit(fflush(stdout) == 0 ? DFB_OK : DFB_IOERR);
}

static void
set_name(struct dfb_opts *o, int letter)
{
	const struct parser *p = o->state;
	static char name[64];

	for (const struct option *l = p->longs; l->name != NULL; l++)
		if (l->val == letter)
			snprintf(name, sizeof name, "--%s", l->name);
	o->name = name;
}

/* getopt_long takes "--at" for "--atomic"; in a script that is an accident in waiting. */
static void
refuse_abbreviation(const struct dfb_opts *o, const struct option *l, char **argv)
{
	const char *word = argv[optind - 1];

	if (l->has_arg == required_argument && optarg == word)
		word = argv[optind - 2];
	if (strcspn(word + 2, "=") != strlen(l->name))
		dfb_usage(o, "unknown option '%s': did you mean '--%s'?", word, l->name);
}

int
dfb_opts_next(struct dfb_opts *o, int argc, char **argv)
{
	struct parser *p = o->state;
	int c, row = -1;

	if (p == NULL) {
		o->state = p = parser_new(o);
		dfb_log_init(o->prog, false, 0);
		opterr = 0;
		optind = 0; /* glibc: forget all of an earlier parse */
	}
	for (;;) {
		row = -1;
		c = getopt_long(argc, argv, p->shorts, p->longs, &row);
		if (row != -1 && c != '?' && c != ':')
			refuse_abbreviation(o, &p->longs[row], argv);
		switch (c) {
		case 'h':
			help(o);
		case 'V':
			printf("%s %s\n", o->prog, DFB_VERSION);
			exit(fflush(stdout) == 0 ? DFB_OK : DFB_IOERR);
		case 'q':
			o->verbose = -1;
			continue;
		case 'v':
			o->verbose = 1;
			continue;
		case ':':
			dfb_usage(o, "option '%s' needs a value", argv[optind - 1]);
		case '?':
			if (optopt != 0 && optopt < 256)
				dfb_usage(o, "unknown option '-%c'", optopt);
			dfb_usage(o, "unknown option '%s'", argv[optind - 1]);
		case -1:
			free(p->longs);
			free(p);
			o->state = NULL;
			dfb_log_init(o->prog, false, o->verbose);
			return -1;
		default:
			o->arg = optarg;
			set_name(o, c);
			return c;
		}
	}
}

_Noreturn void
dfb_usage(const struct dfb_opts *o, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_errx("%s", text);
	fprintf(stderr, "usage: %s %s\nTry '%s --help'.\n", o->prog, o->synopsis,
	    o->prog);
	exit(DFB_USAGE);
}

uint64_t
dfb_opt_count(const struct dfb_opts *o, uint64_t min, uint64_t max)
{
	uint64_t n;

	if (dfb_parse_count(o->arg, min, max, &n) == -1)
		dfb_usage(o, "%s takes a number from %llu to %llu (k, M, G for "
		    "thousands, millions, ...), not '%s'", o->name,
		    (unsigned long long)min, (unsigned long long)max, o->arg);
	return n;
}

uint64_t
dfb_opt_size(const struct dfb_opts *o, uint64_t min, uint64_t max)
{
	uint64_t n;

	if (dfb_parse_size(o->arg, min, max, &n) == -1)
		dfb_usage(o, "%s takes bytes from %llu to %llu (k, M, G for "
		    "KiB, MiB, GiB), not '%s'", o->name,
		    (unsigned long long)min, (unsigned long long)max, o->arg);
	return n;
}

uint64_t
dfb_opt_duration(const struct dfb_opts *o)
{
	uint64_t ms;

	if (dfb_parse_duration(o->arg, &ms) == -1)
		dfb_usage(o, "%s takes a time like 500ms, 10s, 5m, 1h or 2d, not '%s'",
		    o->name, o->arg);
	return ms;
}
