# Crash rounds (tests/crash): a bus whose daemons and clients are killed at random moments, and
# a checker that reads what everybody wrote down.  Then the checker itself: it must notice a
# broker that lies.

load helper

CRASH=$BATS_TEST_DIRNAME/crash/run

# When a lie shows is up to chance.
setup_file() {
	export BATS_TEST_TIMEOUT=360
}

setup() {
	export TMPDIR=$BATS_TEST_TMPDIR B=${BIN%/bin}
}

# rounds NUMBER: fewer under the sanitizers, which are slow.
rounds() {
	[ -z "$SAN" ] && echo "$1" || echo $(($1 / 5))
}

@test "crash rounds: nothing confirmed is lost, doubled or out of order" {
	nice "$CRASH" --rounds "$(rounds 25)"
}

@test "crash rounds: and once more" {
	nice "$CRASH" --rounds "$(rounds 25)"
}

@test "crash rounds with a slow store" {
	export DFB_LIE=slow
	nice "$CRASH" --rounds "$(rounds 10)" --broker "$B/crash/lying-broker"
}

# lie HOW AIM RULE...: the checker must find one of the rules broken when those are struck.
lie() {
	local how=$1 aim=$2 rc rule try
	export DFB_LIE=$how
	# Its clients may give up, and are ended in the midst of it.
	[ -z "$SAN" ] || export ASAN_OPTIONS=detect_leaks=0
	shift 2
	# A client may see the lie before the checker does: then that bus ends, and another is tried.
	for try in {1..8}; do
		rc=0
		nice "$CRASH" --rounds 60 --life 12 --first --strike "$aim" \
		    --broker "$B/crash/lying-broker" >out || rc=$?
		cat out
		assert_eq 1 $rc
		! grep -q ': the checker found' out || break
	done
	grep -q ': the checker found' out
	for rule; do
		! grep -q "^RED $rule:" out || return 0
	done
	fail "none of: $*"
}

@test "a broker that confirms before the commit is found" {
	cd "$BATS_TEST_TMPDIR"
	lie confirm brokers missing gap
}

@test "a broker that confirms before the flush is found" {
	cd "$BATS_TEST_TMPDIR"
	lie flush brokers missing gap reused redelivered
}

@test "a broker that forgets its senders is found" {
	cd "$BATS_TEST_TMPDIR"
	lie resend brokers twice
}

@test "a broker that forgets what was acknowledged is found" {
	cd "$BATS_TEST_TMPDIR"
	lie ack brokers redelivered
}

@test "a broker that gives offsets out twice is found" {
	cd "$BATS_TEST_TMPDIR"
	lie clean brokers reused
}

@test "a broker that gives a key's new queue out too soon is found" {
	cd "$BATS_TEST_TMPDIR"
	lie fences takers key-order
}

@test "a broker that gives a queue to two owners is found" {
	cd "$BATS_TEST_TMPDIR"
	lie owners takers redelivered
}

@test "a broker that gives messages the wrong label is found" {
	cd "$BATS_TEST_TMPDIR"
	lie label takers label
}
