# dfb-recv without a handler: what is printed, when it is acknowledged, when it ends.

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

@test "-c takes exactly so many, and acknowledges no more" {
	seq 1000 >in
	dfb-send A10-x <in
	run_status 0 dfb-recv -g g -c 3 A10-x >a
	run_status 0 dfb-recv -g g -c 500 A10-x >b
	run_status 0 dfb-recv -g g -c 1 A10-x >c
	run_status 0 dfb-recv -g g -e A10-x >d
	assert_eq 3 "$(wc -l <a)"
	assert_eq 500 "$(wc -l <b)"
	assert_eq 504 "$(cat c)"
	cat a b c d | cmp - in
}

@test "-e and -t: 0 when something came, 1 when nothing did" {
	run_status 1 dfb-recv -g g -e A10-x >got
	run_status 1 dfb-recv -g g -t 50ms A10-x >>got
	assert_eq 0 "$(stat -c %s got)"
	seq 5 >in
	dfb-send A10-x <in
	run_status 0 dfb-recv -g g -t 50ms A10-x >got
	cmp in got
	run_status 0 dfb-recv -g h -e A10-x >got
	cmp in got
	run_status 0 dfb-recv -g i -e -c 100 A10-x >got
	cmp in got
	run_status 1 dfb-recv -g g -e A10-x
}

@test "-o: where a new group starts, and only a new one" {
	seq 0 9 >in
	dfb-send A10-x <in
	assert_eq 7,8,9 "$(dfb-recv -g a -o 7 -e A10-x | paste -sd,)"
	run_status 1 dfb-recv -g a -o 7 -e A10-x
	run_status 1 dfb-recv -g b -o end -e A10-x
	dfb-recv -g c -o beginning -e A10-x | cmp - in
	dfb-recv -g d -o @-1h -e A10-x | cmp - in
	run_status 64 dfb-recv -g e -o middle -e A10-x
}

@test "-b: every named instance gets everything" {
	seq 20 >in
	dfb-send A10-x <in
	dfb-recv -b -g g -I one -e A10-x | cmp - in
	dfb-recv -b -g g -I two -e A10-x | cmp - in
	run_status 1 dfb-recv -b -g g -I one -e A10-x
}

@test "several topics" {
	dfb-ctl topic create A10-y
	echo x | dfb-send A10-x
	echo y | dfb-send A10-y
	assert_eq 'A10-x x,A10-y y' \
	    "$(dfb-recv -g g -e -f '%t %s\n' A10-x A10-y | sort | paste -sd,)"
}

@test "framings and formats, binary safe" {
	printf 'a\0b\n\377' >body
	dfb-send -r -k key -H h=v A10-x <body
	dfb-recv -g a -e -r A10-x | cmp - body
	(cat body; echo) >want
	dfb-recv -g b -e A10-x | cmp - want
	(cat body; printf '\0') >want
	dfb-recv -g c -e -0 A10-x | cmp - want
	(printf '\0\0\0\5'; cat body) >want
	dfb-recv -g d -e -L A10-x | cmp - want
	assert_eq 'A10-x 0 0 key h=v' "$(dfb-recv -g e -e -f '%t %q %o %k %h\n' A10-x)"
	dfb-recv -g f -e -J A10-x | jq -r .body64 | base64 -d | cmp - body
	run_status 64 dfb-recv -g g -f %s -J A10-x
}

@test "JSON lines lose nothing on the way round" {
	dfb-ctl topic create A10-copy
	for i in $(seq 50); do head -c "$((i * 31))" /dev/urandom | dfb-send -r -k "k$i" \
	    -H "n=$i" A10-x; done
	dfb-recv -g g -e -J A10-x | jq -c . | dfb-send -J A10-copy
	dfb-recv --peek -J A10-x | jq -cS 'del(.topic, .queue, .offset)' >a
	dfb-recv --peek -J A10-copy | jq -cS 'del(.topic, .queue, .offset)' >b
	assert_eq 50 "$(wc -l <a)"
	cmp a b
}

@test "--peek takes nothing and needs no group" {
	seq 100 >in
	dfb-send A10-x <in
	run_status 0 dfb-recv --peek A10-x >got
	cmp in got
	assert_eq 11,12 "$(dfb-recv --peek -o 10 -c 2 A10-x | paste -sd,)"
	run_status 1 dfb-recv --peek -o end A10-x
	dfb-recv -g g -e A10-x | cmp - in
	dfb-recv --peek A10-x | cmp - in
	run_status 64 dfb-recv --peek -g g A10-x
}

@test "--peek sees all queues" {
	dfb-ctl topic create A10-q --queues 4
	seq 100 | dfb-send A10-q
	dfb-recv --peek A10-q | sort -n | cmp - <(seq 100)
}

@test "a reader that goes away: 74, and what it did not get comes again" {
	seq 100000 >in
	dfb-send A10-x <in
	mkfifo pipe
	dfb-recv -g g A10-x >pipe 3>&- &
	receiver=$!
	head -n 2 pipe >first
	run_status 74 wait "$receiver"
	receiver=
	assert_eq 1,2 "$(paste -sd, first)"
	# Some were in the pipe: those count as received.  Nothing behind them does.
	dfb-recv -g g -e A10-x >rest
	tail -n "$(wc -l <rest)" in | cmp - rest
}

@test "disk full: 74, and nothing is acknowledged" {
	seq 10 >in
	dfb-send A10-x <in
	run_status 74 dfb-recv -g g -e A10-x >/dev/full
	dfb-recv -g g -e A10-x | cmp - in
}

@test "a closed stdout: 74 before anything is taken" {
	echo x | dfb-send A10-x
	run_status 74 dfb-recv -g g -e A10-x >&-
	assert_eq x "$(dfb-recv -g g -e A10-x)"
}

@test "a reader that stands still is waited for, and stdout stays as it was" {
	head -c 3000000 /dev/urandom | base64 >in
	dfb-send A10-x <in
	mkfifo pipe
	dfb-recv -g g -c "$(wc -l <in)" A10-x >pipe 3>&- &
	receiver=$!
	exec 8<pipe
	cmp - in <&8
	exec 8<&-
	run_status 0 wait "$receiver"
	receiver=
}

@test "SIGTERM while the reader stands still: the rest comes again" {
	seq 500000 >in
	dfb-send A10-x <in
	mkfifo pipe
	dfb-recv -g g A10-x >pipe 3>&- &
	receiver=$!
	exec 8<pipe
	head -c 1 <&8 >/dev/null
	kill "$receiver"
	run_status 0 wait "$receiver"
	receiver=
	exec 8<&-
	run_status 0 dfb-recv -g g -e A10-x >rest
	tail -n "$(wc -l <rest)" in | cmp - rest
}

@test "SIGTERM: ends with 0, what was printed is acknowledged" {
	seq 10 >in
	dfb-send A10-x <in
	dfb-recv -g g A10-x >got 3>&- &
	receiver=$!
	wait_for "test \$(wc -l <got) -eq 10"
	kill "$receiver"
	run_status 0 wait "$receiver"
	receiver=
	run_status 1 dfb-recv -g g -e A10-x
}

@test "wrong command lines are 64, an unknown topic 69" {
	run_status 64 dfb-recv -g g
	run_status 64 dfb-recv A10-x
	run_status 64 dfb-recv -g 'a b' A10-x
	run_status 64 dfb-recv -g g 'no such'
	run_status 64 dfb-recv -g g -c 0 A10-x
	run_status 64 dfb-recv -g g -j 2 A10-x
	run_status 64 dfb-recv -g g --coproc A10-x
	run_status 64 dfb-recv -g g -f '%z' A10-x
	run_status 64 dfb-recv -g g A10-x --
	run_status 64 dfb-recv -g g -J A10-x -- cat
	run_status 69 dfb-recv -g g A10-nobody
}
