/*
 * A small bus lives once, with a fault in its broker or name server (hooks.c) or none, and
 * what it confirmed is checked.
 *
 * life [-r] [-f FAULT] SCENARIO DIR [BEFORE]: in DIR (absolute), which is made, live through
 *   life     a new broker: a topic, messages over several segments, a consumer, an
 *            orderly end
 *   prepare  its first half, ended by kill -9
 *   again    its second half, with what 'prepare' left in the directory BEFORE
 *   names    a name server, with a broker beside it
 *   sgs      a dfb-sgs: services are made, changed and retired
 *   gsl      a dfb-gsl that follows an sgs, and at last answers alone
 * A daemon that ends is started again, without the fault; clients are the real ones and
 * go on.  BIN and FAULTY are the directories of the plain daemons and of those with hooks.
 *
 * Prints one line: "SCENARIO FAULT DIR ok", or "BAD" and why; then how the daemon ended and
 * whether the fault struck.  -r: removes DIR when it was ok.  Status 0 or 1.
 */
#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECONDS 80 /* for all of it */
#define BODY 8000
#define GOT_MAX 1000

const char *dir, *fault;
static const char *scenario, *before;
static int got[GOT_MAX]; /* messages, as they came */
static size_t ngot;

/* ---- how it ends ---- */

char *
content(const char *name, char *text, size_t size)
{
	FILE *f = fopen(name, "r");
	size_t n = f == NULL ? 0 : fread(text, 1, size - 1, f);

	text[n] = '\0';
	if (f != NULL)
		fclose(f);
	return text;
}

static void
say(const char *what)
{
	char struck[4200], end[16] = "never";

	children_end();
	content("struck", struck, sizeof struck);
	struck[strcspn(struck, "\n")] = '\0';
	if (fate.ended != -1)
		snprintf(end, sizeof end, "%d", fate.ended);
	printf("%s %s %s %s; ended %s, %s%s\n", scenario, fault == NULL ? "-" : fault, dir, what,
	    end, *struck == '\0' ? "not struck" : "struck ", struck);
}

void
bad(const char *fmt, ...)
{
	char what[4600] = "BAD ";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what + 4, sizeof what - 4, fmt, ap);
	va_end(ap);
	say(what);
	exit(1);
}

/* ---- clients: each must end well, whatever happens to a daemon ---- */

static const char *
last_line(char *text)
{
	char *nl;
	size_t n = strlen(text);

	if (n != 0 && text[n - 1] == '\n')
		text[n - 1] = '\0';
	nl = strrchr(text, '\n');
	return nl == NULL ? text : nl + 1;
}

static unsigned
count(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)) != NULL; text += strlen(part))
		n++;
	return n;
}

void
until_good(const char *why, const char *const *argv)
{
	for (int i = 0; i < 400; i++) {
		victim_ready();
		if (client_run(argv, -1, "answer") == 0)
			return;
		usleep(10000);
	}
	bad("%s", why);
}

static void
create(void)
{
	until_good("the topic cannot be created", ARGV("dfb-ctl", "topic", "create", "--timeout",
	    "2s", "--if-missing", "--retention", "1ms", "A10-x"));
}

static void
found(void)
{
	until_good("the topic is gone", ARGV("dfb-ctl", "topic", "show", "--timeout", "5s", "A10-x"));
}

/* Messages from a number to another, each a line of 8 KiB. */
static void
send_all(int from, int to)
{
	int in = memfd_create("in", 0), rc;
	FILE *f = fdopen(in, "w");
	char log[65536];

	for (int i = from; i <= to; i++)
		fprintf(f, "%d%*s\n", i, BODY, "");
	if (fflush(f) != 0)
		bad("no memory for input: %s", strerror(errno));
	for (;;) {
		lseek(in, 0, SEEK_SET);
		rc = client_run(ARGV("dfb-send", "--wait", "10s", "A10-x"), in, "/dev/null");
		content("clients.log", log, sizeof log);
		/* It began while there was no broker: nothing was sent. */
		if (rc != 69 || count(log, "no broker serves") < 10 ||
		    strstr(last_line(log), "for the same reason") == NULL)
			break;
		if (truncate("clients.log", 0) == -1)
			bad("clients.log: %s", strerror(errno));
		found();
	}
	if (rc != 0)
		bad("dfb-send of %d to %d: status %d", from, to, rc);
	fclose(f);
}

static void
take_in(const char *file)
{
	FILE *f = fopen(file, "r");
	char *line = NULL;
	size_t size = 0;

	if (f == NULL)
		bad("no '%s': %s", file, strerror(errno));
	while (getline(&line, &size, f) != -1 && ngot < GOT_MAX)
		got[ngot++] = atoi(line);
	free(line);
	fclose(f);
}

/* how: "-e", all that is there; "-c100", so many. */
static void
receive(const char *how)
{
	char log[65536];
	const char *last;
	int rc = client_run(ARGV("dfb-recv", "--wait", "10s", "-g", "g", how, "A10-x"), -1, "out");

	take_in("out");
	last = last_line(content("clients.log", log, sizeof log));
	/* As it says: they come again. */
	if (rc == 69 && strstr(last, "acknowledgements ") != NULL &&
	    strstr(last, "come again") != NULL)
		rc = 0;
	if (rc != 0)
		bad("dfb-recv %s: status %d", how, rc);
}

/* ---- checks ---- */

/* All of 1 to n once and in order.  Again only what could not be settled when the broker
 * died: acknowledgements of stage 3 go with the next commit, of stage 4 at the latest,
 * those of stage 5 with stage 6. */
static void
check_got(int n)
{
	int max = 0;

	for (size_t i = 0; i < ngot; i++) {
		int m = got[i];
		if (m == max + 1)
			max++;
		else if (m > max)
			bad("message %d is missing", max + 1);
		else if (!((fate.died == 3 || fate.died == 4) && m <= 100) &&
		    !((fate.died == 5 || fate.died == 6) && m > 100))
			bad("message %d came again", m);
	}
	if (max != n)
		bad("%d of %d messages", max, n);
}

/* Whether a line of the text has all these parts, in this order. */
static bool
has_line(const char *text, const char *const *parts)
{
	const char *end;

	for (; *text != '\0'; text = *end == '\0' ? end : end + 1) {
		const char *p = text, *const *part = parts;
		end = strchrnul(text, '\n');
		while (*part != NULL && (p = memmem(p, (size_t)(end - p), *part, strlen(*part))) != NULL)
			p += strlen(*part++);
		if (*part == NULL)
			return true;
	}
	return false;
}

static const char *
reason(const char *what)
{
	static const char *const reasons[][2] = {
		{ "ENOSPC", "No space left" }, { "EMFILE", "Too many open files" },
		{ "EINTR", "Interrupted system call" }, { "ENOMEM", "memory" },
	};

	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (strcmp(what, reasons[i][0]) == 0)
			return reasons[i][1];
	return "Input/output error";
}

void
check_end(void)
{
	static char log[1 << 20];
	char store[4200];
	const char *what = fault == NULL ? "" : strrchr(fault, ':') + 1;

	content("victim.log", log, sizeof log);
	snprintf(store, sizeof store, "'%s", dir);
	switch (fate.ended) {
	case 0:
		if (has_line(log, ARGV("level=error ", "store '", "cannot")))
			bad("the store failed, and it ended well");
		break;
	case 71: case 74: case 75:
		if (access("struck", F_OK) == -1)
			bad("it failed without a fault: %s", last_line(log));
		if (!has_line(log, ARGV(strcmp(what, "ENOMEM") == 0 ? "" : store, reason(what))))
			bad("no line of the log says '%s'", reason(what));
		break;
	case 137:
		if (strcmp(what, "kill") != 0 && strcmp(what, "cut") != 0)
			bad("killed");
		break;
	default:
		bad("no documented end");
	}
	/* Orderly, or by SIGTERM before it was there to take it. */
	if (fate.again != -1 && fate.again != 0 && fate.again != 143)
		bad("started again, it ended with status %d", fate.again);
}

/* ---- scenarios ---- */

void
end_well(void)
{
	victim_stop();
	if (fate.again != 0)
		bad("at last it ended with status %d", fate.again);
}

const char *const *
broker(void)
{
	static char at[4200], data[4200];

	snprintf(at, sizeof at, "ipc://%s/b1.sock", dir);
	snprintf(data, sizeof data, "%s/b1", dir);
	static const char *const argv[] = { "dfb-broker", "-N", "b1", "-R", "A10", "-b", at, "-d",
		data, "--segment", "1M", "--cache", "1M", "--keep", "20ms", "--min-free", "0", NULL };
	return argv;
}

const char *const *
name_server(void)
{
	static char data[4200];

	snprintf(data, sizeof data, "%s/names", dir);
	static const char *argv[] = { "dfb-names", "-b", NULL, "-d", data, NULL };
	argv[2] = getenv("DFB_NAMES");
	return argv;
}

/* To 300 messages, 100 of them consumed. */
static void
first_half(void)
{
	stage_begin(1);
	create();
	stage_begin(2);
	send_all(1, 120);
	stage_begin(3);
	receive("-c100");
	stage_begin(4);
	send_all(121, 300);
}

static void
second_half(void)
{
	stage_begin(4);
	found();
	stage_begin(5);
	receive("-c100");
	stage_begin(6);
	send_all(301, 360);
	stage_begin(7);
	victim_stop();
	check_end();
	victim_plain(broker());
	found();
	receive("-e");
	end_well();
	check_got(360);
}

static void
live(void)
{
	char part[4200];

	snprintf(part, sizeof part, "%s/b1/", dir);
	other_start("names", name_server());
	victim_start(broker(), fault, part);
	first_half();
	second_half();
}

static void
prepare(void)
{
	FILE *f;

	other_start("names", name_server());
	victim_plain(broker());
	first_half();
	victim_kill();
	if (ngot != 100 || (f = fopen("got", "w")) == NULL)
		bad("the consumer");
	for (size_t i = 0; i < ngot; i++)
		fprintf(f, "%d\n", got[i]);
	fclose(f);
}

static void
again(void)
{
	char part[4200], from[4200];

	if (before == NULL)
		bad("'again' needs a directory BEFORE");
	snprintf(from, sizeof from, "%s/got", before);
	take_in(from);
	snprintf(from, sizeof from, "%s/b1", before);
	if (client_run(ARGV("cp", "-R", from, "b1"), -1, "/dev/null") != 0)
		bad("cannot copy '%s'", from);
	snprintf(part, sizeof part, "%s/b1/", dir);
	other_start("names", name_server());
	victim_start(broker(), fault, part);
	second_half();
}

static void
names(void)
{
	char part[4200];

	snprintf(part, sizeof part, "%s/names/", dir);
	victim_start(name_server(), fault, part);
	other_start("broker", broker());
	stage_begin(1);
	create();
	stage_begin(2);
	send_all(1, 20);
	stage_begin(7);
	victim_stop();
	check_end();
	victim_plain(name_server());
	send_all(21, 40);
	receive("-e");
	end_well();
	check_got(40);
}

/* ---- from the command line ---- */

static int
gone(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void
environment(void)
{
	char text[4200];

	setenv("LC_ALL", "C", 1);
	setenv("DFB_REGION", "A10", 1);
	snprintf(text, sizeof text, "ipc://%s/names.sock", dir);
	setenv("DFB_NAMES", text, 1);
	snprintf(text, sizeof text, "%s/struck", dir);
	setenv("DFB_FAULT_MARK", text, 1);
	snprintf(text, sizeof text, "%s/counts", dir);
	setenv("DFB_FAULT_COUNTS", text, 1);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} scenarios[] = {
		{ "life", live }, { "prepare", prepare }, { "again", again }, { "names", names },
		{ "sgs", sgs }, { "gsl", gsl },
	};
	bool removes = false;
	size_t i = 0;
	int c;

	while ((c = getopt(argc, argv, "rf:")) != -1)
		switch (c) {
		case 'r': removes = true; break;
		case 'f': fault = optarg; break;
		default: return 64;
		}
	if (argc - optind < 2 || argv[optind + 1][0] != '/' || (fault != NULL &&
	    strchr(fault, ':') == NULL)) {
		fprintf(stderr, "usage: life [-r] [-f FAULT] SCENARIO DIR [BEFORE]\n");
		return 64;
	}
	while (i < sizeof scenarios / sizeof *scenarios &&
	    strcmp(argv[optind], scenarios[i].name) != 0)
		i++;
	if (i == sizeof scenarios / sizeof *scenarios) {
		fprintf(stderr, "life: no scenario '%s'\n", argv[optind]);
		return 64;
	}
	scenario = argv[optind], dir = argv[optind + 1], before = argv[optind + 2];
	if (mkdir(dir, 0777) == -1 || chdir(dir) == -1) {
		fprintf(stderr, "life: cannot use '%s': %s\n", dir, strerror(errno));
		return 1;
	}
	environment();
	child_limit(SECONDS);
	scenarios[i].run();
	say("ok");
	if (removes && chdir("/") == 0)
		nftw(dir, gone, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
