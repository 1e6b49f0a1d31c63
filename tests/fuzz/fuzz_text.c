/* Text that others will read: UTF-8 is what RFC 3629 says, and what is made safe is safe. */
#include "base/log.h"
#include "base/utf8.h"
#include "dfb-recv/recv.h"
#include "fuzz.h"

/* The grammar of RFC 3629, section 4, as it stands there; bytes of the character, or 0. */
static size_t
character(const uint8_t *p, size_t len)
{
	static const struct {
		uint8_t n, first, last, second, second_last;
	} rows[] = { { 1, 0, 0x7f, 0, 0 }, { 2, 0xc2, 0xdf, 0x80, 0xbf },
		{ 3, 0xe0, 0xe0, 0xa0, 0xbf }, { 3, 0xe1, 0xec, 0x80, 0xbf },
		{ 3, 0xed, 0xed, 0x80, 0x9f }, { 3, 0xee, 0xef, 0x80, 0xbf },
		{ 4, 0xf0, 0xf0, 0x90, 0xbf }, { 4, 0xf1, 0xf3, 0x80, 0xbf },
		{ 4, 0xf4, 0xf4, 0x80, 0x8f } };

	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
		if (*p >= rows[r].first && *p <= rows[r].last) {
			if (len < rows[r].n || (rows[r].n > 1 &&
			    (p[1] < rows[r].second || p[1] > rows[r].second_last)))
				return 0;
			for (size_t i = 2; i < rows[r].n; i++)
				if (p[i] < 0x80 || p[i] > 0xbf)
					return 0;
			return rows[r].n;
		}
	return 0;
}

static bool
is_utf8(const uint8_t *p, size_t len)
{
	for (size_t n; len > 0; p += n, len -= n)
		if ((n = character(p, len)) == 0)
			return false;
	return true;
}

/* A value of logfmt is one word, or quoted with what is inside escaped. */
static void
quoted(const char *text)
{
	const char *q = dfb_log_quote(text);
	size_t n = strlen(q);

	need(n > 0 && n < 512);
	for (const char *p = q; *p != '\0'; p++)
		need((unsigned char)*p >= ' ' && *p != 127);
	if (*q != '"') {
		need(strcmp(q, text) == 0 && strpbrk(q, " \"=\\") == NULL);
		return;
	}
	for (q++; *q != '"'; q++) {
		need(*q != '\0');
		if (*q == '\\')
			need(*++q == '"' || *q == '\\');
	}
	need(q[1] == '\0');
}

/* What a dead letter keeps of what a handler said. */
static void
reason(const char *text, size_t size)
{
	char why[REASON_MAX];

	reason_of(why, "it failed", text, size);
	need(strncmp(why, "it failed", 9) == 0 && strlen(why) < REASON_MAX);
	need(dfb_utf8_valid(why, strlen(why)));
}

/* The text again and again, about as long as what is kept. */
static void
repeated(const char *text, size_t size)
{
	char many[REASON_MAX + 40];
	size_t n = REASON_MAX - 20 + size % 60;

	for (size_t i = 0; i < n; i++)
		many[i] = text[i % size];
	many[n] = '\0';
	reason(many, n);
	quoted(many);
	quoted(many + n - 500 - size % 20);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);

	need(dfb_utf8_valid(data, size) == is_utf8(data, size));
	reason(text, size);
	quoted(text);
	if (size != 0)
		repeated(text, size);
	free(text);
	return 0;
}
