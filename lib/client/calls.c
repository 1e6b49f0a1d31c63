#include "client/calls.h"

#include <errno.h>
#include <stdlib.h>

#include "wire/proto.h"

/* A number is a slot and how often the slot was used: a late answer to a call that
 * is over does not find another. */
struct slot {
	struct dfb_call *call; /* NULL: free */
	uint32_t used, next;   /* next free slot + 1 */
};

struct dfb_calls {
	struct slot *slots;
	uint32_t n, cap;
	uint32_t free;         /* slot + 1; 0: none */
};

struct dfb_calls *
dfb_calls_new(void)
{
	return calloc(1, sizeof(struct dfb_calls));
}

void
dfb_calls_free(struct dfb_calls *t)
{
	if (t == NULL)
		return;
	free(t->slots);
	free(t);
}

int
dfb_calls_add(struct dfb_calls *t, struct dfb_call *c)
{
	uint32_t i;

	if (t->free == 0 && t->n == t->cap) {
		uint32_t cap = t->cap != 0 ? t->cap * 2 : 64;
		struct slot *p = reallocarray(t->slots, cap, sizeof *p);
		if (p == NULL || cap < t->cap) {
			errno = ENOMEM;
			return -1;
		}
		t->slots = p;
		t->cap = cap;
	}
	if (t->free != 0) {
		i = t->free - 1;
		t->free = t->slots[i].next;
	} else {
		i = t->n++;
		t->slots[i] = (struct slot){ 0 };
	}
	t->slots[i].call = c;
	c->number = (uint64_t)++t->slots[i].used << 32 | i;
	return 0;
}

void
dfb_calls_del(struct dfb_calls *t, struct dfb_call *c)
{
	uint32_t i = (uint32_t)c->number;

	t->slots[i].call = NULL;
	t->slots[i].next = t->free;
	t->free = i + 1;
}

static struct dfb_call *
find(const struct dfb_calls *t, uint64_t number, const struct dfb_link *l)
{
	uint32_t i = (uint32_t)number;
	struct dfb_call *c = i < t->n ? t->slots[i].call : NULL;

	return c != NULL && c->number == number && c->link == l ? c : NULL;
}

bool
dfb_calls_answer(struct dfb_calls *t, const struct dfb_link *l, const struct dfb_proto *m)
{
	struct dfb_blob list = m->answer.answers;
	struct dfb_m_outcome o;
	struct dfb_call *c;
	int rc;

	while ((rc = dfb_outcome_next(&list, &o)) == 1)
		if ((c = find(t, o.call, l)) != NULL)
			dfb_caller_outcome(c, &o);
	return rc == 0;
}

void
dfb_calls_error(struct dfb_calls *t, const struct dfb_link *l, const struct dfb_proto *m)
{
	char reason[256];

	dfb_str_copy(m->error.reason, reason, sizeof reason);
	for (uint32_t i = 0; i < t->n; i++) {
		struct dfb_call *c = t->slots[i].call;
		if (c != NULL && c->link == l && c->frame == m->req)
			dfb_caller_finish(c, m->status, reason, NULL);
	}
}
