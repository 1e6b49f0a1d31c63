#include "dfb-names/rows.h"

#include <stdbool.h>
#include <string.h>

#include "dfb-names/registry.h"
#include "wire/cursor.h"

#define FORMAT 1

void
rows_version_write(uint8_t row[ROWS_VERSION], uint64_t version)
{
	dfb_write_u64(dfb_write_u8(row, FORMAT), version);
}

int
rows_version_read(const void *row, size_t len, uint64_t *version)
{
	struct dfb_reader r = { row, (const uint8_t *)row + len, true };
	uint8_t format = dfb_read_u8(&r);

	*version = dfb_read_u64(&r);
	return r.ok && r.p == r.end && format == FORMAT ? 0 : -1;
}

/* A short text: u8 length, bytes. */
static uint8_t *
write_text(uint8_t *p, const char *text)
{
	size_t n = strlen(text);

	return dfb_write_bytes(dfb_write_u8(p, (uint8_t)n), text, n);
}

static void
read_text(struct dfb_reader *r, char *text, size_t size)
{
	size_t n = dfb_read_u8(r);
	const uint8_t *p = dfb_read_bytes(r, n);

	text[0] = '\0';
	if (p == NULL || n >= size || memchr(p, 0, n) != NULL) {
		r->ok = false;
		return;
	}
	memcpy(text, p, n);
	text[n] = '\0';
}

size_t
rows_entry_write(uint8_t row[ROWS_ENTRY_MAX], const struct names_facts *f)
{
	uint8_t *p = dfb_write_u8(row, FORMAT);

	p = write_text(p, f->kind);
	p = write_text(p, f->region);
	p = write_text(p, f->endpoint);
	p = dfb_write_u64(p, f->incarnation);
	p = dfb_write_u32(p, f->lease_ms);
	p = dfb_write_u8(p, f->state);
	return (size_t)(p - row);
}

int
rows_entry_read(const void *key, size_t klen, const void *row, size_t len, char *name,
    struct names_facts *f)
{
	struct dfb_reader r = { row, (const uint8_t *)row + len, true };
	uint8_t format = dfb_read_u8(&r);

	if (klen >= NAMES_WORD)
		return -1;
	memcpy(name, key, klen);
	name[klen] = '\0';
	read_text(&r, f->kind, sizeof f->kind);
	read_text(&r, f->region, sizeof f->region);
	read_text(&r, f->endpoint, sizeof f->endpoint);
	f->incarnation = dfb_read_u64(&r);
	f->lease_ms = dfb_read_u32(&r);
	f->state = dfb_read_u8(&r);
	return r.ok && r.p == r.end && format == FORMAT && dfb_name_valid(name) ? 0 : -1;
}

size_t
rows_offer_write(char key[ROWS_OFFER_MAX], const char *name, const char *topic)
{
	size_t n = strlen(name) + 1, m = strlen(topic);

	memcpy(key, name, n);
	memcpy(key + n, topic, m);
	return n + m;
}

int
rows_offer_read(const void *key, size_t klen, char *name, char *topic)
{
	const char *nul = memchr(key, 0, klen);
	size_t n, m;

	if (nul == NULL)
		return -1;
	n = (size_t)(nul - (const char *)key);
	m = klen - n - 1;
	if (n >= NAMES_WORD || m >= DFB_TOPIC_MAX || memchr(nul + 1, 0, m) != NULL)
		return -1;
	memcpy(name, key, n + 1);
	memcpy(topic, nul + 1, m);
	topic[m] = '\0';
	return dfb_word_kind(topic) != DFB_WORD_BAD ? 0 : -1;
}
