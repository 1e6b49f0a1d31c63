# From measurements, [{row, who, value}], the table of tests/bench/run.  A bar is a factor
# times the best peer, times a reference of the same run, or a figure.  Where the reference is
# what nothing can beat (limit), being better than it says that something disturbed the
# measurement: neither met nor missed.

def rows: [
	{row: "durable", what: "durable send, 1 KiB, window 1000", unit: "/s",
	    bar: "2.5 x the best peer", factor: 2.5},
	{row: "durable-disk", of: "durable", what: "  its share of what the disk allows", unit: "/s",
	    bar: "0.8 x log + pages", factor: 0.8, to: "disk", limit: true},
	{row: "durable-256", what: "the same, 256 B", unit: "/s",
	    bar: "3 x the best peer", factor: 3},
	{row: "one", what: "one durable send outstanding, p50", unit: "us",
	    bar: "1.5 x (flush + round trip)", factor: 1.5, to: "disk + round trip",
	    limit: true},
	{row: "async", what: "async send, window 1000", unit: "/s",
	    bar: "ahead of the best peer", factor: 1},
	{row: "consume", what: "consume with acknowledgements", unit: "/s",
	    bar: "ahead of the best peer", factor: 1},
	{row: "consume-own", of: "consume", what: "  to its own sends", unit: "/s",
	    bar: "1 x its sends", factor: 1, to: "own sends"},
	{row: "both-p50", what: "send and receive at once, 5 k/s, p50", unit: "us",
	    bar: "under Redis", factor: 1, to: "redis-always"},
	{row: "both-p99", what: "  p99", unit: "us", bar: "under 2 ms", figure: 2000},
	{row: "call", what: "call, one outstanding, p50", unit: "us",
	    bar: "1.2 x the bare hop", factor: 1.2, to: "bare hop"},
	{row: "calls", what: "calls, 256 outstanding", unit: "/s",
	    bar: "ahead of the bare hop", factor: 1, to: "bare hop"},
	{row: "call-ipc", what: "call by ipc, one outstanding, p50", unit: "us", to: "bare hop"},
	{row: "calls-ipc", what: "calls by ipc, 256 outstanding", unit: "/s", to: "bare hop"},
	{row: "durable-ipc", what: "durable send by ipc, window 1000", unit: "/s"},
	{row: "lines", what: "lines of 100 B from a pipe, durable", unit: "/s",
	    bar: "1 M/s", figure: 1000000},
	{row: "process", what: "one process per message sent", unit: "/s",
	    bar: "500/s", figure: 500},
	{row: "handler", what: "handler process per message, -j 2", unit: "/s",
	    bar: "1.5 k/s", figure: 1500},
	{row: "coproc", what: "  --coproc", unit: "/s", bar: "100 k/s", figure: 100000},
	{row: "memory", what: "memory for a backlog of 1 M", unit: "MiB",
	    bar: "under 64 MiB", figure: 64},
	{row: "restart", what: "restart with it after kill -9", unit: "ms",
	    bar: "within 500 ms", figure: 500},
	{row: "cost-keyed", what: "durable send with a key", unit: "/s",
	    bar: "10 % of the time more", factor: (1 / 1.1), to: "plain"},
	{row: "cost-labelled", what: "  with a gray label", unit: "/s",
	    bar: "10 % of the time more", factor: (1 / 1.1), to: "plain"},
	{row: "cost-once", what: "  with an id that is remembered", unit: "/s",
	    bar: "40 % of the time more", factor: (1 / 1.4), to: "plain"},
	{row: "instances-1", what: "consume by 1 instance", unit: "/s"},
	{row: "instances-10", what: "  by 10", unit: "/s"},
	{row: "instances-100", what: "  by 100", unit: "/s"},
	{row: "workers", what: "calls, 256 outstanding, 8 worker processes", unit: "/s"},
	{row: "takeover", what: "takeover after kill -9 of a consumer", unit: "ms",
	    bar: "within 1 s", figure: 1000},
	{row: "disk", what: "the disk: fdatasync each MiB", unit: "MiB/s"},
	{row: "flush", what: "the disk: append 1 KiB, fdatasync, p50", unit: "us"}
];

def median: sort | if length % 2 == 1 then .[length / 2 | floor]
	else (.[length / 2 - 1] + .[length / 2]) / 2 end;

def digits($n): pow(10; $n) as $p | . * $p | round / $p;
def show(unit):
	if . == null then "-"
	elif unit == "/s" and . >= 10000 then "\(. / 1000 | digits(if . < 100 then 1 else 0 end)) k/s"
	elif unit == "/s" then "\(round)/s"
	else "\(digits(if . < 10 then 1 else 0 end)) \(unit)" end;

# What no bar can be compared with as a peer.
def is_reference: . as $who | ["disk", "disk + round trip", "own sends", "bare hop", "plain", "dfb",
	"dfb-ipc"] | any(. == $who);

def best(more): if length == 0 then null
	elif more then max_by(.value) else min_by(.value) end;

(group_by(.row) | map({key: .[0].row, value: (group_by(.who) |
    map({who: .[0].who, value: (map(.value) | median)}))}) | from_entries) as $seen |

{$machine, $repeats, rows: [rows[] | . as $r |
	($seen[.row] // []) as $here | ($seen[.of // .row] // []) as $there |
	select(($here | length) > 0 or ($r.of != null and any($there[]; .who == $r.to))) |
	(.unit == "/s" or .unit == "MiB/s") as $more |
	([$there[] | select(.who == "dfb" or .who == "dfb-ipc") | .value] | first) as $dfb |
	([$here[] | select(.who | is_reference | not)] | best($more)) as $peer |
	([($here + $there)[] | select(.who == $r.to)] | first) as $to |
	(if $r.to == null then $peer else $to end) as $against |
	(if $r.figure != null then $r.figure
	    elif $r.factor != null and $against != null then $r.factor * $against.value
	    else null end) as $limit |
	(if $dfb == null or $against == null then null
	    else $dfb / $against.value end) as $ratio |
	($r.limit == true and $ratio != null and
	    (if $more then $ratio > 1 else $ratio < 1 end)) as $disturbed |
	(if $limit == null or $dfb == null or $disturbed then null
	    elif $more then $dfb >= $limit else $dfb <= $limit end) as $met |
	{row: $r.row, what: ($r.what | ltrimstr("  ")), unit: $r.unit, dfb: $dfb,
	    all: ($here | map({key: .who, value: .value}) | from_entries),
	    best_peer: $peer, against: $against.who, ratio: $ratio, bar: ($r.bar // null),
	    limit: $limit, met: $met, disturbed: $disturbed,
	    text: [$r.what, ($dfb | show($r.unit)),
	        (($peer // (if $r.to then $against else ($here | map(select(.who == "disk")) |
	            first) end)) | if . == null then "-" else "\(.value | show($r.unit)) \(.who)" end),
	        (if $ratio == null then "-" else "\($ratio | digits(2)) x" end),
	        ($r.bar // "-") + (if $r.factor and $limit then " = \($limit | show($r.unit))"
	            else "" end),
	        (if $disturbed then "disturbed" elif $met == null then "-" elif $met then "yes" else "NO" end)]}]}
