#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/opt.h"
#include "dfb-names/names.h"
#include "wire/proto.h"

void
names_answer(struct names *n, struct names_session *s, struct dfb_proto *m, uint32_t req)
{
	struct dfb_buf buf = { 0 };

	m->req = req;
	if (dfb_proto_encode(m, &buf) == -1) {
		log_err("cannot answer '%s'", s->who);
		names_fail(n, DFB_OSERR);
	} else
		session_send(n, s, &buf);
	dfb_buf_release(&buf);
}

static void
error(struct names *n, struct names_session *s, uint32_t req, int status, const char *why)
{
	struct dfb_proto m = { .type = DFB_M_ERROR, .status = (uint16_t)status,
		.error = { .reason = dfb_str(why) } };

	names_answer(n, s, &m, req);
}

void
names_refuse(struct names *n, struct names_session *s, uint32_t req, int status,
    const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	log_event(DFB_LOG_DEBUG, "refused", "who=%s status=%d msg=%s",
	    dfb_log_quote(s->who), status, dfb_log_quote(why));
	error(n, s, req, status, why);
}

void
names_malformed(struct names *n, struct names_session *s, uint32_t req, const char *why)
{
	n->stats.malformed++;
	log_event(DFB_LOG_WARN, "malformed", "who=%s msg=%s", dfb_log_quote(s->who),
	    dfb_log_quote(why));
	error(n, s, req, DFB_PROTO, why);
	s->dead = true;
	watch_remove_all(&n->watches, s);
	held_remove_all(n, s);
}

static void
hello(struct names *n, struct names_session *s, const struct dfb_proto *m)
{
	struct dfb_proto w = { .type = DFB_M_WELCOME, .welcome = {
		.name = dfb_str(n->name), .region = dfb_str(""),
		.software = dfb_str("dfb-names " DFB_VERSION),
		.incarnation = n->incarnation, .max_frame = DFB_FRAME_MAX } };
	char why[96];

	dfb_str_copy(m->hello.who, s->who, sizeof s->who);
	if (m->hello.proto != DFB_PROTO_VERSION) {
		snprintf(why, sizeof why, "version %u of the protocol is not spoken here, "
		    "version %d is", m->hello.proto, DFB_PROTO_VERSION);
		names_malformed(n, s, m->req, why);
		return;
	}
	s->hello = true;
	log_event(DFB_LOG_DEBUG, "session", "who=%s role=%.*s", dfb_log_quote(s->who),
	    (int)m->hello.role.len, m->hello.role.p);
	names_answer(n, s, &w, m->req);
}

static void
ping(struct names *n, struct names_session *s, const struct dfb_proto *m)
{
	struct dfb_proto p = { .type = DFB_M_PONG, .pong = { .nonce = m->ping.nonce } };

	names_answer(n, s, &p, m->req);
}

static void
dispatch(struct names *n, struct names_session *s, const struct dfb_proto *m)
{
	char why[96];

	switch (m->type) {
	case DFB_M_PING:
		ping(n, s, m);
		break;
	case DFB_M_ADMIN:
		names_admin(n, s, m);
		break;
	case DFB_M_ENROLL:
		names_enroll(n, s, m);
		break;
	case DFB_M_FORGET:
		names_forget(n, s, m);
		break;
	case DFB_M_LOOKUP:
		names_lookup(n, s, m);
		break;
	case DFB_M_UNWATCH:
		names_unwatch(n, s, m);
		break;
	case DFB_M_DAEMONS:
		names_listing(n, s, m);
		break;
	default:
		snprintf(why, sizeof why, "%s is nothing for a name server",
		    dfb_proto_name(m->type));
		names_malformed(n, s, m->req, why);
	}
}

void
names_handle(struct names *n, struct names_session *s, const void *data, size_t len)
{
	struct dfb_proto m;
	const char *why = "a message in several parts";

	if (s->dead)
		return;
	if (data == NULL || dfb_proto_decode(data, len, &m, &why) == -1)
		names_malformed(n, s, 0, why);
	else if ((m.type == DFB_M_HELLO) == s->hello)
		names_malformed(n, s, m.req, s->hello ? "a second HELLO" :
		    "the first message must be HELLO");
	else if (!s->hello)
		hello(n, s, &m);
	else
		dispatch(n, s, &m);
}
