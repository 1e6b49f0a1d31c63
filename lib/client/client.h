/* Inside libdfb: what its parts, and the programs of this tree, share beyond dfb.h. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

struct dfb;
struct dfb_loop;
struct dfb_net;

/* The client's loop, for descriptors, timers and signals of the program's own (the
 * loop stays the client's), and its ZeroMQ context. */
struct dfb_loop *dfb_client_loop(struct dfb *);
struct dfb_net *dfb_client_net(struct dfb *);

#endif
