#!/usr/bin/env bats
# dfb-sgs: services, from the first word to the last message; over kill -9 at every stage.

load helper
load regions

setup() {
	BROKERS='a1 a2' regions_start --lease 1s
	export DFB_REGION=A10
	sgs_start
}

teardown() {
	kill -CONT "$PID_a2" ${PID_g1:+"$PID_g1"} 2>/dev/null || true
	regions_stop
}

# topics BROKER: what it governs, "A10-pay" or "A10-pay/closed", one a line.
topics() {
	dfb-ctl ask "$1" topic.governed |
	    jq -r '.[] | .topic + if .closed then "/closed" else "" end'
}

# entries [SERVICE]: the journal, "who what region" each.
entries() {
	sgs service.history "{${1:+\"service\":\"$1\"}}" |
	    jq -r '.entries[] | "\(.who) \(.what) \(.region // "-")"'
}

state() {
	service show "$1" | jq -r ".regions.$2.state"
}

@test "help; bad options say what is wrong; --check" {
	run_status 0 dfb-sgs --help
	assert_match "usage: dfb-sgs" "$output"
	run_status 64 dfb-sgs operand
	run_status 64 dfb-sgs --name 'a b'
	run_status 64 dfb-sgs --lease 1ms
	run_status 64 dfb-sgs --grace 2h
	run_status 0 dfb-sgs --check --data "$BUS/other" --bind "ipc://$BUS/other.sock"
	[ ! -e "$BUS/other" ]
	run_status 75 dfb-sgs --data "$BUS/sgs" --bind "ipc://$BUS/other.sock"
}

@test "from apply to retire: brokers have what is wanted, and the journal has it all" {
	service_made pay '{"queues_min":2,"queues_max":2}'
	assert_eq approved "$(service show pay | jq -r .state)"
	assert_eq '' "$(topics a1)"
	assert_eq deploying "$(service deploy pay A10 '"weight":7' | jq -r .regions.A10.state)"
	deployed pay A10
	assert_eq A10-pay "$(topics a1)"
	assert_eq A10-pay "$(topics a2)"
	assert_eq '["async",2]' "$(dfb-ctl ask a1 topic.list '{"topic":"A10-pay"}' |
	    jq -c '.[0].settings | [.durability, .queues_max]')"
	assert_eq '[7,["has","has"],[],null]' "$(service show pay | jq -c \
	    '[.regions.A10.weight, [.progress.A10.brokers[].state], .progress.A10.left,
	    .progress.A10.why]')"
	run_status 1 service resume pay A10
	assert_match "service 'pay' is online in A10: from here: suspend, undeploy, weight" \
	    "$stderr"
	service suspend pay A10 >/dev/null
	assert_eq A10-pay "$(topics a1)"
	service resume pay A10 >/dev/null
	run_status 1 service retire pay
	service undeploy pay A10 >/dev/null
	deployed pay A10 offline
	assert_eq '' "$(topics a1)$(topics a2)"
	service retire pay >/dev/null
	assert_eq '[]' "$(sgs service.list '{"state":"approved"}')"
	assert_eq "$(tr -d '\t' <<'EOF'
	- apply -
	- approve -
	- deploy A10
	sgs deployed A10
	- suspend A10
	- resume A10
	- undeploy A10
	sgs drained A10
	- retire -
EOF
	)" "$(entries pay | sed '/^sgs/!s/^[^ ]*/-/')"
	sgs service.history '{"service":"pay"}' | jq -e '.next == 0 and
	    ([.entries[].after] | .[:-1]) == ([.entries[].before] | .[1:]) and
	    .entries[0].before == null' >/dev/null
}

@test "no such service, no such verb" {
	run_status 69 service show pay
	run_status 69 service approve pay
	assert_match "no service 'pay'" "$stderr"
	run_status 65 sgs service.fly '{}'
	run_status 65 sgs apply '{"service":"pay"}'
	run_status 65 sgs service.gray.set '{"service":"pay"}'
	run_status 69 service await pay A10 '"states":["online"]'
	run_status 65 sgs service.await '{"service":"pay","region":"A10","states":["up"]}'
}

@test "a region without brokers: deploying, and the reason; online when one comes" {
	service_made pay
	service deploy pay B20 >/dev/null
	run_status 124 service await pay B20 '"states":["online"],"timeout_ms":100'
	assert_match "service 'pay' is deploying in B20: no broker of region B20 is enrolled" \
	    "$stderr"
	assert_match "start one" "$(why pay B20)"
	broker_start b1
	deployed pay B20
	assert_eq B20-pay "$(topics b1)"
}

@test "a broker that is down is waited for, until it comes or is withdrawn" {
	service_made pay
	kill9 a2
	service deploy pay A10 >/dev/null
	deployed pay A10 # the lease of a2 ends
	assert_eq A10-pay "$(topics a1)"
	broker_start a2
	wait_for '[ "$(topics a2)" = A10-pay ]'
	service_made card
	kill9 a2
	broker_start a2 --lease 5m
	wait_for '[ "$(topics a2)" = A10-pay ]'
	kill9 a2
	service deploy card A10 >/dev/null
	run_status 124 service await card A10 '"states":["online"],"timeout_ms":1500'
	assert_match "service 'card' is deploying in A10: broker a2 is lost: start it" "$stderr"
	broker_start a2
	deployed card A10
}

@test "a broker that does not answer is named" {
	kill9 a2
	broker_start a2 --lease 5m
	wait_for 'dfb-ctl ask sgs stats | jq -e ".brokers == 2" && topics a2'
	service_made pay
	kill -STOP "$PID_a2"
	service deploy pay A10 >/dev/null
	wait_for '[[ "$(why pay A10)" == *"broker a2 does not answer"* ]]'
	kill -CONT "$PID_a2"
	deployed pay A10
}

@test "a topic that is there already: a conflict, left alone; adopted when that is said" {
	dfb-ctl topic create --durability async A10-pay
	echo before | dfb-send A10-pay
	service_made pay
	service deploy pay A10 >/dev/null
	wait_for '[[ "$(why pay A10)" == *"is not governed"* ]]'
	assert_eq conflict "$(service show pay | jq -r '.progress.A10.brokers[0].state')"
	assert_eq deploying "$(state pay A10)"
	service undeploy pay A10 >/dev/null
	deployed pay A10 offline
	assert_eq before "$(dfb-recv -g g -c 1 --from beginning A10-pay)"
	service deploy pay A10 '"adopt":true' >/dev/null
	deployed pay A10
	assert_eq A10-pay "$(topics a1)"
}

@test "roll back: what cannot be deployed in time is taken back" {
	service_made pay
	service deploy pay B20 '"mode":"rollback","within_ms":300' >/dev/null
	deployed pay B20 offline
	assert_match "rolled back: no broker of region B20" \
	    "$(service show pay | jq -r .regions.B20.why)"
	kill9 a2
	broker_start a2 --lease 5m
	kill9 a2
	service deploy pay A10 '"mode":"rollback","within_ms":1000' >/dev/null
	wait_for '[ "$(topics a1)" = A10-pay ]'
	deployed pay A10 offline
	wait_for '[ -z "$(topics a1)" ]'
	sgs service.history '{"service":"pay"}' | jq -e '.entries[-1] | .what == "rolled-back" and
	    .who == "sgs" and (.why | contains("broker a2"))' >/dev/null
	broker_start a2
	wait_for 'topics a2'
	assert_eq '' "$(topics a2)"
	service deploy pay A10 '"mode":"rollback"' >/dev/null
	deployed pay A10
	assert_eq null "$(service show pay | jq -r .regions.A10.until_ms)"
}

@test "brokers that join later have the topics; one that was away is cleaned" {
	service_made pay
	service deploy pay A10 >/dev/null
	deployed pay A10
	broker_start a3
	wait_for '[ "$(topics a3)" = A10-pay ]'
	kill9 a2
	service undeploy pay A10 >/dev/null
	deployed pay A10 offline
	broker_start a2
	wait_for 'topics a2 && [ -z "$(topics a2)" ]'
	assert_eq offline "$(state pay A10)"
}

@test "taking offline waits for what is left, and says where it is" {
	service_made pay
	service deploy pay A10 >/dev/null
	deployed pay A10
	run_status 1 dfb-recv -g g -e A10-pay
	seq 10 | dfb-send A10-pay
	service undeploy pay A10 >/dev/null
	wait_for '[[ "$(why pay A10)" == *"messages are left at broker"* ]]'
	wait_for '[ "$(service show pay | jq "[.progress.A10.left[] |
	    select(.group == \"g\") | .messages] | add")" = 10 ]'
	assert_eq draining "$(state pay A10)"
	run_status 75 dfb-send --no-wait -m late A10-pay
	assert_eq 10 "$(dfb-recv -g g -c 10 A10-pay | wc -l)"
	deployed pay A10 offline
	assert_eq '' "$(topics a1)$(topics a2)"
}

@test "a deployment that drains can be taken back" {
	service_made pay
	service deploy pay A10 >/dev/null
	deployed pay A10
	echo 1 | dfb-send A10-pay
	service undeploy pay A10 >/dev/null
	wait_for '[[ "$(topics a1)$(topics a2)" == */closed ]]'
	service deploy pay A10 >/dev/null
	deployed pay A10
	assert_eq A10-pay "$(topics a1)"
	echo 2 | dfb-send A10-pay
}

@test "approved settings and gray rules reach all brokers, also later ones" {
	local list='.[0] | [.settings.retries, .settings.max_depth]'
	service_made pay '{"retries":4}'
	service deploy pay A10 >/dev/null
	deployed pay A10
	sgs service.apply '{"service":"pay","settings":{"max_depth":77}}' >/dev/null
	assert_eq '[4,10000]' "$(dfb-ctl ask a1 topic.list '{"topic":"A10-pay"}' | jq -c "$list")"
	kill9 a2
	service approve pay >/dev/null
	sgs gray.set '{"service":"pay","label":"v2","percent":50}' >/dev/null
	for a in a1 a2; do
		wait_for "[ \"\$(dfb-ctl ask $a topic.list '{\"topic\":\"A10-pay\"}' |
		    jq -c '$list')\" = '[3,77]' ]"
		wait_for "[ \"\$(dfb-ctl ask $a gray.list | jq -r '.[].label')\" = v2 ]"
		[ $a = a2 ] || broker_start a2
	done
	sgs gray.delete '{"service":"pay","label":"v2"}' >/dev/null
	wait_for "[ \"\$(dfb-ctl ask a1 gray.list)\" = '[]' ]"
	assert_eq online "$(state pay A10)"
}

@test "kill -9 at every stage: it goes on where it was" {
	service_made pay
	kill9 sgs
	sgs_start
	assert_eq approved "$(service show pay | jq -r .state)"
	service deploy pay B20 >/dev/null
	kill9 sgs
	broker_start b1
	sgs_start
	deployed pay B20
	service deploy pay A10 >/dev/null
	kill9 sgs
	sgs_start
	deployed pay A10
	run_status 1 dfb-recv -g g -e A10-pay
	echo 1 | dfb-send A10-pay
	service undeploy pay A10 >/dev/null
	kill9 sgs
	sgs_start
	wait_for '[[ "$(topics a1)$(topics a2)" == */closed ]]'
	kill9 sgs
	sgs_start
	wait_for '[[ "$(why pay A10)" == *"for group g"* ]]'
	kill9 sgs
	assert_eq 1 "$(dfb-recv -g g -c 1 A10-pay)"
	sgs_start
	deployed pay A10 offline
	service undeploy pay B20 >/dev/null
	deployed pay B20 offline
	service deploy pay C30 '"mode":"rollback","within_ms":100' >/dev/null
	kill9 sgs
	sgs_start
	deployed pay C30 offline
	service retire pay >/dev/null
	kill9 sgs
	sgs_start
	assert_eq retired "$(service show pay | jq -r .state)"
	sgs service.history '{"service":"pay"}' | jq -e '
	    ([.entries[].after] | .[:-1]) == ([.entries[].before] | .[1:]) and
	    [.entries[].what] == ["apply", "approve", "deploy", "deployed", "deploy", "deployed",
	    "undeploy", "drained", "undeploy", "drained", "deploy", "rolled-back", "retire"]'
}

@test "the same request again changes nothing; two admins see each other by versions" {
	local first
	service_made pay
	first=$(service deploy pay A10 '"request":"r1"')
	deployed pay A10
	assert_eq "$first" "$(service deploy pay A10 '"request":"r1"')"
	kill9 sgs
	sgs_start
	assert_eq "$first" "$(service deploy pay A10 '"request":"r1"')"
	assert_eq online "$(state pay A10)"
	run_status 65 service undeploy pay A10 '"request":"r1"'
	assert_match "request 'r1' was another one before: deploy of 'pay' in A10" "$stderr"
	assert_eq 4 "$(service show pay | jq .version)"
	service suspend pay A10 '"if_version":4' >/dev/null
	run_status 75 service undeploy pay A10 '"if_version":4'
	assert_match "'pay' is at version 5, not 4" "$stderr"
	assert_eq suspended "$(state pay A10)"
}

@test "an answer that waits is given at once; nobody else is kept waiting" {
	service_made pay
	service deploy pay B20 >/dev/null
	service await pay B20 '"states":["online"],"timeout_ms":60000' >"$BUS/answer" 3>&- &
	CHILDREN+=($!)
	wait_for '[ "$(sgs stats | jq .awaits)" = 1 ]'
	broker_start b1
	wait_for '[ -s "$BUS/answer" ]'
	assert_eq online "$(jq -r .regions.B20.state "$BUS/answer")"
	assert_eq 0 "$(sgs stats | jq .awaits)"
}

@test "a bus has one sgs: a second one names the first and goes" {
	run_status 75 dfb-sgs --name sgs2 --data "$BUS/2" --bind "ipc://$BUS/2.sock"
	assert_match "another dfb-sgs, 'sgs', is up at ipc://$BUS/sgs.sock" "$stderr"
	# The same name makes no difference; one that is dead does.
	run_status 75 dfb-sgs --data "$BUS/2" --bind "ipc://$BUS/2.sock"
	kill9 sgs
	daemon_start sgs2 dfb-sgs --name sgs2 --data "$BUS/2" --bind "ipc://$BUS/2.sock"
	dfb-ctl ask sgs2 stats | jq -e '.services == 0' >/dev/null
}

@test "without a name server it starts, and goes on when there is one" {
	service_made pay
	kill9 sgs
	kill9 names
	sgs_start
	dfb-ctl ask "ipc://$BUS/sgs.sock" service.deploy '{"service":"pay","region":"A10"}' \
	    >/dev/null
	dfb-ctl ask "ipc://$BUS/sgs.sock" service.show '{"service":"pay"}' |
	    jq -e '.progress.A10.why | contains("no name server")' >/dev/null
	daemon_start names dfb-names --bind "$DFB_NAMES" --data "$BUS/names"
	wait_for 'sgs stats'
	deployed pay A10
}

@test "on the wrong directory it leaves alone what it does not know" {
	service_made pay
	service deploy pay A10 >/dev/null
	deployed pay A10
	kill9 sgs
	daemon_start sgs dfb-sgs --bind "ipc://$BUS/sgs.sock" --data "$BUS/empty" --grace 0
	wait_for 'grep -q "event=stray broker=a2 topic=A10-pay" "$BATS_TEST_TMPDIR/sgs.log"'
	service_made card
	service deploy card A10 >/dev/null
	deployed card A10
	assert_eq "A10-card A10-pay" "$(topics a1 | xargs)"
	service_made pay
	service deploy pay A10 >/dev/null
	deployed pay A10
	service undeploy pay A10 >/dev/null
	deployed pay A10 offline
	assert_eq A10-card "$(topics a1)"
}

@test "keys and distances are kept, with their versions" {
	sgs affinity.add '{"service":"*","rules":[{"region":"B20","prefix":"cn-"}]}' >/dev/null
	sgs distance.set '{"from":"A10","to":"B20","distance":5}' >/dev/null
	kill9 sgs
	sgs_start
	assert_eq '[{"service":"*","rules":[{"region":"B20","prefix":"cn-"}],"version":1}]' \
	    "$(sgs affinity.list)"
	assert_eq '{"A10":{"B20":5},"B20":{"A10":5}}' "$(sgs distance.list | jq -c .distances)"
	run_status 75 sgs affinity.delete '{"service":"*","if_version":7}'
	sgs affinity.delete '{"service":"*"}' >/dev/null
	assert_eq '[]' "$(sgs affinity.list)"
}

@test "gsls are told before a topic is closed, and are waited for" {
	gsl_start g1 A10
	service_made pay
	service deploy pay A10 >/dev/null
	deployed pay A10
	wait_for '[ "$(sgs stats | jq ".gsls[0].version")" = 4 ]'
	assert_eq A10-pay "$(dfb-ctl ask g1 locate '{"service":"pay"}' | jq -r '.places[0].topic')"
	kill -STOP "$PID_g1"
	service undeploy pay A10 >/dev/null
	assert_match "gsl g1 has not confirmed version 5 yet" "$(why pay A10)"
	kill9 sgs
	sgs_start
	wait_for '[[ "$(why pay A10)" == "gsl g1 is enrolled and not connected yet" ]]'
	assert_eq A10-pay "$(topics a1)"
	kill -CONT "$PID_g1"
	deployed pay A10 offline
	assert_eq '' "$(topics a1)"
	dfb-ctl ask g1 locate '{"service":"pay"}' | jq -e '.places == []' >/dev/null
}

@test "suspended, another weight: gsls know at once; adopting, they do when it is online" {
	local place='dfb-ctl ask g1 locate "{\"service\":\"pay\"}" | jq -c'
	gsl_start g1 A10
	dfb-ctl topic create --durability async A10-pay
	service_made pay
	service deploy pay A10 >/dev/null
	wait_for '[[ "$(why pay A10)" == *"is not governed"* ]]'
	service undeploy pay A10 >/dev/null
	deployed pay A10 offline
	service deploy pay A10 '"adopt":true,"weight":7' >/dev/null
	deployed pay A10
	wait_for "[ \"\$($place '.places[0].weight')\" = 7 ]"
	service weight pay A10 '"weight":9' >/dev/null
	wait_for "[ \"\$($place '.places[0].weight')\" = 9 ]"
	service suspend pay A10 >/dev/null
	wait_for "[ \"\$($place '.places')\" = '[]' ]"
	kill9 sgs
	assert_eq '[]' "$(dfb-ctl ask g1 locate '{"service":"pay"}' | jq -c .places)"
	sgs_start
	service resume pay A10 >/dev/null
	wait_for "[ \"\$($place '.places[0].weight')\" = 9 ]"
}
