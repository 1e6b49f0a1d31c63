# Senders and callers name a service, and do not care where it is: one broker in each of two
# regions, a gsl in each, and an sgs.

load helper
load regions

setup() {
	BROKERS="a1 b1" regions_start
	sgs_start
	gsl_start g1 A10
	gsl_start g2 B20
	cd "$BUS" || return 1
}

teardown() {
	daemons_stop
	regions_stop
}

# online SERVICE [settings]: in both regions.
online() {
	service_made "$@"
	service deploy "$1" A10 >/dev/null
	service deploy "$1" B20 >/dev/null
	deployed "$1" A10
	deployed "$1" B20
}

# serve REGION: an instance that answers where it is; its process id is in SERVE_REGION.
serve() {
	dfb-recv -q -R "$1" -g calc --coproc calc -- \
	    jq -c --unbuffered --arg r "$1" '{id, body: "\(.body) \($r)"}' 2>"serve.$1" 3>&- &
	printf -v "SERVE_$1" %s $!
	CHILDREN+=($!)
}

serve_both() {
	serve A10
	serve B20
	members A10-calc calc 2
	members B20-calc calc 2
}

# call REGION [option...]: who answers from there.
call() {
	dfb-call -R "$1" "${@:2}" -m 1 calc
}

# count TOPIC: messages that came in.
count() {
	dfb-ctl topic show --json "$1" | jq '[.. | objects | .in? // empty] | max'
}

@test "the nearest answers; without its consumer or its broker the next one does" {
	online calc
	serve_both
	assert_eq "1 A10" "$(call A10)"
	assert_eq "1 B20" "$(call B20)"
	kill9 a1
	assert_eq "1 B20" "$(call A10)"
	broker_start a1
	members A10-calc calc 2
	kill -9 "$SERVE_A10"
	wait_for '[ "$(call A10)" = "1 B20" ]'
}

@test "an open breaker: the next place answers" {
	mkfifo stuck
	online calc '{"max_depth":5}'
	dfb-recv -q -R A10 -g calc --credit 1 A10-calc -- sh -c 'cat <stuck' 2>/dev/null 3>&- &
	local stuck=$!
	dfb-recv -q -R B20 -g calc B20-calc -- sh -c 'printf "%s B20" "$(cat)"' 2>/dev/null 3>&- &
	CHILDREN+=($!)
	members A10-calc calc 1
	members B20-calc calc 1
	wait_for '! dfb-send -q --no-wait -m x A10-calc'
	wait_for "[ \$(dfb-ctl group show --json A10-calc calc | jq .out) = 1 ]"
	wait_for '! dfb-send -q --no-wait -m x A10-calc'
	run call A10
	kill -9 $stuck
	assert_eq "1 B20" "$output"
}

@test "where a service is suspended nothing goes; where it is online nowhere that is said" {
	online calc
	serve_both
	service suspend calc A10 >/dev/null
	wait_for '[ "$(call A10)" = "1 B20" ]'
	service suspend calc B20 >/dev/null
	wait_for '! call A10 2>/dev/null'
	run_status 69 call A10
	assert_match "online nowhere" "$stderr"
	assert_match "A10 suspended" "$stderr"
	run_status 69 dfb-send -R A10 -m x calc
	assert_match "B20 suspended" "$stderr"
	# Topics, and services that are in no catalogue, are found as they are.
	dfb-send -m x A10-calc
	dfb-ctl topic create A10-plain
	dfb-send -m x plain
	service resume calc A10 >/dev/null
	wait_for '[ "$(call B20)" = "1 A10" ]'
}

@test "a change reaches a sender at work" {
	online calc
	mkfifo lines
	dfb-send -R A10 calc <lines 2>send.err 3>&- &
	local sender=$!
	CHILDREN+=($sender)
	exec 8>lines
	seq 100 >&8
	wait_for '[ "$(count A10-calc)" = 100 ]'
	assert_eq 0 "$(count B20-calc)"
	service weight calc A10 '"weight":0' >/dev/null
	wait_for 'echo more >&8; [ "$(count B20-calc)" -gt 0 ]'
	local before
	before=$(count A10-calc)
	seq 100 >&8
	exec 8>&-
	wait $sender
	assert_eq "$before" "$(count A10-calc)"
}

@test "a rule for keys: from everywhere to their region, in order" {
	online calc
	sgs affinity.add '{"service":"calc","rules":[{"region":"B20","prefix":"cn-"}]}' >/dev/null
	wait_for '[ "$(dfb-ctl service locate --json -R A10 -k cn-1 calc | jq -r .places[0].region)" = B20 ]'
	wait_for '[ "$(dfb-ctl ask g2 locate "{\"service\":\"calc\",\"region\":\"A10\",\"key\":\"cn-1\"}" | jq -r .places[0].region)" = B20 ]'
	jq -nc 'range(300) | {key: "\(["cn-", "de-"][. % 2])\(. % 5)", body: "\(.)"}' |
	    dfb-send -J -R A10 calc
	assert_eq 150 "$(count B20-calc)"
	assert_eq 150 "$(count A10-calc)"
	dfb-recv -g all -e -J B20-calc | jq -r '"\(.key) \(.body)"' >got
	! grep -v '^cn-' got
	for k in 0 1 2 3 4; do
		grep "^cn-$k " got | awk '{ print $2 }' | sort -c -n
	done
}

@test "gsls die: clients go on, new ones too; without the sgs all goes on but changes" {
	online calc
	serve_both
	mkfifo lines
	dfb-call -q -R A10 -l -t 20s calc <lines >replies 2>call.err 3>&- &
	local caller=$! n=0
	CHILDREN+=($caller)
	exec 8>lines
	goes_on() {
		local i
		for i in 1 2 3 4 5; do
			n=$((n + 1))
			echo $n >&8
			wait_for "[ \$(wc -l <replies) = $n ]"
		done
		assert_eq "$n A10" "$(tail -n 1 replies)"
	}
	goes_on
	kill9 sgs
	goes_on
	assert_eq "1 B20" "$(call B20)"
	run_status 69 dfb-ctl service suspend --timeout 200ms calc A10
	kill9 g1
	goes_on
	assert_eq "1 A10" "$(call A10)" # by the other gsl
	kill9 g2
	goes_on
	assert_eq "1 A10" "$(call A10)"
	# All are back: what changes now reaches the caller that was there all the time.
	sgs_start 8>&-
	gsl_start g2 B20 8>&-
	goes_on
	service weight calc A10 '"weight":0' >/dev/null
	moved() {
		n=$((n + 1))
		echo $n >&8
		wait_for "[ \$(wc -l <replies) = $n ]"
		[ "$(tail -n 1 replies)" = "$n B20" ]
	}
	wait_for moved
	exec 8>&-
	wait $caller
	assert_eq $n "$(wc -l <replies)"
}
