#include "dfb-sgs/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/utf8.h"
#include "wire/words.h"

#define WHO_MAX 128

/* ---- helpers of edits ---- */

int
edit_refuse(struct edit *e, enum dfb_status status, const char *fmt, ...)
{
	va_list ap;

	e->status = status;
	va_start(ap, fmt);
	vsnprintf(e->why, BOOK_WHY, fmt, ap);
	va_end(ap);
	return -1;
}

void
edit_set(struct edit *e, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) == -1)
		e->failed = true;
}

int
edit_text(struct edit *e, const char *key, size_t max, const char **text)
{
	json_t *v = json_object_get(e->args, key);

	*text = json_string_value(v);
	if (v == NULL)
		return 0;
	if (*text == NULL || json_string_length(v) > max || strlen(*text) == 0)
		return edit_refuse(e, DFB_BADINPUT, "'%s' must be text of 1 to %zu bytes", key,
		    max);
	return 1;
}

int
edit_number(struct edit *e, const char *key, int64_t min, int64_t max, int64_t *n)
{
	json_t *v = json_object_get(e->args, key);

	if (v == NULL)
		return 0;
	*n = json_integer_value(v);
	if (!json_is_integer(v) || *n < min || *n > max)
		return edit_refuse(e, DFB_BADINPUT, "'%s' must be a number from %lld to %lld",
		    key, (long long)min, (long long)max);
	return 1;
}

int
edit_region(struct edit *e, const char *key, const char **region)
{
	*region = json_string_value(json_object_get(e->args, key));
	if (*region == NULL || !dfb_region_valid(*region))
		return edit_refuse(e, DFB_BADINPUT, "'%s' must be a region: 3 capital letters or "
		    "digits, like A10", key);
	return 1;
}

/* ---- where a service is ---- */

static enum deployment_state
state_of(const json_t *deployment)
{
	const char *text = json_string_value(json_object_get(deployment, "state"));
	enum deployment_state d = DEPLOYMENT_NONE;

	if (text != NULL)
		deployment_state_of(text, &d);
	return d;
}

struct place
command_place(const json_t *service, const char *region)
{
	const char *text = json_string_value(json_object_get(service, "state")), *name;
	json_t *regions = json_object_get(service, "regions"), *d;
	struct place at = { .proposed = json_object_get(service, "proposed") != NULL };

	if (text != NULL)
		service_state_of(text, &at.service);
	json_object_foreach(regions, name, d) {
		if (state_of(d) != DEPLOYMENT_OFFLINE)
			at.busy = true;
		if (region != NULL && strcmp(name, region) == 0)
			at.deployment = state_of(d);
	}
	return at;
}

static int
not_allowed(struct edit *e)
{
	enum command c = e->command;
	bool deployment = command_names_region(c) && e->from.service == SERVICE_APPROVED;
	char allowed[160], is[160];

	states_allowed(&e->from, deployment, allowed, sizeof allowed);
	if (!deployment)
		snprintf(is, sizeof is, "%s%s", service_state_text(e->from.service),
		    c == COMMAND_RETIRE && e->from.busy ?
		    " and not offline in all of its regions" :
		    c == COMMAND_APPROVE ? " and nothing new is proposed" : "");
	else if (e->from.deployment == DEPLOYMENT_NONE)
		snprintf(is, sizeof is, "not deployed in %s", e->region);
	else
		snprintf(is, sizeof is, "%s in %s",
		    deployment_state_text(e->from.deployment), e->region);
	return edit_refuse(e, DFB_NO, "%s: service '%s' is %s: from here: %s",
	    command_text(c), e->name, is, allowed);
}

/* ---- the frame of all commands ---- */

/* Sums up what is asked, so that a request that comes again can be told from another one of
 * the same name. */
static bool
hash_of(const struct edit *e, uint64_t *hash)
{
	json_t *copy = json_copy(e->args);
	char *text;

	json_object_del(copy, "who");
	if (copy == NULL || json_object_set_new(copy, "%what", json_string(e->what)) == -1 ||
	    (text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS)) == NULL) {
		json_decref(copy);
		return false;
	}
	*hash = dfb_hash(text, strlen(text));
	free(text);
	json_decref(copy);
	return true;
}

static int
read_common(struct edit *e, const struct asked *a, const char **request, uint64_t *hash)
{
	int rc = edit_text(e, "who", WHO_MAX, &e->who);

	if (rc == -1 || edit_text(e, "request", BOOK_REQUEST_MAX, request) == -1)
		return -1;
	if (rc == 0)
		e->who = a->who != NULL && *a->who != '\0' ? a->who : "?";
	if (!hash_of(e, hash))
		return edit_refuse(e, DFB_AGAIN, "out of memory");
	return 0;
}

/* What was answered the first time, when the request was done before. */
static json_t *
done_before(struct book *b, struct edit *e, const char *request, uint64_t hash)
{
	json_t *entry, *after;

	if ((entry = book_request(b, request, hash, &e->status, e->why)) == NULL)
		return NULL;
	after = json_incref(json_object_get(entry, "after"));
	json_decref(entry);
	return after;
}

static int
check_version(struct edit *e, const json_t *row)
{
	json_t *v = json_object_get(e->args, "if_version");
	uint64_t is = book_row_version(row);

	if (v == NULL || (json_is_integer(v) && (uint64_t)json_integer_value(v) == is))
		return 0;
	if (!json_is_integer(v))
		return edit_refuse(e, DFB_BADINPUT, "'if_version' must be a number");
	return edit_refuse(e, DFB_AGAIN, "'%s' is at version %llu, not %lld: look at it again",
	    e->name, (unsigned long long)is, (long long)json_integer_value(v));
}


/* Find the row, check, edit a copy, commit; the row afterwards, or NULL. */
static json_t *
run(struct book *b, struct edit *e, enum book_kind kind, int (*edit)(struct edit *),
    const struct asked *a)
{
	const char *request = NULL;
	json_t *row = book_row(b, kind, e->name), *answer;
	uint64_t hash = 0;

	if (read_common(e, a, &request, &hash) == -1)
		return NULL;
	if (request != NULL && ((answer = done_before(b, e, request, hash)) != NULL ||
	    e->status != DFB_OK))
		return answer;
	if (check_version(e, row) == -1)
		return NULL;
	e->after = row != NULL ? json_deep_copy(row) : json_object();
	if (e->after == NULL) {
		edit_refuse(e, DFB_AGAIN, "out of memory");
		return NULL;
	}
	if (edit(e) == -1 || e->failed) {
		if (e->failed)
			edit_refuse(e, DFB_AGAIN, "out of memory");
		json_decref(e->after);
		return NULL;
	}
	e->status = book_commit(b, &(struct book_change){ .kind = kind, .name = e->name,
	    .what = e->what, .region = e->region, .who = e->who, .request = request,
	    .hash = hash, .after = e->after, .now_ms = a->now_ms });
	if (e->status != DFB_OK) {
		snprintf(e->why, BOOK_WHY, e->status == DFB_AGAIN ? "out of memory" :
		    "the store failed");
		return NULL;
	}
	log_event(DFB_LOG_INFO, "change", "what=%s service=%s%s%s by=%s version=%llu", e->what,
	    e->name, e->region != NULL ? " region=" : "", e->region != NULL ? e->region : "",
	    dfb_log_quote(e->who), (unsigned long long)b->version);
	return json_incref(book_row(b, kind, e->name));
}

/* ---- services ---- */

static int
service(struct edit *e)
{
	e->from = command_place(e->after, e->region);
	if (e->from.service == SERVICE_NONE && e->command != COMMAND_APPLY)
		return edit_refuse(e, DFB_NOBODY, "no service '%s': dfb-ctl service apply makes "
		    "it", e->name);
	if (!states_next(&e->from, e->command, &e->to))
		return not_allowed(e);
	return edit_service(e);
}

json_t *
command_run(struct book *b, enum command c, const struct asked *a, enum dfb_status *status,
    char *why)
{
	struct edit e = { .book = b, .args = a->args, .command = c, .what = command_text(c),
		.why = why,
		.now_ms = a->now_ms };
	json_t *answer = NULL;
	int rc;

	*why = '\0';
	rc = edit_text(&e, "service", DFB_TOPIC_MAX, &e.name);
	if (rc == 0 || (rc == 1 && dfb_word_kind(e.name) != DFB_WORD_SERVICE))
		rc = edit_refuse(&e, DFB_BADINPUT, "'service' must be the name of a service: 1 "
		    "to 64 letters, digits, '_' or '.'");
	if (rc == 1 && command_names_region(c))
		rc = edit_region(&e, "region", &e.region);
	if (rc == 1)
		answer = run(b, &e, BOOK_SERVICE, service, a);
	*status = e.status;
	return answer;
}

enum dfb_status
command_step(struct book *b, enum command c, const char *name, const char *region,
    const char *reason, uint64_t now)
{
	char why[BOOK_WHY];
	struct edit e = { .book = b, .command = c, .what = command_text(c),
		.why = why, .now_ms = now,
		.name = name, .region = region };
	json_t *row = book_row(b, BOOK_SERVICE, name);

	e.from = command_place(row, region);
	if (!states_next(&e.from, c, &e.to))
		return DFB_NO;
	e.after = json_deep_copy(row);
	if (e.after == NULL || edit_service(&e) == -1 || e.failed) {
		json_decref(e.after);
		return DFB_AGAIN;
	}
	if (reason != NULL)
		edit_set(&e, e.deployment, "why", json_string(reason));
	log_event(DFB_LOG_INFO, "step", "what=%s service=%s region=%s%s%s", e.what, name, region,
	    reason != NULL ? " why=" : "", reason != NULL ? dfb_log_quote(reason) : "");
	return book_commit(b, &(struct book_change){ .kind = BOOK_SERVICE, .name = name,
	    .what = e.what, .region = region, .who = "sgs", .why = reason, .after = e.after,
	    .now_ms = now });
}

/* ---- rules for keys, distances ---- */

json_t *
command_affinity(struct book *b, const char *what, const struct asked *a,
    enum dfb_status *status, char *why)
{
	struct edit e = { .book = b, .args = a->args, .what = what, .why = why,
		.now_ms = a->now_ms };
	json_t *answer = NULL;
	int rc = edit_text(&e, "service", DFB_TOPIC_MAX, &e.name);

	if (rc == 0 || (rc == 1 && strcmp(e.name, BOOK_ALL) != 0 &&
	    dfb_word_kind(e.name) != DFB_WORD_SERVICE))
		rc = edit_refuse(&e, DFB_BADINPUT, "'service' must be the name of a service, or "
		    "'*' for all that have no rules of their own");
	if (rc == 1)
		answer = run(b, &e, BOOK_AFFINITY, edit_affinity, a);
	*status = e.status;
	return answer;
}

json_t *
command_distance(struct book *b, const char *what, const struct asked *a,
    enum dfb_status *status, char *why)
{
	struct edit e = { .book = b, .args = a->args, .what = what, .why = why,
		.now_ms = a->now_ms, .name = BOOK_ALL };
	json_t *answer = run(b, &e, BOOK_DISTANCES, edit_distance, a);

	*status = e.status;
	return answer;
}
