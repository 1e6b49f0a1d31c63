# What the bats files share.  Every test has a bus of its own in a directory of its own;
# nothing sleeps, no port is fixed, and nobody is killed by name.

PATH=${BIN:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../build/bin" && pwd)}:$PATH
bats_require_minimum_version 1.5.0

unset DFB_NAMES DFB_REGION
CHILDREN=()

# bus_start [dfb-up option...]: a bus with one broker, b1 in region A10, in $BUS; sets
# DFB_NAMES.  Paths of sockets are limited to 107 bytes: $BUS is short.  SERVICES=1: with
# dfb-sgs and dfb-gsl.
bus_start() {
	local line=
	[ -n "$SERVICES" ] || set -- --no-services "$@"
	read -r STDOUT < <(readlink "/proc/$$/fd/1")
	BUS=$(mktemp -d "${TMPDIR:-/tmp}/dfb.XXXXXX")
	mkfifo "$BUS/ready"
	dfb-up --ready-fd 9 "$@" "$BUS" 9>"$BUS/ready" 3>&- >"$BUS/up.log" 2>&1 &
	UP=$!
	read -rt 20 line <"$BUS/ready" || true
	[ "$line" = ready ] || {
		cat "$BUS/up.log" "$BUS"/log/*.log >&2
		return 1
	}
	export DFB_NAMES=ipc://$BUS/names.sock DFB_REGION=A10
}

# End it; its logs are shown when the test failed.  Fails when it does not end well.
bus_stop() {
	local rc=0
	if [ -n "$UP" ]; then
		kill "$UP" 2>/dev/null || true
		wait "$UP" || rc=$?
	fi
	UP=
	handlers_end
	if [ -z "$BATS_TEST_COMPLETED" ] || [ $rc -ne 0 ]; then
		tail -n 20 "$BUS"/log/*.log "$BUS/up.log" >&2 || true
	fi
	rm -rf "$BUS"
	return $rc
}

# daemon_start NAME command...: start a daemon with --ready-fd and wait for it; its
# process id is in PID_NAME, its log in $BATS_TEST_TMPDIR/NAME.log.
daemon_start() {
	local name=$1 prog=$2 line= fifo=$BATS_TEST_TMPDIR/$1.ready
	shift 2
	rm -f "$fifo"
	mkfifo "$fifo"
	"$prog" --ready-fd 9 "$@" 9>"$fifo" 3>&- >>"$BATS_TEST_TMPDIR/$name.log" 2>&1 &
	printf -v "PID_$name" %s $!
	CHILDREN+=($!)
	read -rt 20 line <"$fifo" || true
	[ "$line" = ready ] || {
		cat "$BATS_TEST_TMPDIR/$name.log" >&2
		return 1
	}
}

# kill9 NAME: of a daemon started by daemon_start.
kill9() {
	local pid=PID_$1
	kill -9 "${!pid}"
	wait "${!pid}" 2>/dev/null || true
}

# Handlers that wait at a fifo "stuck" outlive a consumer that was killed: they go on.
handlers_end() {
	local fifo
	for fifo in ./stuck*; do
		[ ! -p "$fifo" ] || : <>"$fifo"
	done
}

# End all daemons of daemon_start.
daemons_stop() {
	local pid
	for pid in "${CHILDREN[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	CHILDREN=()
	handlers_end
}

# wait_for COMMAND: until the command line succeeds, at most 20 s.
wait_for() {
	local i
	for ((i = 0; i < 800; i++)); do
		eval "$*" >/dev/null 2>&1 && return 0
		read -rt 0.025 <> <(:) || true
	done
	echo "never happened: $*" >&2
	return 1
}

# run_status STATUS command...: it must end with exactly this status.  $stderr has what it
# said, $output its stdout (when that was not redirected) and its stderr.
run_status() {
	local want=$1 rc=0 me=$BASHPID now= out=$BATS_TEST_TMPDIR/.out err=$BATS_TEST_TMPDIR/.err
	shift
	read -r now < <(readlink "/proc/$me/fd/1") || true
	: >"$out"
	if [ "$now" = "$STDOUT" ]; then
		"$@" >"$out" 2>"$err" || rc=$?
		cat "$out"
	else
		"$@" 2>"$err" || rc=$?
	fi
	cat "$err" >&2
	output=$(cat "$out" "$err" | tr -d '\0')
	stderr=$(tr -d '\0' <"$err")
	[ $rc -eq "$want" ] || {
		echo "status $rc, not $want: $*" >&2
		return 1
	}
}

assert_eq() {
	[ "$1" = "$2" ] || {
		printf 'wanted: %s\ngot:    %s\n' "$1" "$2" >&2
		return 1
	}
}

# assert_match PART TEXT: the text contains the part.
assert_match() {
	[[ $2 == *"$1"* ]] || {
		printf 'wanted: ...%s...\ngot:    %s\n' "$1" "$2" >&2
		return 1
	}
}

fail() {
	echo "$*" >&2
	return 1
}
