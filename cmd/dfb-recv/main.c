#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/opt.h"
#include "base/parse.h"
#include "common/format.h"
#include "common/framing.h"
#include "common/tool.h"
#include "dfb-recv/child.h"
#include "dfb-recv/coproc.h"
#include "dfb-recv/recv.h"
#include "wire/words.h"

#define CREDIT 1000
#define CREDIT_MAX 100000
#define JOBS_MAX 1000
#define MAX_TIME_MS (10 * 60 * 1000)

enum { PEEK = 1000, COPROC, MAX_TIME, CREDIT_OPT };

static const struct dfb_opt table[] = {
	{ 'g', "group", "GROUP", "share the messages with others of this group" },
	{ 'I', "instance", "NAME", "name of this member of the group" },
	{ 'G', "label", "LABEL", "take the messages of this gray label, and no others" },
	{ 'b', "broadcast", NULL, "get every message, whoever else does" },
	{ 'c', "count", "N", "stop after N messages" },
	{ 't', "idle", "TIME", "stop when nothing came for so long" },
	{ 'e', "stop-at-end", NULL, "stop when there are no more messages" },
	{ 'o', "from", "WHERE", "where a new group starts: beginning (default), end, "
	    "OFFSET, @TIME" },
	{ 'f', "format", "FORMAT", "print so: %t topic %q queue %o offset %k key %s body "
	    "%h headers %T time %i id %p 1 for a possible duplicate" },
	DFB_FRAMING_OPTIONS_OUT,
	{ 'r', "raw", NULL, "bodies only, nothing between them" },
	{ 'j', "jobs", "N", "run so many handlers at a time (1)" },
	{ COPROC, "coproc", NULL, "the handler stays, and speaks JSON lines" },
	{ MAX_TIME, "max-time", "TIME", "a handler's limit for a message (10m)" },
	{ CREDIT_OPT, "credit", "N", "messages under way at a time (1000; with a "
	    "handler 2 per job)" },
	{ PEEK, "peek", NULL, "look at what is stored, take nothing" },
	DFB_TOOL_OPTIONS,
	{ 0, NULL, NULL, NULL },
};

static bool
is_number(const char *s)
{
	return *s != '\0' && s[strspn(s, "0123456789")] == '\0';
}

static void
set_start(struct options *o, const struct dfb_opts *opts)
{
	const char *a = opts->arg;

	if (strcmp(a, "beginning") == 0)
		o->start = DFB_BEGINNING;
	else if (strcmp(a, "end") == 0)
		o->start = DFB_END;
	else if (is_number(a)) {
		errno = 0;
		o->start = DFB_OFFSET;
		o->start_value = strtoull(a, NULL, 10);
		if (errno != 0)
			dfb_usage(opts, "--from: offset '%s' is too large", a);
	} else if (*a == '@') {
		o->start = DFB_TIME;
		if (dfb_parse_when(is_number(a + 1) ? a : a + 1, &o->start_value) == -1)
			dfb_usage(opts, "--from takes a time like @2026-01-31T12:00:00Z, "
			    "@1767225600 or @-5m, not '%s'", a);
	} else
		dfb_usage(opts, "--from takes beginning, end, an offset or @TIME, "
		    "not '%s'", a);
}

static void
set_format(struct options *o, const struct dfb_opts *opts)
{
	char why[160];

	dfb_format_free(o->format);
	if ((o->format = dfb_format_new(opts->arg, why, sizeof why)) == NULL)
		dfb_usage(opts, "--format '%s': %s", opts->arg, why);
}

static void
set(struct options *o, const struct dfb_opts *opts, int letter)
{
	switch (letter) {
	case 'g':
		o->group = opts->arg;
		break;
	case 'I':
		o->instance = opts->arg;
		break;
	case 'G':
		o->label = opts->arg;
		break;
	case 'b':
		o->broadcast = true;
		break;
	case 'c':
		o->count = dfb_opt_count(opts, 1, UINT64_MAX - 1);
		break;
	case 't':
		if ((o->idle_ms = dfb_opt_duration(opts)) == 0)
			o->idle_ms = 1;
		break;
	case 'e':
		o->at_end = true;
		break;
	case 'o':
		set_start(o, opts);
		break;
	case 'f':
		set_format(o, opts);
		break;
	case 'j':
		o->jobs = (uint32_t)dfb_opt_count(opts, 1, JOBS_MAX);
		break;
	case COPROC:
		o->coproc = true;
		break;
	case MAX_TIME:
		if ((o->max_ms = dfb_opt_duration(opts)) == 0)
			o->max_ms = 1;
		break;
	case CREDIT_OPT:
		o->credit = (uint32_t)dfb_opt_count(opts, 1, CREDIT_MAX);
		break;
	case PEEK:
		o->peek = true;
		break;
	default:
		o->framing = dfb_framing_of_letter(letter);
	}
}

static void
check(struct options *o, const struct dfb_opts *opts)
{
	if (o->ndests == 0)
		dfb_usage(opts, "no topic or service is given");
	for (size_t i = 0; i < o->ndests; i++)
		dfb_tool_check_dest(opts, o->dests[i]);
	if (o->peek && (o->group != NULL || o->broadcast || o->handler != NULL))
		dfb_usage(opts, "--peek only looks: it has no group (-g, -b) and no handler");
	if (!o->peek && !o->broadcast && o->group == NULL)
		dfb_usage(opts, "a group is needed (-g NAME); -b gets every message without "
		    "one, --peek only looks");
	if (o->group != NULL && !dfb_group_valid(o->group))
		dfb_usage(opts, "'%s' is no group: 1 to 64 letters, digits, '_', '.' or "
		    "'-'", o->group);
	if (o->instance != NULL && !dfb_name_valid(o->instance))
		dfb_usage(opts, "'%s' is no instance: 1 to 64 letters, digits, '_', '.' or "
		    "'-'", o->instance);
	if (o->label != NULL && !dfb_name_valid(o->label))
		dfb_usage(opts, "'%s' is no label: 1 to 64 letters, digits, '_', '.' or "
		    "'-'", o->label);
	if (o->handler == NULL && (o->coproc || o->jobs != 0 || o->max_ms != 0))
		dfb_usage(opts, "--coproc, --jobs and --max-time are for handlers: "
		    "-- program arg... at the end");
	if (o->handler != NULL && (o->format != NULL || o->framing != -1))
		dfb_usage(opts, "-f, -0, -L, -J and -r print messages: a handler gets the "
		    "body");
	if (o->format != NULL && o->framing != -1)
		dfb_usage(opts, "-f says all there is to print: no -0, -L, -J or -r with it");
}

static void
fill_in(struct options *o)
{
	if (o->jobs == 0)
		o->jobs = 1;
	if (o->max_ms == 0)
		o->max_ms = MAX_TIME_MS;
	if (o->framing == -1)
		o->framing = DFB_FRAMING_LINES;
	if (o->credit != 0)
		return;
	o->credit = o->handler == NULL ? CREDIT : o->coproc ?
	    COPROC_WINDOW * o->jobs / (uint32_t)o->ndests : 2 * o->jobs;
	if (o->credit == 0)
		o->credit = 1;
}

static void
options(int argc, char **argv, struct dfb_opts *opts, struct options *o,
    struct dfb_tool *tool)
{
	int letter;

	/* getopt would move operands past the "--". */
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0) {
			o->handler = &argv[i + 1];
			argc = i;
		}
	while ((letter = dfb_opts_next(opts, argc, argv)) != -1)
		if (!dfb_tool_option(tool, opts, letter))
			set(o, opts, letter);
	o->dests = argv + optind;
	o->ndests = (size_t)(argc - optind);
	if (o->handler != NULL && o->handler[0] == NULL)
		dfb_usage(opts, "no handler after '--'");
	check(o, opts);
	fill_in(o);
	o->names = tool->names;
	o->region = tool->region;
	o->wait_ms = tool->wait_ms;
}

int
main(int argc, char **argv)
{
	struct dfb_opts opts = { .prog = "dfb-recv",
		.synopsis = "-g GROUP [options] DEST... [-- handler arg...]",
		.purpose = "Receive messages of topics or services: print them, or run a "
		    "handler for each.", .table = table };
	struct options o = { .count = UINT64_MAX, .framing = -1 };
	struct dfb_tool tool = {0};
	bool no_stdout = fcntl(STDOUT_FILENO, F_GETFD) == -1;
	struct dfb *client;
	enum dfb_status st;

	child_setup();
	options(argc, argv, &opts, &o, &tool);
	if (o.handler == NULL && no_stdout) {
		log_errx("stdout is closed: nowhere to print to");
		return DFB_IOERR;
	}
	if (o.handler != NULL && child_find(o.handler[0], o.path, sizeof o.path) == -1) {
		log_err("cannot run '%s'", o.handler[0]);
		return DFB_OSERR;
	}
	client = dfb_tool_open(&tool, &opts);
	st = o.peek ? peek(&o, client) : serve(&o, client);
	dfb_close(client);
	dfb_format_free(o.format);
	return (int)st;
}
