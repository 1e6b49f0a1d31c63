/* dfb-broker and strangers: frames that are wrong in every way, in any order, and sessions of
 * well-formed frames with random fields.  It goes on serving others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/id.h"
#include "net/sock.h"
#include "wire/proto.h"
#include "wire/record.h"

#define PATIENCE_MS 20000
#define SESSIONS 150
#define FRAMES 60

static char dir[] = "/tmp/dfb-test-broker.XXXXXX", endpoint[128];
static struct dfb_net *net;
static pid_t server;
static uint64_t seed;

static int
group_setup(void **state)
{
	const char *b = getenv("B"), *s = getenv("SEED");
	char prog[512], data[128], text[16];
	int ready[2];

	(void)state;
	seed = s != NULL ? strtoull(s, NULL, 10) : arc4random();
	fprintf(stderr, "# seed %llu (set SEED to repeat)\n", (unsigned long long)seed);
	if ((net = dfb_net_new()) == NULL || mkdtemp(dir) == NULL || pipe(ready) == -1)
		return -1;
	snprintf(prog, sizeof prog, "%s/bin/dfb-broker", b != NULL ? b : "build");
	snprintf(data, sizeof data, "%s/data", dir);
	snprintf(endpoint, sizeof endpoint, "ipc://%s/b.sock", dir);
	if ((server = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (dup2(ready[1], 9) == -1)
			_exit(99);
		close_range(10, ~0u, 0);
		execl(prog, prog, "-q", "--region", "A10", "--data", data, "--bind",
		    endpoint, "--names", "ipc:///nonexistent", "--min-free", "0",
		    "--keep", "5ms", "--ready-fd", "9", (char *)NULL);
		_exit(99);
	}
	close(ready[1]);
	return read(ready[0], text, sizeof text) == 6 ? 0 : -1;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
group_teardown(void **state)
{
	int w = 0;

	(void)state;
	kill(server, SIGTERM);
	waitpid(server, &w, 0);
	dfb_net_free(net);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (!WIFEXITED(w) || WEXITSTATUS(w) != 0)
		fprintf(stderr, "# the broker ended with %x\n", (unsigned)w);
	return WIFEXITED(w) && WEXITSTATUS(w) == 0 ? 0 : -1;
}

/* ---- sessions ---- */

static struct dfb_sock *
connect_to(void)
{
	struct dfb_sock_config cf = { .max_frame = DFB_FRAME_MAX, .queue = 10000 };
	struct dfb_sock *s = dfb_sock_connect(net, &cf, endpoint);

	assert_non_null(s);
	return s;
}

static void
send_msg(struct dfb_sock *s, const struct dfb_proto *m)
{
	struct dfb_buf b = { 0 };

	assert_int_equal(dfb_proto_encode(m, &b), 0);
	assert_int_equal(dfb_sock_send(s, NULL, b.data, b.len), 0);
	dfb_buf_release(&b);
}

static void
hello(struct dfb_sock *s)
{
	send_msg(s, &(struct dfb_proto){ .type = DFB_M_HELLO, .hello = { .proto = 1,
	    .role = dfb_str("client"), .who = dfb_str("fuzz"), .region = dfb_str("A10") } });
}

static struct dfb_m_refuse refused; /* the last one; without its reason */

/* Wait for a frame of this type, whatever comes before; its status. */
static int
expect(struct dfb_sock *s, uint16_t type)
{
	struct dfb_frame f;
	struct dfb_proto m;
	const char *why;

	for (int waited = 0; waited < PATIENCE_MS;) {
		int rc = dfb_sock_recv(s, &f), status;
		assert_int_not_equal(rc, -1);
		if (rc == 0) {
			struct pollfd p = { .fd = dfb_sock_fd(s), .events = POLLIN };
			waited += poll(&p, 1, 20) == 0 ? 20 : 1;
			continue;
		}
		assert_int_equal(dfb_proto_decode(f.data, f.len, &m, &why), 0);
		status = m.status;
		if (m.type == DFB_M_REFUSE)
			refused = m.refuse;
		dfb_frame_release(&f);
		if (m.type == type)
			return status;
	}
	fail_msg("no %s", dfb_proto_name(type));
	return -1;
}

static void
still_serves(void)
{
	struct dfb_sock *s = connect_to();

	hello(s);
	send_msg(s, &(struct dfb_proto){ .type = DFB_M_PING, .ping = { .nonce = 7 } });
	assert_int_equal(expect(s, DFB_M_PONG), 0);
	dfb_sock_close(s, 0);
}

/* ---- random, repeatable ---- */

static uint64_t
rnd(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return seed >> 33;
}

static uint64_t
any_number(void)
{
	switch (rnd() % 6) {
	case 0: return 0;
	case 1: return UINT64_MAX - rnd() % 3;
	case 2: return rnd() << 31 | rnd();
	default: return rnd() % 6;
	}
}

static struct dfb_str
any_str(void)
{
	static const char *const words[] = { "A10-x", "A10-x", "A10-y", "A10-z", "g", "g",
		"h", "", "i1", "%DLQ-g", "A10-nothing", "topic.list", "topic.set",
		"group.list", "group.reset", "topic.pause", "topic.resume", "group.pause",
		"group.resume", "why", "stats", "drain", "topic.delete", "x y",
		"topic.apply", "topic.retire", "topic.governed" };

	return dfb_str(words[rnd() % (sizeof words / sizeof words[0])]);
}

static uint8_t scratch[8192];
static struct dfb_buf items;

/* Bytes for a `rest` field: noise, records, ranges, outcomes or JSON. */
static struct dfb_blob
any_rest(void)
{
	static const char json[] = "{\"topic\":\"A10-y\",\"group\":\"g\",\"to\":\"beginning\","
	    "\"queues\":3,\"on\":false,\"adopt\":true,\"closed\":true,\"gray\":{\"v2\":{"
	    "\"percent\":5}}}";
	uint8_t *p = scratch;

	items.len = 0;
	switch (rnd() % 5) {
	case 0:
		for (size_t i = 0; i < 64; i++)
			scratch[i] = (uint8_t)rnd();
		return (struct dfb_blob){ scratch, rnd() % 64 };
	case 1:
		for (uint64_t n = rnd() % 4; n > 0; n--) {
			struct dfb_record r = { .flags = (uint8_t)(rnd() % 64),
				.expires = any_number(), .call = any_number(),
				.born = any_number(), .due = any_number(),
				.key = (const uint8_t *)"key", .key_len = 3,
				.headers = (const uint8_t *)"\001a\000\001b", .headers_len = 5,
				.body = (const uint8_t *)"body", .body_len = rnd() % 5 };
			dfb_id_random(&r.id);
			p = dfb_record_write(&r, p);
		}
		return (struct dfb_blob){ scratch, (size_t)(p - scratch) };
	case 2:
		for (uint64_t n = rnd() % 4; n > 0; n--)
			dfb_range_add(&items, &(struct dfb_m_range){
			    .queue = (uint32_t)(rnd() % 3), .epoch = (uint32_t)(rnd() % 4),
			    .offset = any_number(), .count = (uint32_t)any_number() });
		return (struct dfb_blob){ items.data, items.len };
	case 3:
		dfb_outcome_add(&items, &(struct dfb_m_outcome){ .call = any_number(),
		    .status = (uint16_t)rnd(), .reason = any_str() });
		return (struct dfb_blob){ items.data, items.len };
	default:
		return (struct dfb_blob){ (const uint8_t *)json, sizeof json - 1 };
	}
}

static struct dfb_id
any_id(void)
{
	struct dfb_id id = { { (uint8_t)(rnd() % 3) } };

	return id;
}

#define ANY_u8 (uint8_t)(rnd() % 5)
#define ANY_u16 (uint16_t)any_number()
#define ANY_u32 (uint32_t)any_number()
#define ANY_u64 any_number()
#define ANY_id any_id()
#define ANY_str any_str()
#define ANY_blob any_rest()
#define ANY_rest any_rest()

#define MSG(NAME, name, number) \
	__attribute__((unused)) static void any_##name(struct dfb_m_##name *m) { \
		(void)m;
#define ITEM(name) MSG(, name, 0)
#define F(type, field) m->field = ANY_##type;
#define END(name) }
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef F
#undef END

/* A message of a random type; those that a broker takes come more often. */
static void
any_message(struct dfb_proto *m)
{
	static const uint16_t types[] = {
#define ITEM(name)
#define F(type, field)
#define END(name)
#define MSG(NAME, name, number) number,
#include "wire/msgs.def"
#undef MSG
	};
	static const uint16_t usual[] = { DFB_M_PRODUCE, DFB_M_PUT, DFB_M_PUT, DFB_M_PUT,
		DFB_M_SUBSCRIBE, DFB_M_SUBSCRIBE, DFB_M_ACK, DFB_M_ACK, DFB_M_NACK,
		DFB_M_NACK, DFB_M_CALL, DFB_M_REPLY, DFB_M_LEAVE, DFB_M_FINISH,
		DFB_M_PEEK, DFB_M_ADMIN };

	memset(m, 0, sizeof *m);
	m->type = rnd() % 100 == 0 ? types[rnd() % (sizeof types / sizeof types[0])] :
	    usual[rnd() % (sizeof usual / sizeof usual[0])];
	m->req = (uint32_t)rnd();
	switch (m->type) {
#define MSG(NAME, name, number) \
	case number: \
		any_##name(&m->name); \
		break;
#include "wire/msgs.def"
#undef MSG
#undef ITEM
#undef F
#undef END
	}
	/* Make what matters meet often enough. */
	if (m->type == DFB_M_SUBSCRIBE && rnd() % 4 != 0)
		m->subscribe = (struct dfb_m_subscribe){ .sub = (uint32_t)(rnd() % 4),
			.topic = dfb_str(rnd() % 2 ? "A10-x" : "A10-y"),
			.group = dfb_str("g"), .credit = 1 + (uint32_t)(rnd() % 5),
			.flags = (uint8_t)(rnd() % 4), .start = (uint8_t)(rnd() % 4) };
	if (m->type == DFB_M_PUT) {
		struct dfb_blob all = m->put.records, left = all;
		struct dfb_record r;
		const uint8_t *p = left.p;
		m->put.count = 0;
		m->put.stream = (uint32_t)(rnd() % 3);
		m->put.seq = 1 + rnd() % 6;
		while (left.len != 0 && dfb_record_next(&p, all.p + all.len, &r) == 1)
			m->put.count++;
	}
	if (m->type == DFB_M_PRODUCE && rnd() % 4 != 0) {
		m->produce.stream = (uint32_t)(rnd() % 3);
		m->produce.next = 1 + rnd() % 4;
		m->produce.topic = dfb_str(rnd() % 2 ? "A10-x" : "A10-y");
	}
	if ((m->type == DFB_M_NACK || m->type == DFB_M_ACK) && rnd() % 2)
		m->nack.sub = (uint32_t)(rnd() % 4);
}

/* ---- tests ---- */

static void
create(const char *args)
{
	struct dfb_sock *s = connect_to();

	hello(s);
	send_msg(s, &(struct dfb_proto){ .type = DFB_M_ADMIN, .req = 1,
	    .admin = { .verb = dfb_str("topic.create"),
	    .args = { (const uint8_t *)args, strlen(args) } } });
	(void)expect(s, DFB_M_WELCOME);
	dfb_sock_close(s, 200);
}

static void
malformed_is_answered_76(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} frames[] = {
		{ "", 0 }, { "GET / HTTP/1.1\r\n\r\n", 18 }, { "\xdf\xb0", 2 },
		{ "\xdf\xb0\x02\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20 },
		{ "\xdf\xb0\x01\0\xff\xff\0\0\0\0\0\0", 12 },
		{ "\xdf\xb0\x01\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 21 },
		{ "\xdf\xb0\x01\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20 }, /* no HELLO */
	};

	(void)state;
	for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
		struct dfb_sock *s = connect_to();
		assert_int_equal(dfb_sock_send(s, NULL, frames[i].bytes, frames[i].len), 0);
		assert_int_equal(expect(s, DFB_M_ERROR), DFB_PROTO);
		dfb_sock_close(s, 0);
	}
	still_serves();
}

static void
another_version_is_refused(void **state)
{
	struct dfb_sock *s = connect_to();

	(void)state;
	send_msg(s, &(struct dfb_proto){ .type = DFB_M_HELLO, .hello = { .proto = 9,
	    .role = dfb_str("client"), .who = dfb_str("x"), .region = dfb_str("") } });
	assert_int_equal(expect(s, DFB_M_ERROR), DFB_PROTO);
	dfb_sock_close(s, 0);
}

static void
produce(struct dfb_sock *s, uint32_t stream, uint8_t who, uint32_t epoch, uint64_t next)
{
	send_msg(s, &(struct dfb_proto){ .type = DFB_M_PRODUCE, .produce = { .stream = stream,
	    .producer = { { who } }, .epoch = epoch, .next = next,
	    .topic = dfb_str("A10-full") } });
}

static void
put(struct dfb_sock *s, uint32_t stream, uint64_t seq, uint32_t count)
{
	struct dfb_record r = { .body = (const uint8_t *)"body", .body_len = 4 };
	uint8_t *p = scratch;

	for (uint32_t i = 0; i < count; i++) {
		dfb_id_random(&r.id);
		p = dfb_record_write(&r, p);
	}
	send_msg(s, &(struct dfb_proto){ .type = DFB_M_PUT, .put = { .stream = stream,
	    .seq = seq, .count = count, .records = { scratch, (size_t)(p - scratch) } } });
}

/* The breaker: at the exact number, with a time to wait; new streams, too, but who may have
 * something there learns what. */
static void
a_full_topic_refuses(void **state)
{
	static const char args[] = "{\"topic\":\"A10-full\",\"durability\":\"memory\","
	    "\"max_depth\":3,\"queues_max\":1}";
	struct dfb_sock *s = connect_to();

	(void)state;
	hello(s);
	send_msg(s, &(struct dfb_proto){ .type = DFB_M_ADMIN, .req = 1,
	    .admin = { .verb = dfb_str("topic.create"),
	    .args = { (const uint8_t *)args, sizeof args - 1 } } });
	assert_int_equal(expect(s, DFB_M_RESULT), 0);
	send_msg(s, &(struct dfb_proto){ .type = DFB_M_SUBSCRIBE, .subscribe = { .sub = 1,
	    .topic = dfb_str("A10-full"), .group = dfb_str("g"), .credit = 1 } });
	assert_int_equal(expect(s, DFB_M_SUBSCRIBED), 0);
	produce(s, 1, 1, 1, 1);
	assert_int_equal(expect(s, DFB_M_PRODUCING), 0);
	put(s, 1, 1, 1);
	assert_int_equal(expect(s, DFB_M_DELIVER), 0);
	put(s, 1, 2, 6);
	assert_int_equal(expect(s, DFB_M_REFUSE), DFB_AGAIN);
	assert_int_equal(refused.seq, 5);
	assert_int_equal(refused.scope, DFB_REFUSE_STREAM);
	assert_in_range(refused.wait_ms, 5, 50);
	produce(s, 2, 2, 1, 1);
	assert_int_equal(expect(s, DFB_M_REFUSE), DFB_AGAIN);
	assert_int_equal(refused.seq, 0);
	produce(s, 3, 1, 2, 4); /* 4 is in doubt */
	assert_int_equal(expect(s, DFB_M_PRODUCING), 0);
	produce(s, 4, 1, 3, 5);
	assert_int_equal(expect(s, DFB_M_REFUSE), DFB_AGAIN);
	assert_int_equal(refused.stream, 4);
	dfb_sock_close(s, 0);
}

static void
random_sessions(void **state)
{
	struct dfb_sock *others[4] = { NULL };

	(void)state;
	create("{\"topic\":\"A10-x\",\"queues\":2,\"backoff_ms\":[1],\"retries\":2}");
	create("{\"topic\":\"A10-y\",\"durability\":\"async\",\"backoff_ms\":[1]}");
	create("{\"topic\":\"A10-z\",\"durability\":\"memory\"}");
	for (int i = 0; i < SESSIONS; i++) {
		struct dfb_proto m;
		int at = (int)(rnd() % 4);
		/* Some sessions live on while others come and go. */
		dfb_sock_close(others[at], 0);
		others[at] = connect_to();
		hello(others[at]);
		for (int n = 0; n < FRAMES; n++) {
			struct dfb_frame f;
			struct dfb_sock *s = others[rnd() % 4];
			if (s == NULL)
				continue;
			any_message(&m);
			send_msg(s, &m);
			while (dfb_sock_recv(s, &f) == 1)
				dfb_frame_release(&f);
		}
		if (i % 10 == 0)
			create("{\"topic\":\"A10-y\",\"durability\":\"async\"}");
		if (i % 25 == 0)
			still_serves();
	}
	for (int i = 0; i < 4; i++)
		dfb_sock_close(others[i], 0);
	dfb_buf_release(&items);
	still_serves();
}

static void
mutated_frames(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		struct dfb_sock *s = connect_to();
		struct dfb_proto m;
		struct dfb_buf b = { 0 };
		hello(s);
		any_message(&m);
		assert_int_equal(dfb_proto_encode(&m, &b), 0);
		for (int n = 0; n < 3; n++)
			b.data[4 + rnd() % (b.len - 4)] ^= (uint8_t)(1u << rnd() % 8);
		assert_int_equal(dfb_sock_send(s, NULL, b.data, b.len - rnd() % 2), 0);
		dfb_buf_release(&b);
		dfb_sock_close(s, 100);
	}
	dfb_buf_release(&items);
	still_serves();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malformed_is_answered_76),
		cmocka_unit_test(another_version_is_refused),
		cmocka_unit_test(a_full_topic_refuses),
		cmocka_unit_test(random_sessions),
		cmocka_unit_test(mutated_frames),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
