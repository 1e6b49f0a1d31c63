/* Numbers, times, ids, words and endpoints as users write them, against what their formats
 * say. */
#include <ctype.h>

#include "base/parse.h"
#include "dfb.h"
#include "fuzz.h"
#include "net/sock.h"
#include "wire/words.h"

/* Digits and one of the units, in 64 bits; false: no such number. */
static bool
number(const char *text, const char *const *units, const uint64_t *factors, uint64_t *out)
{
	const char *p = text;

	*out = 0;
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(*out, (uint64_t)10, out) ||
		    __builtin_add_overflow(*out, (uint64_t)(*p - '0'), out))
			return false;
	for (; p != text && *units != NULL; units++, factors++)
		if (strcmp(p, *units) == 0)
			return !__builtin_mul_overflow(*out, *factors, out);
	return false;
}

static void
numbers(const char *text)
{
	static const char *const sizes[] = { "", "k", "K", "M", "G", NULL };
	static const char *const times[] = { "", "ms", "s", "m", "h", "d", NULL };
	static const uint64_t b[] = { 1, 1 << 10, 1 << 10, 1 << 20, 1 << 30 },
	    d[] = { 1, 1000, 1000, 1000000, 1000000000 },
	    ms[] = { 1000, 1, 1000, 60000, 3600000, 86400000 };
	uint64_t n, w;

	if (dfb_parse_size(text, 0, UINT64_MAX, &n) == 0)
		need(number(text, sizes, b, &w) && w == n);
	else
		need(!number(text, sizes, b, &w));
	if (dfb_parse_count(text, 0, UINT64_MAX, &n) == 0) {
		need(number(text, sizes, d, &w) && w == n);
		need(dfb_parse_count(text, n, n, &n) == 0);
		need(n == UINT64_MAX || dfb_parse_count(text, n + 1, UINT64_MAX, &n) == -1);
	} else
		need(!number(text, sizes, d, &w));
	if (dfb_parse_duration(text, &n) == 0)
		need(number(text, times, ms, &w) && w == n);
	else
		need(!number(text, times, ms, &w));
}

/* What is printed can be read: the same, or the nearest with one digit behind the dot. */
static void
printed(uint64_t ms)
{
	char buf[25];
	uint64_t back;

	dfb_format_duration(ms, buf);
	need(strlen(buf) < 16);
	if (strchr(buf, '.') == NULL)
		need(dfb_parse_duration(buf, &back) == 0 && back == ms);
	dfb_format_size(ms, buf);
	need(strlen(buf) < 16);
	if (ms < 1024)
		need(dfb_parse_size(buf, 0, UINT64_MAX, &back) == 0 && back == ms);
	dfb_format_when(ms, buf);
	need(strlen(buf) == 24);
	if (ms < UINT64_C(253402300800000)) /* the year 10000 */
		need(dfb_parse_when(buf, &back) == 0 && back == ms);
}

static void
when(const char *text)
{
	char buf[25];
	uint64_t ms, back;

	if (dfb_parse_when(text, &ms) == -1)
		return;
	dfb_format_when(ms, buf);
	if (ms < UINT64_C(253402300800000))
		need(dfb_parse_when(buf, &back) == 0 && back == ms);
	/* A date that is not in the calendar is none. */
	if (isdigit((unsigned char)*text) && strlen(text) == 24 && text[23] == 'Z' &&
	    text[10] == 'T' && strspn(text, "0123456789-") == 10 && text[17] != '6')
		need(strncmp(text, buf, 10) == 0);
}

static void
words(const char *text)
{
	struct dfb_id id;
	char again[DFB_ID_TEXT];

	if (dfb_id_parse(text, &id) == 0) {
		dfb_id_format(&id, again);
		need(strcasecmp(again, text) == 0);
	}
	switch (dfb_word_kind(text)) {
	case DFB_WORD_TOPIC:
		need(text[3] == '-' && dfb_word_kind(text + 4) == DFB_WORD_SERVICE &&
		    strlen(text) < DFB_TOPIC_MAX);
		break;
	case DFB_WORD_SERVICE:
		need(dfb_group_valid(text) && strpbrk(text, "-%/ \n") == NULL);
		break;
	case DFB_WORD_SYSTEM:
		need(dfb_group_valid(text + 5) && strlen(text) < DFB_TOPIC_MAX);
		break;
	case DFB_WORD_DAEMONS:
		need(strlen(text) == 4 && text[0] == '%');
		break;
	case DFB_WORD_BAD:
		break;
	}
	if (dfb_group_valid(text) || dfb_name_valid(text) || dfb_region_valid(text))
		need(strlen(text) <= 64 && strpbrk(text, "%/@ \n") == NULL);
	if (dfb_endpoint_check(text) == NULL)
		need((strncmp(text, "ipc://", 6) == 0 && strlen(text) > 6 &&
		    strlen(text) <= 113) || (strncmp(text, "tcp://", 6) == 0 &&
		    strlen(text) < 200 && isdigit((unsigned char)text[strlen(text) - 1])));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);
	struct dfb_id id, back;
	char id_text[DFB_ID_TEXT];
	uint64_t n = 0;

	numbers(text);
	when(text);
	words(text);
	memcpy(&n, data, size < sizeof n ? size : sizeof n);
	printed(n >> n % 64);
	if (size >= sizeof id) {
		memcpy(&id, data, sizeof id);
		dfb_id_format(&id, id_text);
		need(dfb_id_parse(id_text, &back) == 0 && memcmp(&id, &back, sizeof id) == 0);
	}
	free(text);
	return 0;
}
