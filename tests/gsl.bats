# dfb-gsl: command line, life and death, beside a name server.  What it answers is in
# tests/unit/test_gsl.c, with an sgs that does as it is told.

load helper

setup() {
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/dfb.XXXXXX") # short, for the sockets
	cd "$DIR" || return 1
	export DFB_NAMES=ipc://$DIR/n.sock
	SOCK=ipc://$DIR/g.sock
	read -r STDOUT < <(readlink "/proc/$$/fd/1") # for run_status
}

teardown() {
	daemons_stop
	[ -n "$BATS_TEST_COMPLETED" ] || cat "$BATS_TEST_TMPDIR"/*.log >&2 || true
	rm -rf "$DIR"
}

names_start() {
	daemon_start names dfb-names --data names.d --bind "$DFB_NAMES"
}

gsl_start() {
	daemon_start gsl dfb-gsl --region A10 --data data --bind "$SOCK" "$@"
}

log() {
	cat "$BATS_TEST_TMPDIR/gsl.log"
}

@test "help and version; bad options say what is wrong" {
	run_status 0 dfb-gsl --help
	assert_match "usage: dfb-gsl" "$output"
	run_status 0 dfb-gsl -V
	run_status 64 dfb-gsl --no-such
	run_status 64 dfb-gsl -R A10 operand
	assert_match "operand" "$stderr"
	run_status 64 dfb-gsl --bind "$SOCK" --data data
	assert_match "no region: say --region A10 or set DFB_REGION" "$stderr"
	run_status 64 dfb-gsl -R a10
	assert_match "'a10' is not a region" "$stderr"
	run_status 64 dfb-gsl -R A10 --name 'a b'
	run_status 64 dfb-gsl -R A10 --lease 1ms
	run_status 64 dfb-gsl -R A10 --advertise nonsense
	assert_match "nonsense" "$stderr"
	run_status 64 dfb-gsl -R A10 --bind nonsense
}

@test "--check changes nothing and ends" {
	run_status 0 dfb-gsl -R A10 --check --data data --bind "$SOCK"
	[ ! -e data ] && [ ! -e g.sock ]
	run_status 77 dfb-gsl -R A10 --check --bind tcp://127.0.0.1:0
}

@test "it is listed at the name server, and gone after SIGTERM" {
	names_start
	DFB_REGION=B20 daemon_start gsl dfb-gsl --name g1 --data data --bind "$SOCK"
	run dfb-ctl ask "$DFB_NAMES" list
	assert_eq "gsl g1 B20 $SOCK up" "$(jq -r '.daemons[] |
	    "\(.kind) \(.name) \(.region) \(.endpoint) \(.state)"' <<<"$output")"
	assert_eq '["%GSL"]' "$(jq -c '.daemons[0].topics' <<<"$output")"
	kill "$PID_gsl"
	wait "$PID_gsl"
	assert_match "event=stopped status=0" "$(log)"
	[ ! -e g.sock ] && [ -e data ]
	wait_for '[ $(dfb-ctl ask $DFB_NAMES list | jq ".daemons | length") = 0 ]'
}

@test "it is ready without a name server, and found when one comes" {
	gsl_start
	names_start
	wait_for '[ $(dfb-ctl ask $DFB_NAMES list | jq -r ".daemons[0].name") = gsl ]'
}

@test "without a catalogue it does not say that nothing is there" {
	names_start
	gsl_start
	run_status 0 dfb-ctl ask gsl stats
	assert_eq "false 0 0" "$(jq -r '"\(.following) \(.version) \(.services)"' <<<"$output")"
	run_status 75 dfb-ctl ask gsl locate '{"service":"pay"}'
	assert_match "gsl has no catalogue yet: it has found no sgs" "$stderr"
	run_status 65 dfb-ctl ask gsl locate '{"service":"A10-pay"}'
	run_status 65 dfb-ctl ask gsl reboot
	assert_match "stats, locate and list" "$stderr"
}

@test "one directory and one socket are for one" {
	names_start
	gsl_start
	run_status 75 dfb-gsl -R A10 --name g2 --data data --bind "ipc://$DIR/m.sock"
	assert_match "pid $PID_gsl" "$stderr"
	run_status 75 dfb-gsl -R A10 --name g2 --data data2 --bind "$SOCK"
	kill9 gsl
	gsl_start # and again after a crash
}

@test "data of another program is refused" {
	names_start
	kill "$PID_names"
	wait "$PID_names"
	run_status 65 dfb-gsl -R A10 --data names.d --bind "$SOCK"
}
