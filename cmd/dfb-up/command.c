#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "dfb-up/up.h"

/* What the bus's users are told. */
static void
values(const struct up *u, char *names, size_t size, char region[4])
{
	snprintf(names, size, "ipc://%s/names.sock", u->path);
	snprintf(region, 4, "%.3s", u->regions);
}

int
command_start(struct up *u)
{
	char names[UP_PATH + 32], region[4];
	pid_t parent = getpid();

	values(u, names, sizeof names, region);
	if ((u->command_pid = fork()) == -1) {
		log_err("cannot run '%s'", u->command[0]);
		u->command_pid = 0;
		return -1;
	}
	if (u->command_pid != 0)
		return 0;
	child_prepare(parent);
	if (setenv("DFB_NAMES", names, 1) == 0 && setenv("DFB_REGION", region, 1) == 0)
		execvp(u->command[0], u->command);
	/* As shells and env(1) say it. */
	log_err("cannot run '%s'", u->command[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

int
command_exports(struct up *u)
{
	char names[UP_PATH + 32], region[4];
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), rc;

	values(u, names, sizeof names, region);
	printf("export DFB_NAMES='");
	for (const char *p = names; *p != '\0'; p++)
		if (*p == '\'')
			printf("'\\''");
		else
			putchar(*p);
	printf("'\nexport DFB_REGION=%s\n", region);
	rc = fflush(stdout) == 0 && !ferror(stdout) && null != -1 ? 0 : -1;
	if (rc == -1)
		log_err("cannot write to stdout");
	else
		dup2(null, STDOUT_FILENO); /* eval "$(dfb-up DIR &)" waits for its end */
	if (null != -1)
		close(null);
	return rc;
}
