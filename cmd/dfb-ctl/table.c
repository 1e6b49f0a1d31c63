#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "dfb-ctl/ctl.h"

#define GAP 2

struct column {
	char head[80];
	bool right;
	size_t width;
};

/* Characters, not bytes. */
static size_t
width(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void
ctl_cell(struct ctl_table *t, const char *text)
{
	char *copy = ctl_must(strdup(*text != '\0' ? text : "-"));

	/* What others called themselves must not steer the terminal. */
	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	if (t->n == t->cap) {
		t->cap = t->cap != 0 ? t->cap * 2 : 64;
		t->cells = ctl_must(reallocarray(t->cells, t->cap, sizeof *t->cells));
	}
	t->cells[t->n++] = copy;
}

void
ctl_cell_int(struct ctl_table *t, json_int_t n)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)n);
	ctl_cell(t, text);
}

void
ctl_cell_list(struct ctl_table *t, const json_t *list)
{
	struct dfb_buf b = { 0 };
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
		if (dfb_buf_addf(&b, "%s%s", i != 0 ? "," : "", json_string_value(v)) == -1)
			ctl_must(NULL);
	if (dfb_buf_add(&b, "", 1) == -1)
		ctl_must(NULL);
	ctl_cell(t, (const char *)b.data);
	dfb_buf_release(&b);
}

static unsigned
columns(const char *heads, struct column **cols)
{
	unsigned n = 0;

	*cols = NULL;
	while (*heads != '\0') {
		struct column *c;
		size_t len;

		*cols = ctl_must(reallocarray(*cols, n + 1, sizeof **cols));
		c = &(*cols)[n++];
		c->right = *heads == '>';
		heads += c->right;
		len = strcspn(heads, " ");
		snprintf(c->head, sizeof c->head, "%.*s", (int)len, heads);
		c->width = width(c->head);
		heads += len;
		heads += strspn(heads, " ");
	}
	return n;
}

static void
print_cell(const struct column *c, const char *text, bool last)
{
	int pad = (int)(c->width - width(text));

	if (c->right)
		printf("%*s%s", pad, "", text);
	else
		printf("%s%*s", text, last ? 0 : pad, "");
	printf(last ? "\n" : "%*s", GAP, "");
}

void
ctl_table_print(struct ctl_table *t)
{
	struct column *cols;
	unsigned n = columns(t->heads, &cols);

	for (size_t i = 0; i < t->n; i++)
		if (width(t->cells[i]) > cols[i % n].width)
			cols[i % n].width = width(t->cells[i]);
	for (unsigned i = 0; i < n; i++)
		print_cell(&cols[i], cols[i].head, i == n - 1);
	for (size_t i = 0; i < t->n; i++) {
		print_cell(&cols[i % n], t->cells[i], i % n == n - 1);
		free(t->cells[i]);
	}
	free(cols);
	free(t->cells);
	t->cells = NULL;
	t->n = t->cap = 0;
}

void
ctl_print_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_REAL_PRECISION(6) |
	    (isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT));
	putchar('\n');
	json_decref(j);
}
