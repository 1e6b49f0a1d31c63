#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "meter.h"

void
text_open(struct text *t, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	*t = (struct text){ .fd = socket(AF_INET, SOCK_STREAM, 0) };
	meter_check(t->fd != -1 && connect(t->fd, (struct sockaddr *)&a, sizeof a) == 0,
	    "connect");
	setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void
text_add(struct text *t, const void *p, size_t n)
{
	meter_check(dfb_buf_add(&t->out, p, n) == 0, "memory");
}

void
text_addf(struct text *t, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	meter_check(n >= 0 && (size_t)n < sizeof line, "too long a line");
	text_add(t, line, (size_t)n);
}

void
text_flush(struct text *t)
{
	size_t done = 0;

	while (done < t->out.len) {
		ssize_t n = write(t->fd, t->out.data + done, t->out.len - done);

		meter_check(n > 0, "write");
		done += (size_t)n;
	}
	t->out.len = 0;
}

static void
read_more(struct text *t)
{
	ssize_t n;

	dfb_buf_consume(&t->in, t->at);
	t->at = 0;
	meter_check(dfb_buf_reserve(&t->in, 262144) == 0, "memory");
	errno = 0;
	n = read(t->fd, t->in.data + t->in.len, 262144);
	meter_check(n > 0, "read");
	t->in.len += (size_t)n;
}

char *
text_line(struct text *t, bool wait)
{
	size_t seen = 0;

	for (;;) {
		char *line, *end = NULL;

		if (t->in.len > t->at) {
			line = (char *)t->in.data + t->at;
			end = memchr(line + seen, '\n', t->in.len - t->at - seen);
		}
		if (end != NULL) {
			t->at = (size_t)(end + 1 - (char *)t->in.data);
			end[end > line && end[-1] == '\r' ? -1 : 0] = '\0';
			return line;
		}
		if (!wait)
			return NULL;
		seen = t->in.len - t->at;
		read_more(t);
	}
}

char *
text_bytes(struct text *t, size_t n)
{
	char *p;

	while (t->in.len - t->at < n + 2)
		read_more(t);
	p = (char *)t->in.data + t->at;
	t->at += n + 2;
	return p;
}
