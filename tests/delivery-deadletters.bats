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

# fail_all [GROUP [TOPIC]]: all that is there dies; handlers say why by the body.
fail_all() {
	dfb-recv -g "${1:-g}" -e "${2:-A10-x}" -- sh -c 'read -r w; echo "no $w" >&2; exit 65'
}

bodies() { dfb-ctl dlq export "$@" | jq -r .body | xargs; }

# got GROUP [TOPIC]: what is delivered to it now.
got() { dfb-recv -g "$1" -e "${2:-A10-x}" | xargs; }

@test "list counts by group, topic, broker and reason; show has a line each" {
	dfb-ctl topic create A10-y --retries 1
	seq 3 | dfb-send -k k1 A10-x
	seq 2 | dfb-send A10-y
	dfb-recv -g g -e A10-x -- sh -c 'read -r w; [ $w -eq 3 ] || exit 65; echo odd >&2; exit 9'
	dfb-recv -g g -e A10-y -- sh -c 'exit 65'
	seq 1 | dfb-send A10-y
	fail_all h A10-y
	run_status 0 dfb-ctl dlq list --json
	jq -c 'map([.group, .topic, .broker, .letters, .reason]) | sort | .[]' <<<"$output" >got
	diff - got <<-'END'
		["g","A10-x","b1",1,"exit status 9: odd"]
		["g","A10-x","b1",2,"exit status 65"]
		["g","A10-y","b1",2,"exit status 65"]
		["h","A10-y","b1",1,"exit status 65: no 1"]
		["h","A10-y","b1",1,"exit status 65: no 1"]
	END
}

@test "sent again: to the group that failed it alone, with its id, time, key and headers" {
	dfb-send -k k -H color=red -m one A10-x
	dfb-recv -g g -J -c 1 A10-x -- cat
	fail_all
	assert_eq one "$(got other)"
	dfb-recv --peek -J A10-x >before
	run_status 0 dfb-ctl dlq redrive g
	assert_match 'g             1     1       0     0' "$output"
	run_status 1 dfb-recv -g other -t 50ms A10-x
	run_status 1 dfb-recv -g new -o 1 -t 50ms A10-x
	run_status 0 dfb-recv -g g -e -J A10-x
	jq -c '[.id, .born, .key, .body, .try, .headers.color, .headers["dfb-redriven"],
	    .headers["dfb-only-group"], .headers["dfb-dead-reason"]]' <<<"$output" >again
	jq -c '[.id, .born, .key, .body, 1, "red", "1", "g", "exit status 65: no one"]' before |
	    diff - again
	run_status 1 dfb-ctl dlq show g
}
