#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/opt.h"
#include "daemon/internal.h"
#include "dfb.h"
#include "net/sock.h"

#define RUN_DIR "/run/dfb"
#define STATE_DIR "/var/lib/dfb"
#define NAMES_DEFAULT "ipc://" RUN_DIR "/names.sock"

void
dfb_daemon_init(struct dfb_daemon *d)
{
	*d = (struct dfb_daemon){ .ready_fd = -1 };
	for (size_t i = 0; i < DFB_DAEMON_BINDS; i++)
		d->locks[i] = -1;
}

static void
add_bind(struct dfb_daemon *d, const struct dfb_opts *o)
{
	const char *why = dfb_endpoint_check(o->arg);

	if (why != NULL)
		dfb_usage(o, "--bind '%s': %s", o->arg, why);
	if (d->nbinds == DFB_DAEMON_BINDS)
		dfb_usage(o, "at most %d endpoints can be bound", DFB_DAEMON_BINDS);
	d->binds[d->nbinds++] = o->arg;
}

bool
dfb_daemon_option(struct dfb_daemon *d, const struct dfb_opts *o, int letter)
{
	switch (letter) {
	case DFB_DAEMON_BIND:
		add_bind(d, o);
		return true;
	case DFB_DAEMON_DATA:
		if (*o->arg == '\0')
			dfb_usage(o, "--data takes a directory");
		d->data = o->arg;
		return true;
	case DFB_DAEMON_NAMES:
		d->names = o->arg;
		return true;
	case DFB_DAEMON_CHECK:
		d->check = true;
		return true;
	case DFB_DAEMON_READY_FD:
		d->ready_fd = (int)dfb_opt_count(o, 0, 1u << 20);
		if (fcntl(d->ready_fd, F_GETFD) == -1)
			dfb_usage(o, "--ready-fd %s: not an open descriptor", o->arg);
		return true;
	case DFB_DAEMON_INSECURE:
		d->insecure = true;
		return true;
	default:
		return false;
	}
}

/* Each name server in the list must be an endpoint. */
static void
check_names(const struct dfb_opts *o, const char *list)
{
	const char *p = list;

	if (*list == '\0')
		return;

	do {
		size_t n = strcspn(p, ",");
		char one[DFB_DAEMON_ENDPOINT];
		const char *why;

		snprintf(one, sizeof one, "%.*s", (int)n, p);
		if (n >= sizeof one || (why = dfb_endpoint_check(one)) != NULL)
			dfb_usage(o, "name server '%s': %s", one,
			    n >= sizeof one ? "too long" : why);
		p += n;
	} while (*p++ == ',');
}

static void
default_data(struct dfb_daemon *d, const char *name)
{
	const char *state = getenv("STATE_DIRECTORY");

	/* systemd separates several by colons; the first is ours. */
	if (state != NULL && *state != '\0')
		snprintf(d->default_data, sizeof d->default_data, "%.*s",
		    (int)strcspn(state, ":"), state);
	else
		snprintf(d->default_data, sizeof d->default_data, STATE_DIR "/%s", name);
	d->data = d->default_data;
}

/* Each session takes descriptors.  Nothing here uses select(2), which is why the
 * soft limit is low by default. */
static void
raise_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

int
dfb_daemon_finish(struct dfb_daemon *d, const struct dfb_opts *o, const char *name)
{
	if (d->data == NULL)
		default_data(d, name);
	if (d->nbinds == 0) {
		snprintf(d->default_bind, sizeof d->default_bind,
		    "ipc://" RUN_DIR "/%s.sock", name);
		d->binds[d->nbinds++] = d->default_bind;
	}
	if (d->names == NULL && ((d->names = getenv("DFB_NAMES")) == NULL ||
	    *d->names == '\0'))
		d->names = NAMES_DEFAULT;
	check_names(o, d->names);
	raise_descriptors();
	dfb_log_init(o->prog, true, o->verbose);
	for (size_t i = 0; i < d->nbinds; i++)
		if (strncmp(d->binds[i], "tcp://", 6) == 0 && !d->insecure) {
			log_errx("cannot bind '%s': tcp without keys is open to everybody; "
			    "say --insecure to allow it", d->binds[i]);
			return DFB_DENIED;
		}
	return DFB_OK;
}

/* The data directory exists, or the one above it in which it would be made. */
static int
check_data(const char *dir)
{
	char *above, *slash;
	struct stat st;
	int status = DFB_OK;

	if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode)) {
		log_errx("'%s' is not a directory", dir);
		return DFB_IOERR;
	}
	if (access(dir, R_OK | W_OK | X_OK) == 0)
		return DFB_OK;
	if (errno != ENOENT) {
		log_err("cannot use data directory '%s'", dir);
		return errno == EACCES || errno == EROFS ? DFB_DENIED : DFB_IOERR;
	}
	if ((above = strdup(dir)) == NULL) {
		log_err("cannot check '%s'", dir);
		return DFB_OSERR;
	}
	for (slash = above + strlen(above); slash > above + 1 && slash[-1] == '/';)
		*--slash = '\0';
	if ((slash = strrchr(above, '/')) != NULL)
		slash[slash == above ? 1 : 0] = '\0';
	if (access(slash != NULL ? above : ".", W_OK | X_OK) == -1) {
		log_err("cannot make data directory '%s'", dir);
		status = errno == EACCES || errno == EROFS ? DFB_DENIED : DFB_IOERR;
	}
	free(above);
	return status;
}

int
dfb_daemon_check(const struct dfb_daemon *d)
{
	int status = check_data(d->data);

	for (size_t i = 0; i < d->nbinds && status == DFB_OK; i++)
		if (strncmp(d->binds[i], "ipc://", 6) == 0)
			status = daemon_socket_check(d->binds[i] + 6);
	return status;
}
