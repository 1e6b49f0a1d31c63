# dfb-recv --coproc: handlers that stay, and speak JSON lines.

load helper

setup() {
	bus_start
	dfb-ctl topic create A10-x --retries 2 --backoff 10ms
	mkdir "$BATS_TEST_TMPDIR/files"
	cd "$BATS_TEST_TMPDIR/files" || return 1
}

teardown() {
	[ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true
	bus_stop
}

reason() {
	wait_for "dfb-recv --peek -c 1 %DLQ-$1 >/dev/null"
	dfb-recv --peek -c 1 -J "%DLQ-$1" | jq -r '.headers["dfb-dead-reason"]'
}

@test "each line is answered, one process does it all" {
	seq 3000 >in
	dfb-send A10-x <in
	run_status 0 dfb-recv -g g -c 3000 --coproc A10-x -- \
	    sh -c 'echo $$ >>pids; tee seen | jq -c --unbuffered "{id: .id}"'
	jq -r .body seen | cmp - in
	assert_eq 1 "$(wc -l <pids)"
	run_status 1 dfb-recv -g g -e A10-x
}

@test "-j: so many processes" {
	seq 500 | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 500 -j 3 --coproc A10-x -- \
	    sh -c 'echo $$ >>pids; jq -c --unbuffered "{id: .id}"'
	assert_eq 3 "$(sort -u pids | wc -l)"
	run_status 1 dfb-recv -g g -e A10-x
}

@test "answers in any order" {
	seq 10 | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 10 --coproc A10-x -- \
	    sh -c 'head -n 10 | tac | jq -c "{id: .id}"; cat >/dev/null'
	run_status 1 dfb-recv -g g -e A10-x
}

@test "status: 0, 75, 65 and the others" {
	printf '%s\n' 0 65 3 | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 4 --coproc A10-x -- jq -c --unbuffered \
	    '{id: .id, status: (.body | tonumber), reason: ("because " + .body)}'
	wait_for "test \$(dfb-recv --peek %DLQ-g | wc -l) -eq 2"
	dfb-recv --peek -J %DLQ-g | jq -r '.headers["dfb-dead-reason"]' | sort >got
	assert_eq 'status 3: because 3,status 65: because 65' "$(paste -sd, got)"
	dfb-ctl topic create A10-y --backoff 10ms
	echo x | dfb-send A10-y
	run_status 0 dfb-recv -g g -c 2 --coproc A10-y -- jq -c --unbuffered \
	    '{id: .id, status: (if .try == 2 then 0 else 75 end)}'
	run_status 1 dfb-recv -g g -e A10-y
}

@test "calls: body, binary body and headers" {
	dfb-recv -g g --coproc A10-x -- jq -c --unbuffered 'if .body == "bin" then
	    {id: .id, body64: "AAH/"} else {id: .id, headers: {h: "v"},
	    body: "got \(.body) \(.call)"} end' 3>&- &
	receiver=$!
	wait_for 'dfb-call -m ready A10-x'
	assert_eq 'got a true' "$(dfb-call -m a A10-x)"
	printf '\0\1\377' >want
	dfb-call -m bin A10-x | head -c 3 | cmp - want
	kill "$receiver"
	run_status 0 wait "$receiver"
	receiver=
}

@test "it dies: what it held is retried by another, with the reason" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 2 --coproc A10-x -- \
	    sh -c 'read -r x; echo "no disk" >&2; exit 3' 2>err
	assert_eq 'exit status 3: no disk' "$(reason g)"
	grep -q 'starting another' err
}

@test "it dies once: the next one goes on where it stopped" {
	seq 200 >in
	dfb-send A10-x <in
	dfb-recv -g g --coproc A10-x -- sh -c 'echo $$ >>pids
	    if [ "$(wc -l <pids)" = 1 ]; then
	        head -c 100 >/dev/null; exit 1
	    fi
	    tee seen | jq -c --unbuffered "{id: .id}"' 3>&- 2>err &
	receiver=$!
	wait_for "jq -r .body seen | sort -n | cmp - in"
	kill "$receiver"
	run_status 0 wait "$receiver"
	receiver=
	grep -q 'exit status 1' err
	run_status 1 dfb-recv -g g -e A10-x
}

@test "nonsense, and answers to what it was not asked: it is killed" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g a -c 2 --coproc A10-x -- \
	    sh -c 'read -r x; echo nonsense; exec sleep 60' 2>err
	[[ $(reason a) == 'wrote a line that is no answer'* ]]
	run_status 0 dfb-recv -g b -c 2 --coproc A10-x -- \
	    sh -c 'read -r x; echo "{\"id\":\"01a206a9-e2b2-778b-8777-d14250511eb0\"}"; exec sleep 60'
	[[ $(reason b) == *'does not hold'* ]]
	run_status 0 dfb-recv -g c -c 2 --coproc A10-x -- \
	    sh -c 'read -r x; echo "{\"status\":0}"; exec sleep 60'
	[[ $(reason c) == *'no "id"'* ]]
}

@test "it hangs: killed at --max-time" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 2 --max-time 50ms --coproc A10-x -- \
	    sh -c 'read -r x; exec sleep 60'
	assert_eq 'ran past its deadline' "$(reason g)"
}

@test "one that ends by itself without answering gives the rest back" {
	seq 3 >in
	dfb-send A10-x <in
	run_status 0 dfb-recv -g g -c 3 --coproc A10-x -- sh -c 'cat >/dev/null'
	dfb-recv -g g -e A10-x | cmp - in
}

@test "SIGTERM: its input ends, its last answers count" {
	seq 3 | dfb-send A10-x
	dfb-recv -g g --coproc A10-x -- sh -c 'tee seen | (cat >all; jq -c "{id: .id}" all)' 3>&- &
	receiver=$!
	wait_for "test -e seen && test \$(wc -l <seen) -eq 3"
	kill "$receiver"
	run_status 0 wait "$receiver"
	receiver=
	run_status 1 dfb-recv -g g -e A10-x
}

@test "large bodies, both ways" {
	head -c 600000 /dev/urandom >in
	dfb-recv -g g --coproc A10-x -- jq -c --unbuffered \
	    'if .body64 then {id: .id, body64: .body64} else {id: .id} end' 3>&- &
	receiver=$!
	wait_for 'dfb-call -m ready A10-x'
	dfb-call A10-x <in | cmp - in
}
