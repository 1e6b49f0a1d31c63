# Flow control: what a topic, and one client, may send in a second.

load helper

setup() {
	bus_start --broker-arg --keep=20ms
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	bus_stop
}

stat_of() { dfb-ctl --json broker stats b1 | jq -r ".$1"; }
messages() { dfb-ctl --json topic show A10-x | jq .messages; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

@test "a topic's rate: a second's worth at once, then 75 with the time to wait" {
	dfb-ctl topic create A10-x --rate 5
	run_status 75 dfb-send --no-wait A10-x < <(seq 100) 2>err
	n=$(messages)
	[ "$n" -ge 5 ]
	[ "$n" -le 10 ]
	assert_match "flow control: 'A10-x' takes 5 messages a second; try again in" "$(cat err)"
	wait=$(grep -o 'try again in [0-9]*ms' err | head -n 1 | tr -dc 0-9)
	[ "$wait" -ge 10 ]
	[ "$wait" -le 200 ]
	[ "$(stat_of flow_refused)" -ge 1 ]
	run_status 0 dfb-recv -g g -e A10-x >out
	seq "$n" | cmp - out
}

@test "a sender waits as long as it is told, and all arrive in order" {
	dfb-ctl topic create A10-x --rate 20
	start=$(now_ms)
	seq 40 | dfb-send A10-x
	took=$(($(now_ms) - start))
	[ $took -ge 950 ]
	run_status 0 dfb-recv -g g -e A10-x >out
	seq 40 | cmp - out
	[ "$(stat_of flow_refused)" -le 40 ]
}

@test "bytes: one message above the rate is taken when nothing is used up, and paid for" {
	dfb-ctl topic create A10-x --rate-bytes 1k
	head -c 3000 /dev/zero | dfb-send --no-wait -r A10-x
	run_status 75 dfb-send --no-wait -m x A10-x 2>err
	assert_match "takes 1.0k bytes a second; try again in" "$(cat err)"
	wait=$(grep -o 'try again in [0-9.]*s' err | tr -dc 0-9.)
	[ "${wait%.*}" -ge 1 ]
	assert_eq 1 "$(messages)"
}

@test "each client has its own rate; processes are clients" {
	dfb-ctl topic create A10-x --client-rate 3
	for n in 1 2 3 4; do
		seq 3 | dfb-send --no-wait A10-x
	done
	assert_eq 12 "$(messages)"
	run_status 75 dfb-send --no-wait A10-x < <(seq 100) 2>err
	assert_match "3 messages a second from one client" "$(cat err)"
	dfb-ctl topic set A10-x --client-rate 0 --client-rate-bytes 100
	run_status 75 dfb-send --no-wait A10-x < <(seq 100) 2>err
	assert_match "bytes a second from one client" "$(cat err)"
}

@test "calls count, and are told at once" {
	dfb-ctl topic create A10-x --durability async --rate 2
	dfb-recv -g g A10-x -- cat &
	worker=$!
	wait_for "dfb-ctl group show A10-x g"
	run_status 75 dfb-call -l A10-x < <(seq 20) >out 2>err
	assert_match "flow control" "$(cat err)"
	[ "$(grep -c . out)" -ge 2 ]
	[ "$(grep -c . out)" -le 5 ]
	kill $worker
	wait $worker || true
}

@test "all or nothing: a batch above the rate is taken whole, and paid for" {
	dfb-ctl topic create A10-x --rate 5
	seq 50 | dfb-send -A A10-x
	assert_eq 50 "$(messages)"
	run_status 75 dfb-send -A --no-wait A10-x < <(seq 2) 2>err
	assert_eq 50 "$(messages)"
	dfb-ctl topic set A10-x --rate 0
	seq 1000 | dfb-send A10-x
	assert_eq 1050 "$(messages)"
}

@test "rates are shown, and kept over a restart" {
	dfb-ctl topic create A10-x --rate 10 --rate-bytes 1M --client-rate 2 --client-rate-bytes 10k
	dfb-ctl topic show A10-x >before
	assert_match "10 messages a second, 1.0M bytes a second, 2 messages a second of one client, 10.0k" \
	    "$(cat before)"
	kill -9 "$(pgrep -f -- "--bind ipc://$BUS/b1.sock")"
	wait_for "dfb-ctl ping b1"
	dfb-ctl topic show A10-x >after
	cmp before after
	run_status 64 dfb-ctl topic set A10-x --rate lots
}
