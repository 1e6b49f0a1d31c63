# The checker of the crash harness, with ledgers made by hand: good ones, and each with one
# thing wrong.  tests/crash/ledger.h says what the lines mean.

load helper

CHECKER=${BIN%/bin}/crash/checker

# A good life: three messages, a group, a fresh group, two calls; and no kill.
setup() {
	read -r STDOUT < <(readlink "/proc/$$/fd/1") # for run_status
	cd "$BATS_TEST_TMPDIR" || return 1
	printf '%s\n' "D 1" "o A10-c commit" "o A10-k async" >driver.led
	printf '%s\n' "P p1" "s 1000 A10-c 1 3" "c 2000 A10-c 3" >p1.led
	consumer c1 g1 3000
	consumer f1 fresh1 9000
	printf '%s\n' "K k1 A10-k" "q 1000 1" "q 1001 2" "w 2000 1 0 1 1" "w 2001 2 69 0 0" \
	    "e 3000" >k1.led
	printf '%s\n' "C s1 serve" "g 1500 A10-k 0 0 1 1 k1:1" "a 1501 A10-k 0 0" >s1.led
}

# consumer NAME GROUP TIME: gets and acknowledges all, from that time on.
consumer() {
	local i t=$3
	{
		echo "C $1 $2"
		for i in 0 1 2; do
			echo "g $((t += 1)) A10-c 0 $i 1 1 p1:$((i + 1))"
			echo "a $((t += 1)) A10-c 0 $i"
		done
		echo "d $((t += 1)) A10-c"
		echo "l $((t += 1)) A10-c"
		echo "x $((t += 1)) A10-c 0"
	} >"$1.led"
}

good() {
	run_status 0 "$CHECKER" ./*.led
}

# finds RULE: that one, and no other.
finds() {
	run_status 1 "$CHECKER" ./*.led
	assert_eq "$1" "$(echo "$output" | sed -n 's/^RED \([a-z-]*\):.*/\1/p' | sort -u)"
}

@test "all in order" {
	good
	assert_match "deliveries=7 again=0 calls=2 ends=0" "$output"
}

@test "a last line that was cut off is not read; another line that is none is an error" {
	printf 'g 99 A10-c 0' >>c1.led
	good
	printf '\nmore\n' >>c1.led
	run_status 1 "$CHECKER" ./*.led
	assert_match "no line of a ledger" "$output"
}

@test "missing: confirmed, and not there" {
	sed -i '/p1:3/d; / 0 2$/d' f1.led
	finds missing
}

@test "missing: confirmed, and a group never settled it" {
	sed -i '/^a .* 0 2$/d' c1.led
	sed -i '/p1:3/d; / 0 2$/d' f1.led
	run_status 1 "$CHECKER" ./*.led
	assert_match "group g1 never settled it" "$output"
}

@test "missing: not for what was never confirmed" {
	sed -i 's/^c 2000 A10-c 3/c 2000 A10-c 2/' p1.led
	sed -i '/p1:3/d; / 0 2$/d' f1.led c1.led
	good
}

@test "missing: async may lose what was under way at a kill, but not at an orderly stop" {
	sed -i 's/A10-c commit/A10-c async/' driver.led
	sed -i '/p1:3/d; / 0 2$/d' f1.led c1.led
	finds missing
	echo "t 2100 2200 broker.1" >>driver.led
	finds missing
	echo "k 2100 2200 broker.1" >>driver.led
	good
	sed -i 's/^k .*/k 4000000000 4000000001 broker.1/' driver.led
	finds missing
}

@test "gap: a message without the one before it" {
	sed -i 's/^c 2000 A10-c 3/c 2000 A10-c 1/' p1.led
	sed -i '/p1:2/d; / 0 1$/d' f1.led c1.led
	finds gap
}

@test "twice: a message at two places" {
	sed -i '/^d/i g 9007 A10-c 0 3 1 1 p1:3' f1.led
	sed -i '/^d/i g 3007 A10-c 0 3 1 1 p1:3\na 3007 A10-c 0 3' c1.led
	finds twice
}

@test "unsent: a message that nobody sent" {
	echo "g 3500 A10-k 0 9 1 1 p1:3" >>s1.led
	finds unsent
	sed -i '$d' s1.led
	sed -i 's/^s 1000 A10-c 1 3/s 1000 A10-c 1 2/' p1.led
	finds unsent
}

@test "unsent: a call that nobody made" {
	echo "g 1600 A10-k 0 1 1 1 k1:3" >>s1.led
	finds unsent
}

@test "body: a message that is not what was sent" {
	echo "b 3500 A10-c 0/7" >>c1.led
	finds body
}

@test "reused: an offset that was another message before" {
	printf '%s\n' "C c2 g2" "g 2500 A10-c 0 2 1 1 p1:1" >c2.led
	run_status 1 "$CHECKER" ./*.led
	assert_match "RED reused: A10-c 0/2 was p1:1 and then p1:3" "$output"
}

@test "order: a producer's messages exchanged" {
	sed -i 's/p1:2/p1:X/; s/p1:3/p1:2/; s/p1:X/p1:3/' c1.led f1.led
	finds order
}

@test "key: one key in two queues" {
	sed -i 's/^s 1000 A10-c 1 3/s 1000 A10-c 1 8/' p1.led
	sed -i '/^d/i g 9006 A10-c 1 0 1 1 p1:8' f1.led
	sed -i '/^d/i g 3006 A10-c 1 0 1 1 p1:8\na 3006 A10-c 1 0' c1.led
	run_status 1 "$CHECKER" ./*.led
	assert_match "RED key: A10-c 1/0: key 1 is in queue 0 and in 1" "$output"
}

@test "redelivered: after it was acknowledged" {
	printf '%s\n' "C c2 g1" "g 8000 A10-c 0 1 2 1 p1:2" >c2.led
	finds redelivered
	# Its acknowledgement was stored: a later kill is no excuse.
	echo "k 7000 7001 broker.1" >>driver.led
	finds redelivered
	# One before that may be.
	sed -i 's/^k .*/k 3006 3007 broker.1/' driver.led
	good
}

@test "redelivered: an acknowledgement may go with its consumer, not with another" {
	sed -i '/^[lxd]/d' c1.led
	printf '%s\n' "C c2 g1" "g 8000 A10-c 0 1 2 1 p1:2" "a 8001 A10-c 0 1" >c2.led
	finds redelivered
	echo "k 7000 7001 f1" >>driver.led
	finds redelivered
	echo "k 7000 7001 c1" >>driver.led
	good
	sed -i '/ c1$/s/.*/k 4000000000 4000000001 c1/' driver.led
	finds redelivered
}

@test "redelivered: while another has it" {
	sed -i '/^[lxda]/d' c1.led
	printf '%s\n' "C c2 g1" "g 8000 A10-c 0 1 1 1 p1:2" >c2.led
	finds redelivered
	echo "k 7000 7001 c1" >>driver.led
	good
}

@test "redelivered: twice in one session, unless it was given back" {
	sed -i 's/^a 3006 .*/g 3006 A10-c 0 2 1 1 p1:3\n&/' c1.led
	echo "k 3005 3005 broker.1" >>driver.led
	finds redelivered
	sed -i 's/^g 3006/n 3005 A10-c 0 2\n&/' c1.led
	good
}

@test "backwards: an offset below the last one" {
	sed -i 's/^g 3001 \(.*\)/g 3004 \1/; s/^a 3002/a 3004/; s/^g 3003/g 3001/; s/^a 3004 A10-c 0 1/a 3002 A10-c 0 1/' c1.led
	finds backwards
}

@test "passed: a group that never settled what is there" {
	sed -i 's/^c 2000 A10-c 3/c 2000 A10-c 2/' p1.led
	sed -i '/^a .* 0 2$/d' c1.led
	finds passed
}

# Two brokers: p1's messages 1 and 3 are at a1, 2 at a2.
two_brokers() {
	sed -i 's/A10-c commit/A10-c commit b/' driver.led
	sed -i 's| A10-c 0 0| A10-c a1/0 0|; s| A10-c 0 1| A10-c a2/0 0|; s| A10-c 0 2| A10-c a1/0 1|' \
	    c1.led f1.led
}

@test "several brokers: places are of one broker, order is a key's, gaps may be" {
	two_brokers
	good
	sed -i 's/p1:1$/p1:X/; s/p1:3/p1:1/; s/p1:X/p1:3/' c1.led f1.led
	good # other keys
	sed -i 's/1 3$/1 8/; s/^c .*/c 2000 A10-c 1/' p1.led
	sed -i 's/p1:3/p1:8/' c1.led f1.led
	finds order
	sed -i 's/^P p1/& hasty/' p1.led
	finds order
	sed -i 's/^g .*p1:1$/& maybe/' c1.led f1.led
	good
}

@test "several brokers: only the end of the one that had it is an excuse" {
	two_brokers
	printf '%s\n' "C c2 g1" "g 8000 A10-c a2/0 0 2 1 p1:2" >c2.led
	echo "k 3006 3007 broker-a1.1" >>driver.led
	finds redelivered
	echo "k 3006 3007 broker-a22.1" >>driver.led
	finds redelivered
	echo "k 3006 3007 broker-a2.1" >>driver.led
	good
}

@test "twice: a possible duplicate is at another broker, and says so" {
	two_brokers
	sed -i '/^d/i g 9007 A10-c a2/0 3 1 1 p1:3' f1.led
	sed -i '/^d/i g 3007 A10-c a2/0 3 1 1 p1:3\na 3007 A10-c a2/0 3' c1.led
	finds twice
	sed -i 's/^g .* 3 1 1 p1:3/& maybe/' f1.led c1.led
	good
}

# p1's 1 and 8 have one key; 1 is in queue 0, and the change to queue 1 comes before 8.
two_queues() {
	sed -i 's/A10-c commit/A10-c commit bq/' driver.led
	sed -i 's/1 3$/1 8/' p1.led
	sed -i '/^d/i g 9006 A10-c 1 0 1 1 p1:8' f1.led
	sed -i '/^d/i g 3006 A10-c 1 0 1 1 p1:8\na 3006 A10-c 1 0' c1.led
}

@test "key-order: a key's next queue before the old one was settled" {
	two_queues
	good
	sed -i '/^a 3002/d' c1.led
	sed -i '/^d/i a 3007 A10-c 0 0' c1.led
	finds key-order
	sed -i '/^d/i n 3005 A10-c 0 0' c1.led # given back: it is behind others
	good
}

@test "key-order: not in one queue, and not between lanes" {
	two_queues
	sed -i '/^a 3002/d' c1.led
	sed -i '/^d/i a 3007 A10-c 0 0' c1.led
	sed -i 's/ A10-c 1 0/ A10-c 0 7/' c1.led f1.led
	good
	sed -i 's/ A10-c 0 7/ A10-c 1024 7/' c1.led f1.led
	sed -i 's/commit bq/commit bqg1/' driver.led
	good
}

@test "label: keys that no rule names, in its lane or at its instances" {
	sed -i 's/A10-c commit/A10-c commit g12/' driver.led
	good
	sed -i 's/^C c1 g1/C c1 g1 v2/' c1.led
	finds label # 3
	sed -i 's/commit g12/commit g123/' driver.led
	good
	sed -i 's/^C c1 g1 v2/C c1 g1/; s/ A10-c 0 2/ A10-c 1024 2/' c1.led f1.led
	good
	sed -i 's/commit g123/commit g12/' driver.led
	finds label
	sed -i 's/commit g12/commit/' driver.led
	finds label
}

@test "early: before its time; without order where there is none" {
	sed -i 's/A10-c commit/A10-c commit x/' driver.led
	sed -i 's/p1:2/p1:X/; s/p1:3/p1:2/; s/p1:X/p1:3/' c1.led f1.led
	good
	echo "y 3005 A10-c p1:2 7" >>c1.led
	finds early
}

@test "calls: no answer, two answers, an answer of another" {
	sed -i '/^w 2000/d' k1.led
	finds unanswered
	printf '%s\n' "w 2000 1 0 1 1" "w 2000 1 0 1 1" >>k1.led
	finds answered-twice
	sed -i '$d; s/^w 2000.*/w 2000 1 0 1 0/' k1.led
	sed -i '$s/.*/w 2000 1 0 1 0/' k1.led
	finds not-run
}

@test "calls: answered and never run, run and told that nobody took it, run too late" {
	sed -i '2,$d' s1.led
	finds not-run
	echo "g 1500 A10-k 0 0 1 1 k1:1" >>s1.led
	good
	echo "g 1500 A10-k 0 1 1 1 k1:2" >>s1.led
	finds ran
	sed -i 's/^w 2001 2 69 0 0/w 2001 2 69 1 0/' k1.led
	good
	sed -i 's/^g 1500 A10-k 0 1/g 4000000000 A10-k 0 1/' s1.led
	finds ran-late
}
