/* What a gsl is sent: entries of CATALOG, and LOCATE.  What is accepted makes sense, and is
 * answered with a location that a client takes.  The first byte is the kind, the second the
 * length of the key. */
#include "dfb-gsl/gsl.h"
#include "fuzz.h"
#include "wire/place.h"

static struct gsl gsl;

/* What locate.c calls besides. */
void
gsl_fail(void *g, int status)
{
	(void)g;
	(void)status;
	abort();
}

uint64_t
follow_age(const struct gsl *g)
{
	(void)g;
	return 0;
}

static void
makes_sense(const struct entry *e)
{
	struct dfb_blob rules = { e->rules, e->n };
	struct dfb_m_rule r;

	need(e->gone || e->kind != CATALOG_SERVICE || *e->state != '\0' || e->n == 0 ||
	    e->deployments[0].region[3] == '\0');
	for (uint32_t i = 1; i < e->n && !e->gone; i++) {
		if (e->kind == CATALOG_SERVICE)
			need(strcmp(e->deployments[i - 1].region, e->deployments[i].region) < 0);
		if (e->kind == CATALOG_DISTANCES)
			need(e->distances[i - 1].from < e->distances[i].from ||
			    (e->distances[i - 1].from == e->distances[i].from &&
			    e->distances[i - 1].to < e->distances[i].to));
	}
	while (e->kind == CATALOG_KEYS && rules.len != 0)
		need(dfb_rule_next(&rules, &r) == 1);
}

static void
try(const char *service, const char *region, struct dfb_blob key)
{
	struct dfb_m_located m;
	struct dfb_location *l;
	char reason[256];

	need(locate_answer(&gsl, service, region_number(region), key, reason, &m) == 0);
	need(strlen(reason) < sizeof reason);
	need(dfb_location_read(&m, &l) == 0);
	for (size_t i = 1; i < l->n; i++)
		need(l->places[i].tier >= l->places[i - 1].tier + (key.len != 0));
	dfb_location_unref(l);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A service to be located with keys and distances. */
	static const char pay[] = "{\"state\":\"a\",\"regions\":{\"A10\":{\"state\":"
	    "\"online\"},\"B20\":{\"state\":\"online\"}}}";
	struct dfb_m_entry m = { .kind = 1, .name = dfb_str("pay"),
		.json = { (const uint8_t *)pay, sizeof pay - 1 } };
	struct entry *e;
	char why[256];

	if (size < 2)
		return 0;
	catalog_init(&gsl.catalog);
	need(entry_read(&m, &e, why, sizeof why) == 0);
	catalog_put(&gsl.catalog, e);
	m = (struct dfb_m_entry){ .kind = data[0] % 5, .json = { data + 2, size - 2 },
		.name = dfb_str(data[0] % 5 == 3 || data[1] % 2 != 0 ? "*" : "pay") };
	if (entry_read(&m, &e, why, sizeof why) == 0 && e != NULL) {
		makes_sense(e);
		catalog_put(&gsl.catalog, e);
	}
	try("pay", "A10", (struct dfb_blob){ NULL, 0 });
	try("pay", "", (struct dfb_blob){ data, size < 255 ? size : 255 });
	try("none", "B20", (struct dfb_blob){ data + 1, 1 });
	catalog_release(&gsl.catalog);
	return 0;
}
