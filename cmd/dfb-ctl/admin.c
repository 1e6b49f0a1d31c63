/* Any verb of ADMIN, to one daemon: for scripts, and for what has no noun here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin.h"
#include "dfb-ctl/ctl.h"

static const struct dfb_opt table[] = { CTL_OPTIONS };

/* Its endpoint, of a daemon of any kind; -1: reported. */
static int
find(struct ctl *c, const char *name, struct ctl_broker *to)
{
	struct dfb_admin_daemon *list;
	enum dfb_status st;
	size_t n, i = 0;

	snprintf(to->name, sizeof to->name, "%s", name);
	snprintf(to->endpoint, sizeof to->endpoint, "%s", name);
	if (strstr(name, "://") != NULL)
		return 0;
	if ((st = dfb_admin_daemons(c->dfb, c->timeout_ms, &list, &n)) != DFB_OK) {
		ctl_fail(c, st, "%s", dfb_error(c->dfb));
		return -1;
	}
	while (i < n && strcmp(list[i].name, name) != 0)
		i++;
	if (i < n)
		snprintf(to->endpoint, sizeof to->endpoint, "%s", list[i].endpoint);
	else
		ctl_fail(c, DFB_NOBODY, "no daemon '%s' is known to the name server: "
		    "'dfb-ctl broker list' shows those that are", name);
	free(list);
	return i < n ? 0 : -1;
}

static void
ask(struct ctl *c)
{
	json_t *args = c->nargs > 2 ? json_loads(c->args[2], JSON_REJECT_DUPLICATES, NULL) :
	    ctl_must(json_object()), *j;
	struct ctl_broker to = { 0 };
	enum dfb_status st;
	const char *why;

	if (!json_is_object(args))
		dfb_usage(&c->opts, "'%s' is no JSON object", c->args[2]);
	if (find(c, c->args[0], &to) == 0) {
		if ((j = ctl_ask_quietly(c, &to, c->args[1], args, &st, &why)) != NULL)
			ctl_print_json(j);
		else
			ctl_fail(c, st, "'%s': %s", c->args[0], why);
	}
	json_decref(args);
}

const struct ctl_verb ctl_admin_verbs[] = {
	{ "ask", NULL, "ask [options] NAME VERB [JSON]",
	    "Have one daemon, by its name or endpoint, do a verb of dfb-protocol(7), and print "
	    "its answer.", table, NULL, 2, 3, ask },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
