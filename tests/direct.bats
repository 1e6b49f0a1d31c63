# Programs that speak to daemons without ZeroMQ's threads.

load helper

setup() {
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/dfb.XXXXXX")
	cd "$DIR" || return 1
	export DFB_REGION=A10
}

teardown() {
	kill -CONT "$PID_b1" 2>/dev/null || true # else it does not end
	daemons_stop
	rm -rf "$DIR"
}

# A bus over TCP, with a topic.
tcp_start() {
	daemon_start names dfb-names -d "$DIR/names" -b tcp://127.0.0.1:0 --insecure
	DFB_NAMES=$(sed -n 's/.*event=bound endpoint=//p' "$BATS_TEST_TMPDIR/names.log")
	export DFB_NAMES
	broker_start tcp://127.0.0.1:0
	wait_for dfb-ctl topic create A10-x
}

broker_start() {
	daemon_start b1 dfb-broker -N b1 -R A10 -d "$DIR/b1" -b "$1" --insecure
	AT=$(sed -n 's/.*event=bound endpoint=//p' "$BATS_TEST_TMPDIR/b1.log" | tail -n 1)
}

connections() { readlink "/proc/$1"/fd/* | grep -c socket: || true; }
threads() { find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l; }
stored() { dfb-recv -e -g "g$RANDOM$RANDOM" -o beginning A10-x; }

@test "hosts by number and by name" {
	tcp_start
	run_status 0 dfb-send -m number A10-x
	run_status 0 dfb-send -n "tcp://localhost:${DFB_NAMES##*:}" -m name A10-x
	assert_eq $'number\nname' "$(stored)"
}

@test "one thread; signals; a broker that stops and goes on, or dies" {
	local pid rc=0 sig
	tcp_start
	for sig in INT CONT KILL; do
		kill -STOP "$PID_b1"
		dfb-send A10-x < <(seq 1000 && echo "$sig") 3>&- 2>err &
		pid=$!
		wait_for "[ \$(connections $pid) -ge 2 ]"
		assert_eq 1 "$(threads $pid)"
		rc=0
		case $sig in
		INT)
			kill -INT $pid
			wait $pid || rc=$?
			assert_eq 75 $rc
			kill -CONT "$PID_b1"
			;;
		CONT)
			kill -CONT "$PID_b1"
			wait $pid
			;;
		KILL)
			kill9 b1
			broker_start "$AT"
			wait $pid
			;;
		esac
	done
	stored >got
	assert_eq 1 "$(grep -c CONT got)"
	assert_eq 1 "$(grep -c KILL got)"
	assert_eq 2000 "$(grep -vc "[A-Z]" got)"
}

@test "the first name server is not there, or is another program" {
	tcp_start
	run_status 0 dfb-send -n "ipc://$DIR/none,$DFB_NAMES" -m a A10-x
	run_status 0 dfb-send -n "$AT,$DFB_NAMES" -m b A10-x # a broker is no name server
	assert_eq $'a\nb' "$(stored)"
	run_status 69 dfb-send --wait 100ms -n "ipc://$DIR/none" -m c A10-x
	run_status 69 dfb-call --wait 100ms -n "ipc://$DIR/none" -m c A10-x
}

@test "a call, and a request of many bytes" {
	local big
	tcp_start
	big=$(head -c 100000 /dev/zero | tr '\0' x)
	dfb-recv -g g A10-x -- cat 3>&- &
	CHILDREN+=($!)
	wait_for dfb-call -m ready A10-x
	assert_eq hello "$(dfb-call -m hello A10-x)"
	assert_eq "$big" "$(dfb-call -m "$big" A10-x)"
}
