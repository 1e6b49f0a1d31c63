/* Faults of the daemons that govern services and find them. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "life.h"

#define ENTRIES 17 /* in the journal: of 14 requests, and 3 steps of sgs's own */

static const char *const *
daemon_args(const char *prog, const char *name, const char **argv, char (*text)[4200])
{
	size_t n = 0;

	snprintf(text[0], sizeof *text, "ipc://%s/%s.sock", dir, name);
	snprintf(text[1], sizeof *text, "%s/%s", dir, name);
	argv[n++] = prog;
	argv[n++] = "-N";
	argv[n++] = name;
	argv[n++] = "-b";
	argv[n++] = text[0];
	argv[n++] = "-d";
	argv[n++] = text[1];
	if (strcmp(prog, "dfb-sgs") == 0) {
		argv[n++] = "--grace";
		argv[n++] = "0";
	}
	argv[n] = NULL;
	return argv;
}

static const char *const *
sgs_args(void)
{
	static const char *argv[12];
	static char text[2][4200];

	return daemon_args("dfb-sgs", "sgs", argv, text);
}

static const char *const *
gsl_args(void)
{
	static const char *argv[12];
	static char text[2][4200];

	return daemon_args("dfb-gsl", "gsl", argv, text);
}

/* ---- requests: each is asked again until it was answered, and must be done once ---- */

static unsigned requests;

static void
request(const char *const *argv)
{
	const char *args[16];
	char id[16], why[64];
	size_t n = 0;

	snprintf(id, sizeof id, "r%u", ++requests);
	snprintf(why, sizeof why, "request %s is not done", id);
	args[n++] = "dfb-ctl";
	for (; *argv != NULL && n < 13; argv++)
		args[n++] = *argv;
	args[n++] = "--request";
	args[n++] = id;
	args[n] = NULL;
	until_good(why, args);
}

static void
make(const char *service)
{
	request(ARGV("service", "apply", "--queues", "2", service));
	request(ARGV("service", "approve", service));
	request(ARGV("service", "deploy", service, "A10"));
}

/* ---- checks ---- */

/* What a command prints as JSON; the caller's. */
static json_t *
ask(const char *const *argv)
{
	json_t *j;

	until_good("a question is not answered", argv);
	if ((j = json_load_file("answer", 0, NULL)) == NULL)
		bad("%s %s gives no JSON", argv[1], argv[2]);
	return j;
}

/* Each request once and in its order, no gaps, and nothing else but steps of sgs. */
static void
check_journal(void)
{
	json_t *all = ask(ARGV("dfb-ctl", "service", "history", "--json")), *e;
	unsigned seen = 0;
	char id[16];
	size_t i;

	if (json_array_size(all) != ENTRIES)
		bad("%zu entries in the journal, not %d", json_array_size(all), ENTRIES);
	json_array_foreach(all, i, e) {
		const char *r = json_string_value(json_object_get(e, "request"));
		if (json_integer_value(json_object_get(e, "seq")) != (json_int_t)i + 1)
			bad("entry %zu of the journal has another number", i + 1);
		snprintf(id, sizeof id, "r%u", seen + 1);
		if (r != NULL && strcmp(r, id) == 0)
			seen++;
		else if (r != NULL)
			bad("request %s where %s should be", r, id);
	}
	if (seen != requests)
		bad("%u of %u requests in the journal", seen, requests);
	json_decref(all);
}

static void
check_state(void)
{
	json_t *all = ask(ARGV("dfb-ctl", "service", "list", "--json"));
	char *text = json_dumps(all, JSON_COMPACT);

	if (strstr(text, "\"state\":\"online\"") == NULL || strstr(text, "\"weight\":50") == NULL ||
	    strstr(text, "\"percent\":10") == NULL || strstr(text, "\"state\":\"retired\"") == NULL)
		bad("not the state that the requests made: %s", text);
	free(text);
	json_decref(all);
}

/* The broker comes to have the topic of pay, and no other. */
static void
check_topics(void)
{
	char at[4200], text[1024] = "";

	snprintf(at, sizeof at, "ipc://%s/b1.sock", dir);
	for (int i = 0; i < 400; i++, usleep(10000)) {
		json_decref(ask(ARGV("dfb-ctl", "ask", at, "topic.governed", "{}")));
		content("answer", text, sizeof text);
		if (strstr(text, "A10-pay") != NULL && strstr(text, "A10-rate") == NULL)
			return;
	}
	bad("the broker has %s", text);
}

/* The gsl comes to say that the service is in A10, and has all changes. */
static void
located(const char *service, int version)
{
	char text[1024] = "";

	for (int i = 0; i < 400; i++, usleep(10000)) {
		json_t *j;
		bool is;
		victim_ready();
		j = ask(ARGV("dfb-ctl", "service", "locate", "--json", service));
		is = json_array_size(json_object_get(j, "places")) == 1 &&
		    json_integer_value(json_object_get(j, "version")) >= version;
		json_decref(j);
		if (is)
			return;
	}
	bad("the gsl does not find %s: %s", service, content("answer", text, sizeof text));
}

/* ---- scenarios ---- */

void
sgs(void)
{
	char part[4200];

	snprintf(part, sizeof part, "%s/sgs/", dir);
	other_start("names", name_server());
	other_start("broker", broker());
	victim_start(sgs_args(), fault, part);
	make("pay");
	request(ARGV("service", "weight", "pay", "A10", "50"));
	request(ARGV("affinity", "add", "pay", "A10", "--prefix", "c1"));
	request(ARGV("distance", "set", "A10", "B20", "3"));
	request(ARGV("gray", "set", "pay", "v2", "--percent", "10"));
	request(ARGV("service", "suspend", "pay", "A10"));
	request(ARGV("service", "resume", "pay", "A10"));
	make("rate");
	request(ARGV("service", "undeploy", "rate", "A10"));
	request(ARGV("service", "retire", "rate"));
	victim_stop();
	check_end();
	victim_plain(sgs_args());
	victim_ready();
	check_journal();
	check_state();
	check_topics();
	end_well();
}

void
gsl(void)
{
	char part[4200];

	snprintf(part, sizeof part, "%s/gsl/", dir);
	other_start("names", name_server());
	other_start("broker", broker());
	other_start("sgs", sgs_args());
	victim_start(gsl_args(), fault, part);
	make("pay");
	located("pay", 4);
	make("rate");
	request(ARGV("affinity", "add", "pay", "A10", "--prefix", "c1"));
	located("rate", 9);
	stage_begin(7);
	victim_stop();
	check_end();
	/* What it had is on its disk, if it ended well. */
	if (fate.died != 7 || fate.ended == 0)
		other_kill("sgs");
	victim_plain(gsl_args());
	located("pay", 9);
	located("rate", 9);
	end_well();
}
