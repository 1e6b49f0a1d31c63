# The table of tests/bench/run: which ratio, and whether a bar is met.

load helper

# table ROW:WHO:VALUE...: fields of the rows that these measurements make.
table() {
	local m
	for m in "$@"; do
		jq -nc --arg m "$m" '$m / ":" | {row: .[0], who: .[1], value: (.[2] | tonumber)}'
	done | jq -s --argjson machine '{}' --argjson repeats 3 \
	    -f "$BATS_TEST_DIRNAME/bench/table.jq"
}

@test "a bar that is a factor of the best peer, by medians" {
	out=$(table durable:dfb:100 durable:dfb:300 durable:dfb:9000 durable:redis-always:100 \
	    durable:beanstalkd-f0:90)
	assert_eq '[300,"redis-always",3,250,true]' "$(jq -c '.rows[0] |
	    [.dfb, .best_peer.who, .ratio, .limit, .met]' <<<"$out")"
	out=$(table durable:dfb:249 durable:redis-always:100 durable:beanstalkd-f0:90)
	assert_eq false "$(jq '.rows[0].met' <<<"$out")"
}

@test "a bar that is a factor of a reference; less is better for times" {
	out=$(table call:dfb:121 call:nats:50 'call:bare hop:100')
	assert_eq '["nats","bare hop",1.21,120,false]' "$(jq -c '.rows[0] |
	    [.best_peer.who, .against, .ratio, .limit, .met]' <<<"$out")"
	out=$(table call:dfb:120 'call:bare hop:100')
	assert_eq '[null,true]' "$(jq -c '.rows[0] | [.best_peer, .met]' <<<"$out")"
}

@test "better than what nothing can beat is a disturbance, not a pass" {
	out=$(table one:dfb:50 'one:disk + round trip:100')
	assert_eq '[null,true,"disturbed"]' "$(jq -c '.rows[0] |
	    [.met, .disturbed, .text[5]]' <<<"$out")"
	out=$(table one:dfb:140 'one:disk + round trip:100')
	assert_eq '[true,false]' "$(jq -c '.rows[0] | [.met, .disturbed]' <<<"$out")"
	out=$(table durable:dfb:130 durable-disk:disk:100)
	assert_eq null "$(jq '.rows[] | select(.row == "durable-disk").met' <<<"$out")"
}

@test "a bar that is a figure needs no peer" {
	out=$(table restart:dfb:499 memory:dfb:65 memory:jetstream:20)
	assert_eq '[["memory",false],["restart",true]]' \
	    "$(jq -c '[.rows[] | [.row, .met]]' <<<"$out")"
}

@test "what was not measured is neither met nor missed" {
	out=$(table async:dfb:5)
	assert_eq '[null,null,"-"]' \
	    "$(jq -c '.rows[0] | [.ratio, .met, .text[5]]' <<<"$out")"
}

@test "figures as text" {
	out=$(table durable:dfb:65332 durable:redis-always:100 memory:dfb:5.47)
	assert_eq '["65.3 k/s","5.5 MiB"]' "$(jq -c '[.rows[].text[1]]' <<<"$out")"
}
