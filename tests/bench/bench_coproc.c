/* A handler for dfb-recv --coproc that does nothing: for each line of JSON the same id, as
 * many at a time as there are.  With an argument the body comes back, too. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "meter.h"

static char in[1 << 20], out[2 << 20];
static bool echo;

/* Append the answer to a line; false when it has no id. */
static bool
answer(char *line, size_t *len)
{
	char *id = strstr(line, "\"id\":\"");

	char *body = echo ? strstr(line, "\"body\":\"") : NULL;
	char *end = body != NULL ? strchr(body + 8, '"') : NULL; /* nothing is escaped in it */

	if (id == NULL)
		return false;
	if (end == NULL)
		*len += (size_t)snprintf(out + *len, sizeof out - *len,
		    "{\"id\":\"%.36s\"}\n", id + 6);
	else
		*len += (size_t)snprintf(out + *len, sizeof out - *len,
		    "{\"id\":\"%.36s\",%.*s}\n", id + 6, (int)(end + 1 - body), body);
	return true;
}

int
main(int argc, char **argv)
{
	size_t have = 0, len;
	ssize_t n;

	(void)argv;
	echo = argc > 1;
	while ((n = read(STDIN_FILENO, in + have, sizeof in - 1 - have)) > 0) {
		char *line = in, *end;

		have += (size_t)n;
		len = 0;
		for (; (end = memchr(line, '\n', have - (size_t)(line - in))); line = end + 1) {
			*end = '\0';
			meter_check(answer(line, &len), "a line without an id");
		}
		have -= (size_t)(line - in);
		memmove(in, line, have);
		for (size_t done = 0; done < len; done += (size_t)n)
			meter_check((n = write(STDOUT_FILENO, out + done, len - done)) > 0,
			    "write");
	}
	return 0;
}
