#include <string.h>

#include "base/log.h"
#include "common/format.h"
#include "common/framing.h"
#include "dfb-recv/recv.h"

int
print_message(const struct options *opt, struct dfb_buf *buf, const struct dfb_msg *m)
{
	if (opt->format != NULL)
		return dfb_format_write(opt->format, buf, m);
	return dfb_framing_write(buf, (enum dfb_framing)opt->framing, m);
}

static int
print_open(struct recv *r)
{
	(void)r;
	return 0;
}

static void
print_take(struct recv *r, struct dfb_consumer *c, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct dfb_buf *buf = out_buf(&r->out);
	size_t before = buf->len;

	if (print_message(r->opt, buf, m) == -1) {
		/* Half a message must not be seen. */
		buf->len = before;
		log_err("cannot print a message");
		serve_stop(r, DFB_OSERR, true);
		return;
	}
	out_mark(r, c, d);
}

static bool
print_busy(const struct recv *r)
{
	return out_waiting(r) != 0;
}

static void
print_nothing(struct recv *r)
{
	(void)r;
}

/* A reader that has stopped reading is not waited for any more. */
static void
print_kill(struct recv *r)
{
	r->out.failed = true;
}

const struct sink sink_print = {
	.open = print_open,
	.take = print_take,
	.turn = print_nothing,
	.busy = print_busy,
	.finish = print_nothing,
	.drop = print_nothing,
	.kill = print_kill,
	.close = print_nothing,
};
