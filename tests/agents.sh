#!/bin/sh
#
# agents.sh - runs each shipped resource agent, and the example of docs/agents.md, as an administrator would by hand.
#
# Prints TAP; exits 1 if a test failed. `ipaddr` runs in a network namespace of its own, or is skipped with the reason
# where there can be none. Proves P2, P23, P40, P41, P68.

set -u
self=$(readlink -f -- "$0")
tree=${self%/*/*}
unset PHA_HOME PHA_NODE PHA_PEER PHA_RESOURCE PHA_TERM PHA_REASON PHA_LEASE PHA_DAD PHA_PROBE_WINDOW
program=${PHA_ADDRESS:-$tree/target/debug/pha-address}

number=${TAP_NUMBER:-0} failed=${TAP_FAILED:-0}
result() { # ok or "not ok", the sentence
    number=$((number + 1))
    echo "$1 $number - $2"
    [ "$1" = ok ] || failed=$((failed + 1))
}
skip() { result ok "$1 # SKIP $2"; }

# expect CODE SENTENCE COMMAND...: the command ends with CODE. Its output is kept in $output.
expect() {
    wanted=$1 sentence=$2
    shift 2
    output=$("$@" 2>&1)
    got=$?
    if [ $got -eq "$wanted" ]; then
        result ok "$sentence"
    else
        result "not ok" "$sentence"
        echo "# $*: exit $got instead of $wanted: $output"
    fi
}
# says WORDS SENTENCE: the last output holds WORDS.
says() {
    case $output in
    *"$1"*) result ok "$2" ;;
    *) result "not ok" "$2" && echo "# '$1' is not in: $output" ;;
    esac
}

# idempotent UP-CHECK NAME COMMAND ARGUMENTS...: the contract of every agent.
idempotent() {
    name=$1 agent=$2
    shift 2
    expect 0 "$name: stop of what is down succeeds" "$agent" stop "$@"
    expect 1 "$name: check of what is down exits 1" "$agent" check "$@"
    result "$([ -z "$output" ] && echo ok || echo not ok)" "$name: check says nothing about what is simply down"
    expect 0 "$name: start succeeds" "$agent" start "$@"
    expect 0 "$name: check of what is up exits 0" "$agent" check "$@"
    expect 0 "$name: start of what is up succeeds" "$agent" start "$@"
    expect 0 "$name: stop succeeds" "$agent" stop "$@"
    expect 1 "$name: check after stop exits 1" "$agent" check "$@"
    expect 64 "$name: an unknown action is a wrong call" "$agent" explode "$@"
    expect 64 "$name: no argument is a wrong call" "$agent" start
}

# An installation with the real program, and a neighbour: a namespace with the other end of the wire.
make_home() {
    home=$1
    mkdir -p "$home/bin" "$home/res"
    cp "$tree/res/ipaddr" "$home/res/"
    cp "$program" "$home/bin/pha-address"
}
make_neighbour() {
    unshare -n sleep 600 &
    neighbour=$!
    tries=0
    # `unshare` makes the namespace before it becomes `sleep`.
    while [ "$(cat "/proc/$neighbour/comm")" != sleep ] && [ $tries -lt 100 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    ip link add v0 type veth peer name v1 2>/dev/null && ip link set v1 netns "$neighbour"
}
there() { nsenter -t "$neighbour" -n "$@"; }

# The neighbour believes that ADDRESS is elsewhere.
mislead() { there ip neigh replace "$1" lladdr 02:00:00:00:00:99 nud reachable dev v1; }
corrected() { # ADDRESS SENTENCE
    mac=$(ip -o link show dev v0)
    mac=${mac#*link/ether } mac=${mac%% *} tries=0
    while output=$(there ip neigh show "$1" dev v1) && [ "${output#*"$mac"}" = "$output" ] && [ $tries -lt 40 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    says "$mac" "$2"
}

# Waits until the kernel has removed ADDRESS, 6 s at most.
until_gone() {
    tries=0
    while [ -n "$(ip -o addr show dev v0 to "$1")" ] && [ $tries -lt 60 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

test_ipaddr() { # FAMILY ADDRESS PREFIX NEIGHBOUR: one family on one end of a veth
    family=$1 address=$2 prefix=$3 second=$4
    res=$home/res/ipaddr whole=$address/$prefix
    idempotent "ipaddr $family" "$res" "$whole" v0

    mislead "$address"
    expect 0 "ipaddr $family: start by hand" "$res" start "$whole" v0
    corrected "$address" "ipaddr $family: start announces"
    output=$(ip addr show dev v0 to "$address")
    says "valid_lft forever" "ipaddr $family: without a lease it stays for ever"
    case $output in *tentative*) result "not ok" "ipaddr $family: it can be used at once" ;;
    *) result ok "ipaddr $family: it can be used at once" ;; esac
    expect 0 "ipaddr $family: check with a lease" env PHA_LEASE=9.2 "$res" check "$whole" v0
    output=$(ip addr show dev v0 to "$address")
    says "valid_lft 10sec" "ipaddr $family: a check renews the lease, in whole seconds rounded up"
    expect 0 "ipaddr $family: check without a lease" "$res" check "$whole" v0
    output=$(ip addr show dev v0 to "$address")
    says "dynamic" "ipaddr $family: a check without a lease changes nothing"
    expect 0 "ipaddr $family: start of what is there" "$res" start "$whole" v0
    output=$(ip addr show dev v0 to "$address")
    says "valid_lft forever" "ipaddr $family: a start without a lease lets it stay"
    mislead "$address"
    expect 0 "ipaddr $family: announce" "$res" announce "$whole" v0
    corrected "$address" "ipaddr $family: announce sends"
    expect 1 "ipaddr $family: another prefix length is not up" "$res" check "$address/$((prefix + 1))" v0

    ip addr add "$second/$prefix" dev v0
    expect 0 "ipaddr $family: stop beside another address" "$res" stop "$whole" v0
    output=$(ip -o addr show dev v0)
    says " $second/$prefix " "ipaddr $family: another address of the subnet survives stop"
    ip addr del "$second/$prefix" dev v0
    output=$(ip "-${family#v}" route show dev v0 table all | grep -e "$address" -e "^${address%%[0-9]}")
    result "$([ -z "$output" ] && echo ok || echo not ok)" "ipaddr $family: stop leaves no route behind"

    expect 1 "ipaddr $family: probe tells that nobody answers" "$res" probe "$whole" v0
    case $family in
    v4) there ip addr add "$whole" dev v1 ;;
    v6) there ip addr add "$whole" dev v1 nodad ;;
    esac
    expect 1 "ipaddr $family: start is refused if another machine answers" "$res" start "$whole" v0
    says "another machine answers for $address on v0" "ipaddr $family: the refusal says so"
    expect 1 "ipaddr $family: a refused start adds nothing" "$res" check "$whole" v0
    expect 0 "ipaddr $family: probe tells that it answers" "$res" probe "$whole" v0
    expect 0 "ipaddr $family: a short window is enough for an answer" env PHA_PROBE_WINDOW=20 "$res" probe "$whole" v0
    expect 0 "ipaddr $family: start after the peer's death does not ask" \
        env PHA_REASON='peer dead' "$res" start "$whole" v0
    expect 0 "ipaddr $family: an address that is there is not asked for" "$res" start "$whole" v0
    "$res" stop "$whole" v0
    expect 0 "ipaddr $family: PHA_DAD=skip skips the question" env PHA_DAD=skip PHA_LEASE=1 "$res" start "$whole" v0
    there ip addr del "$whole" dev v1
    until_gone "$address"
    expect 1 "ipaddr $family: an address that nobody renews goes by itself" env PHA_LEASE=1 "$res" check "$whole" v0
    if setpriv --bounding-set -net_raw true 2>/dev/null; then
        expect 0 "ipaddr $family: start where the wire cannot be asked" \
            setpriv --bounding-set -net_raw "$res" start "$whole" v0
        says "could not ask" "ipaddr $family: that it could not be asked is said"
        "$res" stop "$whole" v0
    else
        skip "ipaddr $family: start where the wire cannot be asked" "no setpriv"
    fi
}

test_lease_of_neighbours() {
    "$home/res/ipaddr" start 10.7.0.20/24 v0 2>/dev/null
    ip addr add 10.7.0.21/24 dev v0
    PHA_LEASE=1 "$home/res/ipaddr" check 10.7.0.20/24 v0
    until_gone 10.7.0.20
    expect 0 "ipaddr: an address survives when the lease of its subnet's first one ends" \
        "$home/res/ipaddr" check 10.7.0.21/24 v0
    ip addr del 10.7.0.21/24 dev v0
    ip addr add 10.7.0.20/32 dev v0
    expect 0 "ipaddr: stop of what has another prefix length" "$home/res/ipaddr" stop 10.7.0.20/24 v0
    expect 1 "ipaddr: stop removes it with any prefix length" "$home/res/ipaddr" check 10.7.0.20/32 v0
    expect 0 "ipaddr: a /32 starts" "$home/res/ipaddr" start 10.7.0.20/32 v0
    expect 0 "ipaddr: a /32 is up" "$home/res/ipaddr" check 10.7.0.20/32 v0
    expect 0 "ipaddr: a /32 stops" "$home/res/ipaddr" stop 10.7.0.20/32 v0
}

test_ipaddr_mistakes() {
    res=$home/res/ipaddr
    expect 64 "ipaddr: a missing prefix is a wrong call" "$res" start 10.7.0.20 v0
    says "no prefix length" "ipaddr: a missing prefix is named"
    for wrong in 10.7.0.20/33 10.7.0.20/ 10.7.0.20/x 10.7.0.300/24 fd00::1/129 /24 -4/24 'eth0/24'; do
        expect 64 "ipaddr: $wrong is a wrong call" "$res" start "$wrong" v0
    done
    for wrong in '' -v a/b ..; do
        expect 64 "ipaddr: the device '$wrong' is a wrong call" "$res" start 10.7.0.20/24 "$wrong"
    done
    for wrong in 0 x 1.2.3 -1 08; do
        expect 64 "ipaddr: PHA_LEASE=$wrong is a wrong call" env PHA_LEASE=$wrong "$res" start 10.7.0.20/24 v0
    done
    expect 1 "ipaddr: a device that is not there cannot be started on" "$res" start 10.7.0.20/24 nodevice
    says "nodevice" "ipaddr: a missing device is named"
    expect 1 "ipaddr: a device that is not there is down" "$res" check 10.7.0.20/24 nodevice
    expect 0 "ipaddr: a device that is not there has nothing to stop" "$res" stop 10.7.0.20/24 nodevice
    ip link set v0 down
    expect 1 "ipaddr: a device that is down cannot be started on" "$res" start 10.7.0.20/24 v0
    says "v0 is down" "ipaddr: a device that is down is named"
    ip link set v0 up
    "$res" start 10.7.0.20/24 v0 2>/dev/null && ip link set v0 down
    expect 1 "ipaddr: an address on a device that is down is down" "$res" check 10.7.0.20/24 v0
    ip link set v0 up
    rm "$home/bin/pha-address"
    for each in start stop check announce probe; do
        expect 71 "ipaddr: without pha-address $each is not done" "$res" $each 10.7.0.20/24 v0
    done
    says "pha-address is missing" "ipaddr: that pha-address is missing is said"
}

# The rest of the file is for the call inside the namespace and outside.
if [ "${1:-}" = --in-namespace ]; then
    make_home "$2"
    if ! make_neighbour; then
        skip "ipaddr" "this kernel has no veth devices"
    else
        ip link set lo up && there ip link set v1 up && ip link set v0 up
        ip addr add 10.7.0.1/24 dev v0 && there ip addr add 10.7.0.2/24 dev v1
        test_ipaddr v4 10.7.0.20 24 10.7.0.21
        if [ -r /proc/net/if_inet6 ]; then
            test_ipaddr v6 fd00:7::20 64 fd00:7::21
        else
            skip "ipaddr v6" "this kernel has no IPv6"
        fi
        test_lease_of_neighbours
        test_ipaddr_mistakes
    fi
    kill "$neighbour"
    echo "$number $failed" >"$2/numbers"
    exit 0
fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

idempotent test "$tree/res/test" "$work/ONLINE"
echo content >"$work/ONLINE"
"$tree/res/test" start "$work/ONLINE"
output=$(cat "$work/ONLINE")
says content "test: start keeps what is in the file"
expect 1 "test: start without a directory fails" "$tree/res/test" start "$work/none/ONLINE"
says "its directory must exist" "test: start without a directory says what to do"
expect 1 "test: a directory is no resource" "$tree/res/test" start "$work"

# A machine's own services are left alone: `systemctl` or `service` is a double in PATH.
mkdir "$work/path"
cat >"$work/path/service" <<END
#!/bin/sh
case \$2 in
start) sleep 30 & echo \$! >"$work/running" ;;
stop) [ -e "$work/running" ] || exit 1; kill "\$(cat "$work/running")"; rm "$work/running" ;;
status) [ -e "$work/running" ] || exit 3 ;;
esac
echo "service \$1 \$2"
END
cat >"$work/path/systemctl" <<END
#!/bin/sh
for word; do case \$word in start | stop | is-active) verb=\$word ;; esac; done
case \$verb in
start) : >"$work/running" ;;
stop) [ -e "$work/running" ] || exit 5; rm "$work/running" ;;
is-active) [ -e "$work/running" ] || { [ "\$1" = --quiet ] || echo inactive; exit 3; } ;;
esac
END
chmod 755 "$work/path/service" "$work/path/systemctl"
PATH=$work/path:$PATH
idempotent service "$tree/res/service" pha-agents-test
if [ -d /run/systemd/system ]; then
    skip "service: a daemon left behind does not hold the output" "systemd runs here"
else
    # `expect` reads until the output is closed: 30 s if the daemon held it.
    before=$(date +%s)
    expect 0 "service: start of a daemon" "$tree/res/service" start pha-agents-test
    says "service pha-agents-test start" "service: the script's output is shown"
    result "$([ $(($(date +%s) - before)) -lt 10 ] && echo ok || echo not ok)" \
        "service: a daemon left behind does not hold the output"
    "$tree/res/service" stop pha-agents-test >/dev/null
    printf '#!/bin/sh\nyes | head -c 100000\n' >"$work/path/service"
    output=$("$tree/res/service" start pha-agents-test; "$tree/res/service" stop pha-agents-test)
    result "$([ ${#output} -le 9000 ] && echo ok || echo not ok)" "service: what is shown of the output is bounded"
    printf '#!/bin/sh\nexit 1\n' >"$work/path/service"
    expect 0 "service: a failed stop is done if the service is known to be down" \
        "$tree/res/service" stop pha-agents-test
    printf '#!/bin/sh\nexit 4\n' >"$work/path/service"
    expect 1 "service: a failed stop is not done if nothing is known" "$tree/res/service" stop pha-agents-test
fi
expect 64 "service: a path is no name" "$tree/res/service" start ../x

awk '/^#!\/bin\/sh/ { on = 1 } /^```$/ { on = 0 } on' "$tree/docs/agents.md" | sed "s|/run/|$work/|" >"$work/worker"
chmod 755 "$work/worker"
idempotent "the example" "$work/worker" mail sleep 60
expect 1 "the example: a program that ends at once is not up" "$work/worker" start bad false

apart=
for try in 'unshare -n' 'unshare -Urn'; do
    if $try true 2>/dev/null; then apart=$try && break; fi
done
if ! command -v ip >/dev/null && [ ! -x /usr/sbin/ip ] && [ ! -x /sbin/ip ]; then
    skip "ipaddr" "the command 'ip' is missing (iproute2)"
elif [ -z "$apart" ]; then
    skip "ipaddr" "no network namespace may be made here"
elif [ ! -x "$program" ]; then
    skip "ipaddr" "$program is not built"
else
    PATH=$PATH:/usr/sbin:/sbin TAP_NUMBER=$number TAP_FAILED=$failed $apart "$self" --in-namespace "$work/home"
    if ! read -r number failed <"$work/home/numbers"; then result "not ok" "ipaddr: the test did not end"; fi
fi

echo "1..$number"
[ "$failed" -eq 0 ] || { echo "# $failed failed" && exit 1; }
