/* Handlers that stay: a process per job, that speaks JSON lines. */
#include "dfb-recv/coproc.h"

#include <stdlib.h>

#include "base/log.h"
#include "dfb-recv/recv.h"

static int
coproc_open(struct recv *r)
{
	struct proc *procs = calloc(r->opt->jobs, sizeof *procs);

	if (procs == NULL || env_init(r->opt) == -1) {
		log_err("cannot start");
		free(procs);
		return -1;
	}
	r->state = procs;
	for (uint32_t i = 0; i < r->opt->jobs; i++)
		if (proc_open(&procs[i], r) == -1)
			return -1;
	return 0;
}

/* To the one that holds fewest: credit sees to it that it is not more than a window. */
static void
coproc_take(struct recv *r, struct dfb_consumer *consumer, const struct dfb_msg *m,
    const struct dfb_delivery *d)
{
	struct proc *procs = r->state, *best = procs;

	for (uint32_t i = 1; i < r->opt->jobs; i++)
		if (procs[i].entries.n < best->entries.n)
			best = &procs[i];
	if (proc_take(best, consumer, m, d) == -1) {
		log_err("cannot keep a message");
		serve_stop(r, DFB_OSERR, true);
	}
}

static void
coproc_turn(struct recv *r)
{
	struct proc *procs = r->state;

	for (uint32_t i = 0; i < r->opt->jobs; i++)
		proc_flush(&procs[i]);
}

static bool
coproc_busy(const struct recv *r)
{
	const struct proc *procs = r->state;

	for (uint32_t i = 0; i < r->opt->jobs; i++)
		if (r->stopping ? !procs[i].over : procs[i].entries.n != 0)
			return true;
	return false;
}

static void
each(struct recv *r, void (*fn)(struct proc *))
{
	struct proc *procs = r->state;

	for (uint32_t i = 0; procs != NULL && i < r->opt->jobs; i++)
		if (procs[i].recv != NULL)
			fn(&procs[i]);
}

static void
coproc_finish(struct recv *r)
{
	each(r, proc_finish);
}

static void
coproc_drop(struct recv *r)
{
	each(r, proc_drop);
}

static void
coproc_kill(struct recv *r)
{
	each(r, proc_kill);
}

static void
coproc_close(struct recv *r)
{
	each(r, proc_close);
	env_release();
	free(r->state);
	r->state = NULL;
}

const struct sink sink_coproc = {
	.open = coproc_open,
	.take = coproc_take,
	.turn = coproc_turn,
	.busy = coproc_busy,
	.finish = coproc_finish,
	.drop = coproc_drop,
	.kill = coproc_kill,
	.close = coproc_close,
};
