/* Pause and resume topics and groups. */
#include <string.h>

#include "dfb-ctl/ctl.h"

static void
all_brokers(struct ctl *c, const char *topic, json_t *args, const char *verb)
{
	struct ctl_brokers b;
	json_t *results;

	if (ctl_brokers_of(c, &b, topic) == 0) {
		results = ctl_ask_all(c, &b, verb, args);
		if (c->json)
			ctl_print_json(results);
		else
			json_decref(results);
		ctl_brokers_release(&b);
	}
	json_decref(args);
}

static void
topic(struct ctl *c, const char *verb)
{
	char name[DFB_TOPIC_MAX];

	ctl_topic(c, c->args[0], name);
	all_brokers(c, name, ctl_must(json_pack("{s:s, s:b}", "topic", name, "sends",
	    c->sends)), verb);
}

static void
group(struct ctl *c, const char *verb)
{
	char name[DFB_TOPIC_MAX];

	ctl_topic(c, c->args[0], name);
	all_brokers(c, name, ctl_must(json_pack("{s:s, s:s}", "topic", name, "group",
	    c->args[1])), verb);
}

void
ctl_topic_pause(struct ctl *c)
{
	topic(c, "topic.pause");
}

void
ctl_topic_resume(struct ctl *c)
{
	topic(c, "topic.resume");
}

void
ctl_group_pause(struct ctl *c)
{
	group(c, "group.pause");
}

void
ctl_group_resume(struct ctl *c)
{
	group(c, "group.resume");
}
