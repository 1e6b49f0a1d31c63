#include "dfb.h"

const char *
dfb_status_text(enum dfb_status s)
{
	switch (s) {
	case DFB_OK: return "done";
	case DFB_NO: return "negative answer";
	case DFB_USAGE: return "wrong usage";
	case DFB_BADINPUT: return "bad input";
	case DFB_NOBODY: return "nobody there";
	case DFB_BUG: return "internal error";
	case DFB_OSERR: return "system error";
	case DFB_IOERR: return "input/output error";
	case DFB_AGAIN: return "try again later";
	case DFB_PROTO: return "protocol error";
	case DFB_DENIED: return "not allowed";
	case DFB_TIMEOUT: return "timed out";
	}
	return "unknown status";
}
