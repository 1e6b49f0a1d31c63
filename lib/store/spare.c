/*
 * Log files that are made ahead.  A flush of the log into blocks that the file does not have
 * yet is a transaction of the file system's journal: it takes half as long again, and waits
 * for whatever else is in that journal.  So the keeper writes a file of zeros, a little at
 * a time, and when Berkeley DB is about to create its next log file, the spare one gets
 * that name.  Berkeley DB knows files of zeros: it makes their like itself, of holes.
 */
#include "base/log.h"
#include "store/internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SPARE "spare.log"
#define SPARE_NEW "spare.new"
/* Written and waited for, so that a flush of the log has little before it. */
#define PIECE ((size_t)256 << 10)

#define TRIES_MAX 4

/* As Berkeley DB does it without a hook. */
static int
open_patiently(const char *name, int flags, mode_t mode)
{
	int fd, tries = 1;

	while ((fd = open(name, flags | O_CLOEXEC, mode)) == -1) {
		if (errno == EINTR)
			continue;
		if ((errno != EMFILE && errno != ENFILE && errno != ENOSPC) ||
		    ++tries > TRIES_MAX)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return fd;
}

/* The length of the directory's part if it is the path of a log file; 0: it is not. */
static size_t
dir_of_log(const char *path)
{
	const char *slash = strrchr(path, '/'), *p;

	if (slash == NULL || strncmp(slash, "/log.", 5) != 0)
		return 0;
	for (p = slash + 5; isdigit((unsigned char)*p); p++)
		;
	return *p == '\0' && p > slash + 5 ? (size_t)(slash - path) : 0;
}

/* A new name is not on the disk with a flush of the file's data. */
static int
flush_dir(const char *path)
{
	int fd = open_patiently(path, O_RDONLY | O_DIRECTORY, 0), e;

	if (fd == -1)
		return -1;
	e = fsync(fd) == -1 ? errno : 0;
	close(fd);
	errno = e;
	return e == 0 ? 0 : -1;
}

/* Give the spare file, if there is one, the name of a log file that is missing. */
static int
use_spare(const char *name, size_t dir_len)
{
	char *spare, *dir;
	int rc = -1;

	if (asprintf(&spare, "%.*s/" SPARE, (int)dir_len, name) == -1)
		return -1;
	if ((dir = strndup(name, dir_len)) != NULL)
		rc = rename(spare, name) == 0 ? flush_dir(dir) : errno == ENOENT ? 0 : -1;
	free(dir);
	free(spare);
	return rc;
}

static int
open_hook(const char *name, int flags, ...)
{
	size_t dir_len = (flags & O_CREAT) != 0 ? dir_of_log(name) : 0;
	mode_t mode;
	va_list ap;
	int fd;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t); /* Berkeley DB always gives it */
	va_end(ap);
	if (dir_len != 0) {
		fd = open_patiently(name, flags & ~O_CREAT, mode);
		if (fd != -1 || errno != ENOENT)
			return fd;
		if (use_spare(name, dir_len) == -1)
			return -1;
	}
	return open_patiently(name, flags, mode);
}

int
dfb_spare_hook(void)
{
	return db_env_set_func_open(open_hook);
}

static bool
write_zeros(struct spare *p, size_t bytes)
{
	static char zeros[PIECE];

	for (size_t done = 0; done < bytes && p->size < p->want; done += PIECE) {
		if (pwrite(p->fd, zeros, PIECE, (off_t)p->size) != (ssize_t)PIECE ||
		    sync_file_range(p->fd, (off_t)p->size, PIECE, SYNC_FILE_RANGE_WRITE |
		    SYNC_FILE_RANGE_WAIT_AFTER) == -1)
			return false;
		p->size += PIECE;
	}
	return true;
}

static void
close_new(struct spare *p)
{
	if (p->fd != -1)
		close(p->fd);
	p->fd = -1;
	p->size = 0;
}

/* When all of it is there, it gets its name. */
static bool
proceed(struct spare *p, size_t bytes)
{
	if (p->fd == -1)
		p->fd = open(p->new_path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (p->fd == -1 || !write_zeros(p, bytes))
		return false;
	if (p->size < p->want)
		return true;
	if (fdatasync(p->fd) == -1 || rename(p->new_path, p->path) == -1)
		return false;
	close_new(p);
	return true;
}

int
dfb_spare_start(struct spare *p, const char *dir, size_t bytes)
{
	p->fd = -1;
	p->want = bytes;
	if (asprintf(&p->path, "%s/" SPARE, dir) == -1)
		p->path = NULL;
	if (asprintf(&p->new_path, "%s/" SPARE_NEW, dir) == -1)
		p->new_path = NULL;
	if (p->path != NULL && p->new_path != NULL)
		return 0;
	dfb_spare_stop(p);
	return ENOMEM;
}

void
dfb_spare_stop(struct spare *p)
{
	if (p->new_path != NULL && p->fd != -1)
		(void)unlink(p->new_path);
	close_new(p);
	free(p->path);
	free(p->new_path);
	p->path = p->new_path = NULL;
}

void
dfb_spare_write(struct spare *p, size_t bytes)
{
	if (p->failed || (p->fd == -1 && access(p->path, F_OK) == 0))
		return;
	if (proceed(p, bytes))
		return;
	log_debug("no log file is made ahead: %s", strerror(errno));
	p->failed = true;
	close_new(p);
	(void)unlink(p->new_path);
}
