/* Calls: one answer each; what was answered ran, what nobody took did not. */
#include <stdlib.h>

#include "checker.h"
#include "ledger.h"

#define BY(x, y) do { if ((x) != (y)) return (x) < (y) ? -1 : 1; } while (0)

static int
by_call(const void *p, const void *q)
{
	const struct line *a = p, *b = q;

	BY(a->sender, b->sender);
	BY(a->a, b->a);
	BY(a->kind == 'g' ? 2 : a->kind == 'w', b->kind == 'g' ? 2 : b->kind == 'w');
	BY(a->t, b->t);
	return 0;
}

/* One call: q, then w, then g. */
static void
check_call(struct world *w, const struct line *v, size_t n)
{
	const struct proc *p = &w->procs[v->sender];
	const struct line *answer = NULL, *first = NULL, *last = NULL;
	uint64_t over = p->end != NULL ? p->end->to : UINT64_MAX;

	for (size_t i = 0; i < n; i++) {
		if (v[i].kind == 'w' && answer != NULL)
			red(w, "answered-twice", "%s:%llu", p->name, ULL(v->a));
		if (v[i].kind == 'w')
			answer = &v[i];
		if (v[i].kind == 'g') {
			first = first == NULL ? &v[i] : first;
			last = &v[i];
		}
	}
	if (v->kind != 'q') {
		red(w, "unsent", "call %s:%llu was never made", p->name, ULL(v->a));
		return;
	}
	if (answer == NULL && p->all_answered)
		red(w, "unanswered", "%s:%llu", p->name, ULL(v->a));
	if (answer != NULL && answer->b == 0 && (first == NULL || !answer->same))
		red(w, "not-run", "%s:%llu was answered, and %s", p->name, ULL(v->a),
		    first == NULL ? "never ran" : "not with its own reply");
	if (answer != NULL && !answer->taken && first != NULL)
		red(w, "ran", "%s:%llu ran, and its caller was told that nobody took it",
		    p->name, ULL(v->a));
	if (answer != NULL)
		over = answer->t;
	if (last != NULL && over != UINT64_MAX && last->t > over + SLACK_NS)
		red(w, "ran-late", "%s:%llu was handed out %llu ms after it was over", p->name,
		    ULL(v->a), ULL((last->t - over) / 1000000));
}

void
check_calls(struct world *w)
{
	struct line *v = calloc(w->calls.n + w->deliveries.n + 1, sizeof *v);
	size_t n = 0, k;

	if (v == NULL)
		die("out of memory");
	for (size_t i = 0; i < w->calls.n; i++) {
		v[n] = w->calls.v[i];
		v[n].sender = v[n].proc;
		n++;
	}
	for (size_t i = 0; i < w->deliveries.n; i++)
		if (w->deliveries.v[i].kind == 'g' &&
		    w->procs[w->deliveries.v[i].sender].kind == 'K')
			v[n++] = w->deliveries.v[i];
	qsort(v, n, sizeof *v, by_call);
	for (size_t i = 0; i < n; i += k) {
		for (k = 1; i + k < n && v[i + k].sender == v[i].sender && v[i + k].a == v[i].a;
		    k++)
			;
		check_call(w, &v[i], k);
	}
	free(v);
}
