#!/bin/sh
# absent.sh [libzmq.a]: C for what the archive refers to of libpgm, libnorm and GSSAPI, so
# that programs can be linked without them.  dfb uses tcp, ipc and inproc only: nothing of
# it is ever called but pgm_init and pgm_shutdown, which then have nothing to do.
[ -n "$1" ] || exit 0
nm --undefined-only "$1" 2>/dev/null | awk '
	$1 == "U" && $2 ~ /^(pgm_|Norm|NORM_|gss_|GSS_)/ && !seen[$2]++ {
		if ($2 ~ /^(GSS|NORM)_/)
			print "const void *const " $2 ";"
		else if ($2 ~ /^pgm_(init|shutdown)$/)
			print "int " $2 "(void) { return 1; }"
		else
			print "void " $2 "(void) { __builtin_trap(); }"
	}'
