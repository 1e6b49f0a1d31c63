# What is sent twice with one id is stored once.

load helper

setup() {
	bus_start
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	bus_stop
}

broker_pid() { pgrep -f -- "--bind ipc://$BUS/b1.sock"; }
stat_of() { dfb-ctl --json broker stats b1 | jq -r "if type == \"array\" then .[0] else . end | .$1"; }

# crash: the broker dies, and is there again.
crash() {
	local before
	before=$(broker_pid)
	kill -9 "$before"
	wait_for "[ -n \"\$(broker_pid)\" ] && [ \"\$(broker_pid)\" != $before ] && stat_of uptime_ms"
}

# all TOPIC: what is in it.
all() { dfb-recv -g "g$RANDOM$RANDOM" -e "$1"; }

# ids FROM TO: a JSON line for each number, with an id of its own.
ids() { seq "$1" "$2" | sed 's/.*/{"id":"order-&","body":"&"}/'; }

# once STATUS TOPIC file: send it by ids.
once() { run_status "$1" dfb-send -J --once "$2" <"$3"; }

@test "an id that is about to be forgotten by the memory is not taken for new" {
	dfb-ctl topic create A10-m --queues 1
	ids 1 16384 | dfb-send --once -J A10-m # so many are in memory
	{ ids 20001 20100; ids 1 100; } >again
	dfb-send --once -J A10-m <again
	assert_eq 16484 "$(dfb-ctl topic show --json A10-m | jq .messages)"
	dfb-send --once -J A10-m <again
	assert_eq 16484 "$(dfb-ctl topic show --json A10-m | jq .messages)"
}

@test "a second send with -i is not stored, and says where the first one is" {
	dfb-ctl topic create A10-x
	dfb-send -m before A10-x
	run_status 0 dfb-send -i order-17 -m one A10-x
	run_status 0 dfb-send -v -i order-17 -m two A10-x
	assert_match "already stored, queue 0 offset 1" "$stderr"
	run_status 0 dfb-send -i order-18 -m three A10-x
	assert_eq "before one three" "$(all A10-x | paste -sd' ')"
	assert_eq 1 "$(stat_of known)"
}

@test "--once: ids of JSON lines, in one run and in the next, over several queues" {
	dfb-ctl topic create A10-x --queues 3
	ids 1 500 >in
	ids 300 1000 >>in
	once 0 A10-x in
	once 0 A10-x in
	ids 900 1100 >more
	once 0 A10-x more
	all A10-x | sort -n | cmp - <(seq 1100)
	assert_eq $((201 + 1201 + 101)) "$(stat_of known)"
}

@test "ids are known after kill -9, and those that were new are not" {
	local d
	for d in commit async; do
		dfb-ctl topic create --durability $d "A10-$d"
		ids 1 3000 >in
		once 0 "A10-$d" in
	done
	wait_for "[ \$(stat_of pending_bytes) = 0 ]"
	crash
	ids 2000 4000 >in
	for d in commit async; do
		once 0 "A10-$d" in
		all "A10-$d" | sort -n | cmp - <(seq 4000)
	done
}

@test "killed in the midst of sending by ids: each is stored once" {
	dfb-ctl topic create A10-x --queues 2
	ids 1 60000 >in
	dfb-send -J --once A10-x <in &
	local sender=$! n
	for n in 10000 30000; do
		wait_for "[ \$(dfb-ctl --json topic show A10-x | jq -r '[.. | .messages? // empty] | max') -gt $n ]"
		crash
	done
	wait $sender
	once 0 A10-x in
	all A10-x | sort -n | cmp - <(seq 60000)
}

@test "the filters that come back after a restart know the old ids and let new ones pass" {
	dfb-ctl topic create A10-x
	ids 1 20000 >in
	once 0 A10-x in
	crash
	wait_for "[ \$(stat_of filter_bytes) -gt 30000 ]"
	ids 20001 30000 >more
	once 0 A10-x more
	(($(stat_of lookups) < 500)) || fail "$(stat_of lookups) of 10000 new ids were looked up"
	once 0 A10-x in
	all A10-x | cmp - <(seq 30000)
	assert_eq 20000 "$(stat_of known)"
}

@test "a memory topic knows ids until its broker stops" {
	dfb-ctl topic create --durability memory A10-m
	ids 1 1000 >in
	once 0 A10-m in
	once 0 A10-m in
	assert_eq 1000 "$(stat_of known)"
	crash
	once 0 A10-m in
	all A10-m | cmp - <(seq 1000)
}

@test "ids go when the topic's window is over, and when the topic goes" {
	dfb-ctl topic create --dedup 200ms A10-x
	ids 1 5000 >in
	once 0 A10-x in
	wait_for "[ \$(stat_of ids_removed) = 5000 ]"
	once 0 A10-x in
	all A10-x | cmp - <(seq 5000; seq 5000)
	dfb-ctl topic create A10-y
	once 0 A10-y in
	dfb-ctl topic delete --yes A10-y
	wait_for "[ \$(stat_of ids_removed) = 15000 ]"
	wait_for "[ \$(stat_of filter_bytes) = 0 ]"
	assert_eq 0 "$(stat_of known)"
}

@test "ids that were to go when the broker was killed go after its restart" {
	dfb-ctl topic create A10-x
	ids 1 5000 >in
	once 0 A10-x in
	dfb-ctl topic delete --yes A10-x
	crash
	wait_for "[ \$(stat_of ids_removed) -ge 1000 ]"
	dfb-ctl topic create A10-x
	once 0 A10-x in
	all A10-x | cmp - <(seq 5000)
	assert_eq 0 "$(stat_of known)"
}

@test "all or nothing by ids; what has no id; a topic without ids" {
	dfb-ctl topic create A10-x
	ids 1 10 >in
	run_status 0 dfb-send -A -J --once A10-x <in
	ids 5 15 >in
	run_status 0 dfb-send -A -J --once A10-x <in
	all A10-x | cmp - <(seq 15)
	ids 16 10000 >in
	run_status 65 dfb-send -A -J --once A10-x <in
	assert_match "more than 8192" "$stderr"
	printf '{"id":"a","body":"a"}\n{"body":"b"}\n{"id":"c","body":"c"}\n' >in
	once 65 A10-x in
	assert_match "stdin:2: no id" "$stderr"
	all A10-x | tail -n 2 | cmp - <(printf 'a\nc\n')
	dfb-ctl topic set --dedup 0 A10-x
	run_status 65 dfb-send -i one -m x A10-x
	assert_match "does not remember ids" "$stderr"
	run_status 0 dfb-send -m y A10-x
}

@test "several brokers: the one that an id goes to is the same each time" {
	bus_stop
	bus_start -B 2
	dfb-ctl topic create A10-x
	ids 1 50 >in
	local i
	for i in 1 2; do
		once 0 A10-x in
		dfb-send -i one -m 51 A10-x
	done
	all A10-x | sort -n | cmp - <(seq 51)
	# Calls spread over brokers, and each id has its own.
	dfb-recv -g servers A10-x -- sh -c 'cat >>ran; echo done' 3>&- &
	local server=$!
	wait_for "[ \$(dfb-ctl --json topic show A10-x | jq '[.per_broker[].consumers] | min') -ge 1 ]"
	for i in {1..12} {1..12}; do
		assert_eq "done" "$(dfb-call -i "call-$i" -m "$i " A10-x)"
	done
	kill $server
	wait $server || true
	assert_eq 12 "$(tr ' ' '\n' <ran | grep -c .)"
}

@test "a scheduled message is known by its id, before and after it is due, and after a crash" {
	dfb-ctl topic create A10-x
	run_status 0 dfb-send -i one --delay 1h -m first A10-x
	run_status 0 dfb-send -v -i one --delay 1h -m second A10-x
	assert_match "already scheduled for" "$stderr"
	run_status 0 dfb-send -i two --delay 200ms -m second A10-x
	assert_eq "second" "$(dfb-recv -g g -c 1 A10-x)"
	crash
	dfb-send -i one -m third A10-x
	dfb-send -i two -m third A10-x
	dfb-send -i three -m third A10-x
	assert_eq "third" "$(dfb-recv -g g -e A10-x)"
	assert_eq 1 "$(dfb-ctl --json timer list A10-x | jq 'flatten | length')"
}
