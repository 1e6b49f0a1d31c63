/* Command lines: whatever is taken can be written in one form, which is taken the same. */
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>

#include "base/buf.h"
#include "base/opt.h"
#include "fuzz.h"

#define LONGEST 512
#define ARGS (2 * LONGEST) /* each byte of an input may become a word */

static const struct dfb_opt table[] = {
	{ 'n', "number", "N", "" }, { 's', "size", "SIZE", "" }, { 't', "time", "TIME", "" },
	{ 'a', "at", NULL, "" }, { 'A', "atomic", NULL, "" }, { 256, "long", NULL, "" },
	{ 257, "long-arg", "X", "" }, { 0, NULL, NULL, NULL },
};

static jmp_buf refused;
static bool parsing;

_Noreturn void __real_exit(int);
_Noreturn void __wrap_exit(int);
void __wrap_log_errx(const char *fmt, ...);

/* A wrong command line ends the program: here, only the attempt. */
_Noreturn void
__wrap_exit(int status)
{
	if (parsing)
		longjmp(refused, status == 0 ? 1 : status);
	__real_exit(status);
}

/* What would be said of it. */
void
__wrap_log_errx(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	need(vsnprintf(text, sizeof text, fmt, ap) > 0);
	va_end(ap);
}

static void
add_number(struct dfb_buf *out, const char *name, uint64_t n, const char *unit)
{
	need(dfb_buf_addf(out, "%s=%llu%s", name, (unsigned long long)n, unit) == 0);
}

/* Parse, and append what was found to out as words that end with NUL: --NAME=VALUE ... --
 * OPERAND ...  false when it was refused. */
static bool
parse(int argc, char **argv, bool stop, struct dfb_buf *out)
{
	static struct dfb_opts o;
	int c;

	o = (struct dfb_opts){ .prog = "x", .synopsis = "y", .purpose = "z", .table = table,
		.stop_at_first = stop };
	parsing = true;
	if (setjmp(refused) != 0) {
		parsing = false;
		if (o.state != NULL)
			free(*(void **)o.state); /* what exit need not free */
		free(o.state);
		return false;
	}
	while ((c = dfb_opts_next(&o, argc, argv)) != -1) {
		need(strncmp(o.name, "--", 2) == 0);
		if (c == 'n')
			add_number(out, o.name, dfb_opt_count(&o, 1, 5000), "");
		else if (c == 's')
			add_number(out, o.name, dfb_opt_size(&o, 0, 5000), "");
		else if (c == 't')
			add_number(out, o.name, dfb_opt_duration(&o), "ms");
		else if (c == 257)
			dfb_buf_addf(out, "--long-arg=%s", o.arg);
		else
			dfb_buf_addf(out, "%s", o.name);
		dfb_buf_add(out, "", 1);
	}
	parsing = false;
	need(o.state == NULL && optind <= argc);
	if (o.verbose != 0)
		dfb_buf_addf(out, "%s%c", o.verbose < 0 ? "-q" : "-v", '\0');
	dfb_buf_add(out, "--", 3);
	for (; optind < argc; optind++)
		dfb_buf_add(out, argv[optind], strlen(argv[optind]) + 1);
	return true;
}

static int
split(char *text, size_t len, char **argv)
{
	int argc = 1;

	argv[0] = (char *)(uintptr_t)"x";
	for (char *p = text; p < text + len && argc < ARGS; p += strlen(p) + 1)
		argv[argc++] = p;
	argv[argc] = NULL;
	return argc;
}

static void
both_ways(char *text, size_t size, bool stop)
{
	static char *argv[ARGS + 1];
	struct dfb_buf first = { 0 }, second = { 0 };

	if (parse(split(text, size, argv), argv, stop, &first)) {
		char *copy = text_of(first.data, first.len);
		need(parse(split(copy, first.len, argv), argv, stop, &second));
		need(same(first.data, first.len, second.data, second.len));
		free(copy);
	}
	dfb_buf_release(&first);
	dfb_buf_release(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *nowhere;
	char *text;
	FILE *out = stdout, *err = stderr;

	if (size > LONGEST)
		return 0;
	text = text_of(data, size);
	if (nowhere == NULL)
		need((nowhere = fopen("/dev/null", "w")) != NULL);
	stdout = stderr = nowhere; /* glibc lets them be set */
	for (size_t i = 0; i < size; i++) /* a word ends at a newline */
		if (text[i] == '\n')
			text[i] = '\0';
	both_ways(text, size, size % 2 != 0);
	stdout = out;
	stderr = err;
	free(text);
	return 0;
}
