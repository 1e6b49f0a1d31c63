# Messages that nobody listens to are told, once, and when that ends.

load helper

setup() {
	bus_start --broker-arg --keep=20ms --broker-arg --unlistened-after=50ms
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	bus_stop
}

log() { grep -F "event=$1 " "$BUS/log/b1.log"; }
count() { log "$1" | wc -l; }
stat_of() { dfb-ctl --json broker stats b1 | jq -r ".$1"; }

@test "a topic without a group, until one comes" {
	dfb-ctl topic create A10-x
	seq 3 | dfb-send A10-x
	wait_for "[ \$(count unlistened) -eq 1 ]"
	assert_match 'topic=A10-x queue=0 group="" waiting=3' "$(log unlistened)"
	assert_eq 1 "$(stat_of unlistened)"
	run_status 0 dfb-recv -g g -e A10-x
	wait_for "[ \$(count listened) -eq 1 ]"
	assert_match 'topic=A10-x queue=0 group="" after=' "$(log listened)"
	wait_for "[ \$(stat_of unlistened) -eq 0 ]"
	assert_eq 1 "$(count unlistened)"
}

@test "a group without a consumer; one with a consumer is no cause" {
	dfb-ctl topic create A10-x --queues 3
	dfb-recv -g busy A10-x >busy 2>/dev/null &
	reader=$!
	run_status 1 dfb-recv -g gone -e A10-x
	seq 30 | dfb-send A10-x
	wait_for "[ \$(count unlistened) -eq 1 ]"
	assert_match "topic=A10-x queue=all group=gone waiting=30" "$(log unlistened)"
	dfb-recv -g gone -c 30 A10-x >out
	wait_for "[ \$(count listened) -eq 1 ]"
	sort -n out | cmp - <(seq 30)
	kill $reader
	wait $reader || true
	assert_eq 1 "$(count unlistened)"
}

@test "a consumer that works is listening, however long it takes" {
	dfb-ctl topic create A10-x
	dfb-ctl topic create A10-y
	mkfifo go
	dfb-recv -g g --credit 1 A10-x -- sh -c 'cat <go' &
	reader=$!
	wait_for "dfb-ctl group show A10-x g"
	seq 2 | dfb-send A10-x
	run_status 1 dfb-recv -g other -t 200ms A10-y
	assert_eq 0 "$(count unlistened)"
	kill -9 $reader
	wait $reader || true
	wait_for "[ \$(count unlistened) -eq 1 ]"
	assert_match "group=g waiting=2" "$(log unlistened)"
}
