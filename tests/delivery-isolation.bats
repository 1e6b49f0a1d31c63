#!/usr/bin/env bats
# Row "sender isolation": a broker that failed or refused a topic is avoided for a while, and
# probed; a message goes to two others, and then waits.
load helper
load regions

setup() {
	cd "$BATS_TEST_TMPDIR"
	regions_start
	export DFB_REGION=A10
	dfb-ctl topic create A10-x
	dfb-ctl topic create B20-x
}

teardown() {
	regions_stop
}

on() {
	dfb-ctl peek --broker "$1" -c 1000000 -f '%s\n' "$(region_of "$1")-x"
}

# full NAME: the broker starts again, and has no room for messages from now on.
full() {
	broker_kill "$1"
	BROKER_OPTIONS=(--min-free 8000000G)
	broker_start "$1"
	wait_for grep -q event=storage-full "$1.log" # it is noticed soon after the start
	BROKER_OPTIONS=()
}

# well NAME: as ever.
well() {
	broker_kill "$1"
	broker_start "$1"
}

@test "what one broker refuses another one takes, and says so once" {
	full a1
	local i
	for i in {1..10}; do # about half of them prefer a1
		seq 100 | dfb-send x 2>>err
	done
	assert_eq 1000 "$(on a2 | wc -l)"
	assert_eq '' "$(cat <(on b1) <(on b2))"
	assert_match 'broker a1: storage full' "$(cat err)"
	assert_match 'to another one' "$(cat err)"
	# Nobody was told twice.
	[ "$(grep -c 'storage full' err)" -le 10 ]
}

@test "--no-wait fails only when no broker takes it" {
	full a1
	seq 100 | dfb-send --no-wait x
	seq 101 200 | dfb-send --no-wait x
	cmp <(on a2) <(seq 200)
	full a2
	seq 201 300 | dfb-send --no-wait x # the other region
	cmp <(cat <(on b1) <(on b2)) <(seq 201 300)
	run_status 75 dfb-send --no-wait A10-x -m lost
	assert_match 'storage full' "$stderr"
}

@test "a key does not jump: it waits, or fails with 75" {
	local home=a1 other=a2 pid
	dfb-send -k k A10-x -m one
	[ "$(on a1)" = one ] || home=a2 other=a1
	full $home
	run_status 75 dfb-send --no-wait -k k A10-x -m no
	dfb-send -k k A10-x -m two 2>err &
	pid=$!
	wait_for 'grep -q "storage full: .*; waiting" err'
	well $home
	wait $pid
	assert_eq one,two "$(on $home | paste -sd,)"
	assert_eq '' "$(on $other)"
}

@test "an avoided broker is probed, and used again when it takes messages" {
	export DFB_AVOID=60s,50ms,50ms
	full a1
	full a2
	local in pid
	coproc dfb-send x 2>err
	in=${COPROC[1]} pid=$COPROC_PID
	echo 1 >&"$in"
	wait_for 'cat <(on b1) <(on b2) | grep -qx 1'
	well a2
	wait_for 'echo home >&'"$in"'; on a2 | grep -qx home'
	exec {in}>&-
	wait "$pid"
	assert_eq '' "$(on a1)"
}

@test "when all are avoided all are tried" {
	broker_kill b1
	broker_kill b2
	full a1
	full a2
	dfb-send x -m waited 2>err &
	local pid=$!
	wait_for 'grep -q "a1: storage full" err && grep -q "a2: storage full" err'
	well a1
	wait $pid
	assert_eq waited "$(on a1)"
}

@test "calls go to the next broker, and the next region, when none took them" {
	dfb-recv -R B20 -g s x -- cat &
	local pid=$! i
	wait_for 'dfb-call x </dev/null'
	for i in {1..5}; do
		assert_eq "call $i" "$(echo "call $i" | dfb-call x)"
	done
	kill $pid
	wait $pid
	run_status 69 dfb-call x </dev/null
}

@test "a malformed DFB_AVOID is a usage error" {
	local bad
	for bad in x 1s,,1s 1s,1s,1s,1s 0s ,1s; do
		DFB_AVOID=$bad run_status 64 dfb-send A10-x -m no
		assert_match DFB_AVOID "$stderr"
	done
	DFB_AVOID=1s dfb-send A10-x -m yes
}
