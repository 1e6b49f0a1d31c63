# The servers that tests/bench/run compares: each in a directory of its own, at a port that the
# system chose, thrown away by kill -9 after each measurement.  $work: where; $bench,
# $bin: our programs.

PIDS=()   # of the server that runs
DIR=      # what it writes
PORT=     # of a peer
BROKER=   # process that holds the messages: its memory counts, and it is killed
SOCKETS=

# has SUBJECT: whether it is installed.
has() {
	case $1 in
	redis*) [ -x "$bench/peer_redis" ] && command -v redis-server >/dev/null ;;
	beanstalkd*) command -v beanstalkd >/dev/null ;;
	jetstream | nats) command -v nats-server >/dev/null ;;
	*) true ;;
	esac
}

pause() { read -rt 0.01 <> <(:) || true; }

# until_ok COMMAND: for at most 60 s.
until_ok() {
	local end=$((SECONDS + 60))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		pause
	done
}

reachable() { (: <>"/dev/tcp/127.0.0.1/$PORT"); }

spawn() {
	"$@" </dev/null >>"$DIR/log" 2>&1 &
	BROKER=$!
	PIDS+=("$BROKER")
}

# daemon NAME option...: a daemon of ours, until it says that it is ready.
daemon() {
	local name=$1 line=
	shift
	rm -f "$DIR/ready"
	mkfifo "$DIR/ready"
	"$bin/$name" --ready-fd 9 "$@" 9>"$DIR/ready" </dev/null >>"$DIR/$name.log" 2>&1 &
	BROKER=$!
	PIDS+=("$BROKER")
	read -rt 60 line <"$DIR/ready"
	[ "$line" = ready ]
}

start_broker() {
	local at=tcp://127.0.0.1:0
	[ "$SUBJECT" = dfb ] || at=ipc://$SOCKETS/b1
	daemon dfb-broker -N b1 -R A10 -d "$DIR/broker" -b "$at" --insecure
}

start_dfb() {
	local at=tcp://127.0.0.1:0
	if [ "$SUBJECT" != dfb ]; then
		SOCKETS=$(mktemp -d /tmp/dfb-bench.XXXXXX) # a path of a socket is short
		at=ipc://$SOCKETS/names
	fi
	daemon dfb-names -d "$DIR/names" -b "$at" --insecure || return 1
	DFB_NAMES=$(sed -n 's/.*event=bound endpoint=//p' "$DIR/dfb-names.log")
	export DFB_NAMES DFB_REGION=A10
	start_broker && until_ok "$bin/dfb-ctl" topic create --durability "$durability" "$topic"
}

# Redis rewrites its log now and then; that would only spoil its figures.
start_redis() {
	spawn redis-server --port "$PORT" --bind 127.0.0.1 --dir "$DIR" --save '' \
	    --appendonly yes --appendfsync "$1" --auto-aof-rewrite-percentage 0
}

# (Re)start what holds the messages, without waiting.
start_store() {
	case $SUBJECT in
	dfb*) start_broker ;;
	redis-always) start_redis always ;;
	redis-everysec) start_redis everysec ;;
	beanstalkd-f0) spawn beanstalkd -l 127.0.0.1 -p "$PORT" -b "$DIR" -f0 ;;
	beanstalkd) spawn beanstalkd -l 127.0.0.1 -p "$PORT" -b "$DIR" ;;
	jetstream | nats) spawn nats-server -a 127.0.0.1 -p "$PORT" -js -sd "$DIR" ;;
	esac
}

# server_start SUBJECT [DURABILITY]: a fresh one; for dfb with the topic $topic.
server_start() {
	SUBJECT=$1 durability=${2:-commit}
	DIR=$(mktemp -d "$work/$SUBJECT.XXXXXX") || return 1
	case $SUBJECT in
	dfb*) start_dfb ;;
	*)
		PORT=$("$bench/bench_sock" free-port)
		start_store
		until_ok reachable
		;;
	esac
}

server_stop() {
	local pid
	for pid in "${PIDS[@]}"; do
		kill -9 "$pid"
		wait "$pid"
	done 2>/dev/null
	PIDS=()
	[ -z "$DIR" ] || rm -rf "$DIR"
	[ -z "$SOCKETS" ] || rm -rf "$SOCKETS"
	DIR='' SOCKETS=''
}

# client MODE option...: the running server's client; prints its line of JSON, or nothing
# when something failed.
client() {
	local out=
	case $SUBJECT in
	dfb*) out=$(timeout 100 "$bin/dfb-bench" "$@" --json "$topic") ;;
	redis*) out=$(peer redis "$@") ;;
	beanstalkd*) out=$(peer beanstalkd "$@") ;;
	*) out=$(peer nats "$@") ;;
	esac
	if [ $? = 0 ] && [ "$(jq .failed <<<"$out")" = 0 ]; then
		echo "$out"
		return
	fi
	[ -z "${quiet-}" ] || return 1
	remark "$SUBJECT: $* failed; the log ends:"
	tail -n 5 "$DIR"/*log >&2
	return 1
}

peer() { timeout 100 "$bench/peer_$1" "$2" -p "$PORT" "${@:3}" "$topic"; }
