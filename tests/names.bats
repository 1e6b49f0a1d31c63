# dfb-names: command line, data directory, socket, life and death.

load helper

setup() {
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/dfb.XXXXXX") # short, for the sockets
	cd "$DIR" || return 1
	SOCK=ipc://$DIR/n.sock
	read -r STDOUT < <(readlink "/proc/$$/fd/1") # for run_status
}

# Run as somebody who may not do everything.
humbly() {
	chmod 755 "$DIR"
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	else
		"$@"
	fi
}

teardown() {
	daemons_stop
	[ -n "$BATS_TEST_COMPLETED" ] || cat "$BATS_TEST_TMPDIR"/*.log >&2 || true
	rm -rf "$DIR"
}

names_start() {
	daemon_start names dfb-names --data "$DIR/data" --bind "$SOCK" "$@"
}

# names_end SIGNAL STATUS
names_end() {
	local rc=0
	kill "-$1" "$PID_names"
	wait "$PID_names" || rc=$?
	assert_eq "$2" $rc
}

log() {
	cat "$BATS_TEST_TMPDIR/names.log"
}

@test "help and version; bad options say what is wrong" {
	run_status 0 dfb-names --help
	assert_match "usage: dfb-names" "$output"
	run_status 0 dfb-names -V
	run_status 64 dfb-names --no-such
	run_status 64 dfb-names operand
	assert_match "operand" "$stderr"
	run_status 64 dfb-names --bind
	run_status 64 dfb-names --bind nonsense
	assert_match "ipc://PATH or tcp://ADDRESS:PORT" "$stderr"
	run_status 64 dfb-names --bind "ipc:///$(printf 'x%.0s' {1..120})"
	assert_match "107 bytes" "$stderr"
	run_status 64 dfb-names --name 'a b'
	run_status 64 dfb-names --ready-fd 77
	run_status 64 dfb-names --ready-fd x
	run_status 64 dfb-names --lease-max soon
	run_status 64 dfb-names --lease-max 1ms
	run_status 64 dfb-names --data ''
}

@test "ready on stderr when no descriptor is given" {
	mkfifo err
	dfb-names --data data --bind "$SOCK" 2>err 3>&- &
	CHILDREN+=($!)
	local line=
	while read -rt 20 line && [ "$line" != ready ]; do :; done <err
	assert_eq ready "$line"
}

@test "--check changes nothing and ends" {
	run_status 0 dfb-names --check --data "$DIR/data" --bind "$SOCK"
	[ ! -e data ] && [ ! -e n.sock ] && [ ! -e n.sock.lock ]
	run_status 74 dfb-names --check --data "$DIR/a/b" --bind "$SOCK"
	run_status 74 dfb-names --check --data "$DIR/data" --bind "ipc://$DIR/a/n.sock"
	assert_match "'$DIR/a'" "$stderr"
	: >file
	run_status 74 dfb-names --check --data "$DIR/file" --bind "$SOCK"
	run_status 74 dfb-names --check --data "$DIR/data" --bind "ipc://$DIR/file"
	run_status 77 dfb-names --check --bind tcp://127.0.0.1:0
	run_status 0 dfb-names --check --data "$DIR/data" --bind tcp://127.0.0.1:0 --insecure
	names_start
	run_status 0 dfb-names --check --data "$DIR/data" --bind "$SOCK" # beside a running one
}

@test "SIGTERM and SIGINT end it with 0; the socket goes, the data stays" {
	names_start
	[ -S n.sock ]
	names_end TERM 0
	[ ! -e n.sock ]
	assert_match "event=stopped status=0" "$(log)"
	names_start
	names_end INT 0
}

@test "the log names its events" {
	names_start
	assert_match "level=info event=bound endpoint=$SOCK" "$(log)"
	assert_match "level=info event=ready name=names enrolled=0" "$(log)"
	run grep -c '^<' "$BATS_TEST_TMPDIR/names.log"
	assert_eq 0 "$output"
}

@test "under the journal lines have priorities" {
	JOURNAL_STREAM=1:2 names_start
	grep -q '^<6>level=info event=ready' "$BATS_TEST_TMPDIR/names.log"
}

@test "a second one on the same data is refused, by process id" {
	names_start
	run_status 75 dfb-names --data "$DIR/data" --bind "ipc://$DIR/m.sock"
	assert_match "pid $PID_names" "$stderr"
	[ ! -e m.sock ]
}

@test "a second one on the same socket is refused, and the first goes on" {
	names_start
	run_status 75 dfb-names --data "$DIR/data2" --bind "$SOCK"
	assert_match "in use by process $PID_names" "$stderr"
	[ -S n.sock ] && [ ! -e data2 ]
	run_status 0 dfb-ctl -n "$SOCK" broker list
}

@test "a socket that a dead one left is replaced, another file is not" {
	names_start
	kill9 names
	[ -S n.sock ]
	names_start
	names_end TERM 0
	echo precious >n.sock
	run_status 74 dfb-names --data "$DIR/data" --bind "$SOCK"
	assert_match "not a socket" "$stderr"
	assert_eq precious "$(cat n.sock)"
}

@test "bind: a missing directory, one without rights" {
	run_status 74 dfb-names --data "$DIR/data" --bind "ipc://$DIR/none/n.sock"
	assert_match "directory '$DIR/none' is not there" "$stderr"
	mkdir -m 0500 closed
	run_status 77 humbly "$(command -v dfb-names)" --data "$DIR/data" --bind "ipc://$DIR/closed/n.sock"
}

@test "tcp is refused without --insecure; port 0 is any" {
	run_status 77 dfb-names --data "$DIR/data" --bind tcp://127.0.0.1:0
	assert_match "--insecure" "$stderr"
	daemon_start names dfb-names --data "$DIR/data" --bind tcp://127.0.0.1:0 --insecure
	local tcp
	tcp=$(log | sed -n 's/.*event=bound endpoint=//p')
	assert_match tcp://127.0.0.1: "$tcp"
	run_status 0 dfb-ctl -n "$tcp" broker list
	run_status 75 dfb-names --data "$DIR/data2" --bind "$tcp" --insecure
}

@test "data of another version, a strange directory, no directory" {
	names_start
	names_end TERM 0
	echo "dfb store 999" >data/dfb.version
	run_status 65 dfb-names --data "$DIR/data" --bind "$SOCK"
	assert_match "dfb store 999" "$stderr"
	[ ! -e n.sock ]
	mkdir other
	: >other/letter
	run_status 65 dfb-names --data "$DIR/other" --bind "$SOCK"
	assert_eq letter "$(ls other)"
	: >file
	run_status 74 dfb-names --data "$DIR/file" --bind "$SOCK"
	run_status 74 dfb-names --data "$DIR/none/data" --bind "$SOCK"
}

@test "unreadable data" {
	mkdir -m 0000 data
	mkdir -m 0777 run
	run_status 77 humbly "$(command -v dfb-names)" --data "$DIR/data" --bind "ipc://$DIR/run/n.sock"
	assert_match "'$DIR/data" "$stderr"
	run_status 77 humbly "$(command -v dfb-names)" --check --data "$DIR/data" --bind "ipc://$DIR/run/n.sock"
}

@test "STATE_DIRECTORY of systemd is where the data goes" {
	mkdir state
	STATE_DIRECTORY=$DIR/state daemon_start names dfb-names --bind "$SOCK"
	[ -e state/dfb.version ]
}

@test "a broker is known until it withdraws; a restart remembers it at once" {
	names_start
	export DFB_NAMES=$SOCK
	daemon_start b1 dfb-broker --name b1 --region A10 --data "$DIR/b1" \
	    --bind "ipc://$DIR/b1.sock" --names "$SOCK" --lease 60s
	run_status 0 dfb-ctl topic create A10-x
	wait_for 'grep -q "event=enrolled.* name=b1 .*topics=1" "$BATS_TEST_TMPDIR/names.log"'
	names_end TERM 0
	kill9 b1
	names_start
	assert_match "event=ready name=names enrolled=1 topics=1" "$(log)"
	daemon_start b1 dfb-broker --name b1 --region A10 --data "$DIR/b1" \
	    --bind "ipc://$DIR/b1.sock" --names "$SOCK"
	kill "$PID_b1"
	wait "$PID_b1"
	wait_for 'grep -q "event=withdrawn.* name=b1" "$BATS_TEST_TMPDIR/names.log"'
	names_end TERM 0
	names_start
	log | grep event=ready | tail -n 1 | grep -q enrolled=0
}

@test "a restart writes little" {
	names_start
	kill9 names
	names_start
	kill9 names
	names_start
	[ "$(du -sk data | cut -f1)" -lt 10000 ]
}

@test "a broker that dies is lost at once, and expires" {
	names_start
	daemon_start b1 dfb-broker --name b1 --region A10 --data "$DIR/b1" \
	    --bind "ipc://$DIR/b1.sock" --names "$SOCK" --lease 2s
	kill9 b1
	wait_for 'grep -q "event=lost.* name=b1" "$BATS_TEST_TMPDIR/names.log"'
	wait_for 'grep -q "event=expired.* name=b1" "$BATS_TEST_TMPDIR/names.log"'
}

@test "noise from a stranger does not harm" {
	daemon_start names dfb-names --data "$DIR/data" --bind tcp://127.0.0.1:0 --insecure
	local tcp port
	tcp=$(log | sed -n 's/.*event=bound endpoint=//p')
	port=${tcp##*:}
	# No ZMTP at all; a ZMTP greeting, and then noise; a greeting and the end.
	head -c 100000 /dev/urandom >"/dev/tcp/127.0.0.1/$port" || true
	{
		printf '\377\0\0\0\0\0\0\0\1\177\3\0NULL'
		head -c 48 /dev/zero
		head -c 5000 /dev/urandom
	} >"/dev/tcp/127.0.0.1/$port" || true
	printf '\377\0\0\0\0\0\0\0\1\177\3\0NULL' >"/dev/tcp/127.0.0.1/$port" || true
	# A proper session of a DEALER whose frame is no dfb frame.
	exec 8<>"/dev/tcp/127.0.0.1/$port"
	{
		printf '\377\0\0\0\0\0\0\0\1\177\3\0NULL'
		head -c 48 /dev/zero
		printf '\4\34\5READY\13Socket-Type\0\0\0\6DEALER'
	} >&8
	head -c 66 <&8 >/dev/null # its greeting, and the start of its READY: it may be spoken to
	printf '\0\5hello' >&8
	wait_for 'grep -q "event=malformed.*not a dfb frame" "$BATS_TEST_TMPDIR/names.log"'
	exec 8>&-
	run_status 0 dfb-ctl -n "$tcp" broker list
	names_end TERM 0
}
