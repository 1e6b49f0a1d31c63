#include "dfb-sgs/states.h"

#include <stdio.h>
#include <string.h>

#define S(x) (1u << SERVICE_##x)
#define D(x) (1u << DEPLOYMENT_##x)

/* What must hold besides. */
enum condition { ALWAYS, IF_PROPOSED, IF_IDLE };

/*
 * The edges.  from: states of the service; to: its state afterwards.  With deployments: states
 * that the deployment is in, and its state afterwards; SAME leaves either as it is.
 */
#define SAME 255
static const struct edge {
	enum command command;
	unsigned from;
	unsigned char to;
	unsigned deployments;
	unsigned char deployment;
	enum condition condition;
} edges[] = {
	{ COMMAND_APPLY, S(NONE) | S(RETIRED) | S(APPLIED), SERVICE_APPLIED, 0, SAME, ALWAYS },
	{ COMMAND_APPLY, S(APPROVED), SAME, 0, SAME, ALWAYS }, /* proposed */
	{ COMMAND_APPROVE, S(APPLIED), SERVICE_APPROVED, 0, SAME, ALWAYS },
	{ COMMAND_APPROVE, S(APPROVED), SAME, 0, SAME, IF_PROPOSED },
	{ COMMAND_RETIRE, S(APPLIED) | S(APPROVED), SERVICE_RETIRED, 0, SAME, IF_IDLE },
	{ COMMAND_GRAY_SET, S(APPLIED) | S(APPROVED), SAME, 0, SAME, ALWAYS },
	{ COMMAND_GRAY_DELETE, S(APPLIED) | S(APPROVED), SAME, 0, SAME, ALWAYS },

	{ COMMAND_DEPLOY, S(APPROVED), SAME, D(NONE) | D(OFFLINE) | D(DRAINING),
	    DEPLOYMENT_DEPLOYING, ALWAYS },
	{ COMMAND_SUSPEND, S(APPROVED), SAME, D(ONLINE), DEPLOYMENT_SUSPENDED, ALWAYS },
	{ COMMAND_RESUME, S(APPROVED), SAME, D(SUSPENDED), DEPLOYMENT_ONLINE, ALWAYS },
	{ COMMAND_UNDEPLOY, S(APPROVED), SAME, D(DEPLOYING) | D(ONLINE) | D(SUSPENDED),
	    DEPLOYMENT_DRAINING, ALWAYS },
	{ COMMAND_WEIGHT, S(APPROVED), SAME,
	    D(DEPLOYING) | D(ONLINE) | D(SUSPENDED) | D(DRAINING), SAME, ALWAYS },
	{ COMMAND_DEPLOYED, S(APPROVED), SAME, D(DEPLOYING), DEPLOYMENT_ONLINE, ALWAYS },
	{ COMMAND_ROLLED_BACK, S(APPROVED), SAME, D(DEPLOYING), DEPLOYMENT_OFFLINE, ALWAYS },
	{ COMMAND_DRAINED, S(APPROVED), SAME, D(DRAINING), DEPLOYMENT_OFFLINE, ALWAYS },
};
#define EDGES (sizeof edges / sizeof edges[0])

static const char *const commands[] = { "apply", "approve", "retire", "deploy", "suspend",
	"resume", "undeploy", "weight", "gray.set", "gray.delete", "deployed", "rolled-back",
	"drained" };
static const char *const services[] = { "none", "applied", "approved", "retired" };
static const char *const deployments[] = { "none", "offline", "deploying", "online",
	"suspended", "draining" };

bool
command_names_region(enum command c)
{
	return c != COMMAND_APPLY && c != COMMAND_APPROVE && c != COMMAND_RETIRE &&
	    c != COMMAND_GRAY_SET && c != COMMAND_GRAY_DELETE;
}

static bool
holds(const struct place *at, enum condition c)
{
	return c == ALWAYS || (c == IF_PROPOSED && at->proposed) ||
	    (c == IF_IDLE && !at->busy);
}

bool
states_next(const struct place *at, enum command c, struct place *to)
{
	for (size_t i = 0; i < EDGES; i++) {
		const struct edge *e = &edges[i];
		if (e->command != c || (e->from & 1u << at->service) == 0 ||
		    (e->deployments != 0 && (e->deployments & 1u << at->deployment) == 0) ||
		    !holds(at, e->condition))
			continue;
		*to = *at;
		if (e->to != SAME)
			to->service = (enum service_state)e->to;
		if (e->deployment != SAME)
			to->deployment = (enum deployment_state)e->deployment;
		return true;
	}
	return false;
}

const char *
states_allowed(const struct place *at, bool deployment, char *text, size_t size)
{
	struct place to;
	size_t n = 0;

	snprintf(text, size, "nothing");
	for (enum command c = COMMAND_APPLY; c <= COMMAND_GRAY_DELETE; c++)
		if (command_names_region(c) == deployment && states_next(at, c, &to) && n < size)
			n += (size_t)snprintf(text + n, size - n, "%s%s", n == 0 ? "" : ", ",
			    commands[c]);
	return text;
}

const char *
command_text(enum command c)
{
	return commands[c];
}

const char *
service_state_text(enum service_state s)
{
	return services[s];
}

const char *
deployment_state_text(enum deployment_state d)
{
	return deployments[d];
}

bool
service_state_of(const char *text, enum service_state *out)
{
	for (unsigned i = 0; i < SERVICE_STATES; i++)
		if (strcmp(services[i], text) == 0) {
			*out = (enum service_state)i;
			return true;
		}
	return false;
}

bool
deployment_state_of(const char *text, enum deployment_state *out)
{
	for (unsigned i = 0; i < DEPLOYMENT_STATES; i++)
		if (strcmp(deployments[i], text) == 0) {
			*out = (enum deployment_state)i;
			return true;
		}
	return false;
}
