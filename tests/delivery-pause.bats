# Pauses: what an operator stops stays stopped until it is resumed, and nothing is lost.

load helper

setup() {
	bus_start
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	bus_stop
}

messages() { dfb-ctl --json topic show A10-x | jq .messages; }
group_json() { dfb-ctl --json group show A10-x "$1" | jq ".$2"; }

restart() {
	local old
	old=$(pgrep -f -- "--bind ipc://$BUS/b1.sock")
	kill -9 "$old"
	wait_for "dfb-ctl ping b1"
}

@test "a paused topic delivers nothing, takes messages, and goes on where it was" {
	dfb-ctl topic create A10-x
	seq 10 | dfb-send A10-x
	dfb-recv -g g A10-x >out 2>/dev/null &
	reader=$!
	wait_for "[ \$(wc -l <out) -eq 10 ]"
	dfb-ctl topic pause A10-x
	dfb-ctl topic show A10-x >shown
	assert_match "deliveries are paused since 20" "$(cat shown)"
	seq 11 20 | dfb-send A10-x
	run_status 1 dfb-recv -g other -t 100ms A10-x
	assert_eq 10 "$(wc -l <out)"
	dfb-ctl topic resume A10-x
	wait_for "[ \$(wc -l <out) -eq 20 ]"
	seq 20 | cmp - out
	kill $reader
	wait $reader || true
	run_status 0 dfb-recv -g other -e A10-x >all
	seq 20 | cmp - all
}

@test "--sends: refused with the reason; each half is resumed by itself" {
	dfb-ctl topic create A10-x
	dfb-send -m before A10-x
	dfb-ctl topic pause --sends A10-x
	run_status 75 dfb-send --no-wait -m x A10-x 2>err
	assert_match "paused by an operator" "$(cat err)"
	dfb-send -m waiting A10-x 2>send.err &
	sender=$!
	wait_for "grep -q paused send.err"
	dfb-ctl topic resume --sends A10-x
	wait $sender
	assert_eq 2 "$(messages)"
	run_status 1 dfb-recv -g g -t 100ms A10-x
	dfb-ctl topic pause --sends A10-x
	dfb-ctl topic resume A10-x
	dfb-send --no-wait -m after A10-x
	run_status 0 dfb-recv -g g -e A10-x >out
	printf '%s\n' before waiting after | cmp - out
}

@test "a paused group: the others go on" {
	dfb-ctl topic create A10-x
	seq 5 | dfb-send A10-x
	run_status 0 dfb-recv -g one -c 2 A10-x >one
	dfb-ctl group pause A10-x one
	run_status 1 dfb-recv -g one -t 100ms A10-x
	run_status 0 dfb-recv -g two -e A10-x >two
	seq 5 | cmp - two
	assert_match "shared,paused" "$(dfb-ctl group list A10-x | grep one)"
	dfb-ctl group resume A10-x one
	run_status 0 dfb-recv -g one -e A10-x >>one
	seq 5 | cmp - one
	run_status 69 dfb-ctl group pause A10-x nobody
	run_status 69 dfb-ctl topic pause A10-nothing
}

@test "a pause outlives a crash of the broker" {
	dfb-ctl topic create A10-x
	dfb-ctl topic create A10-y
	seq 5 | dfb-send A10-x
	seq 5 | dfb-send A10-y
	run_status 0 dfb-recv -g g -c 1 A10-x >out
	dfb-ctl group pause A10-x g
	dfb-ctl topic pause --sends A10-y
	restart
	run_status 1 dfb-recv -g g -t 100ms A10-x
	run_status 1 dfb-recv -g g -t 100ms A10-y
	run_status 75 dfb-send --no-wait -m x A10-y
	dfb-ctl group resume A10-x g
	dfb-ctl topic resume A10-y
	restart
	run_status 0 dfb-recv -g g -e A10-x >>out
	seq 5 | cmp - out
	run_status 0 dfb-recv -g g -e A10-y >out
	seq 5 | cmp - out
}

@test "what a consumer holds may be settled while it is paused" {
	dfb-ctl topic create A10-x
	mkfifo go
	dfb-recv -g g --credit 1 A10-x -- sh -c 'read m; echo "$m" >>seen; cat <go' &
	reader=$!
	seq 2 | dfb-send A10-x
	wait_for "[ -s seen ]"
	dfb-ctl group pause A10-x g
	: >go
	wait_for "[ \$(group_json g settled) -eq 1 ]"
	assert_eq 1 "$(group_json g lag)"
	assert_eq 1 "$(cat seen)"
	dfb-ctl group resume A10-x g
	wait_for "[ \$(wc -l <seen) -eq 2 ]"
	: >go
	wait_for "[ \$(group_json g lag) -eq 0 ]"
	kill $reader
	wait $reader || true
}

@test "calls are refused, those that wait, too; one that is being handled is answered" {
	dfb-ctl topic create A10-x --durability async
	mkfifo go
	dfb-recv -g g --credit 1 A10-x -- sh -c 'read m; echo "$m" >>seen; cat <go; echo did "$m"' &
	reader=$!
	wait_for "dfb-ctl group show A10-x g"
	dfb-call -t 60s -m one A10-x >one &
	first=$!
	wait_for "[ -s seen ]"
	dfb-call -t 60s -m two A10-x 2>err &
	second=$!
	wait_for "[ \$(group_json g lag) -eq 2 ]"
	dfb-ctl group pause A10-x g
	rc=0
	wait $second || rc=$?
	assert_eq 75 $rc
	assert_match "paused by an operator" "$(cat err)"
	run_status 75 dfb-call -t 60s -m three A10-x 2>err
	assert_match "paused by an operator" "$(cat err)"
	: >go
	wait $first
	assert_eq "did one" "$(cat one)"
	dfb-ctl topic pause A10-x
	dfb-ctl group resume A10-x g
	run_status 75 dfb-call -t 60s -m four A10-x
	dfb-ctl topic resume A10-x
	dfb-call -t 60s -m five A10-x >five &
	call=$!
	wait_for "grep -q five seen"
	: >go
	wait $call
	assert_eq "one five" "$(xargs <seen)"
	kill $reader
	wait $reader || true
}

@test "a paused group does not hold up senders by the breaker" {
	dfb-ctl topic create A10-x --max-depth 5
	dfb-recv -g g A10-x >out 2>/dev/null &
	reader=$!
	wait_for "dfb-ctl group show A10-x g"
	dfb-ctl group pause A10-x g
	seq 100 | dfb-send --no-wait A10-x
	dfb-ctl group resume A10-x g
	wait_for "[ \$(wc -l <out) -eq 100 ]"
	seq 100 | cmp - out
	kill $reader
	wait $reader || true
}
