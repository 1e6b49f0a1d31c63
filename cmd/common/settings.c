/* A topic's settings as JSON: in the store, and in ADMIN. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/settings.h"

#define WHY_SIZE 256
#define DELAY_MAX ((json_int_t)86400000)

/* The 64-bit ones. */
static const struct {
	const char *name;
	size_t at;
	json_int_t max;
} numbers[] = {
	{ "retention_ms", offsetof(struct settings, retention_ms), (json_int_t)3650 * 86400000 },
	{ "dedup_ms", offsetof(struct settings, dedup_ms), (json_int_t)366 * 86400000 },
	{ "grow_ms", offsetof(struct settings, grow_ms), DELAY_MAX },
	{ "shrink_ms", offsetof(struct settings, shrink_ms), DELAY_MAX },
	{ "max_depth", offsetof(struct settings, max_depth), INT64_MAX / 16 },
	{ "rate", offsetof(struct settings, rate), 1000000000 },
	{ "rate_bytes", offsetof(struct settings, rate_bytes), (json_int_t)1 << 40 },
	{ "client_rate", offsetof(struct settings, client_rate), 1000000000 },
	{ "client_rate_bytes", offsetof(struct settings, client_rate_bytes),
	    (json_int_t)1 << 40 },
	{ "paused_ms", offsetof(struct settings, paused_ms), INT64_MAX },
	{ "sends_paused_ms", offsetof(struct settings, sends_paused_ms), INT64_MAX },
};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

/* Absent: false. */
static const struct {
	const char *name;
	size_t at;
} flags[] = {
	{ "governed", offsetof(struct settings, governed) },
	{ "closed", offsetof(struct settings, closed) },
};
#define FLAGS (sizeof flags / sizeof flags[0])

void
settings_default(struct settings *s)
{
	*s = (struct settings){ .durability = DFB_COMMIT, .queues_min = 1,
		.queues_max = QUEUES_MAX,
		.max_body = DFB_BODY_MAX_DEFAULT, .retries = 3,
		.retention_ms = UINT64_C(7) * 86400000, .dedup_ms = 86400000,
		.backoff_ms = { 1000, 5000, 30000, 120000, 600000 }, .max_depth = 10000 };
}

static const char *const durabilities[] = { "commit", "async", "memory" };

static uint64_t *
wide(struct settings *s, size_t i)
{
	return (uint64_t *)(void *)((char *)s + numbers[i].at);
}

static bool *
flag(struct settings *s, size_t i)
{
	return (bool *)((char *)s + flags[i].at);
}

json_t *
settings_to_json(const struct settings *s)
{
	json_t *backoff = json_array(), *j;

	for (unsigned i = 0; i < BACKOFFS && s->backoff_ms[i] != 0; i++)
		json_array_append_new(backoff, json_integer((json_int_t)s->backoff_ms[i]));
	j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}",
	    "durability", durabilities[s->durability],
	    "queues_min", (json_int_t)s->queues_min, "queues_max", (json_int_t)s->queues_max,
	    "max_body", (json_int_t)s->max_body,
	    "retries", (json_int_t)s->retries, "backoff_ms", backoff);
	for (size_t i = 0; i < NUMBERS; i++)
		json_object_set_new(j, numbers[i].name,
		    json_integer((json_int_t)*wide((struct settings *)(uintptr_t)s, i)));
	for (size_t i = 0; i < FLAGS; i++)
		if (*flag((struct settings *)(uintptr_t)s, i))
			json_object_set_new(j, flags[i].name, json_true());
	return j;
}

static int
number(json_t *j, const char *name, json_int_t min, json_int_t max, json_int_t *out,
    char *why)
{
	json_t *v = json_object_get(j, name);

	if (v == NULL)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < min ||
	    json_integer_value(v) > max) {
		snprintf(why, WHY_SIZE, "'%s' must be a number from %lld to %lld", name,
		    (long long)min, (long long)max);
		return -1;
	}
	*out = json_integer_value(v);
	return 1;
}

static int
backoff(struct settings *s, json_t *list, char *why)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list) || n == 0 || n > BACKOFFS) {
		snprintf(why, WHY_SIZE, "'backoff_ms' must be a list of 1 to %d times",
		    BACKOFFS);
		return -1;
	}
	memset(s->backoff_ms, 0, sizeof s->backoff_ms);
	for (size_t i = 0; i < n; i++) {
		json_int_t ms = json_integer_value(json_array_get(list, i));
		if (ms < 1 || ms > (json_int_t)30 * 86400000) {
			snprintf(why, WHY_SIZE, "a back-off must be from 1ms to 30d");
			return -1;
		}
		s->backoff_ms[i] = (uint64_t)ms;
	}
	return 0;
}

static int
durability(struct settings *s, json_t *v, char *why)
{
	const char *name = json_string_value(v);

	for (unsigned i = 0; name != NULL && i < 3; i++)
		if (strcmp(name, durabilities[i]) == 0) {
			s->durability = (enum dfb_durability)i;
			return 0;
		}
	snprintf(why, WHY_SIZE, "'durability' must be commit, async or memory");
	return -1;
}

int
settings_from_json(struct settings *s, json_t *j, char *why)
{
	json_int_t n;
	json_t *v;
	int rc;

	if ((rc = number(j, "queues_min", 1, QUEUES_MAX, &n, why)) == 1)
		s->queues_min = (uint32_t)n;
	if (rc != -1 && (rc = number(j, "queues_max", 1, QUEUES_MAX, &n, why)) == 1)
		s->queues_max = (uint32_t)n;
	if (rc != -1 && s->queues_min > s->queues_max) {
		snprintf(why, WHY_SIZE, "'queues_min' is above 'queues_max'");
		return -1;
	}
	if (rc != -1 && (rc = number(j, "max_body", 1, DFB_BODY_MAX_LIMIT, &n, why)) == 1)
		s->max_body = (uint32_t)n;
	if (rc != -1 && (rc = number(j, "retries", 1, 1000, &n, why)) == 1)
		s->retries = (uint32_t)n;
	for (size_t i = 0; rc != -1 && i < NUMBERS; i++)
		if ((rc = number(j, numbers[i].name, 0, numbers[i].max, &n, why)) == 1)
			*wide(s, i) = (uint64_t)n;
	if (rc == -1)
		return -1;
	for (size_t i = 0; i < FLAGS; i++)
		if ((v = json_object_get(j, flags[i].name)) != NULL)
			*flag(s, i) = json_is_true(v);
	if ((v = json_object_get(j, "durability")) != NULL && durability(s, v, why) == -1)
		return -1;
	if ((v = json_object_get(j, "backoff_ms")) != NULL && backoff(s, v, why) == -1)
		return -1;
	return 0;
}

int
settings_check(const json_t *given, char *why)
{
	struct settings set;
	json_t *known, *v;
	const char *key;
	int rc;

	settings_default(&set);
	if (!json_is_object(given) || (known = settings_to_json(&set)) == NULL) {
		snprintf(why, WHY_SIZE, "settings must be an object");
		return -1;
	}
	json_object_del(known, "paused_ms");
	json_object_del(known, "sends_paused_ms");
	rc = settings_from_json(&set, (json_t *)(uintptr_t)given, why);
	json_object_foreach((json_t *)(uintptr_t)given, key, v)
		if (rc == 0 && json_object_get(known, key) == NULL) {
			snprintf(why, WHY_SIZE, "'%.64s' is no setting of a topic", key);
			rc = -1;
		}
	json_decref(known);
	return rc;
}
