# Expiry: decided by the broker when it delivers, counted, and told in its log.

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	read -r STDOUT < <(readlink "/proc/$$/fd/1")
	S=$(mktemp -d "${TMPDIR:-/tmp}/dfb.XXXXXX") # for sockets: paths are limited
	export DFB_NAMES=ipc://$S/n.sock DFB_REGION=A10
	daemon_start names dfb-names -b "$DFB_NAMES" -d names.d
	broker
	dfb-ctl topic create --backoff 10ms A10-x
}

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 20 ./*.log >&2
	daemons_stop
	rm -rf "$S"
}

broker() {
	daemon_start b1 dfb-broker -N b1 -b "ipc://$S/b1.sock" -d "$S/b1" --min-free 0 \
	    --keep 10ms
}

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
at() { wait_for "[ \$((\${EPOCHREALTIME/./} / 1000)) -gt $1 ]"; }
topic_has() { dfb-ctl --json topic show A10-x | jq -r ".$1"; }
group_has() { dfb-ctl --json group show A10-x "$1" | jq -r "if type == \"array\" then .[0] else . end | .$2"; }
# told GROUP: how many the log says of it.
told() {
	sed -n "s/.* event=expired topic=A10-x group=$1 count=\([0-9]*\)$/\1/p" b1.log | paste -sd+ | bc
}

@test "what expired is not delivered, but counted for each group, and told" {
	dfb-send -t 1h -m lives A10-x
	seq 100 | dfb-send -t 50ms A10-x
	until=$(($(now_ms) + 50))
	dfb-send -m last A10-x
	at $until
	run_status 0 dfb-recv -g g -e A10-x >out
	assert_eq 'lives last' "$(paste -sd' ' out)"
	run_status 0 dfb-recv -g h -e A10-x >out
	assert_eq 'lives last' "$(paste -sd' ' out)"
	assert_eq '100 100 200' "$(group_has g expired) $(group_has h expired) $(topic_has expired)"
	assert_eq '0 0' "$(group_has g lag) $(group_has g dead_letters)"
	wait_for '[ "$(told g)" = 100 ] && [ "$(told h)" = 100 ]'
}

@test "the log tells it once a second at most" {
	begin=$(now_ms)
	for _ in $(seq 20); do
		dfb-send -t 1ms -m x A10-x
		at "$(($(now_ms) + 2))"
		run_status 1 dfb-recv -g g -e A10-x
	done
	wait_for '[ "$(told g)" = 20 ]'
	[ "$(grep -c event=expired b1.log)" -le $((($(now_ms) - begin) / 1000 + 1)) ]
}

@test "a message that failed is not delivered again after its time" {
	dfb-ctl topic set --backoff 2s --retries 1000 A10-x
	dfb-send -t 1500ms -m x A10-x
	run_status 0 dfb-recv -g g -c 1 A10-x -- false
	run_status 1 dfb-recv -g g -e A10-x
	assert_eq '1 0' "$(group_has g expired) $(group_has g lag)"
}

@test "a scheduled message whose time passed while nobody could deliver it" {
	seq 10 | dfb-send --delay 1s -t 200ms A10-x
	until=$(($(now_ms) + 1200))
	dfb-send --delay 1s -m lives A10-x
	kill9 b1
	at $until
	broker
	run_status 0 dfb-recv -g g -c 1 A10-x >out
	assert_eq lives "$(cat out)"
	wait_for '[ "$(told "\"\"")" = 10 ]'
	assert_eq '10 1 0' "$(topic_has expired) $(topic_has messages) $(topic_has scheduled)"
	id=$(dfb-ctl peek -f '%i' A10-x)
	run_status 1 dfb-ctl timer cancel A10-x "$id"
	assert_match 'was delivered at' "$stderr"
}
