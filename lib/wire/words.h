/* Words: what regions, services, topics, groups and instances may be called
 * (DESIGN.md, section 2). */
#ifndef WIRE_WORDS_H
#define WIRE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#define DFB_TOPIC_MAX 160 /* bytes, with NUL: "%DLQ-" and a group's name fit */
#define DFB_GROUP_MAX 130 /* bytes, with NUL; a broadcast instance's too */

enum dfb_word {
	DFB_WORD_BAD,
	DFB_WORD_TOPIC,   /* A10-pay: a region, a hyphen, a service */
	DFB_WORD_SERVICE, /* pay */
	DFB_WORD_SYSTEM,  /* %DLQ-group: made by brokers only */
	DFB_WORD_DAEMONS, /* %GSL, %SGS: no topics, but who serves them is looked up alike */
};

/* What kind of destination text is. */
enum dfb_word dfb_word_kind(const char *text);

bool dfb_region_valid(const char *text);  /* 3 of A-Z 0-9 */
bool dfb_group_valid(const char *text);   /* 1 to 64 of A-Z a-z 0-9 _ . - */
bool dfb_name_valid(const char *text);    /* of a daemon or instance: the same */

/* One sentence that says what a destination must look like. */
extern const char dfb_word_help[];

#endif
