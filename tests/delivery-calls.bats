# Calls: told at once how they end, never handed out late, and with an id handled once.

load helper

setup() {
	bus_start
	dfb-ctl topic create A10-work
	mkdir "$BATS_TEST_TMPDIR/files"
	cd "$BATS_TEST_TMPDIR/files" || return 1
	mkfifo gate
	exec 8<>gate # nobody waits for a reader
	servers=() credit=()
}

teardown() {
	local pid
	printf 'end\n%.0s' {1..50} >&8 # to handlers that wait
	for pid in "${servers[@]}"; do kill "$pid" || true; done
	for pid in "${servers[@]}"; do wait "$pid" || true; done
	bus_stop
}

broker_pid() { pgrep -f -- "--bind ipc://$BUS/b1.sock"; }
stat_of() { dfb-ctl --json broker stats b1 | jq -r "if type == \"array\" then .[0] else . end | .$1"; }

consumers() { dfb-ctl --json topic show "$1" | jq '[.. | .consumers? // empty] | max'; }

crash() {
	local before
	before=$(broker_pid)
	kill -9 "$before"
	wait_for "[ -n \"\$(broker_pid)\" ] && [ \"\$(broker_pid)\" != $before ] && stat_of uptime_ms"
}

# serve TOPIC handler...: a consumer more, ready.
serve() {
	local topic=$1 n
	shift
	n=$(consumers "$topic")
	dfb-recv -g servers "${credit[@]}" "$topic" -- "$@" 3>&- 2>>recv.err &
	servers+=($!)
	wait_for "[ \$(consumers $topic) -gt $n ]"
}

# Handlers: one says that it began, and answers; `slow` waits for a line from the gate first.
quick='read -r x; echo "$x" >>ran; echo "done $x"'
slow='read -r x; echo "$x" >>ran; read -r y <gate; echo "done $x $y"'
runs() { wc -l <ran; }

@test "a second call with the id has the first one's reply, and the handler ran once" {
	serve A10-work sh -c "$quick"
	assert_eq "done a" "$(dfb-call -i one -m a A10-work)"
	assert_eq "done a" "$(dfb-call -i one -m b A10-work)"
	assert_eq "done c" "$(dfb-call -i two -m c A10-work)"
	assert_eq 2 "$(runs)"
	assert_eq "done a" "$(dfb-call --collect one A10-work)"
	assert_eq '"done a\n"' "$(dfb-call -J --collect one A10-work | jq -c .body)"
}

@test "a second call while the first runs: both are answered, and who collects" {
	serve A10-work sh -c "$slow"
	dfb-call -i one -m a A10-work >first &
	local a=$! b c
	wait_for "[ -s ran ]"
	dfb-call -i one -m b A10-work >second &
	b=$!
	dfb-call --collect one A10-work >third &
	c=$!
	wait_for "[ \$(stat_of calls_waiting) = 4 ]"
	echo go >&8
	wait $a $b $c
	cat first second third | uniq -c | grep -q '^ *3 done a go$'
	assert_eq 1 "$(runs)"
}

@test "after the first caller ran out of time: it is not run again, and its reply is there" {
	serve A10-work sh -c "$slow"
	run_status 124 dfb-call -t 200ms -i one -m a A10-work
	run_status 124 dfb-call -t 200ms -i one -m b A10-work
	run_status 124 dfb-call -t 200ms --collect one A10-work
	echo go >&8
	assert_eq "done a go" "$(dfb-call -i one -m c A10-work)"
	assert_eq 1 "$(runs)"
}

@test "after the first caller was killed: its reply can be collected" {
	serve A10-work sh -c "$slow"
	dfb-call -i one -m a A10-work >first &
	local a=$!
	wait_for "[ -s ran ]"
	kill -9 $a
	wait $a || true
	wait_for "[ \$(stat_of sessions) -le 2 ]"
	echo go >&8
	assert_eq "done a go" "$(dfb-call --collect one A10-work)"
	assert_eq 1 "$(runs)"
	assert_eq 0 "$(stat_of late_replies)"
}

@test "a reply is there after kill -9 of the broker, without a consumer" {
	local d
	for d in commit async memory; do
		dfb-ctl topic create --durability $d "A10-$d"
		serve "A10-$d" sh -c "$quick"
		dfb-call -i one -m $d "A10-$d"
		kill "${servers[0]}"
		wait "${servers[0]}"
		servers=()
	done
	crash
	for d in commit async memory; do
		assert_eq "done $d" "$(dfb-call -i one -m again "A10-$d")"
		assert_eq "done $d" "$(dfb-call --collect one "A10-$d")"
	done
	assert_eq 3 "$(runs)"
}

@test "the broker is killed while a call runs: it is not run again, and that is said" {
	local d
	for d in commit async memory; do
		dfb-ctl topic create --durability $d "A10-$d"
		serve "A10-$d" sh -c "$slow"
		dfb-call -i one -m $d "A10-$d" 2>>call.err &
	done
	wait_for "[ \$(runs) = 3 ]"
	crash
	for d in commit async memory; do
		run_status 69 dfb-call -i one -m again "A10-$d"
		assert_match "may have been handled" "$stderr"
	done
	assert_eq 3 "$(runs)"
	printf 'go\ngo\ngo\n' >&8
}

@test "a handler that failed is not run again: the second caller has its failure" {
	serve A10-work sh -c 'read -r x; echo "$x" >>ran; echo "no $x" >&2; exit 3'
	run_status 1 dfb-call -i one -m a A10-work
	assert_match "no a" "$stderr"
	run_status 1 dfb-call -i one -m b A10-work
	assert_match "no a" "$stderr"
	assert_eq 1 "$(runs)"
}

@test "a call that nobody had is forgotten: the next one with its id runs" {
	run_status 69 dfb-call -i one -m a A10-work
	run_status 69 dfb-call --collect one A10-work
	assert_match "no call with this id" "$stderr"
	credit=(--credit 1)
	serve A10-work sh -c "$slow"
	dfb-call -m busy A10-work >/dev/null &
	local busy=$!
	wait_for "[ -s ran ]"
	# The consumer is busy, and has one at a time.
	run_status 124 dfb-call -t 200ms -i two -m b A10-work
	echo go >&8
	wait $busy
	assert_eq busy "$(cat ran)"
	echo go >&8
	assert_eq "done c go" "$(dfb-call -i two -m c A10-work)"
}

@test "a consumer dies with a call: told at once, not run again though others are there" {
	serve A10-work sh -c "$slow"
	dfb-call -i one -m a A10-work 2>call.err &
	local call=$! rc=0
	wait_for "[ -s ran ]"
	serve A10-work sh -c "$quick"
	kill -9 "${servers[0]}"
	wait $call || rc=$?
	assert_eq 69 $rc
	grep -q 'went away' call.err
	run_status 69 dfb-call -i one -m b A10-work
	assert_eq 1 "$(runs)"
	assert_eq "done c" "$(dfb-call -i two -m c A10-work)"
	servers=("${servers[1]}")
}

@test "an id is forgotten after the topic's window" {
	dfb-ctl topic set A10-work --dedup 300ms
	serve A10-work sh -c "$quick"
	dfb-call -i one -m a A10-work
	wait_for '[ "$(dfb-call -i one -m b A10-work)" = "done b" ]'
	dfb-ctl topic set A10-work --dedup 0
	run_status 65 dfb-call -i one -m c A10-work
}

@test "told at once: nobody there, the handler failed, the last consumer went away" {
	run_status 69 dfb-call -m a A10-work
	assert_match consumer "$stderr"
	serve A10-work sh -c "$slow"
	dfb-call -m a A10-work 2>call.err &
	local call=$! rc=0
	wait_for "[ -s ran ]"
	kill -9 "${servers[0]}"
	wait $call || rc=$?
	assert_eq 69 $rc
	servers=()
	serve A10-work false
	run_status 1 dfb-call -m a A10-work
}

@test "a call is not handed out after its deadline, and its caller is told" {
	serve A10-work sh -c "$slow"
	dfb-call -m busy A10-work >/dev/null &
	local busy=$!
	wait_for "[ -s ran ]"
	run_status 124 dfb-call -t 200ms -m late A10-work
	echo go >&8
	wait $busy
	echo go >&8
	dfb-call -m next A10-work
	assert_eq "busy next" "$(paste -sd' ' ran)"
}

@test "the reply to a caller that is gone is counted and dropped" {
	serve A10-work sh -c "$slow"
	dfb-call -m a A10-work &
	local a=$!
	wait_for "[ -s ran ]"
	kill -9 $a
	wait $a || true
	wait_for "[ \$(stat_of calls_waiting) = 0 ]"
	echo go >&8
	wait_for "[ \$(stat_of late_replies) = 1 ]"
}
