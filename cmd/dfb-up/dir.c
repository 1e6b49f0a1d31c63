#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "dfb-up/up.h"
#include "dfb.h"

static int
sys_status(int e)
{
	return e == EACCES || e == EPERM || e == EROFS ? DFB_DENIED : DFB_IOERR;
}

static int
make(const char *dir)
{
	int e;

	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		return DFB_OK;
	e = errno;
	log_err("cannot make directory '%s'", dir);
	return sys_status(e);
}

static int
make_temporary(struct up *u)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(u->path, sizeof u->path, "%s/dfb-up.XXXXXX",
	    tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
	char name[UP_PATH];

	if (n < 0 || (size_t)n >= sizeof u->path || mkdtemp(u->path) == NULL) {
		log_err("cannot make a directory in '%s'", tmp != NULL ? tmp : "/tmp");
		return DFB_IOERR;
	}
	u->temporary = true;
	/* Clients are told the name, wherever they run. */
	if (realpath(u->path, name) != NULL)
		strcpy(u->path, name);
	return DFB_OK;
}

static int
take_lock(struct up *u)
{
	char name[UP_PATH + 16], who[32] = "";

	snprintf(name, sizeof name, "%s/up.lock", u->path);
	if ((u->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) == -1) {
		int e = errno;
		log_err("cannot open '%s'", name);
		return sys_status(e);
	}
	if (flock(u->lock_fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK) {
			log_err("cannot lock '%s'", name);
			return DFB_OSERR;
		}
		if (pread(u->lock_fd, who, sizeof who - 1, 0) <= 0)
			strcpy(who, "?");
		who[strcspn(who, "\n")] = '\0';
		log_errx("'%s' is in use by another dfb-up, process %s: stop it, or give "
		    "another directory", u->path, who);
		return DFB_AGAIN;
	}
	if (ftruncate(u->lock_fd, 0) == -1 ||
	    dprintf(u->lock_fd, "%ld\n", (long)getpid()) < 0) {
		log_err("cannot write '%s'", name);
		return DFB_IOERR;
	}
	return DFB_OK;
}

int
dir_open(struct up *u)
{
	static const char *const parts[] = { "data", "log", NULL };
	int status;

	if (u->dir == NULL)
		status = make_temporary(u);
	else if ((status = make(u->dir)) == DFB_OK && realpath(u->dir, u->path) == NULL) {
		status = sys_status(errno);
		log_err("cannot use directory '%s'", u->dir);
	}
	if (status == DFB_OK)
		status = take_lock(u);
	for (size_t i = 0; parts[i] != NULL && status == DFB_OK; i++) {
		char name[UP_PATH + 16];

		snprintf(name, sizeof name, "%s/%s", u->path, parts[i]);
		status = make(name);
	}
	return status;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	if (remove(path) == -1)
		log_err("cannot remove '%s'", path);
	return 0;
}

void
dir_close(struct up *u)
{
	if (u->temporary)
		nftw(u->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (u->lock_fd != -1)
		close(u->lock_fd);
}
