#include "net/zmtp.h"

#include <string.h>
#include <strings.h>

#define GREETING 64
#define MAJOR 10      /* where its version stands */
#define MECHANISM 12
#define MECHANISM_LEN 20

#define MORE 1
#define LONG 2
#define COMMAND 4
#define COMMAND_MAX 65536u
#define PING_HEAD 7   /* its name and a time to live */
#define CONTEXT_MAX 16
/* What may wait for a peer that pings and does not read. */
#define PONGS_MAX 65536

static const uint8_t greeting[GREETING] = { 0xff, [9] = 0x7f, [MAJOR] = 3, 1,
	'N', 'U', 'L', 'L' };
static const uint8_t hello[] = "\x04\x29" "\x05" "READY"
    "\x0b" "Socket-Type" "\0\0\0\x06" "DEALER" "\x08" "Identity" "\0\0\0";

void
dfb_zmtp_release(struct dfb_zmtp *z)
{
	dfb_buf_release(&z->in);
	dfb_buf_release(&z->out);
}

int
dfb_zmtp_begin(struct dfb_zmtp *z)
{
	/* The string's own NUL is the last of the identity's length. */
	return dfb_buf_add(&z->out, greeting, sizeof greeting) == -1 ? -1 :
	    dfb_buf_add(&z->out, hello, sizeof hello);
}

static uint64_t
number(const uint8_t *p, size_t len)
{
	uint64_t n = 0;

	while (len-- != 0)
		n = n << 8 | *p++;
	return n;
}

/* The first bytes tell soon whether it is one. */
static int
read_greeting(struct dfb_zmtp *z)
{
	const uint8_t *p = z->in.data;
	size_t n = z->in.len;

	if ((n > 0 && p[0] != 0xff) || (n > 9 && (p[9] & 1) == 0) ||
	    (n > MAJOR && p[MAJOR] < 3))
		return -1;
	if (n < GREETING)
		return 0;
	if (memcmp(p + MECHANISM, greeting + MECHANISM, MECHANISM_LEN) != 0)
		return -1;
	z->at = GREETING;
	z->state = DFB_ZMTP_READY;
	return 1;
}

/* Properties: name with a length of one byte, value with four. */
static bool
is_router(const uint8_t *p, size_t len)
{
	bool found = false;

	while (len != 0) {
		size_t name = p[0], value;
		if (len < 1 + name + 4 ||
		    (value = number(p + 1 + name, 4)) > len - 1 - name - 4)
			return false;
		if (name == 11 && strncasecmp((const char *)p + 1, "Socket-Type", 11) == 0)
			found = value == 6 && memcmp(p + 1 + name + 4, "ROUTER", 6) == 0;
		p += 1 + name + 4 + value;
		len -= 1 + name + 4 + value;
	}
	return found;
}

static bool
is_named(const char *name, const uint8_t *p, size_t len)
{
	size_t n = strlen(name);

	return len > n && p[0] == n && memcmp(p + 1, name, n) == 0;
}

static int
put(struct dfb_zmtp *z, uint8_t flags, const uint8_t *p, size_t len)
{
	uint8_t head[9] = { flags };
	size_t n = 2;

	if (len < 256)
		head[1] = (uint8_t)len;
	else {
		head[0] |= LONG;
		for (n = 1; n < sizeof head; n++)
			head[n] = (uint8_t)((uint64_t)len >> 8 * (8 - n));
	}
	if (dfb_buf_reserve(&z->out, n + len) == -1)
		return -1;
	dfb_buf_add(&z->out, head, n);
	return dfb_buf_add(&z->out, p, len);
}

static int
command(struct dfb_zmtp *z, const uint8_t *p, size_t len)
{
	uint8_t pong[5 + CONTEXT_MAX] = "\4PONG";

	if (z->state == DFB_ZMTP_READY) {
		if (!is_named("READY", p, len) || !is_router(p + 6, len - 6))
			return -1;
		z->state = DFB_ZMTP_OPEN;
		return 0;
	}
	if (is_named("ERROR", p, len))
		return -1;
	if (!is_named("PING", p, len))
		return 0; /* PONG, and what we do not know */
	if (len < PING_HEAD || len - PING_HEAD > CONTEXT_MAX)
		return -1;
	memcpy(pong + 5, p + PING_HEAD, len - PING_HEAD);
	return z->out.len > PONGS_MAX ? 0 : put(z, COMMAND, pong, 5 + len - PING_HEAD);
}

static int
next(struct dfb_zmtp *z, struct dfb_zmtp_frame *f)
{
	int rc;

	if (z->state == DFB_ZMTP_GREETING && (rc = read_greeting(z)) != 1)
		return rc;
	while (z->at < z->in.len) {
		const uint8_t *p = z->in.data + z->at;
		size_t left = z->in.len - z->at, head;
		uint64_t len;

		if ((p[0] & ~(MORE | LONG | COMMAND)) != 0)
			return -1;
		head = (p[0] & LONG) != 0 ? 9 : 2;
		if (left < head)
			return 0;
		len = number(p + 1, head - 1);
		if (len > ((p[0] & COMMAND) != 0 ? COMMAND_MAX : z->max_frame))
			return -1;
		if (left - head < len)
			return 0;
		if ((p[0] & COMMAND) == 0) {
			if (z->state != DFB_ZMTP_OPEN)
				return -1;
			f->data = p + head;
			f->len = (size_t)len;
			f->part = z->more || (p[0] & MORE) != 0;
			z->taken = head + (size_t)len;
			return 1;
		}
		if (command(z, p + head, (size_t)len) == -1)
			return -1;
		z->at += head + (size_t)len;
	}
	return 0;
}

int
dfb_zmtp_next(struct dfb_zmtp *z, struct dfb_zmtp_frame *f)
{
	int rc = z->state == DFB_ZMTP_BROKEN ? -1 : next(z, f);

	if (rc == -1)
		z->state = DFB_ZMTP_BROKEN;
	return rc;
}

void
dfb_zmtp_take(struct dfb_zmtp *z)
{
	if (z->taken == 0)
		return;
	z->more = (z->in.data[z->at] & MORE) != 0;
	z->at += z->taken;
	z->taken = 0;
}

void
dfb_zmtp_tidy(struct dfb_zmtp *z)
{
	if (z->state == DFB_ZMTP_GREETING)
		return;
	dfb_buf_consume(&z->in, z->at);
	z->at = 0;
}

int
dfb_zmtp_put(struct dfb_zmtp *z, const void *data, size_t len)
{
	return put(z, 0, data, len);
}
