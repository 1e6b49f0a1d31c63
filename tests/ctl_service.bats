#!/usr/bin/env bats
# dfb-ctl service, affinity, distance, and gray rules of services: through dfb-sgs, dfb-gsl and
# brokers of two regions.

load helper
load regions

setup() {
	BROKERS='a1 b1' regions_start
	daemon_start sgs dfb-sgs --bind "ipc://$BUS/sgs.sock" --data "$BUS/sgs" --grace 20ms
	cd "$BUS" || return 1
	export USER=ann
}

teardown() {
	cd /
	regions_stop
}

service() {
	dfb-ctl service "$@"
}

online() { # SERVICE REGION...
	local name=$1 region
	shift
	service apply "$name"
	service approve "$name"
	for region; do
		service deploy "$name" "$region"
	done
}

state() { # SERVICE REGION
	service show --json "$1" | jq -r ".regions.$2.state"
}

@test "without an sgs every verb says so" {
	kill "$PID_sgs"
	wait "$PID_sgs"
	for cmd in 'service list' 'service show pay' 'service apply pay' 'service history' \
	    'service deploy pay A10' 'affinity list' 'distance set A10 B20 1' 'service export'; do
		run_status 69 dfb-ctl $cmd
		assert_match 'no sgs is known to the name server: start dfb-sgs' "$stderr"
	done
	# A service's rules are a topic's then.
	dfb-ctl topic create A10-pay
	dfb-ctl gray set -R A10 pay v2 --percent 5
	assert_eq A10-pay "$(dfb-ctl gray list -R A10 --json pay | jq -r '.[0].topic')"
}

@test "wrong usage" {
	run_status 64 service
	assert_match 'apply, approve, deploy' "$stderr"
	run_status 64 service apply A10-pay
	assert_match "'A10-pay' is no service" "$stderr"
	run_status 64 service apply --queues 0 pay
	run_status 64 service apply --description '' pay
	run_status 64 service deploy pay
	run_status 64 service deploy pay a10
	assert_match "'a10' is no region" "$stderr"
	run_status 64 service deploy --weight 1001 pay A10
	run_status 64 service deploy --adopt --rollback pay A10
	run_status 64 service deploy --rollback --wait 0 pay A10
	run_status 64 service weight pay A10 x
	run_status 64 service apply --if-version x pay
	run_status 64 service apply --request '' pay
	run_status 64 dfb-ctl affinity add pay A10
	run_status 64 dfb-ctl affinity add A10-pay A10 --key x
	run_status 64 dfb-ctl affinity add pay A10 --hash 5-4
	run_status 64 dfb-ctl affinity add pay A10 --hash 0-10000
	run_status 64 dfb-ctl affinity delete pay A10
	run_status 64 dfb-ctl distance set A10 A10 1
	run_status 64 dfb-ctl distance set A10 B20 x
	run_status 64 service import
	run_status 74 service import nofile
}

@test "from apply to retire, with what is said on the way" {
	service apply --queues 2 --retention 7d --description "it's for paying" pay
	assert_eq '["applied","ann",{"queues_min":2,"queues_max":2,"retention_ms":604800000}]' \
	    "$(service show --json pay | jq -c '[.state, .owner, .settings]')"
	run_status 1 service deploy pay A10
	assert_match "service 'pay' is applied" "$stderr"
	assert_eq approved "$(service approve --json pay | jq -r .state)"
	run_status 1 service approve pay
	assert_eq online "$(service deploy --json --weight 7 pay A10 | jq -r .regions.A10.state)"
	service show pay >shown
	grep -qx "service 'pay' is approved, version 4, first applied by ann" shown
	grep -qx "description: it's for paying" shown
	grep -qx 'settings: --queues 2 --retention 7d' shown
	grep -Eq '^A10 +online +20[^ ]+Z +7 +0 +a1=has +-$' shown
	run_status 1 service deploy pay A10
	assert_match "from here: suspend, undeploy, weight" "$stderr"
	run_status 1 service resume pay A10
	service suspend pay A10
	assert_eq suspended "$(state pay A10)"
	service resume pay A10
	service weight pay A10 0
	assert_eq 0 "$(service show --json pay | jq .regions.A10.weight)"
	run_status 1 service retire pay
	service apply --rate 5 pay
	service show pay | grep -qx 'proposed: --rate 5'
	service list | grep -Eq '^pay +approved\+proposed +8 +ann +async +0 +A10=online +it'
	service approve pay
	assert_eq 5 "$(dfb-ctl topic list --json | jq '.[0].brokers | length | . * 5')"
	wait_for "dfb-ctl ask a1 topic.list | jq -e '.[0].settings.rate == 5'"
	service undeploy pay A10
	assert_eq offline "$(state pay A10)"
	assert_eq '[]' "$(dfb-ctl topic list --json)"
	service retire pay
	assert_eq retired "$(service list --json | jq -r '.[0].state')"
	run_status 69 service show nothing
}

@test "deploy and undeploy wait, say for what, and go on after their time" {
	service apply pay
	service approve pay
	run_status 75 service deploy --wait 2500ms pay C30
	assert_match 'no broker of region C30' "$stderr"
	assert_match "it goes on: 'dfb-ctl service show pay'" "$stderr"
	assert_eq 2 "$(grep -c 'no broker of region C30' <<<"$stderr")"
	assert_eq deploying "$(service deploy --json --wait 0 pay A10 | jq -r .regions.A10.state)"
	service undeploy pay C30
	assert_eq offline "$(state pay C30)"
	run_status 75 service deploy --rollback --wait 300ms pay C30
	assert_match "service 'pay' is offline in C30: rolled back: no broker of region C30" "$stderr"
	assert_eq offline "$(state pay C30)"
	# Messages that nobody takes.
	wait_for '[ $(state pay A10) = online ]'
	dfb-recv -g g -c 1 A10-pay 3>&- &
	CHILDREN+=($!)
	members A10-pay g 1
	printf '1\n2\n' | dfb-send A10-pay
	wait_for 'dfb-ctl group show --json A10-pay g | jq -e ".lag == 1 and .member_count == 0"'
	run_status 75 service undeploy --wait 2500ms pay A10
	assert_match "1 messages are left at broker a1 for group g" "$stderr"
	assert_match "dfb-recv -g g -e A10-pay >FILE" "$stderr"
	service show pay >shown
	grep -Eq '^A10 +draining .* 1 +a1=closed +1 messages are left' shown
	assert_eq 2 "$(dfb-recv -g g -e A10-pay)"
	wait_for '[ $(state pay A10) = offline ]'
}

@test "a topic that is there is only adopted when that is said" {
	dfb-ctl topic create --durability async A10-pay
	service apply pay
	service approve pay
	run_status 75 service deploy --wait 2100ms pay A10
	assert_match 'not governed' "$stderr"
	service undeploy --wait 0 pay A10
	wait_for '[ $(state pay A10) = offline ]'
	service deploy --adopt pay A10
	run_status 77 dfb-ctl topic delete -y A10-pay
	dfb-ctl topic show A10-pay | grep -q '^governed:'
}

@test "two administrators: --if-version, and --request once" {
	service apply pay
	service approve pay
	run_status 75 service apply --if-version 1 --rate 1 pay
	assert_match 'is at version 2, not 1' "$stderr"
	service apply --if-version 2 --rate 1 pay
	service apply --request r1 --rate 2 pay
	service apply --request r1 --rate 2 pay
	run_status 65 service apply --request r1 --rate 3 pay
	assert_eq 4 "$(service history --json pay | jq length)"
	dfb-ctl distance set --if-version 0 A10 B20 5
	run_status 75 dfb-ctl distance set --if-version 0 A10 B20 6
}

@test "affinity and distance" {
	run_status 65 dfb-ctl affinity add pay A10 --hash 0-1 --hash 1-2
	dfb-ctl affinity add pay A10 --key 'a b' --prefix cn- --hash 0-4999
	printf 'k1\nk2\n' | dfb-ctl affinity add pay B20 --keys-from -
	dfb-ctl affinity add '*' B20 --key z
	dfb-ctl affinity list pay >out
	assert_eq 'SERVICE REGION KEYS
pay A10 a b
pay A10 cn-...
pay A10 hash 0-4999
pay B20 k1
pay B20 k2' "$(tr -s ' ' <out)"
	assert_eq 2 "$(dfb-ctl affinity list --json | jq length)"
	run_status 65 dfb-ctl affinity add pay B20 --key 'a b'
	assert_match 'belongs to A10 already' "$stderr"
	run_status 69 dfb-ctl affinity delete pay --key nothing
	dfb-ctl affinity delete pay --key k1 --hash 0-4999
	assert_eq 3 "$(dfb-ctl affinity list --json pay | jq '.[0].rules | length')"
	dfb-ctl affinity delete pay
	assert_eq '[]' "$(dfb-ctl affinity list --json pay)"
	dfb-ctl distance set A10 B20 5
	dfb-ctl distance set --one-way A10 C30 7
	assert_eq 'FROM TO DISTANCE
A10 B20 5
A10 C30 7
B20 A10 5' "$(dfb-ctl distance list | tr -s ' ')"
	dfb-ctl distance delete --one-way B20 A10
	assert_eq '{"A10":{"B20":5,"C30":7}}' "$(dfb-ctl distance list --json | jq -c .distances)"
	run_status 69 dfb-ctl distance delete C30 B20
}

@test "gray rules of a service are on all its brokers" {
	online pay A10 B20
	dfb-ctl gray set pay v2 --percent 5 --keys a,b --header ver=2
	dfb-ctl gray list pay | grep -Eq '^pay +v2 +ver=2,2-keys,5% +refuse$'
	for topic in A10-pay B20-pay; do
		wait_for "dfb-ctl gray list --json $topic | jq -e '.[0].percent == 5'"
	done
	run_status 65 dfb-ctl gray set pay v3 --percent 96
	run_status 77 dfb-ctl gray set A10-pay v3 --percent 1
	run_status 69 dfb-ctl gray delete pay v3
	dfb-ctl gray delete pay v2
	wait_for "dfb-ctl gray list --json A10-pay | jq -e '. == []'"
	dfb-ctl topic create A10-plain
	run_status 64 dfb-ctl gray set --request r A10-plain v2 --percent 1
}

@test "locate says where senders of a region go, with a key and without" {
	run_status 69 service locate pay
	assert_match 'no gsl is known' "$stderr"
	daemon_start gsl dfb-gsl --name g1 --region A10 --bind "ipc://$BUS/gsl.sock" \
	    --data "$BUS/gsl"
	online pay A10 B20
	wait_for 'service locate pay'
	run_status 69 service locate other
	assert_match "'other' is no service that gsl 'g1' knows" "$stderr"
	assert_eq '["A10-pay","B20-pay"]' "$(service locate -R A10 --json pay |
	    jq -c '[.places[].topic]')"
	assert_eq '["B20-pay","A10-pay"]' "$(service locate -R B20 --json pay |
	    jq -c '[.places[].topic]')"
	dfb-ctl affinity add pay B20 --key c1
	wait_for '[ "$(service locate -R A10 -k c1 pay | sed -n 2p | tr -s " ")" = \
	    " 0 B20-pay B20 100" ]'
	service suspend pay A10
	service suspend pay B20
	wait_for '! service locate pay'
	run_status 69 service locate pay
	assert_match "'pay' is nowhere" "$stderr"
}

@test "history says who did what, and what changed" {
	online pay A10
	USER=bob service weight pay A10 5
	USER=bob dfb-ctl affinity add pay A10 --key c1
	service history pay >out
	grep -Eq '^ +1 +20[^ ]+Z +ann +apply +pay +- .*state applied' out
	grep -Eq '^ +3 .* ann +deploy +pay +A10 +regions.A10.state deploying; regions.A10.weight 100$' out
	grep -Eq '^ +4 .* sgs +deployed +pay +A10 +regions.A10.state deploying -> online$' out
	grep -Eq '^ +5 .* bob +weight +pay +A10 +regions.A10.weight 100 -> 5$' out
	grep -Eq '^ +6 .* bob +affinity.add +pay +- +rules \+\{"key":"c1","region":"A10"\}$' out
	assert_eq 7 "$(wc -l <out)"
	assert_eq '[5,6]' "$(service history -c 2 --json | jq -c 'map(.seq)')"
	assert_eq '[2,3,4,5,6]' "$(service history --from 2 --json | jq -c 'map(.seq)')"
	assert_eq '["approve","applied","approved"]' "$(service history --json pay |
	    jq -c '.[1] | [.what, .before.state, .after.state]')"
	run_status 69 service history nothing
}

fill() {
	online pay A10 B20
	service suspend pay B20
	dfb-ctl gray set pay v2 --percent 5 --keys a,b
	service apply --description "it's new" --durability commit --backoff 1s,90s ship
	service apply --rate 5 pay
	dfb-ctl affinity add '*' B20 --key z --hash 0-99
	dfb-ctl affinity add pay A10 --prefix 'cn -'
	dfb-ctl distance set A10 B20 5
	dfb-ctl distance set --one-way B20 C30 9
}

@test "export and import: a fixed point, and the same bus again elsewhere" {
	fill
	service export >file
	run_status 0 service import --dry-run file
	assert_eq '' "$output"
	run_status 0 service import --dry-run --prune file
	versions=$(dfb-ctl ask sgs stats | jq .version)
	service import file
	assert_eq "$versions" "$(dfb-ctl ask sgs stats | jq .version)"
	# All of it goes, and comes back.
	echo '{}' >empty
	run_status 0 service import --dry-run empty
	run_status 1 service import --dry-run --prune empty
	assert_eq "dfb-ctl distance delete A10 B20
dfb-ctl distance delete --one-way B20 C30
dfb-ctl affinity delete '*'
dfb-ctl affinity delete pay
dfb-ctl service undeploy pay A10
dfb-ctl service undeploy pay B20
dfb-ctl service retire pay
dfb-ctl service retire ship" "$output"
	assert_eq "$versions" "$(dfb-ctl ask sgs stats | jq .version)"
	service import --prune empty
	assert_eq '["retired","retired"]' "$(service list --json | jq -c 'map(.state)')"
	assert_eq '{"services":[],"affinity":{},"distances":{}}' "$(service export | jq -c)"
	run_status 1 service import --dry-run - <file
	assert_eq "dfb-ctl distance set A10 B20 5
dfb-ctl distance set --one-way B20 C30 9
dfb-ctl affinity add --hash 0-99 --key z '*' B20
dfb-ctl affinity add --prefix 'cn -' pay A10
dfb-ctl service apply --default pay
dfb-ctl service approve pay
dfb-ctl service apply --rate 5 pay
dfb-ctl gray set --keys a,b --percent 5 --else refuse pay v2
dfb-ctl service deploy --weight 100 pay A10
dfb-ctl service deploy --weight 100 pay B20
dfb-ctl service suspend pay B20
dfb-ctl service apply --durability commit --backoff 1s,90s --description 'it'\\''s new' ship" \
	    "$(sed 's/--key z --hash 0-99/--hash 0-99 --key z/' <<<"$output")"
	# What is printed can be run.
	service import --dry-run file | sh -e || true
	service export | diff - file
	run_status 0 service import --dry-run file
}

@test "import changes what differs, and nothing else" {
	fill
	service export | jq '(.services[] | select(.service == "pay")) |= (
	    .settings = {"rate": 9} | del(.proposed) | .gray.v2.percent = 50 |
	    .gray.v3 = {"percent": 50} | .regions = {"A10": {"state": "suspended", "weight": 3}})' \
	    >file
	run_status 1 service import --dry-run --json file
	assert_eq '["service.apply","service.approve","gray.set","gray.set","service.weight",
"service.suspend","service.undeploy"]' "$(jq -c 'map(.verb)' <<<"$output" |
	    sed 's/"service.weight",/&\n/')"
	assert_eq '{"service":"pay","region":"A10","weight":3}' \
	    "$(jq -c '.[4].args' <<<"$output")"
	service import file >out
	assert_eq 7 "$(wc -l <out)"
	assert_eq '["suspended","offline",9,50]' "$(service show --json pay | jq -c \
	    '[.regions.A10.state, .regions.B20.state, .settings.rate, .gray.v3.percent]')"
	run_status 0 service import --dry-run file
	# Shares that change places.
	jq '.services[0].gray = {"v2": {"percent": 90}, "v3": {"percent": 10}}' file >other
	service import other >out
	jq '.services[0].gray = {"v2": {"percent": 10}, "v3": {"percent": 90}}' file >other
	service import other >out
	# What is not there is left as it is.
	echo '{"services":[{"service":"pay"}]}' >part
	run_status 0 service import --dry-run part
	# From suspended to online, from offline to suspended.
	jq '.services[0].regions = {"A10": {"state": "online"}, "B20": {"state": "suspended"}}' \
	    other >back
	service import back >out
	assert_eq 'online suspended' "$(state pay A10) $(state pay B20)"
	jq '.services[0].regions.B20.state = "offline"' back >less
	assert_eq 'dfb-ctl service undeploy pay B20' "$(service import less)"
}

@test "import: what is wrong in the file is named, and nothing is done" {
	check() {
		echo "$1" >file
		run_status 65 service import file
		assert_match "$2" "$stderr"
	}
	check '{' 'file: line 2: '
	check '[]' 'file: it must be a JSON object'
	check '{"servces":[]}' "'servces' is no field of it"
	check '{"services":{}}' "'services' must be a list"
	check '{"services":[{"service":"A10-x"}]}' "services[0]: 'service' must name it"
	check '{"services":[{"service":"a"},{"service":"a"}]}' "service 'a' is there twice"
	check '{"services":[{"service":"a","x":1}]}' "service 'a': 'x' is no field of it"
	check '{"services":[{"service":"a","state":"retired"}]}' "service 'a': 'state' must be"
	check '{"services":[{"service":"a","description":7}]}' "service 'a': 'description' must"
	check '{"services":[{"service":"a","settings":{"retries":0}}]}' \
	    "service 'a': settings: 'retries' must be a number from 1 to 1000"
	check '{"services":[{"service":"a","settings":{"paused_ms":1}}]}' \
	    "service 'a': settings: 'paused_ms' is no setting"
	check '{"services":[{"service":"a","proposed":[]}]}' "service 'a': proposed: "
	check '{"services":[{"service":"a","regions":{"x":{"state":"online"}}}]}' \
	    "service 'a': regions.x is no region"
	check '{"services":[{"service":"a","regions":{"A10":{"state":"on"}}}]}' \
	    "service 'a': regions.A10: 'state' must be online, suspended or offline"
	check '{"services":[{"service":"a","regions":{"A10":{"state":"online","weight":-1}}}]}' \
	    "service 'a': regions.A10: 'weight' must be"
	check '{"services":[{"service":"a","gray":{"v2":{}}}]}' "service 'a': gray.v2: a rule needs"
	check '{"services":[{"service":"a","gray":{"v":{"percent":51},"w":{"percent":50}}}]}' \
	    "service 'a': gray: the rules would share out more than 100 percent"
	check '{"affinity":{"A10-x":[]}}' "affinity: 'A10-x' is no service"
	check '{"affinity":{"*":[{"region":"A10"}]}}' "affinity of '*': rule 1: it must have one of"
	check '{"affinity":{"*":[{"region":"A10","key":"a"},{"region":"B20","key":"a"}]}}' \
	    "affinity of '*': rule 2: key a is in two rules"
	check '{"affinity":{"*":[{"region":"A10","from":0,"to":9},{"region":"B20","from":9,"to":9}]}}' \
	    'hash 9 is in two rules'
	check '{"distances":{"A10":{"A10":1}}}' 'distances.A10.A10: it must be'
	# All that is wrong is told, and what is right is not done either.
	check '{"services":[{"service":"ok"},{"service":"a","x":1},{"service":"b","y":1}]}' "'y' is no"
	assert_match "'x' is no" "$stderr"
	assert_eq '[]' "$(service list --json)"
}

@test "a deployment that is waited for goes on when sgs is started again" {
	service apply pay
	service approve pay
	service deploy --wait 20s pay C30 2>err 3>&- &
	local waiting=$!
	wait_for 'grep -q "no broker of region C30" err'
	kill9 sgs
	daemon_start sgs dfb-sgs --bind "ipc://$BUS/sgs.sock" --data "$BUS/sgs" --grace 20ms
	daemon_start c1 dfb-broker --name c1 --region C30 --bind "ipc://$BUS/c1.sock" \
	    --data "$BUS/c1"
	wait $waiting
	assert_eq online "$(state pay C30)"
	assert_eq 1 "$(service history --json pay | jq 'map(select(.what == "deployed")) | length')"
}
