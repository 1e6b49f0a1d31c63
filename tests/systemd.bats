# The units: well-formed, runnable, and as closed as they can be.

load helper

setup() {
	command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
	BINDIR=$(dirname "$(command -v dfb-names)")
	cd "$BATS_TEST_TMPDIR" || return 1
	local u
	for u in "$BATS_TEST_DIRNAME"/../systemd/*.service.in; do
		sed "s|@bindir@|$BINDIR|g" "$u" >"$(basename "${u%.in}")"
	done
	[ -s dfb-names.service ] && [ -s dfb-broker.service ]
}

@test "systemd takes the units" {
	systemd-analyze --man=no verify ./*.service >out 2>&1 || {
		cat out
		grep -q 'Failed to initialize\|Failed to setup' out && skip "no systemd to ask"
		return 1
	}
	cat out
	# What it only warns of: misspelt settings.
	run grep -E "dfb-.*(Unknown|Failed to parse|not executable)" out
	assert_eq "" "$output"
}

@test "little is left open" {
	local u
	for u in ./*.service; do
		systemd-analyze security --offline=yes --threshold=25 "$u" >out 2>&1 || {
			grep -q 'unrecognized\|Unknown' out && skip "this systemd cannot tell"
			cat out
			return 1
		}
	done
}

@test "the programs take the options of the units" {
	local u line
	mkdir state
	for u in ./*.service; do
		line=$(sed -n "s|/run/dfb|$PWD|g; s|\$DFB_[A-Z]*_ARGS||; s|^ExecStart=||p" "$u")
		STATE_DIRECTORY=$PWD/state DFB_REGION=A10 $line --check
	done
}
