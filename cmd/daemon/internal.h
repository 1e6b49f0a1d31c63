/* What the files of cmd/daemon share. */
#ifndef DAEMON_INTERNAL_H
#define DAEMON_INTERNAL_H

/* Whether a socket can be made at path: DFB_OK, or the exit status, logged. */
int daemon_socket_check(const char *path);

#endif
