#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dfb-recv/recv.h"

/* The strings of a message stand one after the other in text; vec is base and then
 * those. */
static struct {
	char **base;
	size_t nbase;
	struct dfb_buf text, vec;
	char *names, *region;
} env;

/* Ours, of a dfb-recv that started this one. */
static bool
is_ours(const char *s)
{
	static const char *const names[] = { "ID", "TOPIC", "QUEUE", "OFFSET", "KEY",
		"KEY64", "TRY", "BORN", "DEADLINE", "CALL", "POSSIBLE_DUPLICATE" };

	if (strncmp(s, "DFB_", 4) != 0)
		return false;
	s += 4;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		size_t n = strlen(names[i]);
		if (strncmp(s, names[i], n) == 0 && s[n] == '=')
			return true;
	}
	return strncmp(s, "HEADER_", 7) == 0;
}

static char *
assignment(const char *name, const char *value)
{
	struct dfb_buf b = {0};

	if (dfb_buf_addf(&b, "%s=%s", name, value) == -1 || dfb_buf_add(&b, "", 1) == -1) {
		dfb_buf_release(&b);
		return NULL;
	}
	return (char *)b.data;
}

int
env_init(const struct options *opt)
{
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	if ((env.base = calloc(n + 2, sizeof *env.base)) == NULL)
		return -1;
	if (opt->names != NULL &&
	    (env.base[env.nbase++] = env.names = assignment("DFB_NAMES", opt->names)) == NULL)
		return -1;
	if (opt->region != NULL &&
	    (env.base[env.nbase++] = env.region = assignment("DFB_REGION", opt->region)) == NULL)
		return -1;
	for (char **e = environ; *e != NULL; e++)
		if (!is_ours(*e) &&
		    (env.names == NULL || strncmp(*e, "DFB_NAMES=", 10) != 0) &&
		    (env.region == NULL || strncmp(*e, "DFB_REGION=", 11) != 0))
			env.base[env.nbase++] = *e;
	return 0;
}

void
env_release(void)
{
	free(env.base);
	free(env.names);
	free(env.region);
	dfb_buf_release(&env.text);
	dfb_buf_release(&env.vec);
	env.base = NULL;
	env.names = env.region = NULL;
	env.nbase = 0;
}

static int
add_key(struct dfb_buf *b, const struct dfb_msg *m)
{
	size_t n = sodium_base64_ENCODED_LEN(m->key_len, sodium_base64_VARIANT_ORIGINAL);

	if (m->key_len == 0 || memchr(m->key, '\0', m->key_len) == NULL)
		return dfb_buf_add(b, "DFB_KEY=", 8) == -1 ||
		    dfb_buf_add(b, m->key, m->key_len) == -1 ||
		    dfb_buf_add(b, "", 1) == -1 ? -1 : 0;
	/* A NUL byte has no place in the environment. */
	if (dfb_buf_add(b, "DFB_KEY64=", 10) == -1 || dfb_buf_reserve(b, n) == -1)
		return -1;
	sodium_bin2base64((char *)b->data + b->len, n, m->key, m->key_len,
	    sodium_base64_VARIANT_ORIGINAL);
	b->len += n;
	return 0;
}

static int
add_headers(struct dfb_buf *b, const struct dfb_msg *m)
{
	const char *name, *value;
	size_t at = 0, n, v;

	while (dfb_headers_next(m->headers, m->headers_len, &at, &name, &n, &value, &v)) {
		size_t start;
		if (dfb_buf_add(b, "DFB_HEADER_", 11) == -1)
			return -1;
		start = b->len;
		if (dfb_buf_add(b, name, n) == -1 || dfb_buf_add(b, "=", 1) == -1 ||
		    dfb_buf_add(b, value, v) == -1 || dfb_buf_add(b, "", 1) == -1)
			return -1;
		for (uint8_t *p = b->data + start; p < b->data + start + n; p++) {
			if (*p >= 'a' && *p <= 'z')
				*p = (uint8_t)(*p - 'a' + 'A');
			else if (!(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9'))
				*p = '_';
		}
	}
	return 0;
}

static int
add_message(struct dfb_buf *b, const struct dfb_msg *m, uint64_t deadline_ms)
{
	char id[DFB_ID_TEXT];

	dfb_id_format(&m->id, id);
	return dfb_buf_addf(b, "DFB_ID=%s%cDFB_TOPIC=%s%cDFB_QUEUE=%" PRIu32
	    "%cDFB_OFFSET=%" PRIu64 "%cDFB_TRY=%" PRIu32 "%cDFB_BORN=%" PRIu64
	    "%cDFB_DEADLINE=%" PRIu64 "%cDFB_CALL=%s%cDFB_POSSIBLE_DUPLICATE=%s%c", id, 0, m->topic, 0, m->queue, 0,
	    m->offset, 0, m->tries, 0, m->born_ms, 0, deadline_ms, 0,
	    m->is_call ? "1" : "", 0, m->possible_duplicate ? "1" : "", 0) == -1 ||
	    add_key(b, m) == -1 || add_headers(b, m) == -1 ? -1 : 0;
}

char **
env_make(const struct dfb_msg *m, uint64_t deadline_ms)
{
	size_t n = 0;
	char **v;

	env.text.len = 0;
	if (m != NULL && add_message(&env.text, m, deadline_ms) == -1)
		return NULL;
	for (size_t i = 0; i < env.text.len; i++)
		n += env.text.data[i] == '\0';
	env.vec.len = 0;
	if (dfb_buf_reserve(&env.vec, (env.nbase + n + 1) * sizeof *v) == -1)
		return NULL;
	v = (char **)(void *)env.vec.data;
	memcpy(v, env.base, env.nbase * sizeof *v);
	v += env.nbase;
	for (char *p = (char *)env.text.data, *end = p + env.text.len;
	    env.text.len != 0 && p < end; p += strlen(p) + 1)
		*v++ = p;
	*v = NULL;
	return (char **)(void *)env.vec.data;
}
