#!/usr/bin/env bats
# Row "nearby send": brokers of the sender's region first, and keys: each at its broker.
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

# on BROKER: the bodies there.
on() {
	dfb-ctl peek --broker "$1" -c 1000000 -f '%s\n' "$(region_of "$1")-x"
}

# keys FILE FROM TO: messages FROM to TO, each with one of 50 keys.
keys() {
	seq "$2" "$3" | jq -c '{key: "k\(. % 50)", body: "k\(. % 50) \(.)"}' >"$1"
}

@test "the own region's brokers get all, also when another region serves it" {
	seq 1000 | dfb-send x
	seq 1001 2000 | dfb-send -R B20 x
	cmp <(cat <(on a1) <(on a2) | sort -n) <(seq 1000)
	cmp <(cat <(on b1) <(on b2) | sort -n) <(seq 1001 2000)
}

@test "senders without keys spread over a region's brokers, each stays with one" {
	local i
	for i in {1..20}; do
		seq 5 | sed "s/^/$i /" | dfb-send A10-x
	done
	[ "$(on a1 | wc -l)" -gt 0 ]
	[ "$(on a2 | wc -l)" -gt 0 ]
	for i in {1..20}; do
		[ "$(on a1 | grep -c "^$i ")" -eq 5 ] || [ "$(on a2 | grep -c "^$i ")" -eq 5 ]
	done
}

@test "another region only when none of the own one can take it, and back again" {
	broker_kill a1
	seq 10 | dfb-send x
	cmp <(on a2) <(seq 10)
	broker_kill a2
	seq 11 20 | dfb-send x
	cmp <(cat <(on b1) <(on b2)) <(seq 11 20)
	# A sender that lives returns home.
	export DFB_AVOID=60s,50ms,50ms
	coproc dfb-send x 2>err
	local in=${COPROC[1]} pid=$COPROC_PID
	echo 21 >&"$in"
	wait_for 'cat <(on b1) <(on b2) | grep -qx 21'
	broker_start a1
	wait_for 'echo again >&'"$in"'; on a1 | grep -qx again'
	exec {in}>&-
	wait "$pid"
}

@test "a key is at one broker, whoever sends it, in order" {
	local k
	keys one 1 1000
	keys two 1001 2000
	dfb-send -J -w 10 A10-x one # most of them when routes are known
	dfb-send -J x two
	on a1 >a1.got
	on a2 >a2.got
	[ -s a1.got ] && [ -s a2.got ]
	for k in k{0..49}; do
		grep -h "^$k " a1.got a2.got >got
		cmp got <(seq 2000 | awk -v k="$k" '"k" $1 % 50 == k { print k, $1 }')
		[ "$(grep -l "^$k " a1.got a2.got | wc -l)" -eq 1 ]
	done
}

@test "a new broker takes its share of the keys, and no other key moves" {
	local k
	keys one 1 50
	keys two 51 100
	dfb-send -J A10-x one
	on a1 >a1.before
	on a2 >a2.before
	broker_start a3
	dfb-ctl topic create --broker a3 A10-x
	dfb-send -J A10-x two
	on a3 >a3.got
	[ -s a3.got ]
	# What went to the old ones went where its key was before.
	for k in a1 a2; do
		on $k | tail -n +$(($(wc -l <$k.before) + 1)) | cut -d' ' -f1 | sort >new
		[ -z "$(comm -23 new <(cut -d' ' -f1 $k.before | sort))" ]
	done
	assert_eq 100 "$(cat <(on a1) <(on a2) <(on a3) | wc -l)"
	[ "$(wc -l <a3.got)" -lt 40 ]
}

@test "a key waits for its broker, others go on" {
	keys one 1 50
	dfb-send -J A10-x one
	on a1 | cut -d' ' -f1 | sort >mine
	broker_kill a1
	keys two 51 100
	run_status 69 dfb-send -J --failover-after 0 --wait 100ms A10-x two
	on a2 | tail -n +$((51 - $(wc -l <mine))) | cut -d' ' -f1 | sort >others
	cmp <(sort mine others) <(printf 'k%d\n' {0..49} | sort)
	assert_match 'broker a1 cannot be reached' "$stderr"
	# And arrives there when it is back in time.
	keys three 101 150
	dfb-send -J --failover-after 0 A10-x three &
	local pid=$!
	wait_for 'on a2 | grep -q " 150$" || on a2 | grep -q " 149$" || on a2 | grep -q " 148$"'
	broker_start a1
	wait $pid
	cmp <(on a1 | cut -d' ' -f1 | sort) <(sort mine mine)
}

@test "a batch that is all or nothing goes to one broker, by its first key" {
	keys one 1 50
	dfb-send -J -A A10-x one
	[ "$(on a1 | wc -l)" -eq 50 ] || [ "$(on a2 | wc -l)" -eq 50 ]
	dfb-send -A -k k1 A10-x -m first
	dfb-send -k k1 A10-x -m second
	[ "$(on a1 | tail -n 2 | paste -sd,)" = first,second ] ||
	    [ "$(on a2 | tail -n 2 | paste -sd,)" = first,second ]
}
