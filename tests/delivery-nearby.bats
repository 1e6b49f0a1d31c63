# Section 6, nearby subscribe and multi-active: two regions of two brokers each.

load helper
load regions

setup() {
	regions_start --grow-delay 20ms --shrink-delay 50ms
	cd "$BUS" || return 1
	dfb-ctl topic create A10-pay
	dfb-ctl topic create B20-pay
}

teardown() {
	regions_stop
}

# total TOPIC GROUP: how many queues each region's instances have.
regions_of() {
	dfb-ctl group show --json "$1" g | jq -r '[.per_broker[].members[] |
	    select(.queues > 0) | .region] | unique | join(" ")'
}

@test "a region's queues belong to its own instances while it has one" {
	recv a A10 pay
	recv b B20 pay
	members A10-pay g 4
	members B20-pay g 4
	assert_eq A10 "$(regions_of A10-pay)"
	assert_eq B20 "$(regions_of B20-pay)"
	seq 100 | dfb-send -R A10 pay
	seq 101 200 | dfb-send -R B20 pay
	wait_for '[ $(cat a.out b.out | wc -l) = 200 ]'
	seq 100 | cmp - <(awk '{ print $NF }' a.out)
	seq 101 200 | cmp - <(awk '{ print $NF }' b.out)
	assert_eq A10-pay "$(cut -d ' ' -f 1 a.out | sort -u)"
}

@test "takeover when the last one dies, hand-back when one returns" {
	recv a A10 pay
	recv b B20 pay
	members A10-pay g 4
	kill -9 $RECV_a
	wait $RECV_a || true
	wait_for '[ "$(regions_of A10-pay)" = B20 ]'
	seq 10 | dfb-send -R A10 pay
	wait_for '[ $(wc -l <b.out) = 10 ]'
	recv a2 A10 pay
	members A10-pay g 4
	wait_for '[ "$(regions_of A10-pay)" = A10 ]'
	seq 11 20 | dfb-send -R A10 pay
	wait_for '[ $(wc -l <a2.out) = 10 ]'
	assert_eq 10 "$(wc -l <b.out)"
	assert_eq 0 "$(dfb-ctl group show --json A10-pay g | jq .redelivered)"
}

@test "hand-back waits for what is out, and delivers nothing twice" {
	mkfifo stuck
	dfb-recv -R B20 -g g -I far pay -- sh -c 'read -r n; [ "$n" != 1 ] || cat <stuck; echo $n >>far' 3>&- &
	CHILDREN+=($!)
	members A10-pay g 2
	seq 5 | dfb-send -R A10 pay
	wait_for "[ \$(dfb-ctl group show --json A10-pay g | jq .out) -ge 1 ]"
	dfb-recv -R A10 -g g -I near pay -- sh -c 'read -r n; echo $DFB_TRY $n >>near' 3>&- &
	CHILDREN+=($!)
	members A10-pay g 4
	: >stuck
	seq 6 10 | dfb-send -R A10 pay
	wait_for '[ $(cat far near | wc -l) = 10 ]'
	assert_eq 0 "$(dfb-ctl group show --json A10-pay g | jq .redelivered)"
	seq 10 | cmp - <(cat far near | awk '{ print $NF }' | sort -n)
	! grep -qv '^1 ' near
}

@test "who names the topic, or has no region, is as near as any" {
	recv a A10 pay
	recv topic B20 A10-pay
	env -u DFB_REGION dfb-recv -g g -I none pay >none.out 3>&- &
	CHILDREN+=($!)
	members A10-pay g 6
	dfb-ctl topic set A10-pay --queues 3
	wait_for '[ "$(shares A10-pay g | tr "\n" " ")" = "a 2 none 2 topic 2 " ]'
}

@test "calls under load go on from the other region when the only consumer dies" {
	dfb-recv -R A10 -g g -I a pay --coproc -- \
	    jq -c --unbuffered '{id, body: ("a" + .body)}' 3>&- &
	a=$!
	dfb-recv -R B20 -g g -I b pay --coproc -- \
	    jq -c --unbuffered '{id, body: ("b" + .body)}' 3>&- &
	CHILDREN+=($!)
	members A10-pay g 4
	members B20-pay g 4
	mkfifo in
	dfb-call -R A10 -l -t 10s pay <in >out 2>err 3>&- &
	caller=$!
	exec 8>in
	seq 200 >&8
	wait_for '[ $(wc -l <out) = 200 ]'
	! grep -q b out
	kill -9 $a # nothing is out: no call can be lost
	wait $a || true
	seq 201 400 >&8
	exec 8>&-
	wait $caller
	assert_eq 400 "$(wc -l <out)"
	assert_eq b400 "$(tail -n 1 out)"
	assert_eq '' "$(cat err)"
}

@test "calls under load: none fails when the region's only consumer is killed, nor when one is back" {
	dfb-ctl topic create A10-rpc --durability async
	dfb-recv -R A10 -g g -I a rpc --coproc -- jq -c --unbuffered '{id, body}' 3>&- &
	a=$!
	dfb-recv -R B20 -g g -I b rpc --coproc -- jq -c --unbuffered '{id, body}' 3>&- &
	CHILDREN+=($!)
	members A10-rpc g 4
	dfb-bench call --no-server -R A10 -w 32 -s 100 -N 12000 -J A10-rpc >got 2>err 3>&- &
	load=$!
	settled() { dfb-ctl group show --json A10-rpc g | jq .settled; }
	wait_for '[ "$(settled)" -gt 2000 ]'
	kill -9 $a # in the midst of some
	wait $a || true
	wait_for '[ "$(settled)" -gt 6000 ]'
	dfb-recv -R A10 -g g -I a2 rpc --coproc -- jq -c --unbuffered '{id, body}' 3>&- &
	CHILDREN+=($!)
	wait $load
	assert_eq '12000 0' "$(jq -r '"\(.count) \(.failed)"' got)"
}
