#!/usr/bin/env bats
# Row "idempotence", a sender's part: resends to a broker that comes back, and to another
# one, marked, when it does not.
load helper
load regions

setup() {
	cd "$BATS_TEST_TMPDIR"
	regions_start
	export DFB_REGION=A10
	dfb-ctl topic create A10-x
}

teardown() {
	touch stop
	regions_stop
}

# on BROKER [FORMAT]: what is there.
on() {
	dfb-ctl peek --broker "$1" -c 1000000 -f "${2:-%s\n}" A10-x
}

# load_start FORMAT [dfb-send option...]: a sender that never runs dry of numbered messages, in
# JSON as jq's FORMAT makes them, until load_stop.  Its status is in the file "status".
load_start() {
	local format=$1
	shift
	(while [ ! -e stop ]; do
		seq $((n + 1)) $((n += 2000))
	done | tee sent | jq --unbuffered -c "$format" | {
		dfb-send -J "$@" A10-x 2>err && echo 0 >status || echo $? >status
	}) 3>&- &
	LOAD=$!
}

load_stop() {
	touch stop
	wait $LOAD
	assert_eq 0 "$(cat status)"
}

count() {
	on "$1" | wc -l
}

@test "a broker that is killed and comes back in time has everything once" {
	load_start '{key: "k\(. % 50)", body: "\(.)"}' -w 500
	wait_for '[ "$(count a1)" -gt 2000 ]'
	broker_kill a1
	broker_start a1
	local had=$(count a1)
	wait_for '[ "$(count a1)" -gt '$((had + 1000))' ]'
	load_stop
	assert_match 'broker a1 is back' "$(cat err)"
	cmp <(cat <(on a1) <(on a2) | sort -n) sent
	run_status 1 grep -qx 1 <(cat <(on a1 '%p\n') <(on a2 '%p\n'))
}

@test "without keys, too: nothing goes to another broker" {
	load_start '{body: "\(.)"}' -w 500
	wait_for '[ "$(count a1)" -gt 2000 ] || [ "$(count a2)" -gt 2000 ]'
	local home=a1
	[ "$(count a1)" -gt 2000 ] || home=a2
	broker_kill $home
	broker_start $home
	wait_for 'grep -q "is back" err'
	load_stop
	cmp <(cat <(on a1) <(on a2) | sort -n) sent
	run_status 1 grep -qx 1 <(cat <(on a1 '%p\n') <(on a2 '%p\n'))
}

@test "what a dead broker did not confirm goes to another one, marked, in order" {
	load_start '{key: "k\(. % 50)", body: "\(.)"}' -w 500 --failover-after 200ms
	wait_for '[ "$(count a1)" -gt 2000 ]'
	broker_kill a1
	wait_for 'on a2 "%p\n" | grep -qx 1'
	load_stop
	assert_match 'broker a1 is gone for 200ms; its messages go to another one, as possible' \
	    "$(cat err)"
	on a2 '%p %s\n' >a2.got
	broker_start a1
	on a1 '%s\n' | sort >a1.got
	# Nothing is lost; what is at both brokers is marked at the second one.
	cmp <(sort -nu a1.got <(cut -d' ' -f2 a2.got)) sent
	comm -12 a1.got <(cut -d' ' -f2 a2.got | sort) >both
	comm -12 a1.got <(grep '^1 ' a2.got | cut -d' ' -f2 | sort) | cmp - both
	# Each key is in order there.
	cut -d' ' -f2 a2.got | awk '{ k = $1 % 50; if ($1 <= last[k]) exit 1; last[k] = $1 }'
	# The marked ones were under way only.
	[ "$(grep -c '^1 ' a2.got)" -le 500 ]
}

@test "consumers see the mark, and copies by their id" {
	load_start '{body: "\(.)"}' -w 500 --failover-after 200ms
	wait_for '[ "$(count a1)" -gt 2000 ] || [ "$(count a2)" -gt 2000 ]'
	local home=a1 other=a2
	[ "$(count a1)" -gt 2000 ] || home=a2 other=a1
	broker_kill $home
	wait_for 'on $other "%p\n" | grep -qx 1'
	load_stop
	on $other '%p %i\n' | sed -n 's/^1 //p' | sort >marked
	run_status 0 dfb-recv -g env -o "$(on $other '%p %o\n' | sed -n 's/^1 //p' | head -n 1)" \
	    -c 1 A10-x -- sh -c 'echo "$DFB_POSSIBLE_DUPLICATE $DFB_ID"' >got
	grep -qxF "$(cut -d' ' -f2 got)" marked
	assert_eq 1 "$(cut -d' ' -f1 got)"
	broker_start $home
	dfb-recv -g json -J -e A10-x | jq -r 'select(.possible_duplicate == true) | .id' |
	    sort | cmp - marked
	dfb-recv -g format -f '%p %i\n' -e A10-x | sed -n 's/^1 //p' | sort | cmp - marked
	on $home '%i\n' | sort >first
	cat <(on a1 '%i\n') <(on a2 '%i\n') | sort | uniq -d >twice
	cmp twice <(comm -12 first marked)
}

@test "0 waits for ever, here as long as --wait" {
	dfb-send -k k -m one A10-x
	local home=a1
	[ "$(count a1)" -eq 1 ] || home=a2
	broker_kill $home
	run_status 69 dfb-send -k k -m two --failover-after 0 --wait 300ms A10-x
	assert_match "broker $home cannot be reached, for 300ms" "$stderr"
	# With another one it is there soon.
	run_status 0 dfb-send -k k -m three --failover-after 100ms A10-x
	assert_match "broker $home is gone for 100ms; its messages go to another one" "$stderr"
	assert_eq three "$(on $([ $home = a1 ] && echo a2 || echo a1))"
	assert_eq 0 "$(on $([ $home = a1 ] && echo a2 || echo a1) '%p')"
}

@test "with no other broker it goes on waiting" {
	broker_kill a2
	local pid
	dfb-send -k k -m one --failover-after 50ms A10-x 2>err
	broker_kill a1
	run_status 69 dfb-send -k k -m two --failover-after 50ms --wait 300ms A10-x
	dfb-send -k k -m three --failover-after 50ms A10-x &
	pid=$!
	broker_start a1
	wait $pid
	assert_eq one,three "$(on a1 | paste -sd,)"
}

@test "a broker that drains counts as gone after that time" {
	dfb-send -k k -m one A10-x
	local home=a1 other=a2
	[ "$(count a1)" -eq 1 ] || home=a2 other=a1
	dfb-ctl broker drain $home
	run_status 0 dfb-send -k k -m two --failover-after 100ms A10-x
	assert_eq two "$(on $other)"
	assert_eq 0 "$(on $other '%p')"
	run_status 75 dfb-send -k k -m three --no-wait A10-x
	run_status 0 dfb-send -m four --no-wait A10-x
	assert_eq two,four "$(on $other | paste -sd,)"
}
