/*
 * beanstalkd beside dfb: peer_beanstalkd send|recv|both [options] TUBE.
 *   send  put, pipelined; confirmed by INSERTED
 *   recv  a window of reserve commands under way, delete for each, until the tube is empty
 *   both  a process that sends at a rate and one that receives; latency end to end
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "meter.h"
#include "text.h"

static void
expect(const char *line, const char *word)
{
	if (strncmp(line, word, strlen(word)) == 0)
		return;
	fprintf(stderr, "peer_beanstalkd: '%s' in place of '%s'\n", line, word);
	exit(1);
}

static void
put(void *arg, const char *body, size_t size)
{
	struct text *t = arg;

	text_addf(t, "put 0 0 60 %zu\r\n", size);
	text_add(t, body, size);
	text_add(t, "\r\n", 2);
}

static void
flush(void *arg)
{
	text_flush(arg);
}

static unsigned
done(void *arg)
{
	unsigned n = 0;

	for (char *line = text_line(arg, true); line != NULL; line = text_line(arg, false)) {
		expect(line, "INSERTED");
		n++;
	}
	return n;
}

static void
send_all(struct meter *m)
{
	struct text t;

	text_open(&t, m->port);
	text_addf(&t, "use %s\r\n", m->topic);
	text_flush(&t);
	expect(text_line(&t, true), "USING");
	meter_run(m, &(struct meter_flow){ .arg = &t, .fd = t.fd, .put = put,
	    .flush = flush, .done = done });
}

/* Receive `total`, or (total 0) until there is no more.  The server answers a
 * connection's commands one after the other, so reserve and delete take turns. */
static void
receive(struct meter *m, uint64_t total)
{
	const char *reserve = total != 0 ? "reserve\r\n" : "reserve-with-timeout 0\r\n";
	uint64_t asked = 0, id;
	size_t size, open = 0;
	struct text t;

	text_open(&t, m->port);
	text_addf(&t, "watch %s\r\n", m->topic);
	text_flush(&t);
	expect(text_line(&t, true), "WATCHING");
	meter_start(m);
	for (; open < m->window && (total == 0 || asked < total); open++, asked++)
		text_addf(&t, "%s", reserve);
	while (open > 0) {
		char *line = text_line(&t, false);

		if (line == NULL) {
			text_flush(&t);
			line = text_line(&t, true);
		}
		open--;
		if (sscanf(line, "RESERVED %ju %zu", &id, &size) == 2) {
			uint64_t since = m->end;
			const char *body = text_bytes(&t, size);

			meter_took(m, total != 0 ? meter_stamp(body) : since);
			text_addf(&t, "delete %ju\r\n", id);
			open++;
			if (total == 0 || asked < total) {
				text_addf(&t, "%s", reserve);
				open++, asked++;
			}
		} else if (strcmp(line, "DELETED") != 0)
			expect(line, "TIMED_OUT");
	}
}

static void
send_and_receive(struct meter *m)
{
	int pid = meter_fork();

	if (pid == 0) {
		send_all(m);
		_Exit(0);
	}
	m->window = 1; /* a reserve that waits holds up all behind it */
	receive(m, meter_total(m));
	waitpid(pid, NULL, 0);
}

int
main(int argc, char **argv)
{
	struct meter m;

	meter_options(&m, argc, argv);
	if (strcmp(m.mode, "send") == 0)
		send_all(&m);
	else if (strcmp(m.mode, "both") == 0)
		send_and_receive(&m);
	else if (strcmp(m.mode, "recv") == 0)
		receive(&m, 0);
	else
		return 64;
	meter_print(&m);
	return 0;
}
