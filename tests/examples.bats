#!/usr/bin/env bats
# Runs the examples of the manual pages, compiles the one of libdfb(3), and sees that
# every option of every program is in its page.
#
# In a page, a comment says what the next literal display is:
#
#     .\" example: setup       commands that each example of the page needs
#     .\" example              an example; it ends with status 0
#     .\" example: status 69   one that ends with another status
#     .\" example: program     a C program
#
# In a display, "$ " begins a command and "> " continues it; other lines are what comes
# out, stdout and stderr together, and "..." in them is anything.  Each example has a bus
# and a directory of its own.

setup() {
	top=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
	B=${B:-$top/build}
	bin=${BIN:-$B/bin}
	PATH=$bin:$PATH
	unset DFB_NAMES DFB_REGION
	cd "$BATS_TEST_TMPDIR" || return 1
}

# Write the examples of page $1 to 1.cmd, 1.out, 1.status, 2.cmd ... and setup.cmd.
extract() {
	awk '
	/^\.\\" example/ { kind = $0; next }
	/^\.Bd / && kind != "" {
		on = 1
		if (kind ~ /setup/) name = "setup"
		else if (kind ~ /program/) name = "program"
		else name = ++n
		status = kind ~ /status/ ? kind : 0
		sub(/.*status */, "", status)
		if (name == n) { print status > (name ".status"); printf "" > (name ".out") }
		next
	}
	/^\.Ed/ { on = 0; kind = ""; next }
	!on { next }
	{ gsub(/\\&/, ""); gsub(/\\e/, "\\"); gsub(/\\\(aq/, "'\''"); gsub(/\\-/, "-") }
	name == "program" { print > "program.c"; next }
	/^\$ / { print substr($0, 3) > (name ".cmd"); next }
	/^> / { print substr($0, 3) > (name ".cmd"); next }
	{ print > (name ".out") }
	' "$1"
}

# What surrounds the commands: a consumer in the background is waited for, which a person
# at the keyboard does by being slow.
script() {
	cat <<-'END'
	members() { dfb-ctl -J group list | jq 'map(.member_count) | add // 0'; }
	started() {
		local n=$1 i
		for i in {1..200}; do
			[ "$(members)" -lt "$n" ] || return 0
			read -rt 0.02 <> <(:) || true
		done
		echo "a consumer does not subscribe"
	}
	trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
	consumers=0
	END
	cat "$@" | awk '
	{ print; line = line $0 }
	/\\$/ { next }
	line ~ /^dfb-recv.*&$/ { print "started $((consumers += 1))" }
	{ line = "" }'
}

run_page() {
	local page=$1 n=0 failed=0 status pattern out
	extract "$top/man/$page"
	touch setup.cmd
	while [ -e $((n += 1)).cmd ]; do
		script setup.cmd $n.cmd >$n.sh
		mkdir $n
		status=0
		(cd $n && dfb-up -q ../$n.bus -- bash ../$n.sh) >$n.got 2>&1 3>&- || status=$?
		for lock in "$n"/*/up.lock; do # a bus that the example left behind
			[ ! -e "$lock" ] || flock -w 10 "$lock" true
		done
		pattern=$(sed 's/[][\\*?]/\\&/g; s/\.\.\./*/g' $n.out)
		out=$(cat $n.got)
		# shellcheck disable=SC2053
		if [[ $out == $pattern ]] && [ $status -eq "$(cat $n.status)" ]; then
			continue
		fi
		failed=1
		echo "example $n of $page ended with status $status, not $(cat $n.status):"
		sed 's/^/    $ /' $n.cmd
		echo "printed:"
		sed 's/^/    /' $n.got
		echo "instead of:"
		sed 's/^/    /' $n.out
	done
	[ $n -gt 1 ]
	[ $failed -eq 0 ]
}

@test "examples of dfb(7)" { run_page dfb.7; }
@test "examples of dfb-send(1)" { run_page dfb-send.1; }
@test "examples of dfb-recv(1)" { run_page dfb-recv.1; }
@test "examples of dfb-call(1)" { run_page dfb-call.1; }
@test "examples of dfb-ctl(1)" { run_page dfb-ctl.1; }
@test "examples of dfb-up(1)" { run_page dfb-up.1; }
@test "examples of dfb-service(7)" { run_page dfb-service.7; }
@test "examples of dfb-bench(1)" { run_page dfb-bench.1; }

@test "the program of libdfb(3) compiles and runs" {
	extract "$top/man/libdfb.3"
	read -ra san <<<"${SAN:+-fsanitize=address,undefined}"
	${CC:-cc} -std=c11 -Wall -Wextra -Werror "${san[@]}" -I"$top/lib" -o words program.c \
	    "$B/libdfb.so" -Wl,-rpath,"$B"
	cat >words.cmd <<-'END'
	dfb-ctl topic create A10-words
	dfb-ctl topic create A10-sum
	dfb-recv -g sum A10-sum -- bc &
	./words one two three
	dfb-recv -g me -e A10-words
	END
	script words.cmd >words.sh
	run dfb-up -q bus -- bash words.sh 3>&-
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = $'6\none\ntwo\nthree' ]
}

@test "every option is in its manual page" {
	local p page word failed=0
	for p in "$bin"/dfb-*; do
		p=${p##*/}
		page=$(echo "$top"/man/"$p".[1-9])
		[ -e "$page" ] || { echo "no page for $p"; failed=1; continue; }
		for word in $("$p" --help | sed -n 's/^ .*--\([a-z-]*\).*/\1/p'); do
			case $word in quiet|verbose|version|help) continue ;; esac
			grep -q -- "Fl -$word\\>" "$page" ||
			    { echo "$p(${page##*.}) does not tell of --$word"; failed=1; }
		done
	done
	[ $failed -eq 0 ]
}
