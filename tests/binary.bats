# Every byte is kept: whole programs through topics, with -r and as JSON lines.

load helper

setup() {
	bus_start
	cd "$BATS_TEST_TMPDIR" || return 1
	# Every file that a machine has there, up to 1 MB.
	find /usr/bin -type f -readable -size -2048 -print0 | sort -z >names
	xargs -0 cat <names >all
}

teardown() {
	bus_stop
}

@test "every file under /usr/bin up to 1 MB: -r in, -r out" {
	dfb-ctl topic create A10-raw
	xargs -0 -x -s 1000000 dfb-send -r A10-raw <names
	run_status 0 dfb-recv -g g -e -r A10-raw >out
	cmp all out
	assert_eq "$(tr -cd '\0' <names | wc -c)" \
	    "$(dfb-ctl --json topic show A10-raw | jq '[.. | .messages? // empty] | max')"
}

@test "every file under /usr/bin up to 1 MB: as JSON lines, through jq, and back" {
	dfb-ctl topic create A10-raw
	dfb-ctl topic create A10-json
	xargs -0 -x -s 1000000 dfb-send -r A10-raw <names
	dfb-recv -g g -e -J A10-raw | jq -c . | dfb-send -J A10-json
	run_status 0 dfb-recv -g g -e -r A10-json >out
	cmp all out
	# Ids and times of birth went along.
	dfb-recv -g h -e -J A10-raw | jq -c '{id, born}' >first
	dfb-recv -g h -e -J A10-json | jq -c '{id, born}' >second
	cmp first second
}

@test "empty messages, no final newline, NUL bytes, and the largest message" {
	dfb-ctl topic create A10-x
	printf 'a\n\n\nb' | dfb-send A10-x
	run_status 0 dfb-recv -g g -e A10-x >out
	printf 'a\n\n\nb\n' | cmp - out
	printf 'a\0\0\n\0b' | dfb-send -0 A10-x
	run_status 0 dfb-recv -g g -e -0 A10-x >out
	printf 'a\0\0\n\0b\0' | cmp - out
	head -c 4194304 /dev/urandom >large
	dfb-send -r A10-x large
	run_status 0 dfb-recv -g g -e -r A10-x >out
	cmp large out
	{ printf 'fine\n'; head -c 4194305 /dev/zero | tr '\0' x; printf '\nalso fine\n'; } >lines
	run_status 65 dfb-send A10-x lines
	assert_match "lines:2: " "$stderr"
	assert_match 4194304 "$stderr"
	run_status 0 dfb-recv -g g -e A10-x >out
	printf 'fine\nalso fine\n' | cmp - out
}
