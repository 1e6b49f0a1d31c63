#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int ledger = -1;
volatile int stop_asked;

_Noreturn void
die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

void
ledger_open(const char *path)
{
	if ((ledger = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) == -1)
		die("cannot open '%s': %s", path, strerror(errno));
}

void
ledger_line(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line - 1, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof line - 1)
		die("a line of the ledger is too long");
	line[n++] = '\n';
	if (write(ledger, line, (size_t)n) != n)
		die("cannot write the ledger: %s", strerror(errno));
}

uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
on_stop(int sig)
{
	(void)sig;
	stop_asked = 1;
}

void
catch_stop(void)
{
	struct sigaction a = { .sa_handler = on_stop };

	sigaction(SIGTERM, &a, NULL);
	sigaction(SIGINT, &a, NULL);
	sigemptyset(&a.sa_mask);
	sigaddset(&a.sa_mask, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &a.sa_mask, NULL); /* the driver blocked it for us */
}

int
unknown_topic(int status, const char *why)
{
	return status == 69 && strstr(why, "no broker serves") != NULL;
}

/* splitmix64 */
uint64_t
rng_next(struct rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t
rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

/* ---- bodies ---- */

static void
fill(char *p, size_t n, uint64_t seed)
{
	struct rng r = { seed };

	for (size_t i = 0; i < n; i += 8) {
		uint64_t v = rng_next(&r);
		memcpy(p + i, &v, n - i < 8 ? n - i : 8);
	}
}

const char *
plain(const char *dest)
{
	return dest[0] >= 'A' && dest[0] <= 'Z' && strlen(dest) > 4 && dest[3] == '-' ?
	    dest + 4 : dest;
}

size_t
body_make(char *buf, size_t size, const struct letter *l)
{
	size_t n;

	size = size < BODY_MIN ? BODY_MIN : size > BODY_MAX ? BODY_MAX : size;
	n = (size_t)snprintf(buf, size, "%s %s %llu %llu %zu\n", l->sender, l->topic,
	    (unsigned long long)l->number, (unsigned long long)l->due_ms, size);
	if (n >= size)
		die("a name is too long");
	fill(buf + n, size - n, l->number * 31 + size);
	return size;
}

int
body_read(const void *body, size_t len, const char *topic, struct letter *l)
{
	static char again[BODY_MAX], sender[NAME_SIZE], to[81];
	unsigned long long n, due;
	char head[BODY_MIN + 1];
	size_t size;

	if (len < BODY_MIN || len > BODY_MAX)
		return -1;
	memcpy(head, body, BODY_MIN);
	head[BODY_MIN] = '\0';
	if (sscanf(head, "%39s %80s %llu %llu %zu\n", sender, to, &n, &due, &size) != 5 ||
	    size != len || strcmp(to, topic) != 0)
		return -1;
	*l = (struct letter){ sender, to, n, due };
	body_make(again, size, l);
	return memcmp(again, body, len) == 0 ? 0 : -1;
}
