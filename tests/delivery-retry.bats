# Retries: what a handler could not do comes again after a while, then it is a dead letter.

load helper

setup() {
	bus_start
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	bus_stop
}

setting() { dfb-ctl topic show --json A10-x | jq -c "[.. | .$1? // empty] | first"; }

# Handlers: note the body, the try and the time (ms), then end so.
note='read -r w; echo "$w $DFB_TRY $(($(date +%s%N) / 1000000))" >>seen'
letters() { dfb-ctl dlq export g | jq -r .body | xargs; }

# gaps BODY: the times between its deliveries.
gaps() { awk -v w="$1" '$1 == w { if (n++) print $3 - last; last = $3 }' seen; }

@test "3 deliveries, after 1 s, 5 s, 30 s, 2 m, 10 m, unless the topic says otherwise" {
	dfb-ctl topic create A10-x
	assert_eq 3 "$(setting retries)"
	assert_eq '[1000,5000,30000,120000,600000]' "$(setting backoff_ms)"
	dfb-ctl topic set A10-x --retries 5 --backoff 20ms,1h
	assert_eq 5 "$(setting retries)"
	assert_eq '[20,3600000]' "$(setting backoff_ms)"
}

@test "not before the back-off is over; the last one repeats; then the dead letters" {
	dfb-ctl topic create A10-x --retries 5 --backoff 20ms,100ms,50ms
	dfb-send -m bad A10-x
	dfb-recv -g g -e A10-x -- sh -c "$note; exit 1"
	assert_eq "1 2 3 4 5" "$(cut -d' ' -f2 seen | xargs)"
	# The broker's clock is coarse.
	paste <(gaps bad) <(printf '20\n100\n50\n50\n') >pairs
	assert_eq 4 "$(awk '$1 >= $2 - 5' pairs | wc -l)"
	assert_eq bad "$(letters)"
	assert_eq 5 "$(dfb-ctl dlq export g | jq -r '.headers["dfb-dead-tries"]')"
}

@test "one that failed holds up nobody, and keeps its place" {
	dfb-ctl topic create A10-x --backoff 500ms
	seq 20 | dfb-send A10-x
	dfb-recv -g g -e A10-x -- sh -c "$note"'; [ $w -ne 3 ] || [ $DFB_TRY -ne 1 ]'
	assert_eq "$(seq 20 | sed 4i3 | sort -n | xargs)" "$(cut -d' ' -f1 seen | sort -n | xargs)"
	awk '$1 == 4 { n = 1 } $1 == 3 && $2 == 2 { exit !n }' seen
	[ "$(gaps 3)" -ge 495 ]
	run_status 1 dfb-ctl dlq show g
	run_status 1 dfb-recv -g g -t 1ms A10-x
}

@test "a restart forgets neither tries nor when the next one is due" {
	dfb-ctl topic create A10-x --retries 3 --backoff 300ms
	dfb-send -m bad A10-x
	dfb-recv -g g -c 1 A10-x -- sh -c "$note; exit 1" || true
	kill -9 "$(pgrep -f -- "--bind ipc://$BUS/b1.sock")"
	dfb-recv -g g -e A10-x -- sh -c "$note; exit 1"
	assert_eq "1 2 3" "$(cut -d' ' -f2 seen | xargs)"
	assert_eq 2 "$(gaps bad | awk '$1 >= 295' | wc -l)"
	assert_eq bad "$(letters)"
}

@test "65 is a dead letter at once; 75 is tried again" {
	dfb-ctl topic create A10-x --retries 2 --backoff 1ms
	printf 'a\nb\n' | dfb-send A10-x
	dfb-recv -g g -e A10-x -- sh -c "$note"'; [ $w = a ] && exit 65; exit 75'
	assert_eq "a1 b1 b2" "$(awk '{ print $1 $2 }' seen | sort | xargs)"
	dfb-ctl dlq export g | jq -r '.headers["dfb-dead-reason"]' | sort >reasons
	diff reasons - <<-'END'
		exit status 65
		exit status 75
	END
}

@test "each group has tries and letters of its own" {
	dfb-ctl topic create A10-x --retries 2 --backoff 1ms
	dfb-send -m x A10-x
	dfb-recv -g g -e A10-x -- sh -c "$note; exit 1"
	dfb-recv -g h -e A10-x -- sh -c "$note"
	assert_eq "1 2 1" "$(cut -d' ' -f2 seen | xargs)"
	assert_eq x "$(letters)"
	run_status 1 dfb-ctl dlq show h
}

@test "sent again, the tries begin anew" {
	dfb-ctl topic create A10-x --retries 2 --backoff 1ms
	dfb-send -m x A10-x
	dfb-recv -g g -e A10-x -- sh -c "$note; exit 1"
	dfb-ctl dlq redrive g
	dfb-recv -g g -e A10-x -- sh -c "$note; exit 1"
	assert_eq "1 2 1 2" "$(cut -d' ' -f2 seen | xargs)"
	assert_eq 2 "$(dfb-ctl dlq show g --json | jq .dead.tries)"
	assert_eq 1 "$(dfb-ctl dlq show g --json | jq .dead.redriven)"
}
