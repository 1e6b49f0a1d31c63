# dfb-ctl why: each thing that holds messages is named, with what can be done.

load helper

setup() {
	bus_start --broker-arg --keep=20ms
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	daemons_stop
	bus_stop
}

# finds STATUS CODE [option...]: the status, and a finding of that code; it is in $finding.
finds() {
	local want=$1 code=$2
	shift 2
	run_status "$want" dfb-ctl why --json "$@" A10-x >why.json
	finding=$(jq -c ".findings[] | select(.code == \"$code\")" why.json)
	[ -n "$finding" ] || {
		cat why.json >&2
		return 1
	}
}

# there GROUP N: wait until the group has so many consumers.
there() {
	wait_for "[ \$(dfb-ctl --json group show A10-x $1 | jq .member_count) -eq $2 ]"
}

stop() {
	kill -9 "$@"
	wait "$@" || true
}

@test "no broker, no topic, no group, all settled; statuses and words" {
	run_status 1 dfb-ctl why Z99-x >out
	assert_match "Z99-x: messages are held up" "$(cat out)"
	assert_match "! no broker of region Z99 is known" "$(cat out)"
	finds 1 no-topic
	dfb-ctl topic create A10-x
	finds 0 no-group
	dfb-send -m one A10-x
	finds 1 no-group
	run_status 0 dfb-recv -g g -e A10-x
	finds 0 all-settled
	run_status 0 dfb-ctl why A10-x >out
	assert_match "A10-x: messages flow" "$(cat out)"
	assert_match "- b1: nothing to deliver" "$(cat out)"
	run_status 64 dfb-ctl why
}

@test "a group without consumers; retries and dead letters with their reason" {
	dfb-ctl topic create --backoff 1h --retries 2 A10-x
	dfb-send -m one A10-x
	dfb-recv -g g -c 1 A10-x -- sh -c 'echo no good >&2; exit 3'
	finds 1 no-consumers
	assert_match "1 messages wait" "$finding"
	finds 1 retries
	assert_match "wait for another try, the next in" "$finding"
	assert_match "no good" "$finding"
	dfb-send -m two A10-x
	dfb-recv -g g -c 1 A10-x -- sh -c 'echo worse >&2; exit 65'
	finds 1 dead-letters
	wait_for "finds 1 dead-letters && [[ \$finding == *worse* ]]"
	run_status 1 dfb-ctl why A10-x >out
	assert_match "dfb-recv -g g A10-x" "$(cat out)"
}

@test "a consumer that acknowledges nothing is named" {
	dfb-ctl topic create A10-x
	mkfifo stuck
	seq 10 | dfb-send A10-x
	dfb-recv -g g -I slowcoach --credit 2 A10-x -- sh -c 'echo >started; cat <stuck' &
	consumer=$!
	wait_for "[ -e started ]"
	wait_for "finds 1 credit --stuck-after 50ms"
	assert_eq slowcoach "$(jq -r .instance <<<"$finding")"
	assert_match "holds 2 messages, all that it may," "$finding"
	[ "$(jq .since_ms <<<"$finding")" -gt 1600000000000 ]
	run_status 0 dfb-ctl why --stuck-after 1h A10-x
	stop $consumer
	rm started
	wait_for "finds 1 no-consumers"
	dfb-recv -g g -I other --credit 100 A10-x -- sh -c 'echo >started; cat <stuck' &
	consumer=$!
	wait_for "[ -e started ]"
	wait_for "finds 1 unacknowledged --stuck-after 50ms"
	assert_eq other "$(jq -r .instance <<<"$finding")"
	stop $consumer
}

@test "pauses" {
	dfb-ctl topic create A10-x
	run_status 1 dfb-recv -g g -e A10-x
	dfb-ctl group pause A10-x g
	finds 1 paused
	assert_eq "dfb-ctl group resume A10-x g" "$(jq -r .remedy <<<"$finding")"
	dfb-ctl group resume A10-x g
	dfb-ctl topic pause --sends A10-x
	finds 1 sends-paused
	finds 1 paused
	assert_eq "dfb-ctl topic resume A10-x" "$(jq -r .remedy <<<"$finding")"
	dfb-ctl topic resume A10-x
	run_status 0 dfb-ctl why A10-x
}

@test "breaker and rates" {
	dfb-ctl topic create --max-depth 10 A10-x
	mkfifo stuck
	dfb-recv -g g --credit 1 A10-x -- sh -c 'cat <stuck' &
	consumer=$!
	there g 1
	seq 9 | dfb-send A10-x
	finds 0 queue-filling --stuck-after 1h
	run_status 75 dfb-send --no-wait A10-x < <(seq 20)
	finds 1 breaker-open --stuck-after 1h
	assert_match "queue 0 has 10 undelivered messages of at most 10" "$finding"
	stop $consumer
	wait_for "finds 1 no-consumers"
	dfb-ctl topic set --rate 1 A10-x
	run_status 75 dfb-send --no-wait A10-x < <(seq 20)
	finds 1 rate-limited
}

@test "storage full, and what expired" {
	dfb-ctl topic create A10-x
	dfb-send -t 1ms -m old A10-x
	wait_for "[ \$((\$(date +%s%N) / 1000000)) -gt $(($(date +%s%N) / 1000000 + 10)) ]"
	run_status 1 dfb-recv -g g -e A10-x
	finds 0 expired
	bus_stop
	bus_start --broker-arg --min-free=900000G --broker-arg --keep=20ms
	dfb-ctl topic create A10-x
	wait_for "finds 1 storage-full"
}

@test "two brokers: one drains, one is gone" {
	daemon_start b2 dfb-broker --name b2 --region A10 --data b2 --names "$DFB_NAMES" \
	    --bind "ipc://$BUS/b2.sock" --lease 30s
	wait_for "[ \$(dfb-ctl --json broker list | jq length) -eq 2 ]"
	dfb-ctl topic create --broker b1 A10-x
	finds 0 not-on-broker
	assert_eq b2 "$(jq -r .broker <<<"$finding")"
	dfb-ctl topic create --if-missing A10-x
	run_status 1 dfb-recv -g g -e A10-x
	dfb-ctl broker drain b2
	finds 0 draining
	assert_eq b2 "$(jq -r .broker <<<"$finding")"
	dfb-ctl broker drain b1
	finds 1 draining
	dfb-ctl broker drain --undo b1
	dfb-ctl broker drain --undo b2
	run_status 0 dfb-ctl why A10-x
	kill9 b2
	wait_for "[ \$(dfb-ctl --json broker list | jq -r '.[] | select(.name == \"b2\").state') = lost ]"
	finds 1 lost
	assert_eq b2 "$(jq -r .broker <<<"$finding")"
	run_status 0 dfb-ctl why --broker b1 A10-x
}

@test "regions: a far consumer is idle while a near one is there" {
	dfb-ctl topic create --queues 1 A10-x
	dfb-recv -g g -R B20 x >/dev/null 2>&1 &
	far=$!
	there g 1
	finds 0 nobody-near
	assert_match "no consumer in region A10: those of B20 serve it" "$finding"
	stop $far
	wait_for "finds 0 no-consumers"
	dfb-recv -g g x >/dev/null 2>&1 &
	near=$!
	there g 1
	dfb-recv -g g -R B20 x >/dev/null 2>&1 &
	far=$!
	there g 2
	finds 0 far
	dfb-recv -g g x >/dev/null 2>&1 &
	more=$!
	there g 3
	finds 0 idle
	stop $near $far $more
}

@test "messages of a label whose instances are gone" {
	dfb-ctl topic create A10-x
	dfb-ctl gray set A10-x v2 --header ver=2
	mkfifo stuck
	dfb-recv -g g -G v2 --credit 1 A10-x -- sh -c 'echo >started; cat <stuck' &
	new=$!
	dfb-recv -g g A10-x >/dev/null 2>&1 &
	old=$!
	there g 2
	dfb-send -H ver=2 -m one A10-x
	wait_for "[ -e started ]"
	stop $new
	there g 1
	wait_for "finds 1 no-label"
	assert_match "1 messages of label 'v2' wait" "$finding"
	stop $old
}
