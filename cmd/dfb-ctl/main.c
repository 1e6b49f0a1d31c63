#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "common/format.h"
#include "dfb-ctl/ctl.h"

#define TIMEOUT_MS 10000
#define DEFAULT_COUNT 10
#define AWAIT_MS 10000

static const struct dfb_opt table[] = { CTL_OPTIONS };

static const struct ctl_verb *const all[] = { ctl_topic_verbs, ctl_group_verbs,
	ctl_timer_verbs, ctl_broker_verbs, ctl_gray_verbs, ctl_net_verbs, ctl_peek_verbs,
	ctl_dlq_verbs, ctl_why_verbs, ctl_service_verbs, ctl_affinity_verbs,
	ctl_distance_verbs, ctl_admin_verbs, NULL };

void
ctl_fail(struct ctl *c, enum dfb_status st, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_errx("%s", text);
	if (c->status == DFB_OK)
		c->status = st;
}

void *
ctl_must(void *p)
{
	if (p == NULL) {
		log_errx("out of memory");
		exit(DFB_OSERR);
	}
	return p;
}

/* ---- which verb ---- */

/* Append what can follow noun (NULL: the nouns), once each. */
static void
list_words(const char *noun, char *text, size_t size)
{
	const char *last = NULL;

	*text = '\0';
	for (size_t i = 0; all[i] != NULL; i++)
		for (const struct ctl_verb *v = all[i]; v->noun != NULL; v++) {
			const char *word = noun == NULL ? v->noun : v->verb;
			size_t len = strlen(text);
			if ((noun != NULL && strcmp(noun, v->noun) != 0) ||
			    (last != NULL && strcmp(last, word) == 0))
				continue;
			snprintf(text + len, size - len, "%s%s", len != 0 ? ", " : "", word);
			last = word;
		}
}

/* Append a line for each verb of noun (NULL: of all). */
static void
list_verbs(const char *noun, char *text, size_t size)
{
	for (size_t i = 0; all[i] != NULL; i++)
		for (const struct ctl_verb *v = all[i]; v->noun != NULL; v++) {
			size_t len = strlen(text);
			if (noun == NULL || strcmp(noun, v->noun) == 0)
				snprintf(text + len, size - len, "%s  dfb-ctl %s",
				    len != 0 ? "\n" : "", v->synopsis);
		}
}

/* The verb that argv begins with; *used words of it.  Does not return when it is none. */
static const struct ctl_verb *
find_verb(struct ctl *c, int argc, char **argv, int *used)
{
	const char *noun = argc > 0 ? argv[0] : NULL, *verb = argc > 1 ? argv[1] : NULL;
	char words[2048] = "";
	bool known = false;

	for (size_t i = 0; noun != NULL && all[i] != NULL; i++)
		for (const struct ctl_verb *v = all[i]; v->noun != NULL; v++) {
			if (strcmp(v->noun, noun) != 0)
				continue;
			known = true;
			*used = v->verb != NULL ? 2 : 1;
			if (v->verb == NULL || (verb != NULL && strcmp(v->verb, verb) == 0))
				return v;
		}
	if (known && verb != NULL && (strcmp(verb, "-h") == 0 || strcmp(verb, "--help") == 0)) {
		list_verbs(noun, words, sizeof words);
		puts(words);
		exit(fflush(stdout) == 0 ? DFB_OK : DFB_IOERR);
	}
	list_words(known ? noun : NULL, words, sizeof words);
	if (noun == NULL)
		dfb_usage(&c->opts, "say what to look at: one of %s", words);
	if (!known)
		dfb_usage(&c->opts, "'%s' is nothing known: give one of %s", noun, words);
	if (verb == NULL)
		dfb_usage(&c->opts, "say what to do with a %s: one of %s", noun, words);
	dfb_usage(&c->opts, "'%s' is nothing that can be done with a %s: give one of %s",
	    verb, noun, words);
}

/* ---- the command line ---- */

static void
options(struct ctl *c, const struct ctl_verb *v, int argc, char **argv)
{
	struct dfb_opts *o = &c->opts;
	int letter;

	while ((letter = dfb_opts_next(o, argc, argv)) != -1) {
		if (letter == CTL_LETTER_TIMEOUT) {
			uint64_t ms = dfb_opt_duration(o);
			c->timeout_ms = ms < INT32_MAX ? (int)ms : INT32_MAX;
			c->tool.wait_ms = ms != 0 ? ms : 1;
			c->timed = true;
		} else if (letter == 'J')
			c->json = true;
		else if (!dfb_tool_option(&c->tool, o, letter) && v != NULL)
			v->option(c, letter);
	}
}

static void
parse(struct ctl *c, const struct ctl_verb **verb, int argc, char **argv)
{
	const struct ctl_verb *v;
	char purpose[4096];
	int used;

	snprintf(purpose, sizeof purpose, "Look after a bus: its topics, groups and "
	    "brokers.  Each of these takes --help:");
	list_verbs(NULL, purpose, sizeof purpose);
	c->opts = (struct dfb_opts){ .prog = "dfb-ctl",
		.synopsis = "[options] NOUN [VERB] [options] [ARG...]",
		.purpose = purpose, .table = table, .stop_at_first = true };
	options(c, NULL, argc, argv);
	argc -= optind;
	argv += optind;
	*verb = v = find_verb(c, argc, argv, &used);
	c->opts.synopsis = v->synopsis;
	c->opts.purpose = v->purpose;
	c->opts.table = v->table;
	c->opts.stop_at_first = false;
	/* The verb's last word stands where a program's name would. */
	options(c, v, argc - used + 1, argv + used - 1);
	c->args = argv + used - 1 + optind;
	c->nargs = argc - used + 1 - optind;
	if (c->nargs < v->min)
		dfb_usage(&c->opts, "an argument is missing");
	if (c->nargs > v->max)
		dfb_usage(&c->opts, "'%s' is one argument too many", c->args[v->max]);
}

int
main(int argc, char **argv)
{
	struct ctl c = { .timeout_ms = TIMEOUT_MS, .queue = -1, .count = DEFAULT_COUNT,
		.stuck_ms = UINT64_MAX, .await_ms = AWAIT_MS };
	const struct ctl_verb *v;

	c.settings = ctl_must(json_object());
	c.change = ctl_must(json_object());
	parse(&c, &v, argc, argv);
	c.dfb = dfb_tool_open(&c.tool, &c.opts);
	v->run(&c);
	dfb_close(c.dfb);
	json_decref(c.settings);
	json_decref(c.change);
	free(c.sgs);
	dfb_format_free(c.format);
	free(c.where);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		log_err("cannot write");
		return DFB_IOERR;
	}
	return (int)c.status;
}
