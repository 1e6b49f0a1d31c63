/*
 * checker LEDGER...: read all ledgers of a bus and say what must not be.  A line for each
 * thing found, and status 1; else one line of figures and status 0.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checker.h"

#define SHOWN 10 /* of each rule */

void
red(struct world *w, const char *rule, const char *fmt, ...)
{
	static struct { const char *rule; unsigned n; } shown[32];
	size_t i = 0;
	va_list ap;

	w->red++;
	while (shown[i].rule != NULL && strcmp(shown[i].rule, rule) != 0)
		i++;
	shown[i].rule = rule;
	if (++shown[i].n > SHOWN)
		return;
	printf("RED %s: ", rule);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

const char *
where(const struct world *w, const struct line *x)
{
	static char text[2][300];
	static unsigned turn;
	char *s = text[turn++ % 2];
	const char *broker = w->brokers[PLACE_BROKER(x->place)];

	snprintf(s, sizeof text[0], "%s %s%s%u/%llu", w->topics[x->topic].name, broker,
	    *broker != '\0' ? ":" : "", PLACE_QUEUE(x->place), ULL(x->offset));
	return s;
}

int
main(int argc, char **argv)
{
	static struct world w; /* never freed */
	size_t again = 0, got = 0, calls = 0;

	for (int i = 1; i < argc; i++)
		load_ledger(&w, argv[i]);
	load_done(&w);
	check_messages(&w);
	check_offsets(&w);
	check_keys(&w);
	check_groups(&w);
	check_calls(&w);
	for (size_t i = 0; i < w.deliveries.n; i++) {
		got += w.deliveries.v[i].kind == 'g';
		again += w.deliveries.v[i].kind == 'g' && w.deliveries.v[i].same;
	}
	for (size_t i = 0; i < w.calls.n; i++)
		calls += w.calls.v[i].kind == 'q';
	if (w.red != 0) {
		printf("%u things that must not be\n", w.red);
		return 1;
	}
	printf("deliveries=%zu again=%zu calls=%zu ends=%zu\n", got, again, calls, w.nends);
	return 0;
}
