/*
 * Faults for a daemon under test: linked to its objects, and asked by the environment.
 *
 * DFB_FAULT_DIR=PART           only calls on files whose path contains this count
 * DFB_FAULT=KIND:N[+]:WHAT     the N-th call of this kind (+: and all that follow).  Kinds
 *                              are the names below; write is pwrite, too, as Berkeley DB
 *                              tries the one when the other failed.  WHAT:
 *       ENOSPC, EIO, EINTR, EMFILE, ENOMEM   it fails
 *       short    half of it is done, and said so
 *       torn     half of it is done, if it is in a log, and it fails with EIO
 *       lie      nothing is done, and it succeeds
 *       kill     SIGKILL before it
 *       cut      SIGKILL after half of it in a log, the whole elsewhere
 *       block    it waits, if there is a fifo $DFB_FAULT_FIFO, until somebody opens that
 *                for writing and closes it
 * A page of a database is as large as one of the kernel's, which writes it or not: no
 * fault tears it, but several that are written together.
 * DFB_FAULT_MARK=FILE          gets a line before the fault strikes for the first time
 * DFB_FAULT_COUNTS=FILE        gets "KIND CALLS" of each kind at an orderly end
 *
 * These functions stand in front of the C library's, for the program and for Berkeley DB.
 * Its own hooks would not do: with one for reads or writes it runs other code, which takes
 * the end of a file for an error.
 */
#undef _FORTIFY_SOURCE

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE ((size_t)4096) /* of a database */

enum kind { WRITE, READ, OPEN, RENAME, UNLINK, FTRUNCATE, FSYNC, MALLOC,
	KINDS };

static const char *const kinds[KINDS] = { "write", "read", "open", "rename", "unlink",
	"ftruncate", "fsync", "malloc" };

enum what { NONE, WHOLE, FAIL, SHORT, TORN, LIE, KILL, CUT, BLOCK };

static const struct {
	const char *name;
	enum what what;
	int err;
} whats[] = {
	{ "ENOSPC", FAIL, ENOSPC }, { "EIO", FAIL, EIO }, { "EINTR", FAIL, EINTR },
	{ "EMFILE", FAIL, EMFILE }, { "ENOMEM", FAIL, ENOMEM }, { "short", SHORT, 0 },
	{ "torn", TORN, EIO }, { "lie", LIE, 0 }, { "kill", KILL, 0 },
	{ "cut", CUT, 0 }, { "block", BLOCK, 0 },
};

static struct {
	enum kind kind;
	unsigned n;
	bool on;
	enum what what;
	int err;
} fault = { .kind = KINDS };

static const char *dir; /* NULL: not started yet */
static atomic_uint calls[KINDS];
static atomic_bool struck;

static int
sys_open(const char *path, int flags)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

static void
mark(const char *path)
{
	const char *name = getenv("DFB_FAULT_MARK");
	int fd;

	if (name == NULL || atomic_exchange(&struck, true))
		return;
	fd = sys_open(name, O_WRONLY | O_CREAT | O_APPEND);
	dprintf(fd, "%s %s\n", kinds[fault.kind], path);
	close(fd);
}

static void
block(void)
{
	const char *name = getenv("DFB_FAULT_FIFO");
	char c;
	int fd = sys_open(name, O_RDONLY);

	if (fd == -1)
		err(70, "DFB_FAULT_FIFO");
	while (syscall(SYS_read, fd, &c, (size_t)1) > 0)
		;
	close(fd);
}

/* Is it a file that counts?  path NULL: fd's. */
static bool
is_ours(int fd, const char *path, char *name, size_t size)
{
	char link[64];
	ssize_t n;

	if (dir == NULL)
		return false;
	if (path == NULL) {
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		n = readlink(link, name, size - 1);
		name[n > 0 ? n : 0] = '\0';
	} else
		snprintf(name, size, "%s", path);
	return strstr(name, dir) != NULL;
}

/* Count a call, and say what is to become of it. */
static enum what
strike(enum kind k, const char *path)
{
	unsigned n = atomic_fetch_add(&calls[k], 1) + 1;

	if (k != fault.kind || n < fault.n || (n > fault.n && !fault.on))
		return NONE;
	if (fault.what == BLOCK && access(getenv("DFB_FAULT_FIFO"), F_OK) == -1)
		return NONE;
	mark(path);
	if (fault.what == KILL)
		raise(SIGKILL);
	if (fault.what == BLOCK)
		block();
	errno = fault.err;
	if (fault.what == CUT && strstr(path, "/log.") == NULL)
		return WHOLE;
	if (fault.what == TORN && strstr(path, "/log.") == NULL)
		return FAIL;
	return fault.what == BLOCK ? NONE : fault.what;
}

static enum what
next(enum kind k, int fd, const char *path)
{
	char name[512];
	int e = errno;
	enum what w = is_ours(fd, path, name, sizeof name) ? strike(k, name) : NONE;

	if (w == NONE)
		errno = e;
	return w;
}

/* ---- calls that move n bytes ---- */

/* What a transfer gives instead of being done whole: true and *ret. */
static bool
is_cut(enum what w, size_t *n, ssize_t *ret)
{
	*ret = w == LIE ? (ssize_t)*n : -1;
	if (w == WHOLE && *n > PAGE) /* several pages: a kill comes between two */
		*n = *n / PAGE / 2 * PAGE;
	if (w == SHORT || w == TORN || w == CUT)
		*n = (*n + 1) / 2;
	return w == FAIL || w == LIE;
}

#define TRANSFER(kind, fd, n, call) \
	enum what w = next(kind, fd, NULL); \
	int e = errno; \
	ssize_t ret; \
\
	if (is_cut(w, &n, &ret)) \
		return ret; \
	ret = call; \
	if (w == CUT || w == WHOLE) \
		raise(SIGKILL); \
	if (w == TORN) { \
		errno = e; \
		return -1; \
	} \
	return ret

/* The store has functions named pwrite and pread, which call these. */
ssize_t
pwrite64(int fd, const void *p, size_t n, off_t at)
{
	TRANSFER(WRITE, fd, n, syscall(SYS_pwrite64, fd, p, n, at));
}

ssize_t
write(int fd, const void *p, size_t n)
{
	TRANSFER(WRITE, fd, n, syscall(SYS_write, fd, p, n));
}

ssize_t
pread64(int fd, void *p, size_t n, off_t at)
{
	TRANSFER(READ, fd, n, syscall(SYS_pread64, fd, p, n, at));
}

ssize_t
read(int fd, void *p, size_t n)
{
	TRANSFER(READ, fd, n, syscall(SYS_read, fd, p, n));
}

/* ---- the others ---- */

#define REPLACED(w) ((w) == FAIL || (w) == LIE || (w) == TORN)
#define RESULT(w) ((w) == LIE ? 0 : -1)

int
open(const char *path, int flags, ...)
{
	enum what w = next(OPEN, -1, path);
	va_list ap;
	mode_t mode;

	if (REPLACED(w))
		return -1;
	va_start(ap, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int
rename(const char *from, const char *to)
{
	enum what w = next(RENAME, -1, from);

	return REPLACED(w) ? RESULT(w) : (int)syscall(SYS_rename, from, to);
}

int
unlink(const char *path)
{
	enum what w = next(UNLINK, -1, path);

	return REPLACED(w) ? RESULT(w) : (int)syscall(SYS_unlink, path);
}

int
ftruncate(int fd, off_t len)
{
	enum what w = next(FTRUNCATE, fd, NULL);

	return REPLACED(w) ? RESULT(w) : (int)syscall(SYS_ftruncate, fd, len);
}

int
fdatasync(int fd)
{
	enum what w = next(FSYNC, fd, NULL);

	return REPLACED(w) ? RESULT(w) : (int)syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	enum what w = next(FSYNC, fd, NULL);

	return REPLACED(w) ? RESULT(w) : (int)syscall(SYS_fsync, fd);
}

/* ---- memory: of our own code, which the linker leads here, and of Berkeley DB, which asks
 * the store for it ---- */

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__real_reallocarray(void *, size_t, size_t);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
void *__wrap_reallocarray(void *, size_t, size_t);

static bool
is_refused(void)
{
	if (dir == NULL || strike(MALLOC, "memory") == NONE)
		return false;
	errno = ENOMEM;
	return true;
}

void *
__wrap_malloc(size_t n)
{
	return is_refused() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return is_refused() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return is_refused() ? NULL : __real_realloc(p, n);
}

void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return is_refused() ? NULL : __real_reallocarray(p, n, size);
}

/* ---- start and end ---- */

static void
parse(const char *text)
{
	char kind[16], what[16], on = '\0';

	if (sscanf(text, "%15[a-z]:%u%c%15s", kind, &fault.n, &on, what) == 4 && on == '+')
		memmove(what, what + 1, strlen(what)); /* its colon */
	for (enum kind k = 0; k < KINDS; k++)
		if (strcmp(kind, kinds[k]) == 0)
			fault.kind = k;
	for (size_t i = 0; i < sizeof whats / sizeof *whats; i++)
		if (strcmp(what, whats[i].name) == 0) {
			fault.what = whats[i].what;
			fault.err = whats[i].err;
		}
	if (fault.kind == KINDS || fault.what == NONE)
		errx(70, "DFB_FAULT '%s'", text);
	fault.on = on == '+';
}

__attribute__((constructor)) static void
install(void)
{
	if (getenv("DFB_FAULT") != NULL)
		parse(getenv("DFB_FAULT"));
	dir = getenv("DFB_FAULT_DIR");
}

__attribute__((destructor)) static void
count(void)
{
	const char *name = getenv("DFB_FAULT_COUNTS");
	FILE *f = name != NULL ? fopen(name, "w") : NULL;

	if (f == NULL)
		return;
	for (enum kind k = 0; k < KINDS; k++)
		fprintf(f, "%s %u\n", kinds[k], calls[k]);
	fclose(f);
}
