/* What the files of cmd/daemon share. */
#ifndef DAEMON_INTERNAL_H
#define DAEMON_INTERNAL_H

/* Whether a socket can be made at path: DFB_OK, or the exit status, logged. */
int daemon_socket_check(const char *path);

/* Be ready for connections when descriptors run out: before the first can come.  -1 with
 * errno.  _release: after the last. */
int daemon_accept_init(void);
void daemon_accept_release(void);

#endif
