# Section 6, gray release: lanes, rules, refuse and fallback.

load helper
load regions

setup() {
	BROKERS="a1 a2" regions_start --grow-delay 20ms --shrink-delay 50ms
	cd "$BUS" || return 1
	export DFB_REGION=A10
	dfb-ctl topic create A10-x
	recv one A10 A10-x
	members A10-x g 2
}

teardown() {
	regions_stop
}

labelled() {
	recv "$1" A10 -G v2 A10-x
	wait_for "[ \$(dfb-ctl group show --json A10-x g | jq '[.per_broker[].members[] | select(.label == \"v2\")] | length') = ${2:-2} ]"
}

rules() {
	dfb-ctl gray list --json A10-x
}

@test "a header: to the label's instances, and nothing else is" {
	dfb-ctl gray set A10-x v2 --header ver=2
	labelled two
	seq 100 | dfb-send A10-x
	seq 101 200 | dfb-send -H ver=2 A10-x
	seq 201 300 | dfb-send -H ver=22 -H version=2 A10-x
	wait_for '[ $(cat one.out two.out | wc -l) = 300 ]'
	seq 101 200 | cmp - <(awk '{ print $NF }' two.out | sort -n)
	assert_eq 200 "$(wc -l <one.out)"
}

@test "10 % of the keys, the same ones always" {
	dfb-ctl gray set A10-x v2 --percent 10
	labelled two
	for round in 1 2; do
		seq 100000 | jq -c '{key: "customer-\(.)", body: "x"}' | dfb-send -J A10-x
		wait_for "[ \$(cat one.out two.out | wc -l) = $((round * 100000)) ]"
	done
	cut -d ' ' -f 3 two.out | sort | uniq -c | awk '{ print $1 }' | sort -u >counts
	assert_eq 2 "$(cat counts)" # each key of the share twice, and never at the others
	n=$(cut -d ' ' -f 3 two.out | sort -u | wc -l)
	echo "share: $n of 100000"
	[ "$n" -ge 9000 ] && [ "$n" -le 11000 ]
	# A second label has others.
	dfb-ctl gray set A10-x v3 --percent 10 --else fallback
	recv three A10 -G v3 A10-x
	wait_for '[ "$(rules | jq "[.[] | select(.label == \"v3\") | .instances] | add")" = 2 ]'
	seq 10000 | jq -c '{key: "customer-\(.)", body: "x"}' | dfb-send -J A10-x
	wait_for '[ $(cat one.out two.out three.out | wc -l) = 210000 ]'
	[ -s three.out ]
	assert_eq '' "$(comm -12 <(cut -d ' ' -f 3 two.out | sort -u) <(cut -d ' ' -f 3 three.out | sort -u))"
	run_status 65 dfb-ctl gray set A10-x v4 --percent 81
	assert_match "100 percent" "$stderr"
}

@test "a list of keys, also from a file" {
	dfb-ctl gray set A10-x v2 --keys alice,bob
	labelled two
	for k in alice bob alicia bo carol; do dfb-send -k $k -m $k A10-x; done
	wait_for '[ $(cat one.out two.out | wc -l) = 5 ]'
	assert_eq 'alice bob' "$(awk '{ print $NF }' two.out | sort | paste -sd ' ')"
	printf 'carol\ndave\n' | dfb-ctl gray set A10-x v2 --keys-from -
	for k in alice carol; do dfb-send -k $k -m $k A10-x; done
	wait_for '[ $(cat one.out two.out | wc -l) = 7 ]'
	assert_eq carol "$(tail -n 1 two.out | awk '{ print $NF }')"
}

@test "no instance of the label alive: refuse says so, fallback is served by the others" {
	dfb-ctl gray set A10-x v2 --header ver=2
	run_status 75 dfb-send --no-wait -H ver=2 -m early A10-x
	assert_match "label 'v2'" "$stderr"
	labelled two
	dfb-send -H ver=2 -m here A10-x
	wait_for '[ -s two.out ]'
	kill -9 $RECV_two
	wait $RECV_two || true
	wait_for '[ "$(rules | jq "[.[].instances] | add")" = 0 ]'
	run_status 75 dfb-send --no-wait -H ver=2 -m no A10-x
	assert_match "no instance of that is alive" "$stderr"
	run_status 75 dfb-call -H ver=2 -m no A10-x
	assert_match "label 'v2'" "$stderr"
	dfb-ctl gray set A10-x v2 --header ver=2 --else fallback
	run_status 0 dfb-send --no-wait -H ver=2 -m yes A10-x
	wait_for 'grep -q "yes$" one.out'
	# And back, as soon as one is there again.
	labelled two2
	dfb-send -H ver=2 -m back A10-x
	wait_for 'grep -q "back$" two2.out'
}

@test "what waits for a dead label is kept, and goes to the others with the rule" {
	dfb-ctl gray set A10-x v2 --header ver=2
	mkfifo stuck
	dfb-recv -g g -G v2 --credit 1 A10-x -- sh -c 'cat <stuck' 3>&- &
	dead=$!
	wait_for '[ "$(rules | jq "[.[].instances] | add")" = 2 ]'
	seq 10 | dfb-send -H ver=2 A10-x
	kill -9 $dead
	wait $dead || true
	wait_for '[ "$(rules | jq "[.[].instances] | add")" = 0 ]'
	dfb-send -m 11 A10-x
	wait_for '[ $(wc -l <one.out) = 1 ]'
	dfb-ctl gray delete A10-x v2
	wait_for '[ $(wc -l <one.out) = 11 ]'
	seq 11 | cmp - <(awk '{ print $NF }' one.out | sort -n)
}

@test "rules are kept over a restart, and changed without one" {
	dfb-ctl gray set A10-x v2 --header ver=2 --keys k1,k2 --percent 12.5 --else fallback
	rules >before
	for b in a1 a2; do kill9 $b; broker_start $b; done
	members A10-x g 2
	rules >after
	cmp before after
	labelled two
	seq 50 | dfb-send -H ver=2 A10-x
	wait_for '[ $(wc -l <two.out) = 50 ]'
	dfb-ctl gray delete A10-x v2
	run_status 69 dfb-ctl gray delete A10-x v2
	assert_eq '[]' "$(rules | jq -c)"
	dfb-send -H ver=2 -m plain A10-x
	wait_for 'grep -q "plain$" one.out'
}

@test "a group that never had the label gets all messages" {
	dfb-recv -g log A10-x >log.out 3>&- &
	CHILDREN+=($!)
	wait_for "[ \$(dfb-ctl group show --json A10-x log | jq '[.per_broker[].members[]] | length') = 2 ]"
	dfb-ctl gray set A10-x v2 --header ver=2
	labelled two
	seq 100 | dfb-send -H ver=2 A10-x
	seq 101 200 | dfb-send A10-x
	wait_for '[ $(wc -l <log.out) = 200 ]'
	assert_eq 100 "$(wc -l <two.out)"
}

@test "labels have queues of their own, which follow their instances" {
	dfb-ctl gray set A10-x v2 --percent 50
	labelled two
	labelled two2 4
	wait_for '[ "$(rules | jq -c "[.[].queues]")" = "[2,2]" ]'
	seq 1000 | jq -c '{key: "k\(.)", body: "x"}' | dfb-send -J A10-x
	wait_for '[ $(cat one.out two.out two2.out | wc -l) = 1000 ]'
	[ -s two2.out ]
	dfb-ctl topic show A10-x | grep -q ' v2 '
	assert_eq 1000 "$(dfb-recv --peek A10-x | wc -l)"
}

@test "a label's queues that went and come back: no offset is used twice" {
	dfb-ctl topic create --broker a1 --durability memory A10-m
	dfb-recv -g g -f '%q %o %s\n' A10-m >m.out 3>&- &
	CHILDREN+=($!)
	lanes() {
		dfb-ctl topic show --json A10-m | jq '[.per_broker[].queues[] | select(.label == "v2")] | length'
	}
	for round in 1 2 3; do
		dfb-ctl gray set A10-m v2 --percent 100 --else fallback
		seq 10 | dfb-send A10-m
		wait_for "[ \$(wc -l <m.out) = $((round * 10)) ]"
		dfb-ctl gray delete A10-m v2
		wait_for '[ "$(lanes)" = 0 ]'
	done
	assert_eq 30 "$(cut -d ' ' -f 1,2 m.out | sort -u | wc -l)"
}

@test "bad rules" {
	run_status 64 dfb-ctl gray set A10-x v2
	run_status 64 dfb-ctl gray set A10-x v2 --else refuse
	run_status 64 dfb-ctl gray set A10-x v2 --percent 0
	run_status 64 dfb-ctl gray set A10-x v2 --percent 101
	run_status 64 dfb-ctl gray set A10-x v2 --percent x
	run_status 64 dfb-ctl gray set A10-x v2 --header =x
	run_status 64 dfb-ctl gray set A10-x v2 --keys a,,b
	run_status 64 dfb-ctl gray set A10-x v2 --percent 1 --else perhaps
	run_status 65 dfb-ctl gray set A10-x 'v 2' --percent 1
	run_status 69 dfb-ctl gray set A10-nowhere v2 --percent 1
	run_status 64 dfb-recv -g g -G 'v 2' A10-x
}
