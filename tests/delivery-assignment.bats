# Section 6, unicast multicast broadcast; assignment; per-instance subscription; credit.
# Two brokers in a region, so that nothing is right by chance of one.

load helper
load regions

setup() {
	BROKERS="a1 a2" regions_start --grow-delay 20ms --shrink-delay 50ms
	cd "$BUS" || return 1
	export DFB_REGION=A10
}

teardown() {
	regions_stop
}

# bodies FILE...: what recv wrote, bodies only.
bodies() {
	cat "$@" | awk '{ print $NF }' | sort -n
}

# Send seq N in two halves, so that each broker has some.
send() {
	local n=$1
	shift
	seq $((n / 2)) | dfb-send "$@"
	seq $((n / 2 + 1)) "$n" | dfb-send "$@"
}

@test "unicast, multicast, broadcast" {
	dfb-ctl topic create A10-x --queues 2
	for i in one two; do recv $i A10 A10-x; done
	members A10-x g 4
	for i in b c; do
		dfb-recv -b -g all -I $i A10-x >>$i.all 3>&- &
		CHILDREN+=($!)
	done
	dfb-recv -b A10-x >>anon.all 3>&- &
	CHILDREN+=($!)
	dfb-recv -g other A10-x >>other.out 3>&- &
	CHILDREN+=($!)
	wait_for "[ \$(dfb-ctl group list --json A10-x |
	    jq '[.[] | .member_count * (.brokers | length)] | add') = 12 ]"
	send 1000 A10-x
	wait_for '[ $(cat one.out two.out | wc -l) = 1000 ] && [ $(wc -l <other.out) = 1000 ]'
	wait_for '[ $(cat b.all c.all anon.all | wc -l) = 3000 ]'
	seq 1000 | cmp - <(bodies one.out two.out)
	[ -s one.out ] && [ -s two.out ]
	for f in other.out b.all c.all anon.all; do seq 1000 | cmp - <(sort -n $f); done
}

@test "counts differ by one at most, over both brokers together" {
	local n names='' least most
	dfb-ctl topic create A10-x --queues 3
	for n in 1 2 3 4 5 6 7; do
		names="$names i$n"
		recv i$n A10 A10-x
		members A10-x g $((2 * n))
		least=$((6 / n)) most=$(((6 + n - 1) / n))
		# The brokers hear of each other's queues from the name server.
		wait_for "[ \"\$(shares A10-x g | awk -v l=$least -v m=$most \
		    '{ s += \$2; n++; bad += \$2 < l || \$2 > m } END { print n, s, bad }')\" = '$n 6 0' ]"
	done
	for n in 7 6 5 4 3 2; do
		kill "$(eval echo \$RECV_i$n)"
		members A10-x g $((2 * (n - 1)))
		least=$((6 / (n - 1))) most=$(((6 + n - 2) / (n - 1)))
		wait_for "[ \"\$(shares A10-x g | awk -v l=$least -v m=$most \
		    '{ s += \$2; bad += \$2 < l || \$2 > m } END { print s, bad }')\" = '6 0' ]"
	done
}

@test "one queue at each broker: two instances have one each" {
	dfb-ctl topic create A10-x --queues 1
	recv one A10 A10-x
	recv two A10 A10-x
	members A10-x g 4
	wait_for '[ "$(shares A10-x g | tr "\n" " ")" = "one 1 two 1 " ]'
	send 2000 A10-x
	wait_for '[ $(cat one.out two.out | wc -l) = 2000 ]'
	seq 2000 | cmp - <(bodies one.out two.out)
}

@test "sticky: an instance that joins takes no more queues than it is to have" {
	local moved
	dfb-ctl topic create A10-x --queues 6
	recv one A10 A10-x
	recv two A10 A10-x
	members A10-x g 4
	owners() {
		dfb-ctl group show --json A10-x g |
		    jq -r '.per_broker[] | .broker as $b | .queues[] | "\($b) \(.queue) \(.owner)"' |
		    sort
	}
	wait_for '[ "$(shares A10-x g | tr "\n" " ")" = "one 6 two 6 " ]'
	owners >before
	recv three A10 A10-x
	members A10-x g 6
	wait_for '[ "$(shares A10-x g | tr "\n" " ")" = "one 4 three 4 two 4 " ]'
	owners >after
	moved=$(comm -13 before after | wc -l)
	assert_eq 4 "$moved"
	assert_eq 4 "$(comm -13 before after | grep -c three)"
}

@test "kill -9 of one in four that holds 1000: the others have them, again only those" {
	local i
	dfb-ctl topic create A10-x --queues 4
	mkfifo stuck
	dfb-recv -g g -I dead --credit 500 A10-x -- sh -c 'cat <stuck' 3>&- &
	dead=$!
	members A10-x g 2
	for i in 1 2 3 4 5 6; do # each broker has some, and more than it may hand out
		seq $((500 * i - 499)) $((500 * i)) | dfb-send A10-x
	done
	# Each broker has handed out all that it got, at most the credit.
	wait_for "dfb-ctl group show --json A10-x g | jq -e '.out ==
	    ([.per_broker[] | [[.queues[].lag] | add, 500] | min] | add)'"
	held=$(dfb-ctl group show --json A10-x g | jq .out)
	for i in 1 2 3; do recv i$i A10 A10-x; done
	members A10-x g 8
	kill -9 $dead
	wait $dead || true
	wait_for '[ $(cat i?.out | wc -l) -ge 3000 ]'
	seq 3000 | cmp - <(bodies i?.out)
	assert_eq 0 "$(dfb-ctl group show --json A10-x g | jq .lag)"
	# Each was marked: as redelivered what had been out, and nothing else.
	[ "$held" -ge 500 ]
	assert_eq "$held" "$(dfb-ctl group show --json A10-x g | jq .redelivered)"
}

@test "a planned leave hands over without redelivering" {
	dfb-ctl topic create A10-x --queues 2
	dfb-recv -g g -I one A10-x -- sh -c 'read -r n; echo "$DFB_TRY $n" >>all' 3>&- &
	one=$!
	dfb-recv -g g -I two A10-x -- sh -c 'read -r n; echo "$DFB_TRY $n" >>all' 3>&- &
	CHILDREN+=($!)
	members A10-x g 4
	seq 200 | dfb-send A10-x
	wait_for '[ $(wc -l <all) -ge 20 ]'
	kill $one
	wait $one || true
	wait_for '[ $(wc -l <all) -ge 200 ]'
	seq 200 | sed 's/^/1 /' | cmp - <(sort -k 2n all)
	assert_eq 0 "$(dfb-ctl group show --json A10-x g | jq .redelivered)"
}

@test "instances of a group may subscribe to different topics" {
	dfb-ctl topic create A10-x --queues 2
	dfb-ctl topic create A10-y --queues 2
	recv both A10 A10-x A10-y
	recv y A10 A10-y
	members A10-x g 2
	members A10-y g 4
	send 100 A10-x
	send 100 A10-y
	wait_for '[ $(cat both.out y.out | wc -l) = 200 ]'
	assert_eq 100 "$(grep -c '^A10-x' both.out)"
	! grep -q '^A10-x' y.out
	[ -s y.out ]
	seq 100 | cmp - <(grep -h '^A10-y' both.out y.out | awk '{ print $NF }' | sort -n)
}

@test "credit: no more than that is out; acknowledgements in any order, the lowest gap is kept" {
	dfb-ctl topic create A10-x --queues 1
	mkfifo stuck
	seq 100 | dfb-send A10-x
	dfb-recv -g g --credit 5 -j 5 A10-x -- \
	    sh -c 'read -r n; [ $n -gt 1 ] || cat <stuck; echo $n >>done' 3>&- &
	CHILDREN+=($!)
	wait_for '[ -e done ] && [ $(wc -l <done) = 99 ]' # all but the first, which waits
	wait_for "[ \"\$(dfb-ctl group show --json A10-x g |
	    jq -r '[.lag, .out] | join(\" \")')\" = '1 1' ]"
	assert_eq 0 "$(dfb-ctl group show --json A10-x g | jq '[.per_broker[].queues[] | select(.lag > 0) | .offset] | add')"
	: >stuck
	wait_for "[ \$(dfb-ctl group show --json A10-x g | jq .lag) = 0 ]"
}
