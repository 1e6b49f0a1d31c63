#include "common/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "dfb.h"

/* A compiled format is a list: literal bytes (letter 0), or a field. */
struct piece {
	char letter;
	size_t at, len; /* in text */
};

struct dfb_format {
	struct piece *pieces;
	size_t n;
	struct dfb_buf text;
};

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What follows a backslash at p; past it, or NULL when it is none of ours. */
static const char *
escape(const char *p, char *out)
{
	static const char letters[] = "ntr0\\", bytes[] = "\n\t\r\0\\";
	const char *l = *p != '\0' ? strchr(letters, *p) : NULL;

	if (l != NULL) {
		*out = bytes[l - letters];
		return p + 1;
	}
	if (*p != 'x' || hex_digit(p[1]) == -1 || hex_digit(p[2]) == -1)
		return NULL;
	*out = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
	return p + 3;
}

static int
add_literal(struct dfb_format *f, char c)
{
	if (f->n == 0 || f->pieces[f->n - 1].letter != 0)
		f->pieces[f->n++] = (struct piece){ .at = f->text.len };
	f->pieces[f->n - 1].len++;
	return dfb_buf_add(&f->text, &c, 1);
}

static int
compile(struct dfb_format *f, const char *text, char *why, size_t size)
{
	int rc = 0;

	for (const char *p = text; *p != '\0' && rc == 0;) {
		char c = *p++;
		if (c == '\\') {
			const char *past = escape(p, &c);
			if (past == NULL) {
				snprintf(why, size, *p == '\0' ? "a lone '\\' at the end" :
				    "unknown escape '\\%c': there are \\n \\t \\r \\0 "
				    "\\\\ and \\x with two hex digits", *p);
				return -1;
			}
			p = past;
			rc = add_literal(f, c);
		} else if (c != '%' || *p == '%') {
			p += c == '%';
			rc = add_literal(f, c);
		} else if (*p != '\0' && strchr("tqokshTip", *p) != NULL) {
			f->pieces[f->n++] = (struct piece){ .letter = *p++ };
		} else {
			snprintf(why, size, *p == '\0' ? "a lone '%%' at the end: write "
			    "%%%%" : "unknown letter '%%%c': there are %%t %%q %%o %%k "
			    "%%s %%h %%T %%i %%p and %%%%", *p);
			return -1;
		}
	}
	if (rc == -1)
		snprintf(why, size, "out of memory");
	return rc;
}

struct dfb_format *
dfb_format_new(const char *text, char *why, size_t size)
{
	struct dfb_format *f = calloc(1, sizeof *f);

	/* No piece is shorter than a character. */
	if (f == NULL ||
	    (f->pieces = calloc(strlen(text) + 1, sizeof *f->pieces)) == NULL) {
		snprintf(why, size, "out of memory");
		free(f);
		return NULL;
	}
	if (compile(f, text, why, size) == -1) {
		dfb_format_free(f);
		return NULL;
	}
	return f;
}

void
dfb_format_free(struct dfb_format *f)
{
	if (f == NULL)
		return;
	free(f->pieces);
	dfb_buf_release(&f->text);
	free(f);
}

static int
write_headers(struct dfb_buf *b, const struct dfb_msg *m)
{
	const char *name, *value;
	size_t at = 0, n, v, start = b->len;

	while (dfb_headers_next(m->headers, m->headers_len, &at, &name, &n, &value, &v))
		if ((b->len != start && dfb_buf_add(b, ",", 1) == -1) ||
		    dfb_buf_add(b, name, n) == -1 || dfb_buf_add(b, "=", 1) == -1 ||
		    dfb_buf_add(b, value, v) == -1)
			return -1;
	return 0;
}

static int
write_field(struct dfb_buf *b, char letter, const struct dfb_msg *m)
{
	char id[DFB_ID_TEXT];

	switch (letter) {
	case 't':
		return m->topic != NULL ? dfb_buf_add(b, m->topic, strlen(m->topic)) : 0;
	case 'q':
		return dfb_buf_addf(b, "%" PRIu32, m->queue);
	case 'o':
		return dfb_buf_addf(b, "%" PRIu64, m->offset);
	case 'k':
		return dfb_buf_add(b, m->key, m->key_len);
	case 's':
		return dfb_buf_add(b, m->body, m->body_len);
	case 'h':
		return write_headers(b, m);
	case 'T':
		return dfb_buf_addf(b, "%" PRIu64, m->born_ms);
	case 'p':
		return dfb_buf_add(b, m->possible_duplicate ? "1" : "0", 1);
	default:
		dfb_id_format(&m->id, id);
		return dfb_buf_add(b, id, DFB_ID_TEXT - 1);
	}
}

int
dfb_format_write(const struct dfb_format *f, struct dfb_buf *b,
    const struct dfb_msg *m)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct piece *p = &f->pieces[i];
		if (p->letter == 0 ? dfb_buf_add(b, f->text.data + p->at, p->len) == -1 :
		    write_field(b, p->letter, m) == -1)
			return -1;
	}
	return 0;
}
