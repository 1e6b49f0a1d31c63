# Section 6, queues follow consumers; and the order of keys while they do.

load helper
load regions

setup() {
	BROKERS="a1 a2" regions_start --grow-delay 100ms --shrink-delay 300ms
	cd "$BUS" || return 1
	export DFB_REGION=A10
}

teardown() {
	regions_stop
}

# states TOPIC [BROKER]: of its queues, in order.
states() {
	dfb-ctl topic show --json "$1" | jq -r --arg b "${2:-a1}" \
	    '[.per_broker[] | select(.broker == $b) | .queues[].state] | join(" ")'
}

@test "one more instance: a queue that is readable now, and writable after a while" {
	dfb-ctl topic create A10-x --grow-delay 1h
	recv one A10 A10-x
	recv two A10 A10-x
	members A10-x g 4
	for b in a1 a2; do wait_for "[ \"\$(states A10-x $b)\" = 'open closed' ]"; done
	assert_eq "one 2 two 2" "$(shares A10-x g | paste -sd ' ')"
	seq 100 | dfb-send A10-x
	seq 100 | dfb-send A10-x
	assert_eq 200 "$(dfb-ctl topic show --json A10-x | jq '[.per_broker[].queues[] | select(.state == "open") | .next] | add')"
	dfb-ctl topic set A10-x --grow-delay 10ms
	recv three A10 A10-x
	for b in a1 a2; do wait_for "[ \"\$(states A10-x $b)\" = 'open open open' ]"; done
}

@test "fewer: not writable now, gone when drained; history stays for new groups" {
	dfb-ctl topic create A10-x --shrink-delay 50ms
	recv one A10 A10-x
	recv two A10 A10-x
	for b in a1 a2; do wait_for "[ \"\$(states A10-x $b)\" = 'open open' ]"; done
	dfb-recv -g slow -c 1 A10-x --credit 1 >slow 3>&- & # another group, which stops early
	seq 1000 | dfb-send A10-x
	wait_for '[ $(cat one.out two.out | wc -l) = 1000 ]'
	kill $RECV_two
	wait $RECV_two || true
	members A10-x g 2
	# The slow group has not had it yet: nothing may be stranded.
	for b in a1 a2; do wait_for "[[ \$(states A10-x $b) = 'open closed' ]] || [ \$(dfb-ctl topic show --json A10-x | jq '[.per_broker[] | select(.broker == \"$b\") | .messages] | add') = 0 ]"; done
	seq 1001 1100 | dfb-send A10-x
	run_status 0 dfb-recv -g slow -e -f '%s\n' A10-x >>slow
	seq 1100 | cmp - <(sort -n slow)
	for b in a1 a2; do
		wait_for "[ \"\$(dfb-ctl topic show --json A10-x | jq -r '[.per_broker[] |
		    select(.broker == \"$b\") | .queues[] | select(.state != \"history\")] | length')\" = 1 ]"
	done
	run_status 0 dfb-recv -g new -e A10-x >new
	seq 1100 | cmp - <(sort -n new)
}

@test "within the bounds; fixed is fixed; broadcast and far instances do not count" {
	dfb-ctl topic create A10-x --queues 2-3
	dfb-ctl topic create A10-f --queues 1
	assert_eq "open open" "$(states A10-x)"
	for i in 1 2 3 4 5; do recv i$i A10 A10-x A10-f; done
	members A10-x g 10
	wait_for '[ "$(states A10-x)" = "open open open" ]'
	members A10-f g 10
	assert_eq open "$(states A10-f)"
	dfb-ctl topic create A10-y
	for i in 1 2; do
		dfb-recv -b -g all -I $i A10-y 3>&- &
		CHILDREN+=($!)
		dfb-recv -R B20 -g g -I far$i y 3>&- &
		CHILDREN+=($!)
	done
	members A10-y g 4
	assert_eq open "$(states A10-y)"
}

@test "a broker's restart changes nothing before its consumers are back" {
	dfb-ctl topic create A10-x --queues auto
	recv one A10 A10-x
	recv two A10 A10-x
	recv three A10 A10-x
	wait_for '[ "$(states A10-x)" = "open open open" ]'
	seq 300 | jq -c '{key: (. % 50 | tostring), body: tostring}' | dfb-send -J A10-x
	wait_for '[ $(cat *.out | wc -l) = 300 ]'
	kill9 a1
	broker_start a1 --grow-delay 1h
	assert_eq "open open open" "$(states A10-x)"
	members A10-x g 6
	assert_eq "open open open" "$(states A10-x)"
}

# Handlers write to one file, so that its order is the order of handling.  in_order FILE: for
# each key the numbers rise, a repeated one (after a kill) apart.
in_order() {
	awk '{ if ($2 > last[$1]) { if ($2 != last[$1] + 1) bad = bad " gap:" $0; last[$1] = $2 }
	    else if (!again) bad = bad " back:" $0 }
	    END { if (bad != "") { print bad; exit 1 } }' again="${2:-0}" "$1"
}

# For JOIN_SECONDS at least: make torture has a minute of it.
@test "instances join and leave under load: order by key holds, nothing is lost" {
	local n=0 keys=40 i step pids=() at end=$((SECONDS + ${JOIN_SECONDS:-0}))
	dfb-ctl topic create A10-x --grow-delay 20ms --shrink-delay 40ms
	: >all
	start() {
		dfb-recv -g g --credit 20 -f '%k %s\n' A10-x >>all 2>>err 3>&- 8>&- &
		pids+=($!)
	}
	start
	mkfifo in
	dfb-send -J -w 50 A10-x <in 3>&- &
	sender=$!
	exec 8>in
	for ((step = 0; step < 40 || SECONDS < end; step++)); do
		((n += 200))
		seq $((n - 199)) $n | jq -c --argjson k $keys \
		    '{key: "k\(. % $k)", body: ((. - 1) / $k | floor + 1 | tostring)}' >&8
		if ((${#pids[@]} < 4 && RANDOM % 2)) || ((${#pids[@]} < 2)); then
			start
		else
			at=$((RANDOM % ${#pids[@]}))
			kill ${pids[at]}
			wait ${pids[at]} || true
			pids=("${pids[@]:0:at}" "${pids[@]:at+1}")
		fi
	done
	exec 8>&-
	wait $sender
	wait_for "[ \$(sort -u all | wc -l) = $n ]"
	assert_eq $n "$(wc -l <all)" # planned leaves: nothing twice
	in_order all
	echo "$step joins and leaves, $n messages"
	for i in "${pids[@]}"; do kill $i; wait $i || true; done
	assert_eq 0 "$(dfb-ctl group show --json A10-x g | jq .lag)"
	wait_for '[ "$(dfb-ctl topic show --json A10-x | jq "[.per_broker[].queues[] |
	    select(.state != \"history\")] | length")" = 2 ]'
}

@test "a key that moved twice still waits for where it was first" {
	local n key
	for n in 2 3; do
		dfb-ctl topic create A10-t$n --broker a1 --queues $n
		seq 40 | jq -c '{key: "k\(.)", body: "x"}' | dfb-send -J A10-t$n
		dfb-recv --peek -f '%k %q\n' A10-t$n | sort >in$n
	done
	key=$(join in2 in3 | awk '$2 == 1 && $3 == 2 { print $1; exit }')
	dfb-ctl topic create A10-x --broker a1 --queues 2
	mkfifo stuck
	dfb-recv -g g --credit 9 -j 9 A10-x -- sh -c 'read -r n; [ $n != 1 ] || cat <stuck; echo $n >>done' 3>&- &
	CHILDREN+=($!)
	members A10-x g 1
	dfb-send -k "$key" -m 1 A10-x
	wait_for "[ \$(dfb-ctl group show --json A10-x g | jq .out) = 1 ]"
	dfb-ctl topic set A10-x --queues 1
	dfb-ctl topic set A10-x --queues 3
	dfb-send -k "$key" -m 2 A10-x
	wait_for "[ \$(dfb-ctl group show --json A10-x g | jq .lag) = 2 ]"
	assert_eq 1 "$(dfb-ctl group show --json A10-x g | jq .out)"
	: >stuck
	wait_for '[ $(wc -l <done) = 2 ]'
	assert_eq '1 2' "$(paste -sd ' ' done)"
}
