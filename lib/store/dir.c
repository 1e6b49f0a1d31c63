#include "base/log.h"
#include "dfb.h"
#include "store/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION_FILE "dfb.version"
#define VERSION_NEW "dfb.version.new"
#define VERSION_TEXT "dfb store 1\n"
#define LOCK_FILE "dfb.lock"

static int
refuse(int *status, int with, const char *fmt, const char *dir)
{
	*status = with;
	if (errno != 0)
		log_err(fmt, dir);
	else
		log_errx(fmt, dir);
	return -1;
}

static int
sys_status(int err)
{
	return err == EACCES || err == EPERM || err == EROFS ? DFB_DENIED :
	    err == ENOSPC || err == EIO || err == EDQUOT ? DFB_IOERR : DFB_OSERR;
}

/* Read a small file as text: its length, or -1. */
static ssize_t
read_small(const char *dir, const char *name, char *buf, size_t cap)
{
	char *path;
	ssize_t n = -1;
	int fd, saved;

	if (asprintf(&path, "%s/%s", dir, name) == -1)
		return -1;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		if ((n = read(fd, buf, cap - 1)) >= 0)
			buf[n] = '\0';
		saved = errno;
		close(fd);
		errno = saved;
	}
	saved = errno;
	free(path);
	errno = saved;
	return n;
}

/* Is there nothing in it that we would not put there before the version file?  1, 0,
 * or -1 with errno. */
static int
is_fresh(const char *dir)
{
	static const char *const ours[] = { ".", "..", LOCK_FILE, VERSION_NEW,
	    "lost+found", NULL };
	DIR *d = opendir(dir);
	struct dirent *e;
	int fresh = 1;

	if (d == NULL)
		return -1;
	errno = 0;
	while (fresh && (e = readdir(d)) != NULL) {
		fresh = 0;
		for (size_t i = 0; ours[i] != NULL; i++)
			if (strcmp(e->d_name, ours[i]) == 0)
				fresh = 1;
	}
	if (errno != 0)
		fresh = -1;
	closedir(d);
	return fresh;
}

/* The second line says whose it is (absent: nobody minds).  1, or -1 refused. */
static int
check_owner(const char *dir, char *line, const char *owner, int *status)
{
	line[strcspn(line, "\n")] = '\0';
	if (*line == '\0' || owner == NULL || strcmp(line, owner) == 0)
		return 1;
	*status = DFB_BADINPUT;
	log_errx("'%s' is the data of %s: give another directory", dir, line);
	return -1;
}

/* Messages without the tables that name them: files were lost. */
static bool
is_robbed(const char *dir)
{
	bool tables = false, segments = false;
	DIR *d = opendir(dir);
	struct dirent *e;

	if (d == NULL)
		return false;
	while ((e = readdir(d)) != NULL) {
		tables |= strcmp(e->d_name, "tables.db") == 0;
		segments |= strncmp(e->d_name, "seg-", 4) == 0;
	}
	closedir(d);
	return segments && !tables;
}

/* The version file: 1 ours, 0 none in a fresh directory, -1 refused. */
static int
check_version(const char *dir, const char *owner, int *status)
{
	char text[64];
	ssize_t n = read_small(dir, VERSION_FILE, text, sizeof text);

	if (n >= 0) {
		if (strncmp(text, VERSION_TEXT, strlen(VERSION_TEXT)) == 0)
			return check_owner(dir, text + strlen(VERSION_TEXT), owner, status);
		text[strcspn(text, "\n")] = '\0';
		*status = DFB_BADINPUT;
		log_errx("'%s' holds \"%s\", this program reads \"%.*s\": use the "
		    "version that made it, or another directory", dir, text,
		    (int)strlen(VERSION_TEXT) - 1, VERSION_TEXT);
		return -1;
	}
	if (errno != ENOENT)
		return refuse(status, sys_status(errno),
		    "cannot read '%s/" VERSION_FILE "'", dir);
	switch (is_fresh(dir)) {
	case -1:
		return refuse(status, sys_status(errno), "cannot list directory '%s'", dir);
	case 0:
		errno = 0;
		return refuse(status, DFB_BADINPUT, "'%s' is not empty and not a dfb "
		    "store (no " VERSION_FILE "): give a new or empty directory", dir);
	}
	return 0;
}

/* The version file comes before anything of Berkeley DB's, whole or not at all: a
 * directory that a crash left half made opens the next time. */
static int
write_version(const char *dir, const char *owner)
{
	char *name = NULL, *tmp = NULL;
	int fd = -1, dfd = -1, ret = -1;

	if (asprintf(&name, "%s/" VERSION_FILE, dir) == -1)
		name = NULL;
	if (asprintf(&tmp, "%s/" VERSION_NEW, dir) == -1)
		tmp = NULL;
	if (name == NULL || tmp == NULL) {
		errno = ENOMEM;
		goto done;
	}
	if ((fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) == -1)
		goto done;
	if (dprintf(fd, "%s%s%s", VERSION_TEXT, owner != NULL ? owner : "",
	    owner != NULL ? "\n" : "") < 0)
		goto done;
	if (fsync(fd) == -1 || rename(tmp, name) == -1 ||
	    (dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
	    fsync(dfd) == -1)
		goto done;
	ret = 0;
done:
	if (ret == -1)
		log_err("cannot write '%s/" VERSION_FILE "'", dir);
	if (fd != -1)
		close(fd);
	if (dfd != -1)
		close(dfd);
	free(name);
	free(tmp);
	return ret;
}

static int
take_lock(struct dfb_store *s, const char *owner, int *status)
{
	char *path, who[128];
	int fd;

	if (asprintf(&path, "%s/" LOCK_FILE, s->dir) == -1)
		return refuse(status, DFB_OSERR, "cannot lock '%s'", s->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	free(path);
	if (fd == -1)
		return refuse(status, sys_status(errno),
		    "cannot write in directory '%s'", s->dir);
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		ssize_t n = errno == EWOULDBLOCK ? pread(fd, who, sizeof who - 1, 0) : -2;

		if (n == -2)
			refuse(status, DFB_OSERR, "cannot lock '%s'", s->dir);
		else {
			who[n > 0 ? n : 0] = '\0';
			who[strcspn(who, "\n")] = '\0';
			log_errx("'%s' is in use by %s: stop it, or give another "
			    "directory", s->dir, *who != '\0' ? who : "another process");
			*status = DFB_AGAIN;
		}
		close(fd);
		return -1;
	}
	s->lock_fd = fd;
	if (ftruncate(fd, 0) == -1 ||
	    dprintf(fd, "%s (pid %ld)\n", owner != NULL ? owner : "dfb", (long)getpid()) < 0)
		return refuse(status, sys_status(errno),
		    "cannot write '%s/" LOCK_FILE "'", s->dir);
	return 0;
}

int
dfb_store_dir_open(struct dfb_store *s, const char *owner, int *status)
{
	struct stat st;

	if (mkdir(s->dir, 0700) == -1 && errno != EEXIST)
		return refuse(status, errno == ENOENT || errno == ENOTDIR ? DFB_IOERR :
		    sys_status(errno), "cannot make directory '%s'", s->dir);
	if (stat(s->dir, &st) == -1)
		return refuse(status, sys_status(errno), "cannot use '%s'", s->dir);
	if (!S_ISDIR(st.st_mode)) {
		errno = 0;
		return refuse(status, DFB_IOERR, "'%s' is not a directory", s->dir);
	}
	/* Looked at first, so that a foreign directory stays untouched, and again under
	 * the lock. */
	if (check_version(s->dir, owner, status) == -1 || take_lock(s, owner, status) == -1)
		return -1;
	switch (check_version(s->dir, owner, status)) {
	case -1:
		return -1;
	case 0:
		if (write_version(s->dir, owner) == -1) {
			*status = sys_status(errno);
			return -1;
		}
		return 0;
	}
	if (is_robbed(s->dir)) {
		errno = 0;
		return refuse(status, DFB_IOERR, "'%s' has segments but no tables.db: files "
		    "were lost, restore them or give another directory", s->dir);
	}
	return 0;
}

void
dfb_store_dir_close(struct dfb_store *s)
{
	if (s->lock_fd == -1)
		return;
	/* The file stays: removing it would race with whoever opens next. */
	if (ftruncate(s->lock_fd, 0) == -1)
		log_err("cannot empty '%s/" LOCK_FILE "'", s->dir);
	close(s->lock_fd);
	s->lock_fd = -1;
}
