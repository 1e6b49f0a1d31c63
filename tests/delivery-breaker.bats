# The circuit breaker: a queue that its consumers do not keep up with refuses messages.

load helper

setup() {
	bus_start --broker-arg --keep=20ms
	cd "$BATS_TEST_TMPDIR" || return 1
	mkfifo stuck
}

teardown() {
	bus_stop
}

stat_of() { dfb-ctl --json broker stats b1 | jq -r ".$1"; }
topic_json() { dfb-ctl --json topic show A10-x; }
messages() { topic_json | jq .messages; }
events() { grep -c "event=$1" "$BUS/log/b1.log" || true; }

# stuck_consumer GROUP [option...]: one that takes as much as its credit, and settles nothing
# until somebody writes to the pipe; it is there when this returns.
stuck_consumer() {
	local group=$1 n
	shift
	n=$(dfb-ctl --json group list A10-x | jq '[.[].member_count] | add // 0')
	dfb-recv -g "$group" "$@" A10-x -- sh -c 'cat <stuck' >>"$group.out" 2>"$group.err" &
	CONSUMER=$!
	wait_for "[ \$(dfb-ctl --json group list A10-x | jq '[.[].member_count] | add') -gt $n ]"
}

# gone PROCESS...: killed, and forgotten by the broker; no consumer is left.
gone() {
	kill -9 "$@"
	wait "$@" || true
	wait_for "[ \$(dfb-ctl --json group list A10-x | jq '[.[].member_count] | add') -eq 0 ]"
}

# undelivered QUEUE N: wait until so many are.
undelivered() {
	wait_for "[ \$(topic_json | jq '.per_broker[0].queues[$1].undelivered') -eq $2 ]"
}

@test "at the limit sends are refused, at once and exactly" {
	dfb-ctl topic create A10-x --max-depth 10
	stuck_consumer g --credit 3
	seq 3 | dfb-send A10-x
	undelivered 0 0
	run_status 75 dfb-send --no-wait A10-x < <(seq 100) 2>err
	assert_match "circuit breaker: queue 0 of 'A10-x' has 10 undelivered messages" "$(cat err)"
	assert_eq 13 "$(messages)"
	run_status 75 dfb-send --no-wait -m more A10-x 2>err
	run_status 75 dfb-send --no-wait -k key -m more A10-x 2>err
	run_status 75 dfb-call -m call A10-x 2>err
	assert_match "circuit breaker" "$(cat err)"
	assert_eq 13 "$(messages)"
	assert_eq 1 "$(events breaker-open)"
	assert_eq 1 "$(stat_of breaker_open)"
	gone $CONSUMER
	run_status 0 dfb-recv -g g -e A10-x >out
	{ seq 3; seq 10; } | cmp - out
}

@test "a sender waits and goes on when there is room; nothing is lost or doubled" {
	dfb-ctl topic create A10-x --max-depth 20
	stuck_consumer g --credit 5
	seq 2000 >in
	dfb-send A10-x <in 2>send.err &
	sender=$!
	wait_for "[ \$(messages) -eq 25 ]"
	gone $CONSUMER
	dfb-recv -g g -c 2000 A10-x >out
	wait $sender
	cmp in out
	wait_for "[ \$(events breaker-closed) -ge 1 ]"
	wait_for "[ \$(stat_of breaker_open) -eq 0 ]"
}

@test "without a key another queue takes it; with one it stays with its queue" {
	dfb-ctl topic create A10-x --queues 2 --max-depth 10
	stuck_consumer g --credit 1
	dfb-recv -g g -J A10-x >out 2>/dev/null &
	reader=$!
	wait_for "[ \$(dfb-ctl --json group list A10-x | jq '.[0].member_count') -eq 2 ]"
	seq 200 | dfb-send A10-x
	wait_for "[ \$(wc -l <out) -eq 189 ]"
	shut=$(topic_json | jq '.per_broker[0].queues[] | select(.shut_ms != 0).queue')
	[ "$(jq .queue out | sort -u)" -ne "$shut" ]
	good=0 bad=0
	for k in a b c d e f g h i j; do
		if dfb-send --no-wait -k $k -m $k A10-x 2>>err; then
			good=$((good + 1))
		else
			assert_eq 75 $?
			bad=$((bad + 1))
		fi
	done
	[ $good -gt 0 ]
	[ $bad -gt 0 ]
	assert_match "its keys go nowhere else" "$(cat err)"
	wait_for "[ \$(wc -l <out) -eq $((189 + good)) ]"
	gone $CONSUMER $reader
	run_status 0 dfb-recv -g g -e -J A10-x >>out
	assert_eq $((200 + good)) "$(jq -r .id out | sort -u | wc -l)"
}

@test "a slow group beside a fast one holds up nobody and misses nothing" {
	dfb-ctl topic create A10-x --max-depth 100
	stuck_consumer slow --credit 1
	dfb-recv -g fast A10-x >fast 2>/dev/null &
	fast=$!
	wait_for "dfb-ctl group show A10-x fast"
	seq 5000 >in
	dfb-send A10-x <in
	wait_for "[ \$(wc -l <fast) -eq 5000 ]"
	cmp in fast
	kill $fast
	wait $fast || true
	# Now the slow one is the least behind.
	run_status 75 dfb-send --no-wait -m x A10-x 2>err
	gone $CONSUMER
	# Without anybody there is nothing to keep up with.
	dfb-send -m 5001 A10-x
	run_status 0 dfb-recv -g slow -e A10-x >slow
	seq 5001 | cmp - slow
}

@test "broadcast counts only when there is nothing else" {
	dfb-ctl topic create A10-x --max-depth 5
	stuck_consumer all -b --credit 1
	dfb-send -m first A10-x
	undelivered 0 0
	run_status 75 dfb-send --no-wait A10-x < <(seq 100) 2>err
	assert_eq 6 "$(messages)"
	dfb-recv -g g A10-x >out 2>/dev/null &
	reader=$!
	wait_for "[ \$(wc -l <out) -eq 6 ]"
	seq 100 | dfb-send A10-x
	wait_for "[ \$(wc -l <out) -eq 106 ]"
	gone $CONSUMER $reader
}

@test "a warning at 70 %, once for each filling; 0 is no limit" {
	dfb-ctl topic create A10-x --max-depth 10
	stuck_consumer g --credit 1
	dfb-send -m first A10-x
	undelivered 0 0
	seq 7 | dfb-send A10-x
	assert_eq 0 "$(events queue-filling)"
	seq 2 | dfb-send A10-x
	wait_for "[ \$(events queue-filling) -eq 1 ]"
	assert_match "undelivered=7 max_depth=10" "$(grep event=queue-filling "$BUS/log/b1.log")"
	gone $CONSUMER
	run_status 0 dfb-recv -g g -e A10-x >out
	wait_for "[ \$(stat_of queues_filling) -eq 0 ]"
	stuck_consumer g --credit 1
	run_status 75 dfb-send --no-wait A10-x < <(seq 30) 2>err
	assert_eq 2 "$(events queue-filling)"
	assert_eq 1 "$(events breaker-open)"
	dfb-ctl topic set A10-x --max-depth 0
	seq 1000 | dfb-send A10-x
	wait_for "[ \$(stat_of breaker_open) -eq 0 ]"
	gone $CONSUMER
}

@test "all or nothing: a batch above the limit goes in whole, or not at all" {
	dfb-ctl topic create A10-x --max-depth 10
	stuck_consumer g --credit 1
	seq 50 | dfb-send -A A10-x
	assert_eq 50 "$(messages)"
	run_status 75 dfb-send -A --no-wait A10-x < <(seq 50) 2>err
	assert_eq 50 "$(messages)"
	gone $CONSUMER
	run_status 0 dfb-recv -g g -e A10-x >out
	seq 50 | cmp - out
}

@test "the limit is kept over a restart" {
	dfb-ctl topic create A10-x --max-depth 10
	dfb-ctl topic set A10-x --max-depth 12
	pid=$(pgrep -f -- "--bind ipc://$BUS/b1.sock")
	kill -9 "$pid"
	wait_for "dfb-ctl ping b1"
	assert_eq 12 "$(topic_json | jq .per_broker[0].settings.max_depth)"
	stuck_consumer g --credit 1
	dfb-send -m first A10-x
	undelivered 0 0
	run_status 75 dfb-send --no-wait A10-x < <(seq 100) 2>err
	assert_eq 13 "$(messages)"
	gone $CONSUMER
}
