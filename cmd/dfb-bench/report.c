#include <stdio.h>

#include "dfb-bench/bench.h"

#define MB 1048576.0

/* In thousandths; the last, 1000, is the greatest. */
static const struct {
	unsigned q;
	const char *name;
} points[] = { { 500, "p50" }, { 900, "p90" }, { 990, "p99" }, { 999, "p99.9" },
	{ 1000, "max" } };

#define NPOINTS (sizeof points / sizeof *points)

static double
seconds(const struct bench *b, const struct meter *m)
{
	return m->count != 0 && m->last_ns > b->start_ns ?
	    (double)(m->last_ns - b->start_ns) / 1e9 : 0;
}

static double
per_second(const struct bench *b, const struct meter *m, double n)
{
	double s = seconds(b, m);

	return s > 0 ? n / s : 0;
}

/* As it was asked for, or as it was found. */
static size_t
body_size(const struct bench *b, const struct meter *m)
{
	if (b->opt->mode != BENCH_RECV)
		return b->opt->size;
	return m->count != 0 ? (size_t)(m->bytes / m->count) : 0;
}

static uint32_t
window(const struct bench *b)
{
	return b->opt->mode == BENCH_RECV ? b->opt->credit : b->opt->window;
}

static double
latency_us(const struct meter *m, size_t point)
{
	return (double)histogram_at(&m->latency, points[point].q) / 1e3;
}

/* ---- JSON ---- */

static void
print_fields(const struct bench *b, const struct meter *m, const char *mode)
{
	const struct options *o = b->opt;

	printf("\"mode\":\"%s\",\"topic\":\"%s\",\"clients\":%u,\"size\":%zu,"
	    "\"window\":%u,\"rate\":%llu,\"count\":%llu,\"failed\":%llu,"
	    "\"seconds\":%.6f,\"per_second\":%.1f,\"mb_per_second\":%.3f,\"latency_us\":",
	    mode, o->topic, o->clients, body_size(b, m), window(b),
	    (unsigned long long)o->rate, (unsigned long long)m->count,
	    (unsigned long long)m->failed, seconds(b, m),
	    per_second(b, m, (double)m->count), per_second(b, m, (double)m->bytes / MB));
	if (m->latency.n == 0) {
		printf("null");
		return;
	}
	for (size_t i = 0; i < NPOINTS; i++)
		printf("%c\"%s\":%.1f", i == 0 ? '{' : ',', points[i].name, latency_us(m, i));
	putchar('}');
}

static void
print_json(const struct bench *b, const struct meter *m, const struct meter *sent)
{
	putchar('{');
	print_fields(b, m, bench_modes[b->opt->mode]);
	if (sent != NULL) {
		printf(",\"send\":{");
		print_fields(b, sent, "send");
		putchar('}');
	}
	printf("}\n");
}

/* ---- text ---- */

static void
print_row(const struct bench *b, const struct meter *m, const char *name)
{
	printf("%-8s %10llu %8llu %10.3f %11.1f %9.1f", name, (unsigned long long)m->count,
	    (unsigned long long)m->failed, seconds(b, m),
	    per_second(b, m, (double)m->count), per_second(b, m, (double)m->bytes / MB));
	for (size_t i = 0; i < NPOINTS && b->opt->mode != BENCH_RECV; i++)
		if (m->latency.n != 0)
			printf(" %9.1f", latency_us(m, i));
		else
			printf(" %9s", "-");
	putchar('\n');
}

static void
print_text(const struct bench *b, const struct meter *m, const struct meter *sent)
{
	static const char *const done[] = { "sent", "received", "received", "called" };
	const struct options *o = b->opt;

	printf("%s: %u client%s, %zu bytes, %s %u", o->topic, o->clients,
	    o->clients == 1 ? "" : "s", body_size(b, m),
	    o->mode == BENCH_RECV ? "credit" : "window", window(b));
	if (o->rate != 0)
		printf(", %llu per second", (unsigned long long)o->rate);
	printf("%s\n%-8s %10s %8s %10s %11s %9s",
	    o->mode != BENCH_RECV ? "; latency in us" : "", "", "count", "failed",
	    "seconds", "per second", "MiB/s");
	for (size_t i = 0; i < NPOINTS && o->mode != BENCH_RECV; i++)
		printf(" %9s", points[i].name);
	putchar('\n');
	if (sent != NULL)
		print_row(b, sent, "sent");
	print_row(b, m, done[o->mode]);
}

int
report(const struct bench *b, const struct meter *m, const struct meter *sent)
{
	(b->opt->json ? print_json : print_text)(b, m, sent);
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -1;
}
