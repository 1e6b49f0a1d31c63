#include "meter.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define NS 1000000000u

void
meter_check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
	    errno != 0 ? strerror(errno) : "failed");
	exit(1);
}

int
meter_fork(void)
{
	int pid = fork();

	meter_check(pid != -1, "fork");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static _Noreturn void
usage(void)
{
	fprintf(stderr, "usage: %s MODE [-p port] [-s size] [-w window] [-N count | "
	    "-d seconds] [--rate n] TOPIC\n", program_invocation_short_name);
	exit(64);
}

void
meter_options(struct meter *m, int argc, char **argv)
{
	static const struct option table[] = { { "rate", required_argument, NULL, 'r' },
	    { NULL, 0, NULL, 0 } };
	int c;

	*m = (struct meter){ .size = 1024, .window = 1000 };
	if (argc < 2)
		usage();
	m->mode = argv[1];
	optind = 2;
	while ((c = getopt_long(argc, argv, "p:s:w:N:d:", table, NULL)) != -1) {
		if (c == 'p')
			m->port = (uint16_t)atoi(optarg);
		else if (c == 's')
			m->size = (size_t)atol(optarg);
		else if (c == 'w')
			m->window = (uint32_t)atol(optarg);
		else if (c == 'N')
			m->count = (uint64_t)atoll(optarg);
		else if (c == 'd')
			m->duration = atof(optarg);
		else if (c == 'r')
			m->rate = (uint64_t)atoll(optarg);
		else
			usage();
	}
	if (optind != argc - 1 || m->window == 0 || m->size == 0)
		usage();
	m->topic = argv[optind];
	if (m->count == 0 && m->duration <= 0)
		m->count = 100000;
	meter_check((m->body = malloc(m->size)) != NULL, "memory");
	memset(m->body, 'b', m->size);
	signal(SIGPIPE, SIG_IGN);
}

uint64_t
meter_total(const struct meter *m)
{
	return m->count != 0 ? m->count : (uint64_t)((double)m->rate * m->duration);
}

uint64_t
meter_stamp(const char *body)
{
	uint64_t t;

	memcpy(&t, body, sizeof t);
	return t;
}

void
meter_start(struct meter *m)
{
	m->begin = m->end = dfb_mono_ns();
}

void
meter_took(struct meter *m, uint64_t since)
{
	m->end = dfb_mono_ns();
	if (m->done == m->cap) {
		m->cap = m->cap == 0 ? 65536 : m->cap * 2;
		m->ns = realloc(m->ns, m->cap * sizeof *m->ns);
		meter_check(m->ns != NULL, "memory");
	}
	m->ns[m->done++] = m->end - since;
}

/* When the next message is due; 0: none is left. */
static uint64_t
due(const struct meter *m, uint64_t now)
{
	uint64_t total = meter_total(m);

	if (total != 0 ? m->started >= total :
	    now - m->begin >= (uint64_t)(m->duration * NS))
		return 0;
	return m->rate == 0 ? now : m->begin + m->started * NS / m->rate;
}

/* Whether fd becomes readable before a time. */
static bool
readable_before(int fd, uint64_t t)
{
	uint64_t now = dfb_mono_ns(), wait = t > now ? t - now : 0;
	struct timespec ts = { (time_t)(wait / NS), (long)(wait % NS) };

	return ppoll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, &ts, NULL) == 1;
}

void
meter_run(struct meter *m, const struct meter_flow *flow)
{
	uint64_t *since = calloc(m->window, sizeof *since), at = 0;
	unsigned n;

	meter_check(since != NULL, "memory");
	prctl(PR_SET_TIMERSLACK, 1);
	meter_start(m);
	for (;;) {
		uint64_t now = dfb_mono_ns();

		while (m->started - m->done < m->window && (at = due(m, now)) != 0 &&
		    at <= now) {
			if (m->size >= sizeof at)
				memcpy(m->body, &at, sizeof at);
			since[m->started++ % m->window] = at;
			flow->put(flow->arg, m->body, m->size);
			now = dfb_mono_ns();
		}
		flow->flush(flow->arg);
		if (m->started == m->done && at == 0)
			break;
		if (m->rate != 0 && at > now && !readable_before(flow->fd, at))
			continue;
		for (n = flow->done(flow->arg); n > 0; n--)
			meter_took(m, since[m->done % m->window]);
	}
	free(since);
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The latency that a share of all are not above, in us. */
static double
percentile(const struct meter *m, double share)
{
	return m->done == 0 ? 0 : (double)m->ns[(size_t)((double)(m->done - 1) * share)] / 1e3;
}

void
meter_print(struct meter *m)
{
	double s = (double)(m->end - m->begin) / NS, rate = s > 0 ? (double)m->done / s : 0;

	qsort(m->ns, m->done, sizeof *m->ns, by_value);
	printf("{\"mode\":\"%s\",\"topic\":\"%s\",\"clients\":1,\"size\":%zu,\"window\":%u,"
	    "\"rate\":%ju,\"count\":%ju,\"failed\":%ju,\"seconds\":%.4f,\"per_second\":%.1f,"
	    "\"mb_per_second\":%.1f,\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,"
	    "\"p99.9\":%.1f,\"max\":%.1f}}\n", m->mode, m->topic, m->size, m->window,
	    (uintmax_t)m->rate, (uintmax_t)m->done, (uintmax_t)m->failed, s, rate,
	    rate * (double)m->size / 1048576, percentile(m, 0.5), percentile(m, 0.9),
	    percentile(m, 0.99), percentile(m, 0.999), percentile(m, 1));
	fflush(stdout);
}
