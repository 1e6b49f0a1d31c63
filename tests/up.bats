# dfb-up: a bus in a directory, or for the time of one command.

load helper

setup() {
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/dfb.XXXXXX") # short, for the sockets
	cd "$DIR" || return 1
	BUSDIR=$DIR/bus
	mkdir tmp
	export TMPDIR=$DIR/tmp
	read -r STDOUT < <(readlink "/proc/$$/fd/1") # for run_status
}

teardown() {
	daemons_stop
	[ -n "$BATS_TEST_COMPLETED" ] || cat "$BATS_TEST_TMPDIR"/*.log >&2 || true
	rm -rf "$DIR"
}

# up_start [option...]: a bus in $BUSDIR that runs by itself.
up_start() {
	daemon_start up dfb-up "$@" "$BUSDIR"
}

# The pid of daemon $1 of the bus in $BUSDIR.
pid_of() {
	pgrep -f -- "--data $BUSDIR/data/$1 "
}

nobody_left() {
	! pgrep -f -- "$BUSDIR/data/"
}

@test "bad command lines" {
	run_status 64 dfb-up --no-such
	run_status 64 dfb-up --
	assert_match "no command" "$stderr"
	run_status 64 dfb-up dir cmd
	assert_match "'--'" "$stderr"
	run_status 64 dfb-up ''
	run_status 64 dfb-up dir --verbose other -- true
	run_status 64 dfb-up --region a10
	run_status 64 dfb-up --region A10,
	run_status 64 dfb-up --region A10,A10
	run_status 64 dfb-up --brokers 0
	run_status 64 dfb-up --brokers 200 --region A10,B20
	run_status 64 dfb-up --ready-fd 77
	run_status 0 dfb-up --help
	assert_eq "" "$(ls tmp)"
}

@test "a command's status passes, and nothing is left" {
	run_status 0 dfb-up -- true
	run_status 7 dfb-up -- sh -c 'exit 7'
	run_status 143 dfb-up -- sh -c 'kill -TERM $$'
	run_status 137 dfb-up -- sh -c 'kill -KILL $$'
	run_status 127 dfb-up -- ./no-such-program
	run_status 126 dfb-up -- ./tmp
	assert_eq "" "$(ls tmp)"
	! pgrep -f -- "--data $DIR"
}

@test "the command has the bus, its arguments, stdin and stdout as they are" {
	echo in | dfb-up "$BUSDIR" -- sh -c 'echo "$1|$DFB_NAMES|$DFB_REGION"; cat' sh 'a  b' >out
	assert_eq "a  b|ipc://$BUSDIR/names.sock|A10
in" "$(cat out)"
	[ -d "$BUSDIR/data/b1" ] && [ -s "$BUSDIR/log/b1.log" ] # a given directory stays
	nobody_left
}

@test "messages go through, and outlive the bus in a directory" {
	run_status 0 dfb-up "$BUSDIR" -- sh -ec '
	    dfb-ctl topic create A10-x; echo hello | dfb-send A10-x'
	dfb-up "$BUSDIR" -- dfb-recv -e -g g -o beginning A10-x >out
	assert_eq hello "$(cat out)"
}

@test "without a command: exports to eval, until SIGTERM" {
	mkfifo out
	dfb-up "$BUSDIR" >out 2>"$BATS_TEST_TMPDIR/up.log" 3>&- &
	CHILDREN+=($!)
	eval "$(cat out)" # its stdout ends once it is up
	assert_eq "ipc://$BUSDIR/names.sock" "$DFB_NAMES"
	assert_eq A10 "$DFB_REGION"
	run_status 0 dfb-ctl broker list
	assert_match b1 "$output"
	local rc=0
	kill -TERM "${CHILDREN[0]}"
	wait "${CHILDREN[0]}" || rc=$?
	assert_eq 0 $rc
	nobody_left
}

@test "a quote in the directory's name survives eval" {
	mkdir "it's"
	BUSDIR=$DIR/"it's"
	mkfifo out
	dfb-up "$BUSDIR" >out 2>"$BATS_TEST_TMPDIR/up.log" 3>&- &
	CHILDREN+=($!)
	eval "$(cat out)"
	assert_eq "ipc://$BUSDIR/names.sock" "$DFB_NAMES"
}

@test "several regions and brokers" {
	up_start --region B20,A10 --brokers 2
	export DFB_NAMES=ipc://$BUSDIR/names.sock
	run_status 0 dfb-ctl broker list
	for b in b20-1 b20-2 a10-1 a10-2; do
		assert_match $b "$output"
	done
	dfb-up --region B20,A10 -- sh -c 'echo $DFB_REGION' >out
	assert_eq B20 "$(cat out)"
	dfb-up --brokers 2 -- dfb-ctl broker list >out
	assert_match b1 "$(cat out)"
	assert_match b2 "$(cat out)"
}

@test "--broker-arg reaches each broker; one it refuses ends the start" {
	up_start --broker-arg --lease --broker-arg 7s
	tr '\0' ' ' <"/proc/$(pid_of b1)/cmdline" | grep -q -- '--lease 7s $'
	run_status 64 dfb-up --broker-arg --nonsense -- true
	assert_match "b1 did not start: exit status 64" "$stderr"
	assert_match "unknown option '--nonsense'" "$stderr" # the end of its log
	assert_eq "" "$(ls tmp)"
}

@test "the directory is in use" {
	up_start
	run_status 75 dfb-up "$BUSDIR" -- true
	assert_match "process $PID_up" "$stderr"
	DFB_NAMES=ipc://$BUSDIR/names.sock run_status 0 dfb-ctl broker list
}

@test "a path too long for sockets, a missing parent, a file" {
	local long
	long=$DIR/$(printf 'x%.0s' {1..120})
	run_status 64 dfb-up "$long" -- true
	assert_match "107 bytes" "$stderr"
	run_status 74 dfb-up "$DIR/none/bus" -- true
	: >file
	run_status 74 dfb-up "$DIR/file" -- true
	TMPDIR=$DIR/none run_status 74 dfb-up -- true
}

@test "a daemon that is killed is started again" {
	up_start
	local old
	old=$(pid_of b1)
	export DFB_NAMES=ipc://$BUSDIR/names.sock
	dfb-ctl topic create A10-x
	kill -9 "$old"
	wait_for '[ -n "$(pid_of b1)" ] && [ "$(pid_of b1)" != '"$old"' ]'
	assert_match "b1 died (signal 9 (KILL)), starting it again in 100ms" \
	    "$(cat "$BATS_TEST_TMPDIR/up.log")"
	echo again | dfb-send A10-x
	old=$(pid_of names)
	kill -9 "$old"
	wait_for '[ -n "$(pid_of names)" ] && [ "$(pid_of names)" != '"$old"' ]'
	echo more | dfb-send A10-x
	dfb-recv -e -g g -o beginning A10-x >out
	assert_eq "again
more" "$(cat out)"
}

@test "who keeps dying at once is started ever less often" {
	up_start
	# From now on the broker finds no directory to work in.
	mv "$BUSDIR/data" "$BUSDIR/moved"
	kill -9 "$(pgrep -f -- "--data $BUSDIR/data/b1 ")"
	wait_for 'grep -q "b1 died .* again in 200ms" "$BATS_TEST_TMPDIR/up.log"'
	wait_for 'grep -q "b1 died .* again in 400ms" "$BATS_TEST_TMPDIR/up.log"'
	mv "$BUSDIR/moved" "$BUSDIR/data"
	export DFB_NAMES=ipc://$BUSDIR/names.sock
	wait_for 'dfb-ctl broker list | grep -q up'
}

@test "SIGTERM and SIGINT reach the command; its status is the answer" {
	local sig rc
	for sig in TERM INT; do
		mkfifo go
		# (The shell makes what is in the background ignore SIGINT.)
		env --default-signal=INT dfb-up "$BUSDIR" -- sh -c 'sleep 600 & s=$!
		    trap "kill $s; exit 5" TERM; trap "kill $s; exit 6" INT
		    echo >go; wait' 3>&- 2>"$BATS_TEST_TMPDIR/up.log" &
		CHILDREN+=($!)
		read -rt 20 _ <go
		kill -$sig $!
		rc=0
		wait $! || rc=$?
		assert_eq $([ $sig = TERM ] && echo 5 || echo 6) $rc
		rm go
		nobody_left
	done
}

@test "kill -9 of dfb-up leaves no orphans" {
	up_start
	[ -n "$(pid_of b1)" ] && [ -n "$(pid_of names)" ]
	kill9 up
	wait_for nobody_left
	up_start # and the directory is free again
}

@test "a broker that hangs is killed in the end" {
	up_start
	kill -STOP "$(pid_of b1)"
	local rc=0
	kill "$PID_up"
	wait "$PID_up" || rc=$?
	assert_eq 0 $rc
	assert_match "killed" "$(cat "$BATS_TEST_TMPDIR/up.log")"
	nobody_left
}

@test "--verbose shows the daemons' logs, and keeps them" {
	dfb-up -v "$BUSDIR" -- true 2>err
	assert_match "event=ready name=names" "$(cat err)"
	assert_match "event=stopped" "$(cat err)"
	assert_match "event=ready name=names" "$(cat "$BUSDIR/log/names.log")"
	dfb-up "$BUSDIR" -- true 2>err
	assert_eq "" "$(cat err)"
}

@test "daemons beside dfb-up are preferred to those in PATH" {
	mkdir bin
	printf '#!/bin/sh\necho wrong >&2\nexit 3\n' >bin/dfb-names
	chmod +x bin/dfb-names
	PATH=$DIR/bin:$PATH run_status 0 dfb-up -- true
	# Alone, it takes those in PATH.
	cp "$(command -v dfb-up)" bin/
	rm bin/dfb-names
	run_status 0 bin/dfb-up -- true
	PATH=/usr/bin:/bin run_status 71 bin/dfb-up -- true
	assert_match "cannot run 'dfb-names'" "$stderr"
}
