# A service is moved from one region to another while it is called: nobody notices.

load helper

setup() {
	SERVICES=1 bus_start -R A10,B20 -B 2
	cd "$BUS" || return 1
}

teardown() {
	: >end
	daemons_stop
	bus_stop
}

# serve REGION: instances of the region, which say where they are.
serve() {
	dfb-recv -q -R "$1" -g calc --coproc calc -- \
	    jq -c --unbuffered --arg r "$1" '{id, body: "\(.body) \($r)"}' \
	    2>"serve.$1" 3>&- &
	CHILDREN+=($!)
}

# callers REGION: calls without a pause, until there is a file named end.
callers() {
	feed() {
		local n=0
		while [ ! -e end ] && [ -e names.sock ]; do
			n=$((n + 1))
			echo $n
			read -rt 0.01 <> <(:) || true
		done
		echo $n >"sent.$1"
	}
	feed "$1" 3>&- | dfb-call -q -R "$1" -l -t 20s calc >"replies.$1" 2>"errors.$1" 3>&- &
	printf -v "CALL_$1" %s $!
}

# answered REGION FROM: a call from REGION was answered in FROM since the file mark.
answered() {
	tail -n 1 "replies.$1" | grep -q " $2\$"
}

members() {
	wait_for "[ \$(dfb-ctl group show --json $1-calc calc | jq '[.per_broker[].members[]] | length') -ge $2 ]"
}

@test "deployed there, its weight here taken away, undeployed here; and back" {
	local r rc
	dfb-ctl service apply calc
	dfb-ctl service approve calc
	dfb-ctl service deploy calc A10
	serve A10
	serve B20
	members A10 2
	callers A10
	callers B20
	wait_for 'answered A10 A10 && answered B20 A10'

	dfb-ctl service deploy calc B20
	wait_for 'answered A10 A10 && answered B20 B20' # each its own
	dfb-ctl service weight calc A10 0
	wait_for 'answered A10 B20'
	dfb-ctl service undeploy --wait 20s calc A10
	run_status 69 dfb-ctl topic show A10-calc
	answered A10 B20

	dfb-ctl service deploy calc A10
	wait_for 'answered A10 A10'
	dfb-ctl service undeploy --wait 20s calc B20
	wait_for 'answered B20 A10'

	: >end
	for r in A10 B20; do
		rc=0
		wait "$(eval echo \$CALL_$r)" || rc=$?
		cat "errors.$r" >&2
		assert_eq 0 $rc
		assert_eq "$(cat "sent.$r")" "$(wc -l <"replies.$r")"
		# Each has its own answer.
		awk '$1 != NR' "replies.$r" >wrong
		assert_eq "" "$(head -n 3 wrong)"
	done
}
