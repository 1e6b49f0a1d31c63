/* What commands change in a service. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/grayrule.h"
#include "common/settings.h"
#include "dfb-sgs/command.h"

#define DESCRIPTION_MAX 500
#define LABELS_MAX 60 /* a topic has 64 lanes */
#define REGIONS_MAX 1000
#define WEIGHT 100
#define WEIGHT_MAX 1000
#define WITHIN_MS 10000
#define WITHIN_MAX_MS 86400000

/* ---- settings ---- */

const char *
settings_durability(const json_t *settings)
{
	const char *text = json_string_value(json_object_get(settings, "durability"));

	return text != NULL ? text : "async";
}

/* Those that a topic can be made with, each by its name. */
static int
check_settings(struct edit *e, json_t *given)
{
	if (!json_is_object(given))
		return edit_refuse(e, DFB_BADINPUT, "'settings' must be an object");
	if (settings_check(given, e->why) == -1) {
		e->status = DFB_BADINPUT;
		return -1;
	}
	return 0;
}

/* Topics that are there keep the durability that they were made with. */
static int
check_durability(struct edit *e, const json_t *settings)
{
	const char *is = settings_durability(json_object_get(e->after, "settings")),
	    *wanted = settings_durability(settings);

	if (!e->from.busy || strcmp(is, wanted) == 0)
		return 0;
	return edit_refuse(e, DFB_BADINPUT, "durability cannot change from %s to %s while '%s' "
	    "is deployed: undeploy it everywhere first", is, wanted, e->name);
}

/* ---- the service ---- */

/* New, or again after its retirement. */
static void
begin(struct edit *e)
{
	json_object_clear(e->after);
	edit_set(e, e->after, "service", json_string(e->name));
	edit_set(e, e->after, "owner", json_string(e->who));
	edit_set(e, e->after, "settings", json_object());
	edit_set(e, e->after, "gray", json_object());
	edit_set(e, e->after, "regions", json_object());
}

static int
apply(struct edit *e)
{
	json_t *given = json_object_get(e->args, "settings");
	const char *description;
	int rc;

	if (given != NULL && check_settings(e, given) == -1)
		return -1;
	if ((rc = edit_text(e, "description", DESCRIPTION_MAX, &description)) == -1)
		return -1;
	if (e->from.service == SERVICE_NONE || e->from.service == SERVICE_RETIRED)
		begin(e);
	if (rc == 1)
		edit_set(e, e->after, "description", json_string(description));
	if (given == NULL)
		return 0;
	if (e->from.service != SERVICE_APPROVED)
		edit_set(e, e->after, "settings", json_deep_copy(given));
	else if (json_equal(given, json_object_get(e->after, "settings")))
		json_object_del(e->after, "proposed");
	else if (check_durability(e, given) == -1)
		return -1;
	else
		edit_set(e, e->after, "proposed", json_deep_copy(given));
	return 0;
}

static int
approve(struct edit *e)
{
	json_t *proposed = json_object_get(e->after, "proposed");

	if (proposed == NULL)
		return 0;
	if (check_durability(e, proposed) == -1)
		return -1;
	edit_set(e, e->after, "settings", json_incref(proposed));
	json_object_del(e->after, "proposed");
	return 0;
}

static int
retire(struct edit *e)
{
	json_object_del(e->after, "proposed");
	edit_set(e, e->after, "gray", json_object());
	edit_set(e, e->after, "regions", json_object());
	return 0;
}

/* ---- gray release ---- */

static double
percent_of(const json_t *rule)
{
	return json_number_value(json_object_get(rule, "percent"));
}

static int
gray_set(struct edit *e)
{
	json_t *rules = json_object_get(e->after, "gray"), *rule, *other;
	struct gray *r = gray_from_json(e->args, e->why);
	const char *label;
	double sum;

	if (r == NULL) {
		e->status = DFB_BADINPUT;
		return -1;
	}
	if ((rule = gray_to_json(r)) == NULL)
		e->failed = true;
	sum = percent_of(rule);
	json_object_del(rule, "label");
	json_object_foreach(rules, label, other)
		sum += strcmp(label, r->label) != 0 ? percent_of(other) : 0;
	edit_set(e, rules, r->label, rule);
	gray_release(r);
	if (sum > 100.001)
		return edit_refuse(e, DFB_BADINPUT, "the rules of '%s' would share out more than "
		    "100 percent", e->name);
	if (json_object_size(rules) > LABELS_MAX)
		return edit_refuse(e, DFB_BADINPUT, "a service has at most %d labels", LABELS_MAX);
	return 0;
}

static int
gray_delete(struct edit *e)
{
	const char *label = json_string_value(json_object_get(e->args, "label"));

	if (label == NULL || json_object_del(json_object_get(e->after, "gray"), label) == -1)
		return edit_refuse(e, DFB_NOBODY, "service '%s' has no rule for label '%.64s'",
		    e->name, label != NULL ? label : "");
	return 0;
}

/* ---- deployments ---- */

static int
weight(struct edit *e, bool needed)
{
	int64_t n;
	int rc = edit_number(e, "weight", 0, WEIGHT_MAX, &n);

	if (rc == 0 && needed)
		return edit_refuse(e, DFB_BADINPUT, "'weight' is missing: 0 to %d", WEIGHT_MAX);
	if (rc == 1)
		edit_set(e, e->deployment, "weight", json_integer(n));
	return rc == -1 ? -1 : 0;
}

static int
deploy(struct edit *e)
{
	const char *mode;
	json_t *adopt = json_object_get(e->args, "adopt");
	int64_t within = WITHIN_MS;

	if (edit_text(e, "mode", 16, &mode) == -1 ||
	    edit_number(e, "within_ms", 1, WITHIN_MAX_MS, &within) == -1)
		return -1;
	if (mode != NULL && strcmp(mode, "retry") != 0 && strcmp(mode, "rollback") != 0)
		return edit_refuse(e, DFB_BADINPUT, "'mode' must be retry or rollback");
	if (adopt != NULL && !json_is_boolean(adopt))
		return edit_refuse(e, DFB_BADINPUT, "'adopt' must be true or false");
	if (json_is_true(adopt) && mode != NULL && strcmp(mode, "rollback") == 0)
		return edit_refuse(e, DFB_BADINPUT, "'adopt' does not go with mode rollback: taking "
		    "back would end topics that were there before");
	if (e->from.deployment == DEPLOYMENT_NONE &&
	    json_object_size(json_object_get(e->after, "regions")) > REGIONS_MAX)
		return edit_refuse(e, DFB_AGAIN, "a service has at most %d regions", REGIONS_MAX);
	/* One that is taken back keeps its weight, a new one begins anew. */
	if (e->from.deployment == DEPLOYMENT_NONE || e->from.deployment == DEPLOYMENT_OFFLINE)
		edit_set(e, e->deployment, "weight", json_integer(WEIGHT));
	if (mode != NULL && strcmp(mode, "rollback") == 0) {
		edit_set(e, e->deployment, "mode", json_string(mode));
		edit_set(e, e->deployment, "until_ms",
		    json_integer((json_int_t)(e->now_ms + (uint64_t)within)));
	}
	if (json_is_true(adopt))
		edit_set(e, e->deployment, "adopt", json_true());
	return weight(e, false);
}

/* The deployment of the region, made if need be, in its new state. */
static void
move(struct edit *e)
{
	json_t *regions = json_object_get(e->after, "regions");

	if ((e->deployment = json_object_get(regions, e->region)) == NULL) {
		edit_set(e, regions, e->region, json_object());
		e->deployment = json_object_get(regions, e->region);
	}
	if (e->from.deployment == e->to.deployment)
		return;
	edit_set(e, e->deployment, "state",
	    json_string(deployment_state_text(e->to.deployment)));
	edit_set(e, e->deployment, "since_ms", json_integer((json_int_t)e->now_ms));
	json_object_del(e->deployment, "mode");
	json_object_del(e->deployment, "until_ms");
	json_object_del(e->deployment, "why");
	if (e->to.deployment == DEPLOYMENT_OFFLINE || e->command == COMMAND_DEPLOY)
		json_object_del(e->deployment, "adopt");
}

int
edit_service(struct edit *e)
{
	int rc = 0;

	if (command_names_region(e->command))
		move(e);
	switch (e->command) {
	case COMMAND_APPLY: rc = apply(e); break;
	case COMMAND_APPROVE: rc = approve(e); break;
	case COMMAND_RETIRE: rc = retire(e); break;
	case COMMAND_GRAY_SET: rc = gray_set(e); break;
	case COMMAND_GRAY_DELETE: rc = gray_delete(e); break;
	case COMMAND_DEPLOY: rc = deploy(e); break;
	case COMMAND_WEIGHT: rc = weight(e, true); break;
	default: break;
	}
	edit_set(e, e->after, "state", json_string(service_state_text(e->to.service)));
	return rc;
}
