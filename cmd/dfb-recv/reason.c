#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/utf8.h"
#include "dfb-recv/recv.h"

/* The bytes of the character at p, 1 to 4; 0 when it is none that text may hold. */
static size_t
character(const char *p, size_t len)
{
	for (size_t n = 1; n <= 4 && n <= len; n++)
		if (dfb_utf8_valid(p, n))
			return *p != '\0' ? n : 0;
	return 0;
}

void
reason_of(char reason[REASON_MAX], const char *what, const char *text, size_t len)
{
	size_t at, n;

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	at = (size_t)snprintf(reason, REASON_MAX / 2, "%s%s", what, len > 0 ? ": " : "");
	if (at >= REASON_MAX / 2)
		at = REASON_MAX / 2 - 1;
	/* The end says most; it may begin in the middle of a character. */
	if (len > REASON_MAX - 1 - at) {
		text += len - (REASON_MAX - 1 - at);
		len = REASON_MAX - 1 - at;
	}
	while (len > 0 && ((unsigned char)*text & 0xc0) == 0x80)
		text++, len--;
	for (; len > 0; text += n, len -= n) {
		if ((n = character(text, len)) == 0) {
			reason[at++] = '?';
			n = 1;
			continue;
		}
		memcpy(reason + at, text, n);
		at += n;
	}
	reason[at] = '\0';
}

void
reason_of_exit(char reason[REASON_MAX], int ws, const char *text, size_t len)
{
	char what[64];

	if (WIFSIGNALED(ws))
		snprintf(what, sizeof what, "killed by signal %d", WTERMSIG(ws));
	else
		snprintf(what, sizeof what, "exit status %d", WEXITSTATUS(ws));
	reason_of(reason, what, text, len);
}

bool
reason_action(int status, enum dfb_nack *action)
{
	*action = status == DFB_AGAIN ? DFB_LATER :
	    status == DFB_BADINPUT ? DFB_DEAD : DFB_RETRY;
	return status != 0;
}
