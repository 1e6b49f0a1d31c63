# dfb-broker: what it promises about storing and delivering, through the real programs.

load helper

setup() {
	bus_start
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	bus_stop
}

broker_pid() { pgrep -f -- "--bind ipc://$BUS/b1.sock"; }
stat_of() { dfb-ctl --json broker stats b1 | jq -r "if type == \"array\" then .[0] else . end | .$1"; }
group_json() { dfb-ctl --json group show "$1" "$2"; }
lag_of() { group_json "$1" "$2" | jq -r 'if type == "array" then .[0] else . end | .lag'; }

@test "what was confirmed is there after kill -9, in order, once" {
	dfb-ctl topic create A10-x
	seq 200000 >in
	dfb-send A10-x <in
	kill -9 "$(broker_pid)"
	run_status 0 dfb-recv -g g -e A10-x >out
	cmp in out
}

@test "kill -9 while sending through a pipe: every line, in order, once" {
	dfb-ctl topic create A10-x
	seq 600000 >in
	dfb-send A10-x <in 2>send.err &
	sender=$!
	for n in 1 2 3; do
		wait_for "[ \$(dfb-ctl --json topic show A10-x | jq -r '[.. | .messages? // empty] | max') -gt $((n * 50000)) ]"
		kill -9 "$(broker_pid)" || break
	done
	wait $sender
	run_status 0 dfb-recv -g g -e A10-x >out
	cmp in out
}

@test "name server killed and all name servers gone while sending: nothing is missed" {
	dfb-ctl topic create A10-x
	mkfifo pipe
	dfb-send A10-x <pipe &
	sender=$!
	exec 9>pipe
	seq 1000 >&9
	wait_for "[ \$(stat_of messages_in) -ge 1000 ]"
	kill -9 "$(pgrep -f -- "--bind ipc://$BUS/names.sock")"
	seq 1001 2000 >&9
	exec 9>&-
	wait $sender
	run_status 0 dfb-recv -g g -e A10-x >out
	seq 2000 | cmp - out
}

@test "keys keep their order over several queues" {
	dfb-ctl topic create A10-x --queues 4
	for k in a b c d e f g; do
		seq 500 | sed "s/.*/{\"key\":\"$k\",\"body\":\"$k &\"}/"
	done | dfb-send -J A10-x
	run_status 0 dfb-recv -g g -e A10-x >out
	assert_eq 3500 "$(wc -l <out)"
	for k in a b c d e f g; do
		grep "^$k " out | cut -d' ' -f2 | cmp - <(seq 500)
	done
}

@test "several groups: each gets everything; one group: each message once" {
	dfb-ctl topic create A10-x --queues 3
	seq 3000 | dfb-send A10-x
	dfb-recv -g one -t 300ms A10-x >a &
	dfb-recv -g one -t 300ms A10-x >b || true
	wait $! || true
	sort -n a b | cmp - <(seq 3000)
	run_status 0 dfb-recv -g two -e A10-x >c
	sort -n c | cmp - <(seq 3000)
}

@test "a dead consumer's messages go to the next one, marked" {
	dfb-ctl topic create A10-x
	seq 100 | dfb-send A10-x
	mkfifo stuck
	dfb-recv -g g A10-x -- sh -c 'read x; echo $x >&2; cat <stuck' 2>first &
	victim=$!
	wait_for "[ -s first ]"
	kill -9 $victim
	wait $victim || true
	run_status 0 dfb-recv -g g -e -J A10-x >out
	jq -r .body out | cmp - <(seq 100)
	assert_eq 2 "$(head -n 1 out | jq .try)"
}

@test "acknowledged is acknowledged: not again after kill -9 of the broker" {
	dfb-ctl topic create A10-x
	seq 1000 | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 400 A10-x >out
	kill -9 "$(broker_pid)"
	run_status 0 dfb-recv -g g -e A10-x >>out
	seq 1000 | cmp - out
}

@test "acknowledgement out of order: only the gap comes again" {
	dfb-ctl topic create A10-x --backoff 1h
	seq 10 | dfb-send A10-x
	dfb-recv -g g -c 10 A10-x -- sh -c 'read n; [ $n -ne 4 ]'
	assert_eq 3 "$(group_json A10-x g | jq -r '[.. | .offset? // empty] | first')"
	kill -9 "$(broker_pid)"
	wait_for "dfb-ctl ping b1"
	run_status 1 dfb-recv -g g -t 50ms A10-x >out
	assert_eq 1 "$(group_json A10-x g | jq -r '[.. | .waiting_retries? // empty] | first')"
}

@test "retries with back-off, then the dead letters with the reason" {
	dfb-ctl topic create A10-x --retries 3 --backoff 5ms,10ms
	printf 'good\nbad\nugly\n' | dfb-send -H color=red A10-x
	dfb-recv -g g -t 500ms A10-x -- sh -c \
	    'read w; echo "$w $DFB_TRY" >>seen; case $w in bad) echo no good >&2; exit 3;; ugly) exit 65;; esac'
	sort seen | cmp - <(printf 'bad 1\nbad 2\nbad 3\ngood 1\nugly 1\n')
	run_status 0 dfb-recv --peek -J %DLQ-g >letters
	assert_eq "bad ugly" "$(jq -r .body letters | sort | xargs)"
	jq -e 'select(.body == "bad") | .headers | .color == "red" and
	    .["dfb-dead-topic"] == "A10-x" and .["dfb-dead-tries"] == "3" and
	    (.["dfb-dead-reason"] | contains("no good"))' letters
	assert_eq 0 "$(lag_of A10-x g)"
}

@test "expired messages are not delivered, and counted" {
	dfb-ctl topic create A10-x
	dfb-send -t 1ms -m old A10-x
	wait_for "[ \$((\$(date +%s%N) / 1000000)) -gt $(($(date +%s%N) / 1000000 + 10)) ]"
	dfb-send -m new A10-x
	run_status 0 dfb-recv -g g -e A10-x >out
	assert_eq new "$(cat out)"
	assert_eq 1 "$(stat_of expired)"
}

@test "durability memory: delivered, not stored; offsets never run backwards" {
	dfb-ctl topic create A10-x --durability memory
	dfb-recv -g g -c 100 -J A10-x >out &
	wait_for "[ \$(stat_of sessions) -ge 2 ]"
	seq 100 | dfb-send A10-x
	wait $!
	jq -r .body out | cmp - <(seq 100)
	last=$(tail -n 1 out | jq .offset)
	kill -9 "$(broker_pid)"
	wait_for "dfb-ctl ping b1"
	dfb-send -m again A10-x
	run_status 0 dfb-recv -g h -e -J A10-x >out
	assert_eq again "$(jq -r .body out)"
	[ "$(jq .offset out)" -gt "$last" ]
}

@test "durability async: after an orderly stop nothing is missing" {
	dfb-ctl topic create A10-x --durability async
	seq 50000 | dfb-send A10-x
	old=$(broker_pid)
	kill -TERM "$old"
	wait_for "[ \$(broker_pid) -ne $old ]"
	wait_for "dfb-ctl ping b1"
	run_status 0 dfb-recv -g g -e A10-x >out
	seq 50000 | cmp - out
}

@test "calls fail at once when nobody can answer" {
	run_status 69 dfb-call -m x A10-nothing 2>err
	assert_match "no broker serves" "$(cat err)"
	dfb-ctl topic create A10-x
	run_status 69 dfb-call -m x A10-x 2>err
	assert_match "no consumer" "$(cat err)"
}

@test "a call whose consumer dies is told so, and not run again" {
	dfb-ctl topic create A10-x --durability async
	mkfifo stuck
	dfb-recv -g g A10-x -- sh -c 'echo run >>runs; cat <stuck' &
	victim=$!
	wait_for "[ \$(stat_of sessions) -ge 2 ]"
	dfb-call -t 20s -m x A10-x 2>err &
	caller=$!
	wait_for "[ -s runs ]"
	kill -9 $victim
	rc=0; wait $caller || rc=$?
	assert_eq 69 $rc
	assert_match "may have" "$(cat err)"
	run_status 1 dfb-recv -g g -e A10-x -- sh -c 'echo run >>runs'
	assert_eq 1 "$(wc -l <runs)"
}

@test "a call that nobody takes in time is told 124 and never handed out" {
	dfb-ctl topic create A10-x --durability async
	mkfifo stuck
	dfb-recv -g g A10-x -- sh -c 'read x; echo $x >>runs; [ $x = second ] || cat <stuck' &
	worker=$!
	wait_for "[ \$(stat_of sessions) -ge 2 ]"
	dfb-call -t 10s -m first A10-x &
	first=$!
	wait_for "[ -s runs ]"
	run_status 124 dfb-call -t 100ms -m second A10-x 2>err
	: >stuck
	wait $first
	kill $worker
	wait $worker || true
	run_status 1 dfb-recv -g g -e A10-x -- true
	assert_eq first "$(cat runs)"
}

@test "sends are refused while the disk is low, and go on when it is not" {
	bus_stop
	bus_start --broker-arg --min-free=900000G --broker-arg --keep=20ms
	dfb-ctl topic create A10-x
	wait_for "[ \$(stat_of storage_full) = true ]"
	run_status 75 dfb-send --no-wait -m x A10-x 2>err
	assert_match "storage full" "$(cat err)"
	run_status 1 dfb-recv -g g -e A10-x
}

@test "segments go when their time is over and all groups have them" {
	bus_stop
	bus_start --broker-arg --segment=1M --broker-arg --keep=20ms
	dfb-ctl topic create A10-x --retention 0s
	run_status 1 dfb-recv -g g -e A10-x
	for n in 1 2 3 4 5 6; do head -c 1000000 /dev/zero | dfb-send -r A10-x; done
	assert_eq 0 "$(stat_of dropped_segments)"
	run_status 0 dfb-recv -g g -c 6 -r A10-x >out
	assert_eq 6000000 "$(stat -c %s out)"
	wait_for "[ \$(stat_of dropped_segments) -ge 2 ]"
	dfb-send -m last A10-x
	run_status 0 dfb-recv -g g -e -J A10-x >out
	assert_eq '6 "last"' "$(jq -r '"\(.offset) \(.body|tojson)"' out)"
}

@test "offsets go on after all segments of a queue are gone and the broker restarted" {
	bus_stop
	bus_start --broker-arg --segment=1M --broker-arg --keep=20ms
	dfb-ctl topic create A10-x --retention 0s
	dfb-ctl topic create A10-y --retention 0s
	run_status 1 dfb-recv -g g -e A10-x
	for n in 1 2 3; do head -c 1000000 /dev/zero | dfb-send -r A10-x; done
	run_status 0 dfb-recv -g g -c 3 -r A10-x >out
	for n in 1 2 3 4 5; do head -c 1000000 /dev/zero | dfb-send -r A10-y; done
	wait_for "[ \$(dfb-ctl --json topic show A10-x | jq '[.. | .first? // empty] | max') -eq 3 ]"
	kill -9 "$(broker_pid)"
	wait_for "dfb-ctl ping b1"
	dfb-send -m more A10-x
	run_status 0 dfb-recv -g g -e -J A10-x >out
	assert_eq 3 "$(jq .offset out)"
}

@test "drain: nothing new is taken, what is there is delivered" {
	dfb-ctl topic create A10-x
	seq 10 | dfb-send A10-x
	dfb-ctl broker drain b1
	run_status 75 dfb-send --no-wait -m x A10-x 2>err
	assert_match "draining" "$(cat err)"
	run_status 0 dfb-recv -g g -e A10-x >out
	seq 10 | cmp - out
	dfb-ctl broker drain b1 --undo
	dfb-send -m x A10-x
}

@test "deleting a topic tells its consumer, and frees its name" {
	dfb-ctl topic create A10-x
	seq 10 | dfb-send A10-x
	dfb-recv -g g A10-x >out 2>err &
	receiver=$!
	wait_for "[ \$(wc -l <out) -eq 10 ]"
	dfb-ctl topic delete A10-x --yes
	rc=0; wait $receiver || rc=$?
	assert_eq 69 $rc
	dfb-ctl topic create A10-x
	run_status 1 dfb-recv -g g -e A10-x
}

@test "a broadcast reaches every instance; a named one keeps its place" {
	dfb-ctl topic create A10-x
	dfb-recv -b -c 5 A10-x >a &
	one=$!
	dfb-recv -b -c 5 A10-x >b &
	two=$!
	wait_for "[ \$(stat_of sessions) -ge 3 ]"
	seq 5 | dfb-send A10-x
	wait $one $two
	cmp a b
	seq 5 | cmp - a
	run_status 0 dfb-recv -b -g g -I n1 -c 2 A10-x >c
	run_status 0 dfb-recv -b -g g -I n1 -e A10-x >>c
	run_status 0 dfb-recv -b -g g -I n2 -e A10-x >d
	cmp c d
}

@test "a broadcast without a name begins at a time, on a memory topic, too" {
	dfb-ctl topic create A10-x --durability memory
	seq 3 | dfb-send A10-x
	run_status 0 dfb-recv -b -o @-5m -e A10-x >out
	seq 3 | cmp - out
}

@test "the data directory is not shared, and another version's is refused" {
	mkdir other
	echo 'dfb store 99' >other/dfb.version
	run_status 65 dfb-broker --region A10 --data other --bind "ipc://$BUS/o.sock" 2>err
	assert_match other "$(cat err)"
	run_status 75 dfb-broker --region A10 --data "$BUS/data/b1" --bind "ipc://$BUS/o.sock" 2>err
	assert_match "in use" "$(cat err)"
	run_status 65 dfb-names --data "$BUS/data/b1" --bind "ipc://$BUS/o.sock" 2>err
	assert_match "data of dfb-broker" "$(cat err)"
	touch file
	run dfb-broker --region A10 --data file --bind "ipc://$BUS/o.sock"
	[ "$status" -ne 0 ]
	run_status 64 dfb-broker --region a1 --data d 2>err
	run_status 64 dfb-broker --region A10 --segment lots 2>err
	run_status 77 dfb-broker --region A10 --data d --bind tcp://127.0.0.1:0 2>err
}

@test "consumers that die while the backlog is read from the disk: nothing is skipped" {
	dfb-ctl topic create A10-x
	seq 300000 >in
	dfb-send A10-x in
	old=$(broker_pid)
	kill -9 "$old" # nothing is in memory now
	wait_for "[ \$(broker_pid) -ne $old ]"
	mkfifo stuck
	for n in $(seq 20); do
		rm -f started
		dfb-recv -g g --credit 100000 A10-x -- sh -c 'echo >started; cat <stuck' &
		receiver=$!
		wait_for "[ -e started ]"
		kill -9 $receiver
		wait $receiver || true
	done
	run_status 0 dfb-recv -g g -e A10-x >out
	cmp in out
}

@test "queues that are added keep their place over a restart" {
	dfb-ctl topic create A10-x
	seq 10 | dfb-send A10-x
	run_status 0 dfb-recv -g g -e A10-x >out
	dfb-ctl topic set A10-x --queues 4
	seq 11 1000 | dfb-send A10-x
	kill -9 "$(broker_pid)"
	run_status 0 dfb-recv -g g -e A10-x >>out
	sort -n out | cmp - <(seq 1000)
}

@test "sessions end with their connections" {
	dfb-ctl topic create A10-x --durability memory
	for n in $(seq 60); do
		dfb-send -m x A10-x
		timeout -s KILL 0.0$((n % 9 + 1)) dfb-send -m x A10-x || true
	done
	wait_for "[ \$(stat_of sessions) -eq 1 ]"
}

@test "lost files of the store are noticed, and nothing is dropped" {
	dfb-ctl topic create A10-x
	seq 100 | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 10 A10-x >out
	bus_data=$BUS/data/b1
	mkdir copy
	kill -STOP "$UP" # so that it starts nothing meanwhile
	pid=$(broker_pid)
	kill -TERM "$pid"
	wait_for "! kill -0 $pid || grep -q stopped $BUS/log/b1.log"
	cp -r "$bus_data"/. copy
	kill -CONT "$UP"
	cp -r copy one
	rm one/tables.db
	run_status 74 dfb-broker --region A10 --data one --bind "ipc://$BUS/o.sock" --names '' 2>err
	assert_match "tables.db" "$(cat err)"
	ls one/seg-000001.db
	cp -r copy two
	rm two/seg-000001.db
	run_status 74 dfb-broker --region A10 --data two --bind "ipc://$BUS/o.sock" --names '' 2>err
	assert_match "missing" "$(cat err)"
}

@test "a second broker of the same name is refused while the first is up" {
	dfb-ctl topic create A10-x
	daemon_start twin dfb-broker --region A10 --data twin --bind "ipc://$BUS/twin.sock" \
	    --names "$DFB_NAMES"
	grep enroll-refused "$BATS_TEST_TMPDIR/twin.log"
	dfb-send -m x A10-x
	assert_eq 1 "$(dfb-ctl --json broker list | jq length)"
	daemons_stop
}

@test "a backlog's lag is told truly after a crash of an async topic" {
	dfb-ctl topic create A10-x --durability async
	seq 100 | dfb-send A10-x
	run_status 0 dfb-recv -g g -c 10 A10-x >out
	old=$(broker_pid)
	kill -9 "$old"
	wait_for "[ \$(broker_pid) -ne $old ]"
	wait_for "dfb-ctl ping b1"
	assert_eq 90 "$(lag_of A10-x g)"
	dfb-send -m more A10-x
	assert_eq 91 "$(lag_of A10-x g)"
	run_status 0 dfb-recv -g g -e A10-x >>out
	{ seq 100; echo more; } | cmp - out
}

# A call that ends before the next commit: which takes 50 ms, but on a busy machine not always.
quick_call() {
	topic=A10-x$((n++))
	dfb-ctl topic create $topic --durability async
	dfb-recv -g g $topic -- cat &
	worker=$!
	wait_for "dfb-call -t 5s -m x $topic"
	wait_for "dfb-ctl --json topic show $topic | jq -e '.per_broker[].queues[] | .committed == .next'"
	dfb-ctl --json topic show $topic | jq -e '.per_broker[].queues[] | .first == .next'
}

@test "calls that ended are not written, and their offsets are not used again" {
	n=0
	wait_for quick_call
	next=$(dfb-ctl --json topic show $topic | jq '.per_broker[].queues[].next')
	kill -9 "$(broker_pid)"
	wait_for "dfb-ctl ping b1"
	[ "$(dfb-ctl --json topic show $topic | jq '.per_broker[].queues[].next')" -gt "$next" ]
	assert_eq 0 "$(dfb-ctl --json topic show $topic | jq .messages)"
	wait_for "[ \"\$(dfb-call -t 5s -m again $topic)\" = again ]"
	pkill -P $$ -x dfb-recv
}
