#include "broker.h"

void
broker_init(struct broker *b)
{
	RB_INIT(&b->sessions);
	RB_INIT(&b->topics);
	RB_INIT(&b->producers);
	TAILQ_INIT(&b->graves);
	TAILQ_INIT(&b->blocked);
	TAILQ_INIT(&b->gone);
	TAILQ_INIT(&b->cache);
	TAILQ_INIT(&b->ready);
	STAILQ_INIT(&b->answering);
	STAILQ_INIT(&b->dirty_cursors);
	STAILQ_INIT(&b->dirty_queues);
	STAILQ_INIT(&b->dirty_producers);
	STAILQ_INIT(&b->confirms);
	TAILQ_INIT(&b->crowded);
	TAILQ_INIT(&b->looks);
	STAILQ_INIT(&b->sweeps);
	RB_INIT(&b->asked);
	TAILQ_INIT(&b->asked_over);
	RB_INIT(&b->timers.near);
	RB_INIT(&b->timers.gone);
	STAILQ_INIT(&b->timers.fresh);
	STAILQ_INIT(&b->timers.going);
	STAILQ_INIT(&b->timers.dirty);
	STAILQ_INIT(&b->timers.reads);
}
