#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dfb-recv/child.h"

static int
check(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EACCES;
		return -1;
	}
	return access(path, X_OK);
}

int
child_find(const char *program, char *path, size_t size)
{
	const char *dirs = getenv("PATH"), *end;
	int why = ENOENT, n;

	if (*program == '\0') {
		errno = ENOENT;
		return -1;
	}
	if (strchr(program, '/') != NULL) {
		if (strlcpy(path, program, size) >= size) {
			errno = ENAMETOOLONG;
			return -1;
		}
		return check(path);
	}
	for (const char *d = dirs != NULL ? dirs : "/bin:/usr/bin"; d != NULL;
	    d = *end != '\0' ? end + 1 : NULL) {
		end = d + strcspn(d, ":");
		n = snprintf(path, size, "%.*s%s%s", (int)(end - d), d,
		    end != d ? "/" : "./", program);
		if (n < 0 || (size_t)n >= size)
			continue;
		if (check(path) == 0)
			return 0;
		if (errno != ENOENT && errno != ENOTDIR)
			why = errno;
	}
	errno = why;
	return -1;
}
