#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "dfb-up/up.h"
#include "dfb.h"
#include "net/sock.h"

/* Where a daemon is: beside this program, else anywhere in PATH. */
static char *
find(const char *prog)
{
	char self[UP_PATH], *path, *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n > 0) {
		self[n] = '\0';
		if ((slash = strrchr(self, '/')) != NULL) {
			*slash = '\0';
			if (asprintf(&path, "%s/%s", self, prog) == -1)
				return NULL;
			if (access(path, X_OK) == 0)
				return path;
			free(path);
		}
	}
	return strdup(prog);
}

/* Append formatted text to a list of arguments, which has room.  0 or -1. */
static int __attribute__((format(printf, 3, 4)))
add(char **argv, size_t *n, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = vasprintf(&argv[*n], fmt, ap);
	va_end(ap);
	if (rc == -1) {
		argv[*n] = NULL;
		return -1;
	}
	++*n;
	return 0;
}

/* region NULL: it has none. */
static int
add_child(struct up *u, const char *prog, const char *name, const char *region)
{
	bool is_names = strcmp(prog, "dfb-names") == 0;
	bool is_broker = strcmp(prog, "dfb-broker") == 0;
	struct child *c = &u->children[u->nchildren];
	char endpoint[UP_PATH + 64];
	const char *why;
	size_t n = 1;
	int rc;

	snprintf(endpoint, sizeof endpoint, "ipc://%s/%s.sock", u->path, name);
	if ((why = dfb_endpoint_check(endpoint)) != NULL) {
		log_errx("cannot use '%s': %s", u->path, why);
		return DFB_USAGE;
	}
	*c = (struct child){ .up = u, .ready_fd = -1, .err_fd = -1, .log_fd = -1 };
	snprintf(c->name, sizeof c->name, "%s", name);
	u->nchildren++;
	if ((c->argv = calloc(16 + u->nbroker_args, sizeof *c->argv)) == NULL ||
	    (c->argv[0] = find(prog)) == NULL)
		goto failed;
	rc = add(c->argv, &n, "--name") | add(c->argv, &n, "%s", name) |
	    add(c->argv, &n, "--data") | add(c->argv, &n, "%s/data/%s", u->path, name) |
	    add(c->argv, &n, "--bind") | add(c->argv, &n, "%s", endpoint) |
	    add(c->argv, &n, "--ready-fd") | add(c->argv, &n, "3");
	if (!is_names)
		rc |= add(c->argv, &n, "--names") |
		    add(c->argv, &n, "ipc://%s/names.sock", u->path);
	if (region != NULL)
		rc |= add(c->argv, &n, "--region") | add(c->argv, &n, "%s", region);
	for (size_t i = 0; is_broker && i < u->nbroker_args; i++)
		rc |= add(c->argv, &n, "%s", u->broker_args[i]);
	if (rc == 0)
		return DFB_OK;
failed:
	log_err("cannot start '%s'", name);
	return DFB_OSERR;
}

/* What a daemon of a region is called: alone in its region, or one of several regions'. */
static void
name_in(const char *region, bool several, const char *alone, const char *end, char name[32])
{
	if (several)
		snprintf(name, 32, "%c%c%c-%s", tolower(region[0]), tolower(region[1]),
		    tolower(region[2]), end);
	else
		snprintf(name, 32, "%s", alone);
}

static int
add_region(struct up *u, const char *region, bool several)
{
	char name[32], alone[16], end[16];
	int status = DFB_OK;

	for (unsigned i = 1; i <= u->brokers && status == DFB_OK; i++) {
		snprintf(alone, sizeof alone, "b%u", i);
		snprintf(end, sizeof end, "%u", i);
		name_in(region, several, alone, end, name);
		status = add_child(u, "dfb-broker", name, region);
	}
	if (status == DFB_OK && u->services) {
		name_in(region, several, "gsl", "gsl", name);
		status = add_child(u, "dfb-gsl", name, region);
	}
	return status;
}

int
plan_make(struct up *u)
{
	bool several = strchr(u->regions, ',') != NULL;
	int status = add_child(u, "dfb-names", "names", NULL);

	if (status == DFB_OK && u->services)
		status = add_child(u, "dfb-sgs", "sgs", NULL);
	for (const char *r = u->regions; status == DFB_OK; r += 4) {
		char region[4] = { r[0], r[1], r[2], '\0' };

		status = add_region(u, region, several);
		if (r[3] == '\0')
			break;
	}
	return status;
}

void
plan_release(struct up *u)
{
	for (size_t i = 0; i < u->nchildren; i++) {
		char **argv = u->children[i].argv;

		for (size_t a = 0; argv != NULL && argv[a] != NULL; a++)
			free(argv[a]);
		free(argv);
	}
}
