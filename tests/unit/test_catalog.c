/* The catalogue of a gsl: memory only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "dfb-gsl/catalog.h"
#include "wire/proto.h"

static struct entry *
entry_of(uint8_t kind, const char *name, const char *json, char why[256])
{
	struct entry *e;
	int rc = entry_read(&(struct dfb_m_entry){ .kind = kind, .name = dfb_str(name),
	    .version = 3, .json = { (const uint8_t *)json, strlen(json) } }, &e, why, 256);

	if (rc == -1) {
		assert_int_equal(errno, EPROTO);
		return NULL;
	}
	return e;
}

static void
bad(uint8_t kind, const char *name, const char *json, const char *want)
{
	char why[256];

	assert_null(entry_of(kind, name, json, why));
	if (strstr(why, want) == NULL)
		fail_msg("%s: '%s' is not in '%s'", json, want, why);
}

static void
put(struct catalog *c, uint8_t kind, const char *name, const char *json)
{
	char why[256];
	struct entry *e = entry_of(kind, name, json, why);

	assert_non_null(e);
	catalog_put(c, e);
}

static void
test_malformed(void **state)
{
	(void)state;
	bad(1, "pay", "{", "no JSON object");
	bad(1, "pay", "[]", "no JSON object");
	bad(1, "pay", "{\"state\":\"approved\",\"state\":\"x\"}", "no JSON object");
	bad(1, "pay", "{}", "no state");
	bad(1, "pay", "{\"state\":1}", "no state");
	bad(1, "A10-pay", "{\"state\":\"approved\"}", "no service");
	bad(1, "", "{\"state\":\"approved\"}", "no service");
	bad(1, "pay", "{\"state\":\"approved\",\"regions\":[]}", "no object");
	bad(1, "pay", "{\"state\":\"a\",\"regions\":{\"a10\":{\"state\":\"online\"}}}",
	    "'a10' is no region");
	bad(1, "pay", "{\"state\":\"a\",\"regions\":{\"A10\":{}}}", "no state in A10");
	bad(1, "pay", "{\"state\":\"a\",\"regions\":{\"A10\":1}}", "no state in A10");
	bad(1, "pay", "{\"state\":\"a\",\"regions\":{\"A10\":{\"state\":\"online\","
	    "\"weight\":-1}}}", "weight");
	bad(2, "A10-pay", "{\"rules\":[]}", "no service");
	bad(2, "*", "{}", "no list");
	bad(2, "*", "{\"rules\":[{}]}", "no region");
	bad(2, "*", "{\"rules\":[1]}", "no region");
	bad(2, "*", "{\"rules\":[{\"region\":\"A10\"}]}", "from and to");
	bad(2, "*", "{\"rules\":[{\"region\":\"A10\",\"key\":7}]}", "is text");
	bad(2, "*", "{\"rules\":[{\"region\":\"A10\",\"from\":7,\"to\":6}]}", "from and to");
	bad(2, "*", "{\"rules\":[{\"region\":\"A10\",\"from\":7,\"to\":10000}]}", "from and to");
	bad(3, "*", "{\"distances\":1}", "no distances");
	bad(3, "*", "{\"distances\":{\"A10\":1}}", "no object");
	bad(3, "*", "{\"distances\":{\"A10\":{\"B20\":-1}}}", "B20");
	bad(3, "*", "{\"distances\":{\"A10\":{\"b\":1}}}", "'b' is no region");
}

static void
test_entries(void **state)
{
	struct catalog c;
	struct entry *e;
	char why[256];

	(void)state;
	catalog_init(&c);
	assert_null(entry_of(9, "x", "{", why)); /* of a later version: no error */
	put(&c, 1, "pay", "{\"state\":\"approved\",\"regions\":{\"C30\":{\"state\":\"online\"},"
	    "\"A10\":{\"state\":\"draining\",\"weight\":0}}}");
	put(&c, 1, "one", "{\"state\":\"retired\"}");
	put(&c, 2, "*", "{\"rules\":[]}");
	put(&c, 2, "pay", "{\"rules\":[{\"region\":\"A10\",\"key\":\"k\"}]}");
	assert_int_equal(c.nservices, 2);
	e = catalog_find(&c, CATALOG_SERVICE, "pay");
	assert_non_null(e);
	assert_int_equal(e->n, 2);
	assert_string_equal(e->deployments[0].region, "A10");
	assert_int_equal(e->deployments[0].state, CATALOG_DRAINING);
	assert_int_equal(e->deployments[0].weight, 0);
	assert_int_equal(e->deployments[1].weight, 100);
	assert_string_equal(catalog_keys(&c, "pay")->name, "pay");
	assert_string_equal(catalog_keys(&c, "one")->name, "*");
	/* In order of kinds and names. */
	e = catalog_from(&c, CATALOG_SERVICE, "");
	assert_string_equal(e->name, "one");
	assert_true(e->retired);
	e = catalog_next(catalog_next(e));
	assert_int_equal(e->kind, CATALOG_KEYS);
	put(&c, 1, "pay", "{\"state\":\"approved\"}");
	assert_int_equal(catalog_find(&c, CATALOG_SERVICE, "pay")->n, 0);
	put(&c, 1, "pay", "");
	put(&c, 1, "never", "");
	assert_null(catalog_find(&c, CATALOG_SERVICE, "pay"));
	assert_int_equal(c.nservices, 1);
	put(&c, 2, "pay", "");
	assert_string_equal(catalog_keys(&c, "pay")->name, "*");
	catalog_release(&c);
}

static uint32_t
distance(const struct catalog *c, const char *from, const char *to)
{
	struct distances d = catalog_distances(c, region_number(from));

	return distance_to(&d, region_number(to));
}

static void
test_distances(void **state)
{
	struct catalog c;
	char text[4];

	(void)state;
	catalog_init(&c);
	assert_int_equal(distance(&c, "A10", "A10"), 0);
	assert_int_equal(distance(&c, "A10", "B20"), CATALOG_FAR);
	put(&c, 3, "*", "{\"distances\":{\"B20\":{\"Z99\":5,\"A10\":3,\"000\":1},"
	    "\"A10\":{\"ZZZ\":2},\"B21\":{\"A10\":9}}}");
	assert_int_equal(distance(&c, "B20", "000"), 1);
	assert_int_equal(distance(&c, "B20", "A10"), 3);
	assert_int_equal(distance(&c, "B20", "Z99"), 5);
	assert_int_equal(distance(&c, "B20", "ZZZ"), CATALOG_FAR);
	assert_int_equal(distance(&c, "B20", "B20"), 0);
	assert_int_equal(distance(&c, "A10", "ZZZ"), 2);
	assert_int_equal(distance(&c, "A10", "B20"), CATALOG_FAR);
	assert_int_equal(distance(&c, "B21", "A10"), 9);
	assert_int_equal(distance(&c, "", "A10"), CATALOG_FAR);
	region_text(region_number("A1Z"), text);
	assert_string_equal(text, "A1Z");
	catalog_release(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_distances),
	};

	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
