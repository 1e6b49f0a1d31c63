/*
 * The disk alone: bench_disk write [-s size] [-N count | -d seconds] DIR appends size
 * bytes to a file in DIR and waits for them (fdatasync), again and again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "meter.h"

static int fd;

static void
put(void *arg, const char *body, size_t size)
{
	(void)arg;
	meter_check(write(fd, body, size) == (ssize_t)size && fdatasync(fd) == 0, "write");
}

static void
flush(void *arg)
{
	(void)arg;
}

static unsigned
done(void *arg)
{
	(void)arg;
	return 1;
}

int
main(int argc, char **argv)
{
	struct meter m;
	char path[4096];

	meter_options(&m, argc, argv);
	m.window = 1;
	snprintf(path, sizeof path, "%s/bench_disk.%ld", m.topic, (long)getpid());
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	meter_check(fd != -1 && unlink(path) == 0, path);
	meter_run(&m, &(struct meter_flow){ .fd = -1, .put = put, .flush = flush,
	    .done = done });
	meter_print(&m);
	return 0;
}
