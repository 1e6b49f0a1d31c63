/* What the broker knows of ids that it has not in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/endian.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/id.h"
#include "dfb-broker/filter.h"
#include "dfb.h"

/* Ids whose bits vary in one place only, or all over. */
static struct dfb_id
nth(unsigned kind, uint64_t n)
{
	struct dfb_id id = { { 0 } };

	switch (kind) {
	case 0: be64enc(id.b, n); break;
	case 1: be64enc(id.b + 8, n); break;
	case 2: le64enc(id.b, n); break;
	case 3: le64enc(id.b + 8, n); break;
	default: {
		char name[32];

		snprintf(name, sizeof name, "order-%llu", (unsigned long long)n);
		assert_int_equal(dfb_id_of(name, &id), 0);
	}
	}
	return id;
}

static void
filters(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 5; kind++) {
		struct filter *f = NULL;
		size_t bytes = 0;
		unsigned wrong = 0;

		for (uint64_t i = 0; i < 200000; i++) {
			struct dfb_id id = nth(kind, i);
			long grown;

			/* Certainly new, nearly always. */
			wrong += filter_may_have(f, &id);
			assert_true((grown = filter_add(&f, &id)) >= 0);
			bytes += (size_t)grown;
		}
		assert_in_range(wrong, 0, 1500);
		for (uint64_t i = 0; i < 200000; i++) {
			struct dfb_id id = nth(kind, i);

			assert_true(filter_may_have(f, &id));
		}
		assert_in_range(bytes, 200000, 2000000);
		assert_int_equal(filter_free(f), bytes);
	}
	assert_int_equal(filter_free(NULL), 0);
}

/* Slots of a table: whatever bits vary, none gets much more than its share. */
static void
hashes(void **state)
{
	static unsigned slots[1024];

	(void)state;
	for (unsigned kind = 0; kind < 5; kind++) {
		memset(slots, 0, sizeof slots);
		for (uint64_t i = 0; i < 16384; i++) {
			struct dfb_id id = nth(kind, i);

			slots[dfb_hash_id(id.b) & 1023]++;
		}
		for (unsigned i = 0; i < 1024; i++)
			assert_in_range(slots[i], 1, 48);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters), cmocka_unit_test(hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
