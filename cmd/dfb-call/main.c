#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/opt.h"
#include "client/client.h"
#include "common/tool.h"
#include "dfb-call/call.h"

#define TIMEOUT_MS 30000
#define WINDOW 256
#define WINDOW_MAX 1000000
#define LETTER_COLLECT 901

static const struct dfb_opt table[] = {
	DFB_MSGOPT_OPTIONS,
	{ 't', "timeout", "TIME", "how long a reply may take (30s)" },
	{ 'l', "lines", NULL, "a call per line; as -0, -L and -J do, replies in order" },
	{ 'w', "window", "N", "calls under way at most, with -l and the like (256)" },
	DFB_FRAMING_OPTIONS,
	{ 'm', "message", "TEXT", "the request is TEXT" },
	{ LETTER_COLLECT, "collect", "ID", "the reply of a call that was made with -i ID" },
	DFB_TOOL_OPTIONS,
	{ 0, NULL, NULL, NULL },
};

/* What the command line asks for. */
struct args {
	struct dfb_tool tool;
	int framing;             /* -1: none was given */
	bool lines;
	const char *text, *dest;
};

static void
options(struct args *a, struct call *k, struct dfb_opts *o, int argc, char **argv)
{
	int c;

	while ((c = dfb_opts_next(o, argc, argv)) != -1) {
		if (dfb_tool_option(&a->tool, o, c) ||
		    dfb_msgopt_option(&k->options, o, c))
			continue;
		switch (c) {
		case 't':
			if ((k->timeout_ms = dfb_opt_duration(o)) == 0)
				dfb_usage(o, "-t takes a time above 0");
			break;
		case 'l':
			a->lines = true;
			break;
		case 'w':
			k->window = (uint32_t)dfb_opt_count(o, 1, WINDOW_MAX);
			break;
		case 'm':
			if (a->text != NULL)
				dfb_usage(o, "-m more than once");
			a->text = o->arg;
			break;
		case LETTER_COLLECT:
			if (dfb_id_of(o->arg, &k->collect) == -1)
				dfb_usage(o, "--collect takes a UUID, or any text of 1 to %d "
				    "bytes", DFB_ID_NAME_MAX);
			k->collects = true;
			break;
		default:
			if (a->framing != -1 && a->framing != dfb_framing_of_letter(c))
				dfb_usage(o, "give one of -0, -L, -r and -J");
			a->framing = dfb_framing_of_letter(c);
		}
	}
	if (optind == argc)
		dfb_usage(o, "no destination: a service, or a topic like A10-payments");
	if (optind + 1 < argc)
		dfb_usage(o, "'%s' is one operand too many: the request comes from "
		    "stdin or -m", argv[optind + 1]);
	a->dest = argv[optind];
	dfb_tool_check_dest(o, a->dest);
}

static void
choose_framing(struct args *a, struct call *k, const struct dfb_opts *o)
{
	if (k->collects && (a->text != NULL || a->lines || k->options.has_id ||
	    (a->framing != -1 && a->framing != DFB_FRAMING_RAW &&
	    a->framing != DFB_FRAMING_JSON)))
		dfb_usage(o, "--collect sends no request: of -m, -i, -l, -0, -L, -r and -J "
		    "only -r or -J go with it");
	if (a->lines && a->framing == DFB_FRAMING_RAW)
		dfb_usage(o, "give -l or -r, not both");
	if (a->text != NULL && (a->lines || (a->framing != -1 &&
	    a->framing != DFB_FRAMING_JSON && a->framing != DFB_FRAMING_RAW)))
		dfb_usage(o, "-m is one request: of -l, -0, -L and -J only -J goes "
		    "with it");
	if (a->framing != -1)
		k->framing = (enum dfb_framing)a->framing;
	else
		k->framing = a->lines ? DFB_FRAMING_LINES : DFB_FRAMING_RAW;
}

int
main(int argc, char **argv)
{
	struct dfb_opts o = { .prog = "dfb-call", .synopsis = "[options] DEST",
		.purpose = "Send stdin as a request to a service or topic and print the "
		    "reply.\nWith a call per message a failed one prints an empty reply "
		    "(-J: its status and\nreason), so that replies and requests stay "
		    "aligned.",
		.table = table };
	struct args a = { .framing = -1 };
	struct call k = { .timeout_ms = TIMEOUT_MS, .window = WINDOW };
	enum dfb_status st = DFB_OK;

	k.report.in = &k.in;
	options(&a, &k, &o, argc, argv);
	choose_framing(&a, &k, &o);
	if (a.text == NULL && !k.collects && dfb_input_unreadable(NULL, 0) != NULL) {
		log_err("cannot read standard input");
		return DFB_IOERR;
	}
	k.one = k.options.has_id;
	/* One request: with more, whoever reads our stdout can hold us up, and heartbeats. */
	a.tool.direct = a.text != NULL || k.framing == DFB_FRAMING_RAW;
	k.dfb = dfb_tool_open(&a.tool, &o);
	if ((st = dfb_caller_open(k.dfb, a.dest, &k.caller)) != DFB_OK) {
		log_errx("%s", dfb_error(k.dfb));
		return (int)st;
	}
	if (k.collects)
		dfb_input_init_text(&k.in, DFB_FRAMING_LINES, "");
	else if (a.text == NULL)
		dfb_input_init(&k.in, k.framing, NULL, 0, dfb_client_loop(k.dfb));
	else if (dfb_input_init_text(&k.in, k.framing, a.text) == -1) {
		log_err("cannot start");
		return DFB_OSERR;
	}
	if (call_run(&k, &st) == 0)
		st = k.report.status;
	dfb_caller_close(k.caller);
	call_release(&k); /* the loop is the client's */
	dfb_close(k.dfb);
	return (int)st;
}
