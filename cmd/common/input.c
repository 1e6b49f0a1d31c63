#include "common/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/loop.h"

#define PIPE_FULL (64u << 10) /* pipe(7): what one holds */
#define PIPE_WIDE (1 << 20)   /* and what a user may ask for */

static char *const std[] = { "-", NULL };

void
dfb_input_init(struct dfb_input *in, enum dfb_framing framing, char *const *names,
    size_t n, struct dfb_loop *loop)
{
	*in = (struct dfb_input){ .names = n != 0 ? names : std, .n = n != 0 ? n : 1,
		.loop = loop, .fd = -1 };
	dfb_frames_init(&in->frames, framing, 0);
}

int
dfb_input_init_text(struct dfb_input *in, enum dfb_framing framing, const char *text)
{
	*in = (struct dfb_input){ .fd = -1 };
	dfb_frames_init(&in->frames, framing, 0);
	if (*text != '\0' && dfb_frames_feed(&in->frames, text, strlen(text)) == -1)
		return -1;
	return dfb_frames_feed(&in->frames, NULL, 0);
}

static bool
is_stdin(const char *name)
{
	return strcmp(name, "-") == 0;
}

static void
shut(struct dfb_input *in)
{
	if (in->fd == -1)
		return;
	if (in->watched)
		dfb_loop_del_fd(in->loop, in->fd);
	if (in->fd != STDIN_FILENO)
		close(in->fd);
	in->fd = -1;
	in->watched = in->armed = false;
}

void
dfb_input_release(struct dfb_input *in)
{
	shut(in);
	dfb_frames_release(&in->frames);
}

const char *
dfb_input_unreadable(char *const *names, size_t n)
{
	struct stat st;

	if (n == 0 && fcntl(STDIN_FILENO, F_GETFD) == -1)
		return "standard input";
	for (size_t i = 0; i < n; i++) {
		if (is_stdin(names[i])) {
			if (fcntl(STDIN_FILENO, F_GETFD) == -1)
				return "standard input";
			continue;
		}
		if (stat(names[i], &st) == -1 || euidaccess(names[i], R_OK) == -1)
			return names[i];
		if (S_ISDIR(st.st_mode)) {
			errno = EISDIR;
			return names[i];
		}
	}
	return NULL;
}

static void
on_ready(void *arg, uint32_t ready)
{
	struct dfb_input *in = arg;

	(void)ready;
	in->ready = true;
	in->armed = false;
}

static int
open_current(struct dfb_input *in)
{
	const char *name = in->names[in->file];

	in->fd = is_stdin(name) ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	if (in->fd == -1)
		return -1;
	in->widened = false;
	in->ready = true;
	if (in->loop == NULL)
		return 0;
	if (dfb_loop_add_fd(in->loop, in->fd, EPOLLIN | EPOLLONESHOT, on_ready, in) == 0) {
		in->watched = in->armed = true;
		in->ready = false;
	} else if (errno != EPERM) { /* a regular file can always be read */
		shut(in);
		return -1;
	}
	return 0;
}

/* Read once.  0, or -1 with errno (EAGAIN: there was nothing after all). */
static int
fill(struct dfb_input *in)
{
	struct pollfd p = { .fd = in->fd, .events = POLLIN };
	size_t before = in->frames.end - in->frames.start;

	if (in->loop != NULL)
		in->ready = false;
	while (dfb_frames_fill(&in->frames, in->fd) == -1) {
		if (errno != EINTR && (errno != EAGAIN || in->loop != NULL))
			return -1;
		if (errno == EAGAIN)
			poll(&p, 1, -1);
	}
	/* A fast writer: larger portions, fewer turns. */
	if (!in->widened && in->frames.end - before == PIPE_FULL) {
		in->widened = true;
		(void)fcntl(in->fd, F_SETPIPE_SZ, PIPE_WIDE);
	}
	return 0;
}

/* End with this file. */
static void
leave(struct dfb_input *in)
{
	shut(in);
	in->file++;
	dfb_frames_restart(&in->frames);
}

static enum dfb_input_result
give_up(struct dfb_input *in)
{
	int saved = errno;

	shut(in);
	in->frames.over = 1;
	errno = saved;
	return DFB_INPUT_FAIL;
}

/* Give the client a turn: until the descriptor is readable, or a short one. */
static enum dfb_input_result
pause_reading(struct dfb_input *in)
{
	if (!in->watched)
		in->ready = true;
	else if (!in->armed) {
		if (dfb_loop_set_fd(in->loop, in->fd, EPOLLIN | EPOLLONESHOT) == -1)
			return give_up(in);
		in->armed = true;
	}
	return DFB_INPUT_WAIT;
}

/* Get more for the reader: ONE when there is. */
static enum dfb_input_result
more(struct dfb_input *in)
{
	if (in->fd == -1 && open_current(in) == -1)
		return give_up(in);
	if (!in->ready)
		return pause_reading(in);
	if (fill(in) == 0)
		return DFB_INPUT_ONE;
	return errno == EAGAIN ? pause_reading(in) : give_up(in);
}

enum dfb_input_result
dfb_input_next(struct dfb_input *in, const uint8_t **p, size_t *len)
{
	enum dfb_input_result r;

	for (;;) {
		if (in->names != NULL && in->file == in->n)
			return DFB_INPUT_END;
		switch (dfb_frames_next(&in->frames, p, len)) {
		case DFB_FRAMES_ONE:
			return DFB_INPUT_ONE;
		case DFB_FRAMES_LONG:
		case DFB_FRAMES_BAD:
			return DFB_INPUT_WRONG;
		case DFB_FRAMES_MORE:
			if ((r = more(in)) != DFB_INPUT_ONE)
				return r;
			break;
		case DFB_FRAMES_END:
			if (in->names == NULL)
				return DFB_INPUT_END;
			leave(in);
			break;
		}
	}
}

int
dfb_input_timeout(const struct dfb_input *in)
{
	return in->watched ? -1 : 0;
}

const char *
dfb_input_place(const struct dfb_input *in, size_t file, uint64_t number, char *buf,
    size_t size)
{
	const char *name = in->names == NULL ? "message" :
	    file >= in->n ? "the end of input" :
	    is_stdin(in->names[file]) ? "stdin" : in->names[file];
	unsigned long long n = number;

	if (in->names == NULL || file >= in->n || in->frames.framing == DFB_FRAMING_RAW || n == 0)
		snprintf(buf, size, "%s", name);
	else if (in->frames.framing == DFB_FRAMING_LINES ||
	    in->frames.framing == DFB_FRAMING_JSON)
		snprintf(buf, size, "%s:%llu", name, n);
	else
		snprintf(buf, size, "%s: message %llu", name, n);
	return buf;
}
