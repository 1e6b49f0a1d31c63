/* Ledgers into memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checker.h"
#include "ledger.h"

static void *
more(void *p, size_t n, size_t size)
{
	/* Grows by doubling: n is a power of two or 0 when there is no room left. */
	if ((n & (n - 1)) != 0)
		return p;
	if ((p = reallocarray(p, n == 0 ? 1 : n * 2, size)) == NULL)
		die("out of memory");
	return p;
}

static void
add(struct list *l, const struct line *x)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 1024 : l->cap * 2;
		if ((l->v = reallocarray(l->v, l->cap, sizeof *l->v)) == NULL)
			die("out of memory");
	}
	l->v[l->n++] = *x;
}

static char *
copy(const char *s)
{
	char *p = strdup(s);

	if (p == NULL)
		die("out of memory");
	return p;
}

static int
topic_of(struct world *w, const char *name)
{
	for (size_t i = 0; i < w->ntopics; i++)
		if (strcmp(w->topics[i].name, name) == 0)
			return (int)i;
	w->topics = more(w->topics, w->ntopics, sizeof *w->topics);
	w->topics[w->ntopics] = (struct topic){ .name = copy(name) };
	return (int)w->ntopics++;
}

static int
group_of(struct world *w, const char *name)
{
	for (size_t i = 0; i < w->ngroups; i++)
		if (strcmp(w->groups[i].name, name) == 0)
			return (int)i;
	w->groups = more(w->groups, w->ngroups, sizeof *w->groups);
	w->groups[w->ngroups] = (struct group){ copy(name), strncmp(name, "fresh", 5) == 0 };
	return (int)w->ngroups++;
}

static int
proc_of(struct world *w, const char *name)
{
	static int last;

	if ((size_t)last < w->nprocs && strcmp(w->procs[last].name, name) == 0)
		return last;
	for (size_t i = 0; i < w->nprocs; i++)
		if (strcmp(w->procs[i].name, name) == 0)
			return last = (int)i;
	w->procs = more(w->procs, w->nprocs, sizeof *w->procs);
	w->procs[w->nprocs] = (struct proc){ .name = copy(name), .group = -1, .topic = -1 };
	return last = (int)w->nprocs++;
}

/* A word BROKER/QUEUE, or QUEUE alone. */
static bool
place_of(struct world *w, char *s, uint32_t *place)
{
	char *slash = strchr(s, '/'), *queue = slash != NULL ? slash + 1 : s, *end;
	uint32_t i = 1;

	w->brokers[0] = "";
	if (slash != NULL)
		*slash = '\0';
	else
		i = 0;
	for (; i != 0 && i < BROKERS_MAX && w->brokers[i] != NULL; i++)
		if (strcmp(w->brokers[i], s) == 0)
			break;
	if (i == BROKERS_MAX)
		die("too many brokers");
	if (w->brokers[i] == NULL)
		w->brokers[i] = copy(s);
	*place = i << 16 | (uint32_t)strtoul(queue, &end, 10);
	return end != queue && *end == '\0';
}

static void
add_end(struct world *w, uint64_t from, uint64_t to, bool killed, const char *name)
{
	w->ends = more(w->ends, w->nends, sizeof *w->ends);
	w->ends[w->nends++] = (struct end){ from, to, killed, copy(name) };
}

/* ---- lines ---- */

static bool
driver_line(struct world *w, const char *s)
{
	unsigned long long a, b;
	char name[128], how[16], rules[32] = "";

	if (s[0] == 'D')
		return true;
	if (s[0] == 'o' && sscanf(s, "o %127s %15s %31s", name, how, rules) >= 2) {
		int i = topic_of(w, name); /* which may move them */
		struct topic *t = &w->topics[i];
		t->durability = strcmp(how, "commit") == 0 ? COMMIT :
		    strcmp(how, "async") == 0 ? ASYNC : MEMORY;
		t->brokers = strchr(rules, 'b') != NULL;
		t->follow = strchr(rules, 'q') != NULL;
		t->loose = strchr(rules, 'x') != NULL;
		t->labelled = strchr(rules, 'g') != NULL ? copy(strchr(rules, 'g')) : NULL;
		return true;
	}
	if (sscanf(s + 1, " %llu %llu %127s", &a, &b, name) != 3)
		return false;
	add_end(w, a, b, s[0] == 'k', name);
	return true;
}

static bool
producer_line(struct world *w, int proc, const char *s)
{
	struct line x = { .kind = s[0], .proc = proc };
	unsigned long long t, a, b = 0;
	char topic[128];

	if (sscanf(s + 1, " %llu %127s %llu %llu", &t, topic, &a, &b) != (s[0] == 's' ? 4 : 3))
		return false;
	x.topic = topic_of(w, topic);
	x.t = t;
	x.a = a;
	x.b = b;
	add(&w->sends, &x);
	return true;
}

static bool
consumer_line(struct world *w, int proc, const char *s)
{
	struct line x = { .kind = s[0], .proc = proc, .sender = -1 };
	unsigned long long t, offset = 0, session = 0, number = 0;
	unsigned tries = 0;
	char topic[128], sender[NAME_SIZE] = "", id[128], place[128] = "0", maybe[8] = "";
	int n, status = 0;

	if (s[0] == 'b' && sscanf(s, "b %llu %127s %127s", &t, topic, id) == 3) {
		red(w, "body", "%s: %s in %s is not what was sent", w->procs[proc].name, id,
		    topic);
		return true;
	}
	if (s[0] == 'y' && sscanf(s, "y %llu %127s %127s %llu", &t, topic, id, &number) == 4) {
		red(w, "early", "%s: %s in %s, %llu ms before its time", w->procs[proc].name, id,
		    topic, number);
		return true;
	}
	if (strchr("lxd", s[0]) != NULL) {
		n = sscanf(s + 1, " %llu %127s %d", &t, topic, &status);
		if (n != (s[0] == 'x' ? 3 : 2))
			return false;
	} else {
		n = sscanf(s + 1, " %llu %127s %127s %llu %u %llu %39[^:]:%llu %7s", &t, topic,
		    place, &offset, &tries, &session, sender, &number, maybe);
		if (n - (n == 9) != (s[0] == 'g' ? 8 : 4) || !place_of(w, place, &x.place))
			return false;
		x.maybe = strcmp(maybe, "maybe") == 0;
	}
	x.topic = topic_of(w, topic);
	x.t = t;
	x.a = number;
	x.b = (uint64_t)status;
	x.tries = tries;
	x.offset = offset;
	x.session = session;
	if (s[0] == 'g')
		x.sender = proc_of(w, sender);
	add(strchr("lxd", s[0]) != NULL ? &w->leaves : &w->deliveries, &x);
	return true;
}

static bool
caller_line(struct world *w, int proc, const char *s)
{
	struct line x = { .kind = s[0], .proc = proc };
	unsigned long long t, n, status = 0;
	int taken = 0, same = 0, got;

	if (s[0] == 'e') {
		w->procs[proc].all_answered = true;
		return true;
	}
	got = sscanf(s + 1, " %llu %llu %llu %d %d", &t, &n, &status, &taken, &same);
	if (got != (s[0] == 'w' ? 5 : 2))
		return false;
	x.t = t;
	x.a = n;
	x.b = status;
	x.taken = taken != 0;
	x.same = same != 0;
	add(&w->calls, &x);
	return true;
}

static bool
first_line(struct world *w, int *proc, char *kind, const char *s)
{
	char name[NAME_SIZE], more_of_it[128] = "", label[80] = "";
	int n = sscanf(s + 1, " %39s %127s %79s", name, more_of_it, label);

	*kind = s[0];
	if (strchr("PCKD", s[0]) == NULL ||
	    n - (n == 3 && s[0] == 'C') - (n == 2 && s[0] == 'P') !=
	    (s[0] == 'P' || s[0] == 'D' ? 1 : 2))
		return false;
	if (s[0] == 'D')
		return true;
	*proc = proc_of(w, name);
	w->procs[*proc].kind = s[0];
	if (s[0] == 'C') {
		w->procs[*proc].group = group_of(w, more_of_it);
		w->procs[*proc].label = *label != '\0' ? copy(label) : NULL;
	}
	if (s[0] == 'K')
		w->procs[*proc].topic = topic_of(w, more_of_it);
	return true;
}

static bool
line(struct world *w, int *proc, char *kind, const char *s)
{
	if (*kind == '\0')
		return first_line(w, proc, kind, s);
	switch (*kind) {
	case 'D': return strchr("okt", s[0]) != NULL && driver_line(w, s);
	case 'P': return strchr("scf", s[0]) != NULL && producer_line(w, *proc, s);
	case 'C': return strchr("ganlxdby", s[0]) != NULL && consumer_line(w, *proc, s);
	default: return strchr("qwe", s[0]) != NULL && caller_line(w, *proc, s);
	}
}

void
load_ledger(struct world *w, const char *path)
{
	FILE *f = fopen(path, "r");
	char *s = NULL, kind = '\0';
	size_t cap = 0, at = 0;
	ssize_t n;
	int proc = -1;

	if (f == NULL)
		die("cannot open '%s': %s", path, strerror(errno));
	while ((n = getline(&s, &cap, f)) > 0) {
		at++;
		if (s[n - 1] != '\n')
			break; /* cut off by a kill */
		s[n - 1] = '\0';
		if (s[0] == '\0' || !line(w, &proc, &kind, s))
			die("%s:%zu: no line of a ledger: %s", path, at, s);
	}
	free(s);
	fclose(f);
}

/* ---- all together ---- */

#define BY(x, y) do { if ((x) != (y)) return (x) < (y) ? -1 : 1; } while (0)

static const struct world *sorting;

static int
by_place(const void *p, const void *q)
{
	const struct line *a = p, *b = q;

	BY(sorting->procs[a->proc].group, sorting->procs[b->proc].group);
	BY(a->topic, b->topic);
	BY(a->place, b->place);
	BY(a->offset, b->offset);
	BY(a->t, b->t);
	BY(b->kind == 'g', a->kind == 'g');
	return 0;
}

void
load_done(struct world *w)
{
	for (size_t i = 0; i < w->nends; i++)
		for (size_t k = 0; k < w->nprocs && w->ends[i].killed; k++)
			if (strcmp(w->ends[i].name, w->procs[k].name) == 0)
				w->procs[k].end = &w->ends[i];
	sorting = w;
	if (w->deliveries.n != 0)
		qsort(w->deliveries.v, w->deliveries.n, sizeof *w->deliveries.v, by_place);
}

/* Whether a process is that broker: "broker-a1.3", or "broker.3" of whatever name. */
static bool
is_broker(const struct world *w, const char *proc, int broker)
{
	size_t len = broker > 0 ? strlen(w->brokers[broker]) : 0;

	if (strncmp(proc, "broker", 6) != 0)
		return false;
	return broker <= 0 || proc[6] != '-' ||
	    (strncmp(proc + 7, w->brokers[broker], len) == 0 && proc[7 + len] == '.');
}

bool
broker_ended(const struct world *w, int broker, uint64_t from, uint64_t to, bool any)
{
	for (size_t i = 0; i < w->nends; i++) {
		const struct end *e = &w->ends[i];
		if ((any || e->killed) && e->to >= from && e->from <= to &&
		    is_broker(w, e->name, broker))
			return true;
	}
	return false;
}
