#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/opt.h"
#include "dfb-up/up.h"
#include "dfb.h"
#include "wire/words.h"

enum { BROKER_ARG = 256, READY_FD, NO_SERVICES };

static const struct dfb_opt table[] = {
	{ 'R', "region", "LIST", "regions, comma between them (A10)" },
	{ 'B', "brokers", "N", "brokers in each region (1)" },
	{ BROKER_ARG, "broker-arg", "ARG", "pass ARG to each broker (may be repeated)" },
	{ NO_SERVICES, "no-services", NULL, "without dfb-sgs and dfb-gsl" },
	{ READY_FD, "ready-fd", "N", "say \"ready\" on descriptor N" },
	{ 0, NULL, NULL, NULL },
};

/* How many regions a list has; 0 when it is malformed. */
static unsigned
count_regions(const char *list)
{
	unsigned n = 0;

	for (const char *p = list;; p += 4) {
		char region[4] = "";

		if (strlen(p) < 3)
			return 0;
		memcpy(region, p, 3);
		if (!dfb_region_valid(region) || (p[3] != '\0' && p[3] != ','))
			return 0;
		/* Each once: their daemons' names would clash. */
		for (const char *q = list; q < p; q += 4)
			if (memcmp(p, q, 3) == 0)
				return 0;
		n++;
		if (p[3] == '\0')
			return n;
	}
}

static void
option(struct up *u, const struct dfb_opts *o, int c)
{
	switch (c) {
	case 'R':
		if (count_regions(o->arg) == 0)
			dfb_usage(o, "--region takes regions like A10,B20 (3 capital letters or "
			    "digits, each once), not '%s'", o->arg);
		u->regions = o->arg;
		break;
	case 'B':
		u->brokers = (unsigned)dfb_opt_count(o, 1, UP_CHILDREN - 1);
		break;
	case BROKER_ARG:
		u->broker_args[u->nbroker_args++] = o->arg;
		break;
	case NO_SERVICES:
		u->services = false;
		break;
	case READY_FD:
		u->ready_fd = (int)dfb_opt_count(o, 0, 1u << 20);
		/* Not for the daemons, who would keep it open. */
		if (fcntl(u->ready_fd, F_SETFD, FD_CLOEXEC) == -1)
			dfb_usage(o, "--ready-fd %s: not an open descriptor", o->arg);
		break;
	}
}

/* Cut the command off, at the first "--": the number of arguments before it. */
static int
take_command(struct up *u, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0) {
			argv[i] = NULL;
			u->command = argv + i + 1;
			return i;
		}
	return argc;
}

static void
operands(struct up *u, const struct dfb_opts *o, int argc, char **argv)
{
	if (u->command != NULL && *u->command == NULL)
		dfb_usage(o, "no command follows '--'");
	if (optind == argc)
		return;
	u->dir = argv[optind++];
	if (optind < argc)
		dfb_usage(o, "'%s' after the directory: a command follows '--'",
		    argv[optind]);
	if (*u->dir == '\0')
		dfb_usage(o, "the directory is empty");
}

int
main(int argc, char **argv)
{
	struct dfb_opts o = { .prog = "dfb-up", .synopsis = "[options] [DIR] [-- command...]",
		.purpose = "Runs a whole bus in one directory, or for the time of one command.",
		.table = table };
	static struct up u = { .regions = "A10", .brokers = 1, .services = true,
		.ready_fd = -1, .lock_fd = -1 };
	unsigned regions;
	int c, status;

	if ((u.broker_args = calloc((size_t)argc, sizeof *u.broker_args)) == NULL) {
		log_err("cannot start");
		return DFB_OSERR;
	}
	argc = take_command(&u, argc, argv);
	while ((c = dfb_opts_next(&o, argc, argv)) != -1)
		option(&u, &o, c);
	u.verbose = o.verbose > 0;
	operands(&u, &o, argc, argv);
	regions = count_regions(u.regions);
	if (1 + u.brokers * regions + (u.services ? 1 + regions : 0) > UP_CHILDREN)
		dfb_usage(&o, "at most %d daemons", UP_CHILDREN);
	if ((status = dir_open(&u)) == DFB_OK && (status = plan_make(&u)) == DFB_OK)
		status = up_run(&u);
	plan_release(&u);
	dir_close(&u);
	free(u.broker_args);
	return status;
}
