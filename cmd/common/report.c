#include "common/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "common/input.h"

#define PRINTED 10 /* of failures in a row for the same reason */
#define PLACE_MAX 512

/* Messages from n on are those from `number` of the file on. */
struct dfb_report_span {
	uint64_t n, number;
	size_t file;
};

void
dfb_report_release(struct dfb_report *r)
{
	free(r->spans);
	r->spans = NULL;
}

int
dfb_report_taken(struct dfb_report *r, uint64_t n)
{
	const struct dfb_input *in = r->in;
	const struct dfb_report_span *last = NULL;

	if (r->nspans != 0)
		last = &r->spans[r->nspans - 1];
	if (last != NULL && last->file == in->file &&
	    in->frames.number - last->number == n - last->n)
		return 0;
	if (r->nspans == r->cap) {
		size_t cap = r->cap != 0 ? r->cap * 2 : 8;
		struct dfb_report_span *p = reallocarray(r->spans, cap, sizeof *p);
		if (p == NULL)
			return -1;
		r->spans = p;
		r->cap = cap;
	}
	r->spans[r->nspans++] = (struct dfb_report_span){ n, in->frames.number,
		in->file };
	return 0;
}

static const struct dfb_report_span *
span_of(const struct dfb_report *r, uint64_t n)
{
	size_t lo = 0, hi = r->nspans;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (r->spans[mid].n <= n)
			lo = mid;
		else
			hi = mid;
	}
	return &r->spans[lo];
}

void
dfb_report_end(struct dfb_report *r)
{
	char from[PLACE_MAX], to[PLACE_MAX];
	unsigned long long more = r->same > PRINTED ? r->same - PRINTED : 0;

	r->same = 0;
	if (more == 0)
		return;
	dfb_input_place(r->in, r->more_file[0], r->more_number[0], from, sizeof from);
	dfb_input_place(r->in, r->more_file[1], r->more_number[1], to, sizeof to);
	log_errx("and %llu more for the same reason, %s to %s", more, from, to);
}

void
dfb_report_at(struct dfb_report *r, size_t file, uint64_t number, enum dfb_status st,
    const char *why)
{
	char place[PLACE_MAX];

	if (r->status == DFB_OK)
		r->status = st;
	r->failures++;
	if (r->same == 0 || strcmp(r->reason, why) != 0) {
		dfb_report_end(r);
		snprintf(r->reason, sizeof r->reason, "%s", why);
	}
	if (++r->same <= PRINTED) {
		if (number != DFB_REPORT_WHOLE)
			log_errx("%s: %s", dfb_input_place(r->in, file, number, place,
			    sizeof place), why);
		else
			log_errx("%s", why);
		return;
	}
	r->more_file[1] = file;
	r->more_number[1] = number;
	if (r->same == PRINTED + 1) {
		r->more_file[0] = file;
		r->more_number[0] = number;
	}
}

void
dfb_report_message(struct dfb_report *r, uint64_t n, enum dfb_status st, const char *why)
{
	const struct dfb_report_span *s = span_of(r, n);

	dfb_report_at(r, s->file, s->number + (n - s->n), st, why);
}

void
dfb_report_current(struct dfb_report *r, enum dfb_status st, const char *why)
{
	dfb_report_at(r, r->in->file, r->in->frames.number, st, why);
}

void
dfb_report_file(struct dfb_report *r, enum dfb_status st, const char *why)
{
	dfb_report_at(r, r->in->file, 0, st, why);
}
