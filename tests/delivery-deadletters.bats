# Dead letters: what failed for good, with the reason; looked at, sent again, dropped.

load helper

setup() {
	bus_start
	cd "$BATS_TEST_TMPDIR" || return 1
	dfb-ctl topic create A10-x --retries 1 --backoff 1ms
}

teardown() {
	bus_stop
}

broker_pid() { pgrep -f -- "--bind ipc://$BUS/b1.sock"; }

# crash: kill -9 the broker, and wait until it is back.
crash() {
	kill -9 "$(broker_pid)"
	wait_for "dfb-ctl ping b1"
}

# fail_all [GROUP [TOPIC]]: all that is there dies: "status 9: no BODY".
fail_all() {
	dfb-recv -g "${1:-g}" -e "${2:-A10-x}" --coproc -- \
	    jq --unbuffered -c '{id, status: 9, reason: "no \(.body)"}'
}

# letters [option...] GROUP: bodies of those that are left, in the order in which they died.
letters() { dfb-ctl dlq export "$@" | jq -r .body | xargs; }

left() { dfb-ctl dlq list g --json | jq 'map(.letters) | add // 0'; }

# got GROUP [TOPIC]: what is delivered to it now.
got() { dfb-recv -g "$1" -e "${2:-A10-x}" | xargs; }

# fails STATUS PART command...: with that status, saying that.
fails() {
	local status=$1 part=$2
	shift 2
	run_status "$status" "$@"
	assert_match "$part" "$stderr"
}

@test "list counts by group, topic, broker and reason" {
	dfb-ctl topic create A10-y --retries 1
	seq 3 | dfb-send A10-x
	printf '1\n2\n1\n' | dfb-send A10-y
	dfb-recv -g g -e A10-x -- sh -c 'read -r w; [ $w -eq 3 ] || exit 65; echo odd >&2; exit 9'
	fail_all h A10-y
	run_status 0 dfb-ctl dlq list --json
	jq -c '.[] | [.group, .topic, .broker, .letters, .reason]' <<<"$output" | sort >got
	diff got - <<-'END'
		["g","A10-x","b1",1,"exit status 9: odd"]
		["g","A10-x","b1",2,"exit status 65"]
		["h","A10-y","b1",1,"status 9: no 2"]
		["h","A10-y","b1",2,"status 9: no 1"]
	END
	run_status 0 dfb-ctl dlq list h
	assert_eq 3 "$(wc -l <<<"$output")"
	assert_match "A10-y  b1            2  20" "$output"
	oldest=$(dfb-ctl dlq list h --json --where reason='status 9: no 2' | jq -r '.[0].oldest')
	assert_eq "$oldest" "$(dfb-ctl dlq export h --where reason='status 9: no 2' |
	    jq -r '.headers["dfb-dead-time"]')"
	run_status 0 dfb-ctl dlq list nobody
	assert_eq "GROUP  TOPIC  BROKER  LETTERS  OLDEST  REASON" "$output"
}

@test "show has a line each, with --json all of it" {
	dfb-send -k k1 -H a=b -m one A10-x
	dfb-send -m two A10-x
	fail_all
	id=$(dfb-recv --peek -J -c 1 A10-x | jq -r .id)
	run_status 0 dfb-ctl dlq show g
	assert_eq 2 "$(wc -l <<<"$output")"
	[[ $output =~ ^"b1:0  "20[0-9TZ:.-]+"  A10-x 0:0  $id  key=k1  tries=1  status 9: no one" ]]
	run_status 0 dfb-ctl dlq show g --json -c 1
	jq -ce '[.id, .broker, .offset, .key, .body, .headers.a, .dead.topic, .dead.group, .dead.queue,
	    .dead.offset, .dead.tries, .dead.redriven, .dead.reason] ==
	    ["'"$id"'", "b1", 0, "k1", "one", "b", "A10-x", "g", 0, 0, 1, 0, "status 9: no one"]' <<<"$output"
	fails 1 "no dead letter of group 'h'" dfb-ctl dlq show h
}

@test "sent again: to the group that failed it alone, with its id, time, key and headers" {
	dfb-send -k k -H color=red -m one A10-x
	fail_all
	assert_eq one "$(got other)"
	dfb-recv --peek -J A10-x >before
	run_status 0 dfb-ctl dlq redrive g
	assert_match '1     1       0     0' "$output"
	assert_eq '' "$(got other)"
	assert_eq one "$(got new)"
	crash
	assert_eq '' "$(got other)"
	run_status 0 dfb-recv -g g -e -J A10-x
	jq -c '[.id, .born, .key, .body, .try, .headers.color, .headers["dfb-redriven"],
	    .headers["dfb-only-group"], .headers["dfb-dead-reason"]]' <<<"$output" >again
	jq -c '[.id, .born, .key, .body, 1, "red", "1", "g", "status 9: no one"]' before | diff - again
	fails 1 'no dead letter' dfb-ctl dlq redrive g
	assert_eq '' "$(got g)"
	# A sender's own header of that name sends to all.
	dfb-recv --peek -J A10-x | jq -c 'select(.headers["dfb-only-group"])' | dfb-send -J A10-x
	assert_eq one "$(got other)"
}

@test "what dies again keeps its history, the last five deaths" {
	dfb-send -H a=b -m x A10-x
	for i in 1 2 3 4 5 6 7; do
		dfb-recv -g g -e A10-x -- sh -c "echo death $i >&2; exit 65"
		[ $i = 7 ] || dfb-ctl dlq redrive g
	done
	run_status 0 dfb-ctl dlq export g
	jq -r '.headers | to_entries[] | select(.key | startswith("dfb-dead-before") or
	    . == "dfb-dead-reason" or . == "a" or . == "dfb-redriven" or . == "dfb-only-group") |
	    "\(.key) \(.value | sub("^20\\S* A10-x 0:"; "") | sub("exit status 65: "; ""))"' \
	    <<<"$output" >history
	diff history - <<-'END'
		a b
		dfb-redriven 6
		dfb-dead-reason death 7
		dfb-dead-before-6 5 tries=1: death 6
		dfb-dead-before-5 4 tries=1: death 5
		dfb-dead-before-4 3 tries=1: death 4
		dfb-dead-before-3 2 tries=1: death 3
	END
}

@test "--where: each field, each operator, all of several" {
	dfb-ctl topic create A10-y --queues 2
	dfb-send -k k1 -H a=b -H a=c -m one A10-x
	dfb-send -k k2 -m two A10-x
	fail_all
	printf 'three\nfour\n' | dfb-send A10-y
	dfb-recv -g g -e A10-y -- sh -c 'read -r w; [ $w = three ] || exit 65; echo why >&2; exit 65'
	id=$(dfb-ctl dlq export g -c 1 | jq -r .id)
	while read -r cond want; do
		# shellcheck disable=SC2086
		assert_eq "$cond: $want" "$cond: $(letters ${cond//--where/ --where } g | tr ' ' '\n' |
		    sort | xargs)"
	done <<-END
		--wheretopic=A10-x one two
		--wheretopic~y four three
		--wheregroup=g four one three two
		--wherequeue=1 four
		--wherequeue<1 one three two
		--whereoffset>0 two
		--wherekey=k1 one
		--wherekey~k one two
		--wherekey= four three
		--whereid=$id one
		--wherereason~why three
		--wherereason~no--wherekey=k2 two
		--whereheader.a=c one
		--whereheader.a~b one
		--wheretries=1 four one three two
		--wheretries>0--wheretopic=A10-x one two
		--whereredriven=0 four one three two
		--wheretime>-1h four one three two
		--wheretime<2001-01-01--wherekey=k1
		--where=--wherekey=k1
	END
	assert_eq "one two" "$(letters -c 2 g)"
	fails 1 "like that" dfb-ctl dlq show g --where tries=7
	fails 64 "knows no 'color'" dfb-ctl dlq show g --where color=red
	fails 64 "knows no 'topic'" dfb-ctl dlq show g --where topic
	fails 64 "takes < or >" dfb-ctl dlq show g --where time=-5m
	fails 64 "is no time" dfb-ctl dlq show g --where 'time<noon'
	fails 64 "is no number" dfb-ctl dlq show g --where 'tries=x'
	fails 64 "takes =, < or >" dfb-ctl dlq show g --where 'tries~1'
	fails 64 "takes = or ~" dfb-ctl dlq show g --where 'key<1'
}

@test "redrive and drop take what is selected; --dry-run takes nothing" {
	seq 10 | dfb-send A10-x
	fail_all
	run_status 0 dfb-ctl dlq redrive g --where reason~1 --dry-run
	assert_eq 2 "$(wc -l <<<"$output")"
	run_status 0 dfb-ctl dlq drop g --dry-run -c 4 --json
	assert_eq '{"group":"g","selected":4,"done":0,"failed":0,"gone":0,"dry_run":true}' "$output"
	assert_eq "1 2 3 4 5 6 7 8 9 10" "$(letters g)"
	run_status 0 dfb-ctl dlq redrive g --where reason~1 --json
	assert_eq '{"group":"g","selected":2,"done":2,"failed":0,"gone":0,"dry_run":false}' "$output"
	run_status 0 dfb-ctl dlq drop -y g -c 3
	assert_eq "5 6 7 8 9" "$(letters g)"
	assert_eq "1 10" "$(got g)"
	fails 64 'give --yes' dfb-ctl dlq drop g
	run_status 0 dfb-ctl dlq redrive g --where offset=6
	assert_eq 7 "$(got g)"
	assert_eq "5 6 8 9" "$(letters g)"
}

@test "what is left is exact after kill -9, however it was taken" {
	seq 3000 | dfb-send A10-x
	fail_all
	dfb-ctl dlq drop -y g --where 'reason~5'
	dfb-ctl dlq redrive g --where 'reason~7'
	seq 3000 | grep -v '[57]' | xargs >want
	letters g | cmp - want
	crash
	letters g | cmp - want
	got g | cmp - <(seq 3000 | grep 7 | grep -v 5 | xargs)
	dfb-ctl dlq drop -y g --where 'offset<2000'
	crash
	letters g | cmp - <(seq 2001 3000 | grep -v '[57]' | xargs)
	dfb-ctl dlq drop -y g
	crash
	fails 1 'no dead letter' dfb-ctl dlq export g
	dfb-send -m last A10-x
	fail_all
	assert_eq last "$(letters g)"
}

@test "kill -9 while letters are sent again: each arrives once" {
	dfb-ctl topic set A10-x --queues 3
	seq 5000 | dfb-send A10-x
	fail_all
	for _ in 1 2; do
		before=$(left)
		[ "$before" -gt 0 ] || break # the first went on with the broker that came back
		dfb-ctl dlq redrive g --rate 1000 &
		pid=$!
		wait_for "[ \$(left) -lt $before ]"
		kill -9 "$(broker_pid)"
		wait $pid || true
		wait_for "dfb-ctl ping b1"
	done
	dfb-ctl dlq redrive g || [ "$(left)" -eq 0 ]
	dfb-recv -g g -e A10-x | sort -n | cmp - <(seq 5000)
	fails 1 'no dead letter' dfb-ctl dlq show g
}

@test "the topic or the group is gone: 69, and letters stay" {
	seq 2 | dfb-send A10-x
	fail_all
	dfb-ctl topic delete -y A10-x
	fails 69 "2 dead letters stay: topic 'A10-x' is not on broker b1" dfb-ctl dlq redrive g
	dfb-ctl topic create A10-x
	fails 69 "has no group 'g'" dfb-ctl dlq redrive g
	assert_eq "1 2" "$(letters g)"
	assert_eq "" "$(got g)"
	run_status 0 dfb-ctl dlq redrive g
	assert_eq "1 2" "$(got g)"
}

@test "a broker that takes no messages keeps the letters: 75" {
	dfb-send -m 1 A10-x
	fail_all
	dfb-ctl broker drain --wait b1
	fails 75 "1 dead letter stays: the broker is draining" dfb-ctl dlq redrive g
	dfb-ctl broker drain --undo b1
	run_status 0 dfb-ctl dlq redrive g
	assert_eq 1 "$(got g)"
}

@test "exported letters can be sent, with what the sender changed" {
	dfb-ctl topic create A10-y
	seq 3 | dfb-send -k k A10-x
	fail_all
	dfb-ctl dlq export g | jq -c '.body |= "fixed " + .' | dfb-send -J A10-y
	assert_eq "fixed 1 fixed 2 fixed 3" "$(got g A10-y)"
	assert_eq "$(dfb-ctl dlq export g | jq -r .id)" "$(dfb-recv --peek -J A10-y | jq -r .id)"
}

@test "--rate holds redrive back" {
	seq 30 | dfb-send A10-x
	fail_all
	start=$(date +%s%N)
	run_status 0 dfb-ctl dlq redrive g --rate 100/s
	took=$((($(date +%s%N) - start) / 1000000))
	[ $took -ge 200 ] || fail "took $took ms"
	assert_eq "$(seq 30 | xargs)" "$(got g)"
	fails 64 'messages a second' dfb-ctl dlq redrive g --rate fast
}

@test "a key goes back to its queue, behind what is there" {
	dfb-ctl topic create A10-k --queues 5 --retries 1
	dfb-send -k key1 -m 1 A10-k
	fail_all g A10-k
	dfb-send -k key1 -m 2 A10-k
	dfb-ctl dlq redrive g
	run_status 0 dfb-recv -g g -e -J A10-k
	assert_eq "2 1" "$(jq -r .body <<<"$output" | xargs)"
	assert_eq 1 "$(dfb-recv --peek -J A10-k | jq .queue | sort -u | wc -l)"
}

@test "the letters of a broadcast instance go back to that instance" {
	for i in one two; do
		run_status 1 dfb-recv -b -g g -I $i -t 1ms A10-x
	done
	dfb-send -m 1 A10-x
	dfb-recv -b -g g -I one -e A10-x -- sh -c 'exit 65'
	assert_eq 1 "$(dfb-recv -b -g g -I two -e A10-x)"
	run_status 0 dfb-ctl dlq redrive g
	assert_eq "" "$(dfb-recv -b -g g -I two -e A10-x)"
	assert_eq 1 "$(dfb-recv -b -g g -I one -e A10-x)"
}

@test "a reader of dead letters has letters of its own" {
	seq 2 | dfb-send A10-x
	fail_all
	dfb-ctl topic set %DLQ-g --retries 1
	fail_all h %DLQ-g
	assert_eq "1 2 1 2" "$(letters g) $(letters h)"
	dfb-ctl dlq redrive h
	assert_eq "" "$(letters h || true)"
	assert_eq "1 2" "$(letters g)"
	assert_eq "1 2" "$(got h %DLQ-g)"
	crash
	assert_eq "1 2" "$(letters g)"
	dfb-ctl dlq redrive g
	assert_eq "1 2" "$(got g)"
}

@test "letters stay while their topic's retention goes by" {
	bus_stop
	bus_start --broker-arg --segment=1M --broker-arg --keep=20ms
	dfb-ctl topic create A10-x --retention 0s --retries 1
	dfb-send -m precious A10-x
	fail_all
	dfb-ctl topic set %DLQ-g --retention 0s
	for _ in 1 2 3 4 5; do head -c 1000000 /dev/zero | dfb-send -r A10-x; done
	dfb-recv -g g -e -r A10-x >/dev/null
	wait_for "grep segment-dropped $BUS/log/b1.log"
	crash
	assert_eq precious "$(letters g)"
}

@test "several brokers: all of them, or one" {
	bus_stop
	bus_start --brokers 2
	dfb-ctl topic create A10-x --retries 1
	dfb-ctl topic create A10-y --retries 1 --broker b2
	dfb-ctl topic create A10-z --retries 1 --broker b1
	dfb-send -m y A10-y
	dfb-send -m z A10-z
	fail_all g A10-y
	fail_all g A10-z
	assert_eq "b2 A10-y b1 A10-z" \
	    "$(dfb-ctl dlq list g --json | jq -r '.[] | "\(.broker) \(.topic)"' | xargs)"
	assert_eq y "$(letters g --broker b2)"
	run_status 0 dfb-ctl dlq redrive g --broker b2
	assert_eq z "$(letters g)"
	run_status 0 dfb-ctl dlq redrive g
	assert_eq "y z" "$(got g A10-y) $(got g A10-z)"
}

@test "the broker's own group is not for users" {
	dfb-send -m 1 A10-x
	fail_all
	run_status 0 dfb-ctl group list --json %DLQ-g
	assert_eq '[]' "$output"
	run_status 69 dfb-ctl group delete -y %DLQ-g %dlq
	run_status 69 dfb-ctl group reset %DLQ-g %dlq --to end
	run_status 64 dfb-recv -g %dlq %DLQ-g
	assert_eq 1 "$(letters g)"
	dfb-ctl topic delete -y %DLQ-g
	fails 1 'no dead letter' dfb-ctl dlq show g
	crash
	dfb-send -m 2 A10-x
	fail_all
	assert_eq 2 "$(letters g)"
}
