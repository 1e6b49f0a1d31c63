/* Services: what is changed. */
#include <string.h>

#include "dfb-ctl/ctl.h"
#include "dfb-ctl/settings.h"
#include "dfb-ctl/sgs.h"

enum { OPT_DESCRIPTION = CTL_LETTER_OWN, OPT_WEIGHT, OPT_ROLLBACK, OPT_WAIT, OPT_ADOPT, OPT_STATE,
	OPT_FROM, OPT_DEFAULT, OPT_DRY_RUN, OPT_PRUNE };

#define WEIGHT_MAX 1000
#define DESCRIPTION_MAX 500

static const struct dfb_opt apply_table[] = {
	{ OPT_DEFAULT, "default", NULL, "all settings as usual, but for those given" },
	{ OPT_DESCRIPTION, "description", "TEXT", "what it is, for people" },
	CTL_DURABILITY_OPTION,
	CTL_SETTINGS_OPTIONS,
	CTL_CHANGE_OPTIONS,
	CTL_OPTIONS,
};
static const struct dfb_opt deploy_table[] = {
	{ OPT_WEIGHT, "weight", "N", "its share beside other regions, 0 to 1000 (100)" },
	{ OPT_WAIT, "wait", "TIME", "until it is online (10s); 0: do not wait" },
	{ OPT_ROLLBACK, "rollback", NULL, "take it back when it is not online by then" },
	{ OPT_ADOPT, "adopt", NULL, "topics that are there become the service's" },
	CTL_CHANGE_OPTIONS,
	CTL_OPTIONS,
};
static const struct dfb_opt undeploy_table[] = {
	{ OPT_WAIT, "wait", "TIME", "until it is offline (10s); 0: do not wait" },
	CTL_CHANGE_OPTIONS,
	CTL_OPTIONS,
};
static const struct dfb_opt change_table[] = { CTL_CHANGE_OPTIONS, CTL_OPTIONS };
static const struct dfb_opt plain_table[] = { CTL_OPTIONS };
static const struct dfb_opt list_table[] = {
	{ OPT_STATE, "state", "STATE", "only those applied, approved or retired" },
	CTL_OPTIONS,
};
static const struct dfb_opt history_table[] = {
	{ OPT_FROM, "from", "N", "from this version on" },
	{ 'c', "count", "N", "the last ones, so many" },
	CTL_OPTIONS,
};
static const struct dfb_opt locate_table[] = {
	{ 'k', "key", "KEY", "for messages with this key" },
	CTL_OPTIONS,
};
static const struct dfb_opt import_table[] = {
	{ OPT_DRY_RUN, "dry-run", NULL, "print what differs, as commands; 1 if anything does" },
	{ OPT_PRUNE, "prune", NULL, "what the file does not have goes" },
	{ OPT_WAIT, "wait", "TIME", "for each deployment (10s); 0: do not wait" },
	CTL_OPTIONS,
};

static void
option(struct ctl *c, int letter)
{
	const struct dfb_opts *o = &c->opts;

	if (ctl_setting(c, letter) || ctl_change_option(c, letter))
		return;
	switch (letter) {
	case OPT_DESCRIPTION:
		c->description = o->arg;
		if (*o->arg == '\0' || strlen(o->arg) > DESCRIPTION_MAX ||
		    json_object_set_new(c->change, "description", json_string(o->arg)) == -1)
			dfb_usage(o, "--description takes 1 to %d bytes of text",
			    DESCRIPTION_MAX);
		break;
	case OPT_DEFAULT: c->usual = true; break;
	case OPT_WEIGHT:
		json_object_set_new(c->change, "weight",
		    json_integer((json_int_t)dfb_opt_count(o, 0, WEIGHT_MAX)));
		break;
	case OPT_ROLLBACK:
		json_object_set_new(c->change, "mode", json_string("rollback"));
		break;
	case OPT_ADOPT: json_object_set_new(c->change, "adopt", json_true()); break;
	case OPT_WAIT: c->await_ms = dfb_opt_duration(o); break;
	case OPT_STATE: c->state = o->arg; break;
	case OPT_FROM: c->start_value = dfb_opt_count(o, 0, INT64_MAX); break;
	case OPT_DRY_RUN: c->dry_run = true; break;
	case OPT_PRUNE: c->prune = true; break;
	case 'k': c->key = o->arg; break;
	case 'c':
		c->count = dfb_opt_count(o, 1, UINT64_MAX);
		c->counted = true;
		break;
	}
}

/* ---- operands ---- */

static const char *
service(struct ctl *c)
{
	if (dfb_word_kind(c->args[0]) != DFB_WORD_SERVICE)
		dfb_usage(&c->opts, "'%s' is no service: a service is 1 to 64 letters, digits, '_' "
		    "or '.', like pay", c->args[0]);
	return c->args[0];
}

static const char *
region(struct ctl *c)
{
	if (!dfb_region_valid(c->args[1]))
		dfb_usage(&c->opts, "'%s' is no region: 3 capital letters or digits, like A10",
		    c->args[1]);
	return c->args[1];
}

/* ---- verbs ---- */

static void
apply(struct ctl *c)
{
	json_t *args = json_pack("{s:s}", "service", service(c));

	if (c->usual || json_object_size(c->settings) != 0)
		json_object_set(ctl_must(args), "settings", c->settings);
	ctl_sgs_done(c, ctl_sgs_change(c, "service.apply", args));
}

static void
whole(struct ctl *c, const char *verb)
{
	ctl_sgs_done(c, ctl_sgs_change(c, verb, json_pack("{s:s}", "service", service(c))));
}

static void
approve(struct ctl *c)
{
	whole(c, "service.approve");
}

static void
retire(struct ctl *c)
{
	whole(c, "service.retire");
}

/* A change of a deployment; what the service is then.  NULL: reported. */
static json_t *
place(struct ctl *c, const char *verb)
{
	return ctl_sgs_change(c, verb, json_pack("{s:s, s:s}", "service", service(c), "region",
	    region(c)));
}

static void
wait_for(struct ctl *c, json_t *j, const char *want)
{
	if (j != NULL && c->await_ms != 0) {
		json_decref(j);
		j = ctl_sgs_await(c, c->args[0], c->args[1], want);
	}
	ctl_sgs_done(c, j);
}

static void
deploy(struct ctl *c)
{
	if (json_object_get(c->change, "mode") != NULL) {
		if (json_object_get(c->change, "adopt") != NULL)
			dfb_usage(&c->opts, "--adopt and --rollback do not go together: taking "
			    "back would end topics that were there before");
		if (c->await_ms == 0)
			dfb_usage(&c->opts, "--rollback needs a time to --wait");
		json_object_set_new(c->change, "within_ms",
		    json_integer((json_int_t)c->await_ms));
		c->await_ms += 2000; /* to see that it was */
	}
	wait_for(c, place(c, "service.deploy"), "online");
}

static void
undeploy(struct ctl *c)
{
	wait_for(c, place(c, "service.undeploy"), "offline");
}

static void
suspend(struct ctl *c)
{
	ctl_sgs_done(c, place(c, "service.suspend"));
}

static void
resume(struct ctl *c)
{
	ctl_sgs_done(c, place(c, "service.resume"));
}

static void
weight(struct ctl *c)
{
	json_object_set_new(c->change, "weight", json_integer((json_int_t)ctl_number(c,
	    "a weight", c->args[2], WEIGHT_MAX)));
	ctl_sgs_done(c, place(c, "service.weight"));
}

const struct ctl_verb ctl_service_verbs[] = {
	{ "service", "apply", "service apply [options] SERVICE",
	    "Propose a service with these settings, or other settings for one.  What is not given "
	    "is as usual; nothing is done before it is approved.",
	    apply_table, option, 1, 1, apply },
	{ "service", "approve", "service approve [options] SERVICE",
	    "Approve what was applied: the service can be deployed, new settings are rolled out.",
	    change_table, option, 1, 1, approve },
	{ "service", "deploy", "service deploy [options] SERVICE REGION",
	    "Make the service's topic on all brokers of a region, and have senders find it there.",
	    deploy_table, option, 2, 2, deploy },
	{ "service", "suspend", "service suspend [options] SERVICE REGION",
	    "Have senders go to other regions; nothing is lost, what is there is delivered.",
	    change_table, option, 2, 2, suspend },
	{ "service", "resume", "service resume [options] SERVICE REGION",
	    "Have senders find it there again.", change_table, option, 2, 2, resume },
	{ "service", "undeploy", "service undeploy [options] SERVICE REGION",
	    "Take the service out of a region: no more senders, then what is left is delivered, "
	    "then its topic is deleted.", undeploy_table, option, 2, 2, undeploy },
	{ "service", "weight", "service weight [options] SERVICE REGION N",
	    "Change a region's share beside others as near; with 0 it is a last resort.",
	    change_table, option, 3, 3, weight },
	{ "service", "retire", "service retire [options] SERVICE",
	    "End a service that is deployed nowhere.", change_table, option, 1, 1, retire },
	{ "service", "show", "service show [options] SERVICE",
	    "Print what a service is, where it is, and what it waits for.", plain_table, NULL,
	    1, 1, ctl_service_show },
	{ "service", "list", "service list [options] [PREFIX]",
	    "Print all services; with -R those that are in that region.", list_table, option,
	    0, 1, ctl_service_list },
	{ "service", "history", "service history [options] [SERVICE]",
	    "Print who changed what, and when: of a service, or of all.", history_table, option,
	    0, 1, ctl_service_history },
	{ "service", "locate", "service locate [options] SERVICE",
	    "Print where senders go, as a gsl says: of region -R, for a key.", locate_table,
	    option, 1, 1, ctl_service_locate },
	{ "service", "export", "service export [options]",
	    "Print all services, keys and distances, as import reads them.", plain_table, NULL,
	    0, 0, ctl_service_export },
	{ "service", "import", "service import [options] FILE",
	    "Have services be as a file says ('-': stdin).", import_table, option, 1, 1,
	    ctl_service_import },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL },
};
