#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* A decimal number and the unit that follows it, at most one fraction digit
 * group; the empty unit is in the table too. */
static int
number_with_unit(const char *text, const struct unit *units, uint64_t *out)
{
	char *end;
	unsigned long long n;

	if (!isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0)
		return -1;
	for (; units->name != NULL; units++)
		if (strcmp(end, units->name) == 0) {
			if (n > UINT64_MAX / units->factor)
				return -1;
			*out = n * units->factor;
			return 0;
		}
	return -1;
}

static int
in_range(int rc, uint64_t min, uint64_t max, const uint64_t *n, uint64_t *out)
{
	if (rc == -1 || *n < min || *n > max)
		return -1;
	*out = *n;
	return 0;
}

int
dfb_parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	static const struct unit units[] = { { "", 1 }, { "k", 1u << 10 },
		{ "K", 1u << 10 }, { "M", 1u << 20 }, { "G", 1u << 30 }, { NULL, 0 } };
	uint64_t n = 0;

	return in_range(number_with_unit(text, units, &n), min, max, &n, out);
}

int
dfb_parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	static const struct unit units[] = { { "", 1 }, { "k", 1000 },
		{ "K", 1000 }, { "M", 1000000 }, { "G", 1000000000 }, { NULL, 0 } };
	uint64_t n = 0;

	return in_range(number_with_unit(text, units, &n), min, max, &n, out);
}

int
dfb_parse_duration(const char *text, uint64_t *ms)
{
	static const struct unit units[] = { { "", 1000 }, { "ms", 1 },
		{ "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
		{ NULL, 0 } };

	return number_with_unit(text, units, ms);
}

static int
zone_offset(const char *s, long *seconds)
{
	int h, m, n = 0;
	char sign;

	if (strcmp(s, "Z") == 0) {
		*seconds = 0;
		return 0;
	}
	/* Two digits each: sscanf(3) would take blanks and signs. */
	if (strlen(s) != 6 || !isdigit((unsigned char)s[1]) || !isdigit((unsigned char)s[4]))
		return -1;
	if (sscanf(s, "%c%2d:%2d%n", &sign, &h, &m, &n) != 3 || n != 6 ||
	    (sign != '+' && sign != '-') || h > 23 || m > 59)
		return -1;
	*seconds = (h * 3600L + m * 60L) * (sign == '-' ? -1 : 1);
	return 0;
}

/* strptime(3) takes the 31st of February; the calendar does not. */
static bool
is_date(const struct tm *tm)
{
	struct tm day = { .tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday };

	timegm(&day);
	return day.tm_mday == tm->tm_mday;
}

int
dfb_parse_when(const char *text, uint64_t *wall_ms)
{
	struct tm tm = { .tm_isdst = -1 };
	uint64_t n;
	const char *rest;
	long zone = 0;
	time_t t;
	int millis = 0;

	if (*text == '@') {
		if (dfb_parse_count(text + 1, 0, UINT64_MAX / 1000, &n) == -1)
			return -1;
		*wall_ms = n * 1000;
		return 0;
	}
	if (*text == '-') {
		if (dfb_parse_duration(text + 1, &n) == -1 || n > dfb_wall_ms())
			return -1;
		*wall_ms = dfb_wall_ms() - n;
		return 0;
	}
	if ((rest = strptime(text, "%Y-%m-%d", &tm)) == NULL || !is_date(&tm))
		return -1;
	if (*rest == 'T' || *rest == ' ') {
		const char *p = strptime(rest + 1, "%H:%M:%S", &tm);
		if (p == NULL)
			p = strptime(rest + 1, "%H:%M", &tm);
		if ((rest = p) == NULL)
			return -1;
		if (*rest == '.') {
			int scale = 100;
			for (rest++; isdigit((unsigned char)*rest); rest++, scale /= 10)
				millis += (*rest - '0') * scale;
		}
	}
	if (*rest == '\0')
		t = mktime(&tm);
	else {
		if (zone_offset(rest, &zone) == -1)
			return -1;
		t = timegm(&tm) - zone;
	}
	if (t < 0)
		return -1;
	*wall_ms = (uint64_t)t * 1000 + (uint64_t)millis;
	return 0;
}

const char *
dfb_format_duration(uint64_t ms, char buf[16])
{
	if (ms < 1000)
		snprintf(buf, 16, "%ums", (unsigned)ms);
	else if (ms < 60000)
		snprintf(buf, 16, ms % 1000 != 0 ? "%.1fs" : "%.0fs", (double)ms / 1e3);
	else if (ms < 3600000)
		snprintf(buf, 16, ms % 60000 != 0 ? "%.1fm" : "%.0fm", (double)ms / 6e4);
	else if (ms < 86400000)
		snprintf(buf, 16, ms % 3600000 != 0 ? "%.1fh" : "%.0fh", (double)ms / 3.6e6);
	else
		snprintf(buf, 16, ms % 86400000 != 0 ? "%.1fd" : "%.0fd", (double)ms / 8.64e7);
	return buf;
}

const char *
dfb_format_size(uint64_t n, char buf[16])
{
	const char *units = "kMGTPE";
	double v = (double)n / 1024;

	if (n < 1024) {
		snprintf(buf, 16, "%u", (unsigned)n);
		return buf;
	}
	for (; v >= 1024; v /= 1024)
		units++;
	snprintf(buf, 16, "%.1f%c", v, *units);
	return buf;
}

const char *
dfb_format_when(uint64_t wall_ms, char buf[25])
{
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year > 9999 - 1900)
		tm = (struct tm){ .tm_year = 9999 - 1900, .tm_mon = 11, .tm_mday = 31,
			.tm_hour = 23, .tm_min = 59, .tm_sec = 59 };
	strftime(buf, 25, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + 19, 6, ".%03uZ", (unsigned)(wall_ms % 1000));
	return buf;
}
