# Two regions of two brokers each: a1 a2 in A10, b1 b2 in B20, one name server.  Daemons are
# started one by one, so that one which is killed stays away (helper.bash: kill9 NAME).

# broker_start NAME [option...]
broker_start() {
	local name=$1 region=A10
	shift
	[ "${name:0:1}" = b ] && region=B20
	daemon_start "$name" dfb-broker --name "$name" --region $region \
	    --bind "ipc://$BUS/$name.sock" --data "$BUS/$name" "${BROKER_OPTIONS[@]}" "$@"
}

# regions_start [broker option...]: sets BUS, DFB_NAMES.
regions_start() {
	local name
	read -r STDOUT < <(readlink "/proc/$$/fd/1")
	BROKER_OPTIONS=("$@")
	BUS=$(mktemp -d "${TMPDIR:-/tmp}/dfb.XXXXXX")
	export DFB_NAMES=ipc://$BUS/names.sock
	daemon_start names dfb-names --bind "$DFB_NAMES" --data "$BUS/names"
	for name in ${BROKERS:-a1 a2 b1 b2}; do
		broker_start "$name"
	done
}

regions_stop() {
	daemons_stop
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 20 "$BATS_TEST_TMPDIR"/*.log >&2 || true
	rm -rf "$BUS"
}

# shares TOPIC GROUP: "instance queues" for each instance, over all brokers, in order.
shares() {
	dfb-ctl group show --json "$1" "$2" | jq -r '.per_broker[].members[] |
	    "\(.instance) \(.queues)"' | sort | awk '
	    { n[$1] += $2 } END { for (i in n) print i, n[i] }' | sort
}

# recv NAME REGION [option...] DEST: an instance in the background; prints "queue key body"
# to $BUS/NAME.out; its process id is in RECV_NAME.
recv() {
	local name=$1 region=$2
	shift 2
	dfb-recv -R "$region" -g g -I "$name" -f '%t %q %k %s\n' "$@" >>"$BUS/$name.out" \
	    2>"$BUS/$name.err" 3>&- &
	printf -v "RECV_$name" %s $!
	CHILDREN+=($!)
}

# members TOPIC GROUP N: wait until the group has so many subscriptions over all brokers.
members() {
	wait_for "[ \$(dfb-ctl group show --json $1 $2 | jq '[.per_broker[].members[]] | length') = $3 ]"
}

# region_of NAME: of a broker.
region_of() {
	case $1 in
	a*) echo A10 ;;
	b*) echo B20 ;;
	esac
}

# broker_kill NAME: with kill -9.
broker_kill() {
	kill9 "$1"
}

# sgs_start [option...]: dfb-sgs, called sgs.
sgs_start() {
	daemon_start sgs dfb-sgs --bind "ipc://$BUS/sgs.sock" --data "$BUS/sgs" --grace 0 "$@"
}

# gsl_start NAME REGION [option...]
gsl_start() {
	local name=$1 region=$2
	shift 2
	daemon_start "$name" dfb-gsl --name "$name" --region "$region" \
	    --bind "ipc://$BUS/$name.sock" --data "$BUS/$name" "$@"
}

# sgs VERB [JSON]: one verb of ADMIN.
sgs() {
	dfb-ctl ask sgs "$@"
}

# service VERB SERVICE [REGION [more JSON fields]]: "service deploy pay A10 '\"weight\":5'".
service() {
	sgs "service.$1" "{\"service\":\"$2\"${3:+,\"region\":\"$3\"}${4:+,$4}}"
}

# deployed SERVICE REGION [state]: wait until it is online, or in that state.
deployed() {
	service await "$1" "$2" "\"states\":[\"${3:-online}\"],\"timeout_ms\":20000" >/dev/null
}

# service_made SERVICE [settings]: applied and approved.
service_made() {
	sgs service.apply "{\"service\":\"$1\",\"settings\":${2:-{\}}}" >/dev/null
	service approve "$1" >/dev/null
}

# why SERVICE REGION: what a deployment waits for.
why() {
	service show "$1" | jq -r ".progress.$2.why"
}
