# dfb-recv with a process per message.

load helper

setup() {
	bus_start
	dfb-ctl topic create A10-x --retries 2 --backoff 10ms
	mkdir "$BATS_TEST_TMPDIR/files"
	cd "$BATS_TEST_TMPDIR/files" || return 1
}

teardown() {
	[ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true
	[ ! -s stray ] || kill "$(cat stray)" 2>/dev/null || true
	bus_stop
}

# reason group: of its first dead letter.
reason() {
	wait_for "dfb-recv --peek -c 1 %DLQ-$1 >/dev/null"
	dfb-recv --peek -c 1 -J "%DLQ-$1" | jq -r '.headers["dfb-dead-reason"]'
}

tries() {
	dfb-recv --peek -c 1 -J "%DLQ-$1" | jq -r '.headers["dfb-dead-tries"]'
}

# serve count handler...: answers so many calls, of which the first is "ready".
serve() {
	local n=$1
	shift
	dfb-recv -g servers -c "$n" A10-x -- "$@" 3>&- &
	receiver=$!
	wait_for "dfb-call -m ready A10-x"
}

@test "0 acknowledges; the body is stdin, the output ours" {
	seq 20 >in
	dfb-send A10-x <in
	run_status 0 dfb-recv -g g -c 20 A10-x -- sh -c 'cat; echo' >got
	cmp in got
	run_status 1 dfb-recv -g g -e A10-x
}

@test "75 tries again later" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 2 A10-x -- sh -c 'echo "$DFB_TRY"; [ "$DFB_TRY" != 1 ] || exit 75' >got
	assert_eq 1,2 "$(paste -sd, got)"
	run_status 1 dfb-recv -g g -e A10-x
}

@test "65 goes to the dead letters at once" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 1 A10-x -- sh -c 'echo rotten >&2; exit 65' 2>err
	assert_eq rotten "$(cat err)"
	assert_eq 'exit status 65: rotten' "$(reason g)"
	assert_eq 1 "$(tries g)"
}

@test "anything else is retried, then a dead letter, with the end of stderr" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 2 A10-x -- \
	    sh -c 'head -c 5000 /dev/zero | tr "\0" x >&2; echo "€ no such account" >&2; exit 3' 2>err
	local why
	why=$(reason g)
	[[ $why == 'exit status 3: xxx'*'€ no such account' ]]
	[ ${#why} -lt 1100 ]
	assert_eq 2 "$(tries g)"
	assert_eq 10040 "$(stat -c %s err)"
}

@test "killed by a signal" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 2 A10-x -- sh -c 'kill -9 $$'
	assert_eq 'killed by signal 9' "$(reason g)"
}

@test "past its deadline: SIGTERM to the whole group, then SIGKILL" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 2 --max-time 50ms A10-x -- sh -c 'sleep 60; echo late'  >got
	assert_eq 0 "$(stat -c %s got)"
	assert_eq 'ran past its deadline' "$(reason g)"
	run_status 0 dfb-recv -g h -c 1 --max-time 50ms A10-x -- \
	    sh -c 'trap "" TERM; echo $$ >pid; while :; do sleep 0.05; done'
	run_status 1 kill -0 "$(cat pid)" 2>/dev/null
}

@test "a handler that never reads, and one that reads it all" {
	head -c 900000 /dev/urandom >in
	dfb-send -r A10-x <in
	run_status 0 dfb-recv -g g -c 1 A10-x -- true
	run_status 1 dfb-recv -g g -e A10-x
	run_status 0 dfb-recv -g h -c 1 A10-x -- cat >got
	cmp in got
}

@test "megabytes of output: as they come with one job, bounded with several" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 1 A10-x -- head -c 40000000 /dev/zero >got
	assert_eq 40000000 "$(stat -c %s got)"
	run_status 0 dfb-recv -g h -j 2 -c 1 A10-x -- head -c 16000000 /dev/zero >got
	assert_eq 16000000 "$(stat -c %s got)"
	run_status 0 dfb-recv -g i -j 2 -c 2 A10-x -- head -c 17000000 /dev/zero >got
	assert_eq 0 "$(stat -c %s got)"
	assert_eq 'wrote more than 16 MiB' "$(reason i)"
}

@test "output of jobs does not mix" {
	seq 40 | dfb-send A10-x
	run_status 0 dfb-recv -g g -j 4 -c 40 A10-x -- \
	    sh -c 'for i in 1 2 3; do echo "$DFB_OFFSET"; done' >got
	assert_eq 40 "$(uniq -c got | grep -c '^ *3 ')"
}

@test "a handler that closes stdout early" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 1 A10-x -- sh -c 'echo a; exec >&-; exit 0' >got
	assert_eq a "$(cat got)"
	run_status 1 dfb-recv -g g -e A10-x
}

@test "a grandchild that holds the pipes is not waited for" {
	echo x | dfb-send A10-x
	run_status 0 timeout 20 dfb-recv -g g -c 1 A10-x -- \
	    sh -c 'sleep 60 & echo $! >stray; echo done' >got
	assert_eq done "$(cat got)"
}

@test "what cannot be executed is 71, and nothing is lost" {
	echo x | dfb-send A10-x
	run_status 71 dfb-recv -g g -c 1 A10-x -- no-such-program
	run_status 71 dfb-recv -g g -c 1 A10-x -- /etc/passwd
	run_status 71 dfb-recv -g g -c 1 A10-x -- /
	echo 'not a program' >script
	chmod +x script
	run_status 71 dfb-recv -g g -c 1 A10-x -- ./script
	assert_eq x "$(dfb-recv -g g -e A10-x)"
}

@test "a program that vanishes: tried again, given up, nothing is lost" {
	cp "$(type -P cat)" program
	seq 2 | dfb-send A10-x
	dfb-recv -g g A10-x -- ./program >got 2>err 3>&- &
	receiver=$!
	wait_for 'test "$(cat got)" = 12'
	rm program
	seq 3 4 | dfb-send A10-x
	run_status 71 wait "$receiver"
	receiver=
	grep -q 'giving up' err
	dfb-recv -g g -e A10-x | cmp - <(seq 3 4)
}

@test "the environment" {
	export DFB_HEADER_OLD=stale DFB_KEY=stale DFB_POSSIBLE_DUPLICATE=stale
	local id=01a206a9-e2b2-778b-8777-d14250511eb0
	dfb-send -k 'a key' -H tra-ce=1=2 -H B=3 -i $id -t 1h -m body A10-x
	run_status 0 dfb-recv -g g -c 1 A10-x -- env >got
	for want in "DFB_ID=$id" DFB_TOPIC=A10-x DFB_QUEUE=0 DFB_OFFSET=0 'DFB_KEY=a key' \
	    DFB_TRY=1 DFB_CALL= DFB_POSSIBLE_DUPLICATE= DFB_HEADER_TRA_CE=1=2 DFB_HEADER_B=3 "DFB_NAMES=$DFB_NAMES" \
	    "PATH=$PATH"; do
		grep -qxF -- "$want" got
	done
	grep -qE '^DFB_BORN=[0-9]{13}$' got
	grep -qE '^DFB_DEADLINE=[0-9]{13}$' got
	run_status 1 grep -q stale got
}

@test "no shell is in between, and no descriptor is left open" {
	echo x | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 1 A10-x -- printf '%s|' '$HOME' '; exit 3' '*' >got
	assert_eq '$HOME|; exit 3|*|' "$(cat got)"
	run_status 0 dfb-recv -g h -c 1 A10-x -- sh -c 'ls /proc/$$/fd' 9</dev/null >got
	assert_eq 0,1,2 "$(paste -sd, got)"
	run_status 0 dfb-recv -g i -c 1 A10-x -- grep -E '^Sig(Blk|Ign):' /proc/self/status >got
	grep -qE '^SigBlk:.*0{16}$' got
	# SIGPIPE, number 13, is not ignored.
	(((0x$(sed -n 's/^SigIgn:[[:space:]]*//p' got) & 1 << 12) == 0))
}

@test "calls: stdout is the reply, failures and floods are told" {
	serve 5 sh -c 'read -r x || :; case $x in bad) echo oops >&2; exit 3 ;;
	    rotten) exit 65 ;; flood) head -c 17000000 /dev/zero ;;
	    *) echo "$DFB_CALL $x" ;; esac'
	assert_eq '1 hello' "$(dfb-call -m hello A10-x)"
	run_status 1 dfb-call -m bad A10-x 2>err
	grep -q 'exit status 3: oops' err
	run_status 1 dfb-call -m rotten A10-x
	run_status 1 dfb-call -m flood A10-x 2>err
	grep -q '16 MiB' err
	run_status 0 wait "$receiver"
	receiver=
}

@test "SIGTERM lets the running handler finish, and gives the rest back" {
	seq 5 | dfb-send A10-x
	mkfifo go
	dfb-recv -g g A10-x -- sh -c 'echo $$ >pid; read -r x <go; cat; echo' >got 3>&- &
	receiver=$!
	wait_for 'test -s pid'
	kill "$receiver"
	echo >go
	run_status 0 wait "$receiver"
	receiver=
	assert_eq 1 "$(cat got)"
	dfb-recv -g g -e A10-x | cmp - <(seq 2 5)
}

@test "a second SIGTERM kills it, and the message comes again" {
	echo x | dfb-send A10-x
	dfb-recv -g g A10-x -- sh -c 'echo $$ >pid; exec sleep 60' 3>&- &
	receiver=$!
	wait_for 'test -s pid'
	wait_for "! kill $receiver 2>/dev/null"
	run_status 0 wait "$receiver"
	receiver=
	run_status 1 kill -0 "$(cat pid)" 2>/dev/null
	assert_eq x "$(dfb-recv -g g -e A10-x)"
}
