#include "wire/words.h"

#include <string.h>

#define REGION_LEN 3
#define WORD_LEN 64
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"

const char dfb_word_help[] = "a service is 1 to 64 letters, digits, '_' or '.'; "
    "a topic is a region, a hyphen and a service, like A10-payments";

static bool
made_of(const char *text, const char *set, size_t min, size_t max)
{
	size_t n = strlen(text);

	return n >= min && n <= max && strspn(text, set) == n;
}

bool
dfb_region_valid(const char *text)
{
	return made_of(text, UPPER, REGION_LEN, REGION_LEN);
}

static bool
service_valid(const char *text)
{
	return made_of(text, UPPER LOWER "_.", 1, WORD_LEN);
}

bool
dfb_group_valid(const char *text)
{
	return made_of(text, UPPER LOWER "_.-", 1, WORD_LEN);
}

bool
dfb_name_valid(const char *text)
{
	return dfb_group_valid(text);
}

enum dfb_word
dfb_word_kind(const char *text)
{
	if (strcmp(text, "%GSL") == 0 || strcmp(text, "%SGS") == 0)
		return DFB_WORD_DAEMONS;
	if (text[0] == '%')
		return strncmp(text, "%DLQ-", 5) == 0 && dfb_group_valid(text + 5) ?
		    DFB_WORD_SYSTEM : DFB_WORD_BAD;
	if (strlen(text) > REGION_LEN && text[REGION_LEN] == '-') {
		char region[REGION_LEN + 1] = "";
		memcpy(region, text, REGION_LEN);
		return dfb_region_valid(region) &&
		    service_valid(text + REGION_LEN + 1) ?
		    DFB_WORD_TOPIC : DFB_WORD_BAD;
	}
	return service_valid(text) ? DFB_WORD_SERVICE : DFB_WORD_BAD;
}
