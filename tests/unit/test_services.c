/* Services at sgs: every state and command, the journal, requests, versions; on a store of its
 * own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "dfb-sgs/book.h"
#include "dfb-sgs/command.h"
#include "dfb-sgs/states.h"

static char top[256], dir[300];
static struct book book;
static char why[BOOK_WHY];
static enum dfb_status status;

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(top, sizeof top, "%s/test_services.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(top) == NULL)
		return -1;
	snprintf(dir, sizeof dir, "%s/sgs", top);
	return book_open(&book, dir);
}

static int
teardown(void **state)
{
	char cmd[400];

	(void)state;
	assert_int_equal(book_close(&book), DFB_OK);
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", top);
	return system(cmd);
}

static void
again(void)
{
	assert_int_equal(book_close(&book), DFB_OK);
	assert_int_equal(book_open(&book, dir), DFB_OK);
}

/* ' for ". */
static json_t *
parse(const char *text)
{
	char copy[2048];
	json_t *j;

	snprintf(copy, sizeof copy, "%s", text);
	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	j = json_loads(copy, JSON_DECODE_ANY, NULL);
	assert_non_null(j);
	return j;
}

static json_t *
give(enum command c, const char *args)
{
	struct asked a = { .args = parse(args), .who = "ann", .now_ms = 1000 };
	json_t *answer = command_run(&book, c, &a, &status, why);

	json_decref(a.args);
	assert_true((answer != NULL) == (status == DFB_OK));
	return answer;
}

static void
must(enum command c, const char *args)
{
	json_t *answer = give(c, args);

	if (answer == NULL)
		fail_msg("%s %s: %s", command_text(c), args, why);
	json_decref(answer);
}

static void
must_not(enum command c, const char *args, enum dfb_status want, const char *part)
{
	uint64_t version = book.version;
	json_t *answer = give(c, args);

	if (answer != NULL || status != want || strstr(why, part) == NULL)
		fail_msg("%s %s: %d %s", command_text(c), args, (int)status, why);
	assert_int_equal(book.version, version);
}

static void
step(enum command c, const char *region)
{
	assert_int_equal(command_step(&book, c, "pay", region,
	    c == COMMAND_ROLLED_BACK ? "no broker" : NULL, 2000), DFB_OK);
}

/* ---- the table ---- */

/* What the design says, written down a second time: rows are states of a service (and of its
 * deployment), columns where each command leads, "-" nowhere.  "p": with settings that wait. */
static const struct row {
	const char *at;
	const char *apply, *approve, *retire, *gray; /* of the service: its state */
	const char *deploy, *suspend, *resume, *undeploy, *weight; /* the deployment's */
	const char *deployed, *rolled_back, *drained;
	const char *allowed; /* what a refusal of `resume` or `approve` names */
} rows[] = {
	{ "none", "applied", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", NULL },
	{ "applied", "applied", "approved", "retired", "applied", "-", "-", "-", "-", "-", "-",
	    "-", "-", "apply, approve, retire, gray.set, gray.delete" },
	{ "retired", "applied", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "apply" },
	{ "approved", "approved", "-", "retired", "approved", "deploying", "-", "-", "-", "-",
	    "-", "-", "-", "deploy" },
	{ "approved p", "approved", "approved", "retired", "approved", "deploying", "-", "-",
	    "-", "-", "-", "-", "-", "deploy" },
	{ "offline", "approved", "-", "retired", "approved", "deploying", "-", "-", "-", "-",
	    "-", "-", "-", "deploy" },
	{ "deploying", "approved", "-", "-", "approved", "-", "-", "-", "draining",
	    "deploying", "online", "offline", "-", "undeploy, weight" },
	{ "online", "approved", "-", "-", "approved", "-", "suspended", "-", "draining",
	    "online", "-", "-", "-", "suspend, undeploy, weight" },
	{ "suspended", "approved", "-", "-", "approved", "-", "-", "online", "draining",
	    "suspended", "-", "-", "-", "resume, undeploy, weight" },
	{ "draining", "approved", "-", "-", "approved", "deploying", "-", "-", "-",
	    "draining", "-", "-", "offline", "deploy, weight" },
};

static const char *reached; /* in the table's test: what is so still */

/* A service 'pay' in that state, from nothing. */
static void
reach(const char *at)
{
	static const char pay[] = "{'service':'pay'}", a10[] = "{'service':'pay','region':'A10'}";

	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(setup(NULL), 0);
	if (strcmp(at, "none") == 0)
		return;
	must(COMMAND_APPLY, "{'service':'pay'}");
	must(COMMAND_GRAY_SET, "{'service':'pay','label':'v1','percent':1}");
	if (strcmp(at, "applied") == 0)
		return;
	if (strcmp(at, "retired") == 0) {
		must(COMMAND_RETIRE, pay);
		return;
	}
	must(COMMAND_APPROVE, pay);
	if (strcmp(at, "approved p") == 0)
		must(COMMAND_APPLY, "{'service':'pay','settings':{'retries':5}}");
	if (strncmp(at, "approved", 8) == 0)
		return;
	must(COMMAND_DEPLOY, a10);
	if (strcmp(at, "deploying") == 0)
		return;
	if (strcmp(at, "offline") == 0) {
		step(COMMAND_ROLLED_BACK, "A10");
		return;
	}
	step(COMMAND_DEPLOYED, "A10");
	if (strcmp(at, "suspended") == 0)
		must(COMMAND_SUSPEND, a10);
	else if (strcmp(at, "draining") == 0)
		must(COMMAND_UNDEPLOY, a10);
	else
		assert_string_equal(at, "online");
}

static const char *
wanted(const struct row *r, enum command c)
{
	switch (c) {
	case COMMAND_APPLY: return r->apply;
	case COMMAND_APPROVE: return r->approve;
	case COMMAND_RETIRE: return r->retire;
	case COMMAND_GRAY_SET:
	case COMMAND_GRAY_DELETE: return r->gray;
	case COMMAND_DEPLOY: return r->deploy;
	case COMMAND_SUSPEND: return r->suspend;
	case COMMAND_RESUME: return r->resume;
	case COMMAND_UNDEPLOY: return r->undeploy;
	case COMMAND_WEIGHT: return r->weight;
	case COMMAND_DEPLOYED: return r->deployed;
	case COMMAND_ROLLED_BACK: return r->rolled_back;
	default: return r->drained;
	}
}

static const char *
state_now(enum command c)
{
	json_t *s = book_row(&book, BOOK_SERVICE, "pay");

	if (command_names_region(c))
		s = json_object_get(json_object_get(s, "regions"), "A10");
	return json_string_value(json_object_get(s, "state"));
}

static void
check_cell(const struct row *r, enum command c)
{
	const char *want = wanted(r, c);
	bool legal = *want != '-';

	if (reached != r->at)
		reach(r->at);
	reached = legal ? NULL : r->at;
	if (c > COMMAND_GRAY_DELETE) {
		uint64_t version = book.version;
		assert_int_equal(command_step(&book, c, "pay", "A10", NULL, 5), legal ?
		    DFB_OK : DFB_NO);
		assert_int_equal(book.version, version + legal);
	} else {
		const char *args = "{'service':'pay','region':'A10','weight':7,'label':'v1',"
		    "'percent':5}";
		if (legal)
			must(c, args);
		else if (r->allowed == NULL)
			must_not(c, args, DFB_NOBODY, "no service 'pay'");
		else
			must_not(c, args, DFB_NO, "from here: ");
	}
	if (legal && strcmp(state_now(c), want) != 0)
		fail_msg("%s from %s leads to %s, not %s", command_text(c), r->at,
		    state_now(c), want);
	if (!legal && r->allowed != NULL && c == COMMAND_RESUME)
		assert_non_null(strstr(why, r->allowed));
}

static void
test_every_state_and_command(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (enum command c = 0; c < COMMANDS; c++)
			check_cell(&rows[i], c);
}

/* The table itself has no edge from where nothing is, and none that names no state. */
static void
test_words(void **state)
{
	enum service_state s;
	enum deployment_state d;

	(void)state;
	for (unsigned i = 0; i < SERVICE_STATES; i++) {
		assert_true(service_state_of(service_state_text((enum service_state)i), &s));
		assert_int_equal(s, i);
	}
	for (unsigned i = 0; i < DEPLOYMENT_STATES; i++) {
		assert_true(deployment_state_of(deployment_state_text(
		    (enum deployment_state)i), &d));
		assert_int_equal(d, i);
	}
	assert_false(service_state_of("gone", &s));
	assert_false(deployment_state_of("", &d));
}

/* ---- the journal ---- */

static void
check_journal(void)
{
	uint64_t next, seq = 0;
	json_t *list = book_history(&book, NULL, 0, 1000, &next), *e;
	json_t *last = json_object();
	size_t i;

	assert_non_null(list);
	assert_int_equal(next, 0);
	json_array_foreach(list, i, e) {
		const char *name = json_string_value(json_object_get(e, "service"));
		json_t *before = json_object_get(e, "before"), *was = json_object_get(last, name);
		json_t *after = json_object_get(e, "after");
		assert_int_equal(json_integer_value(json_object_get(e, "seq")), ++seq);
		assert_int_equal(json_integer_value(json_object_get(after, "version")), seq);
		if (was == NULL)
			assert_true(json_is_null(before));
		else
			assert_true(json_equal(before, was));
		json_object_set(last, name, after);
	}
	assert_int_equal(seq, book.version);
	assert_true(json_equal(json_object_get(last, "pay"),
	    book_row(&book, BOOK_SERVICE, "pay")));
	json_decref(last);
	json_decref(list);
}

static void
test_journal(void **state)
{
	uint64_t id = book.id, next;
	json_t *list, *row;

	(void)state;
	reach("suspended");
	id = book.id;
	must(COMMAND_APPLY, "{'service':'card','description':'cards','who':'bob'}");
	must(COMMAND_UNDEPLOY, "{'service':'pay','region':'A10','request':'r1'}");
	step(COMMAND_DRAINED, "A10");
	must(COMMAND_RETIRE, "{'service':'pay'}");
	must(COMMAND_APPLY, "{'service':'pay'}");
	check_journal();
	row = json_deep_copy(book_row(&book, BOOK_SERVICE, "pay"));
	again();
	assert_int_equal(book.id, id);
	assert_int_equal(book.version, 11);
	assert_true(json_equal(row, book_row(&book, BOOK_SERVICE, "pay")));
	json_decref(row);
	check_journal();

	list = book_history(&book, "card", 0, 10, &next);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "who")),
	    "bob");
	json_decref(list);
	list = book_history(&book, "pay", 3, 2, &next);
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(next, 5);
	json_decref(list);
	list = book_history(&book, NULL, 8, 1, &next);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0),
	    "request")), "r1");
	json_decref(list);
}

/* ---- requests and versions ---- */

static void
test_requests(void **state)
{
	json_t *first, *second;
	uint64_t version;

	(void)state;
	reach("online");
	first = give(COMMAND_WEIGHT, "{'service':'pay','region':'A10','weight':5,'request':'q'}");
	must(COMMAND_WEIGHT, "{'service':'pay','region':'A10','weight':6}");
	version = book.version;
	again();
	second = give(COMMAND_WEIGHT, "{'region':'A10','weight':5,'service':'pay','request':'q',"
	    "'who':'else'}");
	assert_true(json_equal(first, second));
	assert_int_equal(book.version, version);
	json_decref(first);
	json_decref(second);
	must_not(COMMAND_WEIGHT, "{'service':'pay','region':'A10','weight':9,'request':'q'}",
	    DFB_BADINPUT, "request 'q' was another one before: weight of 'pay' in A10");
	must_not(COMMAND_SUSPEND, "{'service':'pay','region':'A10','weight':5,'request':'q'}",
	    DFB_BADINPUT, "request 'q'");
	/* What was refused is no request that was done. */
	must_not(COMMAND_RESUME, "{'service':'pay','region':'A10','request':'z'}", DFB_NO, "online");
	must(COMMAND_SUSPEND, "{'service':'pay','region':'A10'}");
	must(COMMAND_RESUME, "{'service':'pay','region':'A10','request':'z'}");
	must_not(COMMAND_SUSPEND, "{'service':'pay','region':'A10','request':"
	    "'12345678901234567890123456789012345678901234567890123456789012345'}", DFB_BADINPUT,
	    "'request' must be text of 1 to 64 bytes");
}

static void
test_versions(void **state)
{
	(void)state;
	must_not(COMMAND_APPLY, "{'service':'pay','if_version':3}", DFB_AGAIN,
	    "'pay' is at version 0, not 3");
	must(COMMAND_APPLY, "{'service':'pay','if_version':0}");
	must_not(COMMAND_APPROVE, "{'service':'pay','if_version':0}", DFB_AGAIN,
	    "'pay' is at version 1, not 0");
	must(COMMAND_APPROVE, "{'service':'pay','if_version':1}");
	must_not(COMMAND_DEPLOY, "{'service':'pay','region':'A10','if_version':'x'}",
	    DFB_BADINPUT, "'if_version'");
}

/* ---- settings, gray rules, input ---- */

static const char *
setting(const char *where, const char *name)
{
	static char text[64];
	json_t *v = json_object_get(json_object_get(book_row(&book, BOOK_SERVICE, "pay"), where),
	    name);

	snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
	return v == NULL ? "none" : text;
}

static void
test_settings(void **state)
{
	(void)state;
	must_not(COMMAND_APPLY, "{'service':'pay','settings':{'retrys':5}}", DFB_BADINPUT,
	    "'retrys' is no setting");
	must_not(COMMAND_APPLY, "{'service':'pay','settings':{'paused_ms':5}}", DFB_BADINPUT,
	    "'paused_ms' is no setting");
	must_not(COMMAND_APPLY, "{'service':'pay','settings':{'retries':0}}", DFB_BADINPUT,
	    "'retries' must be a number");
	must_not(COMMAND_APPLY, "{'service':'pay','settings':[]}", DFB_BADINPUT, "an object");
	reach("online");
	must(COMMAND_APPLY, "{'service':'pay','settings':{'retries':5}}");
	assert_string_equal(setting("settings", "retries"), "none");
	assert_string_equal(setting("proposed", "retries"), "5");
	must(COMMAND_APPLY, "{'service':'pay','settings':{}}"); /* taken back */
	assert_null(json_object_get(book_row(&book, BOOK_SERVICE, "pay"), "proposed"));
	must(COMMAND_APPLY, "{'service':'pay','settings':{'retries':6}}");
	must(COMMAND_APPROVE, "{'service':'pay'}");
	assert_string_equal(setting("settings", "retries"), "6");
	assert_string_equal(setting("proposed", "retries"), "none");
	must_not(COMMAND_APPLY, "{'service':'pay','settings':{'durability':'commit'}}",
	    DFB_BADINPUT, "durability cannot change from async to commit");
	must(COMMAND_APPLY, "{'service':'pay','settings':{'durability':'async'}}");
	must(COMMAND_APPROVE, "{'service':'pay'}");
	/* Proposed while nothing is deployed, approved when something is. */
	reach("approved");
	must(COMMAND_APPLY, "{'service':'pay','settings':{'durability':'memory'}}");
	must(COMMAND_DEPLOY, "{'service':'pay','region':'A10'}");
	must_not(COMMAND_APPROVE, "{'service':'pay'}", DFB_BADINPUT, "durability cannot change");
}

static void
test_gray(void **state)
{
	(void)state;
	reach("online");
	must_not(COMMAND_GRAY_SET, "{'service':'pay','label':'v2'}", DFB_BADINPUT,
	    "a rule needs a header");
	must(COMMAND_GRAY_SET, "{'service':'pay','label':'v2','percent':60,'else':'fallback'}");
	must_not(COMMAND_GRAY_SET, "{'service':'pay','label':'v3','percent':50}", DFB_BADINPUT,
	    "more than 100 percent");
	must(COMMAND_GRAY_SET, "{'service':'pay','label':'v2','percent':99}");
	must_not(COMMAND_GRAY_DELETE, "{'service':'pay','label':'v3'}", DFB_NOBODY, "label 'v3'");
	must(COMMAND_GRAY_DELETE, "{'service':'pay','label':'v2'}");
}

static void
test_input(void **state)
{
	(void)state;
	must_not(COMMAND_APPLY, "{}", DFB_BADINPUT, "'service' must be");
	must_not(COMMAND_APPLY, "{'service':'A10-pay'}", DFB_BADINPUT, "'service' must be");
	must_not(COMMAND_APPLY, "{'service':7}", DFB_BADINPUT, "'service' must be");
	reach("approved");
	must_not(COMMAND_DEPLOY, "{'service':'pay'}", DFB_BADINPUT, "'region' must be");
	must_not(COMMAND_DEPLOY, "{'service':'pay','region':'x'}", DFB_BADINPUT, "'region' must be");
	must_not(COMMAND_DEPLOY, "{'service':'pay','region':'A10','weight':1001}", DFB_BADINPUT,
	    "'weight' must be a number from 0 to 1000");
	must_not(COMMAND_DEPLOY, "{'service':'pay','region':'A10','mode':'try'}", DFB_BADINPUT,
	    "'mode'");
	must_not(COMMAND_DEPLOY, "{'service':'pay','region':'A10','mode':'rollback',"
	    "'adopt':true}", DFB_BADINPUT, "'adopt' does not go with");
	must(COMMAND_DEPLOY, "{'service':'pay','region':'A10','weight':3,'mode':'rollback',"
	    "'within_ms':500}");
	must_not(COMMAND_WEIGHT, "{'service':'pay','region':'A10'}", DFB_BADINPUT, "missing");
	must_not(COMMAND_RETIRE, "{'service':'pay'}", DFB_NO, "not offline in all");
}

/* ---- rules for keys, distances ---- */

typedef json_t *other_fn(struct book *, const char *, const struct asked *, enum dfb_status *,
    char *);

static void
other(other_fn *fn, const char *what, const char *args, enum dfb_status want, const char *part)
{
	struct asked a = { .args = parse(args), .who = "ann", .now_ms = 1 };
	json_t *answer = fn(&book, what, &a, &status, why), *have;
	char text[1024];

	json_decref(a.args);
	if (status != want || (want != DFB_OK && strstr(why, part) == NULL))
		fail_msg("%s %s: %d %s", what, args, (int)status, why);
	if (want == DFB_OK) {
		have = json_object_get(answer, fn == command_affinity ? "rules" : "distances");
		snprintf(text, sizeof text, "%s", part);
		if (!json_equal(have, a.args = parse(text)))
			fail_msg("%s %s: %s", what, args, json_dumps(have, 0));
		json_decref(a.args);
	}
	json_decref(answer);
}

static void
test_affinity(void **state)
{
	other_fn *f = command_affinity;

	(void)state;
	other(f, "affinity.add", "{'service':'*','rules':[{'region':'A10','key':'c1'},"
	    "{'region':'A10','from':0,'to':4999}]}", DFB_OK,
	    "[{'region':'A10','key':'c1'},{'region':'A10','from':0,'to':4999}]");
	other(f, "affinity.add", "{'service':'*','rules':[{'region':'B20','key':'c1'}]}",
	    DFB_BADINPUT, "key c1 belongs to A10 already, and would to B20");
	other(f, "affinity.add", "{'service':'*','rules':[{'region':'B20','from':4999,'to':5}]}",
	    DFB_BADINPUT, "not 4999-5");
	other(f, "affinity.add", "{'service':'*','rules':[{'region':'B20','from':4999,"
	    "'to':9999}]}", DFB_BADINPUT, "hash 4999 belongs to A10");
	other(f, "affinity.add", "{'service':'*','rules':[{'region':'B20','key':'x',"
	    "'prefix':'y'}]}", DFB_BADINPUT, "one of 'key'");
	other(f, "affinity.add", "{'service':'*','rules':[{'key':'x'}]}", DFB_BADINPUT,
	    "needs a 'region'");
	other(f, "affinity.add", "{'service':'*','rules':[{'region':'B20','prefix':''}]}",
	    DFB_BADINPUT, "1 to 255 bytes");
	other(f, "affinity.add", "{'service':'*'}", DFB_BADINPUT, "'rules' must be a list");
	other(f, "affinity.add", "{'service':'*','rules':[7]}", DFB_BADINPUT, "an object");
	other(f, "affinity.add", "{'service':'a-b','rules':[]}", DFB_BADINPUT, "'service' must");
	other(f, "affinity.delete", "{'service':'*','rules':[{'key':'c2'}]}", DFB_NOBODY,
	    "no such rule for key c2");
	other(f, "affinity.delete", "{'service':'*','rules':[{'key':'c1'}],'if_version':1}",
	    DFB_OK, "[{'region':'A10','from':0,'to':4999}]");
	other(f, "affinity.set", "{'service':'*','rules':[{'region':'B20','prefix':'cn-'}]}",
	    DFB_OK, "[{'region':'B20','prefix':'cn-'}]");
	again();
	other(f, "affinity.delete", "{'service':'*'}", DFB_OK, "[]");
	other(f, "affinity.delete", "{'service':'*'}", DFB_NOBODY, "no rules");
	assert_int_equal(book.version, 4);
}

static void
test_distances(void **state)
{
	other_fn *f = command_distance;

	(void)state;
	other(f, "distance.set", "{'from':'A10','to':'B20','distance':5,'if_version':0}", DFB_OK,
	    "{'A10':{'B20':5},'B20':{'A10':5}}");
	other(f, "distance.set", "{'from':'A10','to':'B20','distance':7,'one_way':true}", DFB_OK,
	    "{'A10':{'B20':7},'B20':{'A10':5}}");
	other(f, "distance.set", "{'from':'A10','to':'A10','distance':7}", DFB_BADINPUT, "itself");
	other(f, "distance.set", "{'from':'A10','to':'B20'}", DFB_BADINPUT, "missing");
	other(f, "distance.set", "{'from':'A10','distance':5}", DFB_BADINPUT, "'to' must be");
	other(f, "distance.delete", "{'from':'A10','to':'B20','one_way':true}", DFB_OK,
	    "{'B20':{'A10':5}}");
	again();
	other(f, "distance.delete", "{'from':'A10','to':'B20'}", DFB_OK, "{}");
	other(f, "distance.delete", "{'from':'A10','to':'B20'}", DFB_NOBODY, "no distance");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_every_state_and_command), T(test_words),
		T(test_journal), T(test_requests), T(test_versions), T(test_settings),
		T(test_gray), T(test_input), T(test_affinity), T(test_distances) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
