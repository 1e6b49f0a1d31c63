# What goes wrong around the daemons: calls of the system that fail, full and slow disks, no
# descriptors, no memory.  'make faults' has the calls one by one; here are some of them.

load helper

B=${B:-$(cd "$BATS_TEST_DIRNAME/../build" && pwd)}
FAULTY=$B/faults

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	read -r STDOUT < <(readlink "/proc/$$/fd/1")
	S=$(mktemp -d "${TMPDIR:-/tmp}/dfb.XXXXXX") # for sockets: paths are limited
	export DFB_NAMES=ipc://$S/n.sock DFB_REGION=A10
}

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 20 ./*.log >&2
	[ ! -p flush ] || release
	daemons_stop
	[ ! -e mounted ] || umount "$S/disk"
	rm -rf "$S"
}

names() {
	daemon_start names dfb-names -b "$DFB_NAMES" -d names.d
}

# broker [option...]: of the program $BROKER.
broker() {
	daemon_start b1 "${BROKER:-dfb-broker}" -N b1 -b "ipc://$S/b.sock" -d "$S/disk/b1" \
	    --keep 20ms --min-free 0 "$@"
}

# ended NAME STATUS: that daemon ends with this status, by itself.
ended() {
	local pid=PID_$1 rc=0
	wait "${!pid}" || rc=$?
	assert_eq "$2" $rc
}

stat_of() { dfb-ctl --json broker stats b1 | jq -r "if type == \"array\" then .[0] else . end | .$1"; }

# A disk of its own of this size.
disk() {
	mkdir -p "$S/disk"
	mount -t tmpfs -o size="$1" tmpfs "$S/disk" 2>/dev/null || skip 'no right to mount'
	: >mounted
}

@test "calls of the system fail, one by one: nothing confirmed is lost" {
	BIN=$B/bin run timeout 100 "$BATS_TEST_DIRNAME/faults/run" -k 97 \
	    life write ENOSPC+ life write cut life fsync EIO life malloc ENOMEM \
	    again write torn+ names fsync EIO sgs write torn+ sgs malloc ENOMEM gsl malloc ENOMEM
	echo "$output" >&2
	[ "$status" -eq 0 ]
}

@test "a page that cannot be written at an orderly end: nothing is lost" {
	export BIN=$B/bin FAULTY
	local life=$FAULTY/life n i
	"$life" prepare "$S/before"
	"$life" again "$S/clean" "$S/before"
	n=$(sed -n 's/^write //p' "$S/clean/counts")
	for ((i = n - 9; i < n; i++)); do
		"$life" -f write:$i:EIO again "$S/$i" "$S/before"
	done
}

@test "the checker sees a loss: writes to the log that only pretend" {
	export BIN=$B/bin FAULTY
	for l in 'life 150' 'sgs 22' 'gsl 15'; do
		line=$("$FAULTY/life" -f "write:${l#* }+:lie" "${l% *}" "$S/${l% *}") && fail "$line"
		assert_match BAD "$line"
	done
}

# A service on a topic that answers with what it got.
echo_service() {
	dfb-recv -g g --coproc "$1" -- jq -c --unbuffered '{id, body}' 2>"$1.log" 3>&- &
	CHILDREN+=($!)
	wait_for "dfb-call -m ready $1"
}

# Let the flush that is held go on, and all others.
release() {
	mv flush gone
	timeout 5 sh -c ': >gone' || true
}

@test "a flush that takes for ever: memory and async topics do not notice" {
	names
	export DFB_FAULT=fsync:1+:block DFB_FAULT_FIFO=$PWD/flush DFB_FAULT_MARK=$PWD/held \
	    DFB_FAULT_DIR=/log.
	mkdir "$S/disk"
	BROKER=$FAULTY/dfb-broker broker
	dfb-ctl topic create --durability memory A10-memory
	dfb-ctl topic create --durability async A10-async
	dfb-ctl topic create --durability memory A10-memorycall
	dfb-ctl topic create --durability async A10-asynccall
	dfb-ctl topic create A10-commit
	echo_service A10-memorycall
	echo_service A10-asynccall
	seq 1000 >in
	mkfifo flush
	dfb-send -v -m durable A10-commit 3>&- &
	sender=$!
	wait_for "[ -s held ]"
	for how in memory async; do
		run_status 0 timeout 60 dfb-send A10-$how <in
		run_status 0 timeout 60 dfb-call -l A10-${how}call <in >got
		cmp in got
	done
	kill -0 $sender # not confirmed yet
	release
	wait $sender
	run_status 0 dfb-recv -g g -e A10-commit >got
	assert_eq durable "$(cat got)"
	run_status 0 dfb-recv -g g -c 1000 A10-async >got
	cmp in got
}

@test "a kill when the log goes on in the file made ahead: nothing is lost" {
	names
	mkdir "$S/disk"
	yes "$(head -c 1000 /dev/zero | tr '\0' x)" | head -n 12000 | cat -n >in
	export DFB_FAULT_DIR
	for fault in rename:2:kill=/spare.log open:2:kill=/log.0000000002 \
	    write:1:kill=/log.0000000002 fsync:1:kill=/log.0000000002; do
		rm -rf "$S/disk/b1" mark
		DFB_FAULT_DIR=${fault#*=}
		DFB_FAULT=${fault%=*} DFB_FAULT_MARK=$PWD/mark BROKER=$FAULTY/dfb-broker broker
		head -c 32M /dev/zero >"$S/disk/b1/spare.log"
		dfb-ctl topic create A10-x
		dfb-send A10-x <in 3>&- &
		sender=$!
		ended b1 137
		[ -s mark ]
		broker
		wait $sender
		dfb-recv -g g -e A10-x >got
		cmp in got
		kill "$PID_b1"
		ended b1 0
	done
}

@test "a disk too small from the start: 74, and with room it starts" {
	disk 32k
	names
	rc=0
	timeout 30 dfb-broker -N b1 -b "ipc://$S/b.sock" -d "$S/disk/b1" 2>b1.log || rc=$?
	assert_eq 74 $rc
	assert_match "'$S/disk/b1'" "$(grep 'No space left on device: make room' b1.log)"
	mount -o remount,size=100m "$S/disk"
	broker --min-free 150M
	dfb-ctl topic create A10-x
	run_status 75 dfb-send --no-wait -m no A10-x
	assert_match 'storage full' "$stderr"
	mount -o remount,size=400m "$S/disk"
	dfb-send -m hello A10-x
	assert_eq hello "$(dfb-recv -g g -e A10-x)"
}

@test "a disk that somebody else fills: sends are refused, deliveries go on, room ends it" {
	disk 200m
	names
	broker --min-free 20M
	dfb-ctl topic create A10-x
	seq 1000 >in
	dfb-send A10-x <in
	head -c 185M /dev/zero >"$S/disk/other"
	wait_for "[ \$(stat_of storage_full) = true ]"
	run_status 75 dfb-send --no-wait -m more A10-x
	assert_match "storage full" "$stderr"
	run_status 0 dfb-recv -g g -e A10-x >got
	cmp in got
	dfb-send -m patient A10-x 3>&- &
	sender=$!
	rm "$S/disk/other"
	wait $sender
	assert_eq patient "$(dfb-recv -g g -e A10-x)"
}

@test "Berkeley DB meets a full disk: 74, and with room nothing confirmed is missing" {
	disk 20m
	names
	broker
	dfb-ctl topic create A10-x
	seq -f "%.0f $(printf '%1000s')" 40000 >in
	dfb-send A10-x <in 3>&- 2>send.log &
	sender=$!
	ended b1 74
	assert_match 'No space left on device' "$(cat b1.log)"
	mount -o remount,size=300m "$S/disk"
	broker
	wait $sender
	run_status 0 dfb-recv -g g -e A10-x >got
	cmp in got
}

# limited N command...: with at most N descriptors.
limited() {
	(ulimit -n "$1" && exec "${@:2}")
}

@test "no descriptors left: connections wait, what is there goes on, and it recovers" {
	ulimit -n 50
	names
	mkdir "$S/disk"
	broker
	ulimit -S -n 50
	dfb-ctl topic create A10-x
	for i in {1..50}; do
		dfb-recv -q -g g$i A10-x >"out$i" 2>/dev/null 3>&- &
		crowd+=($!)
	done
	wait_for "grep -q event=descriptors-full names.log || grep -q event=descriptors-full b1.log"
	kill -0 $PID_names
	kill -0 $PID_b1
	kill -KILL "${crowd[@]}" # also one that has not begun yet
	run_status 0 dfb-send --wait 20s -m hello A10-x
	run_status 0 dfb-recv --wait 20s -g last -e A10-x >got
	assert_eq hello "$(cat got)"
	grep -q event=descriptors-ok names.log
	daemons_stop
}

@test "programs with few descriptors: 71 and why, or they work" {
	names
	mkdir "$S/disk"
	broker
	dfb-ctl topic create A10-x
	for n in 9 {11..27..2}; do
		for c in 'dfb-send -m hi' 'dfb-recv -g g -c 1' 'dfb-ctl topic show'; do
			rc=0
			limited $n $c A10-x >out 2>err </dev/null 3>&- 4>&- || rc=$?
			[ $rc -eq 0 ] || [ $rc -eq 71 ] || fail "$c, $n descriptors: $rc"
			[ $rc -eq 0 ] || assert_match 'Too many open files' "$(cat err)"
		done
	done
	assert_eq 0 $rc
	for n in 10 14 18 22 26; do
		rc=0
		limited $n timeout 2 dfb-broker -N b2 -b "ipc://$S/b2.sock" -d b2 2>b2.log 3>&- || rc=$?
		[ $rc -eq 71 ] || [ $rc -eq 124 ] || fail "dfb-broker, $n descriptors: $rc"
		[ $rc -eq 124 ] || assert_match 'Too many open files' "$(cat b2.log)"
	done
}

@test "little memory: 75 or 71 and why, and nothing confirmed is missing" {
	[ -z "$SAN" ] || skip 'sanitizers need address space'
	names
	mkdir "$S/disk"
	head -c 3M /dev/urandom >in
	for mib in 40 60 100 140 200 260; do
		rm -rf "$S/disk/b1"
		rc=0 got=0
		(ulimit -v $((mib * 1024)) && exec dfb-broker -N b1 -b "ipc://$S/b.sock" \
		    -d "$S/disk/b1" -n "$DFB_NAMES" --min-free 0 3>&- 2>b1.log) &
		pid=$!
		wait_for "dfb-ctl topic create --if-missing A10-x || ! kill -0 $pid"
		: >confirmed
		for i in {1..8}; do
			timeout 5 dfb-send -q --wait 1s --no-wait -r -k $i A10-x in || break
			echo $i >>confirmed
		done
		kill $pid 2>/dev/null || true
		wait $pid || rc=$?
		[ $rc -eq 0 ] || [ $rc -eq 71 ] || [ $rc -eq 74 ] || {
			cat b1.log
			fail "$mib MiB: status $rc"
		}
		[ $rc -eq 0 ] || grep -qE "memory|cannot start a thread" b1.log
		broker
		[ ! -s confirmed ] || dfb-recv -g g -e -f '%k\n' A10-x >got
		[ ! -s confirmed ] || head -n "$(wc -l <confirmed)" got | cmp confirmed -
		daemons_stop
		names
	done
}
