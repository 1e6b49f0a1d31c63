# dfb-ctl: every verb, for people and as JSON; every status.

load helper

setup() {
	bus_start
	unset DFB_REGION
	second= server=
	mkdir "$BATS_TEST_TMPDIR/files"
	cd "$BATS_TEST_TMPDIR/files" || return 1
}

teardown() {
	[ -z "$server" ] || kill "$server" || true
	[ -z "$second" ] || kill "$second" || true
	bus_stop
}

# fails STATUS PATTERN command...: it does, and says so, naming itself, on stderr.
fails() {
	local want=$1 text=$2 rc=0
	shift 2
	"$@" >out 2>err </dev/null || rc=$?
	if [ "$rc" != "$want" ] || ! grep -q "^dfb-ctl: .*$text" err; then
		echo "$*: status $rc, not $want; or not '$text' but:"
		cat err
		return 1
	fi
}

# json FILTER command...: what jq prints for the command's output, which is JSON.
json() {
	local filter=$1
	shift
	"$@" >json.out || return
	jq -r "$filter" json.out
}

# Another broker of the region, b2.
start_second() {
	mkfifo ready
	dfb-broker --name b2 --region A10 --bind "ipc://$BATS_TEST_TMPDIR/b2.sock" \
	    --data "$BATS_TEST_TMPDIR/b2" --names "$DFB_NAMES" --ready-fd 7 \
	    7>ready 3>&- 2>b2.log &
	second=$!
	read -r -t 20 <ready
	rm ready
}

@test "what there is to say: nouns, verbs, help" {
	fails 64 'one of topic, group, timer, broker, gray, route, ping, peek, dlq, why, service, affinity, distance, ask' dfb-ctl
	fails 64 "'tropic' .*one of topic, group" dfb-ctl tropic list
	fails 64 'one of create, set, show, list, pause' dfb-ctl topic
	fails 64 "'mend' .*one of create" dfb-ctl topic mend
	fails 64 'one of list, stats, drain' dfb-ctl broker
	fails 64 'unknown option' dfb-ctl topic list --nonsense
	fails 64 'unknown option' dfb-ctl --nonsense topic list
	fails 64 'missing' dfb-ctl topic create
	fails 64 'one argument too many' dfb-ctl topic create A10-x A10-y
	fails 64 'destination' dfb-ctl topic create a-b
	fails 64 'region' dfb-ctl -R a topic list
	for verb in topic\ {create,set,show,list,pause,resume,delete} \
	    group\ {list,show,lag,reset,pause,resume,delete} timer\ {list,cancel} \
	    broker\ {list,stats,drain} route ping peek why; do
		dfb-ctl $verb --help >help
		grep -q "^usage: dfb-ctl $verb " help
		dfb-ctl --help | grep -q "^  dfb-ctl $verb "
	done
	dfb-ctl topic --help | grep -q 'dfb-ctl topic create'
}

@test "topic create: senders find it at once; options reach the broker" {
	run_status 0 dfb-ctl topic create A10-x --queues 3 --durability async \
	    --max-body 64k --retention 7d --dedup 1h --retries 5 --backoff 250ms,2s,1m
	run_status 0 dfb-send -m hello A10-x
	assert_eq '{"durability":"async","queues_min":3,"queues_max":3,"grow_ms":0,"shrink_ms":0,"max_body":65536,"retries":5,"retention_ms":604800000,"dedup_ms":3600000,"backoff_ms":[250,2000,60000]}' \
	    "$(json '.per_broker[0].settings | {durability, queues_min, queues_max, grow_ms,
	    shrink_ms, max_body, retries, retention_ms, dedup_ms, backoff_ms} | tojson' dfb-ctl topic show A10-x -J)"
	assert_eq 'A10-y b1 true' \
	    "$(json '.[] | "\(.topic) \(.broker) \(.created)"' dfb-ctl --json topic create A10-y)"
}

@test "topic create: one that exists" {
	dfb-ctl topic create A10-x
	fails 1 "'A10-x' exists on broker b1" dfb-ctl topic create A10-x
	run_status 0 dfb-ctl topic create --if-missing A10-x
	assert_eq false "$(json '.[].created' dfb-ctl topic create --if-missing A10-x -J)"
}

@test "topic create: a service of a region; wrong words and values" {
	fails 64 'say its region' dfb-ctl topic create pay
	run_status 0 dfb-ctl topic create -R A10 pay
	DFB_REGION=A10 run_status 0 dfb-ctl topic show pay
	run_status 0 dfb-ctl -R A10 topic show pay
	fails 64 'made by brokers' dfb-ctl topic create %DLQ-g
	fails 64 'commit, async or memory' dfb-ctl topic create A10-x --durability never
	fails 64 'queues' dfb-ctl topic create A10-x --queues 0
	fails 64 'queues' dfb-ctl topic create A10-x --queues 1024
	fails 64 'max-body' dfb-ctl topic create A10-x --max-body 1T
	fails 64 'backoff' dfb-ctl topic create A10-x --backoff 1s,,2s
	fails 65 'back-off' dfb-ctl topic create A10-x --backoff 0ms
	fails 65 'retention' dfb-ctl topic create A10-x --retention 5000d
}

@test "nobody there: no bus, no broker of the region, no such broker" {
	local none="ipc://$PWD/none.sock" cmd
	for cmd in 'topic create A10-x' 'topic list' 'topic show A10-x' 'group list' \
	    'broker list' 'broker stats' 'route A10-x' 'peek A10-x'; do
		fails 69 'no name server answers' dfb-ctl -n "$none" --timeout 300ms $cmd
	done
	fails 69 'nobody answers' dfb-ctl -n "$none" ping
	fails 69 'dfb-broker --region B20' dfb-ctl topic create B20-x
	fails 69 "no broker 'b9'.*broker list" dfb-ctl topic create --broker b9 A10-x
	fails 69 'topic create' dfb-ctl topic show A10-x
	fails 69 'A10-x' dfb-ctl topic set A10-x --retries 2
	fails 69 'A10-x' dfb-ctl topic delete A10-x --yes
	fails 69 'A10-x' dfb-ctl group list A10-x
	fails 69 'A10-x' dfb-ctl peek A10-x
	assert_eq '[]' "$(dfb-ctl topic list --json)"
}

@test "topic list and show" {
	dfb-ctl topic create A10-b --queues 2
	dfb-ctl topic create A10-a
	seq 5 | dfb-send A10-b
	dfb-ctl topic list >out
	assert_eq 'TOPIC BROKERS QUEUES MESSAGES' "$(awk 'NR == 1 { print $1, $2, $3, $4 }' out)"
	assert_eq 'A10-a b1 1 0' "$(awk 'NR == 2 { print $1, $2, $3, $4 }' out)"
	assert_eq 'A10-b b1 2 5' "$(awk 'NR == 3 { print $1, $2, $3, $4 }' out)"
	assert_eq '["A10-b",["b1"],2,5,5]' "$(json \
	    '.[1] | [.topic, .brokers, .queue_count, .messages, .in] | tojson' dfb-ctl topic list -J)"
	dfb-ctl topic show A10-b >out
	grep -q '^on broker b1: commit,' out
	assert_eq 5 "$(awk '/^BROKER/ { on = 1; next } on { n += $7 } END { print n }' out)"
	assert_eq '5 2' "$(json '"\(.messages) \(.per_broker[0].queues | length)"' \
	    dfb-ctl topic show -J A10-b)"
}

@test "tables: long names are whole, numbers end together" {
	local long=A10-$(printf 'x%.0s' {1..64})
	dfb-ctl topic create "$long"
	dfb-ctl topic create A10-y
	seq 1000 | dfb-send A10-y
	dfb-ctl topic list >out
	grep -q "^$long  b1 " out
	assert_eq 1 "$(awk '{ match($0, /^([^ ]+ +){3}[^ ]+/); print RLENGTH }' out |
	    sort -u | wc -l)"
}

@test "topic set" {
	dfb-ctl topic create A10-x
	fails 64 'say what to set' dfb-ctl topic set A10-x
	run_status 0 dfb-ctl topic set A10-x --retries 9 --queues 4
	assert_eq '9 4' "$(json '.per_broker[0].settings | "\(.retries) \(.queues_max)"' \
	    dfb-ctl topic show A10-x -J)"
	assert_eq '9 60000' "$(json '.[0].settings | "\(.retries) \(.retention_ms)"' \
	    dfb-ctl topic set A10-x --retention 1m -J)"
	run_status 0 dfb-ctl topic set A10-x --queues 2
	assert_eq 'open open closed closed' "$(json '[.per_broker[0].queues[].state] | join(" ")' \
	    dfb-ctl topic show A10-x -J)"
	run_status 0 dfb-ctl topic set A10-x --queues 1-8
	run_status 0 dfb-ctl topic set A10-x --queues auto
	assert_eq '1 1023' "$(json '.per_broker[0].settings | "\(.queues_min) \(.queues_max)"' \
	    dfb-ctl topic show A10-x -J)"
	for bad in 0 4-2 1024 x 1-2-3 -3; do
		fails 64 '' dfb-ctl topic set A10-x --queues=$bad
	done
}

@test "topic delete: only with --yes, or a yes at the terminal" {
	dfb-ctl topic create A10-x
	fails 64 'give --yes' dfb-ctl topic delete A10-x
	run_status 0 dfb-ctl topic show A10-x
	local rc=0
	script -qec 'dfb-ctl topic delete A10-x' /dev/null <<<n >out || rc=$?
	assert_eq 1 $rc
	grep -q "delete topic 'A10-x'" out
	run_status 0 dfb-ctl topic show A10-x
	script -qec 'dfb-ctl topic delete A10-x' /dev/null <<<y >out
	assert_eq '[]' "$(dfb-ctl topic list -J)"
	dfb-ctl topic create A10-x
	assert_eq A10-x "$(json '.[0].topic' dfb-ctl topic delete A10-x --yes --json)"
	assert_eq '[]' "$(dfb-ctl topic list -J)"
}

@test "two brokers: created on both, counts added up, --broker" {
	start_second
	run_status 0 dfb-ctl topic create A10-x --queues 2
	assert_eq 'b1 b2' "$(json 'map(.broker) | join(" ")' dfb-ctl route A10-x -J)"
	run_status 1 dfb-recv -g g -e A10-x # the group is on both
	seq 20 | dfb-send A10-x
	dfb-recv -g g -c 8 A10-x >/dev/null
	assert_eq 'b1,b2 4 20' "$(dfb-ctl topic list | awk 'NR == 2 { print $2, $3, $4 }')"
	assert_eq '20 12 1' "$(json '"\(.messages) \(.lag) \(.groups)"' dfb-ctl topic show A10-x -J)"
	assert_eq 'b1,b2 12' "$(dfb-ctl group list | awk 'NR == 2 { print $4, $6 }')"
	assert_eq 4 "$(json length dfb-ctl group lag -J)"
	assert_eq 12 "$(json 'map(.lag) | add' dfb-ctl group lag A10-x g -J)"
	run_status 0 dfb-ctl topic create A10-y --broker b2
	assert_eq b2 "$(json '.[].broker' dfb-ctl route A10-y -J)"
	assert_eq 20 "$(dfb-ctl peek A10-x -c 100 -f '%s\n' | sort -n | uniq | wc -l)"
	fails 69 'does not serve' dfb-ctl topic show A10-y --broker b1
	run_status 0 dfb-ctl topic create A10-y --if-missing
	assert_eq 'b1 b2' "$(json 'map(.broker) | join(" ")' dfb-ctl route A10-y -J)"
}

@test "two brokers, one gone: the other's part is done, the failure is told" {
	start_second
	dfb-ctl topic create A10-x
	kill -9 "$second"
	wait "$second" || true
	second=
	fails 69 "broker 'b2'" dfb-ctl topic create A10-y
	assert_eq b1 "$(json '.[].broker' dfb-ctl route A10-y -J)"
	fails 69 "broker 'b2'" dfb-ctl topic list
	grep -q '^A10-x  b1 ' out
	fails 69 b2 dfb-ctl ping
	awk '$2 == "b1" && $3 ~ /ms$/ { one = 1 } $2 == "b2" && $3 == "-" { two = 1 }
	    END { exit !(one && two) }' out
	fails 69 b2 dfb-ctl ping -J
	assert_eq 'b1 true b2 false' "$(jq -r 'map(select(.kind == "broker") |
	    "\(.name) \(.answers)") | join(" ")' out)"
}

@test "group list, show and lag" {
	dfb-ctl topic create A10-x
	seq 10 | dfb-send A10-x
	dfb-recv -g g1 -c 4 A10-x >/dev/null
	dfb-ctl group list >out
	assert_eq 'A10-x g1 shared b1 0 6' "$(awk 'NR == 2 { print $1, $2, $3, $4, $5, $6 }' out)"
	assert_eq 'g1 6 4 false' "$(json '.[] | "\(.group) \(.lag) \(.settled) \(.broadcast)"' \
	    dfb-ctl group list -J A10-x)"
	dfb-ctl group lag A10-x g1 >out
	assert_eq 'b1 0 4 10 6' "$(awk 'NR == 2 { print $3, $4, $5, $6, $7 }' out)"
	assert_eq '4 10 6' "$(json '.[] | "\(.offset) \(.next) \(.lag)"' dfb-ctl group lag -J)"
	dfb-ctl group show A10-x g1 >out
	grep -q '^BROKER  MEMBER' out
	assert_eq '6 0 1' "$(json '"\(.lag) \(.member_count) \(.per_broker | length)"' \
	    dfb-ctl group show A10-x g1 -J)"
	fails 69 "no group 'g9'.*group list" dfb-ctl group show A10-x g9
	fails 69 "no group 'g9'" dfb-ctl group lag A10-x g9
	fails 64 'missing' dfb-ctl group show A10-x
}

@test "group reset: beginning, end, an offset, a time, dry" {
	dfb-ctl topic create A10-x
	seq 10 | dfb-send A10-x
	dfb-recv -g g -c 4 A10-x >/dev/null
	fails 64 'say where' dfb-ctl group reset A10-x g
	fails 64 '--to takes' dfb-ctl group reset A10-x g --to nowhere
	fails 64 '--to takes' dfb-ctl group reset A10-x g --to @nowhen
	fails 69 "no group 'g9'" dfb-ctl group reset A10-x g9 --to end
	dfb-ctl group reset A10-x g --to beginning --dry-run >out 2>err
	assert_eq '4 0 4' "$(awk 'NR == 2 { print $5, $6, $7 }' out)"
	grep -q 'dry run' err
	assert_eq 'false 4 0' "$(json '.[] | "\(.done) \(.from) \(.to)"' \
	    dfb-ctl group reset A10-x g --to beginning --dry-run -J)"
	run_status 0 dfb-ctl group reset A10-x g --to beginning
	assert_eq 10 "$(json '.[].lag' dfb-ctl group lag A10-x g -J)"
	assert_eq 'true 10' "$(json '.[] | "\(.done) \(.to)"' dfb-ctl group reset A10-x g --to end -J)"
	run_status 0 dfb-ctl group reset A10-x g --to 7
	assert_eq "$(seq 8 10)" "$(dfb-recv -e -g g A10-x)"
	run_status 0 dfb-ctl group reset A10-x g --to 1000000
	assert_eq 0 "$(json '.[].lag' dfb-ctl group lag A10-x g -J)"
	run_status 0 dfb-ctl group reset A10-x g --to @-1h
	assert_eq 10 "$(json '.[].lag' dfb-ctl group lag A10-x g -J)"
	run_status 0 dfb-ctl group reset A10-x g --to @2199-01-01T00:00:00Z
	assert_eq 0 "$(json '.[].lag' dfb-ctl group lag A10-x g -J)"
}

@test "group reset to a time finds the offset of each queue" {
	dfb-ctl topic create A10-x --queues 3
	seq 30 | dfb-send A10-x
	# The broker's clock ticks in between.
	local born=$(dfb-ctl peek A10-x -c 1000 -J | jq -s 'map(.born) | max')
	wait_for "test \$(date +%s%3N) -gt $((born + 100))"
	local when=$(date +%Y-%m-%dT%H:%M:%S.%3N)
	wait_for "test \$(date +%s%3N) -gt $((born + 200))"
	seq 31 42 | dfb-send A10-x
	dfb-recv -e -g g A10-x >/dev/null
	run_status 0 dfb-ctl group reset A10-x g --to "@$when"
	assert_eq "$(seq 31 42)" "$(dfb-recv -e -g g A10-x | sort -n)"
	assert_eq "$(seq 31 42)" "$(dfb-ctl peek A10-x --time "$when" -c 100 -f '%s\n' | sort -n)"
}

@test "group reset and delete: not while there are consumers" {
	dfb-ctl topic create A10-x
	echo 1 | dfb-send A10-x
	dfb-recv -g g A10-x >got 3>&- &
	server=$!
	wait_for "test -s got"
	fails 75 'stop them first' dfb-ctl group reset A10-x g --to end
	fails 75 'stop them first' dfb-ctl group delete A10-x g --yes
	assert_eq '1 1' "$(json '"\(.member_count) \(.per_broker[0].members | length)"' \
	    dfb-ctl group show A10-x g -J)"
	assert_eq 'b1 dfb-recv' "$(dfb-ctl group show A10-x g |
	    awk '/^BROKER/ { getline; print $1, $2 }')"
	kill "$server"
	wait "$server" || true
	server=
	fails 64 'give --yes' dfb-ctl group delete A10-x g
	assert_eq 'g b1' "$(json '.[] | "\(.group) \(.broker)"' dfb-ctl group delete A10-x g --yes -J)"
	fails 69 "no group 'g'" dfb-ctl group delete A10-x g --yes
	assert_eq '[]' "$(dfb-ctl group list -J)"
}

@test "broker list and stats" {
	dfb-ctl topic create A10-x
	dfb-ctl broker list >out
	assert_eq 'b1 A10 up 1' "$(awk 'NR == 2 { print $1, $2, $3, $4 }' out)"
	assert_eq 'b1 A10 up 1 true' "$(json '.[] | "\(.name) \(.region) \(.state) \(.topics)
	    \(.age_ms < 60000)"' dfb-ctl broker list -J | xargs)"
	seq 3 | dfb-send A10-x
	dfb-ctl broker stats >out
	assert_eq 3 "$(awk '$1 == "messages_in" { print $2 }' out)"
	assert_eq no "$(awk '$1 == "draining" { print $2 }' out)"
	assert_eq 3 "$(json '.[0].messages_in' dfb-ctl broker stats -J)"
	assert_eq 3 "$(json .messages_in dfb-ctl broker stats b1 -J)"
	fails 69 "no broker 'b9'" dfb-ctl broker stats b9
}

@test "broker drain: --wait until nothing is left, --undo" {
	dfb-ctl topic create A10-x
	seq 5 | dfb-send A10-x
	dfb-recv -g g -c 2 A10-x >/dev/null
	fails 64 'undo' dfb-ctl broker drain b1 --undo --wait
	fails 69 "no broker 'b9'" dfb-ctl broker drain b9
	fails 124 'goes on draining' dfb-ctl broker drain b1 --wait --timeout 300ms
	assert_eq draining "$(json '.[].state' dfb-ctl broker list -J)"
	mkfifo progress
	dfb-ctl broker drain b1 --wait -J >out 2>progress 3>&- &
	local waiting=$! line
	exec 8<progress
	read -r -t 20 line <&8
	assert_eq "dfb-ctl: broker 'b1': 3 messages and 0 calls left" "$line"
	assert_eq "$(seq 3 5)" "$(dfb-recv -g g -c 3 A10-x)"
	wait "$waiting"
	exec 8<&-
	assert_eq '0 true' "$(jq -r '"\(.left) \(.draining)"' out)"
	run_status 0 dfb-ctl broker drain b1 --undo
	wait_for "dfb-ctl broker list | grep -q ' up '"
	assert_eq false "$(json .draining dfb-ctl broker drain b1 --undo -J)"
}

@test "route" {
	dfb-ctl topic create A10-x
	assert_eq 'A10-x b1 A10 up' "$(dfb-ctl route x | awk 'NR == 2 { print $1, $2, $3, $4 }')"
	assert_eq 'A10-x b1' "$(json '.[] | "\(.topic) \(.broker)"' dfb-ctl route A10-x --json)"
	fails 69 'no broker serves' dfb-ctl route y
	fails 64 'destination' dfb-ctl route a-b
}

@test "ping" {
	dfb-ctl ping >out
	assert_eq 'names broker' "$(awk 'NR > 1 && $3 ~ /^[0-9.]+ms$/ { print $1 }' out | xargs)"
	assert_eq 'names true broker true' "$(json '.[] | "\(.kind) \(.ms > 0)"' dfb-ctl ping -J | xargs)"
	assert_eq b1 "$(dfb-ctl ping b1 | awk 'NR == 2 { print $2 }')"
	assert_eq names "$(json '.[].name' dfb-ctl ping "${DFB_NAMES%%,*}" -J)"
	fails 69 "no broker 'b9'" dfb-ctl ping b9
	fails 69 'nobody answers' dfb-ctl ping "ipc://$PWD/none.sock"
	fails 64 '.' dfb-ctl ping b1 b2
}

@test "peek: readable, JSON, a format, raw; and takes nothing" {
	dfb-ctl topic create A10-x
	printf 'one\n' | dfb-send -k k1 -H h=v A10-x
	printf 'two\0' | dfb-send -r A10-x
	dfb-ctl peek A10-x >out
	grep -q '^A10-x  b1 0:0  .*Z  .*  key=k1  h=v$' out
	assert_eq one "$(sed -n 2p out)"
	grep -q '4 bytes that are no text' out
	assert_eq '0 k1 v one' "$(dfb-ctl peek A10-x -c 1 -J |
	    jq -r '"\(.offset) \(.key) \(.headers.h) \(.body)"')"
	assert_eq '0:0 k1 one' "$(dfb-ctl peek A10-x -c 1 -f '%q:%o %k %s\n')"
	dfb-ctl peek A10-x --offset 1 -r >got
	printf 'two\0' | cmp - got
	assert_eq 2 "$(dfb-ctl peek A10-x --json | wc -l)"
	assert_eq '[]' "$(dfb-ctl group list -J)"
	fails 64 'one of -f, -J and -r' dfb-ctl peek A10-x -r -J
	fails 64 '-f' dfb-ctl peek A10-x -f '%y'
	fails 64 'offset' dfb-ctl peek A10-x --offset x
	fails 64 'time' dfb-ctl peek A10-x --time soon
	fails 64 'place' dfb-ctl peek A10-x --time -1h --offset 3
	fails 1 'no message' dfb-ctl peek A10-x --offset 2
	fails 69 'queue 5' dfb-ctl peek A10-x --queue 5
}

@test "peek by id: found in any queue and deep inside; else 1" {
	dfb-ctl topic create A10-x --queues 3
	seq 20000 | dfb-send A10-x
	local id=$(dfb-ctl peek A10-x -c 20000 -J | jq -r 'select(.body == "19876") | .id')
	assert_eq 19876 "$(dfb-ctl peek A10-x --id "$id" -f '%s')"
	# Ids that tell no time, or one far ahead.
	dfb-send -m early -i 01890a5d-ac96-474b-8cce-b302099a8057 A10-x
	assert_eq early "$(dfb-ctl peek A10-x --id 01890a5d-ac96-474b-8cce-b302099a8057 -r)"
	dfb-send -m late -i 0fff0a5d-ac96-774b-8cce-b302099a8057 A10-x
	assert_eq late "$(dfb-ctl peek A10-x --id 0fff0a5d-ac96-774b-8cce-b302099a8057 -r)"
	fails 1 'no message' dfb-ctl peek A10-x --id 01890a5d-ac96-774b-8cce-000000000000
	fails 64 'UUID' dfb-ctl peek A10-x --id ''
	fails 64 'where to start' dfb-ctl peek A10-x --id "$id" --offset 3
}

@test "dead letters are a topic to look at" {
	dfb-ctl topic create A10-x --retries 1
	echo bad | dfb-send A10-x
	dfb-recv -g g -c 1 A10-x -- sh -c 'exit 65' || true
	wait_for "dfb-ctl peek %DLQ-g -c 1 >dead"
	grep -q 'dfb-dead-group=g' dead
	assert_eq bad "$(dfb-ctl peek %DLQ-g -r | head -n 1)"
	dfb-ctl topic list | grep -q '^%DLQ-g '
}

@test "output that cannot be written: 74" {
	local rc=0
	dfb-ctl topic list >/dev/full 2>err || rc=$?
	assert_eq 74 $rc
	rc=0
	dfb-ctl topic create --help >/dev/full 2>err || rc=$?
	assert_eq 74 $rc
}
