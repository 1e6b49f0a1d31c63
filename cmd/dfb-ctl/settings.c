#include "dfb-ctl/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "common/settings.h"
#include "dfb-ctl/ctl.h"

#define RATE_MAX 1000000000
#define BYTES_MAX (UINT64_C(1) << 40)

/* ---- read ---- */

static void
set(struct ctl *c, const char *name, uint64_t n)
{
	json_object_set_new(c->settings, name, json_integer((json_int_t)n));
}

/* N, MIN-MAX or auto. */
static void
set_queues(struct ctl *c)
{
	const char *arg = c->opts.arg;
	unsigned min, max;
	char rest;

	if (strcmp(arg, "auto") == 0) {
		min = 1;
		max = QUEUES_MAX;
	} else if (sscanf(arg, "%u-%u%c", &min, &max, &rest) != 2) {
		if (sscanf(arg, "%u%c", &min, &rest) != 1)
			min = 0;
		max = min;
	}
	if (arg[strspn(arg, "0123456789-auto")] != '\0' || min < 1 || max < min ||
	    max > QUEUES_MAX)
		dfb_usage(&c->opts, "--queues takes a number from 1 to %d, MIN-MAX or auto, "
		    "not '%s'", QUEUES_MAX, arg);
	set(c, "queues_min", min);
	set(c, "queues_max", max);
}

static void
set_backoff(struct ctl *c)
{
	json_t *list = ctl_must(json_array());
	const char *p = c->opts.arg;
	char one[32];
	uint64_t ms;

	json_object_set_new(c->settings, "backoff_ms", list);
	for (;;) {
		size_t len = strcspn(p, ",");
		snprintf(one, sizeof one, "%.*s", (int)len, p);
		if (len >= sizeof one || dfb_parse_duration(one, &ms) == -1)
			dfb_usage(&c->opts, "--backoff takes times like 1s,5s,30s, not '%s'",
			    c->opts.arg);
		json_array_append_new(list, json_integer((json_int_t)ms));
		if (p[len] == '\0')
			break;
		p += len + 1;
	}
}

static void
set_durability(struct ctl *c)
{
	const char *arg = c->opts.arg;

	if (strcmp(arg, "commit") != 0 && strcmp(arg, "async") != 0 && strcmp(arg, "memory") != 0)
		dfb_usage(&c->opts, "--durability takes commit, async or memory, not '%s'", arg);
	json_object_set_new(c->settings, "durability", json_string(arg));
}

bool
ctl_setting(struct ctl *c, int letter)
{
	const struct dfb_opts *o = &c->opts;

	switch (letter) {
	case CTL_SET_QUEUES: set_queues(c); break;
	case CTL_SET_GROW: set(c, "grow_ms", dfb_opt_duration(o)); break;
	case CTL_SET_SHRINK: set(c, "shrink_ms", dfb_opt_duration(o)); break;
	case CTL_SET_MAX_BODY:
		set(c, "max_body", dfb_opt_size(o, 0, DFB_BODY_MAX_LIMIT));
		break;
	case CTL_SET_RETENTION: set(c, "retention_ms", dfb_opt_duration(o)); break;
	case CTL_SET_DEDUP: set(c, "dedup_ms", dfb_opt_duration(o)); break;
	case CTL_SET_RETRIES: set(c, "retries", dfb_opt_count(o, 1, 1000)); break;
	case CTL_SET_BACKOFF: set_backoff(c); break;
	case CTL_SET_MAX_DEPTH:
		set(c, "max_depth", dfb_opt_count(o, 0, UINT64_C(1) << 50));
		break;
	case CTL_SET_RATE: set(c, "rate", dfb_opt_count(o, 0, RATE_MAX)); break;
	case CTL_SET_RATE_BYTES: set(c, "rate_bytes", dfb_opt_size(o, 0, BYTES_MAX)); break;
	case CTL_SET_CLIENT_RATE: set(c, "client_rate", dfb_opt_count(o, 0, RATE_MAX)); break;
	case CTL_SET_CLIENT_RATE_BYTES:
		set(c, "client_rate_bytes", dfb_opt_size(o, 0, BYTES_MAX));
		break;
	case CTL_SET_DURABILITY: set_durability(c); break;
	default: return false;
	}
	return true;
}

/* ---- write ---- */

static void
add(struct dfb_buf *b, const char *fmt, const char *text)
{
	ctl_must(dfb_buf_addf(b, fmt, text) == 0 ? b : NULL);
}

/* Exactly, as dfb_parse_duration() reads it. */
static const char *
duration(json_int_t ms, char text[32])
{
	static const struct {
		const char *unit;
		json_int_t ms;
	} units[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 } };

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (ms != 0 && ms % units[i].ms == 0) {
			snprintf(text, 32, "%lld%s", (long long)(ms / units[i].ms),
			    units[i].unit);
			return text;
		}
	snprintf(text, 32, "%lldms", (long long)ms);
	return text;
}

static void
write_queues(struct dfb_buf *b, const json_t *settings)
{
	json_t *lo = json_object_get(settings, "queues_min"),
	    *hi = json_object_get(settings, "queues_max");
	long long min = lo != NULL ? json_integer_value(lo) : 1,
	    max = hi != NULL ? json_integer_value(hi) : QUEUES_MAX;
	char text[64];

	if (lo == NULL && hi == NULL)
		return;
	if (min == max)
		snprintf(text, sizeof text, "%lld", min);
	else
		snprintf(text, sizeof text, "%lld-%lld", min, max);
	add(b, " --queues %s", text);
}

static void
write_backoff(struct dfb_buf *b, const json_t *list)
{
	char text[32];
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v) {
		add(b, i == 0 ? " --backoff %s" : ",%s", duration(json_integer_value(v), text));
	}
}

void
ctl_settings_write(struct dfb_buf *b, const json_t *settings)
{
	static const struct {
		const char *name, *format;
		bool time;
	} rows[] = {
		{ "grow_ms", " --grow-delay %s", true },
		{ "shrink_ms", " --shrink-delay %s", true },
		{ "max_body", " --max-body %s", false },
		{ "retention_ms", " --retention %s", true },
		{ "dedup_ms", " --dedup %s", true },
		{ "retries", " --retries %s", false },
		{ "max_depth", " --max-depth %s", false },
		{ "rate", " --rate %s", false },
		{ "rate_bytes", " --rate-bytes %s", false },
		{ "client_rate", " --client-rate %s", false },
		{ "client_rate_bytes", " --client-rate-bytes %s", false },
	};
	const char *durability = json_string_value(json_object_get(settings, "durability"));
	char text[32];

	if (durability != NULL)
		add(b, " --durability %s", durability);
	write_queues(b, settings);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *v = json_object_get(settings, rows[i].name);
		if (v == NULL)
			continue;
		if (!rows[i].time)
			snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
		add(b, rows[i].format, rows[i].time ? duration(json_integer_value(v), text) :
		    text);
	}
	write_backoff(b, json_object_get(settings, "backoff_ms"));
}
