# dfb-call: requests, replies in order, exit statuses.

load helper

setup() {
	bus_start
	dfb-ctl topic create A10-up
	mkdir "$BATS_TEST_TMPDIR/files"
	cd "$BATS_TEST_TMPDIR/files" || return 1
}

teardown() {
	[ -z "$server" ] || kill "$server" || true
	bus_stop
}

# serve handler...: answers calls to A10-up.
serve() {
	dfb-recv -g servers A10-up -- "$@" 3>&- &
	server=$!
	wait_for "dfb-call -m ready A10-up"
}

@test "stdin is the request, the reply comes as it is" {
	serve tee -a log
	head -c 5000 /dev/urandom >in
	run_status 0 dfb-call A10-up <in >/dev/null
	dfb-call A10-up <in >got
	cmp in got
	dfb-call A10-up </dev/null >got
	assert_eq 0 "$(stat -c %s got)"
	assert_eq 'a b' "$(dfb-call -m 'a b' A10-up)"
}

@test "key, headers and id reach the handler" {
	serve sh -c 'echo "$DFB_KEY $DFB_HEADER_H $DFB_ID $DFB_CALL"'
	local id=01a206a9-e2b2-778b-8777-d14250511eb0
	assert_eq "k v $id 1" "$(dfb-call -k k -H h=v -i $id -m x A10-up)"
}

@test "framings: replies are framed as requests are, in their order" {
	serve tr a-z A-Z
	seq -f 'line %g' 50 >in
	dfb-call -l A10-up <in >got
	tr a-z A-Z <in | cmp - got
	dfb-call -l -w 1 A10-up <in >got
	tr a-z A-Z <in | cmp - got
	printf 'a\nb\0\0c\0' >in
	dfb-call -0 A10-up <in >got
	tr a-z A-Z <in | cmp - got
	printf '\0\0\0\2a\n\0\0\0\0' >in
	dfb-call -L A10-up <in >got
	tr a-z A-Z <in | cmp - got
	printf '{"body":"a\\u0000"}\n' >in
	dfb-call -J A10-up <in >got
	assert_eq '"A\u0000"' "$(jq -c .body got)"
}

@test "a failed handler is 1, with the end of its stderr" {
	serve sh -c 'read x; [ "$x" != bad ] || { echo oops >&2; exit 3; }; echo "<$x>"'
	run_status 1 dfb-call -m bad A10-up
	[[ $output == *oops* ]]
	printf 'one\nbad\ntwo\n' >in
	run_status 1 dfb-call -l A10-up <in
	[[ $output == *'stdin:2: '*oops* ]]
	[[ $output == *'<two>'* ]]
	dfb-call -J A10-up >got 2>err <<-'END' || true
		{"body":"one"}
		{"body":"bad"}
		no json
		{"body":"two"}
	END
	assert_eq '0 1 65 0' "$(jq -r '.status // 0' got | paste -sd' ')"
	grep -q 'stdin:3: ' err
}

@test "nobody there is 69, at once" {
	local since=$SECONDS
	run_status 69 dfb-call -m x A10-up
	[[ $output == *consumer* ]]
	run_status 69 dfb-call -m x A10-nothere
	run_status 69 dfb-call --wait 300ms -n "ipc://$PWD/none.sock" -m x A10-up
	((SECONDS - since < 5))
}

@test "no reply in time is 124" {
	serve sh -c 'read x; [ "$x" = ready ] || sleep 5'
	run_status 124 dfb-call -t 300ms -m slow A10-up
}

@test "usage errors are 64, bad input is 65" {
	run_status 64 dfb-call
	run_status 64 dfb-call A10-up more
	run_status 64 dfb-call -l -r A10-up
	run_status 64 dfb-call -0 -L A10-up
	run_status 64 dfb-call -m x -l A10-up
	run_status 64 dfb-call -t 0 A10-up
	run_status 64 dfb-call -w 0 A10-up
	run_status 64 dfb-call a-b
	head -c 17000000 /dev/zero >in
	run_status 65 dfb-call A10-up <in
	printf '\0\0\0\5a' >in
	run_status 65 dfb-call -L A10-up <in
	[[ $output == *'byte 0 '*'byte 5'* ]]
}

@test "a reader that goes away is 74" {
	serve cat
	seq 100000 >in
	rc=0
	(dfb-call -l A10-up <in 2>err || echo $? >rc) | head -1 >got
	wait_for "test -s rc"
	assert_eq 74 "$(cat rc)"
}
