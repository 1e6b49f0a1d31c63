/* Questions to sgs as commands of dfb-ctl. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "dfb-ctl/catalog.h"
#include "dfb-ctl/ctl.h"
#include "dfb-ctl/settings.h"

static void
add(struct dfb_buf *b, const char *text, size_t len)
{
	ctl_must(dfb_buf_add(b, text, len) == 0 ? b : NULL);
}

void
ctl_write_word(struct dfb_buf *b, const char *word)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "_-.,:/=+@%";

	add(b, " ", 1);
	if (*word != '\0' && word[strspn(word, safe)] == '\0') {
		add(b, word, strlen(word));
		return;
	}
	add(b, "'", 1);
	for (const char *p = word; *p != '\0'; p++)
		add(b, *p == '\'' ? "'\\''" : p, *p == '\'' ? 4 : 1);
	add(b, "'", 1);
}

static void
option(struct dfb_buf *b, const char *name, const char *value)
{
	add(b, name, strlen(name));
	ctl_write_word(b, value);
}

static void
number(struct dfb_buf *b, const char *name, const json_t *v)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
	option(b, name, text);
}

static void
apply(struct dfb_buf *b, const json_t *args)
{
	json_t *settings = json_object_get(args, "settings");

	if (settings != NULL && json_object_size(settings) == 0)
		add(b, " --default", 10);
	else if (settings != NULL)
		ctl_settings_write(b, settings);
	if (json_object_get(args, "description") != NULL)
		option(b, " --description", ctl_str(args, "description"));
}

static void
gray(struct dfb_buf *b, const json_t *args)
{
	struct dfb_buf text = { 0 };
	char percent[32];
	size_t i;
	json_t *k;

	if (*ctl_str(args, "header") != '\0') {
		ctl_must(dfb_buf_addf(&text, "%s=%s", ctl_str(args, "header"),
		    ctl_str(args, "value")) == 0 ? b : NULL);
		add(&text, "", 1);
		option(b, " --header", (const char *)text.data);
		text.len = 0;
	}
	json_array_foreach(json_object_get(args, "keys"), i, k) {
		if (i != 0)
			add(&text, ",", 1);
		add(&text, json_string_value(k), json_string_length(k));
	}
	if (text.len != 0) {
		add(&text, "", 1);
		option(b, " --keys", (const char *)text.data);
	}
	if (json_object_get(args, "percent") != NULL) {
		snprintf(percent, sizeof percent, "%g",
		    json_number_value(json_object_get(args, "percent")));
		option(b, " --percent", percent);
	}
	if (*ctl_str(args, "else") != '\0')
		option(b, " --else", ctl_str(args, "else"));
	dfb_buf_release(&text);
}

static void
rule(struct dfb_buf *b, const json_t *r)
{
	char text[64];

	if (json_object_get(r, "key") != NULL)
		option(b, " --key", ctl_str(r, "key"));
	else if (json_object_get(r, "prefix") != NULL)
		option(b, " --prefix", ctl_str(r, "prefix"));
	else if (json_object_get(r, "from") != NULL) {
		snprintf(text, sizeof text, "%lld-%lld", (long long)ctl_int(r, "from"),
		    (long long)ctl_int(r, "to"));
		option(b, " --hash", text);
	}
}

json_t *
ctl_catalog_commands(const char *verb, const json_t *args)
{
	static const char *const operands[] = { "service", "region", "label", "from", "to" };
	struct dfb_buf b = { 0 };
	const char *dot = strchr(verb, '.');
	json_t *list = ctl_must(json_array()), *r;
	size_t i;

	ctl_must(dfb_buf_addf(&b, "dfb-ctl %.*s %s", (int)(dot - verb), verb, dot + 1) == 0 ?
	    &b : NULL);
	if (strcmp(verb, "service.apply") == 0)
		apply(&b, args);
	else if (strcmp(verb, "gray.set") == 0)
		gray(&b, args);
	else if (strcmp(verb, "service.deploy") == 0 && json_object_get(args, "weight") != NULL)
		number(&b, " --weight", json_object_get(args, "weight"));
	if (json_is_true(json_object_get(args, "one_way")))
		add(&b, " --one-way", 10);
	json_array_foreach(json_object_get(args, "rules"), i, r)
		rule(&b, r);
	for (i = 0; i < sizeof operands / sizeof operands[0]; i++)
		if (json_object_get(args, operands[i]) != NULL)
			ctl_write_word(&b, ctl_str(args, operands[i]));
	if (strcmp(verb, "service.weight") == 0)
		number(&b, "", json_object_get(args, "weight"));
	else if (strcmp(verb, "distance.set") == 0)
		number(&b, "", json_object_get(args, "distance"));
	json_array_append_new(list, json_stringn((const char *)b.data, b.len));
	dfb_buf_release(&b);
	return list;
}
