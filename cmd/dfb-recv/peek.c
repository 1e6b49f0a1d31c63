#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "client/admin.h"
#include "common/tool.h"
#include "dfb-recv/recv.h"

#define ASK_MAX 100000
#define ASK_MS 30000
#define ROUTES_MS 5000

struct peeking {
	const struct options *opt;
	struct dfb *client;
	struct dfb_buf buf;
	uint64_t left;       /* messages still wanted */
	uint64_t printed;
	bool failed;         /* memory is short */
};

static void
on_message(void *arg, const struct dfb_msg *m)
{
	struct peeking *p = arg;

	if (p->left == 0 || p->failed)
		return;
	if (print_message(p->opt, &p->buf, m) == -1) {
		log_err("cannot print a message");
		p->failed = true;
		return;
	}
	p->left--;
	p->printed++;
}

/* From the start to what was the end at the first look. */
static enum dfb_status
peek_queue(struct peeking *p, const struct dfb_admin_route *r, uint32_t queue,
    uint32_t *queues)
{
	struct dfb_admin_peek ask = { .endpoint = r->endpoint, .topic = r->topic,
		.queue = queue, .start = p->opt->start,
		.start_value = p->opt->start_value };
	uint64_t end = UINT64_MAX;
	enum dfb_status st;

	do {
		ask.max_count = p->left < ASK_MAX ? (uint32_t)p->left : ASK_MAX;
		if ((st = dfb_admin_peek(p->client, &ask, ASK_MS, on_message, p)) != DFB_OK) {
			log_errx("cannot look into '%s' of broker '%s': %s", r->topic,
			    r->broker, dfb_error(p->client));
			return st;
		}
		if (p->failed)
			return DFB_OSERR;
		if (dfb_tool_write(STDOUT_FILENO, &p->buf) == -1) {
			log_err("cannot write to stdout");
			return DFB_IOERR;
		}
		*queues = ask.queues;
		if (end == UINT64_MAX)
			end = ask.end;
		ask.start = DFB_OFFSET;
		ask.start_value = ask.offset + ask.count;
	} while (ask.count != 0 && ask.start_value < end && p->left != 0);
	return DFB_OK;
}

static enum dfb_status
peek_dest(struct peeking *p, const char *dest)
{
	struct dfb_admin_route *routes = NULL;
	uint64_t wait = p->opt->wait_ms != 0 ? p->opt->wait_ms : ROUTES_MS;
	enum dfb_status st;
	uint32_t queues;
	size_t n = 0;

	st = dfb_admin_routes(p->client, dest, 1, (int)(wait < 86400000 ? wait : 86400000),
	    &routes, &n);
	if (st != DFB_OK) {
		log_errx("cannot look into '%s': %s", dest, dfb_error(p->client));
		st = st == DFB_TIMEOUT ? DFB_NOBODY : st;
	}
	for (size_t i = 0; st == DFB_OK && i < n; i++) {
		queues = 1;
		for (uint32_t q = 0; st == DFB_OK && q < queues && p->left != 0; q++)
			st = peek_queue(p, &routes[i], q, &queues);
	}
	free(routes);
	return st;
}

enum dfb_status
peek(const struct options *opt, struct dfb *client)
{
	struct peeking p = { .opt = opt, .client = client, .left = opt->count };
	enum dfb_status st = DFB_OK;

	for (size_t i = 0; st == DFB_OK && i < opt->ndests && p.left != 0; i++)
		st = peek_dest(&p, opt->dests[i]);
	dfb_buf_release(&p.buf);
	return st == DFB_OK && p.printed == 0 ? DFB_NO : st;
}
