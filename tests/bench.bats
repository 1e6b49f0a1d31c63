# dfb-bench: counts, shapes and exit statuses; never how fast.

load helper

setup() {
	bus_start
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	[ -z "$broker" ] || kill -CONT "$broker" || true
	[ -z "$child" ] || kill "$child" 2>/dev/null || true
	bus_stop
}

# sane FILE: one line, whose numbers fit each other.
sane() {
	assert_eq 1 "$(wc -l <"$1")"
	jq -e '[., .send // empty][] | .failed == 0 and .count > 0 and .seconds > 0 and
	    (.per_second - .count / .seconds | fabs) < .per_second / 100 + 1 and
	    (.mb_per_second - .per_second * .size / 1048576 | fabs) <
	        .mb_per_second / 100 + 0.01' "$1" >&2
}

# ordered FILE: latencies are there, above 0 and in their order.
ordered() {
	jq -e '[., .send // empty][].latency_us | keys_unsorted ==
	    ["p50", "p90", "p99", "p99.9", "max"] and .p50 > 0 and
	    [.[]] == ([.[]] | sort)' "$1" >&2
}

messages() {
	dfb-ctl -J topic list | jq ".[] | select(.topic == \"$1\") | .messages"
}

@test "send: all are stored and counted; recv takes them" {
	dfb-bench send --create commit --warmup 100 -N 3000 -s 200 -w 50 --json A10-a >got
	sane got
	ordered got
	assert_eq '["send","A10-a",1,200,50,0,3000]' "$(jq -c \
	    '[.mode, .topic, .clients, .size, .window, .rate, .count]' got)"
	assert_eq 3100 "$(messages A10-a)"
	dfb-bench recv -g all --json A10-a >got
	sane got
	assert_eq '["recv",200,3100,null]' "$(jq -c '[.mode, .size, .count, .latency_us]' got)"
	# It is acknowledged: nothing is left for the group.
	run_status 1 dfb-bench recv -g all --json A10-a >got
	assert_eq 0 "$(jq .count got)"
}

@test "recv: a count, and the rest stays" {
	dfb-bench send --create memory --warmup 0 -N 1000 A10-a >got
	dfb-bench recv -g some --warmup 100 -N 300 --json A10-a >got
	assert_eq 300 "$(jq .count got)"
	dfb-bench recv -g some -c 2 --json A10-a >got
	assert_eq 600 "$(jq .count got)"
}

@test "--direct: the same, without ZeroMQ in the clients" {
	assert_eq '500 0' "$(dfb-bench call --direct --create async -N 500 -J A10-c | jq -r '"\(.count) \(.failed)"')"
	assert_eq '500 0' "$(dfb-bench both --direct --create commit -N 500 -c 2 -J A10-b | jq -r '"\(.count) \(.failed)"')"
	dfb-bench recv --direct -N 500 A10-b >/dev/null
}

@test "send: headers; recv has no use for them" {
	dfb-bench send --create async -N 20 --warmup 0 -H a=1 -H b=two A10-a >/dev/null
	assert_eq 20 "$(dfb-recv --peek -J A10-a | jq -c '.headers' | grep -c '{"a":"1","b":"two"}')"
	run_status 64 dfb-bench send -H a A10-a
	run_status 64 dfb-bench send -H =a A10-a
	run_status 64 dfb-bench recv -H a=1 A10-a
}

@test "send: several clients share the count; keys are spread over the queues" {
	dfb-bench send --create async --queues 4 -c 3 --warmup 7 -N 1000 --keys 40 \
	    --json A10-a >got
	sane got
	ordered got
	assert_eq 1000 "$(jq .count got)"
	assert_eq 1007 "$(messages A10-a)"
	assert_eq 40 "$(dfb-recv -g keys -e -f '%k\n' A10-a | sort -u | wc -l)"
	dfb-bench recv -c 3 --json A10-a >got
	sane got
	assert_eq 1007 "$(jq .count got)"
}

@test "both: what is sent arrives, and old messages do not count" {
	dfb-bench send --create async --queues 2 -N 200 A10-a >got
	dfb-bench both -c 2 -N 2000 -s 16 --json A10-a >got
	sane got
	ordered got
	assert_eq '["both",2000,"send",2000,16]' \
	    "$(jq -c '[.mode, .count, .send.mode, .send.count, .send.size]' got)"
	# A group that was behind, too.
	dfb-recv -g mine -c 1 A10-a >first
	dfb-bench both -g mine -N 500 --rate 5000 -s 1k --json A10-a >got
	sane got
	assert_eq '500 500' "$(jq -r '"\(.count) \(.send.count)"' got)"
}

@test "call: the echo answers; several clients and windows" {
	dfb-bench call --create async -N 300 -s 10 --json A10-a >got
	sane got
	ordered got
	assert_eq '["call",300,1]' "$(jq -c '[.mode, .count, .window]' got)"
	dfb-bench call -c 2 -w 16 -N 1001 --keys 3 --json A10-a >got
	sane got
	assert_eq 1001 "$(jq .count got)"
	dfb-recv -g cats A10-a -- cat 3>&- &
	child=$!
	wait_for dfb-call -m x A10-a
	dfb-bench call --no-server -N 20 --json A10-a >got
	sane got
	assert_eq 20 "$(jq .count got)"
}

@test "groups that it made are gone afterwards; the topic stays or not" {
	dfb-bench send --create async -N 10 A10-a >got
	dfb-bench recv A10-a >got
	dfb-bench both -N 10 A10-a >got
	dfb-bench call -N 10 A10-a >got
	assert_eq 0 "$(dfb-ctl -J group list | jq length)"
	dfb-bench recv -g mine A10-a >got
	assert_eq '"mine"' "$(dfb-ctl -J group list | jq '.[].group')"
	run_status 1 dfb-bench send --create async --delete A10-a
	[[ $stderr == *exists* ]]
	assert_eq 1 "$(dfb-ctl -J topic list | jq length)"
	dfb-bench send -N 10 --delete A10-a >got
	assert_eq 0 "$(dfb-ctl -J topic list | jq length)"
}

@test "a rate takes its time, and a duration, too" {
	dfb-bench send --create memory -N 200 --rate 400 -c 2 --json A10-a >got
	sane got
	ordered got
	# The last one starts 199/400 s after the first, and no earlier.
	jq -e '.count == 200 and .rate == 400 and .seconds >= 0.4975' got
	dfb-bench both -d 300ms --rate 1000 --warmup 10 --json A10-a >got
	sane got
	jq -e '.count == 300 and .send.count == 300 and .seconds >= 0.299' got
	dfb-bench call -d 200ms --json A10-a >got
	sane got
	jq -e '.seconds >= 0.1' got
}

@test "latency counts from the intended start: a stall shows in many messages" {
	local before
	dfb-bench send --create async -d 60s --rate 500 -w 1 --warmup 1 --json A10-a \
	    >got 2>err 3>&- &
	child=$!
	wait_for '[ "$(messages A10-a)" -gt 1 ]'
	broker=$(pgrep -P "$UP" -x dfb-broker)
	kill -STOP "$broker"
	run_status 124 dfb-call -t 1s -m x A10-a
	kill -CONT "$broker"
	before=$(messages A10-a)
	wait_for "[ \$(messages A10-a) -gt $((before + 600)) ]"
	kill -INT $child
	wait $child || true
	child=
	sane got
	# Only one message was under way.
	jq -e '.latency_us | .p90 > 10000 and .max > 900000' got
}

@test "nobody there is 69, counted and said" {
	local mode
	for mode in send recv both call; do
		run_status 69 dfb-bench $mode -N 100 --json A10-none >got
		[[ $stderr == *"no broker serves 'A10-none'"* ]]
		jq -e '.count == 0 and .failed > 0 or .send.count == 0' got
	done
	dfb-ctl topic create A10-mute
	run_status 69 dfb-bench call --no-server --warmup 0 -N 5 -w 5 --json A10-mute >got
	assert_eq '0 5' "$(jq -r '"\(.count) \(.failed)"' got)"
	run_status 69 dfb-bench send -n ipc://$BUS/nobody.sock --wait 100ms -N 10 A10-a >got
}

@test "messages that are refused are counted" {
	dfb-ctl topic create --max-body 1k A10-small
	run_status 65 dfb-bench send -s 2k -N 10 --json A10-small >got
	jq -e '.count == 0 and .failed > 0' got
}

@test "a signal: what was measured is printed, 75" {
	local mode rc signal before
	dfb-ctl topic create --durability async A10-a
	for mode in send both call; do
		signal=TERM
		[ $mode = send ] || signal=INT
		dfb-bench $mode -d 60s --rate 500 --warmup 10 --json A10-a >got 2>err 3>&- &
		child=$!
		before=$(messages A10-a)
		wait_for "[ \$(messages A10-a) -gt $((before + 50)) ]"
		kill -$signal $child
		rc=0
		wait $child || rc=$?
		child=
		assert_eq 75 $rc
		sane got
		grep -q interrupted err
	done
	assert_eq 0 "$(dfb-ctl -J group list | jq length)"
}

@test "text: a table" {
	dfb-bench both --create async -N 100 A10-a >got
	assert_eq 'A10-a: 1 client, 1024 bytes, window 1000; latency in us' "$(sed -n 1p got)"
	assert_eq 'count failed seconds per second MiB/s p50 p90 p99 p99.9 max' \
	    "$(sed -n 2p got | tr -s ' ' | sed 's/^ //')"
	assert_eq 'sent 100 0 received 100 0 ' "$(awk 'NR > 2 { printf "%s %s %s ", $1, $2, $3 }' got)"
	assert_eq 1 "$(sed 1d got | awk '{ print length }' | sort -u | wc -l)"
	run_status 74 dfb-bench recv A10-a >/dev/full
}

@test "wrong usage is 64, and says what is wrong" {
	# bad WORDS option...: the message has the words.
	bad() {
		local words=$1
		shift
		run_status 64 dfb-bench "$@"
		[[ $stderr == *"$words"* ]] || fail "$* says: $stderr"
	}
	bad 'no mode'
	bad "'fly' is no mode" fly A10-a
	bad 'no topic' send
	bad 'one operand too many' send A10-a A10-b
	bad 'is no destination' send 'a b'
	bad '16 bytes' both -s 15 A10-a
	bad '--size' send -s 17M A10-a
	bad '--window' send -w 0 A10-a
	bad '--clients' send -c 0 A10-a
	bad '--count' send -N 0 A10-a
	bad '--rate' send --rate fast A10-a
	bad '--keys' send --keys 0 A10-a
	bad 'above 0' send -d 0s A10-a
	bad 'not both' send -d 1s -N 5 A10-a
	bad 'is no group' recv -g 'a b' A10-a
	bad 'no use for --group' send -g a A10-a
	bad 'no use for --credit' call --credit 5 A10-a
	bad 'no use for --rate' recv --rate 5 A10-a
	bad 'no use for --keys' recv --keys 5 A10-a
	bad 'no use for --create' recv --create memory A10-a
	bad 'no use for --no-server' send --no-server A10-a
	bad "not 'disk'" send --create disk A10-a
	bad 'goes with --create' send --queues 2 A10-a
	bad 'takes a topic' send --delete a
	bad 'no list of name servers' send -n nowhere A10-a
}
