/*
 * States of services and deployments, and which command leads from where to where: one
 * table, the only definition.  Pure.
 */
#ifndef SGS_STATES_H
#define SGS_STATES_H

#include <stdbool.h>
#include <stddef.h>

enum service_state { SERVICE_NONE, SERVICE_APPLIED, SERVICE_APPROVED, SERVICE_RETIRED,
	SERVICE_STATES };
enum deployment_state { DEPLOYMENT_NONE, DEPLOYMENT_OFFLINE, DEPLOYMENT_DEPLOYING,
	DEPLOYMENT_ONLINE, DEPLOYMENT_SUSPENDED, DEPLOYMENT_DRAINING, DEPLOYMENT_STATES };

/* Up to COMMAND_GRAY_DELETE they are given; the others are steps that sgs takes by itself. */
enum command { COMMAND_APPLY, COMMAND_APPROVE, COMMAND_RETIRE, COMMAND_DEPLOY, COMMAND_SUSPEND,
	COMMAND_RESUME, COMMAND_UNDEPLOY, COMMAND_WEIGHT, COMMAND_GRAY_SET, COMMAND_GRAY_DELETE,
	COMMAND_DEPLOYED, COMMAND_ROLLED_BACK, COMMAND_DRAINED, COMMANDS };

/* Where a service is, and one of its deployments. */
struct place {
	enum service_state service;
	enum deployment_state deployment; /* for commands that name a region */
	bool proposed;                    /* settings wait for approval */
	bool busy;                        /* some deployment is not offline */
};

/* Whether a command is of a deployment (it names a region), not of the service as a whole. */
bool command_names_region(enum command);

/* Where the command leads to; false: not allowed from there. */
bool states_next(const struct place *, enum command, struct place *to);

/* The commands that are allowed from a place, "suspend, undeploy, weight", into text; those of a
 * deployment, or those of the service as a whole. */
const char *states_allowed(const struct place *, bool deployment, char *text, size_t size);

/* Words: "apply", as journal and verbs have it; "applied"; "online".  And back: false when it is
 * none. */
const char *command_text(enum command);
const char *service_state_text(enum service_state);
const char *deployment_state_text(enum deployment_state);
bool service_state_of(const char *text, enum service_state *);
bool deployment_state_of(const char *text, enum deployment_state *);

#endif
