/* What a gsl says of a service: its places and rules, and the order of places for a key.  Two
 * bytes: how long the list of places is; the key is the last byte. */
#include <sys/endian.h>

#include "fuzz.h"
#include "wire/place.h"
#include "wire/proto.h"

static void
order(const struct dfb_location *l, struct dfb_wish w)
{
	static uint32_t at[DFB_PLACES_MAX];

	dfb_location_order(l, &w, at);
	for (size_t i = 1; i < l->n; i++) {
		struct dfb_stand before = dfb_place_stand(&l->places[at[i - 1]], &w);
		struct dfb_stand s = dfb_place_stand(&l->places[at[i]], &w);
		need(!dfb_stand_before(s, before));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dfb_m_located m = { .known = 1 };
	struct dfb_location *l;
	size_t n;

	if (size < 3 || (n = be16dec(data)) > size - 2)
		return 0;
	m.places = (struct dfb_blob){ data + 2, n };
	m.rules = (struct dfb_blob){ data + 2 + n, size - 2 - n };
	if (dfb_location_read(&m, &l) == -1)
		return 0;
	need(dfb_location_same(l, l));
	for (size_t i = 0; i < l->n; i++)
		need(dfb_location_find(l, l->places[i].topic) != -1);
	order(l, dfb_wish_key(l, data + size - 1, 1));
	order(l, dfb_wish_key(l, data, size < 255 ? size : 255));
	order(l, dfb_wish_spread(size));
	dfb_location_unref(l);
	return 0;
}
