/* What the files of this layer share. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include <stdbool.h>

struct dfb_net {
	void *ctx;         /* ZeroMQ's; NULL until a socket needs it */
	unsigned monitors; /* numbers their inproc names */
	bool direct;
};

/* Make the context, if there is none.  0, or -1 with errno. */
int dfb_net_start(struct dfb_net *);

/* Are there n free descriptors (at most 16)?  If not, errno says why. */
bool dfb_net_fds(int n);

#endif
