#include "common/msgopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/log.h"
#include "base/opt.h"

#define KEY_MAX 255

void
dfb_msgopt_release(struct dfb_msgopt *o)
{
	free(o->headers);
	free(o->merged);
	*o = (struct dfb_msgopt){0};
}

static void
add_header(struct dfb_msgopt *o, const struct dfb_opts *opts)
{
	const char *eq = strchr(opts->arg, '=');
	char *name;

	if (eq == NULL)
		dfb_usage(opts, "-H takes NAME=VALUE, not '%s'", opts->arg);
	if ((o->headers == NULL && (o->headers = malloc(DFB_HEADERS_MAX)) == NULL) ||
	    (name = strndup(opts->arg, (size_t)(eq - opts->arg))) == NULL) {
		log_err("cannot start");
		exit(DFB_OSERR);
	}
	switch (dfb_headers_add(o->headers, DFB_HEADERS_MAX, &o->base.headers_len, name,
	    eq + 1)) {
	case DFB_OK:
		break;
	case DFB_BADINPUT:
		dfb_usage(opts, "header '%s' is malformed: a name is 1 to 64 letters, "
		    "digits, '_', '.' or '-', a value is UTF-8", opts->arg);
	default:
		dfb_usage(opts, "too many headers: a message holds %d bytes of them",
		    DFB_HEADERS_MAX);
	}
	free(name);
	o->base.headers = o->headers;
}

bool
dfb_msgopt_option(struct dfb_msgopt *o, const struct dfb_opts *opts, int letter)
{
	switch (letter) {
	case 'k':
		o->base.key = opts->arg;
		o->base.key_len = strlen(opts->arg);
		if (o->base.key_len > KEY_MAX)
			dfb_usage(opts, "the key has %zu bytes, the limit is %d",
			    o->base.key_len, KEY_MAX);
		return true;
	case 'H':
		add_header(o, opts);
		return true;
	case 'i':
		if (dfb_id_of(opts->arg, &o->base.id) == -1)
			dfb_usage(opts, "-i takes a UUID, or any text of 1 to %d bytes",
			    DFB_ID_NAME_MAX);
		o->has_id = true;
		return true;
	default:
		return false;
	}
}

static bool
has_header(const struct dfb_msg *m, const char *name, size_t len)
{
	const char *n, *v;
	size_t at = 0, nlen, vlen;

	while (dfb_headers_next(m->headers, m->headers_len, &at, &n, &nlen, &v, &vlen))
		if (nlen == len && memcmp(n, name, len) == 0)
			return true;
	return false;
}

/* Those of the options that m has not, then its own. */
static int
merge_headers(struct dfb_msgopt *o, struct dfb_msg *m)
{
	const char *name, *value;
	size_t at = 0, from = 0, n, v, len = 0;

	if (o->merged == NULL && (o->merged = malloc(2 * DFB_HEADERS_MAX)) == NULL)
		return -1;
	for (; dfb_headers_next(o->base.headers, o->base.headers_len, &at, &name, &n,
	    &value, &v); from = at)
		if (!has_header(m, name, n)) {
			memcpy(o->merged + len, o->headers + from, at - from);
			len += at - from;
		}
	memcpy(o->merged + len, m->headers, m->headers_len);
	m->headers = o->merged;
	if ((m->headers_len += len) > DFB_HEADERS_MAX) {
		errno = E2BIG;
		return -1;
	}
	return 0;
}

int
dfb_msgopt_complete(struct dfb_msgopt *o, struct dfb_msg *m)
{
	if (m->key_len == 0) {
		m->key = o->base.key;
		m->key_len = o->base.key_len;
	}
	if (o->has_id && dfb_id_is_zero(&m->id))
		m->id = o->base.id;
	if (o->base.headers_len == 0)
		return 0;
	if (m->headers_len != 0)
		return merge_headers(o, m);
	m->headers = o->base.headers;
	m->headers_len = o->base.headers_len;
	return 0;
}
