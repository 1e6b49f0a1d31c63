/*
 * Runs a fuzzer without libFuzzer: each file of the corpus, then mutations of them that are the
 * same for the same seed.  fuzz_X [--runs N] [--seed S] FILE-OR-DIRECTORY...; prints TAP.  An
 * input ends where memory ends, so that a byte read behind it is a crash, sanitizers or
 * not; one that fails is printed in hex, for a file in the corpus.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN_MAX 512 /* of an input from the corpus */
#define GROWN_MAX 256 /* of a mutation, unless it began longer */
#define SEEDS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_set_death_callback(void (*)(void)) __attribute__((weak));

struct input {
	size_t len;
	uint8_t bytes[LEN_MAX];
};

static struct input seeds[SEEDS_MAX];
static size_t nseeds;
static uint64_t state;
static const char *name;
static uint8_t *room;           /* LEN_MAX bytes in front of forbidden memory */
static const uint8_t *running;  /* the input under way, and its number */
static size_t running_len;
static unsigned long number;

static uint64_t
next_random(uint64_t below)
{
	/* splitmix64 (Steele, Lea, Flood 2014) */
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

/* ---- failures ---- */

static void
report(void)
{
	if (running == NULL)
		return;
	printf("not ok 1 - %s\n# input %lu, %zu bytes, in hex: ", name, number, running_len);
	for (size_t i = 0; i < running_len; i++)
		printf("%02x", running[i]);
	printf("\n");
	fflush(stdout);
	running = NULL;
}

static void
on_signal(int sig)
{
	report();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void
watch_failures(void)
{
	static const int fatal[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };

	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(report);
	for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
		if (__sanitizer_set_death_callback == NULL || fatal[i] == SIGABRT ||
		    fatal[i] == SIGALRM)
			signal(fatal[i], on_signal);
}

static _Noreturn void
fail(const char *what)
{
	printf("Bail out! %s: %s: %s\n", name, what, strerror(errno));
	exit(2);
}

static void
run(const struct input *in)
{
	running = room + LEN_MAX - in->len;
	running_len = in->len;
	memcpy(room + LEN_MAX - in->len, in->bytes, in->len);
	alarm(20); /* one input that takes so long never ends */
	LLVMFuzzerTestOneInput(running, in->len);
	number++;
}

/* ---- corpus ---- */

static void
load_file(const char *path)
{
	struct input *in = &seeds[nseeds];
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		fail(path);
	in->len = fread(in->bytes, 1, LEN_MAX, f);
	if (ferror(f) || fgetc(f) != EOF || nseeds == SEEDS_MAX - 1) {
		errno = EFBIG;
		fail(path);
	}
	fclose(f);
	nseeds++;
}

static int
visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void
load(const char *path)
{
	struct dirent **list;
	struct stat st;
	char file[4096];
	int n;

	if (stat(path, &st) == -1)
		fail(path);
	if (!S_ISDIR(st.st_mode)) {
		load_file(path);
		return;
	}
	if ((n = scandir(path, &list, visible, alphasort)) == -1)
		fail(path);
	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof file, "%s/%s", path, list[i]->d_name);
		load_file(file);
		free(list[i]);
	}
	free(list);
}

/* ---- mutations ---- */

/* Put n bytes at a place, moving the rest; what does not fit is left out. */
static void
insert(struct input *in, size_t at, const uint8_t *p, size_t n)
{
	size_t max = in->len > GROWN_MAX ? in->len : GROWN_MAX;

	if (n > max - in->len)
		n = max - in->len;
	memmove(in->bytes + at + n, in->bytes + at, in->len - at);
	memcpy(in->bytes + at, p, n);
	in->len += n;
}

static void
delete(struct input *in, size_t at, size_t n)
{
	if (n > in->len - at)
		n = in->len - at;
	memmove(in->bytes + at, in->bytes + at + n, in->len - at - n);
	in->len -= n;
}

/* A number as a format may have it: big-endian, at a bound. */
static void
overwrite_number(struct input *in, size_t at)
{
	static const uint64_t bounds[] = { 0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff,
		0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX };
	uint64_t n = next_random(2) == 0 ? next_random(300) :
	    bounds[next_random(sizeof bounds / sizeof *bounds)];
	size_t bytes = (size_t)1 << next_random(4);

	for (size_t i = 0; i < bytes && at + i < in->len; i++)
		in->bytes[at + i] = (uint8_t)(n >> 8 * (bytes - 1 - i));
}

static void
mutate(struct input *in)
{
	static const char text[] = "0123456789abcxyzADTZ%\\\"{}[]:,-+.=/@ \n\r\t\xc3\xa4";
	const struct input *other = &seeds[next_random(nseeds)];
	size_t at = next_random(in->len + 1), from = next_random(other->len + 1);
	uint8_t bytes[8];

	if (in->len == 0 || next_random(4) == 0) {
		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = (uint8_t)(next_random(2) == 0 ? next_random(256) :
			    (uint8_t)text[next_random(sizeof text)]);
		insert(in, at, bytes, 1 + next_random(sizeof bytes));
		return;
	}
	if (at == in->len)
		at--;
	switch (next_random(6)) {
	case 0:
		in->bytes[at] ^= (uint8_t)(1 << next_random(8));
		break;
	case 1:
		in->bytes[at] = (uint8_t)text[next_random(sizeof text)];
		break;
	case 2:
		delete(in, at, 1 + next_random(8));
		break;
	case 3:
		overwrite_number(in, at);
		break;
	case 4:
		insert(in, at, other->bytes + from, next_random(other->len - from + 1));
		break;
	default:
		in->len = at;
		insert(in, at, other->bytes + from, other->len - from);
	}
}

int
main(int argc, char **argv)
{
	unsigned long runs = 20000, seed = 1;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (LEN_MAX + page - 1) / page * page;
	uint8_t *p = mmap(NULL, size + page, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i = 1;

	name = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
	for (; i + 1 < argc && argv[i][0] == '-'; i += 2)
		if (strcmp(argv[i], "--runs") == 0)
			runs = strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoul(argv[i + 1], NULL, 10);
	for (; i < argc; i++)
		load(argv[i]);
	if (p == MAP_FAILED || mprotect(p + size, page, PROT_NONE) == -1)
		fail("no memory");
	room = p + size - LEN_MAX;
	watch_failures();
	printf("1..1\n# %s: %zu files, then %lu runs, seed %lu\n", name, nseeds, runs, seed);
	fflush(stdout);
	state = seed;
	for (size_t s = 0; s < nseeds; s++)
		run(&seeds[s]);
	if (nseeds == 0)
		nseeds = 1; /* the empty one */
	for (unsigned long n = 0; n < runs; n++) {
		struct input in = seeds[next_random(nseeds)];
		for (uint64_t m = 1 + next_random(6); m > 0; m--)
			mutate(&in);
		run(&in);
	}
	running = NULL;
	alarm(0);
	printf("ok 1 - %s\n", name);
	return 0;
}
