#!/usr/bin/env bats
# dfb-gsl with dfb-sgs: what an operator says there is how services are located here, over
# the death of each.

load helper
load regions

setup() {
	BROKERS='a1 b1' regions_start --lease 1s
	sgs_start
	gsl_start g1 A10
	gsl_start g2 B20
	service_made pay
	sgs distance.set '{"from":"A10","to":"B20","distance":5}' >/dev/null
	service deploy pay A10 >/dev/null
	service deploy pay B20 >/dev/null
	deployed pay A10
	deployed pay B20
}

teardown() {
	regions_stop
}

# places GSL REGION [KEY]: "A10 B20", the order there.
places() {
	dfb-ctl ask "$1" locate "{\"service\":\"pay\",\"region\":\"$2\"${3:+,\"key\":\"$3\"}}" |
	    jq -r '[.places[].region] | join(" ")'
}

# follows GSL: it has all that sgs has.
follows() {
	wait_for "[ \$(dfb-ctl ask $1 stats | jq .version) = $(sgs stats | jq .version) ]"
}

@test "rules, own region, distance; all gsls say the same" {
	local g
	sgs affinity.add '{"service":"*","rules":[{"region":"B20","prefix":"cn-"}]}' >/dev/null
	for g in g1 g2; do
		follows $g
		assert_eq "A10 B20" "$(places $g A10)"
		assert_eq "B20 A10" "$(places $g B20)"
		assert_eq "B20 A10" "$(places $g A10 cn-4711)"
		assert_eq "A10 B20" "$(places $g A10 us-4711)"
	done
	sgs affinity.delete '{"service":"*"}' >/dev/null
	follows g1
	assert_eq "A10 B20" "$(places g1 A10 cn-4711)"
	service weight pay A10 '"weight":0' >/dev/null # a last resort
	follows g1
	assert_eq "B20 A10" "$(places g1 A10)"
}

@test "killed with the sgs: from its disk it answers, and says how old that is" {
	follows g1
	kill9 sgs
	kill "$PID_g1"
	wait "$PID_g1"
	kill9 g2
	gsl_start g1 A10
	assert_eq "A10 B20" "$(places g1 A10)"
	dfb-ctl ask g1 locate '{"service":"pay"}' | jq -e '.age_ms > 0' >/dev/null
	gsl_start g2 B20
	sgs_start
	service suspend pay A10 >/dev/null
	follows g1
	follows g2
	assert_eq B20 "$(places g1 A10)"
	assert_eq B20 "$(places g2 A10)"
	assert_eq "A10 suspended" "$(dfb-ctl ask g1 locate '{"service":"pay"}' | jq -r .reason)"
	assert_eq 0 "$(dfb-ctl ask g1 stats | jq .copies)" # what it missed, not all again
}

@test "another catalogue takes the place of the one that is here" {
	follows g1
	kill9 sgs
	rm -rf "$BUS/sgs"
	sgs_start
	service_made other
	wait_for '[ $(dfb-ctl ask g1 stats | jq .services) = 0 ]'
	dfb-ctl ask g1 locate '{"service":"pay"}' | jq -e '.known == false' >/dev/null
	kill "$PID_g1"
	wait "$PID_g1"
	kill9 sgs
	gsl_start g1 A10 # on the disk, too
	assert_eq 0 "$(dfb-ctl ask g1 stats | jq .services)"
}
