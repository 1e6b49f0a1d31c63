# Scheduled messages: delivered at their time and once, listed, cancelled.

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	read -r STDOUT < <(readlink "/proc/$$/fd/1")
	S=$(mktemp -d "${TMPDIR:-/tmp}/dfb.XXXXXX") # for sockets: paths are limited
	export DFB_NAMES=ipc://$S/n.sock DFB_REGION=A10
	daemon_start names dfb-names -b "$DFB_NAMES" -d names.d
	broker b1
}

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 20 ./*.log >&2
	daemons_stop
	rm -rf "$S"
}

# broker NAME [option...]
broker() {
	daemon_start "$1" dfb-broker -N "$1" -b "ipc://$S/$1.sock" -d "$S/$1" --min-free 0 \
	    --keep 20ms "${@:2}"
}

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
stat_of() { dfb-ctl --json broker stats b1 | jq -r "if type == \"array\" then .[0] else . end | .$1"; }
scheduled() { dfb-ctl --json topic show "$1" | jq -r .scheduled; }
ids() { dfb-ctl timer list --json "$@" | jq -r '.[].id'; }

@test "--delay: not before its time, and then; what comes later goes first" {
	dfb-ctl topic create A10-x
	before=$(now_ms)
	run_status 0 dfb-send --delay 1500ms -m second A10-x
	run_status 0 dfb-send -m first A10-x
	assert_eq 1 "$(scheduled A10-x)"
	run_status 0 dfb-recv -g g -c 2 -J A10-x >out
	after=$(now_ms)
	assert_eq 'first second' "$(jq -r .body out | paste -sd' ')"
	[ $((after - before)) -ge 1500 ]
	due=$(jq -r 'select(.body == "second").due' out)
	[ "$due" -ge $((before + 1500)) ] && [ "$after" -ge "$due" ]
	assert_eq null "$(jq -r 'select(.body == "first").due' out)"
	assert_eq 0 "$(scheduled A10-x)"
}

@test "--at and \"due\": in the order of their times, then of sending; times that are past" {
	dfb-ctl topic create A10-x
	due=$(($(now_ms) + 2000))
	for i in $(seq 1000); do
		echo "{\"body\":\"$i\",\"due\":$((due + (i % 2 ? 0 : 50)))}"
	done | run_status 0 dfb-send -J A10-x
	run_status 0 dfb-send --at 2020-01-31T12:00:00Z -m past A10-x
	run_status 0 dfb-send --at @86400 -m past A10-x
	run_status 0 dfb-recv -g g -c 1002 A10-x >out
	{ echo past; echo past; seq 1 2 999; seq 2 2 1000; } | cmp - out
	# What was delivered can be sent again: it goes in at once.
	dfb-ctl topic create A10-y
	run_status 0 dfb-recv --peek -J A10-x >all
	run_status 0 dfb-send -J A10-y <all
	run_status 0 dfb-recv -g g -e -J A10-y >again
	assert_eq "$(jq -c '[.id, .due]' all)" "$(jq -c '[.id, .due]' again)"
}

@test "what cannot be scheduled" {
	dfb-ctl topic create A10-x
	dfb-ctl topic create --durability memory A10-m
	for at in tomorrow '' 12:00; do
		run_status 64 dfb-send --at "$at" -m x A10-x
		assert_match '--at takes a time' "$stderr"
	done
	run_status 64 dfb-send --at @1 --delay 1s -m x A10-x
	assert_match '--at or --delay' "$stderr"
	run_status 64 dfb-send --delay 1 --at @1 -m x A10-x
	run_status 64 dfb-send --delay 40000d -m x A10-x
	run_status 65 dfb-send --delay 1h -m x A10-m
	assert_match 'send to a durable one' "$stderr"
	echo '{"due":9999999999999,"expires":9999999999999}' >wrong
	run_status 65 dfb-send -J A10-x wrong
	assert_match 'expires before it is due' "$stderr"
	echo '{"due":"soon"}' >wrong
	run_status 65 dfb-send -J A10-x wrong
	yes '{"due":9999999999999}' | head -n 5001 >many
	run_status 65 dfb-send -A -J A10-x many
	assert_match 'at most 5000 scheduled messages' "$stderr"
	assert_eq 0 "$(scheduled A10-x)"
	head -n 5000 many >fits
	run_status 0 dfb-send -A -J A10-x fits
	assert_eq 5000 "$(scheduled A10-x)"
}

@test "a lifetime begins when the message is due" {
	dfb-ctl topic create A10-x
	due=$(($(now_ms) + 86400000))
	echo "{\"due\":$due,\"ttl\":5000}" | dfb-send -J A10-x
	echo "{\"ttl\":5000,\"due\":$due}" | dfb-send -J A10-x
	echo "{\"due\":$due}" | dfb-send -J -t 5s A10-x
	dfb-send --at "@$((due / 1000 + 1))" -t 5s -m x A10-x
	run_status 0 dfb-ctl timer list --json A10-x >list
	assert_eq '[5000,5000,5000,5000]' "$(jq -c 'map(.expires - .due)' list)"
}

@test "timer list: what is due first, of this topic, and as many as asked for" {
	dfb-ctl topic create A10-x
	dfb-ctl topic create A10-y
	base=$(($(now_ms) + 3600000))
	for i in $(seq 3000); do
		echo "{\"body\":\"12345\",\"due\":$((base + 3000 - i))}"
	done | dfb-send -J A10-x
	dfb-send --delay 1h -k ann -m y A10-y
	run_status 0 dfb-ctl timer list --json -c 5000 A10-x >all
	assert_eq 3000 "$(jq '[.[] | select(.bytes == 5 and .broker == "b1")] | unique_by(.id) | length' all)"
	assert_eq true "$(jq '(map(.due) | . == sort)' all)"
	assert_eq "[$base,$((base + 1)),$((base + 2))]" \
	    "$(dfb-ctl timer list --json -c 3 A10-x | jq -c 'map(.due)')"
	run_status 0 dfb-ctl timer list A10-x
	assert_eq 102 "$(wc -l <<<"$output")"
	assert_match 'and 2900 more' "$output"
	run_status 0 dfb-ctl timer list A10-y
	assert_eq 2 "$(wc -l <<<"$output")"
	assert_match ann "$output"
	assert_eq '3000 1' "$(scheduled A10-x) $(scheduled A10-y)"
	assert_eq 3001 "$(stat_of scheduled)"
	[ "$(stat_of scheduled_in_memory)" -le 2000 ]
	run_status 69 dfb-ctl timer list A10-z
}

@test "timer cancel: says whether it was in time" {
	dfb-ctl topic create A10-x
	for i in $(seq 1500); do
		echo "{\"body\":\"$i\",\"due\":$((9000000000000 + i))}"
	done | dfb-send -J A10-x
	mapfile -t id < <(ids -c 1500 A10-x)
	for i in 0 999 1499; do # the last is not in the broker's memory
		run_status 0 dfb-ctl timer cancel A10-x "${id[i]}"
		run_status 1 dfb-ctl timer cancel A10-x "${id[i]}"
		assert_match 'is not scheduled' "$stderr"
	done
	assert_eq 1497 "$(scheduled A10-x)"
	assert_eq 1497 "$(ids -c 5000 A10-x | wc -l)"
	kill9 b1
	broker b1
	for i in 0 999 1499; do
		run_status 1 dfb-ctl timer cancel A10-x "${id[i]}"
	done
	run_status 0 dfb-ctl timer cancel --json A10-x "${id[1]}" >done
	assert_eq "${id[1]} 1 b1" "$(jq -r '.[] | "\(.id) \(.cancelled) \(.broker)"' done)"
	assert_eq 1496 "$(scheduled A10-x)"

	dfb-send --delay 50ms -m soon A10-x
	run_status 0 dfb-recv -g g -c 1 -J A10-x >out
	run_status 1 dfb-ctl timer cancel A10-x "$(jq -r .id out)"
	assert_match 'was delivered at 20' "$stderr"
	assert_match 'queue 0 offset 0' "$stderr"
	run_status 64 dfb-ctl timer cancel A10-x ''
	run_status 1 dfb-ctl timer cancel A10-x nonsense
	dfb-send -i invoice-17 --delay 1h -m later A10-x
	run_status 0 dfb-ctl timer cancel A10-x invoice-17
	run_status 1 dfb-ctl timer cancel A10-x invoice-17
	run_status 69 dfb-ctl timer cancel A10-z "${id[1]}"
	run_status 1 dfb-ctl timer cancel A10-x 00000000-0000-4000-8000-000000000000
}

@test "one id, scheduled twice: both go; the others of the topic stay" {
	dfb-ctl topic create A10-x
	id=00000000-0000-4000-8000-000000000001
	# (-i would have the second known by it.)
	dfb-send --delay 1h -J -m "{\"id\":\"$id\"}" A10-x
	dfb-send --delay 2h -J -m "{\"id\":\"$id\"}" A10-x
	dfb-send --delay 2h -i 00000000-0000-4000-8000-000000000002 -m three A10-x
	assert_eq 2 "$(dfb-ctl timer cancel --json A10-x $id | jq '.[].cancelled')"
	assert_eq 1 "$(scheduled A10-x)"
}

@test "a broker that stops, or is killed: at their times, once; counts are kept" {
	dfb-ctl topic create A10-x --queues 2
	dfb-ctl topic create A10-a --durability async
	yes '{"due":9999999999999}' | head -n 300 >far
	due=$(($(now_ms) + 1500))
	seq 500 | sed "s/.*/{\"body\":\"&\",\"due\":$due}/" >in
	run_status 0 dfb-send -J A10-x in far
	run_status 0 dfb-send -J A10-a in far
	kill9 b1 # async too: what is scheduled is stored before it is confirmed
	broker b1
	kill "$PID_b1"
	wait "$PID_b1"
	broker b1
	run_status 0 dfb-recv -g g -c 500 A10-x >x
	run_status 0 dfb-recv -g g -c 500 A10-a >a
	[ "$(now_ms)" -ge "$due" ]
	seq 500 | cmp - a
	seq 500 | cmp - <(sort -n x)
	wait_for '[ "$(scheduled A10-x) $(scheduled A10-a)" = "300 300" ]'
	kill9 b1
	broker b1
	assert_eq '300 300' "$(scheduled A10-x) $(scheduled A10-a)"
	assert_eq 500 "$(dfb-ctl --json topic show A10-x | jq .messages)"
}

@test "late, when there was no broker at the time" {
	dfb-ctl topic create A10-x
	due=$(($(now_ms) + 300))
	seq 3000 | sed "s/.*/{\"body\":\"&\",\"due\":$due}/" | dfb-send -J A10-x
	kill9 b1
	wait_for "[ \$((\${EPOCHREALTIME/./} / 1000)) -gt $due ]"
	broker b1
	run_status 0 dfb-recv -g g -c 3000 A10-x >out
	seq 3000 | cmp - out
}

@test "a topic that is deleted takes its scheduled messages with it" {
	dfb-ctl topic create A10-x
	dfb-ctl topic create A10-y
	yes '{"due":9999999999999}' | head -n 4000 | dfb-send -J A10-x
	dfb-send --delay 1h -m stays A10-y
	dfb-ctl topic delete -y A10-x
	assert_eq 1 "$(stat_of scheduled)"
	kill9 b1 # in the midst of it, perhaps
	broker b1
	assert_eq 1 "$(stat_of scheduled)"
	dfb-ctl topic create A10-x
	assert_eq '' "$(ids A10-x)"
	assert_eq 1 "$(ids A10-y | wc -l)"
}

@test "a draining broker takes no scheduled messages, says that it has some, delivers them" {
	dfb-ctl topic create A10-x
	dfb-send --delay 2s -m x A10-x
	run_status 0 dfb-ctl broker drain --wait b1
	assert_match "1 messages stay scheduled" "$stderr"
	run_status 75 dfb-send --no-wait --delay 1s -m y A10-x
	run_status 0 dfb-recv -g g -c 1 A10-x >out
	assert_eq x "$(cat out)"
	run_status 0 dfb-ctl broker drain --wait b1
	assert_eq '' "$stderr"
}

@test "gray release: the lane is chosen when the message is due" {
	dfb-ctl topic create A10-x
	dfb-ctl gray set A10-x new --header v=2
	run_status 0 dfb-send --delay 300ms -H v=2 -m x A10-x # nobody has to be there yet
	run_status 0 dfb-recv -g g -G new -c 1 A10-x >out
	assert_eq x "$(cat out)"
}

@test "several brokers: one list; each is asked to cancel" {
	broker b2
	dfb-ctl topic create A10-x
	for i in $(seq 16); do # one sender sends to one broker
		dfb-send --delay 1h -m "$i" A10-x
	done
	run_status 0 dfb-ctl timer list --json A10-x >list
	assert_eq '["b1","b2"]' "$(jq -c '[.[].broker] | unique' list)"
	assert_eq 'true 16' "$(jq -r '"\(map(.due) | . == sort) \(length)"' list)"
	for id in $(jq -r '.[].id' list); do
		run_status 0 dfb-ctl timer cancel A10-x "$id"
	done
	assert_eq 0 "$(scheduled A10-x)"
	kill9 b2
	run_status 69 dfb-ctl timer cancel --timeout 1s A10-x "$id"
}

@test "kill -9 while messages are scheduled, cancelled and fired: each exactly once" {
	run_status 0 "$BATS_TEST_DIRNAME/crash/scheduled" -n 20000 -k 3
	run_status 0 "$BATS_TEST_DIRNAME/crash/scheduled" -n 10000 -k 2 -d async -b 900
}
