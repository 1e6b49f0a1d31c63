#!/usr/bin/env bash
# What a bus does, shown and checked: 'make demo'.  Every step compares what came out with what
# went in; the first difference ends it with a message and a status that is not 0.
set -Eeuo pipefail
export LC_ALL=C

# ---- at home: start a bus in a temporary directory and run the rest in it ----

if [ "${1:-}" != --inside ]; then
	self=$(cd "$(dirname "$0")" && pwd)/${0##*/}
	PATH=${BIN:-$(dirname "$self")/../build/bin}:$PATH
	for p in dfb-up dfb-ctl jq bc cmp; do
		command -v "$p" >/dev/null || { echo "demo: $p is missing; run 'make demo'" >&2; exit 71; }
	done
	dir=$(mktemp -d "${TMPDIR:-/tmp}/dfb-demo.XXXXXX")
	trap 'rm -rf "$dir"' EXIT
	mkdir "$dir/work"
	cd "$dir/work"
	status=0
	dfb-up -q -R A10,B20 "$dir/bus" -- bash "$self" --inside "$dir/bus" || status=$?
	[ $status -eq 0 ] || {
		echo "demo: FAILED with status $status; what the daemons said last:" >&2
		tail -n 5 "$dir/bus"/log/*.log >&2 || :
	}
	exit $status
fi

bus=$2
trap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT
trap 'echo "demo: FAILED in line $LINENO: $BASH_COMMAND" >&2' ERR

bold=$(tput bold 2>/dev/null || :) plain=$(tput sgr0 2>/dev/null || :)
[ -t 1 ] || bold='' plain=''
step=0
say() { step=$((step + 1)); printf '\n%s%d. %s%s\n' "$bold" $step "$1" "$plain"; }
note() { printf '   %s\n' "$@"; }
ok() { printf '   ok: %s\n' "$*"; }
fail() { echo "demo: FAILED: $*" >&2; exit 1; }

# Show a command line, and run it.
show() { printf '   $ %s\n' "$1"; eval "$1"; }

# The command line must end with status $1.
show_status() {
	local got=0
	printf '   $ %s\n' "$2"
	eval "$2" || got=$?
	[ $got -eq "$1" ] || fail "'$2' ended with status $got, not $1"
}

same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }

# Wait until $3 (jq) of 'dfb-ctl group list' for group $2 of topic $1 is true.
until_group() {
	for _ in {1..500}; do
		if dfb-ctl -J group list "$1" 2>/dev/null |
		    jq -e ".[] | select(.group == \"$2\") | $3" >/dev/null; then
			return 0
		fi
		sleep 0.02
	done
	fail "group $2 of $1 does not get there: $3"
}

# broker_pid NAME
broker_pid() {
	sed -n 's/^dfb-broker (pid \([0-9]*\))$/\1/p' "$bus/data/$1/dfb.lock"
}

# ---- 1 ----

say 'A bus is running'
note 'dfb-up started a name server (who serves what?), a broker (stores and delivers)' \
    'for each of two regions, and what governs services and finds them: sgs and gsl.' \
    'Each has a socket in one directory. DFB_NAMES says where; we are in A10.'
show 'dfb-ctl broker list'

# ---- 2 ----

say 'Files go through a topic'
note 'A topic is a place for messages: a region (A10), a hyphen, a service.' \
    'Four files, of text and machine code, are sent: each is one message.'
show 'dfb-ctl topic create --max-body 16M A10-files'
files=()
for f in "$(readlink -f "$(command -v bash)")" "$(readlink -f "$(command -v dfb-send)")" \
    "$(readlink -f "$(command -v jq)")" /etc/passwd; do
	[ "$(stat -c %s "$f")" -gt 16777216 ] || files+=("$f")
done
show "dfb-send -r A10-files ${files[*]}"
show 'dfb-recv -g copy -e -r A10-files > received'
cat "${files[@]}" >sent
same sent received
ok "${#files[@]} files, $(stat -c %s received) bytes, arrived as they were"

# ---- 3 ----

say 'Lines keep their order'
note 'Each line is a message. dfb-send ends when all are stored on the disk.'
show 'dfb-ctl topic create A10-lines'
seq -f 'line %.0f' 100000 >lines
show 'time -p dfb-send A10-lines < lines' 2>&1 | sed '/^user\|^sys/d'
show 'dfb-recv -g reader -e A10-lines > out'
same lines out
ok '100000 lines, in order, none lost, none twice'
note 'The broker knows how far the group is: a second time there is nothing (status 1).'
show_status 1 'dfb-recv -g reader -e A10-lines'

# ---- 4 ----

say 'JSON lines, for jq'
note 'dfb-recv -J prints all that is known of a message, dfb-send -J reads it.'
show 'dfb-ctl topic create A10-orders; dfb-ctl topic create A10-large'
show "jq -nc 'range(1000) | {key: \"c\\(. % 7)\", headers: {from: \"demo\"}, body: \"\\(. * 10)\"}' > orders"
show 'dfb-send -J A10-orders orders'
show "dfb-recv -J -g filter -e A10-orders | jq -c 'select(.body | tonumber >= 5000)' | dfb-send -J A10-large"
show "dfb-recv -J -g check -e A10-large | jq -c '{key, headers, body}' > large"
jq -c 'select(.body | tonumber >= 5000)' orders | jq -c '{key, headers, body}' >expected
same expected large
ok "$(wc -l <large) of 1000 orders went on, with keys and headers"

# ---- 5 ----

say 'A service is a program: bc'
note 'A handler gets a call on its stdin; what it prints is the reply.'
show 'dfb-ctl topic create --durability async A10-sum'
note '$ dfb-recv -g sum A10-sum -- bc &'
dfb-recv -g sum A10-sum -- bc &
until_group A10-sum sum '.member_count == 1'
show "echo '6 * 7' | dfb-call sum | tee answer"
[ "$(cat answer)" = 42 ] || fail "6 * 7 is not $(cat answer)"
show "echo '2 ^ 100' | dfb-call sum | tee answer"
[ "$(cat answer)" = "$(echo '2 ^ 100' | bc)" ] || fail "2 ^ 100 is not $(cat answer)"

# ---- 6 ----

say 'A service that stays: jq, 2000 calls'
note 'With --coproc one process serves all calls, as JSON lines.'
show 'dfb-ctl topic create --durability async A10-upper'
note '$ dfb-recv -g upper --coproc A10-upper -- jq -c --unbuffered ... &'
dfb-recv -g upper --coproc A10-upper -- \
    jq -c --unbuffered '{id, body: (.body | ascii_upcase)}' &
until_group A10-upper upper '.member_count == 1'
seq -f 'request %.0f' 2000 >requests
show 'time -p dfb-call -l upper < requests > replies' 2>&1 | sed '/^user\|^sys/d'
tr '[:lower:]' '[:upper:]' <requests >expected
same expected replies
ok '2000 replies, each to its request'

# ---- 7 ----

say 'A call that nobody can answer fails at once'
note 'Not after its timeout of 30 s: status 69 says that nobody is there.'
show 'dfb-ctl topic create A10-nobody'
t0=${EPOCHREALTIME/[.,]/}
show_status 69 'dfb-call -m hello nobody'
ms=$(((${EPOCHREALTIME/[.,]/} - t0) / 1000))
[ $ms -lt 5000 ] || fail "that took $ms ms"
ok "after $ms ms"

# ---- 8 ----

say 'A handler that fails: retry, and dead letters'
note 'Status 0 is done, 75 is "try again", 65 is "this message is bad". The topic' \
    'tries again after 100 ms, three times in all.'
show 'dfb-ctl topic create --backoff 100ms --retries 3 A10-bills'
cat >handler <<'END'
#!/bin/sh
read -r bill
echo "$bill, try $DFB_TRY" >>handled
case $bill in
*late*) [ "$DFB_TRY" -gt 1 ] || exit 75 ;;       # works the second time
*bad*) echo "no amount" >&2; exit 65 ;;          # will never work
*broken*) echo "the printer is off" >&2; exit 1 ;;  # might work, but does not
esac
END
chmod +x handler
show "printf '%s\\n' fine late bad broken | dfb-send A10-bills"
note '$ dfb-recv -g print A10-bills -- ./handler &'
dfb-recv -q -g print A10-bills -- ./handler 2>/dev/null &
until_group A10-bills print '.lag == 0 and .dead_letters == 2'
show 'sort handled'
printf '%s\n' 'bad, try 1' 'broken, try 1' 'broken, try 2' 'broken, try 3' 'fine, try 1' \
    'late, try 1' 'late, try 2' >expected
sort handled >tries
same expected tries
note 'Two are dead letters now, each with its reason:'
show "dfb-ctl peek -J %DLQ-print | jq -r '\"\\(.body): \\(.headers[\"dfb-dead-reason\"])\"' | tee dead"
printf '%s\n' 'bad: exit status 65: no amount' 'broken: exit status 1: the printer is off' >expected
same expected dead

# ---- 9 ----

say 'What is there now'
note 'Topics, where a group stands, and brokers. All of it as JSON with --json.'
show 'dfb-ctl topic list'
show 'dfb-ctl group lag A10-bills'
show 'dfb-ctl broker list'

# ---- 10 ----

say 'The broker is killed while we send'
note 'kill -9, three times. dfb-up starts it again; dfb-send waits, connects again and' \
    'repeats what was not confirmed; the broker drops what it has already.'
# The services stop: each would tell that the broker went away.
# shellcheck disable=SC2046
kill $(jobs -p)
wait || :
show 'dfb-ctl topic create A10-ledger'
mkfifo pipe
dfb-send A10-ledger <pipe &
sender=$!
exec 9>pipe
for part in 1 2 3 4; do
	seq -f 'entry %.0f' $(((part - 1) * 50000 + 1)) $((part * 50000)) >&9
	[ $part -lt 4 ] || break
	pid=$(broker_pid a10-1)
	printf '   $ kill -9 %s     # after %d lines\n' "$pid" $((part * 50000))
	kill -9 "$pid"
	# Until the next one serves.
	for _ in {1..100}; do
		now=$(broker_pid a10-1)
		if [ "$now" != "$pid" ] && dfb-ctl ping --timeout 100ms a10-1 >/dev/null 2>&1; then
			break
		fi
		sleep 0.02
	done
	[ "$now" != "$pid" ] || fail 'the broker did not come back'
done
exec 9>&-
wait $sender || fail "dfb-send ended with status $?"
show 'dfb-recv -g audit -e A10-ledger > ledger'
seq -f 'entry %.0f' 200000 >expected
same expected ledger
ok '200000 lines after three kills: in order, none lost, none twice'

# ---- 11 ----

say 'A service in two regions'
note 'Until now topics were made by hand. A service is governed: somebody applies for it,' \
    'somebody approves, and dfb-sgs deploys it: it makes the topic on every broker of the' \
    'region, then tells dfb-gsl, where senders and callers ask.'
show 'dfb-ctl service apply --description "adds numbers" adder'
show 'dfb-ctl service approve adder'
show 'dfb-ctl service deploy adder A10'
show 'dfb-ctl service deploy adder B20'
note '$ dfb-recv -R A10 -g adder adder -- sh -c '\''echo "A10 says $(bc)"'\'' &   # and B20'
# serve REGION [option...]: its process is $!
serve() {
	local region=$1
	shift
	dfb-recv -q -R "$region" -g adder "$@" adder -- \
	    sh -c 'echo "$0 says $(bc)"' "${SAYS:-$region}" 2>/dev/null &
}
serve A10
in_a10=$!
serve B20
until_group A10-adder adder '.member_count == 2'
until_group B20-adder adder '.member_count == 2'
# answers WHAT COMMAND: its output must be that.
answers() {
	show "$2 | tee answer"
	[ "$(cat answer)" = "$1" ] || fail "'$(cat answer)' is not '$1'"
}
answers 'A10 says 5' "echo '2 + 3' | dfb-call -R A10 adder"
answers 'B20 says 5' "echo '2 + 3' | dfb-call -R B20 adder"
ok 'the nearest answers'

# ---- 12 ----

say 'A region is gone'
note 'Its broker and its handler are killed (dfb-up starts the broker again, later).'
show "kill -9 $(broker_pid a10-1) $in_a10"
wait $in_a10 2>/dev/null || : # bash would tell
answers 'B20 says 5' "echo '2 + 3' | dfb-call -R A10 adder"
ok 'the other region answers'

# ---- 13 ----

say 'A new version, for a few'
note 'Calls with a header go to instances of version 2 alone, in both regions.'
show 'dfb-ctl gray set adder v2 --header beta=yes'
SAYS='version 2' serve B20 -G v2
until_group B20-adder adder '.member_count == 2'
answers 'version 2 says 5' "echo '2 + 3' | dfb-call -R B20 -H beta=yes adder"
answers 'B20 says 5' "echo '2 + 3' | dfb-call -R B20 adder"
show 'dfb-ctl gray delete adder v2'

# ---- 14 ----

say 'Out of service'
note 'dfb-gsl is told first, then the rest is worked off, and the topic goes last.'
show 'dfb-ctl service undeploy adder A10'
show 'dfb-ctl service undeploy adder B20'
show_status 69 "echo '2 + 3' | dfb-call adder"
show 'dfb-ctl service retire adder'
show 'dfb-ctl service history adder'

printf '\n%sAll of it worked, in %d s.%s  Go on with:  man -l man/dfb.7\n' "$bold" $SECONDS "$plain"
