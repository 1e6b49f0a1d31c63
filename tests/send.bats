# dfb-send: framings, JSON, exit statuses, reports.

load helper

setup() {
	bus_start
	dfb-ctl topic create A10-x
	mkdir "$BATS_TEST_TMPDIR/files"
	cd "$BATS_TEST_TMPDIR/files" || return 1
}

teardown() {
	bus_stop
}

# What topic $1 holds, with the options that follow, into file `got`.
got() {
	local topic=$1 rc=0
	shift
	dfb-recv -e -g "g$RANDOM$RANDOM" -o beginning "$@" "$topic" >got || rc=$?
	[ $rc = 0 ] || [ $rc = 1 ] # 1: there was none
}

# Bytes that break everything that breaks: NUL, newlines, no UTF-8.
nasty() {
	printf 'a\0b\n\r\n\377\376"\\%%s\0\n'
	head -c 4096 /dev/urandom
}

@test "lines: empty ones, a last one without newline, any bytes but newline" {
	printf 'one\n\nth\0ree \377\r\nlast' >in
	run_status 0 dfb-send A10-x <in
	got A10-x
	(cat in && echo) | cmp - got
}

@test "empty input sends nothing, and needs no bus" {
	run_status 0 dfb-send -n "ipc://$PWD/none.sock" A10-x </dev/null
	run_status 0 dfb-send -0 -n "ipc://$PWD/none.sock" A10-x </dev/null
	run_status 0 dfb-send -L -n "ipc://$PWD/none.sock" A10-x </dev/null
	run_status 0 dfb-send -J -n "ipc://$PWD/none.sock" A10-x </dev/null
}

@test "-0 -L -r and -m carry any bytes, and nothing at all" {
	printf 'a\nb\0\0last' >in
	run_status 0 dfb-send -0 A10-x <in
	got A10-x -0
	(cat in && printf '\0') | cmp - got

	dfb-ctl topic create A10-len
	printf '\0\0\0\3a\0\n\0\0\0\0\0\0\0\1\377' >in
	run_status 0 dfb-send -L A10-len <in
	got A10-len -L
	cmp in got

	dfb-ctl topic create A10-raw
	nasty >one
	: >two
	run_status 0 dfb-send -r A10-raw one two - <one
	got A10-raw -r
	cat one one | cmp - got
	got A10-raw -L
	assert_eq "$(($(stat -c %s one) * 2 + 12))" "$(stat -c %s got)"

	dfb-ctl topic create A10-text
	run_status 0 dfb-send -m 'a
b' A10-text
	run_status 0 dfb-send -m '' A10-text
	got A10-text -0
	printf 'a\nb\0\0' | cmp - got
}

@test "files are read in order, stdin among them" {
	echo 1 >a
	echo 3 >c
	echo 2 >in
	run_status 0 dfb-send A10-x a - c <in
	got A10-x
	assert_eq "$(seq 3)" "$(cat got)"
}

@test "JSON lines round-trip, byte for byte" {
	nasty >body
	for i in 1 2 3; do
		run_status 0 dfb-send -r -k "key $i" -H a=1 -H "b=x = y" -H a=2 -t 1h A10-x body
	done
	printf 'plain\n"quoted" \\ \t\n\n' >in
	run_status 0 dfb-send A10-x <in
	got A10-x -J
	assert_eq 6 "$(wc -l <got)"
	jq -c . got >in
	dfb-ctl topic create A10-y
	run_status 0 dfb-send -J A10-y <in
	got A10-y -J
	jq -cS 'del(.topic, .queue, .offset)' in | sort >want
	jq -cS 'del(.topic, .queue, .offset)' got | sort | cmp want -
	grep -q body64 want
}

@test "JSON: fields of a line override options" {
	printf '{"body":"a"}\n\n{"body":"b","key":"own","headers":{"h":"own"}}\n' >in
	run_status 0 dfb-send -J -k opt -H h=opt -H i=opt A10-x <in
	got A10-x -f '%k %h %s\n'
	assert_eq "opt h=opt,i=opt a
own i=opt,h=own b" "$(sort -k3 got)"
}

@test "JSON: what is wrong is named with its line, the rest is sent" {
	printf '{"body":"a"}\n{"bdoy":"x"}\nplain\n{"body":"b"}\n' >in
	run_status 65 dfb-send -J A10-x <in
	[[ $output == *'stdin:2: '*bdoy* ]]
	[[ $output == *'stdin:3: '* ]]
	got A10-x
	assert_eq "a
b" "$(sort got)"
}

@test "usage errors are 64" {
	run_status 64 dfb-send
	run_status 64 dfb-send --nonsense A10-x
	run_status 64 dfb-send a-b
	run_status 64 dfb-send -0 -L A10-x
	run_status 64 dfb-send -m x -0 A10-x
	run_status 64 dfb-send -m x A10-x file
	run_status 64 dfb-send -w 0 A10-x
	run_status 64 dfb-send -t never A10-x
	run_status 64 dfb-send -H novalue A10-x
	run_status 64 dfb-send -H 'bad name=x' A10-x
	run_status 64 dfb-send -i '' A10-x
	run_status 64 dfb-send -i $(printf %065d 1) A10-x
	run_status 64 dfb-send --once A10-x
	run_status 64 dfb-send -k "$(head -c 256 /dev/zero | tr '\0' k)" A10-x
	run_status 64 dfb-send -R nowhere A10-x
	run_status 64 dfb-send -n nonsense A10-x
	run_status 64 dfb-send --at 17 A10-x
}

@test "an unreadable file is 74, before anything is sent" {
	echo a >a
	run_status 74 dfb-send A10-x a missing
	[[ $output == *"'missing'"* ]]
	run_status 74 dfb-send A10-x a .
	got A10-x
	assert_eq 0 "$(wc -l <got)"
}

@test "no bus is 69 within --wait, no topic is 69" {
	local since=$SECONDS
	run_status 69 dfb-send --wait 300ms -n "ipc://$PWD/none.sock" -m x A10-x
	((SECONDS - since < 4))
	run_status 69 dfb-send -m x A10-nothere
	seq 100 >in
	run_status 69 dfb-send A10-nothere <in
	[[ $output == *'stdin:10: '* ]]
	[[ $output == *'90 more'*'stdin:11 to stdin:100'* ]]
	[[ $output != *'stdin:12: '* ]]
}

@test "too large a message is 65 and named, the rest is sent" {
	dfb-ctl topic create A10-small --max-body 10
	printf '1\n2\nthis is too long\n4\n' >a
	printf '5\nthis is it too\n7\n' >b
	run_status 65 dfb-send A10-small a b
	[[ $output == *'a:3: '* ]]
	[[ $output == *'b:2: '* ]]
	got A10-small
	assert_eq "1
2
4
5
7" "$(sort got)"
}

@test "an endless line is 65, with bounded memory" {
	(echo a && head -c 40000000 /dev/zero | tr '\0' x && echo && echo b) >in
	([ -n "$SAN" ] || ulimit -v 400000; run_status 65 dfb-send A10-x <in &&
	    [[ $output == *'stdin:2: '*16777216* ]])
	got A10-x
	assert_eq "a
b" "$(sort got)"
}

@test "-L: input that is cut short, or none, is 65 with the position" {
	printf '\0\0\0\1a\0\0\0\5b' >in
	run_status 65 dfb-send -L A10-x <in
	[[ $output == *'byte 5 '*'byte 10'* ]]
	got A10-x
	assert_eq a "$(cat got)"
	echo 'these are lines' >in
	run_status 65 dfb-send -L A10-x <in
	[[ $output == *'byte 0 '* ]]
}

@test "-A: all or nothing" {
	dfb-ctl topic create A10-small --max-body 10
	printf '1\nthis is too long\n3\n' >in
	run_status 65 dfb-send -A A10-small <in
	got A10-small
	assert_eq 0 "$(wc -l <got)"
	printf '{"body":"1"}\n{"boddy":"2"}\n' >in
	run_status 65 dfb-send -A -J A10-x <in
	got A10-x
	assert_eq 0 "$(wc -l <got)"
	seq 1000 >in
	run_status 0 dfb-send -A A10-x <in
	got A10-x
	assert_eq 1000 "$(wc -l <got)"
}

@test "-i: one message, a second one is 65 and nothing is sent" {
	local id=01a206a9-e2b2-778b-8777-d14250511eb0
	printf '1\n2\n' >in
	run_status 65 dfb-send -i $id A10-x <in
	[[ $output == *'stdin:2: '* ]]
	got A10-x
	assert_eq 0 "$(wc -l <got)"
	run_status 0 dfb-send -i $id -m one A10-x
	got A10-x -f '%i %s\n'
	assert_eq "$id one" "$(cat got)"
}

@test "a line that was typed is sent at once" {
	mkfifo in
	dfb-send A10-x <in 3>&- &
	local pid=$!
	exec 4>in
	echo first >&4
	dfb-recv -g g -o beginning -c 1 -t 5s A10-x >got
	assert_eq first "$(cat got)"
	exec 4>&-
	wait $pid
}

@test "SIGINT: 0 when all that was read is stored" {
	mkfifo in
	dfb-send A10-x <in 2>err 3>&- &
	local pid=$! rc=0
	exec 4>in
	seq 5 >&4
	dfb-recv -g g -o beginning -c 5 -t 5s A10-x >got
	kill -INT $pid
	wait $pid || rc=$?
	exec 4>&-
	assert_eq 0 $rc
	grep -q '5 messages confirmed, 0 not' err
}

@test "many messages through one pipe, none lost, any window" {
	seq 200000 >in
	cat in | dfb-send -w 3000 A10-x
	got A10-x
	sort -n got | cmp - in
}

@test "standard input that is closed is 74, at once" {
	run_status 74 dfb-send A10-x <&-
	[[ $output == *'standard input'* ]]
	run_status 74 dfb-call A10-x <&-
	run_status 64 dfb-send -m a -m b A10-x
}
