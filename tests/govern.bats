#!/usr/bin/env bats
# Topics that dfb-sgs governs: the broker's part of it.

load helper
load regions

setup() {
	BROKERS=a1 regions_start
	export DFB_REGION=A10
}

teardown() {
	regions_stop
}

apply() {
	dfb-ctl ask a1 topic.apply "$1"
}

@test "topic.apply creates, changes, and leaves alone what is so" {
	assert_eq '{"topic":"A10-x","broker":"a1","did":"created"}' \
	    "$(apply '{"topic":"A10-x","queues_min":2,"queues_max":2}')"
	assert_eq same "$(apply '{"topic":"A10-x","queues_min":2,"queues_max":2}' | jq -r .did)"
	assert_eq changed "$(apply '{"topic":"A10-x","queues_min":2,"queues_max":2,"rate":9}' |
	    jq -r .did)"
	assert_eq '[true,false,2,9]' "$(dfb-ctl ask a1 topic.list '{"topic":"A10-x"}' |
	    jq -c '.[0] | [.governed, .closed, .settings.queues_max, .settings.rate]')"
	# What is not said is as usual, but the operators' pause stays.
	dfb-ctl topic pause A10-x
	apply '{"topic":"A10-x"}' >/dev/null
	assert_eq '[1,1023,0,true]' "$(dfb-ctl ask a1 topic.list '{"topic":"A10-x"}' | jq -c \
	    '.[0].settings | [.queues_min, .queues_max, .rate, .paused_ms > 0]')"
	assert_eq '[{"topic":"A10-x","closed":false}]' "$(dfb-ctl ask a1 topic.governed)"
	dfb-ctl topic show A10-x | grep -q '^governed: dfb-ctl service changes it$'
}

@test "topic.apply: bad names, settings and rules" {
	run_status 65 apply '{"topic":"x"}'
	run_status 65 apply '{"topic":"B20-x"}'
	assert_match "region A10" "$stderr"
	run_status 65 apply '{"topic":"A10-x","retries":0}'
	run_status 65 apply '{"topic":"A10-x","gray":[]}'
	run_status 65 apply '{"topic":"A10-x","gray":{"v2":7}}'
	run_status 65 apply '{"topic":"A10-x","gray":{"v2":{"percent":60},"v3":{"percent":41}}}'
	assert_match "more than 100 percent" "$stderr"
	run_status 65 apply '{"topic":"A10-x","gray":{"v2":{"label":"v3","percent":60}}}'
	assert_eq '[]' "$(dfb-ctl ask a1 topic.governed)"
	apply '{"topic":"A10-x","durability":"async"}'
	run_status 65 apply '{"topic":"A10-x","durability":"commit"}'
	assert_match durability "$stderr"
	assert_eq same "$(apply '{"topic":"A10-x"}' | jq -r .did)"
}

@test "a topic that exists is only adopted when that is said" {
	dfb-ctl topic create A10-x
	echo before | dfb-send A10-x
	run_status 65 apply '{"topic":"A10-x"}'
	assert_match "not governed" "$stderr"
	assert_eq changed "$(apply '{"topic":"A10-x","adopt":true}' | jq -r .did)"
	assert_eq before "$(dfb-recv -g g -c 1 --from beginning A10-x)"
	run_status 1 dfb-ctl topic create A10-x
}

@test "what is governed others do not change" {
	apply '{"topic":"A10-x","gray":{"v2":{"percent":10}}}'
	for verb in 'topic set --rate 1 A10-x' 'topic delete -y A10-x' \
	    'gray set A10-x v3 --percent 1' 'gray delete A10-x v2'; do
		run_status 77 dfb-ctl $verb
		assert_match "topic 'A10-x' is governed: change service 'x' with dfb-ctl service" \
		    "$stderr"
	done
	# The flags are not settings.
	dfb-ctl ask a1 topic.create '{"topic":"A10-y","governed":true,"closed":true}'
	dfb-ctl ask a1 topic.set '{"topic":"A10-y","governed":true,"closed":true}'
	assert_eq '[false,false]' "$(dfb-ctl ask a1 topic.list '{"topic":"A10-y"}' |
	    jq -c '.[0] | [.governed, .closed]')"
}

@test "topic.apply has exactly the gray rules that are given" {
	rules() {
		dfb-ctl ask a1 gray.list '{"topic":"A10-x"}' | jq -c 'map([.label, .percent])'
	}
	apply '{"topic":"A10-x","gray":{"v2":{"percent":90},"v3":{"percent":10}}}'
	assert_eq '[["v2",90],["v3",10]]' "$(rules)"
	assert_eq same "$(apply '{"topic":"A10-x","gray":{"v2":{"percent":90},"v3":{"percent":10}}}' |
	    jq -r .did)"
	# Each alone would be more than the whole.
	assert_eq changed "$(apply \
	    '{"topic":"A10-x","gray":{"v2":{"percent":10},"v3":{"percent":90}}}' | jq -r .did)"
	assert_eq '[["v2",10],["v3",90]]' "$(rules)"
	# The order is which keys a share is.
	assert_eq changed "$(apply \
	    '{"topic":"A10-x","gray":{"v3":{"percent":90},"v2":{"percent":10}}}' | jq -r .did)"
	assert_eq '[["v3",90],["v2",10]]' "$(rules)"
	apply '{"topic":"A10-x","gray":{"v4":{"keys":["a"]},"v2":{"percent":20}}}'
	assert_eq '[["v4",null],["v2",20]]' "$(rules)"
	apply '{"topic":"A10-x"}'
	assert_eq '[]' "$(rules)"
}

@test "a closed topic takes nothing, and delivers what it has" {
	apply '{"topic":"A10-x"}'
	echo one | dfb-send A10-x
	dfb-recv -g c A10-x -- cat 3>&- &
	CHILDREN+=($!)
	wait_for "[ \$(echo hi | dfb-call A10-x) = hi ]"
	apply '{"topic":"A10-x","closed":true}'
	run_status 75 dfb-send --no-wait -m two A10-x
	assert_match "taken out of service" "$stderr"
	run_status 75 dfb-call -t 5s A10-x <<<two
	assert_match "taken out of service" "$stderr"
	assert_eq '[{"topic":"A10-x","closed":true}]' "$(dfb-ctl ask a1 topic.governed)"
	assert_eq one "$(dfb-recv -g g -c 1 --from beginning A10-x)"
	dfb-ctl why A10-x >"$BUS/why" || true
	grep -q 'dfb-ctl service show x' "$BUS/why"
	dfb-ctl ask a1 why '{"topic":"A10-x"}' | jq -e '.findings | any(.code == "closed")'
	# Open again.
	apply '{"topic":"A10-x"}'
	echo two | dfb-send A10-x
}

left() {
	dfb-ctl ask a1 topic.retire '{"topic":"A10-x"}'
}

@test "topic.retire deletes what is closed and empty, and says what is left" {
	run_status 69 left
	dfb-ctl topic create A10-x
	run_status 65 left
	assert_match "not governed" "$stderr"
	apply '{"topic":"A10-x","adopt":true}'
	run_status 65 left
	assert_match "not closed" "$stderr"
	printf '1\n2\n3\n' | dfb-send A10-x
	dfb-send --delay 1h -m later A10-x
	apply '{"topic":"A10-x","closed":true}'
	# Nobody was there for it ...
	assert_eq '{"gone":false,"left":[{"group":"","messages":3,"out":0}],"scheduled":1}' "$(left)"
	# ... then somebody who reads and does not finish.
	mkfifo "$BUS/hold"
	exec 8<>"$BUS/hold"
	dfb-recv -g g -c 3 A10-x -- sh -c "read line <'$BUS/hold'" 3>&- 8>&- &
	CHILDREN+=($!)
	wait_for "dfb-ctl ask a1 topic.retire '{\"topic\":\"A10-x\"}' |
	    jq -e '.left == [{\"group\":\"g\",\"messages\":3,\"out\":2}]'"
	printf "\n\n\n" >&8
	wait_for "[ \"\$(dfb-ctl ask a1 topic.retire '{\"topic\":\"A10-x\"}')\" = \
	    '{\"gone\":false,\"left\":[],\"scheduled\":1}' ]"
	dfb-ctl timer cancel A10-x "$(dfb-ctl timer list --json A10-x | jq -r '.[0].id')"
	assert_eq '{"gone":true}' "$(left)"
	run_status 69 left
	assert_eq '[]' "$(dfb-ctl ask a1 topic.governed)"
	# It can come back, empty and open.
	assert_eq created "$(apply '{"topic":"A10-x"}' | jq -r .did)"
	assert_eq 0 "$(dfb-ctl topic list --json | jq '.[0].messages')"
}

@test "governed, closed and rules are there after a restart" {
	apply '{"topic":"A10-x","closed":true,"gray":{"v3":{"percent":9},"v2":{"percent":1}}}'
	kill9 a1
	broker_start a1
	assert_eq '[{"topic":"A10-x","closed":true}]' "$(dfb-ctl ask a1 topic.governed)"
	assert_eq same "$(apply '{"topic":"A10-x","closed":true,"gray":{"v3":{"percent":9},"v2":{"percent":1}}}' |
	    jq -r .did)"
	assert_eq '{"gone":true}' "$(left)"
}

@test "dfb-ctl ask: names, endpoints, and what is wrong" {
	assert_eq '[]' "$(dfb-ctl ask "$(dfb-ctl broker list --json | jq -r '.[0].endpoint')" \
	    topic.governed)"
	run_status 69 dfb-ctl ask nobody stats
	assert_match "no daemon 'nobody'" "$stderr"
	run_status 65 dfb-ctl ask a1 nonsense
	assert_match "unknown verb 'nonsense'" "$stderr"
	run_status 64 dfb-ctl ask a1 stats '[]'
	run_status 64 dfb-ctl ask a1
}
